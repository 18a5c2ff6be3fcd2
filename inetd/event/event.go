// Package event is the one place where the daemon waits: for sockets, for
// children and for functions that other goroutines post. Linux waits in
// epoll(7) with pidfds for children, other systems in poll(2) with SIGCHLD.
package event

import "golang.org/x/sys/unix"

// A Kind says what happened.
type Kind uint8

const (
	Readable Kind = iota + 1 // a watched descriptor has something to read or accept
	Posted                   // a function wants to run inside the loop
)

// An Event is a plain value, so that waiting allocates nothing.
type Event struct {
	Kind Kind
	Tag  any    // what Watch was given
	Run  func() // of a Posted event
}

// An Exit is the end of a child.
type Exit struct {
	Tag    any // what Child was given
	Status unix.WaitStatus
}

// A Set is where the daemon waits. One goroutine calls everything but Post.
type Set interface {
	// Watch reports fd as Readable, level-triggered, until Unwatch. An event
	// that Wait has already returned may still name a descriptor unwatched
	// since.
	Watch(fd int, tag any) error
	Unwatch(fd int) error
	// Child has Exits tell the end of a child process. pidfd is closed by the
	// set, after an error too; it is -1 where the system has none.
	Child(pid, pidfd int, tag any) error
	// Post makes f an event of the loop. It may be called from any goroutine
	// and never blocks; functions run in the order they were posted.
	Post(f func())
	// Wait blocks until something happens; what happens to children is left to
	// Exits. The slice is good until the next call.
	Wait() ([]Event, error)
	// Exits returns the children that the last Wait found to have ended, reaped,
	// each once. The slice is good until the next Wait.
	Exits() []Exit
	// Reap has the kernel bury those children, which takes it as long as some
	// connections' work does, so that Exits need not: for when the loop has
	// nothing better to do.
	Reap()
	Close() error
}
