//go:build unix

package event

import (
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

// sigchld reaps the children it knows, and only those: others belong to
// whoever started them (os/exec for getent). The signal only wakes the loop;
// waiting is done inside it, so no child can be reaped before it is known.
type sigchld struct {
	tags map[int]any
	sig  chan os.Signal
}

func newSigchld(post func(func())) *sigchld {
	s := &sigchld{tags: make(map[int]any), sig: make(chan os.Signal, 1)}
	signal.Notify(s.sig, unix.SIGCHLD)
	go func() {
		for range s.sig {
			post(func() {})
		}
	}()
	return s
}

// add notes a child. It may have ended before: the next take looks.
func (s *sigchld) add(pid int, tag any) { s.tags[pid] = tag }

// take adds the children that have ended. SIGCHLD is one bit however many
// children end, so each known one is asked.
func (s *sigchld) take(exits []Exit) []Exit {
	for pid, tag := range s.tags {
		var status unix.WaitStatus
		got, err := unix.Wait4(pid, &status, unix.WNOHANG, nil)
		if got == 0 || err == unix.EINTR {
			continue
		}
		delete(s.tags, pid)
		exits = append(exits, Exit{tag, status})
	}
	return exits
}

func (s *sigchld) close() {
	signal.Stop(s.sig)
	close(s.sig)
}
