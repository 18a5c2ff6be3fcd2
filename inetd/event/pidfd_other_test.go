//go:build unix && !linux

package event

import "syscall"

func wantPidfd(*syscall.SysProcAttr, *int) {}

const defaultFlavour = "poll"
