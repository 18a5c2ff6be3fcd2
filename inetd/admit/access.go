package admit

import (
	"net/netip"
	"slices"
	"strings"

	"inetd/inetd/conf"
)

// Access decides on a client by only_from and no_access, best match first:
//
//   - One address fits better than a network, a longer network prefix better
//     than a shorter one.
//   - One host name fits better than a domain, a longer domain better than a
//     shorter one.
//   - One address or host name fits better than any network or domain; a
//     network or domain fits better than all addresses.
//   - What cannot be compared fits equally well: an address and a host name, a
//     network and a domain.
//
// Of patterns that fit equally well one in no_access decides. It is immutable
// and safe for concurrent use. A decision takes time for the lengths of
// prefixes that there are and the labels in a name, not for the patterns.
type Access struct {
	only    bool // clients that nothing fits are refused
	v4, v6  prefixes
	names   map[string]rule // hosts, and domains with their dot
	outcome []match         // what a name may turn out to be, none among it
}

// A rule is the pattern that decides, and how.
type rule struct {
	pattern conf.Pattern
	refuse  bool
}

// A match is the rule that fits best.
type match struct {
	rule
	fit fit
}

type fit uint8

const (
	fitNot   fit = iota
	fitAll       // all addresses
	fitGroup     // a network or a domain
	fitOne       // an address or a host
)

type prefixes struct {
	lengths []int // the longest first
	rules   map[netip.Prefix]rule
}

// NewAccess compiles the patterns of a service.
func NewAccess(a *conf.Access) *Access {
	c := &Access{only: a.OnlyGiven, names: make(map[string]rule)}
	for _, p := range a.Only {
		c.add(rule{p, false})
	}
	for _, p := range a.No {
		c.add(rule{p, true})
	}
	c.cover()
	c.outcome = []match{{}}
	for name, r := range c.names {
		m := match{r, nameFit(name)}
		if !slices.ContainsFunc(c.outcome, func(o match) bool { return o.fit == m.fit && o.refuse == m.refuse }) {
			c.outcome = append(c.outcome, m)
		}
	}
	return c
}

func nameFit(pattern string) fit {
	if strings.HasPrefix(pattern, ".") {
		return fitGroup
	}
	return fitOne
}

// add takes the patterns of no_access last, so that they replace equal ones of
// only_from.
func (a *Access) add(r rule) {
	if r.pattern.Name != "" {
		a.names[r.pattern.Name] = r
		return
	}
	p := r.pattern.Prefix
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	if p.Addr().Is4() {
		a.v4.add(p, r)
		return
	}
	a.v6.add(p, r)
}

// cover lets an IPv6 network that holds the IPv4 clients of an IPv6 socket,
// such as ::/0, fit them where 0.0.0.0/0 says nothing.
func (a *Access) cover() {
	all := netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	m := a.v6.find(netip.MustParseAddr("::ffff:0.0.0.0"))
	if _, ok := a.v4.rules[all]; !ok && m.fit != fitNot {
		a.v4.add(all, m.rule)
	}
}

func (p *prefixes) add(n netip.Prefix, r rule) {
	if p.rules == nil {
		p.rules = make(map[netip.Prefix]rule)
	}
	p.rules[n.Masked()] = r
	if i, ok := slices.BinarySearchFunc(p.lengths, n.Bits(), func(l, bits int) int { return bits - l }); !ok {
		p.lengths = slices.Insert(p.lengths, i, n.Bits())
	}
}

func (p *prefixes) find(a netip.Addr) match {
	for _, n := range p.lengths {
		net, _ := a.Prefix(n)
		r, ok := p.rules[net]
		switch {
		case !ok:
		case n == a.BitLen():
			return match{r, fitOne}
		case n > 0:
			return match{r, fitGroup}
		default:
			return match{r, fitAll}
		}
	}
	return match{}
}

func (a *Access) findName(name string) match {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if r, ok := a.names[name]; ok {
		return match{r, fitOne}
	}
	for i := range len(name) {
		if name[i] == '.' {
			if r, ok := a.names[name[i:]]; ok {
				return match{r, fitGroup}
			}
		}
	}
	return match{}
}

// better is the one of two matches that decides.
func better(addr, name match) match {
	if addr.fit > name.fit || addr.fit == name.fit && addr.refuse {
		return addr
	}
	return name
}

// An Answer is what only_from and no_access say of a client.
type Answer uint8

const (
	Refused Answer = iota
	Allowed
	AskName // it depends on the client's name
)

// A Decision is an answer and the pattern that gave it, which is the zero one
// if none fits.
type Decision struct {
	Answer  Answer
	Pattern conf.Pattern
}

// Rule names what decided, as the file has it.
func (d Decision) Rule() string {
	switch none := d.Pattern == (conf.Pattern{}); {
	case none && d.Answer == Refused:
		return "only_from"
	case none:
		return ""
	case d.Answer == Refused:
		return "no_access " + d.Pattern.String()
	}
	return "only_from " + d.Pattern.String()
}

// Check decides on a client whose name nobody has asked for yet.
func (a *Access) Check(addr netip.Addr) Decision {
	m := a.findAddr(addr)
	d := a.decide(better(m, a.outcome[0]))
	for _, o := range a.outcome[1:] {
		if a.decide(better(m, o)).Answer != d.Answer {
			return Decision{Answer: AskName}
		}
	}
	return d
}

// CheckName decides on a client with that name, which the caller has found for
// the address and the address again for it. "" is a client without such a
// name: it may be the one that no_access means, so it is taken for that.
func (a *Access) CheckName(addr netip.Addr, name string) Decision {
	n := a.findName(name)
	if name == "" {
		for _, o := range a.outcome {
			if o.refuse {
				n = better(n, o)
			}
		}
	}
	return a.decide(better(a.findAddr(addr), n))
}

func (a *Access) findAddr(addr netip.Addr) match {
	if addr = addr.Unmap().WithZone(""); addr.Is4() {
		return a.v4.find(addr)
	}
	return a.v6.find(addr)
}

func (a *Access) decide(m match) Decision {
	if m.refuse || m.fit == fitNot && a.only {
		return Decision{Refused, m.pattern}
	}
	return Decision{Allowed, m.pattern}
}
