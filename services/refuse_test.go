package services

import (
	"net/netip"
	"testing"
	"time"
)

func TestDatagramRefusal(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		src, dst string
		refuse   bool
	}{
		{"192.168.10.7:40000", "192.168.10.1", false},
		{"192.168.10.7:40000", "", false},
		{"127.0.0.1:40000", "127.0.0.1", false},
		{"127.0.0.1:1024", "127.0.0.1", false},
		{"[::1]:40000", "::1", false},
		{"[2001:db8::7]:40000", "2001:db8::1", false},
		{"[fe80::7%2]:40000", "fe80::1%2", false},
		{"[::ffff:192.168.10.7]:40000", "192.168.10.1", false},

		{"192.168.10.7:0", "", true},
		{"192.168.10.7:7", "", true},
		{"192.168.10.7:19", "", true},
		{"192.168.10.7:53", "", true},
		{"192.168.10.7:1023", "", true},
		{"192.168.10.7:2048", "", false},
		{"192.168.10.7:2049", "", true},
		{"192.168.10.7:2050", "", false},
		{"127.0.0.1:19", "", true},
		{"[2001:db8::7]:19", "", true},
		{"[::ffff:192.168.10.7]:19", "", true},

		{"0.0.0.0:40000", "", true},
		{"0.1.2.3:40000", "", true},
		{"[::]:40000", "", true},
		{"[::ffff:0.0.0.0]:40000", "", true},
		{"224.0.0.1:40000", "", true},
		{"239.255.255.255:40000", "", true},
		{"[ff02::1]:40000", "", true},
		{"[ff02::1%2]:40000", "", true},
		{"[::ffff:224.0.0.1]:40000", "", true},
		{"240.0.0.1:40000", "", true},
		{"255.255.255.255:40000", "", true},
		{"[::ffff:255.255.255.255]:40000", "", true},

		{"192.168.10.7:40000", "255.255.255.255", true},
		{"192.168.10.7:40000", "224.0.0.1", true},
		{"[fe80::7%2]:40000", "ff02::1%2", true},
	} {
		src := netip.MustParseAddrPort(test.src)
		var dst netip.Addr
		if test.dst != "" {
			dst = netip.MustParseAddr(test.dst)
		}
		if got := DatagramRefusal(src, dst, false); (got != "") != test.refuse {
			t.Errorf("DatagramRefusal(%v, %v) = %q, want %v", src, test.dst, got, test.refuse)
		}
		if DatagramRefusal(src, dst, true) == "" {
			t.Errorf("DatagramRefusal(%v, %v) to a broadcast address = \"\"", src, test.dst)
		}
	}
	if DatagramRefusal(netip.AddrPort{}, netip.Addr{}, false) == "" {
		t.Error("DatagramRefusal(no source) = \"\"")
	}
}

// The mapped form of an address is treated as the address, and what is served
// can be nobody's loop.
func FuzzDatagramRefusal(f *testing.F) {
	f.Add([]byte{127, 0, 0, 1}, uint16(40000), []byte{127, 0, 0, 1})
	f.Add([]byte{10, 0, 0, 1}, uint16(19), []byte{10, 0, 0, 2})
	f.Add([]byte{224, 0, 0, 1}, uint16(2049), []byte{})
	f.Add(make([]byte, 16), uint16(1024), []byte{1})
	f.Fuzz(func(t *testing.T, src []byte, port uint16, dst []byte) {
		s, ok := netip.AddrFromSlice(src)
		d, _ := netip.AddrFromSlice(dst)
		got := DatagramRefusal(netip.AddrPortFrom(s, port), d, false) != ""
		mapped := s
		if s.Is4() {
			mapped = netip.AddrFrom16(s.As16())
		}
		if also := DatagramRefusal(netip.AddrPortFrom(mapped, port), d, false) != ""; also != got {
			t.Fatalf("DatagramRefusal(%v) = %v, mapped = %v", s, got, also)
		}
		if got {
			return
		}
		s = s.Unmap()
		if !ok || port < 1024 || port == 2049 || s.IsMulticast() || s.IsUnspecified() ||
			d.Unmap().IsMulticast() || s.Is4() && (src[len(src)-4] == 0 || src[len(src)-4] > 239) {
			t.Fatalf("DatagramRefusal(%v:%d, %v) = false", s, port, d)
		}
	})
}

