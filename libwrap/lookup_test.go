package libwrap

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"
)

// resolver answers from functions.
type resolver struct {
	name  func(addr string) (string, error)
	addrs func(name string, v6 bool) (string, []string, error)
	user  func(ctx context.Context) (string, error)
}

func (r resolver) LookupName(_ context.Context, addr string) (string, error) { return r.name(addr) }
func (r resolver) LookupAddrs(_ context.Context, name string, v6 bool) (string, []string, error) {
	return r.addrs(name, v6)
}
func (r resolver) LookupUser(ctx context.Context, _, _ Endpoint) (string, error) { return r.user(ctx) }

func TestVerifiedName(t *testing.T) {
	fail := errors.New("no")
	for _, tt := range []struct {
		addr, ptr string
		ptrErr    error
		canon     string
		addrs     []string
		addrsErr  error
		want, log string
	}{
		{"10.0.0.1", "a.example.com", nil, "a.example.com", []string{"10.0.0.9", "10.0.0.1"}, nil, "a.example.com", ""},
		{"10.0.0.1", "a.example.com", nil, "A.Example.Com", []string{"10.0.0.1"}, nil, "a.example.com", ""},
		{"10.0.0.1", "a.example.com\x00.org", nil, "a.example.com", []string{"10.0.0.1"}, nil, "a.example.com", ""},
		{"10.0.0.1", "a.example.com.", nil, "a.example.com.", []string{"10.0.0.1"}, nil, "a.example.com.", ""}, // of /etc/hosts
		{"::ffff:10.0.0.1", "a.example.com", nil, "a.example.com", []string{"10.0.0.1"}, nil, "a.example.com", ""},
		{"10.0.0.1", "a.example.com", nil, "a.example.com", []string{"::ffff:10.0.0.1"}, nil, "a.example.com", ""},
		{"2001:db8::1", "a.example.com", nil, "a.example.com", []string{"2001:db8:0::1"}, nil, "a.example.com", ""},
		{"fe80::1%lo", "a.example.com", nil, "a.example.com", []string{"fe80::1"}, nil, "paranoid", "host name/address mismatch: fe80::1%lo != a.example.com"},
		{"fe80::1%lo", "a.example.com", nil, "a.example.com", []string{"fe80::1%lo"}, nil, "a.example.com", ""},
		{"::ffff:10.0.0.1", "a.example.com", nil, "a.example.com", []string{"10.0.0.9"}, nil, "paranoid", "host name/address mismatch: 10.0.0.1 != a.example.com"},
		{"fe80::1%1", "a.example.com", nil, "a.example.com", []string{"fe80::1%2"}, nil, "paranoid", "host name/address mismatch: fe80::1%1 != a.example.com"},
		{"10.0.0.1", "", nil, "", nil, nil, "unknown", ""},
		{"10.0.0.1", "x", fail, "", nil, nil, "unknown", ""},
		{"10.0.0.1", "", fmt.Errorf("no: %w", ErrBadName), "", nil, nil, "paranoid", "host name/name mismatch: reverse lookup of 10.0.0.1 results in no host name"},
		{"10.0.0.1", ".", nil, "", nil, nil, "paranoid", "can't verify hostname: getaddrinfo(., AF_INET) failed"},
		{"10.0.0.1", "10.0.0.9", nil, "", nil, nil, "paranoid", "host name/name mismatch: reverse lookup results in non-FQDN 10.0.0.9"},
		{"10.0.0.1", "::1", nil, "", nil, nil, "paranoid", "host name/name mismatch: reverse lookup results in non-FQDN ::1"},
		{"10.0.0.1", "10", nil, "", nil, nil, "paranoid", "host name/name mismatch: reverse lookup results in non-FQDN 10"},
		{"10.0.0.1", "a.example.com", nil, "", nil, fail, "paranoid", "can't verify hostname: getaddrinfo(a.example.com, AF_INET) failed"},
		{"::1", "a.example.com", nil, "", nil, nil, "paranoid", "can't verify hostname: getaddrinfo(a.example.com, AF_INET6) failed"},
		{"10.0.0.1", "alias.example.com", nil, "real.example.com", []string{"10.0.0.1"}, nil, "paranoid", "host name/name mismatch: alias.example.com != real.example.com"},
		{"127.0.0.1", "localhost", nil, "localhost.localdomain", []string{"127.0.0.1"}, nil, "localhost", ""},
		{"10.0.0.1", "a.example.com", nil, "a.example.com", []string{"10.0.0.9"}, nil, "paranoid", "host name/address mismatch: 10.0.0.1 != a.example.com"},
		{"10.0.0.1", "evil\n\x1b[m.com", nil, "x", []string{"10.0.0.1"}, nil, "paranoid", "host name/name mismatch: evil??[m.com != x"},
		{"10.0.0.1", strings.Repeat("n", 500), nil, strings.Repeat("n", 127), []string{"10.0.0.1"}, nil, strings.Repeat("n", 127), ""},
	} {
		var asked []string
		r := &Request{Client: Endpoint{Addr: tt.addr}, Lookup: resolver{
			name: func(a string) (string, error) {
				asked = append(asked, a)
				return tt.ptr, tt.ptrErr
			},
			addrs: func(string, bool) (string, []string, error) { return tt.canon, tt.addrs, tt.addrsErr },
		}}
		d := newDecision(t.Context(), &Tables{}, r)
		for range 2 { // the second time from what is known
			if got := d.hostName(&r.Client); got != tt.want {
				t.Errorf("%s is called %q: got %q, want %q", tt.addr, tt.ptr, got, tt.want)
			}
		}
		log := ""
		for _, e := range d.v.Events {
			log += strings.TrimPrefix(e.Text, "warning: ")
		}
		if log != tt.log {
			t.Errorf("%s is called %q: log %q, want %q", tt.addr, tt.ptr, log, tt.log)
		}
		if want := []string{unmap(tt.addr)}; !reflect.DeepEqual(asked, want) {
			t.Errorf("%s: asked %q, want %q", tt.addr, asked, want)
		}
	}
}

