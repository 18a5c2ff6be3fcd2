package child

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func init() { programs["upgraded"] = upgraded }

// upgraded is a daemon whose program is not there any more.
func upgraded() {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		panic(err)
	}
	if err := os.Remove(os.Args[0]); err != nil {
		panic(err)
	}
	p := &Plan{Path: "/bin/sh", Argv: []string{"sh", "-c", "umask"}, Settings: Settings{Umask: new(int)}}
	if _, _, err := forkExec(p, fds[1]); err != nil {
		fmt.Println(err)
	}
	unix.Close(fds[1])
	io.Copy(os.Stdout, os.NewFile(uintptr(fds[0]), "socket"))
}

// A daemon that was removed, as by an upgrade, starts servers until it ends.
func TestUpgraded(t *testing.T) {
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	daemon := filepath.Join(t.TempDir(), "upgraded")
	if err := os.WriteFile(daemon, self, 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(daemon).CombinedOutput(); err != nil || string(out) != "0000\n" {
		t.Errorf("server of a daemon that was removed = %q, %v, want 0000", out, err)
	}
}
