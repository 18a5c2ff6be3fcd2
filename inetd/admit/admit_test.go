package admit

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"inetd/inetd/conf"
)

// A clock that tests move by hand. It starts anywhere.
type clock struct{ time.Time }

func newClock() *clock { return &clock{time.Date(2026, 2, 28, 23, 59, 59, 0, time.UTC)} }

func (c *clock) add(d time.Duration) { c.Time = c.Add(d) }

var unlimited = conf.Limits{Rate: conf.Unlimited, Children: conf.Unlimited, SourceRate: conf.Unlimited, SourceChildren: conf.Unlimited}

func state(l conf.Limits) *State {
	s := new(State)
	s.SetLimits(l.Or(unlimited))
	return s
}

var peer = netip.MustParseAddr("192.0.2.1")

// A limit of N is N in a minute, not N-1, whatever N is.
func TestRateIsExact(t *testing.T) {
	for _, n := range []int{1, 2, 3, 5, 40, 255, 1000} {
		s, now := state(conf.Limits{Rate: conf.Max(n)}), newClock()
		for i := range n {
			if got := s.Start(now.Time, peer); got != Admit {
				t.Fatalf("start %d of %d = %v, want admit", i+1, n, got)
			}
			s.Done(peer)
		}
		for range 3 {
			if got := s.Start(now.Time, peer); got != Looping {
				t.Errorf("start %d of %d = %v, want looping", n+1, n, got)
			}
		}
		now.add(Window - 1)
		if got := s.Start(now.Time, peer); got != Looping {
			t.Errorf("limit %d, just before the minute is over = %v, want looping", n, got)
		}
		now.add(1)
		for i := range n {
			if got := s.Start(now.Time, peer); got != Admit {
				t.Fatalf("start %d of %d, a minute later = %v, want admit", i+1, n, got)
			}
		}
		if got := s.Start(now.Time, peer); got != Looping {
			t.Errorf("start %d of %d, a minute later = %v, want looping", n+1, n, got)
		}
	}
}

// No window of a minute has more than N starts, wherever it begins; and no
// start is refused unless the minute before it has N. Checked against a list of
// all starts.
func TestWindowSlides(t *testing.T) {
	for _, n := range []int{1, 2, 5, 17} {
		s, now := state(conf.Limits{Rate: conf.Max(n)}), newClock()
		rnd := rand.New(rand.NewPCG(1, uint64(n)))
		var starts []time.Time
		for i := range 5000 {
			now.add(time.Duration(rnd.Int64N(int64(2 * Window / time.Duration(n)))))
			inWindow := 0
			for _, at := range starts {
				if now.Sub(at) < Window {
					inWindow++
				}
			}
			want := Admit
			if inWindow >= n {
				want = Looping
			}
			if got := s.Start(now.Time, peer); got != want {
				t.Fatalf("limit %d, try %d with %d starts in the last minute = %v, want %v", n, i, inWindow, got, want)
			}
			if want == Admit {
				starts = append(starts, now.Time)
			}
			if len(starts) > n {
				starts = starts[1:]
			}
		}
	}
}

func TestZeroes(t *testing.T) {
	now := newClock()
	free := state(conf.Limits{})
	for range 100000 {
		if got := free.Start(now.Time, peer); got != Admit {
			t.Fatalf("unlimited start = %v, want admit", got)
		}
	}
	if free.Full() {
		t.Error("an unlimited service is full")
	}
	for _, tt := range []struct {
		limits conf.Limits
		want   Verdict
	}{
		{conf.Limits{Rate: conf.Never}, Looping},
		{conf.Limits{Children: conf.Never}, Full},
		{conf.Limits{SourceRate: conf.Never}, SourceRate},
		{conf.Limits{SourceChildren: conf.Never}, SourceFull},
	} {
		if got := state(tt.limits).Start(now.Time, peer); got != tt.want {
			t.Errorf("Start with %+v = %v, want %v", tt.limits, got, tt.want)
		}
	}
}