// TestLazy counts lookups: none unless a rule needs one, and one at most.
func TestLazy(t *testing.T) {
	for _, tt := range []struct {
		allow string
		asked []string
	}{
		{"ALL: ALL", nil},
		{"sshd: 10.0.0.0/8", nil},
		{"ftpd: .example.com\nsshd: 10.", nil},
		{"sshd: 10. .example.com", nil},
		{"sshd: 11. 12.0.0.0/8 1.2.3.4 10.0.0.1", nil},
		{"sshd: .example.com\nsshd: .example.org\nsshd: LOCAL", []string{"name 10.0.0.1", "addrs a.example.com"}},
		{"sshd: .example.org", []string{"name 10.0.0.1", "addrs a.example.com"}},
		{"sshd: joe@11.", nil},
		{"sshd: joe@10.\nsshd: ann@10.", []string{"user"}},
		{"sshd: joe@.example.org", []string{"name 10.0.0.1", "addrs a.example.com"}},
		{"sshd: 10.: spawn %a %h %c %s", nil},
		{"sshd: 10.: spawn %n %n %u %u", []string{"name 10.0.0.1", "addrs a.example.com", "user"}},
		{"sshd: 10.: rfc931", []string{"user"}},
		{"sshd@LOCAL: ALL", []string{"name 192.0.2.1"}},
		{"22: ALL", nil},
	} {
		tables := newTables(t, tt.allow+"\n", "")
		for range 3 {
			l := &logLookup{names: map[string]string{"10.0.0.1": "a.example.com"}, addrs: map[string]string{"a.example.com": "10.0.0.1"}, user: "eve"}
			r := from("10.0.0.1")
			r.Lookup = l
			r.Client.Port, r.Client.HasPort = 1000, true
			r.Server = Endpoint{Addr: "192.0.2.1", Port: 22, HasPort: true}
			c := *r
			_, now := tables.CheckNow(&c)
			if now != (tt.asked == nil) {
				t.Errorf("%q: CheckNow = %v", tt.allow, now)
			}
			if !now && !reflect.DeepEqual(&c, r) {
				t.Errorf("%q: CheckNow changed the request to %+v", tt.allow, c)
			}
			tables.Check(t.Context(), r)
			if !reflect.DeepEqual(l.asked, tt.asked) {
				t.Errorf("%q: asked %q, want %q", tt.allow, l.asked, tt.asked)
			}
		}
	}
}

// What asks a program is nothing for a caller that must not block, whether the
// tables are compiled or not.
func TestCheckNowPrograms(t *testing.T) {
	for _, rule := range []string{"sshd: ALL: aclexec true", "sshd: ALL: user nobody", "sshd: ALL: user nobody.daemon", "sshd: ALL: group daemon", "sshd: @grp"} {
		tables := newTables(t, rule+"\n", "")
		for range 3 {
			r := from("10.0.0.1")
			r.Run = func(context.Context, string, []string) (Status, error) {
				t.Errorf("%s: the command is run", rule)
				return Status{}, nil
			}
			r.Netgroup = func(context.Context, string, string) bool {
				t.Errorf("%s: the netgroup is asked for", rule)
				return true
			}
			if v, ok := tables.CheckNow(r); ok {
				t.Errorf("%s: CheckNow = %+v", rule, v)
			}
		}
	}
}

