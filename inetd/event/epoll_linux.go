package event

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Linux 5.3 and later has pidfd_open and clone's CLONE_PIDFD; on older kernels
// Child falls back to SIGCHLD (child_unix.go).

type epoll struct {
	fd, wakeFD int
	tags       []any // by descriptor: what is watched, and pidfds as *child
	raw        []unix.EpollEvent
	events     []Event
	ended      []*child // not reaped yet
	exits      []Exit
	told       int // of exits
	posts      posts
	fallback   *sigchld // nil until a child without pidfd comes
	quiet      bool     // SIGCHLD is off
}

type child struct {
	pid, pidfd int
	tag        any
}

// linger is how long the loop waits, in milliseconds, before it lets its thread
// go. A system call that may block gives the runtime's processor away and has
// a monitor thread woken when it returns, which under load costs as much as
// everything else the loop does; so it first waits without telling the runtime.
// Other goroutines need a second processor meanwhile.
const linger = 5

// New opens an empty set.
func New() (Set, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll_create1: %w", err)
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	e := &epoll{fd: fd, wakeFD: wake, raw: make([]unix.EpollEvent, 64)}
	if runtime.GOMAXPROCS(0) == 1 {
		runtime.GOMAXPROCS(2)
	}
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	e.posts.wake = func() { unix.Write(wake, one[:]) }
	if err := e.Watch(wake, nil); err != nil {
		e.Close()
		return nil, err
	}
	return e, nil
}

func (e *epoll) Watch(fd int, tag any) error {
	ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}
	if err := unix.EpollCtl(e.fd, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
		return fmt.Errorf("epoll_ctl: %w", err)
	}
	if fd >= len(e.tags) {
		e.tags = append(e.tags, make([]any, fd+1-len(e.tags))...)
	}
	e.tags[fd] = tag
	return nil
}

func (e *epoll) Unwatch(fd int) error {
	if fd < len(e.tags) {
		e.tags[fd] = nil
	}
	if err := unix.EpollCtl(e.fd, unix.EPOLL_CTL_DEL, fd, nil); err != nil {
		return fmt.Errorf("epoll_ctl: %w", err)
	}
	return nil
}

func (e *epoll) Child(pid, pidfd int, tag any) error {
	if pidfd < 0 {
		if e.fallback == nil {
			e.fallback = newSigchld(e.Post)
		}
		e.fallback.add(pid, tag)
		// It may have ended before it was known, and its signal with it.
		e.Post(func() {})
		return nil
	}
	if !e.quiet {
		e.quiet = true
		quietSigchld()
	}
	err := e.Watch(pidfd, &child{pid, pidfd, tag})
	if err != nil {
		unix.Close(pidfd)
	}
	return err
}

// quietSigchld takes SIGCHLD from the runtime's handler, which has no use for
// it where pidfds tell of children, and whose every run interrupts the wait.
// Its default is to do nothing, and children stay to be waited for.
func quietSigchld() {
	var dfl [4]uint64 // struct sigaction: SIG_DFL, no flags, no restorer, empty mask
	unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(unix.SIGCHLD), uintptr(unsafe.Pointer(&dfl)), 0, 8, 0, 0)
}

func (e *epoll) Post(f func()) { e.posts.add(f) }

func (e *epoll) Wait() ([]Event, error) {
	e.events = e.events[:0]
	e.exits, e.told = slices.Delete(e.exits, 0, e.told), 0
	for len(e.events)+len(e.ended)+len(e.exits) == 0 {
		n, err := e.wait()
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("epoll_wait: %w", err)
		}
		for i := range e.raw[:n] {
			e.ready(e.raw[i].Fd)
		}
		if e.fallback != nil {
			e.exits = e.fallback.take(e.exits)
		}
	}
	return e.events, nil
}

func (e *epoll) wait() (int, error) {
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(e.fd), uintptr(unsafe.Pointer(&e.raw[0])), uintptr(len(e.raw)), linger, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	if n > 0 {
		return int(n), nil
	}
	return unix.EpollWait(e.fd, e.raw, -1)
}

func (e *epoll) Reap() {
	for _, c := range e.ended {
		// It does not block, and the runtime need not hear of it.
		var status uint32
		pid, _, _ := unix.RawSyscall6(unix.SYS_WAIT4, uintptr(c.pid), uintptr(unsafe.Pointer(&status)), unix.WNOHANG, 0, 0, 0)
		if pid == 0 {
			continue // not yet, after all; the next Wait finds it again
		}
		// To close it does not suffice: another child, on its way to its program,
		// may have a copy.
		e.Unwatch(c.pidfd)
		unix.Close(c.pidfd)
		e.exits = append(e.exits, Exit{c.tag, unix.WaitStatus(status)})
	}
	clear(e.ended)
	e.ended = e.ended[:0]
}

func (e *epoll) Exits() []Exit {
	e.Reap()
	exits := e.exits[e.told:]
	e.told = len(e.exits)
	return exits
}

func (e *epoll) ready(fd int32) {
	if int(fd) == e.wakeFD {
		var b [8]byte
		unix.Read(e.wakeFD, b[:])
		e.events = e.posts.take(e.events)
		return
	}
	switch tag := e.tags[fd].(type) {
	case nil:
	case *child:
		e.ended = append(e.ended, tag)
	default:
		e.events = append(e.events, Event{Kind: Readable, Tag: tag})
	}
}

func (e *epoll) Close() error {
	for fd, tag := range e.tags {
		if _, ok := tag.(*child); ok {
			unix.Close(int(fd))
		}
	}
	if e.fallback != nil {
		e.fallback.close()
	}
	unix.Close(e.wakeFD)
	return unix.Close(e.fd)
}
