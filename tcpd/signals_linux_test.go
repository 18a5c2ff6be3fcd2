package main

import (
	"syscall"
	"unsafe"
)

// The C library of whoever starts the tests (make, since it uses posix_spawn)
// leaves its own signals ignored in its children. Go does not touch them, so
// the servers that the tests look at would have them from there.
func init() {
	var dfl [4]uint64 // struct sigaction: SIG_DFL, no flags, no restorer, empty mask
	for _, sig := range []uintptr{32, 33} {
		syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, sig, uintptr(unsafe.Pointer(&dfl)), 0, 8, 0, 0)
	}
}
