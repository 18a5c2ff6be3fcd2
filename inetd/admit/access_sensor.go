package admit

import (
	"net/netip"
	"time"

	"inetd/inetd/conf"
)

// maxTrapped bounds the addresses that sensors keep out, as in xinetd.
const maxTrapped = 10240

// Trapped are the clients that ran into a sensor and are refused by every
// service for a time. An IPv6 client is its /64.
type Trapped struct {
	until map[netip.Addr]time.Time // the zero time is never
	swept time.Time
}

// Add keeps src out for d, conf.Forever or from now on as long; a client that
// is out already stays so at least as long as it was to. It is false for a
// client for which there is no room.
func (t *Trapped) Add(now time.Time, src netip.Addr, d time.Duration) bool {
	if d == 0 || !src.IsValid() {
		return true
	}
	k := Source(src)
	old, there := t.until[k]
	if !there && len(t.until) >= maxTrapped && !t.sweep(now) {
		return false
	}
	if t.until == nil {
		t.until = make(map[netip.Addr]time.Time)
	}
	var end time.Time
	if d != conf.Forever {
		if end = now.Add(d); there && (old.IsZero() || old.After(end)) {
			end = old
		}
	}
	t.until[k] = end
	return true
}

// Has says whether src is kept out.
func (t *Trapped) Has(now time.Time, src netip.Addr) bool {
	if len(t.until) == 0 || !src.IsValid() {
		return false
	}
	k := Source(src)
	end, ok := t.until[k]
	if ok && !end.IsZero() && !now.Before(end) {
		delete(t.until, k)
		return false
	}
	return ok
}

// sweep forgets those whose time is over, once a second at most, and says
// whether there is room.
func (t *Trapped) sweep(now time.Time) bool {
	if !t.swept.IsZero() && now.Sub(t.swept) < time.Second {
		return false
	}
	t.swept = now
	for k, end := range t.until {
		if !end.IsZero() && !now.Before(end) {
			delete(t.until, k)
		}
	}
	return len(t.until) < maxTrapped
}
