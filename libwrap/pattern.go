package libwrap

import (
	"strconv"
	"strings"
)

// This file holds what is true of texts alone: how a token compares with a
// text, and how the C library of the day reads numbers and addresses. Nothing
// here looks anything up.

const (
	separators = ", \t\r\n" // of lists
	blanks     = " \t\r\n"  // blank lines, and around option values
)

func itoa(n int) string { return strconv.Itoa(n) }

// lower folds one ASCII letter, as tolower(3) does in the C locale.
func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

// equalFold is strcasecmp(3) in the C locale.
func equalFold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if a[i] != b[i] && lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

// foldASCII returns s in lower case, for use as a key.
func foldASCII(s string) string {
	for i := range len(s) {
		if c := s[i]; 'A' <= c && c <= 'Z' {
			b := []byte(s)
			for ; i < len(b); i++ {
				b[i] = lower(b[i])
			}
			return string(b)
		}
	}
	return s
}

// isspace is isspace(3) in the C locale.
func isspace(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' }

// trim removes what isspace(3) calls space from both ends.
func trim(s string) string {
	for s != "" && isspace(s[0]) {
		s = s[1:]
	}
	for s != "" && isspace(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	return s
}

// splitAt cuts s at the first sep outside of brackets. An unbalanced bracket
// of either kind hides every later separator.
func splitAt(s string, sep byte) (before, after string, found bool) {
	depth := 0
	for i := range len(s) {
		switch c := s[i]; {
		case c == '[':
			depth++
		case c == ']':
			depth--
		case c == sep && depth == 0:
			return s[:i], s[i+1:], true
		}
	}
	return s, "", false
}

// splitHost cuts "x@host" at the first @ after the first byte.
func splitHost(tok string) (name, host string, found bool) {
	if tok == "" {
		return tok, "", false
	}
	before, host, found := splitAt(tok[1:], '@')
	return tok[:1+len(before)], host, found
}

// nextToken returns the first word of a list and what follows it, "" at the
// end.
func nextToken(list string) (tok, rest string) {
	i := 0
	for i < len(list) && strings.IndexByte(separators, list[i]) >= 0 {
		i++
	}
	j := i
	for j < len(list) && strings.IndexByte(separators, list[j]) < 0 {
		j++
	}
	return list[i:j], list[j:]
}

func isExcept(tok string) bool { return len(tok) == 6 && equalFold(tok, "EXCEPT") }

// unmap removes "::ffff:" from before a dotted quad, the one spelling of
// IPv4-mapped addresses that patterns see through.
func unmap(s string) string {
	if len(s) > 7 && s[0] == ':' && equalFold(s[:7], "::ffff:") {
		if _, ok := dotQuad(s[7:]); ok {
			return s[7:]
		}
	}
	return s
}

// matchString compares a token with a daemon, user, address or host name.
func matchString(tok, text string) bool {
	text = unmap(text)
	n := len(tok)
	switch {
	case isGlob(tok):
		return matchGlob(tok, text)
	case n == 0:
		return text == ""
	case tok[0] == '.':
		return len(text) > n && equalFold(tok, text[len(text)-n:])
	case equalFold(tok, "ALL"):
		return true
	case equalFold(tok, "KNOWN"):
		return !equalFold(text, unknown)
	case tok[n-1] == '.':
		return len(text) >= n && equalFold(tok, text[:n])
	case tok[0] == '[' && tok[n-1] == ']':
		a, ok1 := parse6(tok[1 : n-1])
		b, ok2 := parse6(text)
		return ok1 && ok2 && a == b
	}
	return equalFold(tok, text)
}

func isGlob(tok string) bool {
	return strings.IndexByte(tok, '*') >= 0 || strings.IndexByte(tok, '?') >= 0
}

// matchGlob matches * and ?. A star that another * or ? follows does not match
// at the end of the text: the C library steps through the text looking for a
// place where the rest matches, and the end is not a place. It takes at most
// len(pat)*len(s) steps: where one star has to give way to the next, the
// earliest place is as good as any.
func matchGlob(pat, s string) bool {
	i, j := 0, 0
	star, mark := -1, 0
	for {
		switch {
		case j < len(pat) && pat[j] == '*':
			if j+1 == len(pat) {
				return true
			}
			if i >= len(s) {
				return false
			}
			star, mark = j, i
			j++
			continue
		case j < len(pat) && i < len(s) && (pat[j] == '?' || lower(pat[j]) == lower(s[i])):
			i++
			j++
			continue
		case j == len(pat) && i == len(s):
			return true
		}
		if mark++; star < 0 || mark >= len(s) {
			return false
		}
		i, j = mark, star+1
	}
}

// addressOnly reports whether a token can only mean an address, so that it is
// not compared with names.
func addressOnly(tok string) bool {
	for i := range len(tok) {
		if c := tok[i]; (c < '0' || c > '9') && c != '.' && c != '/' {
			return false
		}
	}
	return true
}

// A net is a net/mask token.
type netPattern struct {
	ok4       bool // matches IPv4 clients
	net, mask uint32

	ok6  bool // matches IPv6 clients
	net6 [16]byte
	len6 int
}

// parseNet reads net/mask. A mask that is no dotted quad counts as a length,
// read by atoi(3).
func parseNet(net, mask string) (p netPattern) {
	if a, ok := dotQuad(net); ok {
		m, ok := dotQuad(mask)
		if !ok {
			if n := atoi(mask); n >= 1 && n <= 32 {
				m, ok = ^uint32(0)<<(32-n), true
			}
		}
		// With host bits set no client can be equal to the net.
		if ok && a&m == a {
			p.ok4, p.net, p.mask = true, a, m
		}
	}
	if len(net) >= 2 && net[0] == '[' && net[len(net)-1] == ']' {
		if a, ok := parse6(net[1 : len(net)-1]); ok {
			if n := atoi(mask); n >= 0 && n <= 128 {
				p.ok6, p.net6, p.len6 = true, mask6(a, n), n
			}
		}
	}
	return p
}

// matchMask compares net/mask with an address.
func matchMask(net, mask, addr string) bool {
	p := parseNet(net, mask)
	if p.ok4 {
		if a, ok := dotQuad(unmap(addr)); ok && a&p.mask == p.net {
			return true
		}
	}
	if p.ok6 {
		if a, ok := parse6(addr); ok && mask6(a, p.len6) == p.net6 {
			// IPv4 clients never match an IPv6 net, not even a mapped one.
			return unmap(addr) == addr
		}
	}
	return false
}

// mask6 clears all but the first n bits.
func mask6(a [16]byte, n int) [16]byte {
	for i := range a {
		switch keep := n - 8*i; {
		case keep <= 0:
			a[i] = 0
		case keep < 8:
			a[i] &= 0xff << (8 - keep)
		}
	}
	return a
}

// dotQuad reads four runs of non-dots as inet_addr(3) does, octal and hex
// parts included. 255.255.255.255 is how inet_addr reports failure, so it is
// one here too.
func dotQuad(s string) (uint32, bool) {
	runs, in := 0, false
	for i := range len(s) {
		if s[i] == '.' {
			in = false
		} else if !in {
			in = true
			runs++
		}
	}
	if runs != 4 {
		return 0, false
	}
	a, ok := inetAton(s)
	return a, ok && a != 0xffffffff
}

// inetAton is glibc's inet_aton(3): up to four parts, the last one filling
// what is left; anything may follow a space.
func inetAton(s string) (uint32, bool) {
	var addr uint32
	for part := 0; ; part++ {
		v, rest, ok := cNumber(s)
		if !ok {
			return 0, false
		}
		s = rest
		if s != "" && s[0] == '.' {
			if part == 3 || v > 0xff {
				return 0, false
			}
			addr |= uint32(v) << (24 - 8*part)
			s = s[1:]
			continue
		}
		if s != "" && !isspace(s[0]) || v > 0xffffffff>>(8*part) {
			return 0, false
		}
		return addr | uint32(v), true
	}
}

// cNumber reads an unsigned number as strtoul(3) does with base 0: 0x is hex,
// 0 octal. It must begin with a digit and fit 32 bits.
func cNumber(s string) (v uint64, rest string, ok bool) {
	if s == "" || s[0] < '0' || s[0] > '9' {
		return 0, s, false
	}
	base := uint64(10)
	if s[0] == '0' {
		base = 8
		if len(s) > 2 && (s[1] == 'x' || s[1] == 'X') && hexDigit(s[2]) < 16 {
			base = 16
			s = s[2:]
		}
	}
	i := 0
	for ; i < len(s); i++ {
		d := uint64(hexDigit(s[i]))
		if d >= base {
			break
		}
		if v = v*base + d; v > 0xffffffff {
			return 0, s, false
		}
	}
	return v, s[i:], true
}

// hexDigit returns the value of a digit, 16 if c is none.
func hexDigit(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 16
}

// atoi is atoi(3) of a 64-bit system: leading space, sign, digits, then
// whatever; too large numbers are clamped to a long and cut to an int.
func atoi(s string) int {
	v, _, _ := strtol(s, 10)
	return int(int32(v))
}

// strtol reads what strtol(3) reads; ok is false without a digit.
func strtol(s string, base int64) (v int64, rest string, ok bool) {
	neg, mag, over, rest, ok := strtonum(s, base)
	switch {
	case !ok:
		return 0, rest, false
	case neg && (over || mag > 1<<63):
		return -1 << 63, rest, true
	case neg:
		return -int64(mag), rest, true
	case over || mag > 1<<63-1:
		return 1<<63 - 1, rest, true
	}
	return int64(mag), rest, true
}

func strtonum(s string, base int64) (neg bool, mag uint64, over bool, rest string, ok bool) {
	i := 0
	for i < len(s) && isspace(s[i]) {
		i++
	}
	if i < len(s) && (s[i] == '+' || s[i] == '-') {
		neg = s[i] == '-'
		i++
	}
	for ; i < len(s); i++ {
		d := uint64(hexDigit(s[i]))
		if d >= uint64(base) {
			break
		}
		ok = true
		if mag > (1<<64-1-d)/uint64(base) {
			over = true
		}
		mag = mag*uint64(base) + d
	}
	return neg, mag, over, s[i:], ok
}

// scanInt is sscanf(s, "%d%c") == 1: a number and nothing after it, cut to 32
// bits.
func scanInt(s string) (int, bool) {
	v, rest, ok := strtol(s, 10)
	return int(int32(v)), ok && rest == ""
}

// scanUint is sscanf(s, "%u%c") == 1, or %o with base 8: minus negates, and
// the result is cut to 32 bits.
func scanUint(s string, base int64) (uint32, bool) {
	neg, mag, over, rest, ok := strtonum(s, base)
	switch {
	case over:
		mag = 1<<64 - 1
	case neg:
		mag = -mag
	}
	return uint32(mag), ok && rest == ""
}

// portPattern reports whether a daemon name is a port number; it is then
// compared with the server's port only.
func portPattern(name string) (int, bool) {
	if name == "" || name[0] > '9' {
		return 0, false
	}
	p, ok := scanUint(name, 10)
	return int(p), ok && p <= 65535
}

// parse6 reads an IPv6 address as getaddrinfo(3) does with AI_NUMERICHOST: a
// zone is checked but has no part in comparisons.
func parse6(s string) (a [16]byte, ok bool) {
	addr, zone, hasZone := strings.Cut(s, "%")
	if a, ok = inet6(addr); !ok {
		return a, false
	}
	if hasZone {
		// Link-local, or multicast on an interface or link: the zone may be
		// the name of an interface, and for any address a number.
		scoped := a[0] == 0xfe && a[1]&0xc0 == 0x80 || a[0] == 0xff && (a[1]&0x0f == 1 || a[1]&0x0f == 2)
		if !scoped || !interfaceExists(zone) {
			if zone == "" || zone[0] < '0' || zone[0] > '9' {
				return a, false
			}
			if _, n, over, rest, _ := strtonum(zone, 10); over || n > 0xffffffff || rest != "" {
				return a, false
			}
		}
	}
	return a, true
}

// inet6 is inet_pton(AF_INET6).
func inet6(s string) (a [16]byte, ok bool) {
	if len(s) < 2 || len(s) > 45 {
		return a, false
	}
	n, gap := 0, -1
	if s[0] == ':' {
		if s[1] != ':' {
			return a, false
		}
		s = s[1:]
	}
	for s != "" {
		if s[0] == ':' { // the second of two
			if gap >= 0 {
				return a, false
			}
			gap = n
			s = s[1:]
			continue
		}
		v, i := uint16(0), 0
		for ; i < len(s) && i < 5; i++ {
			d := hexDigit(s[i])
			if d > 15 {
				break
			}
			v = v<<4 | uint16(d)
		}
		if i < len(s) && s[i] == '.' {
			q, ok := inet4(s)
			if !ok || n > 12 {
				return a, false
			}
			a[n], a[n+1], a[n+2], a[n+3] = byte(q>>24), byte(q>>16), byte(q>>8), byte(q)
			n += 4
			break
		}
		if i == 0 || i > 4 || n > 14 {
			return a, false
		}
		a[n], a[n+1] = byte(v>>8), byte(v)
		n += 2
		if s = s[i:]; s == "" {
			break
		}
		if s[0] != ':' || len(s) == 1 {
			return a, false
		}
		s = s[1:]
	}
	if gap >= 0 {
		if n == 16 {
			return a, false
		}
		copy(a[16-(n-gap):], a[gap:n])
		clear(a[gap : 16-(n-gap)])
		n = 16
	}
	return a, n == 16
}

// inet4 is inet_pton(AF_INET): four decimal parts without leading zeros.
func inet4(s string) (uint32, bool) {
	var a uint32
	for part := range 4 {
		i, v := 0, 0
		for ; i < len(s) && i < 4 && '0' <= s[i] && s[i] <= '9'; i++ {
			v = 10*v + int(s[i]-'0')
		}
		if i == 0 || i > 3 || v > 255 || i > 1 && s[0] == '0' {
			return 0, false
		}
		a = a<<8 | uint32(v)
		s = s[i:]
		if part < 3 {
			if s == "" || s[0] != '.' {
				return 0, false
			}
			s = s[1:]
		}
	}
	return a, s == ""
}

// isNumeric reports whether s is an address rather than a host name, as
// getaddrinfo(3) sees it.
func isNumeric(s string) bool {
	if _, ok := inetAton(s); ok {
		return true
	}
	_, ok := parse6(s)
	return ok
}
