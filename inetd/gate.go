package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"inetd/inetd/admit"
	"inetd/inetd/conf"
	"inetd/inetd/sock"
	"inetd/libwrap/netwrap"
)

// A gate is what xinetd.conf(5) asks about a client before it may have a
// server, made ready. Services of inetd.conf have none.
type gate struct {
	*conf.Xinetd
	access                *admit.Access
	filter                []sock.Instruction // access for a server that reads its clients itself
	times                 *admit.Times
	banner, success, fail string
}

// maxBanner bounds a banner file: it is sent in one go, without waiting.
const maxBanner = 16 << 10

// newGate reads the banner files, so that no disk is asked for a client. It
// fails if the gate could not be kept.
func newGate(svc *conf.Service, l *conf.ErrorList) (*gate, error) {
	x := svc.Xinetd
	if x == nil {
		return nil, nil
	}
	g := &gate{Xinetd: x, times: admit.NewTimes(x.Times)}
	access := x.Access
	if svc.ByAddress() && access.Names() != nil {
		access = conf.Access{OnlyGiven: true} // nobody, until the hosts' addresses are known
	}
	if err := g.guard(svc, &access); err != nil {
		return nil, err
	}
	for _, b := range []struct {
		file string
		text *string
	}{{x.Banner, &g.banner}, {x.BannerSuccess, &g.success}, {x.BannerFail, &g.fail}} {
		// The first that a client of tcpmux reads is + or -.
		if b.file == "" || svc.Internal == "tcpmux" || svc.Mux == conf.MuxSelf || svc.Mux == conf.MuxPlus && b.text != &g.success {
			continue
		}
		text, err := os.ReadFile(b.file)
		if err == nil && len(text) > maxBanner {
			err = fmt.Errorf("%s is longer than %d bytes", b.file, maxBanner)
		}
		if err != nil {
			l.Warnf(svc.Pos, "banner", "%s: %w", x.ID, err)
			continue
		}
		*b.text = string(text)
	}
	return g, nil
}

// guard compiles who is let in.
func (g *gate) guard(svc *conf.Service, a *conf.Access) error {
	if !a.Patterns() {
		return nil
	}
	g.access = admit.NewAccess(a)
	if !svc.Wait {
		return nil
	}
	prog, ok := g.access.Filter()
	g.filter = nil
	for _, i := range prog {
		g.filter = append(g.filter, sock.Instruction(i))
	}
	if !ok || !sock.CanFilter {
		return errors.New("its server accepts its clients itself, and the kernel cannot keep only_from and no_access for it")
	}
	return nil
}

// know puts their addresses in the place of hosts among the clients of a service
// that knows them by address only. As long as one has none the service is not
// served, for who may come is not known.
func (sp *spec) know(names map[string]answer) (err error) {
	if sp.gate == nil || !sp.ByAddress() || sp.Xinetd.Access.Names() == nil {
		return nil
	}
	addresses := func(attr string, list []conf.Pattern) (ps []conf.Pattern) {
		for _, p := range list {
			if p.Name == "" {
				ps = append(ps, p)
				continue
			}
			a := names[p.Name]
			if len(a.ips) == 0 {
				err = cmp.Or(err, fmt.Errorf("%s: %w", attr, cmp.Or(a.err, fmt.Errorf("%s has no address", p.Name))))
			}
			for _, ip := range a.ips {
				ip = ip.Unmap()
				ps = append(ps, conf.Pattern{Prefix: netip.PrefixFrom(ip, ip.BitLen())})
			}
		}
		return ps
	}
	a := sp.Xinetd.Access
	a.Only, a.No = addresses("only_from", a.Only), addresses("no_access", a.No)
	if err != nil {
		return err
	}
	g := *sp.gate
	if err := g.guard(sp.Service, &a); err != nil {
		return err
	}
	sp.gate = &g
	return nil
}

// shut has an entry let nobody in any more if others may come now, and it is not
// known who. It is false if that cannot be had.
func (e *entry) shut(next *spec) bool {
	if e.Xinetd == nil {
		return false
	}
	if e.Xinetd.Access.Equal(&next.Xinetd.Access) {
		return true
	}
	c, g := e.spec.copy(), *e.gate
	c.gate = &g
	e.spec = c
	return g.guard(c.Service, &conf.Access{OnlyGiven: true}) == nil
}

// Reasons of FAIL lines, as xinetd has them.
const (
	failAddress  = "address"
	failTime     = "time"
	failFork     = "fork"
	failService  = "service_limit"
	failSource   = "per_source_limit"
	failProcess  = "process_limit"
	failLibwrap  = "libwrap"
	failLoad     = "load"
	failCPS      = "connections per second"
	failIdentity = "ident"
)

// pass says whether a client is let in, as far as that can be told without
// waiting; ask says that it depends on the client's name. If the client is
// refused, that is done.
func (s *server) pass(c conn) (ok, ask bool) {
	e := c.e
	c.tell(e.gate.banner)
	reason, why, ask := s.judge(e, c.peer.Addr())
	switch reason {
	case "":
		return true, ask
	case failCPS:
		s.recordFail(c, failCPS)
		s.tooFast(e) // before the client knows, or another would still get in
		c.tellFail()
		s.drop(c)
	default:
		s.deny(c, reason, why)
	}
	return false, false
}

