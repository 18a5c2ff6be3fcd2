package main

import (
	"cmp"
	"maps"
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
// own rules and limits. Only entries of tcpmux can be had.
func (s *server) muxGo(c conn, name string) {
	if name == "help" {
		names := slices.Sorted(maps.Keys(s.mux))
		sock.Last(c.fd, services.AppendMuxHelp(nil, names))
		return
	}
	e := s.mux[name]
	if e == nil || e.resting || e.tally.Full() {
		sock.Last(c.fd, []byte(services.MuxRefused))
		return
	}
	c.e, c.log = e, nil
	s.screen(c)
}

// muxReady is called when e's server is about to start: the daemon answers for
// one that knows nothing of tcpmux.
func muxReady(c conn) {
	if c.e.Mux == conf.MuxPlus {
		c.tell(services.MuxGo)
	}
	sock.SetNonblock(c.fd, false)
}
