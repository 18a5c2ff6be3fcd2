// Package rpcbind tells the local port mapper, rpcbind(8) or portmap(8), where
// an ONC RPC service listens, and takes that back. It speaks what inetd needs
// of RFC 1833: version 3 of rpcbind, and version 2 of the port mapper for
// systems that have only that (OpenBSD).
//
// Nothing is kept between calls, and all of it may be called from any
// goroutine. A call waits for another process: keep it out of an event loop.
package rpcbind

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"inetd/inetd/conf"
)

// Timeout bounds a call of Set or Unset whose context has no nearer deadline.
const Timeout = 10 * time.Second

// errNoPortMapper is in the chain of errors that say nobody listens where a
// port mapper would.
var errNoPortMapper = errors.New("no port mapper answers")

// A Mapping says where some versions of a program are served.
type Mapping struct {
	Program   uint32
	Low, High uint32 // versions, both ends included
	Netid     string // tcp, udp, tcp6 or udp6, as netconfig(5) calls them

	// Addr is where the socket is bound. Without an address, only a port, it
	// is every address. Unset does not look at it.
	Addr netip.AddrPort
}

// String names the mapping for a message: 100001/1-3 tcp6.
func (m Mapping) String() string {
	return fmt.Sprintf("%d/%s %s", m.Program, versions(m.Low, m.High), m.Netid)
}

func versions(low, high uint32) string {
	if low == high {
		return strconv.FormatUint(uint64(low), 10)
	}
	return fmt.Sprintf("%d-%d", low, high)
}

// Without is what of m is not in n as well.
func (m Mapping) Without(n Mapping) []Mapping {
	if m.Program != n.Program || m.Netid != n.Netid || m.High < n.Low || m.Low > n.High {
		return []Mapping{m}
	}
	var left []Mapping
	if below := m; m.Low < n.Low {
		below.High = n.Low - 1
		left = append(left, below)
	}
	if above := m; m.High > n.High {
		above.Low = n.High + 1
		left = append(left, above)
	}
	return left
}

// Set registers every version of m. A stale registration of the same program,
// version and netid, left by a server that died, is removed first, as BSD
// inetd does; removing needs its owner or root, and root is not told from a
// server that still lives. If some versions are refused, the others stand and
// the error names those that are not. What only a newer port mapper can do is
// errors.ErrUnsupported.
func Set(ctx context.Context, m Mapping) error { return apply(ctx, places, m, true, false) }

// Renew is Set for a mapping that was registered already: nothing is removed as
// long as it stands, so that nobody who asks meanwhile is told that there is no
// such service. A port mapper that has forgotten it registers it anew.
func Renew(ctx context.Context, m Mapping) error { return apply(ctx, places, m, true, true) }

// Unset removes every version of m. That nothing was registered is no error.
func Unset(ctx context.Context, m Mapping) error { return apply(ctx, places, m, false, false) }

func apply(ctx context.Context, places []place, m Mapping, set, renew bool) error {
	if err := m.check(set); err != nil {
		return fmt.Errorf("%v: %w", m, err)
	}
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	conn, err := dial(ctx, places)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()

	c := &client{conn: conn, renew: renew}
	var refused []string
	for i := range m.High - m.Low + 1 {
		ok, err := c.change(m, m.Low+i, set)
		if err != nil {
			if ctx.Err() != nil {
				err = ctx.Err()
			}
			return fmt.Errorf("%v: port mapper at %v: %w", m, conn.RemoteAddr(), err)
		}
		if !ok {
			refused = append(refused, versions(m.Low+i, m.Low+i))
		}
	}
	if refused != nil {
		return fmt.Errorf("%v: refused for version %s: registered by another user, or not permitted", m, strings.Join(refused, ", "))
	}
	return nil
}

func (m Mapping) check(set bool) error {
	var v6 bool
	switch m.Netid {
	case "tcp", "udp":
	case "tcp6", "udp6":
		v6 = true
	default:
		return errors.New("netid is not tcp, udp, tcp6 or udp6")
	}
	if m.Low > m.High || m.High-m.Low >= conf.MaxVersions {
		return fmt.Errorf("versions are not a range of 1 to %d", conf.MaxVersions)
	}
	if !set {
		return nil
	}
	if m.Addr.Port() == 0 {
		return errors.New("no port")
	}
	if a := m.Addr.Addr().Unmap(); a.IsValid() && a.Is6() != v6 {
		return fmt.Errorf("%v is not an address of %s", a, m.Netid)
	}
	return nil
}

// uaddr is the universal address of RFC 5665 section 5.2.3: the address and
// the two octets of the port, all between dots.
func (m Mapping) uaddr() string {
	a := m.Addr.Addr().Unmap().WithZone("")
	switch {
	case a.IsValid():
	case strings.HasSuffix(m.Netid, "6"):
		a = netip.IPv6Unspecified()
	default:
		a = netip.IPv4Unspecified()
	}
	p := m.Addr.Port()
	return fmt.Sprintf("%v.%d.%d", a, p>>8, p&0xff)
}

// A place is where a port mapper may listen.
type place struct{ network, addr string }

// places has the order of libtirpc's local_rpcb: the socket, because rpcbind
// learns from it whose request this is and whose the entry will be, then
// loopback. The abstract socket of newer versions is left out: when rpcbind is
// down, anybody may take that name.
var places = []place{
	{"unix", "/run/rpcbind.sock"},
	{"unix", "/var/run/rpcbind.sock"},
	{"tcp", "127.0.0.1:111"},
	{"tcp", "[::1]:111"},
}

func dial(ctx context.Context, places []place) (net.Conn, error) {
	var causes []string
	for _, p := range places {
		conn, err := p.dial(ctx)
		if err == nil {
			return conn, nil
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("port mapper at %s: %w", p.addr, ctx.Err())
		}
		var errno syscall.Errno
		if errors.As(err, &errno) {
			err = errno
		}
		causes = append(causes, fmt.Sprintf("%s: %v", p.addr, err))
	}
	return nil, fmt.Errorf("%w: %s", errNoPortMapper, strings.Join(causes, "; "))
}

func (p place) dial(ctx context.Context) (net.Conn, error) {
	var d net.Dialer
	if p.network == "unix" || os.Geteuid() != 0 {
		return d.DialContext(ctx, p.network, p.addr)
	}
	// Over loopback a port mapper knows root by its reserved port, and by
	// nothing else. The range is that of bindresvport(3).
	to, err := netip.ParseAddrPort(p.addr)
	if err != nil {
		return nil, err
	}
	for port := uint16(1023); port >= 600; port-- {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(to.Addr(), port))
		conn, err := d.DialContext(ctx, p.network, p.addr)
		switch {
		case errors.Is(err, syscall.EADDRINUSE):
			continue
		case errors.Is(err, syscall.EACCES): // root of a container, without the capability
			d.LocalAddr = nil
			return d.DialContext(ctx, p.network, p.addr)
		}
		return conn, err
	}
	return nil, syscall.EADDRINUSE
}
