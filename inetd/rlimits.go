//go:build unix && !openbsd

package main

import (
	"golang.org/x/sys/unix"

	"inetd/inetd/conf"
)

var rlimits = map[conf.Resource]int{
	conf.RlimitAS: unix.RLIMIT_AS, conf.RlimitCPU: unix.RLIMIT_CPU, conf.RlimitData: unix.RLIMIT_DATA,
	conf.RlimitFiles: unix.RLIMIT_NOFILE, conf.RlimitRSS: unix.RLIMIT_RSS, conf.RlimitStack: unix.RLIMIT_STACK,
}
