package sock

import (
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
