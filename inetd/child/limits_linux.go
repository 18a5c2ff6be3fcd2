package child

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// addNice adds to the nice value. getpriority(2) gives 20 minus it.
func addNice(n int) error {
	p, err := syscall.Getpriority(syscall.PRIO_PROCESS, 0)
	if err != nil {
		return err
	}
	return syscall.Setpriority(syscall.PRIO_PROCESS, 0, 20-p+n)
}

// setrlimit is by prlimit(2): after a Setrlimit that was denied, Exec would not
// give back the limit on descriptors that the runtime has raised.
func setrlimit(resource int, soft, hard uint64) error {
	return unix.Prlimit(0, resource, &unix.Rlimit{Cur: soft, Max: hard}, nil)
}
