package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// wantIdle checks that the daemon leaves the processor alone while f goes on
// for some time: whoever waits in a loop uses all of it. A machine that is
// itself a guest may be stopped and charge that to whoever ran, so there is a
// second look; a loop would still be there.
func wantIdle(t *testing.T, p proc, f func()) {
	t.Helper()
	for range 2 {
		begin, before := time.Now(), p.ticks()
		f()
		ticks := max(int(time.Since(begin).Milliseconds()/10), 1)
		used := p.ticks() - before
		if used <= ticks/2 {
			return
		}
		t.Logf("the daemon used %d of %d ticks of the processor", used, ticks)
		f = func() { time.Sleep(500 * time.Millisecond) }
	}
	t.Error("the daemon is not idle")
}

// repeat calls f for a time, with a pause between the calls.
func repeat(d time.Duration, f func()) {
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		f()
	}
}

// A dgram server that ends without reading has openbsd-inetd start it for ever,
// or spin without a word. Here the datagram goes, one line says so, and the
// service is left alone for a while.
func TestUnreadDatagram(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"/bin/false", "/bin/true"} {
		for _, wait := range []string{"wait", "wait.0"} {
			t.Run(program+" "+wait, func(t *testing.T) {
				t.Parallel()
				p, other := freePort(t), freePort(t)
				d := start(t, in("%d dgram udp4 %s $me %s x\n%d stream tcp nowait.0 $me /bin/cat cat\n", p, wait, program, other))
				c := dial(t, "udp4", local(p))
				wantIdle(t, d.proc(), func() {
					repeat(1200*time.Millisecond, func() { c.Write([]byte("poke")) })
				})
				wantAnswer(t, "tcp", local(other), "hello\n", "hello\n")
				// After 0, 100, 200, 400 and 800 milliseconds.
				if n := d.log.count(0, fmt.Sprintf(`%d/udp: .* started for`, p)); n == 0 || n > 6 {
					t.Errorf("%d starts of a server that does not read, want a few", n)
				}
				if n := d.log.count(0, "left its datagram unread, dropped"); n != 1 {
					t.Errorf("%d lines about unread datagrams, want 1", n)
				}
			})
		}
	}
}

// Two datagrams of one client may be the same, byte for byte: a question that
// is asked again. The second is not what the first server left.
func TestEqualDatagrams(t *testing.T) {
	t.Parallel()
	p := freePort(t)
	d := start(t, in("%d dgram udp4 wait.0 $me $self srv.datagrams 1\n", p))
	c := dial(t, "udp4", local(p))
	const n = 4
	for range n {
		c.Write([]byte("again"))
	}
	buf := make([]byte, 64)
	for i := range n {
		m, err := c.Read(buf)
		if err != nil || !strings.HasSuffix(string(buf[:m]), " again") {
			t.Fatalf("answer %d = %q, %v", i+1, buf[:m], err)
		}
	}
	if n := d.log.count(0, "unread"); n > 0 {
		t.Errorf("%d lines say that a datagram was not read:\n%s", n, d.log)
	}
}

// A stream wait server that ends without accepting leaves the socket as
// readable as it was: 255 starts within a second elsewhere.
func TestServerThatDies(t *testing.T) {
	t.Parallel()
	p, other := freePort(t), freePort(t)
	d := start(t, in("%d stream tcp4 wait.0 $me /bin/false false\n%d stream tcp nowait.0 $me /bin/cat cat\n", p, other))
	dial(t, "tcp4", local(p))
	wantIdle(t, d.proc(), func() {
		repeat(1200*time.Millisecond, func() {})
	})
	wantAnswer(t, "tcp", local(other), "hello\n", "hello\n")
	if n := d.log.count(0, fmt.Sprintf(`%d/tcp: .* started for`, p)); n == 0 || n > 6 {
		t.Errorf("%d starts of a server that dies at once, want a few", n)
	}
}

// One datagram for a nowait service starts 255 servers in openbsd-inetd and 999
// in GNU's, for as long as nobody reads it.
func TestOneServerForOneDatagram(t *testing.T) {
	t.Parallel()
	p := freePort(t)
	d := start(t, in("%d dgram udp4 nowait.0 $me /bin/sleep sleep 60\n", p))
	c := dial(t, "udp4", local(p))
	wantIdle(t, d.proc(), func() {
		repeat(500*time.Millisecond, func() { c.Write([]byte("hello")) })
	})
	d.hup()
	if n := d.log.count(0, "started for"); n != 1 {
		t.Errorf("%d servers for the datagrams of one client, want 1", n)
	}
	for _, c := range d.proc().children() {
		syscall.Kill(int(c), syscall.SIGKILL)
	}
}

