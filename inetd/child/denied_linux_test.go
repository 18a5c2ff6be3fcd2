package child

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func init() { programs["denied"] = denied }

// denied is a daemon that may raise neither limits nor priorities, and whose own
// limit on descriptors was lowered after its start.
func denied() {
	runtime.LockOSThread()
	if os.Getenv("DROPPED") == "" {
		for _, c := range []uintptr{unix.CAP_SYS_NICE, unix.CAP_SYS_RESOURCE} {
			unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0) // without root there are none
		}
		limit(77, 100)
		panic(unix.Exec("/proc/self/exe", os.Args, append(os.Environ(), "DROPPED=yes")))
	}
	start := start
	if os.Getenv("FORKEXEC") != "" {
		start = forkExec
	}
	for _, settings := range []Settings{
		{Nice: -5},
		{Nice: 1, Rlimits: []Rlimit{{syscall.RLIMIT_NOFILE, 120, 120}, {syscall.RLIMIT_CORE, 0, 0}}},
		{},
	} {
		if settings.empty() {
			limit(90, 90)
		}
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			panic(err)
		}
		p := &Plan{Path: "/bin/sh", Argv: []string{"sh", "-c", "nice; ulimit -Sn; ulimit -Hn"}, Settings: settings}
		if _, _, err := start(p, fds[1]); err != nil {
			fmt.Println(err)
		}
		unix.Close(fds[1])
		io.Copy(os.Stdout, os.NewFile(uintptr(fds[0]), "socket"))
	}
}

func limit(soft, hard uint64) {
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: soft, Max: hard}); err != nil {
		panic(err)
	}
}

// What the daemon has no right to does not keep a server from starting.
func TestDenied(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	daemon := filepath.Join(t.TempDir(), "denied")
	if err := os.Symlink(self, daemon); err != nil {
		t.Fatal(err)
	}
	base, err := exec.Command("nice").Output()
	if err != nil {
		t.Skipf("nice: %v", err)
	}
	var nice int
	fmt.Sscan(string(base), &nice)
	want := fmt.Sprintf("%d\n77\n100\n%d\n77\n100\n%[1]d\n90\n90\n", nice, min(nice+1, 19))
	for _, env := range []string{"X=", "FORKEXEC=yes"} {
		cmd := exec.Command(daemon)
		cmd.Env = append(os.Environ(), env)
		if out, err := cmd.CombinedOutput(); err != nil || string(out) != want {
			t.Errorf("nice values and limits of servers, %s = %q, %v, want %q", env, strings.TrimSpace(string(out)), err, want)
		}
	}
}
