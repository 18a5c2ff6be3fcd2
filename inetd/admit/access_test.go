package admit

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"inetd/inetd/conf"
)

// access reads "only_from … ! no_access …" with prefixes, addresses and names;
// "-" for only_from is none at all.
func access(text string) *conf.Access {
	only, no, _ := strings.Cut(text, "!")
	a := &conf.Access{OnlyGiven: strings.TrimSpace(only) != "-"}
	list := func(text string) (ps []conf.Pattern) {
		for _, w := range strings.Fields(text) {
			if p, err := netip.ParsePrefix(w); err == nil {
				ps = append(ps, conf.Pattern{Prefix: p})
			} else if ip, err := netip.ParseAddr(w); err == nil {
				ps = append(ps, conf.Pattern{Prefix: netip.PrefixFrom(ip, ip.BitLen())})
			} else if w != "-" {
				ps = append(ps, conf.Pattern{Name: w})
			}
		}
		return ps
	}
	a.Only, a.No = list(only), list(no)
	return a
}

func TestAccessByAddress(t *testing.T) {
	t.Parallel()
	tests := []struct {
		access, addr string
		want         Answer
		rule         string
	}{
		{"- !", "10.0.0.1", Allowed, ""},
		{"!", "10.0.0.1", Refused, "only_from"},
		{"10.0.0.0/8 !", "10.1.2.3", Allowed, "only_from 10.0.0.0/8"},
		{"10.0.0.0/8 !", "11.1.2.3", Refused, "only_from"},
		{"- ! 10.0.0.0/8", "10.1.2.3", Refused, "no_access 10.0.0.0/8"},
		{"- ! 10.0.0.0/8", "11.1.2.3", Allowed, ""},
		// The better match decides, whichever list has it.
		{"10.0.0.0/8 ! 10.1.0.0/16", "10.1.2.3", Refused, "no_access 10.1.0.0/16"},
		{"10.1.0.0/16 ! 10.0.0.0/8", "10.1.2.3", Allowed, "only_from 10.1.0.0/16"},
		{"127.0.0.1 ! 127.0.0.0/8", "127.0.0.1", Allowed, "only_from 127.0.0.1"},
		{"10.0.0.0/8 10.1.2.3 ! 10.1.0.0/16", "10.1.2.3", Allowed, "only_from 10.1.2.3"},
		{"10.0.0.0/8 10.1.2.3 ! 10.1.0.0/16", "10.1.2.4", Refused, "no_access 10.1.0.0/16"},
		// A tie refuses.
		{"10.1.2.3 ! 10.1.2.3", "10.1.2.3", Refused, "no_access 10.1.2.3"},
		{"10.0.0.0/8 ! 10.0.0.0/8", "10.1.2.3", Refused, "no_access 10.0.0.0/8"},
		// IPv6, and IPv4 on an IPv6 socket.
		{"2001:db8::/32 ! 2001:db8:1::/48", "2001:db8:1::1", Refused, "no_access 2001:db8:1::/48"},
		{"2001:db8::/32 ! 2001:db8:1::/48", "2001:db8:2::1", Allowed, "only_from 2001:db8::/32"},
		{"fe80::/10 !", "fe80::1%eth0", Allowed, "only_from fe80::/10"},
		{"10.0.0.0/8 !", "::ffff:10.1.2.3", Allowed, "only_from 10.0.0.0/8"},
		{"::ffff:10.0.0.0/104 !", "10.1.2.3", Allowed, "only_from ::ffff:10.0.0.0/104"},
		{"::ffff:10.0.0.0/104 !", "10.128.2.3", Allowed, "only_from ::ffff:10.0.0.0/104"},
		{"::ffff:10.0.0.0/104 !", "11.1.2.3", Refused, "only_from"},
		{"::ffff:0.0.0.0/96 !", "10.1.2.3", Allowed, "only_from ::ffff:0.0.0.0/96"},
		{"::ffff:0.0.0.0/95 !", "10.1.2.3", Allowed, "only_from ::ffff:0.0.0.0/95"},
		{"0.0.0.0/0 !", "2001:db8::1", Refused, "only_from"},
		{"::/0 !", "10.1.2.3", Allowed, "only_from ::/0"},
		{"- ! ::/0", "10.1.2.3", Refused, "no_access ::/0"},
		{"0.0.0.0/0 ! ::/0", "10.1.2.3", Allowed, "only_from 0.0.0.0/0"},
		{"0.0.0.0/0 ! ::/0", "2001:db8::1", Refused, "no_access ::/0"},
		{"::1/128 !", "::1", Allowed, "only_from ::1"},
	}
	for _, tt := range tests {
		d := NewAccess(access(tt.access)).Check(netip.MustParseAddr(tt.addr))
		if d.Answer != tt.want || d.Rule() != tt.rule {
			t.Errorf("Check(%s) with %q = %v %q, want %v %q", tt.addr, tt.access, d.Answer, d.Rule(), tt.want, tt.rule)
		}
	}
}

