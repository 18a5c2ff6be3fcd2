package libwrap

import (
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
)

func TestMatchString(t *testing.T) {
	for _, tt := range []struct {
		tok, text string
		want      bool
	}{
		{"ALL", "", true}, {"all", "x", true}, {"KNOWN", "unknown", false}, {"KNOWN", "UNKNOWN", false}, {"known", "x", true},
		{".example.com", "a.EXAMPLE.com", true}, {".example.com", ".example.com", false}, {".example.com", "example.com", false},
		{"10.", "10.0.0.1", true}, {"10.", "::ffff:10.0.0.1", true}, {"10.", "::FFFF:10.0.0.1", true}, {"10.", "100.0.0.1", false}, {"10.", "10.", true},
		{"host.", "host.evil.org", true}, {"10.0.0.1", "10.0.0.01", false}, {"::ffff:10.0.0.1", "::ffff:10.0.0.1", false},
		{"::ffff:300.0.0.1", "::ffff:300.0.0.1", true}, // no dotted quad, so nothing is removed
		{"[::1]", "::1", true}, {"[::1]", "0:0:0:0:0:0:0:1", true}, {"[::1]", "[::1]", false}, {"[10.0.0.1]", "10.0.0.1", false},
		{"[", "[", true}, {"]", "]", true}, {"[]", "[]", false}, {"[::ffff:10.0.0.1]", "::ffff:10.0.0.1", false}, {"[::ffff:10.0.0.1]", "::ffff:a00:1", true},
		{"[fe80::1]", "fe80::1%lo", true}, {"a*", "a", true}, {"a**", "a", false}, {"**", "", false}, {"*", "", true}, {"?", "", false}, {".a*", ".ab", true}, {"a.*.", "a.b.", true},
		{"", "", true}, {"", "x", false}, {"x", "X", true}, {"\xe9", "\xc9", false},
	} {
		if got := matchString(tt.tok, tt.text); got != tt.want {
			t.Errorf("matchString(%q, %q) = %v, want %v", tt.tok, tt.text, got, tt.want)
		}
	}
}

// slowGlob follows the C library step by step.
func slowGlob(pat, s string) bool {
	for {
		if pat == "" {
			return s == ""
		}
		if pat[0] == '*' {
			pat = pat[1:]
			if pat == "" {
				return true
			}
			if pat[0] != '?' && pat[0] != '*' {
				for ; s != ""; s = s[1:] {
					if lower(s[0]) == lower(pat[0]) && slowGlob(pat[1:], s[1:]) {
						return true
					}
				}
				return false
			}
			for ; s != ""; s = s[1:] {
				if slowGlob(pat, s) {
					return true
				}
			}
			return false
		}
		if s == "" || pat[0] != '?' && lower(pat[0]) != lower(s[0]) {
			return false
		}
		s, pat = s[1:], pat[1:]
	}
}

func TestMatchGlob(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	word := func(alphabet string, n int) string {
		b := make([]byte, r.IntN(n))
		for i := range b {
			b[i] = alphabet[r.IntN(len(alphabet))]
		}
		return string(b)
	}
	hits := 0
	for range 200000 {
		pat, s := word("ab*?*A.", 9), word("aabB.", 9)
		want := slowGlob(pat, s)
		if want {
			hits++
		}
		if got := matchGlob(pat, s); got != want {
			t.Fatalf("matchGlob(%q, %q) = %v, want %v", pat, s, got, want)
		}
	}
	if hits < 1000 {
		t.Errorf("only %d of the patterns matched", hits)
	}
	// What takes the recursion for ever.
	if matchGlob(strings.Repeat("*a", 900)+"b", strings.Repeat("a", 127)) {
		t.Error("matchGlob of many stars = true, want false")
	}
}

