package netwrap

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"inetd/libwrap"
	"inetd/libwrap/syslog"
)

// dnsServer answers PTR, A, AAAA and CNAME questions from a zone: owner name
// and type to data, names in lower case with the root dot. It returns a
// resolver that asks nobody else.
func dnsServer(t *testing.T, zone map[string]string) *net.Resolver {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	go func() {
		b := make([]byte, 1500)
		for {
			n, from, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			if r := dnsAnswer(b[:n], zone); r != nil {
				c.WriteTo(r, from)
			}
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", c.LocalAddr().String())
	}}
}

// Wire format: RFC 1035, section 4.1.
func dnsAnswer(q []byte, zone map[string]string) []byte {
	if len(q) < 17 {
		return nil
	}
	var labels []string
	i := 12
	for q[i] != 0 {
		l := int(q[i])
		labels = append(labels, string(q[i+1:i+1+l]))
		i += 1 + l
	}
	i++
	owner := strings.ToLower(strings.Join(labels, ".")) + "."
	typ := binary.BigEndian.Uint16(q[i:])
	question := q[12 : i+4]

	encode := func(name string) []byte {
		var b []byte
		for _, l := range strings.FieldsFunc(name, func(r rune) bool { return r == '.' }) {
			b = append(append(b, byte(len(l))), l...)
		}
		return append(b, 0)
	}
	var answers []byte
	count := uint16(0)
	add := func(owner string, typ uint16, data []byte) {
		answers = append(answers, encode(owner)...)
		answers = binary.BigEndian.AppendUint16(answers, typ)
		answers = append(answers, 0, 1, 0, 0, 0, 60)
		answers = binary.BigEndian.AppendUint16(answers, uint16(len(data)))
		answers = append(answers, data...)
		count++
	}
	if target := zone[owner+" CNAME"]; target != "" && typ != 12 {
		add(owner, 5, encode(target))
		owner = target
	}
	known := false
	for k := range zone {
		known = known || strings.HasPrefix(k, owner+" ")
	}
	types := map[uint16]string{1: "A", 28: "AAAA", 12: "PTR"}
	if data := zone[owner+" "+types[typ]]; data != "" {
		switch typ {
		case 1:
			add(owner, typ, net.ParseIP(data).To4())
		case 28:
			add(owner, typ, net.ParseIP(data).To16())
		case 12:
			add(owner, typ, encode(data))
		}
	}
	r := append([]byte{}, q[:2]...)
	rcode := byte(0)
	if !known {
		rcode = 3 // no such name
	}
	r = append(r, 0x85, 0x80|rcode, 0, 1)
	r = binary.BigEndian.AppendUint16(r, count)
	r = append(r, 0, 0, 0, 0)
	r = append(r, question...)
	return append(r, answers...)
}

func tables(t *testing.T, allow, deny string) *libwrap.Tables {
	t.Helper()
	dir := t.TempDir()
	tb := &libwrap.Tables{Allow: filepath.Join(dir, "allow"), Deny: filepath.Join(dir, "deny")}
	for path, text := range map[string]string{tb.Allow: allow, tb.Deny: deny} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return tb
}

// TestNames decides by names from a name server that tells the truth, lies,
// and says nothing.
func TestNames(t *testing.T) {
	r := dnsServer(t, map[string]string{
		"1.2.0.192.in-addr.arpa. PTR": "good.example.com.",
		"good.example.com. A":         "192.0.2.1",
		"2.2.0.192.in-addr.arpa. PTR": "liar.example.com.",
		"liar.example.com. A":         "192.0.2.99",
		"3.2.0.192.in-addr.arpa. PTR": "alias.example.com.",
		"alias.example.com. CNAME":    "real.example.com.",
		"real.example.com. A":         "192.0.2.3",
		"4.2.0.192.in-addr.arpa. PTR": "gone.example.com.",
		"5.2.0.192.in-addr.arpa. PTR": "192.0.2.1.",
		"8.2.0.192.in-addr.arpa. PTR": ".",
		"7.2.0.192.in-addr.arpa. PTR": "MiXed.example.com.",
		"mixed.example.com. A":        "192.0.2.7",
		"1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. PTR": "six.example.com.",
		"six.example.com. AAAA": "2001:db8::1",
	})
	tb := tables(t, "sshd: .example.com\nsshd: PARANOID: deny\nsshd: UNKNOWN: severity debug\n", "ALL: ALL\n")
	for _, tt := range []struct {
		addr, name string
		line       int
	}{
		{"192.0.2.1", "good.example.com", 1},
		{"::ffff:192.0.2.1", "good.example.com", 1},
		{"2001:db8::1", "six.example.com", 1},
		{"192.0.2.7", "MiXed.example.com", 1},
		{"192.0.2.2", "paranoid", 2},
		{"192.0.2.3", "paranoid", 2},
		{"192.0.2.4", "paranoid", 2},
		{"192.0.2.5", "paranoid", 2},
		{"192.0.2.8", "paranoid", 2},
		{"192.0.2.6", "unknown", 3},
	} {
		q := &libwrap.Request{Daemon: "sshd", Client: libwrap.Endpoint{Addr: tt.addr}, Lookup: Lookup{r}}
		v := tb.Check(t.Context(), q)
		if q.Client.Name != tt.name || v.Rule.Line != tt.line {
			t.Errorf("%s: name %q, rule %v, want %q, line %d (%+v)", tt.addr, q.Client.Name, v.Rule, tt.name, tt.line, v.Events)
		}
	}
}

