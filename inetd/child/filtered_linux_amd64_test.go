package child

import (
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

func init() { programs["filtered"] = filtered }

// answers are what a filter, as containers have them, has the kernel say to
// system calls instead of doing them. 0 is success.
type answers map[uint32]syscall.Errno

func (a answers) install() error {
	const ret = unix.BPF_RET | unix.BPF_K
	code := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}} // the number
	for nr, errno := range a {
		code = append(code,
			unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: nr},
			unix.SockFilter{Code: ret, K: unix.SECCOMP_RET_ERRNO | uint32(errno)})
	}
	code = append(code, unix.SockFilter{Code: ret, K: unix.SECCOMP_RET_ALLOW})
	prog := unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}
	runtime.LockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	_, _, e := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&prog)))
	if e != 0 {
		return e
	}
	return nil
}

// filtered is a daemon behind a filter: "filtered UID GID UMASK NR=ERRNO...". It
// starts one server and says what became of it.
func filtered() {
	c := &syscall.Credential{}
	fmt.Sscan(os.Args[1], &c.Uid)
	fmt.Sscan(os.Args[2], &c.Gid)
	c.Groups = []uint32{c.Gid}
	a := make(answers)
	p := &Plan{Path: "/bin/sh", Argv: []string{"sh", "-c", "id -u; id -g"}, Env: []string{"PATH=/usr/bin:/bin"}, Credential: c}
	if os.Args[3] != "" {
		p.Umask = new(int)
	}
	for _, arg := range os.Args[4:] {
		var nr, errno int
		fmt.Sscanf(arg, "%d=%d", &nr, &errno)
		a[uint32(nr)] = syscall.Errno(errno)
	}
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		panic(err)
	}
	if err := unix.Setgroups([]int{0, 4, 43}); err != nil {
		panic(err)
	}
	if err := a.install(); err != nil {
		panic(err)
	}
	if err := Clean(); err != nil {
		fmt.Println(err)
	} else if _, _, err := start(p, fds[1]); err != nil {
		fmt.Println(err)
	}
	unix.Close(fds[1])
	io.Copy(os.Stdout, os.NewFile(uintptr(fds[0]), "socket"))
}

// behind is what a daemon behind a filter makes of a server of uid and gid.
func behind(t *testing.T, uid, gid int, umask string, a answers) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	daemon := filepath.Join(t.TempDir(), "filtered")
	if err := os.Symlink(self, daemon); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(daemon, fmt.Sprint(uid), fmt.Sprint(gid), umask)
	for nr, errno := range a {
		cmd.Args = append(cmd.Args, fmt.Sprintf("%d=%d", nr, errno))
	}
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("daemon behind %v: %v\n%s", a, err, out)
	}
	return strings.TrimSpace(string(out))
}

// Where the system calls of the fast way are not to be had, by whatever error, a
// server starts all the same.
func TestFallback(t *testing.T) {
	needRoot(t)
	for _, a := range []answers{
		{unix.SYS_CLONE3: unix.ENOSYS}, // the C library of a test with -race can do without, but not with EPERM
		{unix.SYS_CLOSE_RANGE: unix.ENOSYS},
		{unix.SYS_CLOSE_RANGE: unix.EINVAL},
		{unix.SYS_CLOSE_RANGE: unix.EPERM},
	} {
		if got := behind(t, 4711, 42, "", a); got != "4711\n42" {
			t.Errorf("server behind %v = %q, want it to be 4711 and 42", a, got)
		}
	}
}

// ways are all ways to start a server: a filter and a umask that lead there.
var ways = []struct {
	name, umask string
	filter      answers
}{
	{"fast", "", answers{}},
	{"ForkExec", "", answers{unix.SYS_CLONE3: unix.ENOSYS}},
	{"helper", "0", answers{unix.SYS_CLONE3: unix.ENOSYS}},
}

// A root that may not change its groups serves its own entries, and only those.
func TestGroupsDenied(t *testing.T) {
	needRoot(t)
	gid := os.Getegid()
	for _, way := range ways {
		a := maps.Clone(way.filter)
		a[unix.SYS_SETGROUPS] = unix.EPERM
		if got, want := behind(t, 0, gid, way.umask, a), fmt.Sprintf("0\n%d", gid); got != want {
			t.Errorf("%s: server of the daemon's own user = %q, want %q", way.name, got, want)
		}
		for _, id := range [][2]int{{0, 42}, {4711, gid}, {4711, 42}} {
			if got := behind(t, id[0], id[1], way.umask, a); !strings.HasSuffix(got, ": operation not permitted") {
				t.Errorf("%s: server of %v = %q, want it refused", way.name, id, got)
			}
		}
		a[unix.SYS_SETGROUPS] = unix.EINVAL
		if got := behind(t, 0, gid, way.umask, a); !strings.HasSuffix(got, ": invalid argument") {
			t.Errorf("%s: server where groups are not set for another reason = %q, want it refused", way.name, got)
		}
	}
}

// Nobody's server is not started as root where the kernel only says that it has
// become nobody's, or that it may not, and where it does not say who is who
// nothing is.
func TestIdentityFaked(t *testing.T) {
	needRoot(t)
	gid := os.Getegid()
	for _, way := range ways {
		for _, tt := range []struct {
			uid, gid int
			a        answers
		}{
			{4711, 42, answers{unix.SYS_SETGROUPS: 0, unix.SYS_SETGID: 0, unix.SYS_SETUID: 0}},
			{4711, 42, answers{unix.SYS_SETGROUPS: 0}},
			{4711, 42, answers{unix.SYS_SETUID: 0}},
			{4711, 42, answers{unix.SYS_SETGID: 0}},
			{4711, gid, answers{unix.SYS_SETUID: 0}},
			{0, 42, answers{unix.SYS_SETGID: 0}},
			{4711, 42, answers{unix.SYS_SETGID: unix.EPERM}},
			{4711, 42, answers{unix.SYS_SETUID: unix.EPERM}},
			{4711, 42, answers{unix.SYS_GETGROUPS: unix.EPERM}},
		} {
			a := maps.Clone(way.filter)
			maps.Copy(a, tt.a)
			if got := behind(t, tt.uid, tt.gid, way.umask, a); !strings.HasSuffix(got, ": operation not permitted") {
				t.Errorf("%s: server of %d and %d behind %v = %q, want it refused", way.name, tt.uid, tt.gid, tt.a, got)
			}
		}
		a := maps.Clone(way.filter)
		maps.Copy(a, answers{unix.SYS_SETGID: 0, unix.SYS_SETUID: 0})
		if got, want := behind(t, 0, gid, way.umask, a), fmt.Sprintf("0\n%d", gid); got != want {
			t.Errorf("%s: server of the daemon's own user behind %v = %q, want %q", way.name, a, got, want)
		}
	}
	for _, nr := range []uint32{unix.SYS_GETEUID, unix.SYS_GETEGID} {
		if got := behind(t, 4711, 42, "", answers{nr: unix.EPERM}); !strings.HasPrefix(got, "geteuid and getegid fail: ") {
			t.Errorf("daemon that cannot know who it is = %q", got)
		}
	}
}
