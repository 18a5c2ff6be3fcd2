package main

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"inetd/inetd/sock"
)

// A listener is one socket of an entry. An entry has one for each address, and
// what they share (limits, counters, the launch plan) is in the entry.
//
//	closed ───open──► listening ──child takes the socket──► held
//	  ▲                │  ▲   ▲                              │
//	  └────removed─────┘  ▼   └─────────child exits──────────┘
//	                   resting: the entry was started too often
type listener struct {
	entry       *entry
	addr        sock.Addr
	opts        sock.Options // in force
	fd          int          // -1 is closed
	path        os.FileInfo  // of a unix-domain socket
	watched     bool         // in the event set
	fenced      bool         // the kernel keeps clients away
	refusing    bool         // bound, and clients are refused
	starved     bool         // waits until a descriptor is free
	backoff     bool         // waits after an error, or a server that did nothing for its client
	holder      *job         // the server of a wait entry
	retry       *retry
	unpublished string  // why the port mapper does not know of it
	republish   stopper // tries to tell it
	failures    int     // of these in a row
}

// A retry opens a listener later that could not be opened now.
type retry struct {
	wait  time.Duration
	timer stopper
}

const (
	firstRetry = time.Second
	lastRetry  = time.Minute
)

// open makes l listen, now or as soon as its address can be had.
func (s *server) open(l *listener) {
	s.openNow(l)
	s.watch(l)
}

func (s *server) openNow(l *listener) bool {
	e := l.entry
	fd, err := s.bind(l.addr, e.opts)
	if err == nil {
		if err = errTight; !sock.Tight(fd) {
			err = s.ready(l, fd)
		}
		if err != nil {
			sock.Close(fd, l.addr, sock.Path(l.addr))
		}
	}
	if err != nil {
		if l.retry == nil {
			l.retry = &retry{wait: firstRetry}
			s.log.err("%s: %s: %v (%s), will try again", e.label, l.addr, err, e.Pos)
		}
		r := l.retry
		r.timer = s.after(r.wait, func() {
			r.wait = min(2*r.wait, lastRetry)
			s.openAgain(l)
		})
		return false
	}
	if l.retry != nil {
		l.retry = nil
		s.log.info("%s: %s: listening now", e.label, l.addr)
	}
	l.fd, l.opts, l.path = fd, e.opts, sock.Path(l.addr)
	if l.refusing = e.resting && l.addr.Type != sock.Dgram; l.refusing && l.path == nil {
		if l.fd, err = sock.Refuse(fd, l.addr, l.opts); err != nil {
			s.log.err("%s: %s: %v", e.label, l.addr, err)
		}
	}
	s.setMode(l)
	s.publish(l)
	return true
}

var errTight = errors.New("too many open files: the last descriptors are for clients")

// ready makes a bound socket take clients, but none of those that the kernel
// is to keep away.
func (s *server) ready(l *listener, fd int) error {
	if err := l.fence(fd); err != nil || l.entry.resting {
		return err
	}
	return sock.Listen(fd, l.addr, l.entry.opts)
}

// fence has the kernel keep refused clients from a server that reads its
// clients itself.
func (l *listener) fence(fd int) error {
	var prog []sock.Instruction
	if l.entry.gate != nil {
		prog = l.entry.gate.filter
	}
	if len(prog) == 0 && !l.fenced {
		return nil
	}
	l.fenced = len(prog) > 0
	return sock.Filter(fd, prog)
}

// openAgain tries when the wait of a retry is over, or before.
func (s *server) openAgain(l *listener) {
	if l.retry == nil || l.fd >= 0 || s.listeners[l.addr] != l {
		return
	}
	l.retry.timer.Stop()
	s.open(l)
}

// close is the mirror image of open. A server that holds the socket goes on
// with its own copy of it.
func (s *server) close(l *listener) {
	if l.retry != nil {
		l.retry.timer.Stop()
		l.retry = nil
	}
	if l.fd < 0 {
		if l.refusing {
			sock.Close(-1, l.addr, l.path)
		}
		return
	}
	s.unpublish(l)
	s.unwatch(l)
	sock.Close(l.fd, l.addr, l.path)
	l.fd = -1
}

