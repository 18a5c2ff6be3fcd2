// Package eventtest is an event.Set that a script drives: nothing is readable
// and no child ends until the test says so, and a test can wait until all that
// it said has been dealt with. No descriptor is looked at, so any number will
// do for one.
//
//	set := eventtest.New()
//	go loop(set)
//	set.Ready(fd)
//	set.Settle()
//	// The loop is back in Wait and has nothing left to do.
package eventtest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"inetd/inetd/event"
)

// A Set is an event.Set. The methods that event.Set does not have are for the
// test, from any goroutine.
type Set struct {
	mu       sync.Mutex
	changed  *sync.Cond
	watched  map[int]any
	children map[int]any
	queue    []event.Event
	exits    []event.Exit
	ended    []event.Exit // of exits, those that Wait has found
	waiting  bool         // the loop is in Wait
	closed   bool
}

var _ event.Set = (*Set)(nil)

// New returns an empty set.
func New() *Set {
	s := &Set{watched: make(map[int]any), children: make(map[int]any)}
	s.changed = sync.NewCond(&s.mu)
	return s
}

// Watch, like epoll's, fails for a descriptor that is watched.
func (s *Set) Watch(fd int, tag any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.watched[fd]; ok {
		return fmt.Errorf("watch %d: %w", fd, unix.EEXIST)
	}
	s.watched[fd] = tag
	return nil
}

// Unwatch, like epoll's, fails for a descriptor that is not watched.
func (s *Set) Unwatch(fd int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.watched[fd]; !ok {
		return fmt.Errorf("unwatch %d: %w", fd, unix.ENOENT)
	}
	delete(s.watched, fd)
	return nil
}

func (s *Set) Child(pid, pidfd int, tag any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.children[pid]; ok {
		return fmt.Errorf("child %d: %w", pid, unix.EEXIST)
	}
	s.children[pid] = tag
	return nil
}

func (s *Set) Post(f func()) { s.add(event.Event{Kind: event.Posted, Run: f}) }

func (s *Set) add(e event.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue = append(s.queue, e)
	s.changed.Broadcast()
}

// errClosed is what Wait returns once the set is closed.
var errClosed = errors.New("the set is closed")

func (s *Set) Wait() ([]event.Event, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting = true
	s.changed.Broadcast()
	for len(s.queue)+len(s.exits) == 0 && !s.closed {
		s.changed.Wait()
	}
	s.waiting = false
	if s.closed {
		return nil, errClosed
	}
	evs := s.queue
	s.queue = nil
	s.ended = append(s.ended, s.exits...)
	s.exits = nil
	return evs, nil
}

func (s *Set) Exits() []event.Exit {
	s.mu.Lock()
	defer s.mu.Unlock()
	ended := s.ended
	s.ended = nil
	return ended
}

func (s *Set) Reap() {}

// Close ends the loop, which may be in Wait.
func (s *Set) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.changed.Broadcast()
	return nil
}

// Ready makes a descriptor readable, once, and says whether it is watched. An
// event that is under way is not taken back by Unwatch, as with the real ones.
func (s *Set) Ready(fd int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	tag, ok := s.watched[fd]
	if ok {
		s.queue = append(s.queue, event.Event{Kind: event.Readable, Tag: tag})
		s.changed.Broadcast()
	}
	return ok
}

// Exit ends a child and says whether there is one of that number.
func (s *Set) Exit(pid int, status unix.WaitStatus) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	tag, ok := s.children[pid]
	if ok {
		delete(s.children, pid)
		s.exits = append(s.exits, event.Exit{Tag: tag, Status: status})
		s.changed.Broadcast()
	}
	return ok
}

// Settle returns when the loop waits and nothing is left for it. What the loop
// did before is then visible to the caller.
func (s *Set) Settle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !(s.waiting && len(s.queue)+len(s.exits) == 0) && !s.closed {
		s.changed.Wait()
	}
}

// Watched are the descriptors in the set, in order.
func (s *Set) Watched() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.watched))
}

// Children are the children that have not ended, in order.
func (s *Set) Children() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.children))
}
