package sock

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// An accept filter of the BSDs is TCP_DEFER_ACCEPT here.
func TestFilter(t *testing.T) {
	o := opts
	o.Filter = "dataready"
	a := addr(Stream, "127.0.0.1:0")
	fd := listening(t, a, o)
	SetNonblock(fd, true)
	if got, err := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT); err != nil || got == 0 {
		t.Errorf("TCP_DEFER_ACCEPT = %d, %v, want some seconds", got, err)
	}
	silent, eager := dial(t, "tcp", at(a, fd).String()), dial(t, "tcp", at(a, fd).String())
	eager.Write([]byte("x"))
	p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	if n, err := unix.Poll(p, int(patience.Milliseconds())); n != 1 {
		t.Fatalf("poll = %d, %v", n, err)
	}
	conn, peer, err := Accept(fd)
	if err != nil || peer.String() != eager.LocalAddr().String() {
		t.Errorf("first client = %v, %v, want %v, which has sent something", peer, err, eager.LocalAddr())
	}
	unix.Close(conn)
	if _, _, err := Accept(fd); !Gone(err) {
		t.Errorf("Accept of a silent client = %v, want none", err)
	}
	silent.Close()
}

// What is said last comes in one packet with the end, and comes though the
// client has said something too.
func TestLast(t *testing.T) {
	for _, first := range []string{"", "is anybody there?\r\n"} {
		a := addr(Stream, "127.0.0.1:0")
		fd := listening(t, a, opts)
		c := dial(t, "tcp", at(a, fd).String()).(*net.TCPConn)
		io.WriteString(c, first)
		conn, _, err := Accept(fd)
		if err != nil {
			t.Fatal(err)
		}
		p := []unix.PollFd{{Fd: int32(conn), Events: unix.POLLIN}}
		if n, err := unix.Poll(p, int(patience.Milliseconds())*min(len(first), 1)); (n == 1) != (first != "") {
			t.Fatalf("poll = %d, %v", n, err)
		}
		Last(conn, []byte("hello\r\n"))
		if got, err := io.ReadAll(c); string(got) != "hello\r\n" || err != nil {
			t.Errorf("client of Last that said %q reads %q, %v", first, got, err)
		}
		if first != "" {
			continue
		}
		rc, err := c.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		rc.Control(func(fd uintptr) {
			info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
			if err != nil || info.Segs_in != 2 { // the other is that of accept
				t.Errorf("Last came in %d packets, %v, want 1", info.Segs_in-1, err)
			}
		})
	}
}

// A client of a unix-domain socket that is gone is not told that by a reset.
func TestLastUnix(t *testing.T) {
	for _, n := range []int{0, 7, 10_000} {
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		unix.Write(pair[0], make([]byte, n))
		Last(pair[1], []byte("hello"))
		var b [16]byte
		if got, err := unix.Read(pair[0], b[:]); string(b[:max(0, got)]) != "hello" || err != nil {
			t.Errorf("client that said %d bytes reads %q, %v", n, b[:max(0, got)], err)
		}
		if got, err := unix.Read(pair[0], b[:]); got != 0 || err != nil {
			t.Errorf("client that said %d bytes reads %d, %v at the end", n, got, err)
		}
		unix.Close(pair[0])
	}
}

// Descriptors that a client sends along do not become the daemon's.
func TestPeekRights(t *testing.T) {
	a := Addr{Type: Dgram, Path: filepath.Join(t.TempDir(), "socket")}
	fd, err := Bind(a, opts)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	c, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(c)
	for range 2 {
		if err := unix.Sendmsg(c, []byte("x"), unix.UnixRights(c, c, c), &unix.SockaddrUnix{Name: a.Path}, 0); err != nil {
			t.Fatal(err)
		}
	}
	mine, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(mine)
	first, ok := Peek(fd)
	if !ok || first.Len != 1 {
		t.Errorf("Peek = %+v, %v", first, ok)
	}
	if again, ok := Peek(fd); !ok || !again.Same(&first) {
		t.Errorf("Peek = %+v, %v, want the same, %+v", again, ok, first)
	}
	Drop(fd)
	if second, ok := Peek(fd); !ok || second.Same(&first) {
		t.Errorf("Peek of another datagram = %+v, %v, which is taken for the first", second, ok)
	}
	next, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil || next != mine {
		t.Errorf("the next descriptor is %d, %v, want %d", next, err, mine)
	}
	unix.Close(next)
}

// Nobody else's program gets a port in the moment in which two sockets have it.
func TestSplitReuse(t *testing.T) {
	a, fd := anywhere(t, addr(Dgram, "127.0.0.1:0"))
	c := dial(t, "udp", a.String())
	c.Write([]byte("x"))
	conn, fd, _, err := Split(fd, a, opts)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(conn)
	defer unix.Close(fd)
	for _, s := range []int{conn, fd} {
		if on, err := unix.GetsockoptInt(s, unix.SOL_SOCKET, unix.SO_REUSEADDR); on != 0 || err != nil {
			t.Errorf("SO_REUSEADDR = %d, %v, want 0", on, err)
		}
	}
}

