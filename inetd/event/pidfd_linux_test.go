package event

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func wantPidfd(a *syscall.SysProcAttr, pidfd *int) { a.PidFD = pidfd }

const defaultFlavour = "pidfd"

// A pidfd of which another process has a copy is as good as closed.
func TestPidfdCopied(t *testing.T) {
	if flavour != defaultFlavour {
		t.Skip("there are no pidfds")
	}
	onNew(t, func(t *testing.T, b *bench) {
		pid, pidfd := b.start("exit 4")
		dup, err := unix.FcntlInt(uintptr(pidfd), unix.F_DUPFD_CLOEXEC, 1000)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(dup)
		if err := b.set.Child(pid, pidfd, "copied"); err != nil {
			t.Fatal(err)
		}
		b.want("exited copied 4")
		pid, again := b.start("exit 5")
		if again != pidfd {
			t.Fatalf("pidfd = %d, want %d again", again, pidfd)
		}
		waitEnded(t, pid)
		if err := b.set.Child(pid, again, "next"); err != nil {
			t.Fatal(err)
		}
		b.want("exited next 5")
	})
}

// TestSigchld runs all these tests again as on a kernel without pidfds.
func TestSigchld(t *testing.T) {
	if flavour != defaultFlavour {
		t.Skip("this is the other way")
	}
	again(t, exec.Command(os.Args[0]), "sigchld")
}

// again runs cmd, which are these tests, with another flavour.
func again(t *testing.T, cmd *exec.Cmd, flavour string) {
	t.Helper()
	cmd.Env = append(os.Environ(), flavourEnv+"="+flavour)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("tests with %s: %v\n%s", flavour, err, out)
	}
}

// TestPoll runs all these tests again with the set of the other systems, which
// needs nothing that only Linux has.
func TestPoll(t *testing.T) {
	if flavour != defaultFlavour {
		t.Skip("this is the other set")
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("poll_unix.go")
	if err != nil {
		t.Fatal(err)
	}
	const tag = "//go:build unix && !linux\n"
	if !strings.HasPrefix(string(text), tag) {
		t.Fatalf("poll_unix.go does not start with %q", tag)
	}
	poll := filepath.Join(t.TempDir(), "poll.go")
	if err := os.WriteFile(poll, text[len(tag):], 0o644); err != nil {
		t.Fatal(err)
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {
		filepath.Join(dir, "poll_unix.go"):   poll,
		filepath.Join(dir, "epoll_linux.go"): "",
	}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "overlay.json")
	if err := os.WriteFile(file, overlay, 0o644); err != nil {
		t.Fatal(err)
	}
	again(t, exec.Command("go", "test", "-count=1", "-overlay="+file, "."), "poll")
}
