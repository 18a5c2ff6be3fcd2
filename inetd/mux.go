package main

import (
	"cmp"
	"net/netip"
	"slices"

	"inetd/inetd/conf"
	"inetd/inetd/sock"
	"inetd/services"
)

// muxAsk reads which service a tcpmux client wants. It runs away from the loop.
func (s *server) muxAsk(c conn, j *job, talk *services.Conn) {
	name, err := services.ReadMuxName(talk)
	fd, dupErr := sock.Dup(talk.File())
	if dupErr != nil {
		talk.Write([]byte(services.MuxRefused))
	}
	talk.Close()
	s.set.Post(func() {
		s.finish(j, cmp.Or(err, dupErr))
		switch c.fd = fd; {
		case dupErr != nil:
		case err != nil:
			sock.Last(fd, []byte(services.MuxRefused))
		default:
			s.muxGo(c, name)
		}
	})
}

// muxGo hands a tcpmux client to the entry it asked for, under that entry's
// own rules and limits. Only entries of tcpmux can be had, and those with hosts
// only by a client that came to one of these.
func (s *server) muxGo(c conn, name string) {
	here := sock.Local(c.fd).Addr().Unmap()
	if name == "help" {
		var names []string
		for name, e := range s.mux {
			if e.muxAt(here) {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		sock.Last(c.fd, services.AppendMuxHelp(nil, names))
		return
	}
	e := s.mux[name]
	if e == nil {
		sock.Last(c.fd, []byte(services.MuxRefused))
		return
	}
	c.e, c.log = e, nil
	switch {
	case !e.muxAt(here):
		s.deny(c, failAddress, "not served at the address that was asked")
	case e.resting:
		s.refuseClient(c, "the service rests")
	case e.tally.Full():
		s.deny(c, failService, "more than "+limitText(e.limits.Children)+" servers at a time")
	default:
		s.screen(c)
	}
}

// muxAt says whether clients at an address of this host may have e.
func (e *entry) muxAt(here netip.Addr) bool {
	return len(e.Hosts) == 0 || slices.ContainsFunc(e.addrs, func(a sock.Addr) bool { return a.At(here) })
}

// muxReady is called when e's server is about to start: the daemon answers for
// one that knows nothing of tcpmux.
func muxReady(c conn) {
	if c.e.Mux == conf.MuxPlus {
		c.tell(services.MuxGo)
	}
	sock.SetNonblock(c.fd, false)
}
