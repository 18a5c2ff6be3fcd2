package proxy

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// watch calls cut when no connection has received anything for idle. The
// kernel is asked, since with splice no byte passes through here.
func watch(idle time.Duration, cut func(), conns ...*net.TCPConn) (stop func()) {
	acked := make([]uint64, len(conns))
	var t *time.Timer
	t = time.AfterFunc(idle, func() {
		quiet := idle
		for i, c := range conns {
			quiet = min(quiet, sinceReceived(c, &acked[i]))
		}
		if quiet >= idle {
			cut()
			return
		}
		t.Reset(idle - quiet)
	})
	return func() { t.Stop() }
}

// sinceReceived is how long ago data came from c's peer. A peer that reads
// slowly is not idle: none where it has taken more than the acked bytes of
// last time. When the kernel heard of it last does not tell, since an answer
// to a keepalive is an acknowledgement too.
func sinceReceived(c *net.TCPConn, acked *uint64) time.Duration {
	rc, err := c.SyscallConn()
	if err != nil {
		return 0
	}
	var ago time.Duration
	rc.Control(func(fd uintptr) {
		ti, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		if err == nil && ti.Bytes_acked == *acked {
			ago = time.Duration(ti.Last_data_recv) * time.Millisecond
		} else if err == nil {
			*acked = ti.Bytes_acked
		}
	})
	return ago
}