// Servers of an earlier daemon, each connected to its client, keep no address from
// the next one, whatever it has bound at the port before; an open socket does.
func TestBindBesideServers(t *testing.T) {
	needIPv6(t)
	for _, tt := range []struct{ before, a string }{{"0.0.0.0", "::"}, {"127.0.0.1", "127.0.0.2"}, {"127.0.0.1", "::1"}} {
		a, fd := anywhere(t, addr(Dgram, netip.AddrPortFrom(netip.MustParseAddr(tt.a), 0).String()))
		host := a.IP.Addr()
		if host.IsUnspecified() {
			host = netip.IPv6Loopback()
		}
		c := dial(t, "udp", netip.AddrPortFrom(host, a.IP.Port()).String())
		c.Write([]byte("x"))
		conn, fd, _, err := Split(fd, a, opts)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(conn)
		if other, err := Bind(a, opts); err == nil {
			t.Errorf("%v is bound twice", a)
			unix.Close(other)
		}
		unix.Close(fd)
		opened(t, addr(Dgram, netip.AddrPortFrom(netip.MustParseAddr(tt.before), a.IP.Port()).String()), opts)
		opened(t, a, opts)
	}
}

func TestDisconnect(t *testing.T) {
	for _, s := range []string{"127.0.0.1:0", "0.0.0.0:0"} {
		// One that the kernel chose would not outlive connect(2) and its end.
		a, fd := anywhere(t, addr(Dgram, s))
		unix.Close(fd)
		fd = opened(t, a, opts)
		port := Local(fd).Port()
		if Disconnect(fd) {
			t.Errorf("%s: there was something to disconnect", s)
		}
		if err := unix.Connect(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: 9}); err != nil {
			t.Fatal(err)
		}
		if !Disconnect(fd) {
			t.Errorf("%s: Disconnect = false", s)
		}
		if got := Local(fd); got.Port() != port || got.Addr() != a.IP.Addr() {
			t.Errorf("%s: the socket is at %v then, want port %d", s, got, port)
		}
		c := dial(t, "udp", fmt.Sprint("127.0.0.1:", port))
		c.Write([]byte("x"))
		if d, ok := Peek(fd); !ok || d.Len != 1 {
			t.Errorf("%s: a datagram of anybody: %+v, %v", s, d, ok)
		}
	}
}

// An empty datagram asks for a server as any other does.
func TestSplitEmpty(t *testing.T) {
	a, fd := anywhere(t, addr(Dgram, "127.0.0.1:0"))
	for _, texts := range [][]string{{""}, {"x", ""}, {"", "x"}, {"", "", ""}, {"x", "", "y"}} {
		var last net.Conn
		for _, text := range texts {
			last = dial(t, "udp", a.String())
			if _, err := last.Write([]byte(text)); err != nil {
				t.Fatal(err)
			}
		}
		conn, fresh, peer, err := Split(fd, a, opts)
		if err != nil {
			t.Fatalf("Split of %q: %v", texts, err)
		}
		fd = fresh
		// SO_PEEK_OFF does not see them all, so it need not be the last.
		var b [16]byte
		n, from, err := unix.Recvfrom(conn, b[:], unix.MSG_DONTWAIT)
		if err != nil || addrPort(from) != peer {
			t.Errorf("Split of %q for %v has %q of %v, %v", texts, peer, b[:max(n, 0)], addrPort(from), err)
		}
		if len(texts) == 1 && peer.String() != last.LocalAddr().String() {
			t.Errorf("Split is for %v, want %v", peer, last.LocalAddr())
		}
		unix.Close(conn)
		if d, ok := Peek(fd); ok {
			t.Errorf("after Split of %q there is %+v", texts, d)
		}
	}
	unix.Close(fd)
}

// Empty datagrams, which SO_PEEK_OFF passes over, do not bring one client's
// request to another's server.
func TestSplitForeign(t *testing.T) {
	a, fd := anywhere(t, addr(Dgram, "127.0.0.1:0"))
	b, c := dial(t, "udp", a.String()), dial(t, "udp", a.String())
	b.Write(nil)
	b.Write(nil)
	io.WriteString(c, "what c asks")
	io.WriteString(b, "y")
	conn, fresh, peer, err := Split(fd, a, opts)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fresh)
	defer unix.Close(conn)
	for {
		var buf [64]byte
		n, from, err := unix.Recvfrom(conn, buf[:], unix.MSG_DONTWAIT)
		if err != nil {
			break
		}
		if addrPort(from) != peer {
			t.Errorf("the server of %v reads %q of %v", peer, buf[:n], addrPort(from))
		}
	}
}
