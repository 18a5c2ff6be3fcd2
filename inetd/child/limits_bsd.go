//go:build unix && !linux

package child

import (
	"syscall"

	"golang.org/x/sys/unix"
)

func addNice(n int) error {
	p, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	if err != nil {
		return err
	}
	return unix.Setpriority(unix.PRIO_PROCESS, 0, p+n)
}

func setrlimit(resource int, soft, hard uint64) error {
	var l syscall.Rlimit
	assign(&l.Cur, soft)
	assign(&l.Max, hard)
	return syscall.Setrlimit(resource, &l)
}

// The fields are signed on FreeBSD.
func assign[T int64 | uint64](field *T, v uint64) { *field = T(v) }
