package libwrap

import "syscall"

func dup2(from, to int) error { return syscall.Dup3(from, to, 0) }

// pipe returns a pipe that no child inherits, of whoever's making: callers may
// have ways of their own to start one.
func pipe(p *[2]int) error { return syscall.Pipe2(p[:], syscall.O_CLOEXEC) }
