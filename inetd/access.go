package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"inetd/inetd/admit"
	"inetd/inetd/child"
	"inetd/inetd/conf"
	"inetd/inetd/sock"
	"inetd/libwrap"
	"inetd/libwrap/netwrap"
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
func (sp *spec) wrap(o *options, l *conf.ErrorList) {
	x := sp.Xinetd
	asked := o.wrapExternal
	switch {
	case x != nil: // as the service says, -l or not
		asked = x.Libwrap != ""
	case sp.Internal != "":
		asked = o.wrapInternal
	}
	tcpd := x == nil && path.Base(sp.Program) == "tcpd"
	switch {
	case !asked:
	case sp.Wait && sp.Socktype == conf.Stream && !tcpd:
		l.Warnf(sp.Pos, "", "%s: hosts.allow and hosts.deny are not asked: its server accepts its clients itself", sp.label)
	case x != nil:
		sp.wrapped.daemon = x.Libwrap
	case sp.Internal != "":
		sp.wrapped.daemon = sp.Name
	case tcpd:
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
// commands at one time, in all and for one client (an IPv6 client is its /64).
// Clients beyond it are refused.
const (
	maxChecks       = 256
	maxClientChecks = 64
)

// An inquiry is what has to be found out about a client and may take time, and
// what came of it. It is made in the loop, so that a reload does not change
// what is asked, and carried out away from it.
type inquiry struct {
	access *admit.Access // asks for the client's name; nil does not
	ident  bool          // asks for the user
	log    func(syslog.Priority, string)
	shell  *libwrap.Shell // as whom the rules' commands run
	conn   libwrap.Conn   // for the rules' other actions

	rule    string           // of only_from and no_access, if they refuse
	request *libwrap.Request // nil without access control
	verdict *libwrap.Verdict // nil until it is known
	done    bool             // what the verdict wants of the daemon is done and logged
	err     error            // of that
	user    string           // who ident says it is
	says    string           // and all that it says
	userErr error
}

// screen asks about a client before anything is started for it. What can be
// told from addresses is decided at once; the rest is looked up away from the
// loop.
func (s *server) screen(c conn) {
	e := c.e
	if e.resting || e.gone {
		s.drop(c)
		return
	}
	var q inquiry
	if g := e.gate; g != nil {
		ok, ask := s.pass(c)
		if !ok {
			return
		}
		if ask {
			q.access = g.access
		}
		// To ask about who asks who asks would have no end.
		q.ident = c.own && c.peer.IsValid() && e.Port != identPort && (g.IDOnly || g.Log.OnSuccess&conf.LogUserID != 0)
	}
	if e.wrapped.daemon != "" {
		q.request = s.request(c)
		if c.l.addr.Type == sock.Dgram {
			q.request.User = "unknown" // as in tcpd: ident knows TCP only
		}
		q.log = s.wrapLog(e)
		q.shell = e.shell
		q.conn = c.client()
		q.request.Run = q.shell.Run
		if v, ok := s.tables.CheckNow(q.request); ok && !acts(v) {
			q.verdict = v
		}
	}
	if q.access == nil && !q.ident && (q.request == nil || q.verdict != nil) {
		s.decided(c, &q)
		return
	}
	s.inquire(c, q)
}

// inquire finds the rest out, if there is room for one more who waits for that.
func (s *server) inquire(c conn, q inquiry) {
	e := c.e
	who := admit.Source(c.peer.Addr())
	if s.checks >= maxChecks || s.checking[who] >= maxClientChecks {
		if q.access == nil && (q.request == nil || q.verdict != nil) && !e.gate.IDOnly {
			s.decided(c, &q) // only its name for the log is missing
			return
		}
		s.deny(c, failProcess, "too many access checks under way")
		return
	}
	if c.own && e.tally.Crowded(c.peer.Addr()) {
		s.deny(c, failSource, "more than "+limitText(e.limits.SourceChildren)+" servers at a time for one client")
		return
	}
	s.checks++
	s.checking[who]++
	s.hold(c)
	spec := e.spec
	go func() {
		q.ask(c, s.tables)
		s.set.Post(func() {
			s.checks--
			if s.checking[who]--; s.checking[who] == 0 {
				delete(s.checking, who)
			}
			full := e.tally.Full()
			s.unhold(c)
			s.answered(c, &q, spec)
			if full {
				s.watchAll(e)
			}
		})
	}()
}

// answered goes on with a client that was looked up while its entry was spec.
func (s *server) answered(c conn, q *inquiry, spec *spec) {
	switch e := c.e; {
	case !c.own && (c.l.fd != c.fd || c.l.entry != e || e.spec != spec):
		// A reload closed it, or it is another's: the loop finds the client again.
	case c.own && (s.listeners[c.l.addr] != c.l || e.Mux == conf.NoMux && c.l.entry != e):
		s.drop(c) // it came where nobody is served now, or another service
	case e.spec.asksLike(spec):
		s.decided(c, q)
	case c.l.addr.Type == sock.Dgram, e.Wait:
		s.drop(c) // it is no socket of the kind that is served now
	default:
		s.screen(c) // what was asked is not what is to be served now
	}
}

// maxAsking bounds how long a client is looked up, and how long what a rule does
// about it takes.
const maxAsking = time.Minute

// ask finds out what may take time. It touches nothing of the loop's.
func (q *inquiry) ask(c conn, tables *libwrap.Tables) {
	ctx, cancel := context.WithTimeout(context.Background(), maxAsking)
	defer cancel()
	if q.access != nil {
		src := c.peer.Addr()
		if d := q.access.CheckName(src, nameOf(ctx, src)); d.Answer != admit.Allowed {
			q.rule = d.Rule()
			return
		}
	}
	if q.request != nil && q.verdict == nil {
		q.verdict = tables.Check(ctx, q.request)
		// What took all the time must not keep a rule from what it does then.
		ctx, cancel := context.WithTimeout(context.Background(), maxAsking)
		defer cancel()
		p := libwrap.Performer{Conn: q.conn, Log: q.log, Run: q.shell.Run}
		q.err = p.Perform(ctx, q.verdict)
		q.done = true
		if q.err != nil || !q.verdict.Allowed && !q.verdict.Delegated {
			return
		}
	}
	if q.ident {
		ctx, cancel := context.WithTimeout(ctx, identPatience)
		defer cancel()
		q.user, q.says, q.userErr = netwrap.Lookup{}.LookupUserText(ctx, endpoint(c.peer), endpoint(sock.Local(c.fd)))
	}
}

const identPort = 113

// identPatience bounds the question who owns a client's connection.
const identPatience = 10 * time.Second

// decided goes on with a client when all is known, or ends with it. What a
// rule wants of the server's process becomes part of its plan.
func (s *server) decided(c conn, q *inquiry) {
	if q.rule != "" {
		s.deny(c, failAddress, q.rule)
		return
	}
	if q.request != nil && !s.wrapped(&c, q) {
		return
	}
	if g := c.e.gate; g != nil {
		if g.IDOnly && q.user == "" {
			s.recordNoID(c, cmp.Or(q.userErr, errNoUser))
			s.deny(c, failIdentity, "ident does not know the user")
			return
		}
		if q.user != "" {
			s.recordUser(c, q.says)
		}
	}
	s.admit(c)
}

var errNoUser = errors.New("no user name")

// wrapped logs what hosts.allow and hosts.deny say, as tcpd does, and ends
// with the client if they refuse it.
func (s *server) wrapped(c *conn, q *inquiry) bool {
	w, r, v, logf := c.e.wrapped, q.request, q.verdict, q.log
	if q.err != nil {
		s.log.err("%s: %s: %v", c.e.label, v.Rule, q.err)
		v.Allowed, v.Delegated = false, false
	}
	if !q.done {
		for _, e := range v.Events {
			if e.Kind == libwrap.Log {
				logf(e.Priority, e.Text)
			}
		}
	}
	client := r.ClientInfo()
	who := client + " (" + r.Client.Addr + ")"
	if !v.Allowed && !v.Delegated {
		if w.tcpd {
			logf(v.DenySeverity, "refused connect from "+who)
		} else {
			logf(v.DenySeverity, fmt.Sprintf("refused connection from %s, service %s (%s)", client, c.e.Name, c.e.Proto))
		}
		s.recordFail(*c, failLibwrap)
		c.tellFail()
		s.drop(*c)
		return false
	}
	switch {
	case !v.Allowed, c.e.gate != nil: // twist has logged; xinetd has its own lines
	case w.tcpd:
		c.log = func() { logf(v.AllowSeverity, "connect from "+who) }
	default:
		name, proto := c.e.Name, c.e.Proto
		c.log = func() {
			logf(v.AllowSeverity, fmt.Sprintf("connection from %s, service %s (%s)", client, name, proto))
		}
	}
	switch {
	case c.e.plan != nil:
		c.plan = planFor(c.e.plan, v.Child())
	case v.Delegated: // a built-in, or a connection passed on
		c.plan = planFor(&child.Plan{Env: c.e.shell.Env, Credential: c.e.shell.Credential}, v.Child())
	}
	return true
}

// request is what rules may ask about a client.
func (s *server) request(c conn) *libwrap.Request {
	r := &libwrap.Request{Daemon: c.e.wrapped.daemon, Lookup: netwrap.Lookup{}, Client: endpoint(c.peer)}
	if c.l.addr.Path != "" {
		// As the C library has it for a client without an address.
		r.Client = libwrap.Endpoint{Addr: "localhost", Name: "unknown"}
		return r
	}
	r.Server = endpoint(sock.Local(c.fd))
	return r
}

func endpoint(a netip.AddrPort) libwrap.Endpoint {
	if !a.IsValid() {
		return libwrap.Endpoint{}
	}
	ip := a.Addr()
	if n, err := strconv.Atoi(ip.Zone()); err == nil { // patterns have the name
		if ifi, err := net.InterfaceByIndex(n); err == nil {
			ip = ip.WithZone(ifi.Name)
		}
	}
	return libwrap.Endpoint{Addr: ip.String(), Port: int(a.Port()), HasPort: true}
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

// planFor is p as a rule's options change it.
func planFor(p *child.Plan, w libwrap.Child) *child.Plan {
	if w.Command == "" && len(w.Env) == 0 && w.Umask < 0 && w.Nice == 0 && w.ID == nil {
		return p
	}
	q := p.Clone()
	if w.Command != "" {
		q.Path, q.Argv = "/bin/sh", []string{"sh", "-c", w.Command}
	}
	for _, kv := range w.Env {
		q.Env = setenv(q.Env, kv)
	}
	if w.Umask >= 0 {
		q.Umask = &w.Umask
	}
	q.Nice += w.Nice
	if w.ID != nil {
		id := &syscall.Credential{Uid: uint32(os.Geteuid()), Gid: uint32(os.Getegid())}
		if p.Credential != nil {
			id.Uid, id.Gid = p.Credential.Uid, p.Credential.Gid
		}
		if w.ID.UID >= 0 {
			id.Uid = uint32(w.ID.UID)
		}
		if w.ID.GID >= 0 {
			id.Gid = uint32(w.ID.GID)
		}
		for _, g := range w.ID.Groups {
			id.Groups = append(id.Groups, uint32(g))
		}
		q.Credential = id
	}
	return q
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

// startCommand starts the shell of a rule's command as servers are started.
func (sp *spec) startCommand(path string, argv, env []string, fd int) (int, error) {
	p := &child.Plan{Path: path, Argv: argv, Env: env, Credential: sp.shell.Credential}
	pid, pidfd, err := child.Start(p, fd, nil)
	if pidfd >= 0 {
		unix.Close(pidfd)
	}
	return pid, err
}

// hold keeps the loop from the socket of a wait entry while its next client is
// looked up, and for any other client keeps a place among the servers.
func (s *server) hold(c conn) {
	if !c.own {
		c.l.holder = &job{e: c.e}
		s.watch(c.l)
		return
	}
	c.e.tally.Keep(c.peer.Addr())
	if c.e.tally.Full() {
		s.watchAll(c.e)
	}
}

func (s *server) unhold(c conn) {
	if !c.own {
		c.l.holder = nil
		s.release(c.l)
		return
	}
	c.e.tally.Free(c.peer.Addr())
}

// client is the connection as actions touch it, nil where there is none yet.
func (c conn) client() libwrap.Conn {
	switch {
	case !c.own:
		return nil
	case c.e.Mux != conf.NoMux || c.e.Internal == "tcpmux":
		return silent{libwrap.FD(c.fd)}
	}
	return libwrap.FD(c.fd)
}

// silent is a connection of tcpmux: the first that its client reads is + or -,
// and no banner.
type silent struct{ libwrap.FD }

func (silent) Write(p []byte) (int, error) { return len(p), nil }
