package admit

import (
	"math/rand/v2"
	"testing"
	"time"

	"inetd/inetd/conf"
)

const (
	weekdays = conf.Days(1<<time.Monday | 1<<time.Tuesday | 1<<time.Wednesday | 1<<time.Thursday | 1<<time.Friday)
	friday   = conf.Days(1 << time.Friday)
	saturday = conf.Days(1 << time.Saturday)
)

func window(days conf.Days, start, end uint16) conf.TimeWindow {
	return conf.TimeWindow{Days: days, Start: start, End: end}
}

func TestTimes(t *testing.T) {
	t.Parallel()
	// 2026-11-20 is a Friday.
	tests := []struct {
		windows []conf.TimeWindow
		at      string
		want    bool
	}{
		{nil, "2026-11-20 03:00:00", true},
		// Both bounds belong to the window, to the end of their minute.
		{[]conf.TimeWindow{window(conf.EveryDay, 8*60, 18*60)}, "2026-11-20 07:59:59", false},
		{[]conf.TimeWindow{window(conf.EveryDay, 8*60, 18*60)}, "2026-11-20 08:00:00", true},
		{[]conf.TimeWindow{window(conf.EveryDay, 8*60, 18*60)}, "2026-11-20 18:00:59", true},
		{[]conf.TimeWindow{window(conf.EveryDay, 8*60, 18*60)}, "2026-11-20 18:01:00", false},
		{[]conf.TimeWindow{window(conf.EveryDay, 0, 23*60+59)}, "2026-11-20 23:59:59", true},
		{[]conf.TimeWindow{window(conf.EveryDay, 0, 23*60+59)}, "2026-11-20 00:00:00", true},
		// Two windows.
		{[]conf.TimeWindow{window(conf.EveryDay, 60, 120), window(conf.EveryDay, 180, 240)}, "2026-11-20 02:30:00", false},
		{[]conf.TimeWindow{window(conf.EveryDay, 60, 120), window(conf.EveryDay, 180, 240)}, "2026-11-20 03:30:00", true},
		// Days.
		{[]conf.TimeWindow{window(weekdays, 8*60, 18*60)}, "2026-11-20 12:00:00", true},
		{[]conf.TimeWindow{window(weekdays, 8*60, 18*60)}, "2026-11-21 12:00:00", false},
		{[]conf.TimeWindow{window(weekdays, 8*60, 18*60)}, "2026-11-22 12:00:00", false},
		{[]conf.TimeWindow{window(weekdays, 8*60, 18*60)}, "2026-11-23 12:00:00", true},
		// Across midnight: the day is the one on which the window starts.
		{[]conf.TimeWindow{window(conf.EveryDay, 22*60, 6*60)}, "2026-11-20 21:59:00", false},
		{[]conf.TimeWindow{window(conf.EveryDay, 22*60, 6*60)}, "2026-11-20 23:00:00", true},
		{[]conf.TimeWindow{window(conf.EveryDay, 22*60, 6*60)}, "2026-11-20 06:00:00", true},
		{[]conf.TimeWindow{window(conf.EveryDay, 22*60, 6*60)}, "2026-11-20 06:01:00", false},
		{[]conf.TimeWindow{window(friday, 22*60, 6*60)}, "2026-11-20 05:00:00", false},
		{[]conf.TimeWindow{window(friday, 22*60, 6*60)}, "2026-11-20 22:00:00", true},
		{[]conf.TimeWindow{window(friday, 22*60, 6*60)}, "2026-11-21 05:00:00", true},
		{[]conf.TimeWindow{window(friday, 22*60, 6*60)}, "2026-11-21 22:00:00", false},
		// From the last day of the week into the first.
		{[]conf.TimeWindow{window(saturday, 23*60, 60)}, "2026-11-22 00:30:00", true},
		{[]conf.TimeWindow{window(saturday, 23*60, 60)}, "2026-11-21 00:30:00", false},
	}
	for _, tt := range tests {
		at, err := time.ParseInLocation(time.DateTime, tt.at, time.UTC)
		if err != nil {
			t.Fatal(err)
		}
		if got := NewTimes(tt.windows).Open(at, time.UTC); got != tt.want {
			t.Errorf("NewTimes(%v).Open(%s) = %v, want %v", tt.windows, tt.at, got, tt.want)
		}
	}
}

// TestTimesByTheClock: what counts is what the clocks of the place show.
func TestTimesByTheClock(t *testing.T) {
	t.Parallel()
	times := NewTimes([]conf.TimeWindow{window(conf.EveryDay, 8*60, 18*60)})
	at := time.Date(2026, 11, 20, 7, 30, 0, 0, time.UTC)
	for offset, want := range map[int]bool{0: false, 1: true, -12: false, 9: true, 12: false} {
		loc := time.FixedZone("", offset*3600)
		if got := times.Open(at, loc); got != want {
			t.Errorf("Open(%s) = %v, want %v", at.In(loc), got, want)
		}
	}
}

// TestTimesAgainstArithmetic compares the bits with windows laid out anew for
// each question.
func TestTimesAgainstArithmetic(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	slow := func(ws []conf.TimeWindow, at time.Time) bool {
		minute := at.Hour()*60 + at.Minute()
		yesterday := (at.Weekday() + 6) % 7
		for _, w := range ws {
			start, end := int(w.Start), int(w.End)
			switch {
			case start <= end && w.Days.Has(at.Weekday()) && start <= minute && minute <= end:
				return true
			case start > end && w.Days.Has(at.Weekday()) && minute >= start:
				return true
			case start > end && w.Days.Has(yesterday) && minute <= end:
				return true
			}
		}
		return false
	}
	for range 300 {
		var ws []conf.TimeWindow
		for range 1 + r.IntN(3) {
			ws = append(ws, conf.TimeWindow{Days: conf.Days(r.IntN(128)), Start: uint16(r.IntN(1440)), End: uint16(r.IntN(1440))})
		}
		times := NewTimes(ws)
		for range 100 {
			at := time.Unix(r.Int64N(1<<32), 0).UTC()
			if got, want := times.Open(at, time.UTC), slow(ws, at); got != want {
				t.Fatalf("NewTimes(%v).Open(%s) = %v, want %v", ws, at.Format("Mon 15:04"), got, want)
			}
		}
	}
}
