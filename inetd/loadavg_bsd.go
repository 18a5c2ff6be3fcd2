//go:build unix && !linux

package main

import (
	"encoding/binary"
	"errors"

	"golang.org/x/sys/unix"
)

// loadavg is the load average of the last minute: struct loadavg of
// sysctl(3)'s vm.loadavg, three fixed-point numbers and their scale.
func loadavg() (float64, error) {
	b, err := unix.SysctlRaw("vm.loadavg")
	if err != nil {
		return 0, err
	}
	if len(b) < 20 {
		return 0, errors.New("vm.loadavg is too short")
	}
	// The scale is a long, aligned as one.
	scale := binary.NativeEndian.Uint32(b[12:])
	if len(b) >= 24 {
		scale = uint32(binary.NativeEndian.Uint64(b[16:]))
	}
	if scale == 0 {
		return 0, errors.New("vm.loadavg has no scale")
	}
	return float64(binary.NativeEndian.Uint32(b)) / float64(scale), nil
}
