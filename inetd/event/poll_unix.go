//go:build unix && !linux

package event

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// poll is the portable set: poll(2) over a table of descriptors, a pipe for
// posts, SIGCHLD for children.
type poll struct {
	fds      []unix.PollFd // the first is the pipe
	tags     []any         // beside fds
	index    map[int]int   // descriptor to place in fds
	wakeFD   int
	events   []Event
	exits    []Exit
	posts    posts
	children *sigchld
}

// New opens an empty set.
func New() (Set, error) {
	var p [2]int
	if err := unix.Pipe(p[:]); err != nil {
		return nil, fmt.Errorf("pipe: %w", err)
	}
	for _, fd := range p {
		unix.CloseOnExec(fd)
		if err := unix.SetNonblock(fd, true); err != nil {
			return nil, fmt.Errorf("pipe: %w", err)
		}
	}
	s := &poll{index: make(map[int]int), wakeFD: p[1]}
	s.posts.wake = func() { unix.Write(p[1], []byte{0}) }
	s.children = newSigchld(s.Post)
	return s, s.Watch(p[0], nil)
}

func (s *poll) Watch(fd int, tag any) error {
	if _, ok := s.index[fd]; ok {
		return unix.EEXIST
	}
	s.index[fd] = len(s.fds)
	s.fds = append(s.fds, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
	s.tags = append(s.tags, tag)
	return nil
}

func (s *poll) Unwatch(fd int) error {
	i, ok := s.index[fd]
	if !ok {
		return unix.ENOENT
	}
	last := len(s.fds) - 1
	s.fds[i], s.tags[i] = s.fds[last], s.tags[last]
	s.index[int(s.fds[i].Fd)] = i
	s.fds, s.tags = s.fds[:last], s.tags[:last]
	delete(s.index, fd)
	return nil
}

func (s *poll) Child(pid, pidfd int, tag any) error {
	s.children.add(pid, tag)
	// It may have ended before it was known, and its signal with it.
	s.Post(func() {})
	return nil
}

func (s *poll) Post(f func()) { s.posts.add(f) }

func (s *poll) Wait() ([]Event, error) {
	s.events = s.events[:0]
	for len(s.events)+len(s.exits) == 0 {
		n, err := unix.Poll(s.fds, -1)
		if err != nil && err != unix.EINTR {
			return nil, fmt.Errorf("poll: %w", err)
		}
		for i := 0; n > 0 && i < len(s.fds); i++ {
			if s.fds[i].Revents == 0 {
				continue
			}
			n--
			if i == 0 {
				var b [64]byte
				for {
					if n, _ := unix.Read(int(s.fds[0].Fd), b[:]); n < len(b) {
						break
					}
				}
				s.events = s.posts.take(s.events)
				continue
			}
			s.events = append(s.events, Event{Kind: Readable, Tag: s.tags[i]})
		}
		s.exits = s.children.take(s.exits)
	}
	return s.events, nil
}

func (s *poll) Exits() []Exit {
	exits := s.exits
	s.exits = nil
	return exits
}

// Reap has nothing to do: only waiting tells who has ended.
func (s *poll) Reap() {}

func (s *poll) Close() error {
	s.children.close()
	unix.Close(s.wakeFD)
	return unix.Close(int(s.fds[0].Fd))
}