func TestNumbers(t *testing.T) {
	for s, want := range map[string]int{
		"8": 8, " \t\v8x": 8, "+8": 8, "-8": -8, "": 0, "x": 0, "0x8": 0, "08": 8, "4294967304": 8, "99999999999999999999": -1,
		"-99999999999999999999": 0, "9223372036854775807": -1, "9223372036854775808": -1, "--8": 0, "8.5": 8,
	} {
		if got := atoi(s); got != want {
			t.Errorf("atoi(%q) = %v, want %v", s, got, want)
		}
	}
	for s, want := range map[string]int{
		"22": 22, "+22": 22, "022": 22, "\v22": 22, "4294967318": 22, "-4294967274": 22, "0": 0, "65535": 65535,
		"65536": -1, "-1": -1, "22x": -1, "22 ": -1, "": -1, "-": -1, "+": -1, "x": -1, "99999999999": -1, "18446744073709551638": -1, "0x16": -1,
	} {
		got, ok := portPattern(s)
		if !ok {
			got = -1
		}
		if got != want {
			t.Errorf("portPattern(%q) = %v, want %v", s, got, want)
		}
	}
	for s, want := range map[string]uint32{
		"10.0.0.1": 0x0a000001, "012.0.0.1": 0x0a000001, "0xa.0X0.0.1": 0x0a000001, "10.0.0.1 junk": 0x0a000001, "1.2.3 .4": 0x01020003,
		"0.0.0.0": 0, "255.255.255.254": 0xfffffffe,
	} {
		if got, ok := dotQuad(s); !ok || got != want {
			t.Errorf("dotQuad(%q) = %#x, %v, want %#x", s, got, ok, want)
		}
	}
	for _, s := range []string{"", "10", "10.0.0", "10.0.0.0.0", "10.0.0.256", "10.0.0.08", "255.255.255.255", "10.0.0.x", "10..0.0.1", "0x.0.0.0", "10.0.0.1x", ".10.0.0.1", "-1.0.0.0", "10.0.0.99999999999999999999", "18446744073709551626.0.0.1", "10.0.0.18446744073709551617"} {
		if got, ok := dotQuad(s); ok {
			t.Errorf("dotQuad(%q) = %#x, want none", s, got)
		}
	}
}

func TestParse6(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	good := 0
	for range 300000 {
		var b strings.Builder
		for range r.IntN(12) {
			b.WriteString([]string{":", "::", "0", "1", "ffff", "db8", "12345", "1.2.3.4", "01.2.3.4", "g", ":", ":1", "1:"}[r.IntN(13)])
		}
		s := b.String()
		want, err := netip.ParseAddr(s)
		if err == nil && want.Is4() {
			continue
		}
		got, ok := parse6(s)
		if ok != (err == nil) || ok && got != want.As16() {
			t.Fatalf("parse6(%q) = %x, %v, want %v, %v", s, got, ok, want, err)
		}
		if ok {
			good++
		}
	}
	if good < 1000 {
		t.Errorf("only %d addresses were good", good)
	}
	for s, want := range map[string]bool{"fe80::1%1": true, "fe80::1%": false, "2001::1%1": true, "2001::1%lo": false, "2001::1%4294967296": false, "::1%": false, "10.0.0.1": false, "": false,
		"::1%01": true, "::1%" + strings.Repeat("0", 100) + "1": true, "::1%4294967295": true, "::1%18446744073709551617": false, "::1%1x": false, "::1%+1": false, "::1%1%1": false,
		"::1.2.3.4": true, "::1.2-3.4": false, "::1.2.3": false, "::1.2.3.4.5": false} {
		if _, ok := parse6(s); ok != want {
			t.Errorf("parse6(%q) = %v, want %v", s, ok, want)
		}
	}
}

func TestExplainHost(t *testing.T) {
	for pattern, want := range map[string]string{
		"10.0.0.0/8": "", "10.": "", "10.0.0.1": "", "host.example.com": "", ".example.com": "", "[2001:db8::]/32": "", "[::1]": "", "@grp": "", "/etc/x": "", "ALL": "", "*.example.com": "", "10.0.0.0/255.0.0.0": "",
		"10.1.2.3/8":               "host bits are set, so it never matches: the net is 10.0.0.0",
		"0.0.0.0/0":                "bad net/mask pattern: never matches; 0.0.0.0/0.0.0.0 is every IPv4 client",
		"10.0.0.1/255.255.255.255": "bad net/mask pattern: never matches; write the address alone, or /32",
		"10/8":                     "bad net/mask pattern: the net must have four parts",
		"10.0.0.0/33":              "bad net/mask pattern",
		"10.0.0.0/08":              "mask is read as /8",
		"012.0.0.0/8":              "a number beginning with 0 is octal, with 0x hexadecimal",
		"2001:db8::1":              "IPv6 addresses need brackets: [2001:db8::1]",
		"2001:db8::/32":            "IPv6 nets need brackets: [2001:db8::]/32",
		"[2001:db8::/32]":          "never matches: the length goes outside the brackets: [2001:db8::]/32",
		"[2001:db8::]/junk":        "mask is read as /0: matches every IPv6 client",
		"[2001:db8::]/":            "mask is read as /0: matches every IPv6 client",
		"[2001:db8::5]/32":         "host bits are ignored",
		"[2001:db8::]/129":         "bad net/mask pattern",
		"[10.0.0.1]":               "never matches: brackets are for IPv6",
		"[zz]":                     "is no IPv6 address and never matches",
		"[::1":                     "unbalanced bracket hides the colons and slashes after it",
		"[::ffff:10.0.0.1]":        "never matches an IPv4 client: write the IPv4 address",
		"[::ffff:0:0]/96":          "never matches an IPv4 client: write the IPv4 address",
		"10.1":                     "is no complete address: a net needs a trailing dot or a mask",
		"10.0.0.01":                "is compared as text and matches no client as spelled",
		"255.255.255.255":          "is no address of a client",
		"a**":                      "a star before another wildcard does not match at the end",
		"example.com/24":           "bad net/mask pattern",
	} {
		if got := ExplainHost(pattern); got != want {
			t.Errorf("ExplainHost(%q) = %q, want %q", pattern, got, want)
		}
	}
}