func TestFull(t *testing.T) {
	s, now := state(conf.Limits{Children: 2}), newClock()
	for i, want := range []bool{false, false, true} {
		if got := s.Full(); got != want {
			t.Errorf("Full with %d servers = %v, want %v", i, got, want)
		}
		if got := s.Start(now.Time, peer); (got == Full) != want {
			t.Errorf("Start beside %d servers = %v", i, got)
		}
	}
	if s.Running() != 2 {
		t.Errorf("Running = %d, want 2", s.Running())
	}
	s.Done(peer)
	if s.Full() {
		t.Error("Full with one server of two")
	}
	s.Keep(netip.Addr{})
	if !s.Full() {
		t.Error("not Full with one server and a place that is kept")
	}
	s.Free(netip.Addr{})
	if got := s.Start(now.Time, peer); got != Admit {
		t.Errorf("Start with the place that was kept = %v", got)
	}
	s.Done(peer)
	// A new limit counts at once, either way.
	s.SetLimits(conf.Limits{Children: 1}.Or(unlimited))
	if !s.Full() {
		t.Error("not Full with one server of one")
	}
	s.SetLimits(conf.Limits{Children: 1, Refuse: true}.Or(unlimited))
	if s.Full() {
		t.Error("Full where clients are refused, so that they would wait in the queue")
	}
	s.SetLimits(unlimited)
	if s.Full() {
		t.Error("Full without a limit")
	}
}

// One client that comes too often is refused, and no other suffers.
func TestSourceRate(t *testing.T) {
	s, now := state(conf.Limits{Rate: 10, SourceRate: 3}), newClock()
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	for i, want := range []Verdict{Admit, Admit, Admit, SourceRate, SourceRate} {
		if got := s.Start(now.Time, a); got != want {
			t.Errorf("start %d of one client = %v, want %v", i+1, got, want)
		}
	}
	for i := range 3 {
		if got := s.Start(now.Time, b); got != Admit {
			t.Errorf("start %d of another client = %v, want admit", i+1, got)
		}
	}
	// What was refused has not counted for the service: 6 of 10 are used up.
	for i, want := range []Verdict{Admit, Admit, Admit, Admit, Looping} {
		c := netip.AddrFrom4([4]byte{192, 0, 2, byte(100 + i)})
		if got := s.Start(now.Time, c); got != want {
			t.Errorf("start %d of all = %v, want %v", 7+i, got, want)
		}
	}
	now.add(Window)
	if got := s.Start(now.Time, a); got != Admit {
		t.Errorf("start a minute later = %v, want admit", got)
	}
}

func TestSourceChildren(t *testing.T) {
	s, now := state(conf.Limits{SourceChildren: 2}), newClock()
	for i, want := range []Verdict{Admit, Admit, SourceFull} {
		if got := s.Start(now.Time, peer); got != want {
			t.Errorf("server %d of one client = %v, want %v", i+1, got, want)
		}
	}
	if got := s.Start(now.Time, netip.MustParseAddr("192.0.2.9")); got != Admit {
		t.Errorf("server of another client = %v, want admit", got)
	}
	s.Done(peer)
	if got := s.Start(now.Time, peer); got != Admit {
		t.Errorf("server after one has ended = %v, want admit", got)
	}
}

// Which clients are one: an IPv6 network of 64 bits, an IPv4 address however
// it is written, an address whatever its zone.
func TestSameSource(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		same bool
	}{
		{"192.0.2.1", "192.0.2.1", true},
		{"192.0.2.1", "192.0.2.2", false},
		{"192.0.2.1", "::ffff:192.0.2.1", true},
		{"2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", true},
		{"2001:db8:0:1::1", "2001:db8:0:1:8000::", true},
		{"2001:db8:0:1::1", "2001:db8:0:2::1", false},
		{"fe80::1%eth0", "fe80::1%eth1", true},
	} {
		for _, limits := range []conf.Limits{{SourceRate: 1}, {SourceChildren: 1}} {
			s, now := state(limits), newClock()
			s.Start(now.Time, netip.MustParseAddr(tt.a))
			got := s.Start(now.Time, netip.MustParseAddr(tt.b)) != Admit
			if got != tt.same {
				t.Errorf("%s and %s are one client with %+v = %v, want %v", tt.a, tt.b, limits, got, tt.same)
			}
			s.Done(netip.MustParseAddr(tt.b))
		}
	}
}

