package main

import (
	"context"
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strings"

	"inetd/inetd/child"
	"inetd/inetd/conf"
	"inetd/inetd/sock"
	"inetd/libwrap"
	"inetd/libwrap/syslog"
)

// Set by the linker, as for tcpd.
var (
	hostsAllow    = libwrap.DefaultAllow
	hostsDeny     = libwrap.DefaultDeny
	realDaemonDir = "/usr/sbin"
)

// wrapping is how an entry's clients are checked with -l.
type wrapping struct {
	daemon string // the name that rules are matched with, "" for no check
	tcpd   bool   // the entry names tcpd, which is not executed: its log lines are written here
}

// wrap finds out what -l, -w and -W mean for an entry. A program called tcpd is
// replaced by the daemon it would have become.
func (sp *spec) wrap(o *options) {
	switch {
	case sp.Internal != "" && !o.wrapInternal, sp.Internal == "" && !o.wrapExternal:
	case sp.Wait && sp.Socktype == conf.Stream && path.Base(sp.Program) != "tcpd":
		// The server accepts, so nobody knows here who comes.
	case sp.Internal != "":
		sp.wrapped.daemon = sp.Name
	case path.Base(sp.Program) == "tcpd":
		sp.wrapped = wrapping{daemon: sp.Args[0], tcpd: true}
		real := realDaemonDir + "/" + sp.Args[0]
		if strings.HasPrefix(sp.Args[0], "/") {
			real = sp.Args[0]
			sp.wrapped.daemon = path.Base(real)
		}
		sp.plan.Path = real
		sp.plan.Argv = append([]string{sp.wrapped.daemon}, sp.Args[1:]...)
	default:
		sp.wrapped.daemon = path.Base(sp.Args[0])
	}
}

// maxChecks bounds the decisions that wait for names, ident servers or
// commands at one time. Clients beyond it are refused.
const maxChecks = 256

// screen asks hosts.allow and hosts.deny about a client before anything is
// started for it. What can be told from addresses is decided at once; the rest
// is looked up away from the loop.
func (s *server) screen(c conn) {
	w := c.e.wrapped
	if w.daemon == "" || c.e.resting {
		s.admit(c)
		return
	}
	r := s.request(c)
	if v, ok := s.tables.CheckNow(r); ok && !acts(v) {
		s.decided(c, r, v)
		return
	}
	if s.checks >= maxChecks {
		s.refuseClient(c, "too many access checks under way")
		return
	}
	s.checks++
	s.hold(c)
	go func() {
		v := s.tables.Check(context.Background(), r)
		p := libwrap.Performer{Conn: c.client(), Log: s.wrapLog(c.e)}
		err := p.Perform(context.Background(), v)
		s.set.Post(func() {
			s.checks--
			s.unhold(c)
			if !c.own && c.l.fd != c.fd {
				return // closed by a reload
			}
			if err != nil {
				s.log.err("%s: %s: %v", c.e.label, v.Rule, err)
				v.Allowed, v.Delegated = false, false
			}
			s.decided(c, r, v)
		})
	}()
}

// request is what rules may ask about a client.
func (s *server) request(c conn) *libwrap.Request {
	r := &libwrap.Request{Daemon: c.e.wrapped.daemon, Lookup: libwrap.System{}, Client: endpoint(c.peer)}
	if !c.own && c.l.addr.Type == sock.Dgram {
		if d, ok := sock.Peek(c.fd); ok {
			r.Client = endpoint(d.From)
		}
	}
	if c.l.addr.Path != "" {
		// As the C library has it for a client without an address.
		r.Client = libwrap.Endpoint{Addr: "localhost", Name: "localhost"}
		return r
	}
	r.Server = endpoint(sock.Local(c.fd))
	return r
}

func endpoint(a netip.AddrPort) libwrap.Endpoint {
	if !a.IsValid() {
		return libwrap.Endpoint{}
	}
	return libwrap.Endpoint{Addr: a.Addr().String(), Port: int(a.Port()), HasPort: true}
}

// acts says whether a verdict has something to do besides messages.
func acts(v *libwrap.Verdict) bool {
	for _, e := range v.Events {
		if e.Kind > libwrap.Option {
			return true
		}
	}
	return false
}

// decided logs a verdict and goes on with the client, or ends with it. What
// the rule wants of the server's process becomes part of its plan.
func (s *server) decided(c conn, r *libwrap.Request, v *libwrap.Verdict) {
	logf := s.wrapLog(c.e)
	if !acts(v) {
		for _, e := range v.Events {
			if e.Kind == libwrap.Log {
				logf(e.Priority, e.Text)
			}
		}
	}
	who := r.ClientInfo() + " (" + r.Client.Addr + ")"
	if !v.Allowed && !v.Delegated {
		if c.e.wrapped.tcpd {
			logf(v.DenySeverity, "refused connect from "+who)
		} else {
			logf(v.DenySeverity, fmt.Sprintf("refused connection from %s, service %s (%s)", who, c.e.Name, c.e.Proto))
		}
		s.drop(c)
		return
	}
	if v.Allowed {
		if c.e.wrapped.tcpd {
			logf(v.AllowSeverity, "connect from "+who)
		} else {
			logf(v.AllowSeverity, fmt.Sprintf("connection from %s, service %s (%s)", who, c.e.Name, c.e.Proto))
		}
	}
	if c.e.plan != nil {
		c.plan = planFor(c.e.plan, v.Child())
	}
	s.admit(c)
}

// planFor is p as a rule's options change it.
func planFor(p *child.Plan, w libwrap.Child) *child.Plan {
	if w.Command == "" && len(w.Env) == 0 && w.Umask < 0 && w.Nice == 0 && w.ID == nil {
		return p
	}
	q := *p
	if w.Command != "" {
		q.Path, q.Argv = "/bin/sh", []string{"sh", "-c", w.Command}
	}
	for _, kv := range w.Env {
		name, _, _ := strings.Cut(kv, "=")
		q.Env = slices.DeleteFunc(slices.Clone(q.Env), func(old string) bool { return strings.HasPrefix(old, name+"=") })
		q.Env = append(q.Env, kv)
	}
	if w.Umask >= 0 {
		q.Umask = &w.Umask
	}
	q.Nice += w.Nice
	if w.ID != nil {
		id := p.Identity()
		if w.ID.UID >= 0 {
			id.UID = uint32(w.ID.UID)
		}
		if w.ID.GID >= 0 {
			id.GID = uint32(w.ID.GID)
		}
		id.Groups = id.Groups[:0:0]
		for _, g := range w.ID.Groups {
			id.Groups = append(id.Groups, uint32(g))
		}
		q.SetIdentity(id)
	}
	return &q
}

// wrapLog is where the messages about an entry's clients go: for tcpd the
// place where its own went.
func (s *server) wrapLog(e *entry) func(syslog.Priority, string) {
	if !e.wrapped.tcpd {
		return s.log.print
	}
	daemon := e.wrapped.daemon
	return func(p syslog.Priority, text string) { s.log.as(daemon, p, text) }
}

// hold keeps the loop from the socket of a wait entry while its next client is
// looked up.
func (s *server) hold(c conn) {
	if !c.own {
		c.l.holder = &job{e: c.e}
		s.watch(c.l)
	}
}

func (s *server) unhold(c conn) {
	if !c.own {
		c.l.holder = nil
		s.release(c.l)
	}
}

// client is the connection as actions touch it, nil where there is none yet.
func (c conn) client() libwrap.Conn {
	if !c.own {
		return nil
	}
	return libwrap.FD(c.fd)
}
