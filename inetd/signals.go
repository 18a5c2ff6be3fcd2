package main

import (
	"fmt"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"

	"inetd/inetd/conf"
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
		if j.pid > 0 && j.e.Xinetd != nil {
			unix.Kill(j.pid, unix.SIGTERM)
		}
	}
	s.quit = true
}

// dumpFile is what "service xinetd status" shows after a SIGUSR1.
const dumpFile = "/run/xinetd.dump"

// dump logs what every entry is doing, and as xinetd writes it to a file too.
func (s *server) dump() {
	s.log.patience(pause)
	defer s.log.patience(0)
	var text []byte
	for _, e := range s.entries {
		state := "listening"
		switch {
		case e.resting:
			state = "resting"
		case e.tally.Full():
			state = "full"
		}
		sockets, open := len(e.addrs), 0
		if e.Mux != conf.NoMux {
			sockets = 0
		}
		for _, l := range e.listeners {
			if l.fd >= 0 {
				open++
			}
		}
		line := fmt.Sprintf("%s: %s, %d of %d sockets open, %d servers running (%s)", e.label, state, open, sockets, e.tally.Running(), e.Pos)
		s.log.info("%s", line)
		text = append(text, line+"\n"...)
	}
	if !s.opts.asXinetd || os.Geteuid() != 0 {
		return
	}
	f, err := os.OpenFile(dumpFile, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
	if err == nil {
		_, err = f.Write(text)
		f.Close()
	}
	if err != nil {
		s.log.warn("%v", err)
	}
}