// A name server that does not answer costs no more than the deadline.
func TestNameDeadline(t *testing.T) {
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	r := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", silent.LocalAddr().String())
	}}
	tb := tables(t, "sshd: .example.com\n", "ALL: ALL\n")
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	start := time.Now()
	q := &libwrap.Request{Daemon: "sshd", Client: libwrap.Endpoint{Addr: "192.0.2.1"}, Lookup: Lookup{r}}
	if v := tb.Check(ctx, q); v.Allowed || q.Client.Name != "unknown" {
		t.Errorf("Allowed = %v, name %q", v.Allowed, q.Client.Name)
	}
	if d := time.Since(start); d > 3*time.Second {
		t.Errorf("took %v", d)
	}
}

// logs collects log lines.
type logs struct {
	mu    sync.Mutex
	lines []string
}

func (l *logs) add(p syslog.Priority, text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, p.String()+" "+text)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, "\n")
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// serve starts an echo of one line behind a Listener. setup may change it.
func serve(t *testing.T, tb *libwrap.Tables, setup func(*Listener)) (addr string, log *logs) {
	t.Helper()
	inner := listen(t)
	ln := Wrap(inner, "testd")
	log = &logs{}
	ln.Tables, ln.Log = tb, log.add
	if setup != nil {
		setup(ln)
	}
	done := make(chan error, 1)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				done <- err
				return
			}
			fmt.Fprintln(c, "welcome")
			c.Close()
		}
	}()
	t.Cleanup(func() {
		ln.Close()
		if err := <-done; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept after Close = %v", err)
		}
	})
	return inner.Addr().String(), log
}

// talk connects from an address of the loopback range and returns what comes.
func talk(t *testing.T, from, addr string) string {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: 10 * time.Second}
	c, err := d.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	var b strings.Builder
	buf := make([]byte, 100)
	for {
		n, err := c.Read(buf)
		b.Write(buf[:n])
		if err != nil {
			return b.String()
		}
	}
}