func TestAccessByName(t *testing.T) {
	t.Parallel()
	tests := []struct {
		access, addr, name string
		before, want       Answer // of Check and CheckName
		rule               string
	}{
		{"host.example.com !", "10.0.0.1", "host.example.com", AskName, Allowed, "only_from host.example.com"},
		{"host.example.com !", "10.0.0.1", "HOST.Example.COM.", AskName, Allowed, "only_from host.example.com"},
		{"host.example.com !", "10.0.0.1", "other.example.com", AskName, Refused, "only_from"},
		{"host.example.com !", "10.0.0.1", "", AskName, Refused, "only_from"},
		{"example.com !", "10.0.0.1", "host.example.com", AskName, Refused, "only_from"},
		{"example.com !", "10.0.0.1", "badexample.com", AskName, Refused, "only_from"},
		{".example.com !", "10.0.0.1", "a.b.example.com", AskName, Allowed, "only_from .example.com"},
		{".example.com !", "10.0.0.1", "example.com", AskName, Refused, "only_from"},
		{".example.com !", "10.0.0.1", "badexample.com", AskName, Refused, "only_from"},
		{".example.com ! .evil.example.com", "10.0.0.1", "x.evil.example.com", AskName, Refused, "no_access .evil.example.com"},
		{".good.evil.com ! .evil.com", "10.0.0.1", "x.good.evil.com", AskName, Allowed, "only_from .good.evil.com"},
		// No name is not a way around no_access.
		{"- ! .evil.com", "10.0.0.1", "", AskName, Refused, "no_access .evil.com"},
		{"- ! .evil.com", "10.0.0.1", "x.good.com", AskName, Allowed, ""},
		{"10.0.0.0/8 ! bad.evil.com", "10.0.0.1", "", AskName, Refused, "no_access bad.evil.com"},
		// What cannot be compared is a tie.
		{"10.0.0.0/8 ! .evil.com", "10.0.0.1", "x.evil.com", AskName, Refused, "no_access .evil.com"},
		{".good.com ! 10.0.0.0/8", "10.0.0.1", "x.good.com", Refused, Refused, "no_access 10.0.0.0/8"},
		{"10.0.0.1 ! bad.evil.com", "10.0.0.1", "bad.evil.com", AskName, Refused, "no_access bad.evil.com"},
		// One fits better than many, and many better than all.
		{"10.0.0.1 ! .evil.com", "10.0.0.1", "x.evil.com", Allowed, Allowed, "only_from 10.0.0.1"},
		{"x.good.com ! 10.0.0.0/8", "10.0.0.1", "x.good.com", AskName, Allowed, "only_from x.good.com"},
		{".good.com ! 0.0.0.0/0", "10.0.0.1", "x.good.com", AskName, Allowed, "only_from .good.com"},
		{"0.0.0.0/0 ! .evil.com", "10.0.0.1", "x.evil.com", AskName, Refused, "no_access .evil.com"},
		// No name is asked for when it makes no difference.
		{"10.0.0.0/8 .good.com !", "10.0.0.1", "", Allowed, Allowed, "only_from 10.0.0.0/8"},
		{"10.0.0.0/8 ! 10.0.0.1 bad.evil.com", "10.0.0.1", "x.good.com", Refused, Refused, "no_access 10.0.0.1"},
		{"10.0.0.0/8 ! .evil.com", "11.0.0.1", "", Refused, Refused, "no_access .evil.com"},
	}
	for _, tt := range tests {
		a := NewAccess(access(tt.access))
		addr := netip.MustParseAddr(tt.addr)
		if d := a.Check(addr); d.Answer != tt.before {
			t.Errorf("Check(%s) with %q = %v, want %v", tt.addr, tt.access, d.Answer, tt.before)
		}
		if d := a.CheckName(addr, tt.name); d.Answer != tt.want || d.Rule() != tt.rule {
			t.Errorf("CheckName(%s, %q) with %q = %v %q, want %v %q", tt.addr, tt.name, tt.access, d.Answer, d.Rule(), tt.want, tt.rule)
		}
	}
}

