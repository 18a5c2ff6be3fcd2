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
	"time"

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

// A helper that its user stops behind its word is killed, and where the daemon has
// no right to that it is left to the loop, as any other server.
func TestHelperStoppedBehindWord(t *testing.T) {
	needRoot(t)
	defer func(d time.Duration) { patience = d }(patience)
	patience = 10 * time.Millisecond
	stopped := func() (int, *os.File) {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Close(); w.Close() })
		w.Write([]byte{0, exitExec, byte(unix.ENOENT)})
		pid, err := syscall.ForkExec("/bin/sleep", []string{"sleep", "1000"}, &syscall.ProcAttr{
			Sys: &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 4711, Gid: 4711}},
		})
		if err != nil {
			t.Fatal(err)
		}
		return pid, r
	}
	p := &Plan{Path: "/x"}
	pid, r := stopped()
	if err := p.hear(r, pid); err == nil || err.Error() != "execv /x: no such file or directory" {
		t.Errorf("word of a helper = %v", err)
	}
	if _, err := unix.Wait4(pid, nil, 0, nil); err != unix.ECHILD {
		t.Errorf("Wait4 after its word = %v, want no child", err)
	}

	pid, r = stopped()
	heard := make(chan error)
	go func() {
		runtime.LockOSThread() // and the thread ends with it
		head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var caps [2]unix.CapUserData
		err := unix.Capget(&head, &caps[0])
		caps[0].Effective &^= 1 << unix.CAP_KILL
		if err == nil {
			err = unix.Capset(&head, &caps[0])
		}
		if err != nil {
			panic(err)
		}
		heard <- p.hear(r, pid)
	}()
	select {
	case err := <-heard:
		if err != nil {
			t.Errorf("word of a helper that may not be killed = %v, want nil", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("a helper that may not be killed is waited for")
		defer func() { <-heard }()
	}
	unix.Kill(pid, unix.SIGKILL)
	unix.Wait4(pid, nil, 0, nil)
}
