package admit

import (
	"testing"
	"time"
)

// A limit that is out of reach costs what a minute holds, not what it allows:
// "-R 1000000" is how many say that there is none.
func TestRingForgets(t *testing.T) {
	t.Parallel()
	r := ring{limit: 1 << 30}
	at := time.Duration(0)
	for i := range 100_000 {
		at += time.Second
		if i%1000 < 3 { // now and then a burst
			for range 20 {
				r.add(at)
			}
		}
		r.add(at)
	}
	if n := len(r.times); n > 200 {
		t.Errorf("a ring after 100,000 starts a second apart holds %d, want about as many as a minute has", n)
	}
	for i := range r.times {
		older, newer := r.times[(r.next+i)%len(r.times)], r.times[(r.next+i+1)%len(r.times)]
		if i < len(r.times)-1 && older > newer {
			t.Fatalf("the ring is out of order at %d: %v before %v", i, older, newer)
		}
	}
}

// Whatever comes between, no window has more than the limit, and none that
// could have had more is refused one: against a list of all starts.
func TestRingExact(t *testing.T) {
	t.Parallel()
	for limit := 1; limit <= 7; limit++ {
		r := ring{limit: limit}
		var all []time.Duration
		at := time.Duration(0)
		for i := range 5000 {
			at += time.Duration(i*7919%23) * time.Second
			n := 0
			for _, s := range all {
				if at-s < Window {
					n++
				}
			}
			if got, want := r.full(at), n >= limit; got != want {
				t.Fatalf("limit %d, start %d: full = %v with %d starts in the window", limit, i, got, n)
			}
			if !r.full(at) {
				r.add(at)
				all = append(all, at)
			}
		}
	}
}