// A wait service and a unix-domain socket have no client to count.
func TestNoSource(t *testing.T) {
	s, now := state(conf.Limits{Rate: 5, SourceRate: 1, SourceChildren: 1}), newClock()
	for i, want := range []Verdict{Admit, Admit, Admit, Admit, Admit, Looping} {
		if got := s.Start(now.Time, netip.Addr{}); got != want {
			t.Errorf("start %d without an address = %v, want %v", i+1, got, want)
		}
	}
	for range 5 {
		s.Done(netip.Addr{})
	}
	if s.Running() != 0 {
		t.Errorf("Running = %d, want 0", s.Running())
	}
}

func TestForgive(t *testing.T) {
	s, now := state(conf.Limits{Rate: 2, SourceRate: 2, SourceChildren: 2}), newClock()
	for range 3 {
		s.Start(now.Time, peer)
	}
	s.Forgive()
	// The starts are forgotten; the servers still run.
	if got := s.Start(now.Time, peer); got != SourceFull {
		t.Errorf("start with two servers running = %v, want source full", got)
	}
	s.Done(peer)
	s.Done(peer)
	for i, want := range []Verdict{Admit, Admit, Looping} {
		if got := s.Start(now.Time, peer); got != want {
			t.Errorf("start %d after Forgive = %v, want %v", i+1, got, want)
		}
		if want == Admit {
			s.Done(peer)
		}
	}
}

// A changed rate counts with what was counted before.
func TestNewLimit(t *testing.T) {
	for _, tt := range []struct{ before, starts, after, left int }{
		{5, 3, 5, 2}, {5, 3, 10, 7}, {5, 5, 3, 0}, {5, 2, 3, 1}, {10, 10, 40, 30}, {40, 7, 1, 0},
	} {
		s, now := state(conf.Limits{Rate: conf.Max(tt.before)}), newClock()
		for range tt.starts {
			now.add(time.Millisecond)
			s.Start(now.Time, peer)
		}
		s.SetLimits(conf.Limits{Rate: conf.Max(tt.after)}.Or(unlimited))
		left := 0
		for s.Start(now.Time, peer) == Admit {
			left++
		}
		if left != tt.left {
			t.Errorf("limit %d, %d starts, then limit %d: %d more, want %d", tt.before, tt.starts, tt.after, left, tt.left)
		}
		now.add(Window)
		again := 0
		for s.Start(now.Time, peer) == Admit {
			again++
		}
		if again != tt.after {
			t.Errorf("limit %d then %d: %d in the next minute, want %d", tt.before, tt.after, again, tt.after)
		}
	}
	// From a limit to none and back.
	s, now := state(conf.Limits{Rate: 2}), newClock()
	s.Start(now.Time, peer)
	s.SetLimits(unlimited)
	for range 10 {
		if got := s.Start(now.Time, peer); got != Admit {
			t.Fatalf("start without a limit = %v, want admit", got)
		}
	}
	s.SetLimits(conf.Limits{Rate: 2}.Or(unlimited))
	left := 0
	for s.Start(now.Time, peer) == Admit {
		left++
	}
	if left > 2 {
		t.Errorf("%d starts with a limit of 2", left)
	}
}

// Whoever was refused by a reload that lowered the limits of a client is let
// in again when a minute has passed.
func TestNewSourceLimit(t *testing.T) {
	s, now := state(conf.Limits{SourceRate: 5, SourceChildren: 5}), newClock()
	for range 4 {
		s.Start(now.Time, peer)
	}
	s.SetLimits(conf.Limits{SourceRate: 2, SourceChildren: 2}.Or(unlimited))
	if got := s.Start(now.Time, peer); got == Admit {
		t.Error("start with four servers of two = admit, want it refused")
	}
	for range 4 {
		s.Done(peer)
	}
	if got := s.Start(now.Time, peer); got != SourceRate {
		t.Errorf("start after four of two in a minute = %v, want source rate", got)
	}
	now.add(Window)
	for i, want := range []Verdict{Admit, Admit, SourceRate} {
		if got := s.Start(now.Time, peer); got != want {
			t.Errorf("start %d a minute later = %v, want %v", i+1, got, want)
		}
		if want == Admit {
			s.Done(peer)
		}
	}
}