// setMode fits a socket to who reads it: the daemon wants it non-blocking and
// for its built-ins with the address that was asked, servers want it blocking.
// O_NONBLOCK belongs to the open socket, not to a descriptor, so a held socket
// waits until it is back.
func (s *server) setMode(l *listener) {
	if l.fd < 0 || l.holder != nil {
		return
	}
	sock.SetNonblock(l.fd, !l.entry.Wait)
	if l.addr.Type == sock.Dgram && l.addr.IP.Port() != 0 && sock.Disconnect(l.fd) {
		s.log.warn("%s: the last server left the socket to one client only", l.entry.label)
	}
	if l.entry.builtin != nil && l.addr.Type == sock.Dgram {
		if err := sock.EnablePktinfo(l.fd, l.addr.IP.Addr().Is6()); err != nil {
			s.log.warn("%s: %v", l.entry.label, err)
		}
	}
}

// watch makes the event set agree with the facts. Call it after any change to
// l or its entry; calling it twice is harmless.
func (s *server) watch(l *listener) {
	e := l.entry
	want := l.fd >= 0 && l.holder == nil && !l.refusing && !l.starved && !l.backoff && !e.tally.Full()
	// A datagram socket cannot refuse: it is left alone while its entry rests.
	want = want && !(e.resting && l.addr.Type == sock.Dgram)
	if want == l.watched {
		return
	}
	if !want {
		s.unwatch(l)
		return
	}
	if err := s.set.Watch(l.fd, l); err != nil {
		s.log.err("%s: %v", e.label, err)
		s.pause(l)
		return
	}
	l.watched = true
}

func (s *server) unwatch(l *listener) {
	if !l.watched {
		return
	}
	l.watched = false
	if err := s.set.Unwatch(l.fd); err != nil {
		s.log.err("%s: %v", l.entry.label, err)
	}
}

// rest takes an entry out of service because it was started too often. Its
// ports stay bound, so that nobody else can have them, and its clients are
// refused.
func (s *server) rest(e *entry, d time.Duration) {
	e.resting = true
	for _, l := range e.listeners {
		s.refuse(l)
		s.watch(l)
	}
	e.wake = s.after(d, func() {
		if e.resting {
			s.resume(e)
		}
	})
}

// refuse turns new clients away for as long as the entry rests.
func (s *server) refuse(l *listener) {
	if l.fd < 0 || l.addr.Type == sock.Dgram || l.holder != nil {
		return
	}
	s.unwatch(l)
	fd, err := sock.Refuse(l.fd, l.addr, l.entry.opts)
	if err != nil {
		// The path stays, so that nobody else can have it: with no socket behind
		// it clients are refused.
		s.unpublish(l)
		unix.Close(l.fd)
		l.fd = -1
	} else {
		l.fd = fd
	}
	l.refusing = true
}

// readmit is the mirror image of refuse.
func (s *server) readmit(l *listener) {
	l.refusing = false
	if l.fd >= 0 {
		err := sock.Resume(l.fd, l.addr, l.entry.opts)
		if err == nil {
			s.watch(l)
			return
		}
		s.log.err("%s: %s: %v", l.entry.label, l.addr, err)
		s.close(l)
	}
	s.open(l)
}

// resume ends a rest early or in time.
func (s *server) resume(e *entry) {
	e.resting = false
	e.wake.Stop()
	e.tally.Forgive()
	e.cps.Clear()
	for _, l := range e.listeners {
		if l.refusing {
			s.readmit(l)
			continue
		}
		if l.fd >= 0 && l.addr.Type == sock.Dgram && l.holder == nil {
			// What came meanwhile is as late as its senders have given up.
			for range 10000 {
				if sock.Drop(l.fd) != nil {
					break
				}
			}
		}
		s.watch(l)
	}
	s.log.info("%s: back in service", e.label)
}
