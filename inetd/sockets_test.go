package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// tcp and udp are both families, each with a socket of its own; with 4 and 6
// it is one.
func TestFamilies(t *testing.T) {
	t.Parallel()
	needIPv6(t)
	for _, tt := range []struct {
		proto  string
		v4, v6 bool
	}{
		{"tcp", true, true}, {"tcp4", true, false}, {"tcp6", false, true}, {"tcp6only", false, true}, {"tcp46", true, true},
		{"udp", true, true}, {"udp4", true, false}, {"udp6", false, true}, {"udp46", true, true},
	} {
		t.Run(tt.proto, func(t *testing.T) {
			t.Parallel()
			p := freePort(t)
			stream := strings.HasPrefix(tt.proto, "tcp")
			if stream {
				start(t, in("%d stream %s nowait $me /bin/cat cat\n", p, tt.proto))
			} else {
				start(t, in("%d dgram %s wait $me $self srv.datagrams 1\n", p, tt.proto))
			}
			for _, side := range []struct {
				addr string
				want bool
			}{{local(p), tt.v4}, {local6(p), tt.v6}} {
				switch {
				case stream && side.want:
					wantAnswer(t, "tcp", side.addr, "hello\n", "hello\n")
				case stream:
					wantRefused(t, "tcp", side.addr)
				case side.want:
					wantDatagram(t, dial(t, "udp", side.addr), "hello")
				default:
					c := dial(t, "udp", side.addr)
					c.Write([]byte("hello"))
					if _, err := c.Read(make([]byte, 16)); err == nil {
						t.Errorf("%s answers at %s", tt.proto, side.addr)
					}
				}
			}
		})
	}
}

// host:service listens there and nowhere else, and one port can be two
// services at two addresses.
func TestHosts(t *testing.T) {
	t.Parallel()
	p := freePort(t)
	second := net.JoinHostPort("127.0.0.2", fmt.Sprint(p))
	third := net.JoinHostPort("127.0.0.3", fmt.Sprint(p))
	if l, err := net.Listen("tcp", second); err != nil {
		t.Skipf("no second loopback address: %v", err)
	} else {
		l.Close()
	}
	q := freePort(t)
	d := start(t, in(`127.0.0.1:%d stream tcp nowait $me $self srv.say one
127.0.0.2,127.0.0.3:%d stream tcp nowait $me $self srv.say two
127.0.0.2:
%d stream tcp nowait $me $self srv.say default
*:
`, p, p, q))
	wantAnswer(t, "tcp", local(p), "", "one\n")
	wantAnswer(t, "tcp", second, "", "two\n")
	wantAnswer(t, "tcp", third, "", "two\n")
	wantRefused(t, "tcp", net.JoinHostPort("127.0.0.4", fmt.Sprint(p)))
	wantRefused(t, "tcp", local(q))
	wantAnswer(t, "tcp", net.JoinHostPort("127.0.0.2", fmt.Sprint(q)), "", "default\n")
	// Messages name the entry with its address.
	d.log.wait(t, 0, fmt.Sprintf(`127\.0\.0\.2,127\.0\.0\.3:%d/tcp: `, p))
}

func TestHostIPv6(t *testing.T) {
	t.Parallel()
	needIPv6(t)
	p, q := freePort(t), freePort(t)
	start(t, in("[::1]:%d stream tcp nowait $me /bin/cat cat\nlocalhost:%d stream tcp nowait $me /bin/cat cat\n", p, q))
	wantAnswer(t, "tcp", local6(p), "hello\n", "hello\n")
	wantRefused(t, "tcp", local(p))
	wantAnswer(t, "tcp", local(q), "hello\n", "hello\n")
}

// -a is the address of entries without one.
func TestHostOption(t *testing.T) {
	t.Parallel()
	needIPv6(t)
	p := freePort(t)
	start(t, in("%d stream tcp nowait $me /bin/cat cat\n", p), "-a", "127.0.0.1")
	wantAnswer(t, "tcp", local(p), "hello\n", "hello\n")
	wantRefused(t, "tcp", local6(p))
}

