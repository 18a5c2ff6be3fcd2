package main

import (
	"context"
	"net/netip"
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

// mapping is what the port mapper is told of a listener.
func (l *listener) mapping() rpcbind.Mapping {
	r := l.entry.RPC
	netid := l.entry.Proto
	if l.addr.IP.Addr().Is6() {
		netid += "6"
	}
	return rpcbind.Mapping{
		Program: r.Program, Low: r.Low, High: r.High, Netid: netid,
		Addr: netip.AddrPortFrom(l.addr.IP.Addr(), sock.Local(l.fd).Port()),
	}
}

// publish registers a listener of an RPC entry; for others it does nothing.
func (s *server) publish(l *listener) {
	if l.entry.RPC == nil || l.fd < 0 {
		return
	}
	if s.publisher == nil {
		s.publisher = newPublisher()
	}
	m, label, pos := l.mapping(), l.entry.label, l.entry.Pos
	s.enqueue(label, func() {
		err := rpcbind.Set(context.Background(), m)
		s.set.Post(func() { s.published(l, label, pos, err) })
	})
}

func (s *server) published(l *listener, label string, pos conf.Pos, err error) {
	if err == nil {
		if l.unpublished {
			s.log.info("%s: registered now", label)
		}
		l.unpublished = false
		return
	}
	if !l.unpublished {
		s.log.err("%s: %v (%s), will try again", label, err, pos)
	}
	l.unpublished = true
	s.after(lastRetry, func() { s.publish(l) })
}

// unpublish is the mirror image. Port mapper entries outlive their server, so
// clients would go on asking a port that is closed.
func (s *server) unpublish(l *listener) {
	if l.entry.RPC == nil || l.fd < 0 || s.publisher == nil {
		return
	}
	m := l.mapping()
	s.enqueue(l.entry.label, func() { rpcbind.Unset(context.Background(), m) })
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