// A daemon with select(2) ends at descriptor 1024, or worse.
func TestManyDescriptors(t *testing.T) {
	t.Parallel()
	var lim unix.Rlimit
	const n = 1100
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &lim); err != nil || lim.Max < n+100 {
		t.Skipf("only %d descriptors allowed", lim.Max)
	}
	dir := t.TempDir()
	path := func(i int) string { return filepath.Join(dir, fmt.Sprint(i)) }
	var conf strings.Builder
	for i := range n {
		conf.WriteString(in("%s stream unix nowait $me $self srv.say %d\n", path(i), i))
	}
	d := start(t, conf.String())
	for _, i := range []int{0, 1000, 1024, n - 1} {
		wantAnswer(t, "unix", path(i), "", fmt.Sprintln(i))
	}
	if got := d.reload(""); !strings.Contains(got, "1100 removed") {
		t.Errorf("reload = %q, want all removed", got)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("paths left after a reload = %d, %v, want none", len(left), err)
	}
}

// The path of a unix-domain socket belongs to whom the entry says, and goes
// with the daemon. openbsd-inetd makes it anybody's, FreeBSD leaves it behind.
func TestUnixOwner(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root to give files away")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "sock")
	d := start(t, in(":nobody:nogroup:660:%s stream unix nowait $me /bin/cat cat\n", path))
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil || st.Uid != 65534 || st.Gid != 65534 || st.Mode&0o777 != 0o660 {
		t.Errorf("socket belongs to %d:%d, mode %#o, %v, want 65534:65534 and 0660", st.Uid, st.Gid, st.Mode&0o777, err)
	}
	wantAnswer(t, "unix", path, "hello\n", "hello\n")
	d.reload(in(":root:nogroup:600:%s stream unix nowait $me /bin/cat cat\n", path))
	if err := unix.Stat(path, &st); err != nil || st.Uid != 0 || st.Gid != 65534 || st.Mode&0o777 != 0o600 {
		t.Errorf("socket after a reload belongs to %d:%d, mode %#o, %v, want 0:65534 and 0600", st.Uid, st.Gid, st.Mode&0o777, err)
	}
	d.reload(in(":nobody:nogroup:600:%s stream unix nowait $me /bin/cat cat\n", path))
	d.reload(in("%s stream unix nowait.2 $me /bin/cat cat\n", path))
	if err := unix.Stat(path, &st); err != nil || st.Uid != 0 || st.Gid != 0 {
		t.Errorf("socket of nobody in particular belongs to %d:%d, %v, want 0:0", st.Uid, st.Gid, err)
	}
	for { // until the service rests, and its path has no socket behind it
		c, err := net.Dial("unix", path)
		if err != nil {
			break
		}
		c.Close()
	}
	d.signal(syscall.SIGTERM)
	<-d.done
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("socket after the end: %v, want it gone", err)
	}
}

// Whatever kind of entry starts a server, it has descriptors 0 to 2 and no
// other. An xinetd gave its servers the pipe of its signals.
func TestDescriptorsOfEveryKind(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	for _, tt := range []struct{ name, conf, network string }{
		{"nowait dgram", "%d dgram udp4 nowait $me /bin/cat cat\n", "udp4"},
		{"wait dgram", "%d dgram udp4 wait $me /bin/sleep sleep 60\n", "udp4"},
		{"tcpmux", "%d stream tcp4 nowait $me internal tcpmux\ntcpmux/+cat stream tcp nowait $me /bin/cat cat\n", "tcpmux"},
		{"unix", path("stream") + " stream unix nowait $me /bin/cat cat\n#%d\n", "unix"},
		{"seqpacket", path("packets") + " seqpacket unix nowait $me /bin/cat cat\n#%d\n", "unixpacket"},
		{"unix dgram", path("datagrams") + " dgram unix wait $me /bin/sleep sleep 60\n#%d\n", "unixgram"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p, other := freePort(t), freePort(t)
			// Other clients and sockets, whose descriptors could leak.
			d := start(t, in(tt.conf, p)+in("%d stream tcp4 nowait $me internal echo\n%d dgram udp4 wait $me internal echo\n", other, other), "-l")
			for range 3 {
				wantEcho(t, dial(t, "tcp4", local(other)), "hello")
			}
			var c net.Conn
			switch tt.network {
			case "tcpmux":
				c = dial(t, "tcp4", local(p))
				fmt.Fprintf(c, "cat\r\n")
			case "udp4":
				c = dial(t, tt.network, local(p))
				c.Write([]byte("hello"))
			default:
				c = dial(t, tt.network, strings.Fields(tt.conf)[0])
				if tt.network == "unixgram" {
					c.Write([]byte("hello"))
				}
			}
			program := "cat"
			if strings.Contains(tt.conf, "sleep") {
				program = "sleep"
			}
			child := d.onlyChild(program)
			begun(t, child)
			wantChild(t, child)
			syscall.Kill(int(child), syscall.SIGKILL)
		})
	}
}