// A stream wait server gets the listening socket and accepts by itself. Who
// comes after it has gone is served by the next.
func TestStreamWait(t *testing.T) {
	t.Parallel()
	p := freePort(t)
	d := start(t, in("%d stream tcp4 wait.0 $me $self srv.accept 2\n", p))
	var pids []string
	for i := range 6 {
		line := fmt.Sprintf("line %d\n", i)
		got, err := ask("tcp", local(p), line)
		pid, text, _ := strings.Cut(got, " ")
		if err != nil || text != line {
			t.Fatalf("ask(%q) = %q, %v", line, got, err)
		}
		pids = append(pids, pid)
	}
	if pids[0] != pids[1] || pids[2] != pids[3] || pids[4] != pids[5] || pids[1] == pids[2] || pids[3] == pids[4] {
		t.Errorf("servers = %v, want three with two clients each", pids)
	}
	d.log.wait(t, 0, "exit status 0")
}

// A dgram wait server gets the socket and every datagram until it exits.
func TestDgramWait(t *testing.T) {
	t.Parallel()
	p := freePort(t)
	start(t, in("%d dgram udp4 wait.0 $me $self srv.datagrams 3\n", p))
	c := dial(t, "udp4", local(p))
	var pids []string
	for i := range 9 {
		pids = append(pids, wantDatagram(t, c, fmt.Sprint("datagram ", i)))
	}
	for i := range pids {
		if same := i%3 != 0; i > 0 && (pids[i] == pids[i-1]) != same {
			t.Errorf("servers = %v, want three with three datagrams each", pids)
			break
		}
	}
}

// A dgram nowait entry has a server for each client, with a socket that is
// connected to it.
func TestDgramNowait(t *testing.T) {
	t.Parallel()
	p := freePort(t)
	d := start(t, in("%d dgram udp4 nowait $me $self srv.datagrams 4\n", p))
	a, b := dial(t, "udp4", local(p)), dial(t, "udp4", local(p))
	first := wantDatagram(t, a, "from a")
	second := wantDatagram(t, b, "from b")
	if first == second {
		t.Errorf("two clients have one server, pid %s", first)
	}
	for range 3 {
		if got := wantDatagram(t, a, "again a"); got != first {
			t.Errorf("server of a = pid %s, want %s as before", got, first)
		}
		if got := wantDatagram(t, b, "again b"); got != second {
			t.Errorf("server of b = pid %s, want %s as before", got, second)
		}
	}
	if n := d.log.count(0, "started for 127"); n != 2 {
		t.Errorf("%d servers were started for two clients", n)
	}
	// Both have had their four.
	eventually(t, "the end of both", func() bool { return d.log.count(0, "exit status 0") == 2 })
	if third := wantDatagram(t, a, "new"); third == first || third == second {
		t.Errorf("server after the first has gone = pid %s", third)
	}
}

