package main

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"inetd/libwrap"
	"inetd/tcpd/tool"
)

// Shadows finds rules that come too late. It keeps the rules seen so far by
// the patterns that may hide others, so that long lists take no longer than
// they must.
type shadows struct {
	byKey  map[string][]earlier
	broad  []earlier       // with patterns that may hide anything
	passes []*libwrap.Rule // of the first table: clients that they match may still get to the second
}

type earlier struct {
	*libwrap.Rule
	allow bool // it is in the first table
}

// maxBroad bounds what every rule is compared with.
const maxBroad = 1000

// add returns the rule that hides r, nil if there is none, and remembers r.
func (s *shadows) add(r *libwrap.Rule, allow bool) *libwrap.Rule {
	var by *libwrap.Rule
	try := func(list []earlier) {
		for _, e := range list {
			if by != nil && by.Pos.File == e.Pos.File && by.First <= e.First {
				continue
			}
			if e.Hides(r) && (e.allow == allow || !slices.ContainsFunc(s.passes, func(p *libwrap.Rule) bool { return p.First <= e.First })) {
				by = e.Rule
			}
		}
	}
	try(s.broad)
	if len(r.Clients) > 0 {
		for _, k := range coveredBy(r.Clients[0].Text) {
			try(s.byKey[k])
		}
	}
	s.remember(r, allow)
	return by
}

func (s *shadows) remember(r *libwrap.Rule, allow bool) {
	e := earlier{Rule: r, allow: allow}
	if allow && slices.ContainsFunc(r.Options, func(o libwrap.OptionText) bool { return strings.EqualFold(o.Key, "aclexec") }) {
		s.passes = append(s.passes, r)
	}
	var keys []string
	for _, t := range r.Clients {
		k, ok := key(t.Text)
		if !ok {
			if len(s.broad) < maxBroad {
				s.broad = append(s.broad, e)
			}
			return
		}
		keys = append(keys, k)
	}
	if s.byKey == nil {
		s.byKey = make(map[string][]earlier)
	}
	for _, k := range keys {
		s.byKey[k] = append(s.byKey[k], e)
	}
}

// host drops the user part of a client pattern.
func host(pattern string) string {
	if _, h, at := tool.SplitHost(pattern); at {
		return h
	}
	return pattern
}

// key files a client pattern; false if it cannot be told from its text which
// others it may hide.
func key(pattern string) (string, bool) {
	h := strings.ToLower(host(pattern))
	if strings.ContainsAny(h, "*?") {
		return "", false
	}
	if strings.HasPrefix(h, "/") || !strings.Contains(h, "/") {
		return h, true
	}
	p, whole, ok := prefix(h)
	return p.String(), ok && whole
}

// coveredBy returns the keys of all patterns that may hide one.
func coveredBy(pattern string) []string {
	h := strings.ToLower(host(pattern))
	keys := []string{h, "all", "known"}
	for i := range len(h) {
		if h[i] == '.' {
			keys = append(keys, h[:i+1], h[i:]) // prefixes and suffixes
		}
	}
	p, _, ok := prefix(h)
	if dots := strings.Count(h, "."); !ok && dots > 0 && dots < 4 && h[len(h)-1] == '.' && !tool.NotAddress(h) {
		p, _, ok = prefix(h + strings.Repeat("0.", 3-dots) + "0/" + strconv.Itoa(8*dots))
	}
	if !ok {
		a, err := netip.ParseAddr(strings.Trim(h, "[]"))
		if err != nil {
			return keys
		}
		p = netip.PrefixFrom(a, a.BitLen())
	}
	for n := p.Bits(); n >= 0; n-- {
		q, err := p.Addr().Prefix(n)
		if err == nil {
			keys = append(keys, q.String())
		}
	}
	return keys
}

// prefix reads net/length, [net]/length and net/mask. whole is false if the
// mask has ones behind the prefix.
func prefix(s string) (p netip.Prefix, whole, ok bool) {
	net, mask, ok := tool.SplitAt(s, '/')
	if !ok {
		return p, false, false
	}
	a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(net, "["), "]"))
	if err != nil {
		return p, false, false
	}
	n, whole := 0, true
	if m, err := netip.ParseAddr(mask); err == nil && m.Is4() {
		ones := binary.BigEndian.Uint32(m.AsSlice())
		n = bits.LeadingZeros32(^ones)
		whole = ones<<n == 0
	} else if n, err = strconv.Atoi(mask); err != nil {
		return p, false, false
	}
	p, err = a.Prefix(n)
	return p, whole, err == nil
}