// begun waits until a program has what it opens at its start closed again.
func begun(t *testing.T, p proc) {
	t.Helper()
	eventually(t, "a program with three descriptors", func() bool { return len(p.fds()) == 3 })
}

// An inetd of Red Hat did not close the sockets of its built-ins, and an xinetd
// leaked with each client it refused.
func TestNothingLeftOfBuiltins(t *testing.T) {
	t.Parallel()
	daytime, echo, refused, denied := freePort(t), freePort(t), freePort(t), freePort(t)
	d := start(t, in("%d stream tcp4 nowait.0 $me internal daytime\n%d stream tcp4 nowait.0 $me internal echo\n"+
		"%d stream tcp4 nowait.0/0/1 $me internal echo\n%d stream tcp4 nowait.0 $me /nonexistent/server server\n", daytime, echo, refused, denied))
	use := func(n int) {
		for i := range n {
			if got, err := ask("tcp4", local(daytime), ""); len(got) != 26 || err != nil {
				t.Fatalf("daytime, client %d = %q, %v", i, got, err)
			}
			if i%4 == 0 {
				wantAnswer(t, "tcp4", local(echo), "hello", "hello")
				ask("tcp4", local(refused), "")
				ask("tcp4", local(denied), "")
			}
		}
	}
	use(20)
	idle := func() int {
		n := -1
		eventually(t, "no children", func() bool { return len(d.proc().children()) == 0 })
		// A conversation is over for the daemon a little after it is for us.
		eventually(t, "the same descriptors for a while", func() bool {
			last := n
			n = len(d.proc().fds())
			return n == last
		})
		return n
	}
	before := idle()
	use(2000)
	if after := idle(); after > before {
		t.Errorf("descriptors after 2000 clients of a built-in = %d, want %d: %v", after, before, d.proc().fds())
	}
}

