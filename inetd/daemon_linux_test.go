package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// subreaper makes the daemons that detach children of the tests, so that their
// exit status can be had.
func subreaper(t testing.TB) {
	t.Helper()
	if err := becomeSubreaper(); err != nil {
		t.Fatal(err)
	}
}

var becomeSubreaper = sync.OnceValue(func() error { return unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) })

// waitOrphan waits for a process that has become the test's child.
func waitOrphan(pid int) error {
	var status unix.WaitStatus
	for {
		_, err := unix.Wait4(pid, &status, 0, nil)
		if err == unix.EINTR {
			continue
		}
		if err == nil && status != 0 {
			err = fmt.Errorf("wait status %#x", int(status))
		}
		return err
	}
}

func readPid(t testing.TB, file string) int {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || string(text) != strconv.Itoa(pid)+"\n" {
		t.Fatalf("pid file = %q, want a number and a newline", text)
	}
	return pid
}

// detached starts inetd as an administrator does and returns its pid.
func detached(t *testing.T, cmd *exec.Cmd, pidFile string) int {
	t.Helper()
	subreaper(t)
	// Output comes back when nobody has the pipe open any more: the daemon
	// must not keep it.
	if out, status := output(cmd); status != 0 || out != "" {
		t.Fatalf("start = %q, %d, want no output and success", out, status)
	}
	pid := readPid(t, pidFile)
	t.Cleanup(func() {
		unix.Kill(pid, unix.SIGKILL)
		unix.Wait4(pid, nil, 0, nil)
	})
	return pid
}

func writeConf(t testing.TB, text string) (file, pidFile string) {
	t.Helper()
	dir := t.TempDir()
	file = filepath.Join(dir, "inetd.conf")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return file, filepath.Join(dir, "inetd.pid")
}

// SIGINT ends the daemon as SIGTERM does.
func TestInterrupt(t *testing.T) {
	t.Parallel()
	d := start(t, "")
	d.signal(os.Interrupt)
	<-d.done
	if _, err := os.Lstat(filepath.Join(d.dir, "inetd.pid")); !os.IsNotExist(err) {
		t.Errorf("pid file after the end: %v, want it gone", err)
	}
}

// A second daemon does not start, and leaves the first and its pid file alone.
func TestSecondInstance(t *testing.T) {
	t.Parallel()
	p := freePort(t)
	file, pidFile := writeConf(t, in("%d stream tcp nowait $me /bin/cat cat\n", p))
	pid := detached(t, command("-p", pidFile, file), pidFile)
	want := fmt.Sprintf("inetd: %s: another inetd is running, pid %d\n", pidFile, pid)
	for _, args := range [][]string{nil, {"-i"}, {"-d"}} {
		cmd := command(append(args, "-p", pidFile, file)...)
		if out, status := output(cmd); status != 1 || out != want {
			t.Errorf("second inetd %q = %q, %d, want %q and exit status 1", args, out, status, want)
		}
		if got := readPid(t, pidFile); got != pid {
			t.Errorf("pid file after a second inetd = %d, want %d", got, pid)
		}
	}
	wantAnswer(t, "tcp", local(p), "hello\n", "hello\n")

	// The file of one that was killed is no obstacle.
	unix.Kill(pid, unix.SIGKILL)
	unix.Wait4(pid, nil, 0, nil)
	if again := detached(t, command("-p", pidFile, file), pidFile); again == pid {
		t.Errorf("pid file still has %d", pid)
	}
	wantAnswer(t, "tcp", local(p), "hello\n", "hello\n")
}

