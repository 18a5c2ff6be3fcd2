package main

import (
	"cmp"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"inetd/inetd/conf"
	"inetd/inetd/sock"
)

// A job is a server at work: a child process, or a built-in in a goroutine.
type job struct {
	e     *entry
	l     *listener // where it came from
	pid   int       // 0 for a built-in
	path  string    // of its program
	src   netip.Addr
	began time.Time      // where somebody asks for how long it ran
	head  *sock.Datagram // what a wait server was started for
}

// launch turns an admitted conn into a job.
func (s *server) launch(c conn) {
	if c.e.Mux != conf.NoMux {
		muxReady(c)
	}
	if g := c.e.gate; g != nil {
		c.prepare(g)
	}
	if c.e.builtin == nil || c.e.builtin.Reply == nil {
		s.started++
	}
	program := c.plan != nil || c.e.plan != nil
	if c.log != nil && !program {
		c.log()
	}
	switch {
	case program:
		s.spawn(c)
	case c.e.builtin != nil:
		s.converse(c)
	default:
		s.redirect(c)
	}
}

// prepare does what xinetd.conf asks for on a connection that got its server.
func (c *conn) prepare(g *gate) {
	c.tell(g.success)
	if !c.own || !c.peer.IsValid() {
		return
	}
	if g.NoDelay {
		sock.SetNoDelay(c.fd)
	}
	if g.KeepAlive {
		sock.SetKeepAlive(c.fd)
	}
	if plan := cmp.Or(c.plan, c.e.plan); plan != nil {
		c.plan = plan.Clone()
		c.plan.Env = setenv(plan.Env, "REMOTE_HOST="+c.address())
	}
}

// spawn starts the entry's program. For a wait entry the child has the socket
// until it exits; any other connection is the child's alone.
func (s *server) spawn(c conn) {
	e := c.e
	plan := cmp.Or(c.plan, e.plan)
	j := &job{e: e, l: c.l, src: c.peer.Addr(), head: c.head}
	if !c.own || e.records != nil {
		j.began = s.now()
	}
	// A log daemon and the dead take longer than most of what is done here.
	meanwhile := func() {
		if c.log != nil {
			c.log()
			c.log = nil
		}
		s.set.Reap()
	}
	pid, pidfd, err := s.start(plan, c.fd, meanwhile)
	if sock.Scarce(err) {
		s.spare.release()
		s.set.Reap() // the dead count as processes
		pid, pidfd, err = s.start(plan, c.fd, meanwhile)
		if !s.spare.fill() {
			s.starve(c.l, unix.EMFILE)
		}
	}
	meanwhile()
	if err != nil {
		s.notStarted(c, j, err)
		return
	}
	j.pid, j.path = pid, plan.Path
	s.jobs[j] = struct{}{}
	s.recordStart(c, pid)
	if !c.own {
		c.l.holder = j
	} else {
		unix.Close(c.fd)
	}
	if err := s.set.Child(pid, pidfd, j); err != nil {
		s.log.err("%s: %s[%d]: %v", e.label, plan.Path, pid, err)
		go s.await(j)
	}
	if s.log.debugs {
		s.log.debug("%s: %s[%d] started for %s", e.label, plan.Path, pid, c.from())
	}
	if c.l.holder == j {
		s.watch(c.l)
	}
	if e.tally.Full() {
		s.watchAll(e)
	}
}

// begin makes a job of what the daemon does itself, in a goroutine, and a file
// of its connection.
func (s *server) begin(c conn) (*job, *os.File) {
	j := &job{e: c.e, l: c.l, src: c.peer.Addr(), began: s.now()}
	s.jobs[j] = struct{}{}
	s.recordStart(c, 0)
	if c.e.tally.Full() {
		s.watchAll(c.e)
	}
	fd := sock.High(c.fd)
	s.tight = s.tight || sock.Tight(fd)
	sock.SetNonblock(fd, true)
	return j, os.NewFile(uintptr(fd), c.e.label)
}

// notStarted ends a client whose server could not be started. Where the system
// is out of processes that is so for every client, and said once.
func (s *server) notStarted(c conn, j *job, err error) {
	if sock.Scarce(err) {
		c.e.refusals.note(s, c, err.Error())
	} else {
		s.log.err("%s: %v (%s)", c.e.label, err, c.e.Pos)
	}
	s.recordFail(c, failFork)
	discard(c)
	if !c.own {
		s.pause(c.l)
	}
	s.ended(j)
}

// from is the peer as messages show it.
func (c conn) from() string {
	switch {
	case c.peer.IsValid():
	case !c.own:
		return "whoever is waiting"
	default:
		return "a local client"
	}
	return netip.AddrPortFrom(c.peer.Addr().Unmap(), c.peer.Port()).String()
}
