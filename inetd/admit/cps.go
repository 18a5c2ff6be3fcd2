package admit

import (
	"time"

	"inetd/inetd/conf"
)

// CPS counts the connections of a service by the second. The zero value
// limits nothing.
type CPS struct {
	limit conf.CPS
	zero  time.Time       // times are kept as what has passed since
	times []time.Duration // a circle of the connections of the last second
	first int
	n     int
}

// SetLimit puts a limit in force; what was counted stays counted.
func (c *CPS) SetLimit(l conf.CPS) { c.limit = l }

// Arrive counts a connection. It is false for one beyond the limit, which is
// not counted: the service then pauses for the limit's Wait.
func (c *CPS) Arrive(now time.Time) bool {
	if c.limit.Rate <= 0 {
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
	if c.n >= c.limit.Rate {
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
