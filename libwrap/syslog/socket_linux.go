package syslog

import "syscall"

// socket returns a non-blocking unix socket that no child inherits.
func socket(typ int) (int, error) {
	return syscall.Socket(syscall.AF_UNIX, typ|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
}