func TestListener(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "testd"), []byte("no %a\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "out")
	tb := tables(t, "testd: 127.0.0.2\n"+
		"testd: 127.0.0.3: severity mail.notice: linger 1: keepalive: allow\n"+
		"testd: 127.0.0.4: twist echo hi\n"+
		"testd: 127.0.0.5: spawn echo %d %a > "+out+": user nobody: umask 077: allow\n"+
		"testd: 127.0.0.6: bogus\n"+
		"testd: 127.0.0.7: setenv A=b c: allow\n",
		"testd: ALL: banners "+dir+"\n")
	addr, log := serve(t, tb, nil)
	for _, tt := range []struct{ from, want, log string }{
		{"127.0.0.2", "welcome\n", "info connect from 127.0.0.2 (127.0.0.2)"},
		{"127.0.0.3", "welcome\n", "mail.notice connect from 127.0.0.3 (127.0.0.3)"},
		{"127.0.0.4", "", "err error: " + tb.Allow + ", line 3: twist option in resident process\nwarning refused connect from 127.0.0.4 (127.0.0.4)"},
		{"127.0.0.5", "welcome\n", "warning warning: " + tb.Allow + ", line 4: option has no effect in a resident process: user\nwarning warning: " + tb.Allow + ", line 4: option has no effect in a resident process: umask\ninfo connect from 127.0.0.5 (127.0.0.5)"},
		{"127.0.0.6", "", "err error: " + tb.Allow + ", line 5: bad option name: \"bogus\"\nwarning refused connect from 127.0.0.6 (127.0.0.6)"},
		{"127.0.0.7", "", "err error: " + tb.Allow + ", line 6: setenv A=b: Invalid argument\nwarning warning: " + tb.Allow + ", line 6: option has no effect in a resident process: setenv\nwarning refused connect from 127.0.0.7 (127.0.0.7)"},
		{"127.0.0.9", "no 127.0.0.9\r\n", "warning refused connect from 127.0.0.9 (127.0.0.9)"},
	} {
		before := log.String()
		if got := talk(t, tt.from, addr); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.from, got, tt.want)
		}
		if got := strings.TrimPrefix(strings.TrimPrefix(log.String(), before), "\n"); got != tt.log {
			t.Errorf("%s: log %q, want %q", tt.from, got, tt.log)
		}
	}
	if b, _ := os.ReadFile(out); string(b) != "testd 127.0.0.5\n" {
		t.Errorf("spawn wrote %q", b)
	}
}

// stall is a Lookup that answers when told to.
type stall struct {
	Lookup
	release chan struct{}
}

func (s stall) LookupName(ctx context.Context, _ string) (string, error) {
	select {
	case <-s.release:
	case <-ctx.Done():
	}
	return "", nil
}

// A slow decision holds up nobody else, and there is a limit to how many, in all and
// of one client.
func TestListenerSlow(t *testing.T) {
	tb := tables(t, "testd: 127.0.0.2\ntestd: UNKNOWN\n", "ALL: ALL\n")
	release, asked := make(chan struct{}), make(chan struct{}, 2)
	addr, log := serve(t, tb, func(l *Listener) {
		l.Lookup = asking{stall{release: release}, asked}
		l.Pending = 2
	})
	slow := make(chan string, 2)
	go func() { slow <- talk(t, "127.0.0.3", addr) }()
	<-asked
	if got := talk(t, "127.0.0.3", addr); got != "" || !strings.Contains(log.String(), "refused connect from 127.0.0.3 (127.0.0.3): too many undecided") {
		t.Errorf("another connection of an undecided client got %q, log %q", got, log)
	}
	go func() { slow <- talk(t, "127.0.0.5", addr) }()
	<-asked
	if got := talk(t, "127.0.0.4", addr); got != "" || !strings.Contains(log.String(), "refused connect from 127.0.0.4 (127.0.0.4): too many undecided") {
		t.Errorf("a third undecided connection got %q, log %q", got, log)
	}
	if got := talk(t, "127.0.0.2", addr); got != "welcome\n" {
		t.Errorf("behind slow ones got %q", got)
	}
	close(release)
	for range 2 {
		if got := <-slow; got != "welcome\n" {
			t.Errorf("a slow connection got %q", got)
		}
	}
}

// Close ends decisions under way.
func TestListenerClose(t *testing.T) {
	tb := tables(t, "testd: .example.com\n", "")
	inner := listen(t)
	ln := Wrap(inner, "testd")
	ln.Tables, ln.Log = tb, func(syslog.Priority, string) {}
	asked := make(chan struct{}, 1)
	ln.Lookup = asking{stall{release: make(chan struct{})}, asked}
	go ln.Accept()
	c, err := net.Dial("tcp", inner.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	<-asked
	closed := make(chan struct{})
	go func() {
		ln.Close()
		close(closed)
	}()
	select {
	case <-closed:
	case <-time.After(10 * time.Second):
		t.Fatal("Close waits for a lookup")
	}
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the undecided connection lives on: %v", err)
	}
	if err := ln.Close(); err != nil {
		t.Errorf("second Close = %v", err)
	}
}

