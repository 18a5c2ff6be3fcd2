package admit

import (
	"testing"
	"time"
)

func TestCPS(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	tests := []struct {
		rate     int
		arrivals []time.Duration
		want     string // y or n for each
	}{
		{0, []time.Duration{0, 0, 0, 0}, "yyyy"},
		{1, []time.Duration{0, 999 * ms, 1000 * ms}, "yny"},
		{5, []time.Duration{0, 0, 0, 0, 0, 0}, "yyyyyn"},
		// No second, wherever it begins, has more than the rate.
		{3, []time.Duration{800 * ms, 900 * ms, 900 * ms, 1200 * ms, 1800 * ms}, "yyyny"},
		{2, []time.Duration{0, 600 * ms, 1000 * ms, 1100 * ms, 1600 * ms}, "yyyny"},
		// The unit is the second however high the rate: xinetd counts for as
		// many seconds as the rate has connections.
		{2, []time.Duration{0, 1000 * ms, 2000 * ms, 3000 * ms}, "yyyy"},
	}
	for _, tt := range tests {
		var c CPS
		start := time.Now()
		got := ""
		for _, at := range tt.arrivals {
			if c.Arrive(start.Add(at), tt.rate) {
				got += "y"
			} else {
				got += "n"
			}
		}
		if got != tt.want {
			t.Errorf("rate %d: Arrive at %v = %s, want %s", tt.rate, tt.arrivals, got, tt.want)
		}
	}
}

// TestCPSAgainstList compares the circle with a list of all connections.
func TestCPSAgainstList(t *testing.T) {
	t.Parallel()
	for _, rate := range []int{1, 2, 7, 8, 9, 40} {
		var c CPS
		now := time.Now()
		var all []time.Time
		for i := range 5000 {
			now = now.Add(time.Duration(i*i%97) * time.Millisecond / 2)
			within := 0
			for _, a := range all {
				if now.Sub(a) < time.Second {
					within++
				}
			}
			want := within < rate
			if want {
				all = append(all, now)
			}
			if got := c.Arrive(now, rate); got != want {
				t.Fatalf("rate %d, arrival %d: Arrive = %v, want %v", rate, i, got, want)
			}
		}
		if len(c.times) > 2*rate+8 {
			t.Errorf("rate %d: %d times are kept", rate, len(c.times))
		}
	}
}

func TestCPSClear(t *testing.T) {
	t.Parallel()
	var c CPS
	now := time.Now()
	if !c.Arrive(now, 1) || c.Arrive(now, 1) {
		t.Fatal("a rate of 1 does not hold")
	}
	c.Clear()
	if !c.Arrive(now, 1) {
		t.Error("Arrive after Clear = false, want true")
	}
}