// The built-in answers of GNU's and Debian's inetd to a source port that is a
// service's make two hosts talk for ever, or one drown the other.
func TestDatagramSourcePorts(t *testing.T) {
	isolated(t, func(t *testing.T) {
		outside := [4]byte{10, 9, 9, 1}
		if err := addAddress("lo:1", outside); err != nil {
			t.Fatal(err)
		}
		d := start(t, "echo dgram udp wait root internal\nchargen dgram udp wait root internal\ndaytime dgram udp wait root internal\ntime dgram udp wait root internal\n")
		type answers map[int]int // by source port
		for name, port := range map[string]int{"echo": 7, "daytime": 13, "chargen": 19, "time": 37} {
			got := answers{}
			for _, from := range []int{7, 13, 19, 37, 53, 111, 1023, 2049, 1024, 2048, 2050, 40000, 65535} {
				if from == port {
					continue // is the daemon's own
				}
				c, err := net.DialUDP("udp4", &net.UDPAddr{IP: outside[:], Port: from}, &net.UDPAddr{IP: outside[:], Port: port})
				if errors.Is(err, syscall.EADDRINUSE) {
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				fmt.Fprint(c, "hello")
				// The daemon answers in the order of arrival, so an answer to
				// the next means that there is none to this.
				next, err := net.DialUDP("udp4", &net.UDPAddr{IP: outside[:]}, &net.UDPAddr{IP: outside[:], Port: port})
				if err != nil {
					t.Fatal(err)
				}
				next.SetDeadline(time.Now().Add(patience))
				fmt.Fprint(next, "next")
				buf := make([]byte, 256)
				if _, err := next.Read(buf); err != nil {
					t.Errorf("%s: no answer to port %v: %v", name, next.LocalAddr(), err)
				}
				c.SetReadDeadline(time.Now().Add(time.Millisecond))
				if n, err := c.Read(buf); err == nil {
					got[from] = n
				}
				c.Close()
				next.Close()
			}
			for from := range got {
				if from < 1024 || from == 2049 {
					t.Errorf("%s answers source port %d", name, from)
				}
			}
			for _, from := range []int{1024, 2048, 2050, 40000, 65535} {
				n, ok := got[from]
				if !ok {
					t.Errorf("%s does not answer source port %d", name, from)
				}
				if n > 74 {
					t.Errorf("%s answers 5 bytes with %d", name, n)
				}
			}
			if n := d.log.count(0, `inetd: `+name+`/udp: refused 10\.9\.9\.1:`); n != 1 {
				t.Errorf("%s: %d lines about refused datagrams, want one for the episode", name, n)
			}
		}
	})
}

// A forged datagram sets two built-ins of one daemon upon each other, wherever
// their ports are.
func TestDatagramLoop(t *testing.T) {
	isolated(t, func(t *testing.T) {
		for _, tt := range []struct {
			name          string
			echo, chargen int
		}{{"low ports", 7, 19}, {"high ports", 10007, 10019}} {
			d := start(t, fmt.Sprintf("%d dgram udp4 wait root internal echo\n%d dgram udp4 wait root internal chargen\n", tt.echo, tt.chargen))
			raw, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
			if err != nil {
				t.Fatal(err)
			}
			forged := udpPacket([4]byte{127, 0, 0, 1}, tt.echo, tt.chargen, "hello")
			if err := unix.Sendto(raw, forged, 0, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
				t.Fatal(err)
			}
			unix.Close(raw)
			before := datagramsIn(t)
			wantIdle(t, d.proc(), func() { repeat(300*time.Millisecond, func() {}) })
			if n := datagramsIn(t) - before; n > 10 {
				t.Errorf("%s: %d datagrams after one that was forged", tt.name, n)
			}
			d.signal(syscall.SIGTERM)
			<-d.done
		}
	})
}

// Datagrams that nobody could answer start nothing, are one line in the log,
// and do not keep others from their servers.
func TestUnanswerableDatagrams(t *testing.T) {
	isolated(t, func(t *testing.T) {
		d := start(t, in("7001 dgram udp4 nowait.0 root $self srv.datagrams 1\n"))
		raw, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(raw)
		for range 200 {
			if err := unix.Sendto(raw, udpPacket([4]byte{127, 0, 0, 1}, 0, 7001, "hello"), 0, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
				t.Fatal(err)
			}
		}
		const line = `7001/udp: refused 127\.0\.0\.1:0: a datagram without a return address`
		d.log.wait(t, 0, line)
		wantDatagram(t, dial(t, "udp", "127.0.0.1:7001"), "hello")
		d.hup()
		if n := d.log.count(0, line); n != 1 {
			t.Errorf("%d lines about datagrams without a return address, want one", n)
		}
	})
}

// udpPacket is an IPv4 packet from and to one address; the kernel fills in the
// checksum and length of the IP header, and UDP may go without.
func udpPacket(addr [4]byte, from, to int, text string) []byte {
	b := make([]byte, 28, 28+len(text))
	b[0], b[8], b[9] = 0x45, 64, unix.IPPROTO_UDP
	copy(b[12:], addr[:])
	copy(b[16:], addr[:])
	for i, v := range []int{from, to, 8 + len(text)} {
		b[20+2*i], b[21+2*i] = byte(v>>8), byte(v)
	}
	return append(b, text...)
}

// datagramsIn is how many UDP datagrams this network has delivered.
func datagramsIn(t *testing.T) (n int) {
	t.Helper()
	text, err := os.ReadFile("/proc/self/net/snmp")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^Udp: (\d+) `).FindSubmatch(text)
	if m == nil {
		t.Fatalf("no counter in %s", text)
	}
	fmt.Sscan(string(m[1]), &n)
	return n
}

// A client with an IPv6 network has as many addresses as it likes, so it counts
// by its /64.
func TestSourcePrefix(t *testing.T) {
	isolated(t, func(t *testing.T) {
		needIPv6(t)
		for _, a := range []string{"2001:db8:0:1::1", "2001:db8:0:1:ffff::2", "2001:db8:0:2::1"} {
			if err := addAddress6("lo", net.ParseIP(a)); err != nil {
				t.Fatalf("%s: %v", a, err)
			}
			// The kernel takes a moment before it lets it be used.
			eventually(t, a, func() bool {
				l, err := net.Listen("tcp6", net.JoinHostPort(a, "0"))
				if err == nil {
					l.Close()
				}
				return err == nil
			})
		}
		d := start(t, "7777 stream tcp6 nowait.0/0/2/0 root /bin/cat cat\n7778 stream tcp6 nowait.0/0/0/1 root /bin/cat cat\n")
		try := func(from, to string) bool {
			got, _ := askFrom("tcp6", from, to, "hello\n")
			return got == "hello\n"
		}
		for _, tt := range []struct {
			from string
			want bool
		}{
			{"2001:db8:0:1::1", true}, {"2001:db8:0:1:ffff::2", true}, // two of one /64
			{"2001:db8:0:1::1", false}, {"2001:db8:0:1:ffff::2", false},
			{"2001:db8:0:2::1", true}, {"2001:db8:0:2::1", true}, {"2001:db8:0:2::1", false},
		} {
			if got := try(tt.from, "[2001:db8:0:1::1]:7777"); got != tt.want {
				t.Errorf("starts a minute: client %s is served: %v, want %v", tt.from, got, tt.want)
			}
		}
		c, err := dialFrom("tcp6", "2001:db8:0:1::1", "[2001:db8:0:1::1]:7778")
		if err != nil {
			t.Fatal(err)
		}
		wantEcho(t, c, "first\n")
		if try("2001:db8:0:1:ffff::2", "[2001:db8:0:1::1]:7778") {
			t.Error("a client has a second server by another address of its /64")
		}
		if !try("2001:db8:0:2::1", "[2001:db8:0:1::1]:7778") {
			t.Error("another /64 is refused")
		}
		c.Close()
		d.signal(syscall.SIGTERM)
		<-d.done
	})
}

// addAddress6 gives an interface an IPv6 address.
func addAddress6(ifname string, ip net.IP) error {
	ifi, err := net.InterfaceByName(ifname)
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	// struct in6_ifreq
	req := struct {
		addr   [16]byte
		prefix uint32
		index  int32
	}{prefix: 128, index: int32(ifi.Index)}
	copy(req.addr[:], ip.To16())
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCSIFADDR, uintptr(unsafe.Pointer(&req))); e != 0 {
		return e
	}
	return nil
}

// Two entries for an address that each calls by another name: the first has it, and
// the other is told once, also where its name is known only later.
func TestSharedAddress(t *testing.T) {
	isolated(t, func(t *testing.T) {
		hostsOnly(t, "127.0.0.1 here.example\n")
		const text = `127.0.0.1:7777 stream tcp nowait root /bin/echo echo first
here.example:7777 stream tcp nowait root /bin/echo echo second
127.0.0.1,here.example:7778 stream tcp nowait root /bin/echo echo third
late.example,never.example:7777 stream tcp nowait root /bin/echo echo fourth
127.0.0.1:7779 stream tcp nowait nobody-is-called-that /bin/echo echo fifth
here.example:7779 stream tcp nowait root /bin/echo echo sixth
127.0.0.1:tcpmux/+seven stream tcp nowait root /bin/echo echo seventh
here.example:tcpmux/+eight stream tcp nowait root /bin/echo echo eighth
`
		d := start(t, text)
		const clash = `:%d:1: warning: %s:7777/tcp: port clash with 127\.0\.0\.1:7777/tcp of line 1, which keeps it`
		d.log.wait(t, 0, fmt.Sprintf(clash, 2, `here\.example`))
		wantAnswer(t, "tcp", "127.0.0.1:7777", "", "first\n")
		wantAnswer(t, "tcp", "127.0.0.1:7779", "", "sixth\n")
		put(t, "/etc/hosts", "127.0.0.1 here.example late.example\n", 0o644)
		d.log.wait(t, 0, fmt.Sprintf(clash, 4, `late\.example,never\.example`))
		put(t, "/etc/hosts", "127.0.0.1 here.example late.example\n127.0.0.3 never.example\n", 0o644)
		d.log.wait(t, 0, `late\.example,never\.example:7777/tcp: can be served now`)
		wantAnswer(t, "tcp", "127.0.0.3:7777", "", "fourth\n")
		if n := d.log.count(0, "port clash"); n != 2 {
			t.Errorf("%d lines about a port clash, want 2", n)
		}
	})
}

// An address that comes later (a lease, a tunnel) is listened at when it is
// there. An xinetd tries ten times within a moment and never again.
func TestAddressAppears(t *testing.T) {
	isolated(t, func(t *testing.T) {
		hostsOnly(t, "")
		d := start(t, "10.9.9.1:7777 stream tcp nowait root /bin/cat cat\nlate.example:7778 stream tcp nowait root /bin/cat cat\n127.0.0.1:7777 stream tcp nowait root /bin/cat cat\n")
		d.log.wait(t, 0, `10\.9\.9\.1:7777/tcp: 10\.9\.9\.1:7777: bind: cannot assign requested address`)
		wantAnswer(t, "tcp", "127.0.0.1:7777", "hello\n", "hello\n")
		if err := addAddress("lo:1", [4]byte{10, 9, 9, 1}); err != nil {
			t.Fatal(err)
		}
		put(t, "/etc/hosts", "127.0.0.1 localhost\n10.9.9.1 late.example\n", 0o644)
		d.log.wait(t, 0, `10\.9\.9\.1:7777/tcp: 10\.9\.9\.1:7777: listening now`)
		d.log.wait(t, 0, `late\.example:7778/tcp: can be served now`)
		wantAnswer(t, "tcp", "10.9.9.1:7777", "hello\n", "hello\n")
		wantAnswer(t, "tcp", "10.9.9.1:7778", "hello\n", "hello\n")
		if n := d.log.count(0, "bind:"); n != 1 {
			t.Errorf("%d lines about a failed bind, want one for the episode", n)
		}
	})
}

// What a line says of a user that is not there yet holds when there is one; until
// then the service is what it was.
func TestUserAppears(t *testing.T) {
	isolated(t, func(t *testing.T) {
		const passwd = "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n"
		put(t, "/etc/passwd", passwd, 0o644)
		hostsOnly(t, "")
		// One of several hosts, and the versions of an RPC service, make no difference.
		const conf = "7777 stream tcp4 nowait %s /bin/echo echo %s\n127.0.0.1,gone.example:7778 stream tcp4 nowait %[1]s /bin/echo echo %[2]s\n600100/%[3]s stream rpc/tcp4 nowait %[1]s /bin/echo echo %[2]s\n"
		d := start(t, fmt.Sprintf(conf, "nobody", "old", "1-2"))
		says := func(text string) {
			t.Helper()
			for _, port := range []string{"7777", "7778"} {
				eventually(t, port+" says "+text, func() bool { got, _ := ask("tcp4", "127.0.0.1:"+port, ""); return got == text+"\n" })
			}
		}
		says("old")
		mark := d.log.mark()
		if got := d.reload(fmt.Sprintf(conf, "late:nogroup", "new", "1-3")); !strings.HasSuffix(got, "0 added, 0 changed, 0 removed, 3 kept") {
			t.Errorf("reload = %q", got)
		}
		d.log.wait(t, mark, "reload: not changed yet: 127.0.0.1,gone.example:7778/tcp 600100/tcp 7777/tcp")
		says("old")
		put(t, "/etc/passwd", passwd+"late:x:4242:4242::/:/bin/sh\n", 0o644)
		d.log.wait(t, mark, " 7777/tcp: can be served now")
		d.log.wait(t, mark, "600100/tcp: can be served now")
		says("new")
		mark = d.log.mark()
		d.signal(syscall.SIGUSR1)
		d.log.wait(t, mark, "600100/tcp: listening, 1 of 1 sockets open")
		if got := d.reload(fmt.Sprintf(conf, "late:nogroup", "new", "1-3")); !strings.HasSuffix(got, "0 added, 0 changed, 0 removed, 3 kept") {
			t.Errorf("reload = %q", got)
		}
	})
}

// A name server that does not answer holds up neither the start nor any other
// service; of several hosts those are served that have an address, and the
// rest when it has come.
func TestNameServerDead(t *testing.T) {
	isolated(t, func(t *testing.T) {
		// It takes questions and says nothing, for longer than anybody waits.
		mute, err := net.ListenPacket("udp4", "127.0.0.1:53")
		if err != nil {
			t.Fatal(err)
		}
		defer mute.Close()
		put(t, "/etc/hosts", "127.0.0.1 localhost\n127.0.0.2 known.example\n", 0o644)
		put(t, "/etc/resolv.conf", "nameserver 127.0.0.1\noptions timeout:30 attempts:2\n", 0o644)
		put(t, "/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n", 0o644)
		cat := " stream tcp4 nowait root /bin/cat cat\n"
		text := "dead.example:7777" + cat + "known.example:7777" + cat + "dead.example,127.0.0.3:7778" + cat
		put(t, "/etc/inetd.conf", text, 0o644)
		began := time.Now()
		detached(t, command("/etc/inetd.conf"), "/run/inetd.pid")
		if d := time.Since(began); d > 5*time.Second {
			t.Errorf("the start took %v", d)
		}
		wantAnswer(t, "tcp", "127.0.0.2:7777", "hello\n", "hello\n")
		wantAnswer(t, "tcp", "127.0.0.3:7778", "hello\n", "hello\n")
		unix.Kill(readPid(t, "/run/inetd.pid"), unix.SIGTERM)

		put(t, "/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n", 0o644)
		d := start(t, strings.ReplaceAll(text, ":777", ":778"))
		d.log.wait(t, 0, `:1:1: warning: .*: lookup dead.example: .*: not served until there is`)
		d.log.wait(t, 0, `:3:1: warning: .*: lookup dead.example: .*: served at the other hosts, and there as soon as there is`)
		wantAnswer(t, "tcp", "127.0.0.3:7788", "hello\n", "hello\n")
		if got := d.hup(); !strings.HasSuffix(got, "0 added, 0 changed, 0 removed, 2 kept") {
			t.Errorf("reload with hosts unknown = %q", got)
		}
		put(t, "/etc/hosts", "127.0.0.1 localhost\n127.0.0.2 known.example\n127.0.0.4 dead.example\n", 0o644)
		d.log.wait(t, 0, `dead\.example,127\.0\.0\.3:7788/tcp: can be served now`)
		wantAnswer(t, "tcp", "127.0.0.4:7787", "hello\n", "hello\n")
		wantAnswer(t, "tcp", "127.0.0.4:7788", "hello\n", "hello\n")
		wantAnswer(t, "tcp", "127.0.0.3:7788", "hello\n", "hello\n")
		// What had an address keeps its socket when the name is gone again.
		put(t, "/etc/hosts", "127.0.0.1 localhost\n127.0.0.2 known.example\n", 0o644)
		d.hup()
		wantAnswer(t, "tcp", "127.0.0.4:7787", "hello\n", "hello\n")
		wantAnswer(t, "tcp", "127.0.0.4:7788", "hello\n", "hello\n")
	})
}

// Without a syslogd, with one that is restarted, and with one that has stopped
// reading, the daemon serves on.
func TestSyslogTrouble(t *testing.T) {
	isolated(t, func(t *testing.T) {
		dir := t.TempDir()
		conf := func(say string) string {
			return in("7777 stream tcp4 nowait.0 root $self srv.say %s\n7778 stream tcp4 nowait.0 root /bin/sh sh -c 'exit 7'\n", say)
		}
		d := startIn(t, dir, conf("one"), command("-i", "-p", filepath.Join(dir, "pid")))
		works := func(say string) {
			t.Helper()
			ask("tcp4", "127.0.0.1:7778", "")
			wantAnswer(t, "tcp4", "127.0.0.1:7777", "", say+"\n")
		}
		works("one") // nobody listens
		open := func() *net.UnixConn {
			t.Helper()
			os.Remove("/dev/log")
			l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: "/dev/log", Net: "unixgram"})
			if err != nil {
				t.Fatal(err)
			}
			l.SetReadDeadline(time.Now().Add(patience))
			return l
		}
		line := func(l *net.UnixConn, want string) {
			t.Helper()
			buf := make([]byte, 8192)
			for {
				n, err := l.Read(buf)
				if err != nil {
					t.Fatalf("no line like %q in the log: %v", want, err)
				}
				if strings.Contains(decodeSyslog(string(buf[:n])), want) {
					return
				}
			}
		}
		l := open()
		works("one")
		line(l, "exit status 7")
		l.Close()
		works("one") // it is gone
		l = open()
		works("one") // and back
		line(l, "exit status 7")
		// Now it does not read any more. Its queue is full soon.
		for range 100 {
			works("one")
		}
		d.write(conf("two"))
		d.signal(syscall.SIGHUP)
		eventually(t, "reload", func() bool {
			got, _ := ask("tcp4", "127.0.0.1:7777", "")
			return got == "two\n"
		})
		l.Close()
	})
}

// A daemon that is started again has its ports at once, with connections of the
// one before that linger, are alive, or were refused.
func TestRestart(t *testing.T) {
	t.Parallel()
	subreaper(t)
	cat, resting, wait, nowait := freePort(t), freePort(t), freePort(t), freePort(t)
	path := filepath.Join(t.TempDir(), "sock")
	conf := in("%d stream tcp nowait.0 $me /bin/cat cat\n%d stream tcp nowait.1 $me internal daytime\n"+
		"%d dgram udp4 wait.0 $me $self srv.datagrams 1\n%d dgram udp4 nowait.0 $me $self srv.datagrams 1000 10s\n%s stream unix nowait.0 $me /bin/cat cat\n",
		cat, resting, wait, nowait, path)
	var alive []net.Conn
	var datagrams net.Conn
	for i := range 4 {
		d := start(t, conf)
		if n := d.log.count(0, "bind"); n > 0 {
			t.Fatalf("start %d: a bind failed:\n%s", i+1, d.log)
		}
		wantAnswer(t, "tcp", local(cat), "hello\n", "hello\n")
		wantAnswer(t, "unix", path, "hello\n", "hello\n")
		if got, err := ask("tcp", local(resting), ""); len(got) != 26 {
			t.Errorf("start %d: daytime = %q, %v", i+1, got, err)
		}
		if i%2 == 1 {
			ask("tcp", local(resting), "")
			d.log.wait(t, 0, "looping")
		}
		wantDatagram(t, dial(t, "udp4", local(wait)), "hello")
		eventually(t, "the end of the wait server", func() bool { return d.log.count(0, fmt.Sprintf("%d/udp: .*exit status 0", wait)) > 0 })
		c := dial(t, "tcp", local(cat))
		wantEcho(t, c, "hello\n")
		alive = append(alive, c)
		datagrams = dial(t, "udp4", local(nowait))
		wantDatagram(t, datagrams, "hello")
		d.signal(syscall.SIGTERM)
		<-d.done
	}
	for _, c := range alive {
		wantEcho(t, c, "still here\n")
		c.(interface{ CloseWrite() error }).CloseWrite()
		io.Copy(io.Discard, c)
	}
	wantDatagram(t, datagrams, "still here")
}

// Whoever starts the daemon without standard descriptors does not have its
// sockets become them.
func TestClosedDescriptors(t *testing.T) {
	t.Parallel()
	p := freePort(t)
	file, pidFile := writeConf(t, in("%d stream tcp4 nowait $me /bin/cat cat\n%d dgram udp4 wait $me internal echo\n", p, p))
	for _, args := range [][]string{{"-i"}, nil} {
		t.Run(fmt.Sprint(args), func(t *testing.T) {
			subreaper(t)
			cmd := exec.Command("/bin/sh", append([]string{"-c", `inetd=$1; shift; exec "$inetd" "$@" <&- >&- 2>&-`, "sh", "", "-p", pidFile}, append(args, file)...)...)
			// The program is known by its name.
			link := filepath.Join(t.TempDir(), "inetd")
			if err := os.Symlink(self, link); err != nil {
				t.Fatal(err)
			}
			cmd.Args[4] = link
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			eventually(t, "listening, and its number", func() bool {
				text, _ := os.ReadFile(pidFile)
				return len(text) > 0 && len(inodes(t, "tcp", p)) == 1
			})
			pid := readPid(t, pidFile)
			c := dial(t, "tcp4", local(p))
			wantEcho(t, c, "hello\n")
			wantChild(t, onlyChild(t, proc(pid), "cat"))
			for fd := range 3 {
				if to := proc(pid).fds()[fd]; strings.HasPrefix(to, "socket:") {
					t.Errorf("descriptor %d of the daemon = %s", fd, to)
				}
			}
			wantEcho(t, dial(t, "udp4", local(p)), "hello")
			syscall.Kill(pid, syscall.SIGTERM)
			if args == nil {
				cmd.Wait()
				if err := waitOrphan(pid); err != nil {
					t.Errorf("exit = %v", err)
				}
			} else if err := cmd.Wait(); err != nil {
				t.Errorf("exit = %v", err)
			}
			c.Close()
		})
	}
}
