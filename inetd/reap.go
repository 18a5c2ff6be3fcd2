package main

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// reap is the end of a child: it is counted out, its end is logged, and the
// socket it held is the daemon's again.
func (s *server) reap(j *job, status unix.WaitStatus) {
	e := j.entry
	logf := s.log.debug
	if failed := !status.Exited() || status.ExitStatus() != 0; failed && e.Wait {
		logf = s.log.warn
	} else if failed {
		logf = s.log.info
	}
	if status.Signaled() {
		logf("%s: %s[%d]: exit signal %d", e.label, e.Program, j.pid, status.Signal())
	} else {
		logf("%s: %s[%d]: exit status %d", e.label, e.Program, j.pid, status.ExitStatus())
	}
	s.ended(j)
}

// finish is the end of a built-in's conversation.
func (s *server) finish(j *job, err error) {
	delete(s.jobs, j)
	if err != nil && err != io.EOF && !errors.Is(err, os.ErrClosed) {
		s.log.debug("%s: %v", j.entry.label, err)
	}
	s.ended(j)
}

// ended gives back what a job had, whatever kind it was.
func (s *server) ended(j *job) {
	e := j.entry
	full := e.tally.Full()
	e.tally.Done(j.src)
	if l := j.l; l.holder == j {
		l.holder = nil
		s.release(l)
	}
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
	// A reload may have closed l and failed to bind its address anew while
	// the old server still had it.
	if now := s.listeners[l.addr]; now != nil && now != l && now.retry != nil {
		s.openAgain(now)
	}
}

func (s *server) watchAll(e *entry) {
	for _, l := range e.listeners {
		s.watch(l)
	}
}
