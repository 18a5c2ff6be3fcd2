package libwrap

import (
	"context"
	"errors"
)

// ErrBadName is what Lookup.LookupName returns for an address that has a name
// which is not that of a host. The client is then "paranoid", as with any
// other name that does not hold.
var ErrBadName = errors.New("not a host name")

// hostName returns the name of an endpoint, looking it up the first time.
func (d *decision) hostName(e *Endpoint) string {
	if e.Name == "" {
		if d.r.Lookup != nil && *e.addr() != unknown && d.block() {
			return ""
		}
		e.Name = unknown
		if d.r.Lookup != nil && isNumeric(e.Addr) {
			e.Name = clip(d.verifiedName(e.Addr))
		}
	}
	return e.Name
}

// verifiedName returns the name of an address if the name has that address
// too. A name whose owner may be lying is "paranoid"; no name is "unknown".
func (d *decision) verifiedName(addr string) string {
	// An IPv4 client of an IPv6 socket is looked up as what it is.
	plain := unmap(addr)
	name, err := d.r.Lookup.LookupName(d.ctx, plain)
	name = clip(name)
	if errors.Is(err, ErrBadName) {
		d.warn("host name/name mismatch: reverse lookup of " + addr + " results in no host name")
		return paranoid
	}
	if err != nil || name == "" {
		return unknown
	}
	shown := printable(name)
	if isNumeric(name) {
		d.warn("host name/name mismatch: reverse lookup results in non-FQDN " + shown)
		return paranoid
	}
	_, v6 := parse6(plain)
	canon, addrs, err := d.r.Lookup.LookupAddrs(d.ctx, name, v6)
	switch {
	case err != nil || len(addrs) == 0:
		family := "AF_INET"
		if v6 {
			family = "AF_INET6"
		}
		d.warn("can't verify hostname: getaddrinfo(" + shown + ", " + family + ") failed")
	case !equalFold(name, canon) && !equalFold(name, "localhost"):
		d.warn("host name/name mismatch: " + shown + " != " + printable(clip(canon)))
	default:
		for _, a := range addrs {
			if sameAddr(unmap(a), plain) {
				return name
			}
		}
		d.warn("host name/address mismatch: " + plain + " != " + shown)
	}
	return paranoid
}

// printable makes what a name server said fit for a log line.
func printable(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c <= ' ' || c >= 0x7f {
			b[i] = '?'
		}
	}
	return string(b)
}

// sameAddr compares two numeric addresses and their zones.
func sameAddr(a, b string) bool {
	x, ok1 := inet4(a)
	y, ok2 := inet4(b)
	if ok1 || ok2 {
		return ok1 && ok2 && x == y
	}
	p, ok1 := parse6(a)
	q, ok2 := parse6(b)
	return ok1 && ok2 && p == q && zone(a) == zone(b)
}

func zone(s string) string {
	for i := range len(s) {
		if s[i] == '%' {
			return s[i+1:]
		}
	}
	return ""
}

// user returns the client's user name, asking its ident server the first
// time, if both ends of the connection are known.
func (d *decision) user() string {
	r := d.r
	if r.User == "" {
		ask := r.Lookup != nil && r.Client.HasPort && r.Server.HasPort
		if ask && d.block() {
			return ""
		}
		r.User = unknown
		if ask {
			d.event(Event{Kind: Ident, N: int(d.timeout.Seconds())})
			ctx, cancel := context.WithTimeout(d.ctx, d.timeout)
			u, err := r.Lookup.LookupUser(ctx, r.Client, r.Server)
			cancel()
			if u = clip(u); err == nil && u != "" {
				r.User = u
			}
		}
	}
	return r.User
}

// inNetgroup reports whether a host name is a member of a netgroup.
func (d *decision) inNetgroup(group, name string) bool {
	if d.stop() || d.block() {
		return false
	}
	key := [2]string{group, name}
	if in, ok := d.netgroups[key]; ok {
		return in
	}
	ask := d.r.Netgroup
	if ask == nil {
		ask = getentNetgroup
	}
	in := ask(d.ctx, group, name)
	if d.netgroups == nil {
		d.netgroups = make(map[[2]string]bool)
	}
	d.netgroups[key] = in
	return in
}
