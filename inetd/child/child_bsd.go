//go:build unix && !linux

package child

import (
	"os"
	"os/signal"
	"syscall"
)

func wantPidfd(*syscall.SysProcAttr, *int) {}

func executable() (string, error) { return os.Executable() }

// resetSignals: these systems give no way to reset a signal that was ignored
// from the start but to handle it, which exec turns into its default.
func resetSignals() error {
	for sig := syscall.Signal(1); sig < 32; sig++ {
		if signal.Ignored(sig) {
			signal.Notify(make(chan os.Signal, 1), sig)
		}
	}
	return nil
}

func closeOnExec() error { return closeOnExecIn("/dev/fd") }