// A client that does not read its banner holds up neither Close nor anybody
// else.
func TestListenerCloseBanner(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "testd"), []byte(strings.Repeat("come back tomorrow\n", 50000)), 0o644); err != nil {
		t.Fatal(err)
	}
	tb := tables(t, "testd: 127.0.0.2\n", "testd: ALL: banners "+dir+"\n")
	inner := listen(t)
	ln := Wrap(small{inner}, "testd")
	ln.Tables, ln.Log = tb, func(syslog.Priority, string) {}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			fmt.Fprintln(c, "welcome")
			c.Close()
		}
	}()
	c, err := net.Dial("tcp", inner.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.(*net.TCPConn).SetReadBuffer(4096); err != nil {
		t.Fatal(err)
	}
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := c.Read(make([]byte, 1)); err != nil { // the banner is under way
		t.Fatal(err)
	}
	if got := talk(t, "127.0.0.2", inner.Addr().String()); got != "welcome\n" {
		t.Errorf("behind a slow banner got %q", got)
	}
	closed := make(chan struct{})
	go func() {
		ln.Close()
		close(closed)
	}()
	select {
	case <-closed:
	case <-time.After(10 * time.Second):
		t.Fatal("Close waits for a client to take its banner")
	}
}

// small is a listener whose connections buffer little.
type small struct{ net.Listener }

func (l small) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		err = c.(*net.TCPConn).SetWriteBuffer(4096)
	}
	return c, err
}

type asking struct {
	stall
	asked chan struct{}
}

func (a asking) LookupName(ctx context.Context, addr string) (string, error) {
	a.asked <- struct{}{}
	return a.stall.LookupName(ctx, addr)
}

func TestListenerUnix(t *testing.T) {
	tb := tables(t, "testd: localhost: linger 3: allow\n", "ALL: ALL\n")
	path := filepath.Join(t.TempDir(), "s")
	inner, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	ln := Wrap(inner, "testd")
	log := &logs{}
	ln.Tables, ln.Log = tb, log.add
	defer ln.Close()
	go net.Dial("unix", path)
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	want := "err warning: " + tb.Allow + ", line 1: setsockopt SO_LINGER 3: Operation not supported\ninfo connect from localhost (localhost)"
	if got := log.String(); got != want {
		t.Errorf("log %q, want %q", got, want)
	}
}

func TestEndpoint(t *testing.T) {
	for _, tt := range []struct {
		addr net.Addr
		want libwrap.Endpoint
	}{
		{&net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 5}, libwrap.Endpoint{Addr: "10.0.0.1", Port: 5, HasPort: true}},
		{&net.UDPAddr{IP: net.ParseIP("fe80::1"), Zone: "lo", Port: 0}, libwrap.Endpoint{Addr: "fe80::1%lo", Port: 0, HasPort: true}},
		{&net.UnixAddr{Net: "unix", Name: "x"}, libwrap.Endpoint{Addr: "localhost", Name: "unknown"}},
		{nil, libwrap.Endpoint{}},
		{&net.IPAddr{IP: net.IPv4(10, 0, 0, 1)}, libwrap.Endpoint{}},
	} {
		if got := Endpoint(tt.addr); got != tt.want {
			t.Errorf("Endpoint(%v) = %+v, want %+v", tt.addr, got, tt.want)
		}
	}
}

func TestIdent(t *testing.T) {
	var ln net.Listener
	var err error
	var ip string
	for i := range 100 {
		ip = fmt.Sprintf("127.114.%d.%d", os.Getpid()&255, i+1)
		if ln, err = net.Listen("tcp", ip+":113"); err == nil {
			break
		}
	}
	if err != nil {
		t.Skip("port 113: ", err)
	}
	defer ln.Close()
	ended := make(chan error, 1)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			b := make([]byte, 64)
			n, _ := c.Read(b)
			if strings.HasPrefix(string(b[:n]), "1,") {
				c.Read(b) // until the other side gives up
			}
			fmt.Fprintf(c, "%s : USERID : UNIX : from %s\r\n", strings.TrimSpace(string(b[:n])), c.RemoteAddr())
			c.SetReadDeadline(time.Now().Add(10 * time.Second))
			_, err = c.Read(b)
			c.Close()
			ended <- err
		}
	}()
	server := libwrap.Endpoint{Addr: "127.0.0.78", Port: 22, HasPort: true}
	u, err := Lookup{}.LookupUser(t.Context(), libwrap.Endpoint{Addr: ip, Port: 1000, HasPort: true}, server)
	if u != "from" || err != nil {
		t.Errorf("LookupUser = %q, %v, want from", u, err)
	}
	if err := <-ended; errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("LookupUser leaves its connection open")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if u, err := (Lookup{}).LookupUser(ctx, libwrap.Endpoint{Addr: ip, Port: 1, HasPort: true}, server); err == nil {
		t.Errorf("LookupUser of a stalling server = %q", u)
	}
}

