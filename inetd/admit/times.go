package admit

import (
	"time"

	"inetd/inetd/conf"
)

const weekMinutes = 7 * 24 * 60

// Times are the minutes of a week in which a service is open, a bit for each.
type Times [(weekMinutes + 63) / 64]uint64

// NewTimes puts windows together. Without any it returns nil, which is always
// open.
func NewTimes(windows []conf.TimeWindow) *Times {
	if len(windows) == 0 {
		return nil
	}
	t := new(Times)
	for _, w := range windows {
		length := int(w.End) - int(w.Start)
		if length < 0 {
			length += 24 * 60
		}
		for day := time.Sunday; day <= time.Saturday; day++ {
			if !w.Days.Has(day) {
				continue
			}
			start := int(day)*24*60 + int(w.Start)
			for m := start; m <= start+length; m++ {
				i := m % weekMinutes
				t[i/64] |= 1 << (i % 64)
			}
		}
	}
	return t
}

// Open says whether the service is open at now by the clocks of loc. Where
// they are put forward or back, windows go by what they show.
func (t *Times) Open(now time.Time, loc *time.Location) bool {
	if t == nil {
		return true
	}
	now = now.In(loc)
	i := (int(now.Weekday())*24+now.Hour())*60 + now.Minute()
	return t[i/64]&(1<<(i%64)) != 0
}
