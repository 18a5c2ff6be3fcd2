package main

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"inetd/inetd/conf"
	"inetd/inetd/rpcbind"
	"inetd/inetd/sock"
)

// ONC RPC services listen on whatever port the kernel gives them and tell the
// port mapper which that is. Telling it waits for another process, so one
// goroutine does it, in the order in which the loop wants it done.

type publisher struct {
	queue chan func()
	done  chan struct{}
}

func newPublisher() *publisher {
	p := &publisher{queue: make(chan func(), 4096), done: make(chan struct{})}
	go func() {
		defer close(p.done)
		for f := range p.queue {
			f()
		}
	}()
	return p
}

// mappings are what the port mapper is told of a listener: one, or two for a
// socket that takes both families.
func (l *listener) mappings() []rpcbind.Mapping {
	r := l.entry.RPC
	m := rpcbind.Mapping{
		Program: r.Program, Low: r.Low, High: r.High, Netid: l.entry.Proto,
		Addr: netip.AddrPortFrom(l.addr.IP.Addr(), sock.Local(l.fd).Port()),
	}
	if l.addr.IP.Addr().Is4() {
		return []rpcbind.Mapping{m}
	}
	m6 := m
	m6.Netid += "6"
	if !l.addr.Mapped {
		return []rpcbind.Mapping{m6}
	}
	m.Addr = netip.AddrPortFrom(netip.Addr{}, m.Addr.Port())
	return []rpcbind.Mapping{m, m6}
}

// publish registers a listener of an RPC entry, and renew does it again, since
// the port mapper may have been restarted; for others they do nothing.
func (s *server) publish(l *listener) { s.register(l, rpcbind.Set) }
func (s *server) renew(l *listener)   { s.register(l, rpcbind.Renew) }

func (s *server) register(l *listener, set func(context.Context, rpcbind.Mapping) error) {
	if l.entry.RPC == nil || l.fd < 0 {
		return
	}
	if s.publisher == nil {
		s.publisher = newPublisher()
	}
	was, ms, label, pos := s.registered[l], l.mappings(), l.entry.label, l.entry.Pos
	s.registered[l] = ms
	was = s.unclaimed(was)
	s.enqueue(label, func() {
		for _, m := range was {
			rpcbind.Unset(context.Background(), m)
		}
		var errs []error
		for _, m := range ms {
			errs = append(errs, set(context.Background(), m))
		}
		err := errors.Join(errs...)
		s.set.Post(func() { s.published(l, label, pos, err) })
	})
}

// unclaimed is what of ms no listener has: a port mapper takes a version back
// whoever serves it now.
func (s *server) unclaimed(ms []rpcbind.Mapping) []rpcbind.Mapping {
	for _, claimed := range s.registered {
		for _, c := range claimed {
			var left []rpcbind.Mapping
			for _, m := range ms {
				left = append(left, m.Without(c)...)
			}
			ms = left
		}
	}
	return ms
}

func (s *server) published(l *listener, label string, pos conf.Pos, err error) {
	// Both families' sockets mostly have the same trouble: one line for it.
	shared := func(trouble string) bool {
		return slices.ContainsFunc(l.entry.listeners, func(o *listener) bool { return o != l && o.unpublished == trouble })
	}
	if err == nil {
		if l.unpublished != "" && !shared(l.unpublished) {
			s.log.info("%s: registered now", label)
		}
		l.unpublished = ""
		return
	}
	if l.unpublished == "" {
		if !shared(err.Error()) {
			s.log.err("%s: %v (%s)", label, err, pos)
		}
		l.unpublished = err.Error()
	}
	if errors.Is(err, errors.ErrUnsupported) {
		return
	}
	l.stopPublishing()
	l.republish = s.after(lastRetry, func() { s.publish(l) })
}

func (l *listener) stopPublishing() {
	if l.republish != nil {
		l.republish.Stop()
		l.republish = nil
	}
}

// unpublish is the mirror image. Port mapper entries outlive their server, so
// clients would go on asking a port that is closed.
func (s *server) unpublish(l *listener) {
	l.stopPublishing()
	if l.entry.RPC == nil || l.fd < 0 || s.publisher == nil {
		return
	}
	ms := s.registered[l]
	delete(s.registered, l)
	ms = s.unclaimed(ms)
	s.enqueue(l.entry.label, func() {
		for _, m := range ms {
			rpcbind.Unset(context.Background(), m)
		}
	})
}

func (s *server) enqueue(label string, f func()) {
	select {
	case s.publisher.queue <- f:
	default:
		s.log.err("%s: too many registrations are waiting for the port mapper", label)
	}
}

// finishPublishing waits until the port mapper knows that all is over.
func (s *server) finishPublishing() {
	if s.publisher == nil {
		return
	}
	close(s.publisher.queue)
	select {
	case <-s.publisher.done:
	case <-time.After(rpcbind.Timeout):
	}
}
