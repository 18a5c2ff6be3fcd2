package child

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	if IsHelper() {
		os.Exit(Help())
	}
	patience = 30 * time.Second
	if f := programs[filepath.Base(os.Args[0])]; f != nil {
		f()
		os.Exit(0)
	}
	// What the shell of the tests left open, servers would have.
	if err := closeOnExec(); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// programs are what the test binary is under another name.
var programs = map[string]func(){"starved": starved, "limited": limited}

func TestLaunder(t *testing.T) {
	for _, tt := range []struct {
		in   string
		kept bool
	}{
		{"PATH=/bin", false}, {"HOME=/root", false}, {"SHELL=/bin/sh", false}, {"TERM=vt100", false}, {"USER=root", false},
		{"LOGNAME=root", false}, {"IFS=x", false}, {"MAIL=/x", false}, {"CDPATH=/x", false}, {"ENV=/x", false}, {"BASH_ENV=/x", false},
		{"LD_PRELOAD=/x", false}, {"LD_LIBRARY_PATH=/x", false}, {"LD_", false},
		{"NOTIFY_SOCKET=/x", false}, {"LISTEN_FDS=1", false}, {"LISTEN_PID=1", false}, {"WATCHDOG_USEC=1", false}, {"INVOCATION_ID=x", false}, {"JOURNAL_STREAM=1:2", false},
		{"LANG=C", true}, {"TZ=UTC", true}, {"LC_ALL=C", true}, {"PATHOLOGY=x", true}, {"MYPATH=x", true}, {"HOMES=x", true},
		{"USERNAME=x", true}, {"path=x", true}, {"LDAP=x", true}, {"=x", true}, {"", true},
	} {
		if got := slices.Contains(Launder([]string{"A=1", tt.in, "B=2"}), tt.in); got != tt.kept {
			t.Errorf("Launder keeps %q = %v, want %v", tt.in, got, tt.kept)
		}
	}
	if got := Launder([]string{"B=1", "PATH=x", "A=2", "B=1"}); !slices.Equal(got, []string{"B=1", "A=2", "B=1"}) {
		t.Errorf("Launder = %q, want the rest in its order", got)
	}
}

// begin starts a plan on one end of a socket pair and returns the other.
func begin(t *testing.T, p *Plan) (*os.File, int) {
	t.Helper()
	f, pid, err := try(p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f, pid
}

// startWith is Start, or what it falls back to.
var startWith = start

func start(p *Plan, fd int) (pid, pidfd int, err error) { return Start(p, fd, nil) }

func byForkExec(t *testing.T) {
	startWith = forkExec
	t.Cleanup(func() { startWith = start })
}

func try(p *Plan) (f *os.File, pid int, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return nil, 0, err
	}
	defer unix.Close(fds[1])
	unix.CloseOnExec(fds[0])
	unix.CloseOnExec(fds[1])
	f = os.NewFile(uintptr(fds[0]), "socket")
	pid, pidfd, err := startWith(p, fds[1])
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	if pidfd >= 0 {
		unix.Close(pidfd)
	}
	return f, pid, nil
}

