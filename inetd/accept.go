package main

import (
	"errors"
	"math"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"inetd/inetd/child"
	"inetd/inetd/proxy"
	"inetd/inetd/sock"
)

// A conn is one arrival: a client's connection, or for a wait entry the socket
// itself with whatever is in its queue.
type conn struct {
	fd   int
	own  bool           // the descriptor is this client's alone
	peer netip.AddrPort // invalid where there is none yet, or a unix-domain client
	head *sock.Datagram // what a wait server of datagrams is started for
	l    *listener
	e    *entry      // of l, or the one a tcpmux client asked for
	plan *child.Plan // where a rule changes e's
	log  func()      // says that the client is served; nil if nobody asked
}

// ftpData is the port from which a BSD ftpd sends: a connection from it was
// made by an ftp server that a stranger told to (the bounce attack).
const ftpData = 20

// arrive turns a readable socket into a conn. The event may be older than what
// happened to l in the meantime.
func (s *server) arrive(l *listener) {
	e := l.entry
	switch {
	case !l.watched:
	case l.addr.Type == sock.Dgram && e.builtin != nil:
		s.answer(l)
	case e.Wait:
		s.whole(l)
	case l.addr.Type == sock.Stream || l.addr.Type == sock.Seqpacket:
		s.accept(l)
	default:
		s.connect(l)
	}
}

// whole makes a conn of the socket itself. Who sent the datagram at the head of
// its queue is who the server is started for.
func (s *server) whole(l *listener) {
	c := conn{fd: l.fd, l: l, e: l.entry}
	if l.addr.Type == sock.Dgram {
		if d, ok := sock.Peek(l.fd); ok {
			c.peer, c.head = d.From, &d
		}
	}
	s.screen(c)
}

// A client that is refused or answered at once is no reason to go back to
// waiting, but others want their turn too.
const acceptBatch = 16

func (s *server) accept(l *listener) {
	for range acceptBatch {
		started := s.started
		if !s.acceptOne(l) || s.started != started || !l.watched {
			return
		}
	}
}

// acceptOne is false when there is nobody there any more.
func (s *server) acceptOne(l *listener) bool {
	if l.entry.stays() {
		if err := s.short(l.entry); err != nil {
			s.starve(l, err)
			return false
		}
	}
	fd, peer, err := sock.Accept(l.fd)
	switch {
	case err == nil:
		l.failures = 0
		s.fed()
	case sock.Gone(err):
		return false
	case sock.Scarce(err):
		s.starve(l, err)
		return false
	default:
		s.log.warn("%s: accept: %v", l.entry.label, err)
		s.pause(l)
		return false
	}
	c := conn{fd: fd, own: true, peer: peer, l: l, e: l.entry}
	if peer.Port() == ftpData && l.entry.Proto == "tcp" {
		s.deny(c, failAddress, "ftp bounce (source port 20)")
		return true
	}
	s.screen(c)
	return true
}

// connect makes a conn of the datagram at the head of the queue: a socket of
// its own that is connected to the peer, so that further datagrams of that peer
// go to the one server it gets. At all addresses of the host it is the kernel
// that chooses the one to answer from.
func (s *server) connect(l *listener) {
	s.unwatch(l)
	defer s.watch(l)
	fd, fresh, peer, err := sock.Split(l.fd, l.addr, l.entry.opts)
	if fresh >= 0 {
		l.fd = fresh
		s.setMode(l)
	}
	switch {
	case err == nil:
		s.screen(conn{fd: fd, own: true, peer: peer, l: l, e: l.entry})
	case sock.Gone(err):
	case sock.Scarce(err):
		s.starve(l, err)
	default:
		l.entry.refusals.note(s, conn{peer: peer, l: l, e: l.entry}, err.Error())
		sock.Drop(l.fd)
	}
}

// starve stops listening at l until a descriptor is free again. Clients wait
// in the queue meanwhile; level-triggered readiness would have the daemon spin.
func (s *server) starve(l *listener, err error) {
	if s.sated != nil {
		s.sated.Stop()
		s.sated = nil
	}
	if s.hungry == nil || s.hungry == errHalf && err != errHalf {
		s.hungry = err
		// Syslog may need a descriptor to hear of this.
		s.spare.release()
		s.log.err("%s: %v: clients wait until descriptors are free", l.entry.label, err)
		s.spare.fill()
	}
	if !l.starved {
		l.starved = true
		s.starved = append(s.starved, l)
		s.watch(l)
	}
	// Descriptors may also come free without the daemon knowing.
	if s.meal == nil {
		s.meal = s.after(time.Second, func() {
			s.meal = nil
			s.feed()
		})
	}
}

// stays says that the daemon itself serves an entry's clients, for as long as they
// like.
func (e *entry) stays() bool {
	return e.redirects() || e.builtin != nil && e.builtin.Reply == nil
}

// short says why one more of these clients has to wait, if it has.
func (s *server) short(e *entry) error {
	if s.tight {
		s.tight = sock.Full()
	}
	switch {
	case s.tight:
		return unix.EMFILE
	case e.redirects() && s.passesEnough():
		return errHalf
	}
	return nil
}

// passesEnough says that the connections which are passed on have the descriptors
// that they may: half of what the listeners leave. One of them comes with one and
// takes the others later, the lowest there are.
func (s *server) passesEnough() bool {
	var lim unix.Rlimit
	if s.redirected == 0 || unix.Getrlimit(unix.RLIMIT_NOFILE, &lim) != nil {
		return false
	}
	left := int(min(lim.Cur, math.MaxInt32)) - len(s.listeners)
	return (s.redirected+1)*proxy.Files > left/2
}

var errHalf = errors.New("connections that are passed on have half of the open files")

// feed tries what starve stopped. A listener that finds nothing again comes
// back through starve.
func (s *server) feed() {
	starved := s.starved
	s.starved = nil
	for _, l := range starved {
		l.starved = false
		if !s.spare.fill() {
			s.starve(l, unix.EMFILE)
			continue
		}
		s.watch(l)
	}
}

// fed is called when a client was accepted. That alone does not end an episode:
// where descriptors are scarce, one that comes free is soon gone again.
func (s *server) fed() {
	if s.hungry == nil || len(s.starved) > 0 || s.sated != nil {
		return
	}
	s.sated = s.after(plenty, func() {
		s.sated = nil
		s.hungry = nil
		s.log.info("descriptors are free again")
	})
}

// plenty is how long there must be no want for an episode to be over.
const plenty = 5 * time.Second

// spare are descriptors kept back for what one launch needs besides the
// connection: the pidfd, and the pipes that report a failed exec, of which a
// helper has two. As many again are for reading the files, where there are more
// than a few.
type spare []int

func newSpare() spare {
	s := spare{-1, -1, -1, -1, -1}
	var lim unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &lim); err == nil && lim.Cur >= 64 {
		s = append(s, s...)
	}
	return s
}

// fill says whether all are in hand.
func (s spare) fill() bool {
	for i, fd := range s {
		if fd >= 0 {
			continue
		}
		fd, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return false
		}
		s[i] = fd
	}
	return true
}

func (s spare) release() {
	for i, fd := range s {
		if fd >= 0 {
			unix.Close(fd)
			s[i] = -1
		}
	}
}

// tell sends a few lines on a new connection, whose buffer has room for them.
// Who sends a datagram may be somebody else, and gets nothing that a server did
// not say.
func (c conn) tell(text string) {
	if c.own && text != "" && c.l.addr.Type != sock.Dgram {
		unix.SendmsgN(c.fd, []byte(text), nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	}
}
