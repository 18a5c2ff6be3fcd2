package xinetdconf

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"inetd/inetd/conf"
)

func (s *setting) onlyFrom() {
	s.patterns(&s.d.x.Access.Only)
	s.d.x.Access.OnlyGiven = true
}

func (s *setting) noAccess() { s.patterns(&s.d.x.Access.No) }

// patterns edits a list of clients.
func (s *setting) patterns(to *[]conf.Pattern) {
	old := *to
	if s.op == assign {
		old = nil
	}
	out, only := slices.Clip(old), to == &s.d.x.Access.Only
	for _, w := range s.values {
		ps := s.pattern(w)
		if s.op != remove {
			out = append(out, ps...)
			continue
		}
		kept := slices.DeleteFunc(slices.Clone(out), func(p conf.Pattern) bool { return slices.Contains(ps, p) })
		switch {
		case len(kept) < len(out) || len(ps) == 0:
		case only && len(out) == 0:
			s.p.errs.Warnf(w.pos, s.attr, "there is no list that %q could be removed from: nobody is served", w.text)
		case only && overlap(out, ps):
			// Who takes one address from a network believes that it is out.
			s.fail(w, "%q is not in the list, only what may include it, so it cannot be removed", w.text)
		default:
			s.p.errs.Warnf(w.pos, s.attr, "%q is not in the list: there is nothing to remove", w.text)
		}
		out = kept
	}
	*to = out
}

// overlap says whether a client may fit both lists. What addresses a name has
// is not known here.
func overlap(a, b []conf.Pattern) bool {
	return slices.ContainsFunc(a, func(p conf.Pattern) bool {
		return slices.ContainsFunc(b, func(q conf.Pattern) bool {
			switch {
			case p.Name == "" && q.Name == "":
				return p.Prefix.Overlaps(q.Prefix)
			case p.Name != "" && q.Name != "":
				return strings.HasSuffix(p.Name, q.Name) || strings.HasSuffix(q.Name, p.Name)
			}
			return true
		})
	})
}

// everybody are all addresses.
var everybody = []conf.Pattern{{Prefix: netip.MustParsePrefix("0.0.0.0/0")}, {Prefix: netip.MustParsePrefix("::/0")}}

// pattern reads one word of only_from or no_access.
func (s *setting) pattern(w word) []conf.Pattern {
	t := w.text
	one := func(p netip.Prefix) []conf.Pattern { return []conf.Pattern{{Prefix: p.Masked()}} }
	addr, err := netip.ParseAddr(t)
	switch {
	case strings.ContainsAny(t, "{}"):
		return s.factorized(w)
	case strings.Contains(t, ","):
		s.fail(w, "%q: blanks stand between addresses, not commas", t)
	case strings.Contains(t, "/"):
		return s.network(w)
	case err == nil && addr.Zone() != "":
		s.fail(w, "%q: an address with a zone fits nobody", t)
	case err == nil && addr.Unmap().Is4():
		return v4(addr.Unmap())
	case err == nil && addr.IsUnspecified():
		s.fail(w, "%q is nobody's address: ::/0 is every IPv6 address", t)
	case err == nil:
		return one(netip.PrefixFrom(addr, 128))
	case strings.Trim(t, "0123456789.") == "":
		s.fail(w, "%q is not an address of four numbers up to 255; as a network, write 0 for the rest", t)
	case strings.ToLower(t) == "localhost":
		return []conf.Pattern{{Prefix: netip.MustParsePrefix("127.0.0.1/32")}, {Prefix: netip.MustParsePrefix("::1/128")}}
	default:
		if p, ok := s.p.env.Network(t); ok {
			return one(p)
		}
		if hostName(strings.TrimPrefix(t, ".")) {
			return []conf.Pattern{{Name: strings.ToLower(strings.TrimSuffix(t, "."))}}
		}
		s.fail(w, "%q is not an address, network, host name or domain", t)
	}
	return nil
}

// v4 reads an IPv4 address without a length: numbers that are 0 at its end are
// wildcards.
func v4(a netip.Addr) []conf.Pattern {
	b := a.As4()
	bits := 32
	for bits > 0 && b[bits/8-1] == 0 {
		bits -= 8
	}
	if bits == 0 {
		return everybody
	}
	return []conf.Pattern{{Prefix: netip.PrefixFrom(a, bits)}}
}

// network reads ADDRESS/LENGTH, or as hosts_access(5) has it ADDRESS/MASK.
func (s *setting) network(w word) []conf.Pattern {
	left, right, _ := strings.Cut(w.text, "/")
	addr, err := netip.ParseAddr(left)
	if err != nil || addr.Zone() != "" {
		s.fail(w, "%q: expected an address before the /", w.text)
		return nil
	}
	bits, ok := maskBits(right)
	if !ok || bits > addr.BitLen() {
		s.fail(w, "%q: expected a number from 0 to %d after the /", w.text, addr.BitLen())
		return nil
	}
	if addr.Is4In6() && bits >= 96 {
		addr, bits = addr.Unmap(), bits-96
	}
	p := netip.PrefixFrom(addr, bits).Masked()
	if p.Addr() != addr {
		s.p.errs.Warnf(w.pos, s.attr, "%q has bits beyond its length; it is read as %s", w.text, p)
	}
	return []conf.Pattern{{Prefix: p}}
}

