package sock

import (
	"io"
	"net"
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