func TestReplyCap(t *testing.T) {
	t.Parallel()
	start := time.Now()
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	r := NewReplyCap(3)
	allowed := func(at time.Duration, src netip.Addr, tries int) (n int) {
		for range tries {
			if r.Allow(start.Add(at), src, false) {
				n++
			}
		}
		return n
	}
	for _, step := range []struct {
		at   time.Duration
		src  netip.Addr
		want int
	}{
		{0, a, 3},
		{0, b, 3},
		{999 * time.Millisecond, a, 0},
		{time.Second, a, 3},
		{1999 * time.Millisecond, a, 0},
		{time.Hour, a, 3},
		{time.Hour - time.Minute, a, 3}, // a clock set back must not lock anybody out
		{time.Hour, netip.MustParseAddr("2001:db8::1"), 3},
		{time.Hour, netip.MustParseAddr("2001:db8::2:3"), 0}, // the same /64
		{time.Hour, netip.MustParseAddr("2001:db8:0:1::1"), 3},
		{time.Hour, netip.MustParseAddr("::ffff:192.0.2.2"), 3},
		{time.Hour, b, 0},
		{time.Hour, netip.MustParseAddr("127.0.0.1"), 9},
		{time.Hour, netip.MustParseAddr("::1"), 9},
	} {
		if got := allowed(step.at, step.src, 9); got != step.want {
			t.Errorf("at %v, %v gets %d of 9 replies, want %d", step.at, step.src, got, step.want)
		}
	}
	if r := NewReplyCap(0); !r.Allow(start, a, false) {
		t.Error("NewReplyCap(0) refuses")
	}
}

// A flood of forged sources gets no more than the table could give to as many
// as it has places, and does not grow it.
func TestReplyCapFlood(t *testing.T) {
	t.Parallel()
	const perSecond = 5
	r := NewReplyCap(perSecond)
	now := time.Now()
	n := 0
	for i := range 200_000 {
		src := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		if r.Allow(now, src, false) {
			n++
		}
	}
	if n > capSets*capWays*perSecond {
		t.Errorf("a flood gets %d replies, want at most %d", n, capSets*capWays*perSecond)
	}
}

// One reply in RemoteReplies is left out, however long they take.
func TestReplyCapSlow(t *testing.T) {
	t.Parallel()
	now := time.Now()
	r, src := NewReplyCap(3), netip.MustParseAddr("192.0.2.1")
	for round := range 3 {
		for i := range RemoteReplies {
			now = now.Add(time.Minute)
			if got, want := r.Allow(now, src, false), i < RemoteReplies-1; got != want {
				t.Fatalf("reply %d of round %d allowed: %v, want %v", i+1, round+1, got, want)
			}
		}
	}
}

// One reply in LocalReplies is left out for a source on this host.
func TestReplyCapLocal(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for _, tt := range []struct {
		src   string
		local bool
	}{{"127.0.0.1", false}, {"::1", false}, {"2001:db8::1", true}} {
		r, src := NewReplyCap(3), netip.MustParseAddr(tt.src)
		for round := range 3 {
			for i := range LocalReplies {
				if got, want := r.Allow(now, src, tt.local), i < LocalReplies-1; got != want {
					t.Fatalf("%s: reply %d of round %d allowed: %v, want %v", src, i+1, round+1, got, want)
				}
			}
		}
		r.Allow(now, src, tt.local)
		if !r.Allow(now, netip.MustParseAddr("2001:db8::2"), false) {
			t.Error("a neighbour pays for replies within this host")
		}
	}
}
