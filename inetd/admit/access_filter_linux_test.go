package admit

import (
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// attach puts the filter on a socket.
func attach(t *testing.T, c syscall.Conn, prog []Instruction) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	f := unix.SockFprog{Len: uint16(len(prog)), Filter: (*unix.SockFilter)(unsafe.Pointer(&prog[0]))}
	cerr := raw.Control(func(fd uintptr) { err = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &f) })
	if err != nil || cerr != nil {
		t.Fatalf("SO_ATTACH_FILTER: %v, %v", err, cerr)
	}
}

// TestFilterInKernel: datagrams and connections of refused clients do not come,
// those of others do, on IPv4 sockets and on IPv6 sockets that take both.
func TestFilterInKernel(t *testing.T) {
	t.Parallel()
	prog, ok := NewAccess(access("127.0.0.0/8 ::1 ! 127.0.0.2")).Filter()
	if !ok {
		t.Fatal("no filter")
	}
	local := func(a string) netip.AddrPort { return netip.AddrPortFrom(netip.MustParseAddr(a), 0) }
	for _, listen := range []string{"127.0.0.1:0", "[::]:0"} {
		u, err := net.ListenPacket("udp", listen)
		if err != nil {
			t.Skipf("udp %s: %v", listen, err)
		}
		defer u.Close()
		attach(t, u.(*net.UDPConn), prog)
		port := u.LocalAddr().(*net.UDPAddr).AddrPort().Port()
		// In order, so that the first to arrive tells about the one before.
		for _, from := range []string{"127.0.0.2", "127.0.0.1"} {
			c, err := net.DialUDP("udp", net.UDPAddrFromAddrPort(local(from)), &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: int(port)})
			if err != nil {
				t.Fatal(err)
			}
			c.Write([]byte(from))
			c.Close()
		}
		buf := make([]byte, 64)
		u.SetReadDeadline(time.Now().Add(10 * time.Second))
		n, _, err := u.ReadFrom(buf)
		if got := string(buf[:n]); err != nil || got != "127.0.0.1" {
			t.Errorf("first datagram on %s = %q, %v, want that of 127.0.0.1", listen, got, err)
		}

		var lc net.ListenConfig
		lc.SetMultipathTCP(false) // it takes no filters
		l, err := lc.Listen(t.Context(), "tcp", listen)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		attach(t, l.(*net.TCPListener), prog)
		for _, tt := range []struct {
			from, to string
			want     bool
		}{{"127.0.0.1", "127.0.0.1", true}, {"127.0.0.2", "127.0.0.1", false}, {"::1", "::1", true}} {
			if tt.to == "::1" && listen != "[::]:0" {
				continue
			}
			to := netip.AddrPortFrom(netip.MustParseAddr(tt.to), l.Addr().(*net.TCPAddr).AddrPort().Port()).String()
			d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(local(tt.from)), Timeout: 10 * time.Second}
			if !tt.want {
				d.Timeout = 300 * time.Millisecond // a SYN that is dropped is not answered
			}
			c, err := d.Dial("tcp", to)
			if got := err == nil; got != tt.want {
				t.Errorf("connection from %s to %s: %v, want success %v", tt.from, listen, err, tt.want)
			}
			if ne, ok := err.(net.Error); err != nil && (!ok || !ne.Timeout()) {
				t.Errorf("connection from %s to %s: %v, want a timeout", tt.from, listen, err)
			}
			if c == nil {
				continue
			}
			// The filter goes on to the connection, and lets its client through.
			s, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			c.Write([]byte("x"))
			s.SetReadDeadline(time.Now().Add(10 * time.Second))
			if n, err := s.Read(buf); n != 1 {
				t.Errorf("read from %s on %s = %d, %v, want 1", tt.from, listen, n, err)
			}
			s.Close()
			c.Close()
		}
	}
}
