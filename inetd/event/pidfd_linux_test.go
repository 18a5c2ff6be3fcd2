package event

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func wantPidfd(a *syscall.SysProcAttr, pidfd *int) { a.PidFD = pidfd }

const defaultFlavour = "pidfd"

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
