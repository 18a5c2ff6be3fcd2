package main

import (
	"golang.org/x/sys/unix"

	"inetd/inetd/conf"
)

// OpenBSD bounds no address space.
var rlimits = map[conf.Resource]int{
	conf.RlimitCPU: unix.RLIMIT_CPU, conf.RlimitData: unix.RLIMIT_DATA,
	conf.RlimitFiles: unix.RLIMIT_NOFILE, conf.RlimitRSS: unix.RLIMIT_RSS, conf.RlimitStack: unix.RLIMIT_STACK,
}