// A source limit that comes with a reload meets servers that were started
// without one, and Done for a client that was never counted.
func TestLimitComesLater(t *testing.T) {
	s, now := state(conf.Limits{}), newClock()
	s.Start(now.Time, peer)
	if !s.SetLimits(conf.Limits{SourceChildren: 1}.Or(unlimited)) {
		t.Error("SetLimits does not ask for the servers that run")
	}
	s.Count(peer)
	if s.SetLimits(conf.Limits{SourceChildren: 1}.Or(unlimited)) {
		t.Error("SetLimits asks for them again")
	}
	if got := s.Start(now.Time, peer); got != SourceFull {
		t.Errorf("start beside a server from before = %v, want source full", got)
	}
	s.Done(peer)
	if s.Running() != 0 {
		t.Errorf("Running = %d, want 0", s.Running())
	}
	if got := s.Start(now.Time, peer); got != Admit {
		t.Errorf("start after all have ended = %v, want admit", got)
	}
	if got := s.Start(now.Time, peer); got != SourceFull {
		t.Errorf("second start = %v, want source full", got)
	}
	// One that goes and comes again counts its servers once.
	s.SetLimits(unlimited)
	if !s.SetLimits(conf.Limits{SourceChildren: 2}.Or(unlimited)) {
		t.Error("SetLimits does not ask for the servers that run, the second time")
	}
	s.Count(peer)
	for i, want := range []Verdict{Admit, SourceFull} {
		if got := s.Start(now.Time, peer); got != want {
			t.Errorf("start %d beside a server from before two reloads = %v, want %v", i+1, got, want)
		}
	}
}

func address(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
}

// The table of clients is bounded: who does not fit is refused, those who are
// in it are counted on, and room comes back with time.
func TestTableIsBounded(t *testing.T) {
	s, now := state(conf.Limits{SourceRate: 1}), newClock()
	for i := range maxSources {
		if got := s.Start(now.Time, address(i)); got != Admit {
			t.Fatalf("client %d = %v, want admit", i, got)
		}
		s.Done(address(i))
	}
	for i := range 1000 {
		if got := s.Start(now.Time, address(maxSources+i)); got == Admit {
			t.Fatalf("client %d of a full table = admit, want it refused", maxSources+i)
		}
	}
	if n := len(s.sources.byAddr); n != maxSources {
		t.Errorf("table has %d clients, want %d", n, maxSources)
	}
	// The flood did not wash out the limit of those who came before.
	if got := s.Start(now.Time, address(0)); got != SourceRate {
		t.Errorf("first client again = %v, want source rate", got)
	}
	now.add(Window)
	if got := s.Start(now.Time, address(maxSources)); got != Admit {
		t.Errorf("a new client a minute later = %v, want admit", got)
	}
	if n := len(s.sources.byAddr); n > 1 {
		t.Errorf("table has %d clients a minute later, want one", n)
	}
}

// A sweep forgets nobody who counts: not the clients whose servers have run for
// longer than a minute, and not those who came before it.
func TestSweep(t *testing.T) {
	t.Parallel()
	s, now := state(conf.Limits{SourceRate: 2, SourceChildren: 1}), newClock()
	server, recent, other := address(1), address(2), address(3)
	start := func(src netip.Addr, want Verdict) {
		t.Helper()
		if got := s.Start(now.Time, src); got != want {
			t.Errorf("Start = %v, want %v", got, want)
		}
	}
	start(server, Admit)
	now.add(Window - 1)
	for range 2 {
		start(recent, Admit)
		s.Done(recent)
	}
	now.add(Window / 2)
	start(other, Admit)
	start(server, SourceFull)
	start(recent, SourceRate)
}

// Clients that only count while their servers run leave nothing behind.
func TestTableForgets(t *testing.T) {
	s, now := state(conf.Limits{SourceChildren: 1}), newClock()
	for i := range 10 * maxSources {
		if got := s.Start(now.Time, address(i)); got != Admit {
			t.Fatalf("client %d = %v, want admit", i, got)
		}
		s.Done(address(i))
	}
	if n := len(s.sources.byAddr); n != 0 {
		t.Errorf("table has %d clients, want none", n)
	}
}