// slowly is the rule as the manual tells it, over the lists: a client is
// refused if a pattern of no_access fits it and none of only_from fits better.
func slowly(a *conf.Access, addr netip.Addr, name string) Answer {
	type hit struct {
		kind, detail int // one, many or all; length of the network or domain
		name         bool
	}
	fits := func(p conf.Pattern) (hit, bool) {
		v4 := addr.Unmap().Is4()
		sixteen := netip.AddrFrom16(addr.As16())
		switch {
		case p.Name == "" && p.Prefix.Addr().Is4():
			kind := map[int]int{0: 1, 32: 3}[p.Prefix.Bits()]
			return hit{max(kind, 2*b2i(kind == 0)), 96 + p.Prefix.Bits(), false}, p.Prefix.Contains(addr.Unmap())
		case p.Name == "":
			kind := map[int]int{0: 1, 128: 3}[p.Prefix.Bits()]
			if v4 {
				kind = 1
			}
			return hit{max(kind, 2*b2i(kind == 0)), p.Prefix.Bits(), false}, p.Prefix.Contains(sixteen)
		case p.Name[0] == '.':
			return hit{2, len(p.Name), true}, len(name) > len(p.Name) && strings.HasSuffix(name, p.Name)
		}
		return hit{3, 0, true}, name == p.Name
	}
	better := func(a, b hit) bool {
		return a.kind > b.kind || a.kind == b.kind && a.name == b.name && a.detail > b.detail
	}
	var allowed []hit
	for _, p := range a.Only {
		if h, ok := fits(p); ok {
			allowed = append(allowed, h)
		}
	}
	if a.OnlyGiven && len(allowed) == 0 {
		return Refused
	}
	for _, p := range a.No {
		h, ok := fits(p)
		for _, o := range allowed {
			ok = ok && !better(o, h)
		}
		if ok {
			return Refused
		}
	}
	return Allowed
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// TestAccessAgainstSlow compares the compiled lists with the obvious way, on
// lists and clients of few bits so that they meet often.
func TestAccessAgainstSlow(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4))
	addr := func() netip.Addr {
		if r.IntN(2) == 0 {
			a := netip.AddrFrom4([4]byte{10, byte(r.IntN(2)), byte(r.IntN(2)), byte(r.IntN(4))})
			if r.IntN(4) == 0 {
				return netip.AddrFrom16(a.As16())
			}
			return a
		}
		var b [16]byte
		b[0], b[3], b[15] = byte(0x20*r.IntN(2)), byte(r.IntN(2)), byte(r.IntN(3))
		return netip.AddrFrom16(b)
	}
	name := func() string {
		n := []string{"a", "b"}[r.IntN(2)] + []string{".x", ".y"}[r.IntN(2)]
		for r.IntN(2) == 0 {
			n += []string{".x", ".y"}[r.IntN(2)]
		}
		return n
	}
	pattern := func() conf.Pattern {
		switch r.IntN(6) {
		case 0:
			return conf.Pattern{Name: name()}
		case 1:
			n := name()
			return conf.Pattern{Name: n[strings.IndexByte(n, '.'):]}
		}
		a := addr().Unmap()
		lengths := []int{0, 8, 15, 16, 23, 24, 30, 32}
		if a.Is6() {
			lengths = []int{0, 3, 32, 64, 96, 126, 128}
		}
		p, _ := a.Prefix(lengths[r.IntN(len(lengths))])
		return conf.Pattern{Prefix: p}
	}
	list := func() (ps []conf.Pattern) {
		for range r.IntN(6) {
			ps = append(ps, pattern())
		}
		return ps
	}
	seen := make(map[Answer]int)
	for range 20000 {
		c := &conf.Access{Only: list(), No: list()}
		c.OnlyGiven = len(c.Only) > 0 || r.IntN(4) == 0
		a := NewAccess(c)
		for range 4 {
			ip, n := addr(), name()
			want := slowly(c, ip, n)
			if got := a.CheckName(ip, n); got.Answer != want {
				t.Fatalf("CheckName(%v, %q) with %+v = %v, want %v", ip, n, c, got.Answer, want)
			}
			before := a.Check(ip).Answer
			if before != AskName && before != want {
				t.Fatalf("Check(%v) with %+v = %v, but named %q it is %v", ip, c, before, n, want)
			}
			if before != AskName && a.CheckName(ip, "").Answer != before {
				t.Fatalf("Check(%v) with %+v = %v, but without a name it is not", ip, c, before)
			}
			seen[before]++
		}
	}
	for _, a := range []Answer{Refused, Allowed, AskName} {
		if seen[a] < 1000 {
			t.Errorf("only %d of the clients had the answer %v", seen[a], a)
		}
	}
}

