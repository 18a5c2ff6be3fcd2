package services

import (
	"net/netip"
	"testing"
	"time"
)

func TestDaytime(t *testing.T) {
	t.Parallel()
	seoul := time.FixedZone("KST", 9*3600)
	for _, test := range []struct {
		now  time.Time
		want string
	}{
		{time.Date(2026, 11, 20, 7, 7, 44, 0, time.UTC), "Fri Nov 20 07:07:44 2026\r\n"},
		{time.Date(2026, 11, 20, 23, 7, 4, 999e6, time.UTC).In(seoul), "Sat Nov 21 08:07:04 2026\r\n"},
		{time.Date(2036, 2, 7, 6, 28, 16, 0, time.UTC), "Thu Feb  7 06:28:16 2036\r\n"},
	} {
		got := Lookup("daytime").Reply(nil, test.now)
		if string(got) != test.want || len(got) != 26 {
			t.Errorf("daytime at %v = %q, want %q", test.now, got, test.want)
		}
	}
}

// The examples of RFC 868, and the end of its 32 bits.
func TestTime(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		now  time.Time
		want uint32
	}{
		{time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC), 0},
		{time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC), 2_208_988_800},
		{time.Date(1976, 1, 1, 0, 0, 0, 0, time.UTC), 2_398_291_200},
		{time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC), 2_524_521_600},
		{time.Date(1983, 5, 1, 0, 0, 0, 0, time.UTC), 2_629_584_000},
		{time.Date(1858, 11, 17, 0, 0, 0, 0, time.UTC), ^uint32(1_297_728_000) + 1},
		{time.Date(2036, 2, 7, 6, 28, 15, 0, time.UTC), 1<<32 - 1},
		{time.Date(2036, 2, 7, 6, 28, 16, 0, time.UTC), 0},
		{time.Date(2036, 2, 7, 6, 28, 17, 0, time.UTC), 1},
	} {
		got := Lookup("time").Reply(nil, test.now)
		want := string([]byte{byte(test.want >> 24), byte(test.want >> 16), byte(test.want >> 8), byte(test.want)})
		if string(got) != want {
			t.Errorf("time at %v = %x, want %x", test.now, got, want)
		}
	}
}

func TestDatagramsDoNotAllocate(t *testing.T) {
	now := time.Now()
	msg := make([]byte, 64)
	dst := make([]byte, 0, 128)
	for i := range table {
		b := &table[i]
		if n := testing.AllocsPerRun(1000, func() { b.Answer(dst, msg, now) }); n != 0 {
			t.Errorf("%s allocates %v times a datagram", b.Name, n)
		}
	}
	replies := NewReplyCap(5)
	src := netip.MustParseAddrPort("[2001:db8::1]:40000")
	if n := testing.AllocsPerRun(1000, func() {
		DatagramRefusal(src, src.Addr(), false)
		replies.Allow(now, src.Addr(), false)
	}); n != 0 {
		t.Errorf("the checks allocate %v times a datagram", n)
	}
}

// No answer is longer than its request, except the RFCs' own to an empty one
// and one chargen line.
func TestAnswersDoNotAmplify(t *testing.T) {
	t.Parallel()
	most := map[string]int{"echo": 0, "discard": 0, "chargen": 74, "daytime": 26, "time": 4, "tcpmux": 0, "auth": 0}
	for i := range table {
		if n := len(table[i].Answer(nil, nil, time.Now())); n != most[table[i].Name] {
			t.Errorf("%s answers an empty datagram with %d bytes, want %d", table[i].Name, n, most[table[i].Name])
		}
	}
}
