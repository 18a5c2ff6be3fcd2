//go:build unix && !linux

package proxy

import (
	"net"
	"time"
)

// watch: these systems do not tell when data came last, so the limit is one on
// the life of a connection that TCP's own keepalive finds dead.
func watch(idle time.Duration, cut func(), conns ...*net.TCPConn) (stop func()) {
	for _, c := range conns {
		c.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: idle, Interval: idle / 4, Count: 4})
	}
	return func() {}
}