// Somebody else's file in the place of the pid file stays.
func TestPidFileReplaced(t *testing.T) {
	t.Parallel()
	d := start(t, "")
	pidFile := filepath.Join(d.dir, "inetd.pid")
	os.Remove(pidFile)
	if err := os.WriteFile(pidFile, []byte("1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	d.signal(syscall.SIGTERM)
	<-d.done
	if text, err := os.ReadFile(pidFile); string(text) != "1\n" {
		t.Errorf("pid file of another = %q, %v, want %q", text, err, "1\n")
	}
}

// A pid file that cannot be had is said, and keeps nobody from being served.
// What is in its place, or what a symbolic link there names, stays.
func TestPidFileNone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	precious := filepath.Join(dir, "precious")
	if err := os.WriteFile(precious, []byte("data"), 0o644); err != nil {
		t.Fatal(err)
	}
	link, fifo := filepath.Join(dir, "link"), filepath.Join(dir, "fifo")
	if err := os.Symlink(precious, link); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(fifo, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, want string }{
		{link, "too many levels of symbolic links"},
		{dir, "is a directory"},
		{fifo, "not a regular file"},
		{os.DevNull, "not a regular file"},
		{filepath.Join(dir, "no/pid"), "no such file or directory"},
		{filepath.Join(precious, "pid"), "not a directory"},
	} {
		p := freePort(t)
		d := start(t, in("%d stream tcp nowait $me /bin/cat cat\n", p), "-p", tt.name)
		d.log.wait(t, 0, "pid file: .*"+tt.want)
		wantAnswer(t, "tcp", local(p), "hello\n", "hello\n")
		d.signal(unix.SIGTERM)
		<-d.done
		if d.err != nil {
			t.Errorf("inetd -p %s = %v, want success", tt.name, d.err)
		}
		if _, err := os.Lstat(tt.name); (err == nil) != (tt.name == link || tt.name == dir || tt.name == fifo || tt.name == os.DevNull) {
			t.Errorf("%s afterwards: %v", tt.name, err)
		}
	}
	if text, _ := os.ReadFile(precious); string(text) != "data" {
		t.Errorf("file that the link names = %q, want it unchanged", text)
	}
}

// Whoever finds the number in the pid file may send a signal: a daemon that
// is not ready for it would die of one.
func TestSignalAtOnce(t *testing.T) {
	t.Parallel()
	for range 30 {
		file, pidFile := writeConf(t, "")
		cmd := command("-i", "-p", pidFile, file)
		cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(patience); ; {
			if text, _ := os.ReadFile(pidFile); strings.HasSuffix(string(text), "\n") {
				break
			}
			if time.Now().After(end) {
				t.Fatal("no number in the pid file")
			}
		}
		for _, sig := range []os.Signal{unix.SIGHUP, unix.SIGALRM, unix.SIGUSR1, unix.SIGUSR2, unix.SIGPIPE, unix.SIGTERM} {
			cmd.Process.Signal(sig)
		}
		if err := cmd.Wait(); err != nil {
			t.Fatalf("exit on signals right after the start = %v, want success", err)
		}
	}
}

// What keeps the daemon from starting is said by the process that was started.
func TestFailingStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	good := filepath.Join(dir, "inetd.conf")
	if err := os.WriteFile(good, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(dir, "missing.conf")
	pidFile := filepath.Join(dir, "pid")
	for _, tt := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{"-p", pidFile, missing}, 1, fmt.Sprintf("inetd: stat %s: no such file or directory\n", missing)},
		{[]string{"-i", "-p", pidFile, missing}, 1, fmt.Sprintf("inetd: stat %s: no such file or directory\n", missing)},
		{[]string{"-p", pidFile, good, missing}, 1, fmt.Sprintf("inetd: stat %s: no such file or directory\n", missing)},
		{[]string{"-x"}, 2, "inetd: unknown option -x\n" + usage},
		{[]string{"-R"}, 2, "inetd: option -R takes an argument\n" + usage},
		{[]string{"-R", "many"}, 2, "inetd: option -R: \"many\" is not a number (0 is unlimited)\n" + usage},
		{[]string{"-qx"}, 2, "inetd: option -q: \"x\" is not a queue length from 1 to 65535\n" + usage},
	} {
		if out, status := output(command(tt.args...)); status != tt.status || out != tt.want {
			t.Errorf("inetd %q = %d, %q, want %d, %q", tt.args, status, out, tt.status, tt.want)
		}
		if _, err := os.Lstat(pidFile); !os.IsNotExist(err) {
			t.Errorf("inetd %q: pid file: %v, want none", tt.args, err)
		}
	}
}

