package admit

import (
	"net/netip"
	"time"

	"inetd/inetd/conf"
)

// maxSources bounds the table of clients of one entry. An address beyond it is
// refused while the table holds only clients that count. A client takes about
// 150 bytes and 8 for each start it may make in a minute, so a full table is
// 1 MB at no rate and 5 MB at 60 a minute.
const maxSources = 8192

// sources counts the starts and servers of each client of an entry. It is
// empty unless a limit asks for it. An IPv6 client is its /64: addresses below
// that are free for the taking.
type sources struct {
	byAddr map[netip.Addr]*source
	swept  time.Duration
}

type source struct {
	starts  ring
	running int
}

func limited(l conf.Limits) bool { return counts(l.SourceRate) || counts(l.SourceChildren) }

func counts(m conf.Max) bool { return m > 0 || m == conf.Never }

// Source is who a client counts as: its IPv4 address, or the /64 of its IPv6
// one, since addresses below that are free for the taking.
func Source(src netip.Addr) netip.Addr {
	if src = src.Unmap().WithZone(""); src.Is6() {
		p, _ := src.Prefix(64)
		return p.Addr()
	}
	return src
}

func (t *sources) check(at time.Duration, src netip.Addr, l conf.Limits) Verdict {
	switch {
	case !limited(l) || !src.IsValid():
		return Admit
	case l.SourceRate == conf.Never:
		return SourceRate
	case l.SourceChildren == conf.Never:
		return SourceFull
	}
	// Forget the old now and then, and when there is no room.
	if full := len(t.byAddr) >= maxSources; at-t.swept >= Window || full && at-t.swept >= time.Second {
		t.sweep(at)
	}
	e := t.byAddr[Source(src)]
	if e != nil && l.SourceRate > 0 && e.starts.limit != int(l.SourceRate) {
		e.starts.resize(int(l.SourceRate))
	}
	switch {
	case e == nil && len(t.byAddr) >= maxSources:
		return SourceFull
	case e == nil:
	case l.SourceRate > 0 && e.starts.full(at):
		return SourceRate
	case l.SourceChildren > 0 && e.running >= int(l.SourceChildren):
		return SourceFull
	}
	return Admit
}

func (t *sources) add(at time.Duration, src netip.Addr, l conf.Limits) {
	if !limited(l) || !src.IsValid() {
		return
	}
	e := t.of(src)
	if l.SourceRate > 0 {
		e.starts.add(at)
	}
	e.running++
}

// of is the client's place in the table.
func (t *sources) of(src netip.Addr) *source {
	e := t.byAddr[Source(src)]
	if e == nil {
		if t.byAddr == nil {
			t.byAddr = make(map[netip.Addr]*source)
		}
		e = new(source)
		t.byAddr[Source(src)] = e
	}
	return e
}

func (t *sources) done(src netip.Addr) {
	e := t.byAddr[Source(src)]
	if e == nil {
		return
	}
	if e.running > 0 {
		e.running--
	}
	if e.running == 0 && len(e.starts.times) == 0 {
		delete(t.byAddr, Source(src))
	}
}

// sweep forgets the clients that count no more.
func (t *sources) sweep(at time.Duration) {
	t.swept = at
	for k, e := range t.byAddr {
		if e.running == 0 && e.idle(at) {
			delete(t.byAddr, k)
		}
	}
}

func (e *source) idle(at time.Duration) bool {
	for _, t := range e.starts.times {
		if at-t < Window {
			return false
		}
	}
	return true
}

func (t *sources) forgive() {
	for _, e := range t.byAddr {
		e.starts.clear()
	}
}