// finish reads what a server writes and waits for its end.
func finish(t *testing.T, f *os.File, pid int) (string, unix.WaitStatus) {
	t.Helper()
	out, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	var status unix.WaitStatus
	for {
		if _, err = unix.Wait4(pid, &status, 0, nil); err != unix.EINTR {
			break
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(out), status
}

func TestStart(t *testing.T) {
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh\necho \"$0\" \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		plan   Plan
		out    string
		status int
	}{
		{Plan{Path: "/bin/sh", Argv: []string{"-any-name", "-c", `echo "$0" "$#" "$1"`, "zero", "one two"}}, "zero 1 one two\n", 0},
		{Plan{Path: "/bin/sh", Argv: []string{"sh", "-c", "echo out; echo err >&2; exit 7"}}, "out\nerr\n", 7},
		{Plan{Path: "/bin/sh", Argv: []string{"sh", "-c", "echo $A-$B-"}, Env: []string{"A=1", "B=two words"}}, "1-two words-\n", 0},
		{Plan{Path: "/usr/bin/env", Argv: []string{"env"}, Env: []string{}}, "", 0},
		{Plan{Path: script, Argv: []string{"other", "x"}}, script + " x\n", 0},
	} {
		f, pid := begin(t, &tt.plan)
		out, status := finish(t, f, pid)
		if out != tt.out || status.ExitStatus() != tt.status {
			t.Errorf("Start(%s %q) = %q, status %d, want %q, %d", tt.plan.Path, tt.plan.Argv, out, status.ExitStatus(), tt.out, tt.status)
		}
	}
}

// The server reads and writes its one socket, and is the leader of a session.
func TestSocket(t *testing.T) {
	f, pid := begin(t, &Plan{Path: "/bin/cat", Argv: []string{"cat"}})
	if sid, err := unix.Getsid(pid); err != nil || sid != pid {
		t.Errorf("session of the server = %d, %v, want its own, %d", sid, err, pid)
	}
	io.WriteString(f, "hello")
	unix.Shutdown(int(f.Fd()), unix.SHUT_WR)
	if out, _ := finish(t, f, pid); out != "hello" {
		t.Errorf("cat = %q, want %q", out, "hello")
	}
}

func TestStartErrors(t *testing.T) {
	dir := t.TempDir()
	open := func() int {
		fds, _ := os.ReadDir("/dev/fd")
		return len(fds)
	}
	before := open()
	file := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, tt := range []struct{ path, want string }{
		{filepath.Join(dir, "none"), "no such file or directory"},
		{dir, "permission denied"},
		{file("plain", "#!/bin/sh\n", 0o644), "permission denied"},
		{file("text", "not a program\n", 0o755), "exec format error"},
		{file("script", "#!/no/such/interpreter\n", 0o755), "no such file or directory"},
	} {
		_, _, err := try(&Plan{Path: tt.path, Argv: []string{"x"}})
		if want := "execv " + tt.path + ": " + tt.want; err == nil || err.Error() != want {
			t.Errorf("Start(%s) = %v, want %q", tt.path, err, want)
		}
	}
	// Nothing is left of them.
	if after := open(); after > before {
		t.Errorf("%d descriptors are open, and %d before", after, before)
	}
	if _, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); err != unix.ECHILD {
		t.Errorf("wait4 = %v, want %v", err, unix.ECHILD)
	}
}

// Without descriptors there is no fork, and the error says so.
func TestStarved(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Args[0] = "starved"
	out, err := cmd.CombinedOutput()
	if want := "fork: too many open files\n"; err != nil || string(out) != want {
		t.Errorf("Start without descriptors = %q, %v, want %q", out, err, want)
	}
}

func starved() {
	fd, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err == nil {
		err = setrlimit(unix.RLIMIT_NOFILE, uint64(fd)+1, uint64(fd)+1)
	}
	if err == nil {
		_, _, err = start(&Plan{Path: "/bin/true", Argv: []string{"true"}}, fd)
	}
	fmt.Println(err)
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root to become somebody else")
	}
}

const showIDs = "id -u; id -g; id -G"

func TestIdentity(t *testing.T) {
	needRoot(t)
	umask := 0o27
	for _, settings := range []Settings{{}, {Umask: &umask}} {
		for _, id := range []syscall.Credential{
			{Uid: 4711, Gid: 42, Groups: []uint32{42}},
			{Uid: 4711, Gid: 42, Groups: []uint32{42, 7, 99}},
			{Uid: 4711, Gid: 42, Groups: []uint32{7, 42}},
			{Uid: 0, Gid: 42, Groups: []uint32{42}},
			{Uid: 0, Gid: 0, Groups: []uint32{0}},
		} {
			p := &Plan{Path: "/bin/sh", Argv: []string{"sh", "-c", showIDs}, Env: []string{"PATH=/usr/bin:/bin"}, Settings: settings, Credential: &id}
			f, pid := begin(t, p)
			out, status := finish(t, f, pid)
			lines := strings.Split(out, "\n")
			var groups []string
			if len(lines) > 2 {
				groups = strings.Fields(lines[2])
			}
			var want []string
			for _, g := range id.Groups {
				want = append(want, fmt.Sprint(g))
			}
			slices.Sort(groups)
			slices.Sort(want)
			if status != 0 || lines[0] != fmt.Sprint(id.Uid) || lines[1] != fmt.Sprint(id.Gid) || !slices.Equal(groups, want) {
				t.Errorf("server as %+v with %+v = %q, status %#x", id, settings, out, int(status))
			}
		}
	}
}