// A deadline ends an ident lookup, and the rfc931 option sets it.
func TestIdentTimeout(t *testing.T) {
	tables := newTables(t, "sshd: ALL: rfc931 1\n", "")
	r := from("10.0.0.1")
	r.Client.HasPort, r.Server.HasPort = true, true
	r.IdentTimeout = time.Hour
	r.Lookup = resolver{user: func(ctx context.Context) (string, error) {
		if d, ok := ctx.Deadline(); !ok || time.Until(d) > time.Second {
			t.Errorf("deadline in %v, %v", time.Until(d), ok)
		}
		<-ctx.Done()
		return "late", ctx.Err()
	}}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if v := tables.Check(ctx, r); !v.Allowed || r.User != "unknown" {
		t.Errorf("Allowed = %v, User = %q, want true, unknown", v.Allowed, r.User)
	}
}

func TestParseIdent(t *testing.T) {
	for reply, want := range map[string]string{
		"1000, 22 : USERID : UNIX : joe\r":                "joe",
		"1000,22:USERID:UNIX:joe":                         "joe",
		" 1000 , 22 : USERID : UNIX , US-ASCII : joe x\r": "joe",
		"1000, 22 : USERID : OTHER : <secret>":            "<secret>",
		"1000,22:USERID: :j\x1bo":                         "j\x1bo",
		"1000,22:USERID:UNIX:" + strings.Repeat("j", 300): strings.Repeat("j", 255),
		"4294968296, 22 : USERID : UNIX : wrap":           "wrap",
		"1000, 22 : ERROR : NO-USER":                      "",
		"1000, 23 : USERID : UNIX : joe":                  "",
		"1001, 22 : USERID : UNIX : joe":                  "",
		"1000, 22 : USERID :: joe":                        "",
		"1000, 22 : USERID : UNIX :":                      "",
		"1000, 22 : USERID : UNIX : \r":                   "",
		"1000, 22 : USERID : UNIX":                        "",
		"1000, 22 : userid : UNIX : joe":                  "",
		"1000 22 : USERID : UNIX : joe":                   "",
		"":                                                "",
		"1000, 22 : USERID : UNIX\x00: joe":               "",
		"x":                                               "",
	} {
		if got, ok := parseIdent(reply, 1000, 22); got != want || ok != (want != "") {
			t.Errorf("parseIdent(%q) = %q, %v, want %q", reply, got, ok, want)
		}
	}
}

// identServer serves ident on port 113 of a loopback address of its own.
func identServer(t *testing.T, answer func(c net.Conn)) (addr string) {
	t.Helper()
	for i := range 200 {
		addr = fmt.Sprintf("127.113.%d.%d", os.Getpid()&255, i+1)
		ln, err := net.Listen("tcp", addr+":113")
		if err != nil {
			if errors.Is(err, os.ErrPermission) {
				t.Skip("port 113 needs root")
			}
			continue
		}
		t.Cleanup(func() { ln.Close() })
		go func() {
			for {
				c, err := ln.Accept()
				if err != nil {
					return
				}
				go func() {
					defer c.Close()
					answer(c)
				}()
			}
		}()
		return addr
	}
	t.Fatal("no free address")
	return ""
}

