package main

import (
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

// signals makes signals posted functions: nothing is done inside a handler.
func (s *server) signals() {
	acts := map[os.Signal]func(){
		unix.SIGHUP:  s.reload,
		unix.SIGALRM: s.lift,
		unix.SIGUSR1: s.dump,
		unix.SIGUSR2: s.reload, // xinetd's old name for it
		unix.SIGABRT: s.dump,   // where xinetd looks after itself
		unix.SIGTERM: s.stop,
		unix.SIGINT:  s.stop,
		unix.SIGQUIT: func() { s.quit = true }, // xinetd leaves its servers then
		// Ignoring it would have the servers inherit that.
		unix.SIGPIPE: func() {},
	}
	c := make(chan os.Signal, 16)
	for sig := range acts {
		signal.Notify(c, sig)
	}
	go func() {
		for sig := range c {
			s.set.Post(acts[sig])
		}
	}()
}

// stop ends the loop. The servers of inetd.conf go on with their clients;
// those of xinetd.conf are asked to end, as its manual says.
func (s *server) stop() {
	for j := range s.jobs {
		if j.pid > 0 {
			unix.Kill(j.pid, unix.SIGTERM)
		}
	}
	s.quit = true
}

// dump logs what every entry is doing.
func (s *server) dump() {
	for _, e := range s.entries {
		state := "listening"
		switch {
		case e.resting:
			state = "resting"
		case e.tally.Full():
			state = "full"
		}
		open := 0
		for _, l := range e.listeners {
			if l.fd >= 0 {
				open++
			}
		}
		s.log.info("%s: %s, %d of %d sockets open, %d servers running (%s)", e.label, state, open, len(e.addrs), e.tally.Running(), e.Pos)
	}
}
