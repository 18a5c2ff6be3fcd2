package main

import (
	"strconv"
	"time"

	"inetd/inetd/conf"
)

// refusals keeps a flood of refused clients from flooding the log: the first
// of an episode is logged, the rest are counted until none came for a while.
type refusals struct {
	count int
	timer stopper
}

const episode = time.Minute

func (r *refusals) note(s *server, c conn, why string) {
	if r.timer != nil { // nobody will read who it is
		r.count++
		return
	}
	r.say(s, c.e, "refused "+c.from()+": "+why, "refused %d more clients")
}

// say logs text, or counts it for a line with more.
func (r *refusals) say(s *server, e *entry, text, more string) {
	if r.timer != nil {
		r.count++
		return
	}
	s.log.warn("%s: %s", e.label, text)
	r.watch(s, e, more)
}

func (r *refusals) watch(s *server, e *entry, more string) {
	r.timer = s.after(episode, func() {
		r.timer = nil
		if r.count > 0 {
			s.log.warn("%s: "+more, e.label, r.count)
			r.count = 0
			r.watch(s, e, more)
		}
	})
}

func limitText(m conf.Max) string {
	if m == conf.Never {
		return "0"
	}
	return strconv.Itoa(int(m))
}
