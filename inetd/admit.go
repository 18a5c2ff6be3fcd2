package main

import (
	"strconv"

	"golang.org/x/sys/unix"

	"inetd/inetd/admit"
	"inetd/inetd/conf"
	"inetd/inetd/sock"
	"inetd/services"
)

// admit decides whether a conn gets a server.
func (s *server) admit(c conn) {
	e := c.e
	if e.resting || e.gone {
		s.drop(c)
		return
	}
	if max := s.opts.processes; max > 0 && s.running >= max {
		s.deny(c, failProcess, "more than "+strconv.Itoa(max)+" servers in all")
		return
	}
	if c.plan == nil && e.redirects() && s.passesEnough() {
		// It was looked up, or came by tcpmux, and has not waited.
		s.deny(c, failProcess, errHalf.Error())
		return
	}
	switch e.tally.Start(s.now(), c.peer.Addr()) {
	case admit.Looping:
		s.log.err("%s server failing (looping), service terminated for 10 min", e.label)
		s.rest(e, admit.Rest) // before the client knows, or another would still get in
		s.drop(c)
	case admit.Full:
		s.deny(c, failService, "more than "+limitText(e.limits.Children)+" servers at a time")
	case admit.SourceRate:
		s.deny(c, failSource, "more than "+limitText(e.limits.SourceRate)+" starts a minute")
	case admit.SourceFull:
		s.deny(c, failSource, "more than "+limitText(e.limits.SourceChildren)+" servers at a time for one client")
	case admit.Admit:
		s.running++
		s.launch(c)
	}
}

// refuseClient turns one client away and says why, once an episode.
func (s *server) refuseClient(c conn, why string) {
	c.e.refusals.note(s, c, why)
	s.drop(c)
}

// drop ends a conn that got no server.
func (s *server) drop(c conn) {
	if c.e.Mux != conf.NoMux {
		sock.Last(c.fd, []byte(services.MuxRefused))
		return
	}
	discard(c)
}

// discard closes a connection; of a socket that its servers read themselves it
// takes one client, so that the loop does not find it again.
func discard(c conn) {
	switch {
	case c.own:
		unix.Close(c.fd)
	case c.l.fd != c.fd: // closed with the service's rest, and maybe another's by now
	case c.l.addr.Type == sock.Dgram:
		sock.Drop(c.fd)
	default:
		sock.Shed(c.fd)
	}
}