func TestSystemIdent(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer func(c net.Conn)
		want   string
	}{
		{"good", func(c net.Conn) { fmt.Fprint(c, "1000, 22 : USERID : UNIX : joe\r\n") }, "joe"},
		{"in pieces", func(c net.Conn) {
			for _, b := range []byte("1000, 22 : USERID : UNIX : ann\r\n") {
				c.Write([]byte{b})
				time.Sleep(time.Millisecond)
			}
		}, "ann"},
		{"cut", func(c net.Conn) { fmt.Fprint(c, "1000, 22 : USERID : UNIX : joe") }, "unknown"},
		{"closed", func(c net.Conn) {}, "unknown"},
		{"error", func(c net.Conn) { fmt.Fprint(c, "1000, 22 : ERROR : HIDDEN-USER\r\n") }, "unknown"},
		{"garbage", func(c net.Conn) { c.Write([]byte{0, 255, '\n', 10, 13, 0}) }, "unknown"},
		{"overlong", func(c net.Conn) {
			b := []byte(strings.Repeat("x", 1<<16))
			for range 1000 {
				if _, err := c.Write(b); err != nil {
					return
				}
			}
		}, "unknown"},
		{"long name", func(c net.Conn) { fmt.Fprint(c, "1000, 22 : USERID : UNIX : "+strings.Repeat("j", 2000)+"\r\n") }, strings.Repeat("j", 127)},
		{"stall", func(c net.Conn) { c.Read(make([]byte, 100)) }, "unknown"}, // until the other side gives up
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			asked := make(chan string, 1)
			addr := identServer(t, func(c net.Conn) {
				b := make([]byte, 100)
				n, _ := c.Read(b)
				asked <- string(b[:n]) + c.RemoteAddr().(*net.TCPAddr).IP.String()
				tt.answer(c)
			})
			tables := newTables(t, "sshd: KNOWN@ALL\nsshd: ALL: deny\n", "")
			r := from(addr)
			r.Client.Port, r.Client.HasPort = 1000, true
			r.Server = Endpoint{Addr: "127.0.0.77", Port: 22, HasPort: true}
			r.Lookup = System{}
			r.IdentTimeout = time.Second
			v := tables.Check(t.Context(), r)
			if r.User != tt.want || v.Allowed != (tt.want != "unknown") {
				t.Errorf("User = %q, Allowed = %v, want %q", r.User, v.Allowed, tt.want)
			}
			if got, want := <-asked, "1000,22\r\n127.0.0.77"; got != want {
				t.Errorf("asked %q, want %q", got, want)
			}
		})
	}
	t.Run("IPv6", func(t *testing.T) {
		if ln, err := net.Listen("tcp6", "[::1]:0"); err != nil {
			t.Skip(err)
		} else {
			ln.Close()
		}
		// Whether there is a server or not, the address is one to ask.
		if _, err := (System{}).LookupUser(t.Context(), Endpoint{Addr: "::1", Port: 1, HasPort: true}, Endpoint{Addr: "::1", Port: 2, HasPort: true}); err != nil && err != syscall.ECONNREFUSED && err != io.EOF && err != errIdent {
			t.Errorf("LookupUser = %v", err)
		}
	})
	t.Run("refused", func(t *testing.T) {
		if u, err := (System{}).LookupUser(t.Context(), Endpoint{Addr: "127.0.0.99", Port: 1, HasPort: true}, Endpoint{Addr: "127.0.0.1", Port: 2, HasPort: true}); err == nil {
			t.Errorf("LookupUser without a server = %q", u)
		}
	})
}

// A lookup that is given up leaves no socket behind.
func TestSystemIdentGivesUp(t *testing.T) {
	asked := make(chan struct{})
	addr := identServer(t, func(c net.Conn) {
		c.Read(make([]byte, 100))
		close(asked)
		c.Read(make([]byte, 100)) // until the other side goes
	})
	local := net.IPv4(127, 115, byte(os.Getpid()>>8), byte(os.Getpid()))
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-asked
		cancel()
	}()
	u, err := System{}.LookupUser(ctx, Endpoint{Addr: addr, Port: 1000, HasPort: true}, Endpoint{Addr: local.String(), Port: 22, HasPort: true})
	if !errors.Is(err, context.Canceled) && !errors.Is(err, io.EOF) {
		t.Errorf("LookupUser = %q, %v, want %v", u, err, context.Canceled)
	}
	open := func() int {
		for fd := range 4096 {
			if sa, err := syscall.Getsockname(fd); err == nil {
				if a, ok := sa.(*syscall.SockaddrInet4); ok && local.Equal(net.IP(a.Addr[:])) {
					return fd
				}
			}
		}
		return -1
	}
	for range 500 {
		if open() < 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("descriptor %d is still open", open())
}

func TestSockaddr(t *testing.T) {
	a := [16]byte{0: 0xfe, 1: 0x80, 15: 1}
	for addr, want := range map[string]syscall.Sockaddr{
		"10.0.0.1":        &syscall.SockaddrInet4{Port: 113, Addr: [4]byte{10, 0, 0, 1}},
		"::ffff:10.0.0.1": &syscall.SockaddrInet4{Port: 113, Addr: [4]byte{10, 0, 0, 1}},
		"fe80::1":         &syscall.SockaddrInet6{Port: 113, Addr: a},
		"fe80::1%7":       &syscall.SockaddrInet6{Port: 113, Addr: a, ZoneId: 7},
		"localhost":       nil,
		"unknown":         nil,
	} {
		if got, err := sockaddr(addr, 113); (err == nil) != (want != nil) || err == nil && !reflect.DeepEqual(got, want) {
			t.Errorf("sockaddr(%q) = %+v, %v, want %+v", addr, got, err, want)
		}
	}
}