// A server that does not call Accept for a while keeps its clients in the queue,
// and refuses none for it.
func TestListenerBusy(t *testing.T) {
	inner := listen(t)
	asked := make(chan struct{}, 10)
	release := make(chan struct{})
	close(release)
	ln, log := Wrap(inner, "testd"), &logs{}
	ln.Tables, ln.Log, ln.Lookup, ln.Pending = tables(t, "testd: UNKNOWN\n", "ALL: ALL\n"), log.add, asking{stall{release: release}, asked}, 1
	accept := make(chan struct{})
	go func() {
		ln.init()
		<-accept
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			fmt.Fprintln(c, "welcome")
			c.Close()
		}
	}()
	defer ln.Close()
	const clients = 3
	said := make(chan string, clients)
	for i := range clients {
		go func() { said <- talk(t, "127.0.0.3", inner.Addr().String()) }()
		if i < 2 { // as many as wait for Accept
			<-asked
			eventually(t, "the decision", func() bool {
				ln.mu.Lock()
				defer ln.mu.Unlock()
				return ln.pending == 0
			})
		}
	}
	close(accept)
	for range clients {
		if got := <-said; got != "welcome\n" {
			t.Errorf("a client got %q, log %q", got, log)
		}
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("%s: not within 20s", what)
		}
	}
}

// A rule raises its alarm also when the name servers took all the time there was.
func TestListenerAlarm(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	tb := tables(t, "testd: .example.com\n", "ALL: ALL: spawn echo %a > "+out+"\n")
	addr, log := serve(t, tb, func(l *Listener) {
		l.Lookup = stall{release: make(chan struct{})}
		l.Timeout = 300 * time.Millisecond
	})
	if got := talk(t, "127.0.0.2", addr); got != "" {
		t.Errorf("the client got %q", got)
	}
	if b, _ := os.ReadFile(out); string(b) != "127.0.0.2\n" {
		t.Errorf("spawn wrote %q, log %q", b, log)
	}
}

// When the listener beneath is closed, nothing of what is under way stays, and
// no line says that a rule has refused it.
func TestListenerClosedBeneath(t *testing.T) {
	inner := listen(t)
	ln, log := Wrap(inner, "testd"), &logs{}
	asked := make(chan struct{}, 1)
	ln.Tables, ln.Log = tables(t, "testd: .example.com\n", "ALL: ALL\n"), log.add
	ln.Lookup = asking{stall{release: make(chan struct{})}, asked}
	done := make(chan error, 1)
	go func() {
		_, err := ln.Accept()
		done <- err
	}()
	said := make(chan string, 1)
	go func() { said <- talk(t, "127.0.0.2", inner.Addr().String()) }()
	<-asked
	inner.Close()
	if err := <-done; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept = %v, want %v", err, net.ErrClosed)
	}
	if got := <-said; got != "" {
		t.Errorf("an undecided client got %q", got)
	}
	ln.wg.Wait()
	if got := log.String(); got != "" {
		t.Errorf("log %q", got)
	}
}

// nameless is a listener whose connections do not say where they come from.
type nameless struct{ net.Listener }

type fromNowhere struct{ net.Conn }

func (fromNowhere) RemoteAddr() net.Addr { return nil }

func (l nameless) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return fromNowhere{c}, nil
}

func TestListenerNameless(t *testing.T) {
	addr, log := serve(t, tables(t, "ALL: ALL: spawn true\n", ""), func(l *Listener) { l.Listener = nameless{l.Listener} })
	if got := talk(t, "127.0.0.2", addr); got != "welcome\n" {
		t.Errorf("the client got %q, log %q", got, log)
	}
}

// What is not set has its default.
func TestListenerDefaults(t *testing.T) {
	ln := Wrap(listen(t), "testd")
	ln.init()
	if ln.Tables == nil || ln.Tables.Allow+ln.Tables.Deny != "" || ln.Lookup != (Lookup{}) || ln.Timeout != 30*time.Second || ln.Pending != 256 || cap(ln.conns) != 512 || ln.Log == nil {
		t.Errorf("the defaults are %+v", ln)
	}
	if err := ln.Close(); err != nil {
		t.Errorf("Close = %v", err)
	}
	if c, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept after Close = %v, %v", c, err)
	}
}

