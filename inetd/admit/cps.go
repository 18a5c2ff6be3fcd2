package admit

import "time"

// CPS counts the connections of a service by the second.
type CPS struct {
	zero  time.Time       // times are kept as what has passed since
	times []time.Duration // a circle of the connections of the last second
	first int
	n     int
}

// Arrive counts a connection. It is false for one beyond so many a second, 0
// being no limit, which is not counted: the service then pauses. The rate may
// change from one to the next.
func (c *CPS) Arrive(now time.Time, rate int) bool {
	if rate <= 0 {
		return true
	}
	if c.zero.IsZero() {
		c.zero = now
	}
	t := now.Sub(c.zero)
	for c.n > 0 && t-c.times[c.first] >= time.Second {
		c.first = (c.first + 1) % len(c.times)
		c.n--
	}
	if c.n >= rate {
		return false
	}
	if c.n == len(c.times) {
		grown := make([]time.Duration, max(8, 2*c.n))
		copy(grown[copy(grown, c.times[c.first:]):], c.times[:c.first])
		c.times, c.first = grown, 0
	}
	c.times[(c.first+c.n)%len(c.times)] = t
	c.n++
	return true
}

// Clear forgets what was counted, for a service that comes back.
func (c *CPS) Clear() { c.times, c.first, c.n = nil, 0, 0 }