func TestAccessAllocs(t *testing.T) {
	a := NewAccess(access("10.0.0.0/8 2001:db8::/32 .example.com ! 10.1.0.0/16 bad.example.com"))
	ip := netip.MustParseAddr("10.2.3.4")
	if n := testing.AllocsPerRun(100, func() { a.Check(ip); a.CheckName(ip, "x.y.example.com") }); n != 0 {
		t.Errorf("a decision allocates %v times, want 0", n)
	}
}

func TestTrapped(t *testing.T) {
	t.Parallel()
	var tr Trapped
	now := time.Now()
	ip := netip.MustParseAddr
	has := func(after time.Duration, addr string, want bool) {
		t.Helper()
		if got := tr.Has(now.Add(after), ip(addr)); got != want {
			t.Errorf("Has(%s) after %v = %v, want %v", addr, after, got, want)
		}
	}
	has(0, "10.0.0.1", false)
	tr.Add(now, ip("10.0.0.1"), time.Minute)
	tr.Add(now, ip("10.0.0.2"), conf.Forever)
	tr.Add(now, ip("10.0.0.3"), 0)
	tr.Add(now, ip("2001:db8::1"), time.Minute)
	has(0, "10.0.0.1", true)
	has(0, "::ffff:10.0.0.1", true)
	has(0, "10.0.0.3", false)
	has(0, "2001:db8::2", true)
	has(0, "2001:db8:0:1::1", false)
	tr.Add(now.Add(30*time.Second), ip("10.0.0.1"), time.Minute)
	tr.Add(now.Add(30*time.Second), ip("10.0.0.1"), time.Second)
	tr.Add(now, ip("10.0.0.2"), time.Minute)
	has(80*time.Second, "10.0.0.1", true)
	has(90*time.Second, "10.0.0.1", false)
	has(24*time.Hour, "10.0.0.2", true)
	has(time.Minute, "2001:db8::1", false)
}

// TestTrappedIsBounded: more clients than there is room for are not kept, and
// there is room again when their time is over, of those whose time ever is.
func TestTrappedIsBounded(t *testing.T) {
	t.Parallel()
	var tr Trapped
	now := time.Now()
	addr := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}) }
	for i := range 2 * maxTrapped {
		if got, want := tr.Add(now, addr(i), time.Minute), i < maxTrapped; got != want {
			t.Fatalf("Add of client %d = %v, want %v", i, got, want)
		}
	}
	if len(tr.until) != maxTrapped {
		t.Errorf("%d clients are kept, want %d", len(tr.until), maxTrapped)
	}
	tr.Add(now, addr(0), conf.Forever)
	now = now.Add(time.Hour)
	if !tr.Add(now, addr(1<<20), time.Minute) || len(tr.until) != 2 || !tr.Has(now, addr(0)) {
		t.Errorf("an hour later %d clients are kept, want the new one and the one that is for ever", len(tr.until))
	}
}

func BenchmarkAccess(b *testing.B) {
	for _, n := range []int{10, 1000, 100000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			c := &conf.Access{OnlyGiven: true}
			for i := range n {
				c.Only = append(c.Only, conf.Pattern{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 32-i%9).Masked()})
			}
			a := NewAccess(c)
			ip := netip.MustParseAddr("192.0.2.1")
			for b.Loop() {
				a.Check(ip)
			}
		})
	}
}
