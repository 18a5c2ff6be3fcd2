package tool

import (
	"context"
	"net/netip"
	"strconv"
	"strings"

	"inetd/libwrap"
)

// Addresses finds all addresses of a host and warns of hosts that
// do not exist and of names that are not the official one. Numeric hosts are
// not looked up.
func (r *Report) Addresses(ctx context.Context, host string) []string {
	if a, ok := numeric(host); ok {
		return []string{a}
	}
	canon, addrs, _ := libwrap.System{}.LookupHost(ctx, host)
	if len(addrs) == 0 {
		r.Warnf("%s: host not found", host)
		return nil
	}
	if !strings.EqualFold(host, canon) {
		r.Warnf("%s: hostname alias", host)
		r.Warnf("(official name: %.128s)", canon)
	}
	return addrs
}

// Endpoint returns what a connection from addr would tell, its name looked up
// and verified, and warns of what is wrong with the name.
func (r *Report) Endpoint(ctx context.Context, addr string) libwrap.Endpoint {
	req := libwrap.Request{Client: libwrap.Endpoint{Addr: addr}, Lookup: libwrap.System{}}
	r.Expand(ctx, &req, "%n")
	if req.Client.Name == "unknown" {
		r.Warnf("host address %s->name lookup failed", addr)
	}
	return req.Client
}

// CheckHost looks at every address of a host and at the names it has. It
// returns how many there are.
func (r *Report) CheckHost(ctx context.Context, host string) int {
	addrs := r.Addresses(ctx, host)
	for _, a := range addrs {
		r.Endpoint(ctx, a)
	}
	return len(addrs)
}

// Expand replaces the % sequences of hosts_access(5), looking up what they ask
// for, and prints what goes wrong.
func (r *Report) Expand(ctx context.Context, req *libwrap.Request, text string) string {
	text, events := req.Expand(ctx, text)
	for i := range events {
		if e := &events[i]; e.Kind == libwrap.Log {
			r.Warnf("%s", strings.TrimPrefix(e.Text, "warning: "))
		}
	}
	return text
}

// NotAddress reports whether s has bytes that no IPv4 address or net has: the
// C programs take everything else for a number.
func NotAddress(s string) bool { return strings.Trim(s, "0123456789./") != "" }

// Known reports whether a name is that of a host, and not one of the words
// that stand for what a lookup can come to.
func Known(name string) bool {
	return !strings.EqualFold(name, "unknown") && !strings.EqualFold(name, "paranoid")
}

// numeric reads an address the way getaddrinfo(3) does when it is told to look
// nothing up: IPv4 addresses may have fewer than four parts, and octal and
// hexadecimal ones.
func numeric(s string) (string, bool) {
	if ip, err := netip.ParseAddr(s); err == nil {
		return ip.String(), true
	}
	var addr uint64
	parts := strings.Split(s, ".")
	if len(parts) > 4 {
		return "", false
	}
	for i, p := range parts {
		room := 8
		if i == len(parts)-1 {
			room = 8 * (4 - i)
		}
		v, err := cUint(p)
		if err != nil || v>>room != 0 {
			return "", false
		}
		addr = addr<<room | v
	}
	return netip.AddrFrom4([4]byte{byte(addr >> 24), byte(addr >> 16), byte(addr >> 8), byte(addr)}).String(), true
}

// cUint reads a number as strtoul(3) does with base 0.
func cUint(s string) (uint64, error) {
	if hex, ok := strings.CutPrefix(strings.ToLower(s), "0x"); ok {
		return strconv.ParseUint(hex, 16, 33)
	}
	if len(s) > 1 && s[0] == '0' {
		return strconv.ParseUint(s[1:], 8, 33)
	}
	return strconv.ParseUint(s, 10, 33)
}

// DottedQuad reports whether s is an IPv4 address in four parts.
func DottedQuad(s string) bool {
	a, ok := numeric(s)
	return ok && strings.Count(s, ".") == 3 && !strings.Contains(s, ":") && a != "255.255.255.255"
}
