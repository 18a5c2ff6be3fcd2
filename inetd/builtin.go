package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"inetd/inetd/names"
	"inetd/inetd/sock"
	"inetd/services"
)

// converse runs a built-in on a stream. One that says its piece at once needs
// no goroutine: the send buffer of a new connection has room for it.
func (s *server) converse(c conn) {
	e := c.e
	if e.builtin.Reply != nil {
		now := s.now()
		// It says seconds.
		if t := now.Unix(); s.replied != e.builtin || s.repliedAt != t {
			s.reply, s.replied, s.repliedAt = e.builtin.Reply(s.reply[:0], now), e.builtin, t
		}
		sock.Last(c.fd, s.reply)
		s.recordStart(c, 0)
		s.over(e, c.peer.Addr())
		return
	}
	j, f := s.begin(c)
	talk := services.NewConn(f)
	talk.Args = e.Args
	talk.Idle = services.DefaultIdle
	talk.Users = accounts{}
	if e.builtin.Stream == nil {
		go s.muxAsk(c, j, talk)
		return
	}
	stream := e.builtin.Stream // a reload may replace what e is
	go func() {
		err := stream(talk)
		talk.Close()
		s.set.Post(func() { s.finish(j, err) })
	}()
}

// answer serves the datagrams of a built-in: what has come is answered in one
// go, and the loop looks at the others before it comes back for more.
func (s *server) answer(l *listener) {
	e := l.entry
	if s.batch == nil {
		s.batch = sock.NewBatch()
	}
	n, err := s.batch.Recv(l.fd)
	if err != nil {
		s.log.warn("%s: %v", e.label, err)
		s.pause(l)
		return
	}
	l.failures = 0
	now := s.now()
	for i := range n {
		from := s.batch.From(i)
		c := conn{peer: from, l: l, e: e}
		why := services.DatagramRefusal(from, s.batch.To(i), s.batch.Broadcast(i))
		if why == "" && s.answering[from.Port()] {
			why = "source port of a service that would answer back"
		}
		// A client at the IPv4 address that it asks is on this host: the kernel takes
		// no such packet from outside. Of IPv6 it does.
		if why == "" && !s.replies.Allow(now, from.Addr(), from.Addr().Is4() && from.Addr() == s.batch.To(i)) {
			why = tooManyReplies
		}
		if why == "" && (e.gate != nil || e.wrapped.daemon != "") {
			var reason string
			if reason, why = s.passDatagram(l, from, s.batch.To(i)); reason != "" {
				s.recordFail(c, reason)
			}
		}
		if why != "" {
			e.refusals.note(s, c, why)
			continue
		}
		s.recordStart(c, 0)
		if p := e.builtin.Answer(s.batch.Msg(i)[:0], s.batch.Msg(i), now); p != nil {
			s.batch.Reply(i, p)
		}
	}
	if err := s.batch.Flush(l.fd); err != nil {
		s.log.debug("%s: %v", e.label, err)
	}
}

var tooManyReplies = fmt.Sprintf("more than %d answers a second, or the %dth, within this host the %dth",
	services.DefaultReplies, services.RemoteReplies, services.LocalReplies)

// accounts tells the auth service of users, those of getent(1) too.
type accounts struct{}

func (accounts) ByUID(uid uint32, until time.Time) (services.Account, error) {
	a, err := account(strconv.FormatUint(uint64(uid), 10), until)
	if err == nil && a.UID != uid { // a name that looks like a number
		return services.Account{}, services.ErrNoAccount
	}
	return a, err
}

func (accounts) ByName(name string, until time.Time) (services.Account, error) {
	a, err := account(name, until)
	if err == nil && a.Name != name && strings.Trim(name, "+0123456789") == "" { // somebody's number
		return services.Account{}, services.ErrNoAccount
	}
	return a, err
}

func account(key string, until time.Time) (services.Account, error) {
	db := names.New()
	db.Until = until
	a, err := db.Account(key)
	if errors.Is(err, names.ErrNoUser) {
		err = services.ErrNoAccount
	}
	return services.Account(a), err
}