// maskBits is the length that a number or a dotted mask stands for.
func maskBits(t string) (int, bool) {
	if m, err := netip.ParseAddr(t); err == nil && m.Is4() {
		bits := 0
		b := m.As4()
		v := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
		for ; v&(1<<31) != 0; v <<= 1 {
			bits++
		}
		return bits, v == 0
	}
	n, err := strconv.ParseUint(t, 10, 8)
	return int(n), err == nil
}

// factorized reads 10.1.{2,3}: several addresses or networks that differ in
// their last number.
func (s *setting) factorized(w word) []conf.Pattern {
	head, rest, _ := strings.Cut(w.text, "{")
	var octets []byte
	ok := strings.HasSuffix(rest, "}") && (head == "" || strings.HasSuffix(head, "."))
	if head = strings.TrimSuffix(head, "."); ok && head != "" {
		for f := range strings.SplitSeq(head, ".") {
			n, err := strconv.ParseUint(f, 10, 8)
			ok = ok && err == nil
			octets = append(octets, byte(n))
		}
	}
	var ps []conf.Pattern
	if ok = ok && len(octets) < 4; ok {
		for f := range strings.SplitSeq(strings.TrimSuffix(rest, "}"), ",") {
			n, err := strconv.ParseUint(f, 10, 8)
			ok = ok && err == nil
			var b [4]byte
			copy(b[:], octets)
			b[len(octets)] = byte(n)
			ps = append(ps, conf.Pattern{Prefix: netip.PrefixFrom(netip.AddrFrom4(b), 8*len(octets)+8)})
		}
	}
	if !ok {
		s.fail(w, "%q: expected numbers up to 255 with dots between and at the end several of them in braces, as in 10.1.{2,3}", w.text)
		return nil
	}
	return ps
}

// hostName says whether a word can be the name of a host: something that is
// neither empty nor all digits, dots and dashes.
func hostName(t string) bool {
	letter := false
	for i := range len(t) {
		c := t[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', c == '_':
			letter = true
		case '0' <= c && c <= '9', c == '-' && i > 0, c == '.' && i > 0 && t[i-1] != '.':
		default:
			return false
		}
	}
	return letter && len(t) <= 253
}

// accessTimes reads [DAYS/]HOUR:MINUTE-HOUR:MINUTE.
func (s *setting) accessTimes() {
	var ts []conf.TimeWindow
	for _, w := range s.values {
		t := conf.TimeWindow{Days: conf.EveryDay}
		times := w.text
		if days, after, ok := strings.Cut(w.text, "/"); ok {
			times = after
			if t.Days, ok = parseDays(days); !ok {
				s.fail(w, "%q: expected days such as Mon-Fri or Sat,Sun before the /", w.text)
				continue
			}
		}
		from, to, _ := strings.Cut(times, "-")
		start, ok1 := minute(from)
		end, ok2 := minute(to)
		switch {
		case !ok1 || !ok2 || start == midnight:
			s.fail(w, "%q: expected HOUR:MINUTE-HOUR:MINUTE, from 0:00 to 24:00", w.text)
		case start == end:
			s.fail(w, "%q begins when it ends; all day is 0:00-24:00", w.text)
		default:
			// The minute of the end belongs to the window, but for midnight.
			if end == midnight {
				end--
			}
			t.Start, t.End = start, end
			ts = append(ts, t)
		}
	}
	s.d.x.Times = ts
}

const midnight = 24 * 60

// minute reads HOUR:MINUTE.
func minute(t string) (uint16, bool) {
	h, m, ok := strings.Cut(t, ":")
	hours, ok1 := digits(h, 24)
	minutes, ok2 := digits(m, 59)
	n := 60*hours + minutes
	return n, ok && ok1 && ok2 && n <= midnight
}

// digits reads one or two of them.
func digits(t string, most uint16) (uint16, bool) {
	n, err := strconv.ParseUint(t, 10, 16)
	return uint16(n), err == nil && len(t) <= 2 && uint16(n) <= most
}

var dayNames = []string{time.Sunday: "Sun", time.Monday: "Mon", time.Tuesday: "Tue", time.Wednesday: "Wed", time.Thursday: "Thu", time.Friday: "Fri", time.Saturday: "Sat"}

// parseDays reads Mon-Fri,Sun. A range may go on from Saturday to Sunday.
func parseDays(t string) (conf.Days, bool) {
	var ds conf.Days
	for part := range strings.SplitSeq(t, ",") {
		from, to, ranged := strings.Cut(part, "-")
		if !ranged {
			to = from
		}
		day := func(n string) int {
			return slices.IndexFunc(dayNames, func(d string) bool { return strings.EqualFold(d, n) })
		}
		d, last := day(from), day(to)
		if d < 0 || last < 0 {
			return 0, false
		}
		for ds |= 1 << d; d != last; {
			d = (d + 1) % 7
			ds |= 1 << d
		}
	}
	return ds, true
}
