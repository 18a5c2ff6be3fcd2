package main

import (
	"errors"
	"io"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"inetd/inetd/sock"
)

// reap is the end of a child: it is counted out, its end is logged, and the
// socket it held is the daemon's again.
func (s *server) reap(j *job, status unix.WaitStatus) {
	failed := !status.Exited() || status.ExitStatus() != 0
	if failed || s.log.debugs {
		s.logExit(j, status, failed)
	}
	s.recordExit(j, status)
	if j.l.holder == j {
		s.watchdog(j, failed)
	}
	s.ended(j)
}

// await waits for a child that the event set has no room for.
func (s *server) await(j *job) {
	var status unix.WaitStatus
	for {
		if _, err := unix.Wait4(j.pid, &status, 0, nil); err != unix.EINTR {
			break
		}
	}
	s.set.Post(func() { s.reap(j, status) })
}

// logExit writes what became of a server. One that failed for a single client
// is worth less noise than one that failed for all.
func (s *server) logExit(j *job, status unix.WaitStatus, failed bool) {
	logf := s.log.debug
	switch {
	case failed && j.l.holder == j:
		logf = s.log.warn
	case failed:
		logf = s.log.info
	}
	if status.Signaled() {
		logf("%s: %s[%d]: exit signal %d", j.e.label, j.path, j.pid, status.Signal())
		return
	}
	logf("%s: %s[%d]: exit status %d", j.e.label, j.path, j.pid, status.ExitStatus())
}

const (
	firstBackoff = 100 * time.Millisecond
	lastBackoff  = 10 * time.Second
	// A server that fails sooner than this has not waited for a client.
	tooSoon = time.Second
)

// watchdog looks at what a wait server leaves behind. A datagram that is still
// there, or a server that fails at once, would be started for again and again:
// the datagram is dropped, and the socket is left alone for a while.
func (s *server) watchdog(j *job, failed bool) {
	l := j.l
	unread := false
	if l.fd >= 0 && l.addr.Type == sock.Dgram {
		head, ok := sock.Peek(l.fd)
		unread = ok && j.head != nil && head.Same(j.head)
	}
	if !unread && !(failed && s.now().Sub(j.began) < tooSoon) {
		l.failures = 0
		return
	}
	if unread {
		sock.Drop(l.fd)
		if l.failures == 0 {
			s.log.warn("%s: %s[%d] left its datagram unread, dropped", j.e.label, j.path, j.pid)
		}
	}
	s.pause(l)
}

// pause leaves a socket alone for a while that doubles each time.
func (s *server) pause(l *listener) {
	d := min(firstBackoff<<min(l.failures, 16), lastBackoff)
	l.failures++
	l.backoff = true
	s.watch(l)
	s.after(d, func() {
		l.backoff = false
		s.watch(l)
	})
}

// finish is the end of what the daemon has done itself.
func (s *server) finish(j *job, err error) {
	s.recordExit(j, 0)
	if err != nil && err != io.EOF && !errors.Is(err, os.ErrClosed) {
		s.log.debug("%s: %s: %v", j.e.label, j.src, err)
	}
	s.ended(j)
}

// ended gives back what a job had, whatever kind it was.
func (s *server) ended(j *job) {
	delete(s.jobs, j)
	s.tidyLater()
	if l := j.l; l.holder == j {
		l.holder = nil
		s.release(l)
	}
	s.over(j.e, j.src)
}

// over counts out a server of e for src.
func (s *server) over(e *entry, src netip.Addr) {
	s.running--
	full := e.tally.Full()
	e.tally.Done(src)
	if full {
		s.watchAll(e)
	}
	if len(s.starved) > 0 {
		s.feed()
	}
}

// release takes back the socket of a wait entry whose server has exited.
func (s *server) release(l *listener) {
	s.setMode(l)
	if l.entry.resting {
		s.refuse(l)
	}
	s.watch(l)
	// A reload may have closed l and failed to bind its port anew, at this
	// address or another, while the old server still had it.
	if l.fd < 0 {
		for _, other := range s.listeners {
			s.openAgain(other)
		}
	}
}

func (s *server) watchAll(e *entry) {
	for _, l := range e.listeners {
		s.watch(l)
	}
}
