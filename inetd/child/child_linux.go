package child

import (
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

func wantPidfd(a *syscall.SysProcAttr, pidfd *int) { a.PidFD = pidfd }

// executable is a path of this program that works whatever has happened to the file
// it was started from.
func executable() (string, error) { return "/proc/self/exe", nil }

const sigIgn = 1 // SIG_IGN

// sigaction is the kernel's struct for rt_sigaction(2).
type sigaction struct {
	handler  uintptr
	flags    uint64
	restorer uintptr
	mask     uint64
}

// resetSignals undoes what the starting shell or service manager did. Go
// handles most signals, and exec gives those their default; what is ignored
// (nohup's SIGHUP, a background job's SIGINT) or blocked would reach servers.
func resetSignals() error {
	for sig := 1; sig <= 64; sig++ {
		var sa sigaction
		if _, _, e := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), 0, uintptr(unsafe.Pointer(&sa)), 8, 0, 0); e != 0 {
			continue
		}
		if sa.handler == sigIgn {
			sa = sigaction{}
			if _, _, e := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(&sa)), 0, 8, 0, 0); e != 0 {
				return e
			}
		}
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var old, none unix.Sigset_t
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, nil, &old); err != nil {
		return err
	}
	if old == none {
		return nil
	}
	// The runtime gives each child the mask that this process started with, so
	// only a new start with an empty one helps.
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &none, nil); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return unix.Exec(self, os.Args, os.Environ())
}

// closeOnExec marks whatever the starting process left open.
func closeOnExec() error {
	if unix.CloseRange(3, ^uint(0)>>1, unix.CLOSE_RANGE_CLOEXEC) == nil {
		return nil
	}
	return closeOnExecIn("/proc/self/fd") // before Linux 5.11
}