// Limits are those of an IPv4 address and of an IPv6 network.
func TestClient(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.1":         "192.0.2.1",
		"::ffff:192.0.2.1":  "192.0.2.1",
		"2001:db8:1:2:3::4": "2001:db8:1:2::",
		"fe80::1%eth0":      "fe80::",
		"localhost":         "invalid IP",
	} {
		if got := client(addr); got.String() != want {
			t.Errorf("client(%q) = %v, want %s", addr, got, want)
		}
	}
	l := &Listener{Pending: 8, clients: make(map[netip.Addr]int)}
	for addr, most := range map[string]int{"192.0.2.1": 2, "2001:db8::1": 2, "localhost": 8} { // who has no address counts in all only
		n := 0
		for l.enter(client(addr)) {
			n++
		}
		if n != most {
			t.Errorf("%s has %d places, want %d", addr, n, most)
		}
		for range n {
			l.leave(client(addr))
		}
	}
	if l.pending != 0 || len(l.clients) != 0 {
		t.Errorf("when all have left, %d places are taken and %d clients are remembered", l.pending, len(l.clients))
	}
}

// failing is a listener whose first Accept fails.
type failing struct {
	net.Listener
	err *error
}

func (l failing) Accept() (net.Conn, error) {
	if err := *l.err; err != nil {
		*l.err = nil
		return nil, err
	}
	return l.Listener.Accept()
}

// An error of the listener beneath comes out of Accept, and is not the end.
func TestListenerError(t *testing.T) {
	inner, bad := listen(t), error(syscall.EMFILE)
	ln := Wrap(failing{inner, &bad}, "testd")
	ln.Tables, ln.Log = tables(t, "", ""), func(syslog.Priority, string) {}
	if _, err := ln.Accept(); err != syscall.EMFILE {
		t.Errorf("Accept = %v, want %v", err, syscall.EMFILE)
	}
	out, err := net.Dial("tcp", inner.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	c, err := ln.Accept()
	if err != nil {
		t.Fatalf("Accept after an error = %v", err)
	}
	c.Close()
	ln.Close()
}

// Close ends connections that are let in and nobody has taken.
func TestListenerCloseUntaken(t *testing.T) {
	inner, said := listen(t), make(chan struct{}, 1)
	ln := Wrap(inner, "testd")
	ln.Tables = tables(t, "", "")
	ln.Log = func(syslog.Priority, string) { said <- struct{}{} }
	ln.init()
	c, err := net.Dial("tcp", inner.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	<-said
	ln.Close()
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the connection lives on: %v", err)
	}
}

// What a rule does is bounded by Timeout, and the connection that is let in then
// has no deadline.
func TestListenerTimeout(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "testd"), []byte(strings.Repeat("come back tomorrow\n", 50000)), 0o644); err != nil {
		t.Fatal(err)
	}
	ln, log := Wrap(small{listen(t)}, "testd"), &logs{}
	ln.Tables = tables(t, "testd: 127.0.0.2: spawn sleep 60: allow\ntestd: 127.0.0.3\n", "testd: ALL: banners "+dir+"\n")
	ln.Timeout = 50 * time.Millisecond
	ln.Log = log.add
	last := make(chan time.Time, 100)
	ln.Listener = watched{ln.Listener, last}
	defer ln.Close()
	deaf, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer deaf.Close()
	for _, from := range []string{"127.0.0.2", "127.0.0.3"} {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		out, err := d.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer out.Close()
		began := time.Now()
		c, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if d := time.Since(began); d > 20*time.Second {
			t.Errorf("%s is let in after %v", from, d)
		}
		c.Close()
	}
	eventually(t, "the client that reads no banner is refused", func() bool { return strings.Contains(log.String(), "refused connect from 127.0.0.1 ") })
	cleared := 0
	for len(last) > 0 {
		if (<-last).IsZero() {
			cleared++
		}
	}
	if cleared != 3 {
		t.Errorf("%d of 3 connections have no deadline left", cleared)
	}
}

// watched is a listener whose connections say which deadlines they are given.
type watched struct {
	net.Listener
	last chan time.Time
}

type watchedConn struct {
	net.Conn
	last chan time.Time
}

func (l watched) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return watchedConn{c, l.last}, err
}

func (c watchedConn) SetDeadline(t time.Time) error {
	c.last <- t
	return c.Conn.SetDeadline(t)
}
