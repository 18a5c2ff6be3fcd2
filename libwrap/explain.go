package libwrap

import (
	"slices"
	"strings"
)

// This file is for checkers: it says of patterns that the C library accepts
// in silence why they do not do what they seem to.

// ExplainHost says why a host pattern never matches, or not what it seems to,
// as a phrase that follows "PATTERN: ". It returns "" if nothing is odd. Host
// files and netgroups are not looked into.
func ExplainHost(pattern string) string {
	switch {
	case pattern == "":
		return "empty pattern never matches"
	case pattern[0] == '@', pattern[0] == '/':
		return ""
	}
	net, mask, isNet := splitAt(pattern, '/')
	switch {
	case strings.Count(pattern, "[") != strings.Count(pattern, "]"):
		return "unbalanced bracket hides the colons and slashes after it"
	case isNet && net != "" && net[0] == '[':
		return explainNet6(net, mask)
	case isNet && strings.IndexByte(net, ':') >= 0:
		return "IPv6 nets need brackets: [" + net + "]/" + mask
	case isNet:
		return explainNet4(net, mask)
	case isGlob(pattern):
		if _, rest, ok := strings.Cut(pattern, "*"); ok && rest != "" && (rest[0] == '*' || rest[0] == '?') {
			return "a star before another wildcard does not match at the end"
		}
		return ""
	case pattern[0] == '[' && pattern[len(pattern)-1] == ']':
		return explainAddr6(pattern[1 : len(pattern)-1])
	}
	if _, ok := parse6(pattern); ok {
		return "IPv6 addresses need brackets: [" + pattern + "]"
	}
	if addressOnly(pattern) && pattern[0] != '.' && pattern[len(pattern)-1] != '.' {
		if a, ok := inet4(pattern); !ok {
			if _, ok := inetAton(pattern); ok && strings.Count(pattern, ".") == 3 {
				return "is compared as text and matches no client as spelled"
			}
			return "is no complete address: a net needs a trailing dot or a mask"
		} else if a == 0xffffffff || a == 0 {
			return "is no address of a client"
		}
	}
	return ""
}

func explainNet4(net, mask string) string {
	a, ok := dotQuad(net)
	if !ok {
		if addressOnly(net) {
			return "bad net/mask pattern: the net must have four parts"
		}
		return "bad net/mask pattern"
	}
	m, ok := dotQuad(mask)
	if !ok {
		n := atoi(mask)
		switch {
		case n == 0:
			return "bad net/mask pattern: never matches; 0.0.0.0/0.0.0.0 is every IPv4 client"
		case mask == "255.255.255.255":
			return "bad net/mask pattern: never matches; write the address alone, or /32"
		case n < 0 || n > 32:
			return "bad net/mask pattern"
		case itoa(n) != mask:
			return "mask is read as /" + itoa(n)
		}
		m = ^uint32(0) << (32 - n)
	}
	if a&m != a {
		return "host bits are set, so it never matches: the net is " + quad(a&m)
	}
	for _, part := range strings.FieldsFunc(net+"."+mask, func(r rune) bool { return r == '.' }) {
		if len(part) > 1 && part[0] == '0' {
			return "a number beginning with 0 is octal, with 0x hexadecimal"
		}
	}
	return ""
}

func explainNet6(net, mask string) string {
	if net[len(net)-1] != ']' {
		return "bad net/mask pattern"
	}
	a, ok := parse6(net[1 : len(net)-1])
	n := atoi(mask)
	switch {
	case !ok, n < 0, n > 128:
		return "bad net/mask pattern"
	case mask != itoa(n) && n == 0:
		return "mask is read as /0: matches every IPv6 client"
	case mask != itoa(n):
		return "mask is read as /" + itoa(n)
	case mask6(a, n) != a:
		return "host bits are ignored"
	}
	return explainMapped(a, n)
}

func explainAddr6(addr string) string {
	if a, ok := parse6(addr); ok {
		return explainMapped(a, 128)
	}
	if before, after, ok := strings.Cut(addr, "/"); ok {
		if _, ok := parse6(before); ok {
			return "never matches: the length goes outside the brackets: [" + before + "]/" + after
		}
	}
	if _, ok := inet4(addr); ok {
		return "never matches: brackets are for IPv6"
	}
	return "is no IPv6 address and never matches"
}

// explainMapped is about ::ffff:0:0/96.
func explainMapped(a [16]byte, n int) string {
	if mapped := [12]byte{10: 0xff, 11: 0xff}; n >= 96 && [12]byte(a[:12]) == mapped {
		return "never matches an IPv4 client: write the IPv4 address"
	}
	return ""
}

func quad(a uint32) string {
	return itoa(int(a>>24)) + "." + itoa(int(a>>16&255)) + "." + itoa(int(a>>8&255)) + "." + itoa(int(a&255))
}

// Hides reports whether no request that r2 matches gets past r: whether r,
// standing earlier in the same table, leaves r2 without effect. It may say no
// where that is hard to see.
func (r *Rule) Hides(r2 *Rule) bool {
	// Options do not matter: whatever they do, even a failed aclexec, no later
	// rule of the same table gets a turn.
	return covers(r.Daemons, r2.Daemons, coversDaemon) && covers(r.Clients, r2.Clients, coversClient)
}

