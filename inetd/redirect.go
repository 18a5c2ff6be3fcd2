package main

import (
	"context"
	"fmt"
	"time"

	"inetd/inetd/conf"
	"inetd/inetd/proxy"
)

// redirect passes a connection on to another server.
func (s *server) redirect(c conn) {
	e := c.e
	j, f := s.begin(c)
	to := e.Xinetd.Redirect
	failed := func(err error) {
		e.failures.say(s, e, fmt.Sprintf("redirect to %s for %s: %v", to.Host, c.from(), err), "redirect failed for %d more clients")
	}
	if s.passesEnough() { // it was looked up, or came by tcpmux, and has not waited
		f.Close()
		failed(errHalf)
		s.finish(j, nil)
		return
	}
	s.redirected++
	go func() {
		in, out, err := proxy.Run(context.Background(), f, to.Host, to.Port, redirectIdle)
		s.set.Post(func() {
			s.redirected--
			if err != nil {
				failed(conf.Innermost(err))
			}
			s.recordTraffic(e, in, out)
			s.finish(j, nil)
		})
	}()
}

// redirectIdle ends a redirected connection on which nothing comes any more
// from either side.
const redirectIdle = time.Hour