// An identity that the kernel does not grant starts nothing.
func TestIdentityRefused(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may become anybody")
	}
	p := &Plan{Path: "/bin/true", Argv: []string{"true"}, Credential: &syscall.Credential{Groups: []uint32{0}}}
	if _, _, err := try(p); err == nil || !strings.Contains(err.Error(), "operation not permitted") {
		t.Errorf("Start as root = %v, want it refused", err)
	}
}

func TestSettings(t *testing.T) {
	umask := 0o77
	p := &Plan{
		Path: "/bin/sh", Argv: []string{"sh", "-c", "umask; nice; ulimit -Sn; ulimit -Hn; ulimit -Sc; echo $X \"$@\"", "sh", "a b", "--", "-c"},
		Env: []string{"PATH=/usr/bin:/bin", "X=y"},
		Settings: Settings{Umask: &umask, Nice: 5, Rlimits: []Rlimit{
			{Resource: syscall.RLIMIT_NOFILE, Soft: 64, Hard: 128},
			{Resource: syscall.RLIMIT_CORE, Soft: 0, Hard: 0},
		}},
	}
	base, err := exec.Command("nice").Output()
	if err != nil {
		t.Skipf("nice: %v", err)
	}
	var nice int
	fmt.Sscan(string(base), &nice)
	f, pid := begin(t, p)
	out, status := finish(t, f, pid)
	if want := fmt.Sprintf("0077\n%d\n64\n128\n0\ny a b -- -c\n", min(nice+5, 19)); out != want || status != 0 {
		t.Errorf("server with settings = %q, status %#x, want %q", out, int(status), want)
	}

	// It is as clean as another.
	p = &Plan{Path: "/bin/cat", Argv: []string{"cat"}, Settings: Settings{Umask: &umask}}
	f, pid = begin(t, p)
	io.WriteString(f, "x")
	if _, err := io.ReadFull(f, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid)); err == nil && len(fds) != 3 {
		t.Errorf("descriptors of a server with settings = %v, want 3", fds)
	}
	if sid, err := unix.Getsid(pid); err != nil || sid != pid {
		t.Errorf("session of the server = %d, %v, want its own, %d", sid, err, pid)
	}
	f.Close()
	unix.Wait4(pid, nil, 0, nil)
}

// What the helper cannot do, it does not pass over, and says.
func TestHelperFails(t *testing.T) {
	byForkExec(t)
	zero := 0
	plans := map[string]*Plan{
		"execv /no/such/program: no such file or directory": {Path: "/no/such/program", Argv: []string{"x"}, Settings: Settings{Umask: &zero}},
		"umask, nice value or limits: invalid argument":     {Path: "/bin/true", Argv: []string{"true"}, Settings: Settings{Rlimits: []Rlimit{{Resource: 9999, Soft: 1, Hard: 1}}}},
		"umask, nice value or limits: invalid argument ":    {Path: "/bin/true", Argv: []string{"true"}, Settings: Settings{Rlimits: []Rlimit{{Resource: syscall.RLIMIT_NOFILE, Soft: 128, Hard: 64}}}},
	}
	if os.Geteuid() == 0 {
		plans["execv /no/such/program: no such file or directory "] = &Plan{Path: "/no/such/program", Argv: []string{"x"}, Credential: &syscall.Credential{Uid: 12345, Gid: 12345}}
	} else {
		plans["groups, gid or uid: operation not permitted"] = &Plan{Path: "/bin/true", Argv: []string{"true"}, Settings: Settings{Umask: &zero}, Credential: &syscall.Credential{}}
	}
	for want, p := range plans {
		null, err := os.Open("/dev/null")
		if err != nil {
			t.Fatal(err)
		}
		defer null.Close()
		if pid, pidfd, err := startWith(p, int(null.Fd())); err == nil || err.Error() != strings.TrimSpace(want) || pid != 0 || pidfd != -1 {
			t.Errorf("Start = %d, %d, %v, want %s", pid, pidfd, err, want)
		}
		if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); err != syscall.ECHILD {
			t.Errorf("after %s there is a child: %d, %v", want, pid, err)
		}
	}
}