func TestUnix(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }

	// What is in the way: the socket of a server that was killed, a file, and
	// the socket of a server that lives.
	stale, err := net.Listen("unix", path("stale"))
	if err != nil {
		t.Fatal(err)
	}
	stale.(*net.UnixListener).SetUnlinkOnClose(false)
	stale.Close()
	if err := os.WriteFile(path("file"), []byte("data"), 0o600); err != nil {
		t.Fatal(err)
	}
	alive, err := net.Listen("unix", path("alive"))
	if err != nil {
		t.Fatal(err)
	}
	defer alive.Close()

	d := start(t, in(`%s stream unix nowait $me /bin/cat cat
:::600:%s stream unix nowait $me /bin/cat cat
:::20:%s stream unix nowait $me /bin/cat cat
::::%s stream unix nowait $me /bin/cat cat
%s stream unix nowait $me /bin/cat cat
%s stream unix nowait $me /bin/cat cat
%s seqpacket unix nowait $me $self srv.say hello
%s dgram unix wait $me $self srv.datagrams 2
%s stream unix nowait.1 $me /bin/cat cat
`, path("plain"), path("600"), path("20"), path("bare"), path("stale"), path("file"), path("packets"), path("datagrams"), path("one")))
	for name, want := range map[string]fs.FileMode{"plain": 0o666, "600": 0o600, "20": 0o020, "bare": 0o200, "stale": 0o666, "packets": 0o666, "datagrams": 0o666} {
		fi, err := os.Lstat(path(name))
		if err != nil || fi.Mode() != fs.ModeSocket|want {
			t.Errorf("socket %s = %v, %v, want %v", name, fi, err, fs.ModeSocket|want)
		}
	}
	for _, name := range []string{"plain", "600", "bare", "stale"} {
		wantAnswer(t, "unix", path(name), "hello\n", "hello\n")
	}
	d.log.wait(t, 0, regexp.QuoteMeta(path("file"))+".* exists and is not a socket .*inetd.conf:6")
	if text, err := os.ReadFile(path("file")); string(text) != "data" {
		t.Errorf("file in the way = %q, %v, want it as it was", text, err)
	}

	c := dial(t, "unixpacket", path("packets"))
	buf := make([]byte, 64)
	if n, err := c.Read(buf); err != nil || string(buf[:n]) != "hello\n" {
		t.Errorf("packet = %q, %v, want %q", buf[:n], err, "hello\n")
	}
	pc, err := net.DialUnix("unixgram", &net.UnixAddr{Name: path("client"), Net: "unixgram"}, &net.UnixAddr{Name: path("datagrams"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	pc.SetDeadline(time.Now().Add(patience))
	if first, second := wantDatagram(t, pc, "one"), wantDatagram(t, pc, "two"); first != second {
		t.Errorf("servers of a dgram wait entry = pids %s, %s", first, second)
	}

	// A resting one refuses and comes back.
	wantAnswer(t, "unix", path("one"), "one\n", "one\n")
	mark := d.log.mark()
	if got, _ := ask("unix", path("one"), "two\n"); got != "" {
		t.Errorf("second connection of nowait.1 = %q, want nothing", got)
	}
	d.log.wait(t, mark, "looping")
	eventually(t, "refused", func() bool {
		c, err := net.Dial("unix", path("one"))
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	d.hup()
	d.log.wait(t, mark, "back in service")
	wantAnswer(t, "unix", path("one"), "three\n", "three\n")

	// What lives is left alone; what is removed from the file goes.
	mark = d.log.mark()
	d.reload(in("%s stream unix nowait $me /bin/cat cat\n:::640:%s stream unix nowait $me /bin/cat cat\n", path("alive"), path("600")))
	d.log.wait(t, mark, regexp.QuoteMeta(path("alive"))+": bind: address already in use")
	go func() {
		for {
			c, err := alive.Accept()
			if err != nil {
				return
			}
			io.WriteString(c, "mine\n")
			c.Close()
		}
	}()
	if got, err := ask("unix", path("alive"), ""); got != "mine\n" {
		t.Errorf("socket of another server = %q, %v, want its answer", got, err)
	}
	if _, err := os.Lstat(path("plain")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("removed socket: %v, want it gone", err)
	}
	if fi, err := os.Lstat(path("600")); err != nil || fi.Mode().Perm() != 0o640 {
		t.Errorf("socket with a new mode = %v, %v", fi, err)
	}
	wantAnswer(t, "unix", path("600"), "hello\n", "hello\n")
}

func TestBufferSizes(t *testing.T) {
	t.Parallel()
	p := freePort(t)
	start(t, in("%d stream tcp4,sndbuf=16k,rcvbuf=20000 nowait $me $self srv.sockopt\n", p))
	// Linux says twice what was asked for.
	if got, err := ask("tcp", local(p), ""); err != nil || got != "32768 40000 <nil> <nil>\n" && got != "16384 20000 <nil> <nil>\n" {
		t.Errorf("buffers of a server = %q, %v, want 16384 and 20000", got, err)
	}
}

// Arguments are what the file says, however many and with quotes.
func TestArguments(t *testing.T) {
	t.Parallel()
	p, q := freePort(t), freePort(t)
	var many []string
	for i := range 60 {
		many = append(many, fmt.Sprint("a", i))
	}
	start(t, in("%d stream tcp nowait $me /bin/sh sh -c \"echo hello  world\"\n%d stream tcp nowait $me $self srv.say %s\n\tand more\n", p, q, strings.Join(many, " ")))
	wantAnswer(t, "tcp", local(p), "", "hello world\n")
	wantAnswer(t, "tcp", local(q), "", strings.Join(many, " ")+" and more\n")
}

// The built-ins, byte for byte, over what inetd gives them.
func TestBuiltins(t *testing.T) {
	t.Parallel()
	var conf strings.Builder
	ports := map[string]int{}
	for _, name := range []string{"echo", "discard", "daytime", "time", "chargen"} {
		ports[name] = freePort(t)
		fmt.Fprintf(&conf, "%d stream tcp nowait root internal %s\n%d dgram udp wait root internal %s\n", ports[name], name, ports[name], name)
	}
	start(t, conf.String())
	hosts := []string{"127.0.0.1"}
	if ipv6() {
		hosts = append(hosts, "::1")
	}
	daytime := regexp.MustCompile(`^[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}\r\n$`)
	isTime := func(b string) bool {
		if len(b) != 4 {
			return false
		}
		off := time.Since(time.Unix(int64(binary.BigEndian.Uint32([]byte(b)))-2208988800, 0))
		return off > -time.Minute && off < time.Minute
	}
	chargen := " !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefg\r\n"
	for _, h := range hosts {
		addr := func(name string) string { return net.JoinHostPort(h, fmt.Sprint(ports[name])) }
		for _, s := range []string{"hello\r\n", strings.Repeat("0123456789", 50000)} {
			c := dial(t, "tcp", addr("echo"))
			go io.WriteString(c, s)
			got := make([]byte, len(s))
			if _, err := io.ReadFull(c, got); err != nil || string(got) != s {
				t.Errorf("%s: echo of %d bytes = %.20q, %v", h, len(s), got, err)
			}
			c.Close()
		}
		wantAnswer(t, "tcp", addr("discard"), strings.Repeat("x", 100000), "")
		if got, err := ask("tcp", addr("daytime"), ""); err != nil || !daytime.MatchString(got) {
			t.Errorf("%s: daytime = %q, %v", h, got, err)
		}
		if got, err := ask("tcp", addr("time"), ""); err != nil || !isTime(got) {
			t.Errorf("%s: time = %x, %v", h, got, err)
		}
		c := dial(t, "tcp", addr("chargen"))
		got := make([]byte, 74*95*2)
		if _, err := io.ReadFull(c, got); err != nil {
			t.Errorf("%s: chargen: %v", h, err)
		}
		ring := chargen[:72] + "hijklmnopqrstuvwxyz{|}~"
		for i := range len(got) / 74 {
			want := (ring + ring)[i%95:][:72] + "\r\n"
			if line := string(got[74*i:][:74]); line != want {
				t.Errorf("%s: chargen line %d = %q, want %q", h, i, line, want)
				break
			}
		}
		c.Close()

		datagram := func(name, send string) string {
			c := dial(t, "udp", addr(name))
			defer c.Close()
			buf := make([]byte, 65536)
			if _, err := c.Write([]byte(send)); err != nil {
				t.Fatal(err)
			}
			n, err := c.Read(buf)
			if err != nil {
				t.Errorf("%s: %s/udp: %v", h, name, err)
			}
			return string(buf[:n])
		}
		for _, s := range []string{"", "hello", strings.Repeat("x", 9000), strings.Repeat("y", 60000)} {
			if got := datagram("echo", s); got != s {
				t.Errorf("%s: echo/udp of %d bytes = %d bytes %.20q", h, len(s), len(got), got)
			}
		}
		if got := datagram("daytime", ""); !daytime.MatchString(got) {
			t.Errorf("%s: daytime/udp = %q", h, got)
		}
		if got := datagram("time", ""); !isTime(got) {
			t.Errorf("%s: time/udp = %x", h, got)
		}
		if got := datagram("chargen", ""); len(got) != 74 || !strings.HasSuffix(got, "\r\n") {
			t.Errorf("%s: chargen/udp = %q, want a line of 72 characters", h, got)
		}
	}
	// The answer comes from the address that was asked: a connected socket
	// hears no other.
	c, err := dialFrom("udp4", "", net.JoinHostPort("127.0.0.5", fmt.Sprint(ports["echo"])))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	wantEcho(t, c, "hello")
}