// covers reports whether list a matches whatever list b matches. Exceptions
// of b only make b smaller; those of a end the argument unless both lists are
// the same.
func covers(a, b []Token, word func(a, b string) bool) bool {
	if sameTokens(a, b) {
		return true
	}
	if slices.ContainsFunc(a, func(t Token) bool { return isExcept(t.Text) }) {
		return false
	}
	some := false
	for _, t := range b {
		if isExcept(t.Text) {
			break
		}
		some = true
		if !slices.ContainsFunc(a, func(u Token) bool { return word(u.Text, t.Text) }) {
			return false
		}
	}
	return some
}

func sameTokens(a, b []Token) bool {
	if len(a) != len(b) || len(a) == 0 {
		return false
	}
	for i := range a {
		if !sameWord(a[i].Text, b[i].Text) {
			return false
		}
	}
	return true
}

// sameWord says whether two patterns are the same: their case matters in the
// names of files and netgroups only.
func sameWord(a, b string) bool {
	at := strings.LastIndexByte(a, '@')
	exact := at == 0 || at > 0 && a[at-1] == '@' || strings.HasPrefix(a[at+1:], "/")
	return a == b || !exact && equalFold(a, b)
}

func coversDaemon(a, b string) bool {
	nameA, _, atA := splitHost(a)
	nameB, _, _ := splitHost(b)
	if sameWord(a, b) {
		return true
	}
	if atA {
		return false
	}
	_, portA := portPattern(nameA)
	_, portB := portPattern(nameB)
	if portA || portB {
		return equalFold(nameA, "ALL") || portA && portB && nameA == nameB
	}
	return coversString(nameA, nameB)
}

func coversClient(a, b string) bool {
	userA, hostA, atA := splitHost(a)
	userB, hostB, atB := splitHost(b)
	if !atA {
		hostA = a
	}
	if !atB {
		hostB = b
	}
	userOK := !atA || equalFold(userA, "ALL") || atB && equalFold(userA, userB)
	return userOK && coversHost(hostA, hostB)
}

func coversHost(a, b string) bool {
	if a == "" || b == "" {
		return false
	}
	if equalFold(a, "ALL") || a == b {
		return true
	}
	special := func(s string) bool {
		return s[0] == '@' || s[0] == '/' || equalFold(s, "KNOWN") || equalFold(s, "LOCAL") || equalFold(s, "ALL")
	}
	if special(a) || special(b) {
		return !(a[0] == '/' || a[0] == '@') && equalFold(a, b)
	}
	netA, maskA, isA := splitAt(a, '/')
	netB, maskB, isB := splitAt(b, '/')
	switch {
	case isA && isB:
		p, q := parseNet(netA, maskA), parseNet(netB, maskB)
		return (q.ok4 || q.ok6) &&
			(!q.ok4 || p.ok4 && p.mask&q.mask == p.mask && q.net&p.mask == p.net) &&
			(!q.ok6 || p.ok6 && p.len6 <= q.len6 && mask6(q.net6, p.len6) == p.net6)
	case isA:
		// An address, or a prefix such as 10., in a net.
		if _, ok := inet4(b); ok {
			return matchMask(netA, maskA, b)
		}
		if net, bits, ok := prefixNet(b); ok {
			p := parseNet(netA, maskA)
			return p.ok4 && p.mask<<bits == 0 && net&p.mask == p.net
		}
		if len(b) > 2 && b[0] == '[' && b[len(b)-1] == ']' && strings.IndexByte(b, '.') < 0 {
			return matchMask(netA, maskA, b[1:len(b)-1])
		}
		return false
	case isB:
		net, bits, ok := prefixNet(a)
		p := parseNet(netB, maskB)
		return ok && p.ok4 && !p.ok6 && ^p.mask>>(32-bits) == 0 && (p.net^net)>>(32-bits) == 0
	}
	// Addresses are never compared with names, so such a pattern does not
	// cover one that is.
	if addressOnly(a) && !addressOnly(b) {
		return false
	}
	return coversString(a, b)
}

// prefixNet reads an address prefix such as 10. or 192.168.1.
func prefixNet(s string) (net uint32, bits int, ok bool) {
	n := strings.Count(s, ".")
	if n < 1 || n > 3 || s[len(s)-1] != '.' {
		return 0, 0, false
	}
	net, ok = inet4(s + strings.Repeat("0.", 3-n) + "0")
	return net, 8 * n, ok
}

// coversString is for tokens that are compared as text.
func coversString(a, b string) bool {
	a, b = foldASCII(a), foldASCII(b)
	switch {
	case a == "all" || a == b:
		return true
	case b == "all" || b == "known" || isGlob(b) || b == "":
		return false
	case b[0] == '.':
		return a[0] == '.' && !isGlob(a) && strings.HasSuffix(b, a)
	case b[len(b)-1] == '.':
		return !isGlob(a) && a[0] != '.' && a[len(a)-1] == '.' && strings.HasPrefix(b, a)
	case b[0] == '[' || a == "known":
		return false
	}
	return matchString(a, b)
}
