// Package admit decides whether a server may be started now: pure policy over
// a clock that is handed in. It opens nothing, logs nothing and starts nothing.
// The state belongs to the daemon's one loop and is not safe for others.
package admit

import (
	"net/netip"
	"slices"
	"time"

	"inetd/inetd/conf"
)

const (
	// Window is the time over which starts are counted.
	Window = time.Minute
	// Rest is how long a service that started too often stays down.
	Rest = 10 * time.Minute
)

// A Verdict says what to do with a client.
type Verdict uint8

const (
	Admit      Verdict = iota
	Looping            // the service's rate is used up: it rests
	Full               // as many servers as may be, and no queue for more
	SourceRate         // this client started too many in a minute
	SourceFull         // this client has too many servers
)

// State counts the starts and running servers of one entry; its listeners, one
// for each address, share it.
type State struct {
	limits  conf.Limits
	zero    time.Time // times are kept as what has passed since
	starts  ring
	running int
	kept    int                // places
	asked   map[netip.Addr]int // whose these are
	sources sources
}

// SetLimits puts new limits in force; what was counted stays counted. All four
// limits must be set. Clients are counted one by one only while a limit asks
// for it: anew says that this begins now, and that Count has to be told of the
// servers that run.
func (s *State) SetLimits(l conf.Limits) (anew bool) {
	if l.Rate != s.limits.Rate {
		s.starts.resize(int(l.Rate))
	}
	if anew = limited(l) && !limited(s.limits); anew {
		s.sources = sources{}
	}
	s.limits = l
	if anew {
		for src, n := range s.asked {
			for range n {
				s.Count(src)
			}
		}
	}
	return anew
}

// Count tells of a server that was admitted before SetLimits asked for it.
func (s *State) Count(src netip.Addr) {
	if src.IsValid() && limited(s.limits) {
		s.sources.of(src).running++
	}
}

// Full says whether as many servers run as may, or have their places kept, and
// clients wait in the queue.
func (s *State) Full() bool { return !s.limits.Refuse && s.full(s.running+s.kept) }

func (s *State) full(n int) bool {
	return s.limits.Children == conf.Never || s.limits.Children > 0 && n >= int(s.limits.Children)
}

// Keep keeps a place for a client about whom something is still being found
// out, until Free. It counts for the client.
func (s *State) Keep(src netip.Addr) {
	s.kept++
	if s.asked == nil {
		s.asked = make(map[netip.Addr]int)
	}
	s.asked[src]++
	s.Count(src)
}

// Crowded says that a client has as many servers, kept places included, as it may.
func (s *State) Crowded(src netip.Addr) bool {
	e := s.sources.byAddr[Source(src)]
	return e != nil && s.limits.SourceChildren > 0 && e.running >= int(s.limits.SourceChildren)
}

// Free gives up a place that Keep has kept: for Start, or for good.
func (s *State) Free(src netip.Addr) {
	s.kept--
	if s.asked[src]--; s.asked[src] == 0 {
		delete(s.asked, src)
	}
	s.sources.done(src)
}

// Running is how many servers have been admitted and are not Done.
func (s *State) Running() int { return s.running }

// Start asks for one start for a client at src, which is invalid where there
// is no one client (a wait service, a unix-domain socket). What is admitted
// counts until Done.
func (s *State) Start(now time.Time, src netip.Addr) Verdict {
	if s.zero.IsZero() {
		s.zero = now
	}
	at := now.Sub(s.zero) // by the monotonic clock
	if s.limits.Rate == conf.Never || s.limits.Rate > 0 && s.starts.full(at) {
		return Looping
	}
	if s.full(s.running) {
		return Full
	}
	if v := s.sources.check(at, src, s.limits); v != Admit {
		return v
	}
	if s.limits.Rate > 0 {
		s.starts.add(at)
	}
	s.sources.add(at, src, s.limits)
	s.running++
	return Admit
}

// Done tells that a server which was admitted for src has ended.
func (s *State) Done(src netip.Addr) {
	s.running--
	s.sources.done(src)
}

// Forgive forgets the starts, so that a service which rests can begin anew.
func (s *State) Forgive() {
	s.starts.clear()
	s.sources.forgive()
}

// A ring holds the times of the last starts, as many as a window may have, so
// that no window, wherever it begins, has more. It grows only while all it
// holds still count.
type ring struct {
	limit int
	times []time.Duration
	next  int // the oldest
}

func (r *ring) full(at time.Duration) bool {
	return len(r.times) == r.limit && at-r.times[r.next] < Window
}

// add notes a start; the caller has asked full.
func (r *ring) add(at time.Duration) {
	if len(r.times) == 0 || at-r.times[r.next] < Window {
		if r.next == 0 {
			r.times = append(r.times, at)
			return
		}
		r.times = slices.Insert(r.times, r.next, at) // behind the latest
		r.next++
		return
	}
	r.times[r.next] = at
	r.next = (r.next + 1) % len(r.times)
}

// resize keeps the latest starts that fit.
func (r *ring) resize(limit int) {
	ordered := append(append([]time.Duration(nil), r.times[r.next:]...), r.times[:r.next]...)
	r.limit, r.next = max(limit, 0), 0
	r.times = ordered[max(0, len(ordered)-r.limit):]
}

func (r *ring) clear() { r.times, r.next = nil, 0 }
