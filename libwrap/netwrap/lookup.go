// Package netwrap joins libwrap to package net: lookups for programs that
// live on, and a net.Listener that only passes on connections that
// hosts.allow and hosts.deny let in.
//
// It is a package of its own because importing net makes a program that lives
// for one connection, such as tcpd, measurably slower to start.
package netwrap

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"inetd/libwrap"
)

// Lookup implements libwrap.Lookup with package net. The zero value uses
// net.DefaultResolver. It is safe for concurrent use. Of a name that has several
// lines in /etc/hosts package net knows all; the C library stops at the first of
// a family, and calls a client with the others paranoid.
type Lookup struct {
	Resolver *net.Resolver
}

func (l Lookup) resolver() *net.Resolver {
	if l.Resolver != nil {
		return l.Resolver
	}
	return net.DefaultResolver
}

// LookupName implements libwrap.Lookup.
func (l Lookup) LookupName(ctx context.Context, addr string) (string, error) {
	names, err := l.resolver().LookupAddr(ctx, addr)
	if len(names) > 0 {
		if name := strings.TrimRight(names[0], "."); name != "" {
			return name, nil // others may be malformed
		}
		return "", libwrap.ErrBadName // the root
	}
	var e *net.DNSError
	if errors.As(err, &e) && e.Err == malformed {
		if l.Resolver == nil { // the C library tells names of digits from those that are none
			return libwrap.System{}.LookupName(ctx, addr)
		}
		return "", libwrap.ErrBadName
	}
	return "", err
}

// malformed is how package net says that there were names, but none that a
// host can have.
const malformed = "DNS response contained records which contain invalid names"

// LookupAddrs implements libwrap.Lookup.
func (l Lookup) LookupAddrs(ctx context.Context, name string, v6 bool) (canonical string, addrs []string, err error) {
	network := "ip4"
	if v6 {
		network = "ip6"
	}
	ips, err := l.resolver().LookupNetIP(ctx, network, name)
	if err != nil {
		return "", nil, err
	}
	if canonical, err = l.resolver().LookupCNAME(ctx, name); err != nil {
		return "", nil, err
	}
	canonical = strings.TrimRight(canonical, ".")
	for _, ip := range ips {
		addrs = append(addrs, ip.Unmap().String()) // the resolver maps IPv4 ones of /etc/hosts
	}
	return canonical, addrs, nil
}

// LookupUser implements libwrap.Lookup.
func (l Lookup) LookupUser(ctx context.Context, client, server libwrap.Endpoint) (string, error) {
	user, _, err := l.LookupUserText(ctx, client, server)
	return user, err
}

// LookupUserText is LookupUser with the text of libwrap.AskIdentText.
func (l Lookup) LookupUserText(ctx context.Context, client, server libwrap.Endpoint) (user, text string, err error) {
	local, err := netip.ParseAddr(server.Addr)
	if err != nil {
		return "", "", err
	}
	remote, err := netip.ParseAddr(client.Addr)
	if err != nil {
		return "", "", err
	}
	// Ask from the address the client connected to: its host knows the
	// connection by it.
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(local.Unmap(), 0))}
	c, err := d.DialContext(ctx, "tcp", netip.AddrPortFrom(remote.Unmap(), identPort).String())
	if err != nil {
		return "", "", err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	user, text, err = libwrap.AskIdentText(c, client.Port, server.Port)
	if err != nil && ctx.Err() != nil { // else it would be that of a closed connection
		err = ctx.Err()
	}
	return user, text, err
}

const identPort = 113

// Endpoint describes an address of package net. A unix socket comes out as the
// address "localhost" without a name, as with the C library.
func Endpoint(a net.Addr) libwrap.Endpoint {
	if a == nil {
		return libwrap.Endpoint{}
	}
	switch a.Network() {
	case "unix", "unixgram", "unixpacket":
		return libwrap.Endpoint{Addr: "localhost", Name: "unknown"}
	}
	host, port, err := net.SplitHostPort(a.String())
	if err != nil {
		return libwrap.Endpoint{}
	}
	e := libwrap.Endpoint{Addr: host}
	if n, err := strconv.ParseUint(port, 10, 16); err == nil {
		e.Port, e.HasPort = int(n), true
	}
	return e
}

// NewRequest returns the Request for a connection to a daemon of this
// process: it looks up with Lookup, and is Resident.
func NewRequest(daemon string, c net.Conn) *libwrap.Request {
	return &libwrap.Request{
		Daemon:   daemon,
		Client:   Endpoint(c.RemoteAddr()),
		Server:   Endpoint(c.LocalAddr()),
		Lookup:   Lookup{},
		Resident: true,
	}
}
