package main

import (
	"context"
	"fmt"
	"time"

	"inetd/inetd/conf"
	"inetd/inetd/proxy"
)

// redirects says that an entry's connections are passed on.
func (e *entry) redirects() bool { return e.plan == nil && e.builtin == nil }

// redirect passes a connection on to another server.
func (s *server) redirect(c conn) {
	e := c.e
	j, f := s.begin(c)
	to := e.Xinetd.Redirect
	s.redirected++
	go func() {
		in, out, err := proxy.Run(context.Background(), f, to.Host, to.Port, redirectIdle)
		s.set.Post(func() {
			s.redirected--
			if err != nil {
				e.failures.say(s, e, fmt.Sprintf("redirect to %s for %s: %v", to.Host, c.from(), conf.Innermost(err)), "redirect failed for %d more clients")
			}
			s.recordTraffic(e, in, out)
			s.finish(j, nil)
		})
	}()
}

// redirectIdle ends a redirected connection on which nothing comes any more
// from either side.
const redirectIdle = time.Hour