// What Go's runtime has to say of a helper that it ends, here for a variable of the
// server, and of one that succeeds, is not for the client.
func TestHelperSilent(t *testing.T) {
	byForkExec(t)
	zero := 0
	p := &Plan{Path: "/bin/cat", Argv: []string{"cat"}, Env: []string{"GOMEMLIMIT=much"}, Settings: Settings{Umask: &zero}}
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	unix.CloseOnExec(fds[0])
	unix.CloseOnExec(fds[1])
	_, _, err = startWith(p, fds[1])
	unix.Close(fds[1])
	if want := "inetd-child: GOMEMLIMIT=much"; err == nil || err.Error() != want {
		t.Errorf("Start = %v, want %s", err, want)
	}
	if got, err := io.ReadAll(os.NewFile(uintptr(fds[0]), "socket")); len(got) > 0 {
		t.Errorf("the client reads %q, %v", got, err)
	}
	if pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); err != unix.ECHILD {
		t.Errorf("there is a child: %d, %v", pid, err)
	}

	p = &Plan{Path: "/bin/echo", Argv: []string{"echo", "hello"}, Env: []string{"GODEBUG=inittrace=1"}, Settings: Settings{Umask: &zero}}
	f, pid := begin(t, p)
	if out, status := finish(t, f, pid); out != "hello\n" || status != 0 {
		t.Errorf("server behind a helper that talks = %q, status %#x", out, int(status))
	}
}

// The tests above again, as on a kernel or a processor that has no faster way.
func TestForkExec(t *testing.T) {
	byForkExec(t)
	for name, f := range map[string]func(*testing.T){
		"start": TestStart, "identity": TestIdentity, "refused": TestIdentityRefused, "settings": TestSettings, "limit": TestLimit,
	} {
		t.Run(name, f)
	}
}

// limited is a daemon that asks a server for its limit on descriptors.
func limited() {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		panic(err)
	}
	unix.CloseOnExec(fds[0])
	unix.CloseOnExec(fds[1])
	p := &Plan{Path: "/bin/sh", Argv: []string{"sh", "-c", "ulimit -Sn"}}
	start := start
	if os.Getenv("FORKEXEC") != "" {
		start = forkExec
	}
	if _, _, err := start(p, fds[1]); err != nil {
		panic(err)
	}
	unix.Close(fds[1])
	io.Copy(os.Stdout, os.NewFile(uintptr(fds[0]), "socket"))
}

// Servers get the soft limit on descriptors that the daemon was started with,
// not the one that the runtime raised.
func TestLimit(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	daemon := filepath.Join(t.TempDir(), "limited")
	if err := os.Symlink(self, daemon); err != nil {
		t.Fatal(err)
	}
	for _, env := range []string{"X=", "FORKEXEC=yes"} {
		cmd := exec.Command("/bin/sh", "-c", `ulimit -Sn 77; exec "$0"`, daemon)
		cmd.Env = append(os.Environ(), env)
		out, err := cmd.CombinedOutput()
		if err != nil || string(out) != "77\n" {
			t.Errorf("soft limit of a server, %s = %q, %v, want 77", env, out, err)
		}
	}
}

// What failed is named.
func TestStartSays(t *testing.T) {
	bad := &Plan{Path: "/bin/true", Argv: []string{"true"}, Settings: Settings{Rlimits: []Rlimit{{Resource: 9999, Soft: 1, Hard: 1}}}}
	if !fastStart {
		t.Skip("only the fast way knows the step")
	}
	if _, _, err := try(bad); err == nil || !strings.HasPrefix(err.Error(), "prlimit: ") {
		t.Errorf("Start with a bad limit = %v, want prlimit: …", err)
	}
	var status unix.WaitStatus
	if pid, err := unix.Wait4(-1, &status, unix.WNOHANG, nil); err != unix.ECHILD {
		t.Errorf("Wait4 after a start that failed = %d, %v, want no child", pid, err)
	}
}

// Many starts, each of another plan and with others' memory being collected
// meanwhile.
func TestStartOften(t *testing.T) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		var junk [][]byte
		for range 2000 {
			junk = append(junk[max(0, len(junk)-100):], make([]byte, 1<<14))
		}
	}()
	for i := range 300 {
		word := fmt.Sprint("word", i)
		f, pid := begin(t, &Plan{Path: "/bin/echo", Argv: []string{"echo", word}, Env: []string{"I=" + word}})
		if out, status := finish(t, f, pid); out != word+"\n" || status != 0 {
			t.Fatalf("start %d = %q, status %#x, want %q", i, out, int(status), word)
		}
	}
	<-done
}