// judge asks everything that can be told from an address, in xinetd's order but
// for the limits on servers, which a refused client must not count for. It
// returns the reason of a refusal for the service's own log, and for the
// daemon's why.
func (s *server) judge(e *entry, src netip.Addr) (reason, why string, ask bool) {
	g, now := e.gate, s.now()
	switch {
	case !e.cps.Arrive(now, e.limits.CPS.Rate):
		return failCPS, failCPS, false
	case g.MaxLoad > 0 && s.load1() >= g.MaxLoad:
		return failLoad, "max_load", false
	case !g.times.Open(now, time.Local):
		return failTime, "access_times", false
	case g.Sensor:
		s.trap(e, src)
		return failAddress, "sensor", false
	case s.trapped.Has(now, src):
		return failAddress, "ran into a sensor", false
	case g.access == nil, len(g.filter) > 0 && !src.IsValid():
		return "", "", false // the kernel has seen to it
	}
	switch d := g.access.Check(src); d.Answer {
	case admit.Refused:
		return failAddress, d.Rule(), false
	case admit.AskName:
		return "", "", true
	}
	return "", "", false
}

// tooFast pauses a service that has more clients a second than it may.
func (s *server) tooFast(e *entry) {
	wait := e.limits.CPS.Wait
	s.log.err("deactivating service %s due to excessive incoming connections, restarting in %d seconds", e.gate.ID, int(wait.Seconds()))
	s.rest(e, wait)
}

// passDatagram is pass and screen for one datagram of a built-in, which is
// answered at once or not at all: what would take a lookup is refused. to is
// the address that was asked. It returns why, and the reason for the service's
// own log.
func (s *server) passDatagram(l *listener, from netip.AddrPort, to netip.Addr) (reason, why string) {
	e := l.entry
	if e.gate != nil {
		if e.resting {
			return "", failCPS
		}
		reason, why, ask := s.judge(e, from.Addr())
		switch {
		case reason == failCPS:
			s.tooFast(e)
			return reason, why
		case reason != "":
			return reason, why
		case ask:
			return failAddress, "only_from and no_access ask for more than its address"
		}
	}
	if e.wrapped.daemon == "" {
		return "", ""
	}
	// What is missing in a request is "unknown" and fits no rule, so that a
	// deny rule would not hold: it must be as complete as that of a connection.
	r := s.request(conn{fd: l.fd, peer: from, l: l, e: e})
	if to.IsValid() {
		r.Server.Addr = to.String()
	}
	v, ok := s.tables.CheckNow(r)
	switch {
	case !ok:
		return failLibwrap, "hosts.allow and hosts.deny ask for more than its address"
	case !v.Allowed:
		return failLibwrap, v.Rule.String()
	}
	return "", ""
}

// trap is what a sensor does with a client: no service takes it for a time.
func (s *server) trap(e *entry, src netip.Addr) {
	d := e.gate.DenyTime
	if d != 0 && s.trapped.Add(s.now(), src, d) {
		s.log.warn("%s: %s ran into the sensor: no service of xinetd.conf takes it for %s", e.label, src.Unmap(), denyText(d))
	}
}

func denyText(d time.Duration) string {
	if d == conf.Forever {
		return "as long as inetd runs"
	}
	return d.String()
}

// deny refuses a client: reason is for the service's own log, why for the
// daemon's.
func (s *server) deny(c conn, reason, why string) {
	s.recordFail(c, reason)
	c.tellFail()
	s.refuseClient(c, why)
}

// tellFail sends the banner for clients that are refused.
func (c conn) tellFail() {
	if g := c.e.gate; g != nil {
		c.tell(g.fail)
	}
}

// nameOf is the host name of an address, if that name has the address; a name
// is what its owner likes.
func nameOf(ctx context.Context, a netip.Addr) string {
	a = a.Unmap()
	var l netwrap.Lookup
	name, err := l.LookupName(ctx, a.String())
	if err != nil || name == "" {
		return ""
	}
	_, addrs, err := l.LookupAddrs(ctx, name, a.Is6())
	if err != nil || !slices.ContainsFunc(addrs, func(s string) bool {
		b, err := netip.ParseAddr(s)
		return err == nil && b.Unmap() == a.WithZone("")
	}) {
		return ""
	}
	return strings.ToLower(strings.TrimSuffix(name, "."))
}

// An average is the load average, read once a second at most.
type average struct {
	load float64
	read time.Time
}

// load1 is the load average of the last minute; what cannot be read is taken
// for too much.
func (s *server) load1() float64 {
	if a := &s.average; a.read.IsZero() || s.now().Sub(a.read) >= time.Second {
		load, err := loadavg()
		if err != nil {
			load = math.Inf(1)
		}
		a.load, a.read = load, s.now()
	}
	return s.average.load
}
