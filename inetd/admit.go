package main

import (
	"golang.org/x/sys/unix"

	"inetd/inetd/admit"
	"inetd/inetd/conf"
	"inetd/inetd/sock"
	"inetd/services"
)

// admit decides whether a conn gets a server.
func (s *server) admit(c conn) {
	e := c.e
	if e.resting {
		s.drop(c)
		return
	}
	switch e.tally.Start(s.now(), c.peer.Addr()) {
	case admit.Looping:
		s.log.err("%s server failing (looping), service terminated for 10 min", e.label)
		s.drop(c)
		s.rest(e, admit.Rest)
	case admit.SourceRate:
		s.refuseClient(c, "more than "+limitText(e.tally.Limits().SourceRate)+" starts a minute")
	case admit.SourceFull:
		s.refuseClient(c, "more than "+limitText(e.tally.Limits().SourceChildren)+" servers at a time")
	case admit.Admit:
		s.launch(c)
	}
}

// refuseClient turns one client away and says why, once an episode.
func (s *server) refuseClient(c conn, why string) {
	c.e.refusals.note(s, c.e, c.from(), why)
	s.drop(c)
}

// drop ends a conn that got no server.
func (s *server) drop(c conn) {
	if c.e.Mux != conf.NoMux {
		tell(c, services.MuxRefused)
	}
	discard(c)
}

// discard closes a connection; of a datagram socket it takes one datagram, so
// that the loop does not find it again.
func discard(c conn) {
	switch {
	case c.own:
		unix.Close(c.fd)
	case c.l.addr.Type == sock.Dgram:
		sock.Drop(c.fd)
	}
}
