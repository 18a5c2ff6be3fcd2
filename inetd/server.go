package main

import (
	"fmt"
	"net/netip"
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"inetd/inetd/admit"
	"inetd/inetd/child"
	"inetd/inetd/conf"
	"inetd/inetd/event"
	"inetd/inetd/rpcbind"
	"inetd/inetd/sock"
	"inetd/libwrap"
	"inetd/services"
)

// A server owns all state of the daemon. One goroutine runs its loop and is
// the only one to touch it; whatever may block runs in other goroutines and
// comes home through set.Post.
type server struct {
	log  *logger
	opts *options

	// The seams: what tests replace.
	set   event.Set
	now   func() time.Time
	after func(time.Duration, func()) stopper // f runs inside the loop
	bind  func(sock.Addr, sock.Options) (int, error)
	start func(p *child.Plan, fd int, meanwhile func()) (pid, pidfd int, err error)
	load  func() (*config, error)
	again func([]*spec)

	notify *notifier // the service manager, nil if none asked

	entries    []*entry // in the order of the files
	unready    []*spec  // wait for a user or an address that is not there yet
	listeners  map[sock.Addr]*listener
	mux        map[string]*entry // reached through tcpmux, by lower-case name
	starved    []*listener       // wait until a descriptor is free
	hungry     error             // for descriptors: why
	tight      bool              // the last descriptors are not for clients that stay
	meal       stopper
	sated      stopper // ends the hunger
	spare      spare
	jobs       map[*job]struct{} // all but what is answered at once
	batch      *sock.Batch       // made for the first datagram
	replies    *services.ReplyCap
	reply      []byte // the last of a built-in that says its piece at once
	replied    *services.Builtin
	repliedAt  int64           // in seconds
	answering  map[uint16]bool // ports of built-ins on datagrams
	loading    bool            // a reload is on its way
	reloads    int             // asked for since it began
	unread     bool            // the files, for want of descriptors
	reread     stopper         // then
	off        []*conf.Service // what the files have switched off
	quit       bool
	tidy       stopper                         // gives memory back
	publisher  *publisher                      // nil until an RPC entry comes
	registered map[*listener][]rpcbind.Mapping // what the port mapper has been told
	running    int                             // servers of all entries
	started    int                             // servers since the start that were not over at once
	redirected int                             // connections that are passed on
	trapped    admit.Trapped                   // by sensors
	average    average
	tables     *libwrap.Tables
	files      files              // log files of services
	checks     int                // access checks away from the loop
	checking   map[netip.Addr]int // of them, by client
}

// A stopper is a timer.
type stopper interface{ Stop() bool }

func newServer(o *options, log *logger, set event.Set) *server {
	s := &server{
		log:  log,
		opts: o,
		set:  set,
		now:  time.Now,
		after: func(d time.Duration, f func()) stopper {
			return time.AfterFunc(d, func() { set.Post(f) })
		},
		bind:       sock.Bind,
		start:      child.Start,
		jobs:       make(map[*job]struct{}),
		spare:      newSpare(),
		tables:     &libwrap.Tables{Allow: hostsAllow, Deny: hostsDeny},
		replies:    services.NewReplyCap(services.DefaultReplies),
		listeners:  make(map[sock.Addr]*listener),
		mux:        make(map[string]*entry),
		registered: make(map[*listener][]rpcbind.Mapping),
		checking:   make(map[netip.Addr]int),
	}
	s.files.warn = func(format string, args ...any) {
		set.Post(func() { log.warn(format, args...) })
	}
	return s
}

// run is the loop: wait for all services at once, and take each event along
// the path to its end.
func (s *server) run() error {
	// The loop keeps its thread: to move it costs more than most of its work.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for !s.quit {
		evs, err := s.set.Wait()
		if err != nil {
			return fmt.Errorf("wait: %w", err)
		}
		if slices.ContainsFunc(evs, s.crowded) {
			s.exits()
		}
		for _, ev := range evs {
			switch ev.Kind {
			case event.Readable:
				s.arrive(ev.Tag.(*listener))
			case event.Posted:
				ev.Run()
			}
		}
		s.exits()
	}
	return nil
}

// untidy is how long what a burst of clients has left stays in memory.
const untidy = 15 * time.Second

// tidyLater gives it back, since nothing may happen any more that would have the
// runtime do so.
func (s *server) tidyLater() {
	if s.tidy != nil {
		return
	}
	s.tidy = s.after(untidy, func() {
		s.tidy = nil
		go func() {
			debug.FreeOSMemory()
			debug.FreeOSMemory() // what pools hold, such as the pipes of a redirect, outlives one
		}()
	})
}

func (s *server) exits() {
	for _, x := range s.set.Exits() {
		s.reap(x.Tag.(*job), x.Status)
	}
}

// crowded says that clients may need the places of servers that have ended.
func (s *server) crowded(ev event.Event) bool {
	if ev.Kind != event.Readable || s.opts.processes > 0 {
		return true
	}
	limits := &ev.Tag.(*listener).entry.limits
	return limits.Children > 0 || limits.SourceChildren > 0
}

// shutdown closes every listener; running servers go on.
func (s *server) shutdown() {
	s.notify.stopping()
	for _, l := range s.listeners {
		s.close(l)
	}
	s.finishPublishing()
	s.files.close()
}
