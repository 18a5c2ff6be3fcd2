package services

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// drain throws away what has arrived on fd. A Linux TCP socket does that
// without copying (MSG_TRUNC in tcp(7)); on a unix-domain socket the flag means
// nothing, and the missing buffer is EFAULT.
func drain(fd int) (int, error) {
	n, _, errno := unix.Syscall6(unix.SYS_RECVFROM, uintptr(fd), 0, 1<<20, unix.MSG_TRUNC, 0, 0)
	switch errno {
	case 0:
		return int(n), nil
	case syscall.EFAULT:
		return drainInto(fd)
	}
	return 0, errno
}

// wakeLate has the poller report fd only when so much has come that looking at
// it pays, or the peer is done. A reader that copies nothing is otherwise
// faster than any sender and woken for every segment, which halves the rate.
func wakeLate(fd int) { syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_RCVLOWAT, 256<<10) }

// sinceData is for how long nothing has come on fd.
func sinceData(fd int) time.Duration {
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil { // a unix-domain socket, which is not woken late
		return 0
	}
	return time.Duration(info.Last_data_recv) * time.Millisecond
}

// queued is how many bytes written to fd its peer has not taken.
func queued(fd int) int {
	n, err := unix.IoctlGetInt(fd, unix.SIOCOUTQ)
	if err != nil {
		return 0
	}
	return n
}
