package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestDetach(t *testing.T) {
	t.Parallel()
	p := freePort(t)
	file, pidFile := writeConf(t, in("%d stream tcp nowait $me /bin/cat cat\n", p))
	cmd := command("-p", "inetd.pid", "inetd.conf") // relative to the directory it is started in
	cmd.Dir = filepath.Dir(file)
	cmd.Stdin = tty(t)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	pid := detached(t, cmd, pidFile)

	// It listens as soon as the one that was started has ended.
	c := dial(t, "tcp", local(p))
	d := proc(pid)
	if pid == cmd.Process.Pid {
		t.Error("the process that was started is the daemon")
	}
	st := d.stat()
	for _, tt := range []struct{ what, got, want string }{
		{"parent", st[statParent], strconv.Itoa(os.Getpid())},
		{"session", st[statSession], strconv.Itoa(pid)},
		{"terminal", st[statTTY], "0"},
		{"directory", d.cwd(), "/"},
		{"umask", d.status("Umask"), "0022"},
		{"descriptor 0", d.fds()[0], "/dev/null"},
		{"descriptor 1", d.fds()[1], "/dev/null"},
		{"descriptor 2", d.fds()[2], "/dev/null"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s of the daemon = %q, want %q", tt.what, tt.got, tt.want)
		}
	}
	for _, kv := range d.environ() {
		if strings.HasPrefix(kv, detachEnv) {
			// What it was started with stays there; what it passes on does not.
			if env := onlyChild(t, d, "cat").read("environ"); strings.Contains(env, detachEnv) {
				t.Errorf("environment of a server has %s", detachEnv)
			}
		}
	}
	wantEcho(t, c, "hello\n")

	// The file is found again although the directory is another now.
	q := freePort(t)
	if err := os.WriteFile(file, []byte(in("%d stream tcp nowait $me /bin/cat cat\n", q)), 0o644); err != nil {
		t.Fatal(err)
	}
	unix.Kill(pid, unix.SIGHUP)
	eventually(t, "the new service", func() bool { return len(inodes(t, "tcp", q)) > 0 })
	wantAnswer(t, "tcp", local(q), "hello\n", "hello\n")

	unix.Kill(pid, unix.SIGTERM)
	if err := waitOrphan(pid); err != nil {
		t.Errorf("exit on SIGTERM = %v, want success", err)
	}
	if _, err := os.Lstat(pidFile); !os.IsNotExist(err) {
		t.Errorf("pid file after the end: %v, want it gone", err)
	}
	wantRefused(t, "tcp", local(q))
}

// Who reads the log may stand still: services go on, and when it is read again
// the log says what it lacks.
func TestLogNotRead(t *testing.T) {
	t.Parallel()
	p := freePort(t)
	// Signals that come too fast are one, so each asks for many more lines than
	// would do.
	var conf string
	for i := 1; i < 30; i++ {
		conf += in("127.0.0.%d:%d stream tcp4 nowait.0 $me internal echo\n", i, p)
	}
	file, pidFile := writeConf(t, conf)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd := command("-d", "-p", pidFile, file)
	cmd.Stderr = w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	w.Close()
	eventually(t, "listening", func() bool { return len(inodes(t, "tcp", p)) > 0 })
	dump := func(n int) {
		for range n {
			cmd.Process.Signal(unix.SIGUSR1)
			wantAnswer(t, "tcp", local(p), "hello\n", "hello\n")
		}
	}
	unix.FcntlInt(r.Fd(), unix.F_SETPIPE_SZ, 4096)
	dump(200)
	log := newJournal()
	go log.readFrom(r)
	log.wait(t, 0, `^inetd: \d+ log lines are lost`)
	mark := log.mark()
	dump(1)
	log.wait(t, mark, "sockets open")
	cmd.Process.Signal(unix.SIGTERM)
	if err := cmd.Wait(); err != nil {
		t.Errorf("exit = %v, want success", err)
	}
}

// A directory that is gone matters to relative names only.
func TestDirectoryGone(t *testing.T) {
	t.Parallel()
	file, pidFile := writeConf(t, "")
	for _, tt := range []struct {
		args   []string
		status int
	}{
		{[]string{"inetd", "-p", pidFile, file}, 0},
		{[]string{"xinetd", "-pidfile", pidFile, "-f", file}, 0},
		{[]string{"inetd", "inetd.conf"}, 2},
		{[]string{"inetd", "-p", "pid", file}, 2},
		{[]string{"xinetd", "-f", "xinetd.conf"}, 2},
	} {
		gone := filepath.Join(t.TempDir(), "gone")
		if err := os.Mkdir(gone, 0o755); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("/bin/sh", "-c", `cd "$1" && rmdir "$1" && shift && ln -sf "$1" "$2" && shift && exec "$@"`, "sh",
			gone, self, filepath.Join(filepath.Dir(file), tt.args[0]))
		cmd.Args = append(cmd.Args, tt.args[1:]...)
		if tt.status != 0 {
			if out, status := output(cmd); status != tt.status || !strings.Contains(out, "getwd: no such file or directory") {
				t.Errorf("%q in a directory that is gone = %q, %d, want that and exit status %d", tt.args, out, status, tt.status)
			}
			continue
		}
		pid := detached(t, cmd, pidFile)
		// It has the name it was called by, which is a link's.
		if got := strings.TrimSpace(proc(pid).read("comm")); got != tt.args[0] {
			t.Errorf("name of the process = %q, want %q", got, tt.args[0])
		}
		unix.Kill(pid, unix.SIGTERM)
		if err := waitOrphan(pid); err != nil {
			t.Errorf("exit of %q = %v, want success", tt.args, err)
		}
	}
}

// tty is the user's end of a new terminal.
func tty(t *testing.T) *os.File {
	_, user := terminal(t)
	return user
}

// terminal is a new terminal, both ends of it.
func terminal(t *testing.T) (screen, user *os.File) {
	t.Helper()
	open := func(name string) *os.File {
		f, err := os.OpenFile(name, os.O_RDWR|unix.O_NOCTTY, 0)
		if err != nil {
			t.Skipf("no terminals: %v", err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	screen = open("/dev/ptmx")
	n, err := unix.IoctlGetInt(int(screen.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(int(screen.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	return screen, open(fmt.Sprintf("/dev/pts/%d", n))
}

// Without /dev/null the daemon can serve, but not detach, and says so.
func TestCannotDetach(t *testing.T) {
	isolated(t, func(t *testing.T) {
		const conf = "7777 stream tcp4 nowait root /bin/echo echo hello\n"
		file, pidFile := writeConf(t, conf)
		os.Remove("/dev/null")
		for _, tt := range []struct {
			args   []string
			option string
		}{
			{[]string{"inetd", "-p", pidFile, file}, "-f"},
			{[]string{"xinetd", "-pidfile", pidFile, "-f", file}, "-dontfork"},
		} {
			cmd := command()
			cmd.Args = tt.args
			cmd.Stdin = os.Stdin // none would be /dev/null
			want := fmt.Sprintf("%s: open /dev/null: no such file or directory: give %s to stay in the foreground\n", tt.args[0], tt.option)
			if out, status := output(cmd); status != 1 || !strings.HasSuffix(out, want) {
				t.Errorf("%q = %d, %q, want 1, %q", tt.args, status, out, want)
			}
		}
		cmd := command("-f", "-e", "-p", pidFile)
		cmd.Stdin, cmd.Stdout = os.Stdin, os.Stdout
		startIn(t, filepath.Dir(file), conf, cmd)
		wantAnswer(t, "tcp4", "127.0.0.1:7777", "", "hello\n")
	})
}
