package main

import (
	"net/netip"
	"strings"

	"inetd/libwrap"
	"inetd/tcpd/tool"
)

// Shadows finds rules that come too late. It keeps the rules seen so far by
// the patterns that may hide others, so that long lists take no longer than
// they must.
type shadows struct {
	byKey map[string][]earlier
	broad []earlier // with patterns that may hide anything
}

type earlier struct {
	*libwrap.Rule
	passes bool // clients it matches may still get to the second table
	allow  bool // it is in the first
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
			if (e.allow == allow || !e.passes) && e.Hides(r) {
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
	for _, o := range r.Options {
		if strings.EqualFold(o.Key, "aclexec") {
			e.passes = true
		}
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
	p, ok := prefix(h)
	return p.String(), ok
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
	p, ok := prefix(h)
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

// prefix reads net/length, [net]/length and net/mask.
func prefix(s string) (netip.Prefix, bool) {
	net, mask, ok := tool.SplitAt(s, '/')
	if !ok {
		return netip.Prefix{}, false
	}
	net = strings.TrimSuffix(strings.TrimPrefix(net, "["), "]")
	a, err := netip.ParseAddr(net)
	if err != nil {
		return netip.Prefix{}, false
	}
	if m, err := netip.ParseAddr(mask); err == nil && m.Is4() {
		b := m.As4()
		bits := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
		n := 0
		for ; bits&(1<<31) != 0; bits <<= 1 {
			n++
		}
		if bits != 0 {
			return netip.Prefix{}, false
		}
		p, err := a.Prefix(n)
		return p, err == nil
	}
	p, err := netip.ParsePrefix(net + "/" + mask)
	return p.Masked(), err == nil
}