// Memory after many starts is what a minute of them needs.
func TestMemory(t *testing.T) {
	s, now := state(conf.Limits{Rate: 1000, SourceRate: 5}), newClock()
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	for i := range 300000 {
		now.add(100 * time.Millisecond)
		if s.Start(now.Time, address(i)) == Admit {
			s.Done(address(i))
		}
	}
	if after := heap(); after > before+8<<20 {
		t.Errorf("heap grew from %d to %d bytes, want 8 MB at most", before, after)
	}
	runtime.KeepAlive(s)
}

func BenchmarkStart(b *testing.B) {
	for _, limits := range []conf.Limits{{}, {Rate: 1 << 20}, {Rate: 1 << 20, SourceRate: 40, SourceChildren: 5}} {
		b.Run(fmt.Sprintf("%d,%d", limits.Rate, limits.SourceRate), func(b *testing.B) {
			s, now := state(limits), newClock()
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				now.add(time.Microsecond)
				if s.Start(now.Time, address(i%1000)) == Admit {
					s.Done(address(i % 1000))
				}
			}
		})
	}
}

// A client that is being asked about has a place, and no more than it may have.
func TestKeepSource(t *testing.T) {
	var s State
	s.SetLimits(conf.Limits{Rate: conf.Unlimited, Children: 10, SourceRate: conf.Unlimited, SourceChildren: 2})
	a, b := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("::ffff:10.0.0.1")
	now := time.Now()
	if s.Crowded(a) {
		t.Error("Crowded at the start")
	}
	s.Keep(a)
	if s.Crowded(a) {
		t.Error("Crowded with one kept place of two")
	}
	if got := s.Start(now, b); got != Admit {
		t.Errorf("Start beside a kept place = %v", got)
	}
	if !s.Crowded(a) || !s.Crowded(b) || s.Crowded(netip.MustParseAddr("10.0.0.2")) {
		t.Error("a server and a kept place are not two of two")
	}
	s.Free(a)
	if got := s.Start(now, a); got != Admit {
		t.Errorf("Start with the place that was kept = %v", got)
	}
	s.Done(a)
	s.Done(a)
	if s.Crowded(a) {
		t.Error("Crowded at the end")
	}
}

// Limits that a reload brings count the places that are kept already.
func TestKeepBeforeLimits(t *testing.T) {
	off := conf.Limits{Rate: conf.Unlimited, Children: 10, SourceRate: conf.Unlimited, SourceChildren: conf.Unlimited}
	on := off
	on.SourceChildren = 1
	a, now := netip.MustParseAddr("10.0.0.1"), time.Now()
	var s State
	s.SetLimits(off)
	if got := s.Start(now, a); got != Admit {
		t.Fatalf("Start = %v", got)
	}
	s.Keep(a)
	if s.SetLimits(on) {
		s.Count(a) // the server that runs
	}
	s.Free(a)
	if got := s.Start(now, a); got != SourceFull {
		t.Errorf("Start beside the one server that may run = %v", got)
	}
}

// The places that count are those that are still kept, each for its client and
// once, however often limits are set.
func TestKeepAndLimits(t *testing.T) {
	t.Parallel()
	on := conf.Limits{SourceChildren: 2}.Or(unlimited)
	s := state(unlimited)
	for range 3 {
		s.Keep(address(1))
	}
	s.Keep(address(2))
	s.Keep(address(2))
	s.Keep(address(3))
	s.Free(address(1))
	s.Free(address(2))
	s.Free(address(3))
	s.SetLimits(on)
	s.SetLimits(on)
	for i, want := range []bool{true, false, false} {
		if got := s.Crowded(address(1 + i)); got != want {
			t.Errorf("Crowded of client %d = %v, want %v", 1+i, got, want)
		}
	}
	s.Free(address(1))
	s.Free(address(1))
	s.Free(address(2))
	if len(s.asked)+len(s.sources.byAddr)+s.kept != 0 {
		t.Errorf("%v, %v and %d places are kept at the end", s.asked, s.sources.byAddr, s.kept)
	}
}
