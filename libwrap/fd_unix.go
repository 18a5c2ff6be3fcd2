//go:build unix && !linux

package libwrap

import "syscall"

func dup2(from, to int) error { return syscall.Dup2(from, to) }

// pipe returns a pipe that other children do not inherit.
func pipe(p *[2]int) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := syscall.Pipe(p[:]); err != nil {
		return err
	}
	syscall.CloseOnExec(p[0])
	syscall.CloseOnExec(p[1])
	return nil
}