// A pipe holds its text for one reading, and the daemon would wait for ever
// for the second.
func TestConfigFromPipe(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fifo, pidFile := filepath.Join(dir, "fifo"), filepath.Join(dir, "pid")
	if err := unix.Mkfifo(fifo, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{fifo, "/dev/stdin", "/dev/fd/0"} {
		cmd := command("-p", pidFile, name)
		cmd.Stdin = strings.NewReader("")
		want := "inetd: " + name + " can be read only once: give a file, or -i to stay in the foreground\n"
		if out, status := output(cmd); status != 1 || out != want {
			t.Errorf("inetd %s = %q, %d, want %q", name, out, status, want)
		}
	}
	detached(t, command("-p", pidFile, os.DevNull), pidFile)

	p := freePort(t)
	cmd := command("-i", "-e", "-p", filepath.Join(dir, "pid2"), "/dev/stdin")
	cmd.Stdin = strings.NewReader(in("%d stream tcp nowait $me /bin/cat cat\n", p))
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	log := newJournal()
	go log.readFrom(stderr)
	eventually(t, "listening", func() bool { return len(inodes(t, "tcp", p)) > 0 })
	log.wait(t, 0, "started with 1 services")
	cmd.Process.Signal(unix.SIGHUP)
	log.wait(t, 0, "inetd: /dev/stdin can be read only once: nothing is changed")
	wantAnswer(t, "tcp", local(p), "hello\n", "hello\n")
	cmd.Process.Signal(unix.SIGTERM)
	if err := cmd.Wait(); err != nil {
		t.Errorf("inetd -i with its services from a pipe = %v", err)
	}
}

// With next to no descriptors the start fails with a line, not with a trace.
func TestFewDescriptors(t *testing.T) {
	t.Parallel()
	for _, n := range []int{6, 10, 19} {
		cmd := exec.Command("/bin/sh", "-c", fmt.Sprintf(`ulimit -n %d; exec "$0" "$@"`, n), filepath.Join(t.TempDir(), "inetd"), "-i", os.DevNull)
		if err := os.Symlink(self, cmd.Args[3]); err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprintf("inetd: %d open files are too few: the limit must be 20 or more\n", n)
		if out, status := output(cmd); status != 1 || out != want {
			t.Errorf("inetd with %d descriptors = %q, %d, want %q", n, out, status, want)
		}
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	if out, err := command("-V").Output(); err != nil || string(out) != "inetd "+version+"\n" {
		t.Errorf("inetd -V = %q, %v", out, err)
	}
}

// A number has a group of its own only where passwd(5) knows it.
func TestUserNumbers(t *testing.T) {
	t.Parallel()
	file, _ := writeConf(t, "7001 stream tcp nowait 4000000001 /bin/cat cat\n7002 stream tcp nowait 4000000001:4000000001 /bin/cat cat\necho stream tcp nowait 4000000001 internal\n")
	want := file + ":1:24: warning: user: user 4000000001 has no passwd entry: give a group too: not served until there is\n"
	if out, status := checked(t, file); status != 0 || out != want {
		t.Errorf("inetd -t = %d, %q, want %q", status, out, want)
	}
}

// Whoever starts the daemon sees what it will not serve, also where there is no
// log.
func TestErrorsAtStart(t *testing.T) {
	t.Parallel()
	file, pidFile := writeConf(t, in("nosuch stream tcp nowait root /bin/cat cat\n7002 stream tcp nowait $me /missing missing\n"))
	subreaper(t)
	out, status := output(command("-p", pidFile, file))
	pid := readPid(t, pidFile)
	defer unix.Wait4(pid, nil, 0, nil)
	defer unix.Kill(pid, unix.SIGKILL)
	want := file + ":1:1: service: \"nosuch\" is neither a port number nor in /etc/services for tcp\n"
	if status != 0 || out != want {
		t.Errorf("start = %d, %q, want %q", status, out, want)
	}
}

// Whoever starts the daemon with less than the usual rights for files gives its
// services of xinetd.conf no more, also through the process that detaches.
func TestUmaskOfStart(t *testing.T) {
	t.Parallel()
	p, q := freePort(t), freePort(t)
	dir := t.TempDir()
	conf, pidFile := filepath.Join(dir, "xinetd.conf"), filepath.Join(dir, "pid")
	text := ""
	for port, line := range map[int]string{p: "", q: "umask = 027"} {
		text += block(fmt.Sprint("u", port), "type = UNLISTED", fmt.Sprintf("port = %d", port), "socket_type = stream", "wait = no",
			"user = "+me, "server = /bin/sh", "server_args = -c umask", line)
	}
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/bin/sh", "-c", `umask 077; exec "$0" "$@"`, filepath.Join(dir, "inetd"), "-p", pidFile, conf)
	if err := os.Symlink(self, cmd.Args[3]); err != nil {
		t.Fatal(err)
	}
	detached(t, cmd, pidFile)
	wantAnswer(t, "tcp4", local(p), "", "0077\n")
	wantAnswer(t, "tcp4", local(q), "", "0027\n")
}
