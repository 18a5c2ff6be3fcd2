package main

import (
	"cmp"
	"context"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"inetd/inetd/conf"
	"inetd/inetd/proxy"
	"inetd/inetd/sock"
	"inetd/services"
)

// A job is a server at work: a child process, or a built-in in a goroutine.
type job struct {
	e     *entry
	l     *listener // where it came from
	pid   int       // 0 for a built-in
	src   netip.Addr
	began time.Time      // where somebody asks for how long it ran
	head  sock.Datagram  // what a wait server was started for
	conn  *services.Conn // of a built-in
}

// launch turns an admitted conn into a job.
func (s *server) launch(c conn) {
	if c.e.Mux != conf.NoMux {
		muxReady(c)
	}
	if g := c.e.gate; g != nil {
		c.prepare(g)
	}
	switch {
	case c.e.builtin != nil:
		s.converse(c)
	case c.e.plan == nil:
		s.redirect(c)
	default:
		s.spawn(c)
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
		p := *plan
		p.Env = setenv(p.Env, "REMOTE_HOST="+c.address())
		c.plan = &p
	}
}

// redirect passes a connection on to another server.
func (s *server) redirect(c conn) {
	e := c.e
	j := &job{e: e, l: c.l, src: c.peer.Addr(), began: s.now()}
	sock.SetNonblock(c.fd, true)
	f := os.NewFile(uintptr(c.fd), e.label)
	s.recordStart(c, 0)
	if e.tally.Full() {
		s.watchAll(e)
	}
	to := e.Xinetd.Redirect
	go func() {
		in, out, err := proxy.Run(context.Background(), f, to.Host, to.Port, redirectIdle)
		s.set.Post(func() {
			if err != nil {
				s.log.info("%s: redirect to %s: %v", e.label, to.Host, err)
			}
			s.recordTraffic(e, in, out)
			s.recordExit(j, 0)
			s.ended(j)
		})
	}()
}

// redirectIdle ends a redirected connection on which nothing comes any more
// from either side.
const redirectIdle = time.Hour

// spawn starts the entry's program. For a wait entry the child has the socket
// until it exits; any other connection is the child's alone.
func (s *server) spawn(c conn) {
	e := c.e
	plan := cmp.Or(c.plan, e.plan)
	j := &job{e: e, l: c.l, src: c.peer.Addr()}
	if !c.own || e.records != nil {
		j.began = s.now()
	}
	if !c.own {
		if c.l.addr.Type == sock.Dgram {
			j.head, _ = sock.Peek(c.fd)
		}
	}
	pid, pidfd, err := s.start(plan, c.fd)
	if sock.Scarce(err) {
		s.spare.release()
		pid, pidfd, err = s.start(plan, c.fd)
		if !s.spare.fill() {
			s.starve(c.l, unix.EMFILE)
		}
	}
	if err != nil {
		s.log.err("%s: %v (%s)", e.label, err, e.Pos)
		s.recordFail(c, failFork)
		discard(c)
		s.ended(j)
		return
	}
	j.pid = pid
	if e.Xinetd != nil {
		s.jobs[j] = struct{}{}
	}
	s.recordStart(c, pid)
	if !c.own {
		c.l.holder = j
	} else {
		unix.Close(c.fd)
	}
	if err := s.set.Child(pid, pidfd, j); err != nil {
		s.log.err("%s: %s[%d]: %v", e.label, plan.Path, pid, err)
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

// converse runs a built-in on a stream. One that says its piece at once needs
// no goroutine: the send buffer of a new connection has room for it.
func (s *server) converse(c conn) {
	e := c.e
	j := &job{e: e, l: c.l, src: c.peer.Addr(), began: s.now()}
	if e.builtin.Reply != nil {
		s.reply = e.builtin.Reply(s.reply[:0], s.now())
		unix.SendmsgN(c.fd, s.reply, nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		unix.Close(c.fd)
		s.recordStart(c, 0)
		s.ended(j)
		return
	}
	s.recordStart(c, 0)
	sock.SetNonblock(c.fd, true)
	f := os.NewFile(uintptr(c.fd), e.label)
	j.conn = services.NewConn(f)
	j.conn.Args = e.Args
	j.conn.Idle = services.DefaultIdle
	s.jobs[j] = struct{}{}
	if e.tally.Full() {
		s.watchAll(e)
	}
	if e.builtin.Stream == nil {
		go s.muxAsk(c, j)
		return
	}
	go func() {
		err := e.builtin.Stream(j.conn)
		j.conn.Close()
		s.set.Post(func() { s.finish(j, err) })
	}()
}

// answer serves the datagrams of a built-in: what has come is answered in one
// go, and the loop looks at the others before it comes back for more.
func (s *server) answer(l *listener) {
	e := l.entry
	n, err := s.batch.Recv(l.fd)
	if err != nil {
		s.log.warn("%s: %v", e.label, err)
		return
	}
	now := s.now()
	for i := range n {
		from := s.batch.From(i)
		why := services.DatagramRefusal(from, s.batch.To(i), s.broadcasts)
		if why == "" && (e.gate != nil || e.wrapped.daemon != "") {
			why = s.passDatagram(e, from)
		}
		if why != "" {
			e.refusals.note(s, e, from.String(), why)
			continue
		}
		if p := e.builtin.Answer(s.batch.Msg(i)[:0], s.batch.Msg(i), now); p != nil {
			s.batch.Reply(i, p)
		}
	}
	if err := s.batch.Flush(l.fd); err != nil {
		s.log.debug("%s: %v", e.label, err)
	}
}

// from is the peer as messages show it.
func (c conn) from() string {
	switch {
	case !c.own:
		return "whoever is waiting"
	case !c.peer.IsValid():
		return "a local client"
	}
	return c.peer.String()
}
