package admit

import (
	"net/netip"
	"time"

	"inetd/inetd/conf"
)

// maxSources bounds the table of clients of one entry, about 1 MB. A client
// beyond it is refused while the table holds only clients that count.
const maxSources = 8192

// sources counts the starts and servers of each client of an entry. It is
// empty unless a limit asks for it. An IPv6 client is its /64: addresses below
// that are free for the taking.
type sources struct {
	byAddr map[netip.Addr]*source
	swept  time.Time
}

type source struct {
	starts  ring
	running int
}

func limited(l conf.Limits) bool { return counts(l.SourceRate) || counts(l.SourceChildren) }

func counts(m conf.Max) bool { return m > 0 || m == conf.Never }

func key(src netip.Addr) netip.Addr {
	if src.Is6() {
		p, _ := src.Prefix(64)
		return p.Addr()
	}
	return src
}

func (t *sources) check(now time.Time, src netip.Addr, l conf.Limits) Verdict {
	if !limited(l) || !src.IsValid() {
		return Admit
	}
	if l.SourceRate == conf.Never {
		return SourceRate
	}
	e := t.byAddr[key(src)]
	if e == nil {
		if len(t.byAddr) >= maxSources && !t.sweep(now) {
			return SourceFull
		}
		return Admit
	}
	if l.SourceRate > 0 && e.starts.limit == int(l.SourceRate) && e.starts.full(now) {
		return SourceRate
	}
	if l.SourceChildren == conf.Never || l.SourceChildren > 0 && e.running >= int(l.SourceChildren) {
		return SourceFull
	}
	return Admit
}

func (t *sources) add(now time.Time, src netip.Addr, l conf.Limits) {
	if !limited(l) || !src.IsValid() {
		return
	}
	e := t.byAddr[key(src)]
	if e == nil {
		if t.byAddr == nil {
			t.byAddr = make(map[netip.Addr]*source)
		}
		e = new(source)
		t.byAddr[key(src)] = e
	}
	if l.SourceRate > 0 {
		if e.starts.limit != int(l.SourceRate) {
			e.starts.resize(int(l.SourceRate))
		}
		e.starts.add(now)
	}
	e.running++
}

func (t *sources) done(src netip.Addr, l conf.Limits) {
	if !src.IsValid() {
		return
	}
	e := t.byAddr[key(src)]
	if e == nil {
		return
	}
	if e.running > 0 {
		e.running--
	}
	if e.running == 0 && len(e.starts.times) == 0 {
		delete(t.byAddr, key(src))
	}
}

// sweep forgets clients that count no more and says whether there is room.
// A full table is swept once a second at most.
func (t *sources) sweep(now time.Time) bool {
	if !t.swept.IsZero() && now.Sub(t.swept) < time.Second {
		return false
	}
	t.swept = now
	for k, e := range t.byAddr {
		if e.running == 0 && e.idle(now) {
			delete(t.byAddr, k)
		}
	}
	return len(t.byAddr) < maxSources
}

func (e *source) idle(now time.Time) bool {
	for _, t := range e.starts.times {
		if now.Sub(t) < Window {
			return false
		}
	}
	return true
}

func (t *sources) forgive() {
	for k, e := range t.byAddr {
		e.starts.clear()
		if e.running == 0 {
			delete(t.byAddr, k)
		}
	}
}
