package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"inetd/inetd/proxy"
	"inetd/inetd/sock"
)

// redirect passes a connection on to another server.
func (s *server) redirect(c conn) {
	e := c.e
	j := &job{e: e, l: c.l, src: c.peer.Addr(), began: s.now()}
	s.jobs[j] = struct{}{}
	fd := sock.High(c.fd)
	sock.SetNonblock(fd, true)
	f := os.NewFile(uintptr(fd), e.label)
	s.recordStart(c, 0)
	if e.tally.Full() {
		s.watchAll(e)
	}
	to := e.Xinetd.Redirect
	go func() {
		in, out, err := proxy.Run(context.Background(), f, to.Host, to.Port, redirectIdle)
		s.set.Post(func() {
			if err != nil {
				e.failures.say(s, e, fmt.Sprintf("redirect to %s for %s: %v", to.Host, c.from(), innermost(err)), "redirect failed for %d more clients")
			}
			s.recordTraffic(e, in, out)
			s.recordExit(j, 0)
			s.ended(j)
		})
	}()
}

// redirectIdle ends a redirected connection on which nothing comes any more
// from either side.
const redirectIdle = time.Hour
