package proxy

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// watch calls cut when no connection has received anything for idle. The
// kernel is asked, since with splice no byte passes through here.
func watch(idle time.Duration, cut func(), conns ...*net.TCPConn) (stop func()) {
	var t *time.Timer
	t = time.AfterFunc(idle, func() {
		quiet := idle
		for _, c := range conns {
			quiet = min(quiet, sinceReceived(c))
		}
		if quiet >= idle {
			cut()
			return
		}
		t.Reset(idle - quiet)
	})
	return func() { t.Stop() }
}

// sinceReceived is how long ago data came from c's peer, or acknowledgements
// of data for it: a peer that reads slowly is not idle.
func sinceReceived(c *net.TCPConn) time.Duration {
	rc, err := c.SyscallConn()
	if err != nil {
		return 0
	}
	var ago time.Duration
	rc.Control(func(fd uintptr) {
		if ti, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			ago = time.Duration(min(ti.Last_data_recv, ti.Last_ack_recv)) * time.Millisecond
		}
	})
	return ago
}
