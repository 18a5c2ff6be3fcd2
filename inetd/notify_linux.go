package main

import "golang.org/x/sys/unix"

// monotonic is the time that service managers compare with theirs, in
// microseconds.
func monotonic() int64 {
	var now unix.Timespec
	unix.ClockGettime(unix.CLOCK_MONOTONIC, &now)
	return now.Nano() / 1000
}