// TestExplainHostNever holds what ExplainHost says never matches against
// clients in and around it.
func TestExplainHostNever(t *testing.T) {
	g := odd{rand.New(rand.NewPCG(5, 6))}
	d := newDecision(t.Context(), &Tables{}, &Request{})
	for range 100000 {
		pattern := g.host()
		why := ExplainHost(pattern)
		if !strings.Contains(why, "never matches:") && !strings.HasPrefix(why, "host bits are set") && !strings.HasSuffix(why, "and never matches") {
			continue
		}
		addr := g.pick(g.v4(), strings.Trim(g.host(), "[]"), "10.0.0.1", "10.1.2.3")
		if i := strings.IndexAny(pattern, "/]"); i > 0 {
			addr = g.pick(addr, strings.Trim(pattern[:i], "[]"))
		}
		if strings.Contains(why, "an IPv4 client") {
			addr = "::ffff:10.0.0.1"
		}
		if _, ok := dotQuad(unmap(addr)); !ok {
			if _, ok := parse6(addr); !ok {
				continue // no address of a client
			}
		}
		e := &Endpoint{Addr: addr, Name: "unknown"}
		if d.hostMatches(pattern, e) {
			t.Fatalf("ExplainHost(%q) = %q, but it matches %q", pattern, why, addr)
		}
	}
}

// TestHides looks for requests that the second of two rules matches although
// the first is said to hide it.
func TestHides(t *testing.T) {
	g := odd{rand.New(rand.NewPCG(7, 8))}
	list := func(s string) []Token {
		var toks []Token
		for tok, rest := nextToken(s); tok != ""; tok, rest = nextToken(rest) {
			toks = append(toks, Token{Text: tok})
		}
		return toks
	}
	rule := func() *Rule {
		r := &Rule{}
		r.text.daemons = g.pick("ALL", "sshd", "sshd x", "in.*", "in.", "22", "s?hd", "*", "in.ftpd", "ALL EXCEPT x", "sshd@10.", "sshd EXCEPT 22")
		r.text.clients = g.pick("ALL", "10.", "10.0.", "10.0.0.0/8", "10.0.0.0/255.255.0.0", "10.0.0.1", ".example.com", ".com", "a.example.com", "*.com", "LOCAL", "KNOWN", "unknown", "joe@10.", "ALL@10.", "joe@ALL", "joe@", "ALL EXCEPT 10.", "[2001:db8::]/32", "[2001:db8::1]", "[::]/0", "10. .com", "10.0.0.1 10.1.1.0", "10.?.0.1", "host.", "0.0.0.0/0.0.0.0", "PARANOID", ".1", "10.0.0.0/8 EXCEPT 10.1.")
		if g.chance(.3) {
			r.text.clients = g.list(g.client)
			r.text.clients = strings.ReplaceAll(strings.ReplaceAll(r.text.clients, "@DIR@", "/nonexistent"), "@", "A")
		}
		r.Daemons, r.Clients = list(r.text.daemons), list(r.text.clients)
		return r
	}
	hidden, tested := 0, 0
	for range 100000 {
		a, b := rule(), rule()
		if !a.Hides(b) {
			continue
		}
		hidden++
		for range 20 {
			r := &Request{
				Daemon: g.pick("sshd", "x", "in.ftpd", "in."),
				Client: Endpoint{Addr: g.pick("10.0.0.1", "10.1.1.0", "1.2.3.4", "2001:db8::1", "::1", "::ffff:10.0.0.1", "unknown"), Name: g.pick("a.example.com", "x.com", "host", "unknown", "paranoid", "host.x", "x.1")}, // never numeric: such names are paranoid
				Server: Endpoint{Addr: g.pick("10.0.0.1", "1.1.1.1"), Port: 22, HasPort: g.chance(.5)},
				User:   g.pick("joe", "unknown", "x"),
			}
			d := newDecision(t.Context(), &Tables{}, r)
			if d.ruleMatches(&b.text) {
				tested++
				if !d.ruleMatches(&a.text) {
					t.Fatalf("%q : %q hides %q : %q, but not for %+v", a.text.daemons, a.text.clients, b.text.daemons, b.text.clients, r)
				}
			}
		}
	}
	if hidden < 1000 || tested < 1000 {
		t.Errorf("%d hidden rules, %d of them tested: too few", hidden, tested)
	}
}
