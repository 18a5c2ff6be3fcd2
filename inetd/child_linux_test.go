package main

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func init() { programs["dirty"] = dirty }

// The environment, directory and descriptors that a careless administrator
// starts the daemon with.
var dirtyEnv = []string{
	"PATH=/home/student/bin:/usr/bin", "HOME=/home/student", "SHELL=/bin/csh", "TERM=vt100", "USER=student",
	"LOGNAME=student", "IFS=x", "MAIL=/var/mail/student", "LD_LIBRARY_PATH=/tmp", "LD_DEBUG_OUTPUT=/tmp/x",
	"CDPATH=/tmp", "ENV=/tmp/env", "BASH_ENV=/tmp/env", "LISTEN_FDS=1", "LISTEN_PID=1",
}

// What is nobody's business and passes.
var cleanEnv = []string{"LANG=C", "TZ=UTC", "FAVOURITE=teal"}

// dirty becomes inetd, with signals ignored and blocked, descriptors open, and
// an umask of 0.
func dirty(args []string) int {
	runtime.LockOSThread()
	signal.Ignore(syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGPIPE, syscall.SIGTERM, syscall.SIGALRM,
		syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGCHLD, syscall.SIGTSTP, syscall.SIGTTOU, syscall.Signal(40))
	var all unix.Sigset_t
	for i := range all.Val {
		all.Val[i] = ^all.Val[i]
	}
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &all, nil); err != nil {
		return 99
	}
	for _, fd := range []int{7, 200} {
		if err := unix.Dup2(0, fd); err != nil {
			return 98
		}
	}
	unix.Umask(0)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 256, Max: 512}); err != nil {
		return 97
	}
	unix.Exec(self, append([]string{"inetd"}, args...), append(dirtyEnv, cleanEnv...))
	return 96
}

// wantChild checks everything about a server, a cat, that does not depend on
// its entry.
func wantChild(t *testing.T, c proc) {
	t.Helper()
	fds := c.fds()
	if len(fds) != 3 || !strings.HasPrefix(fds[0], "socket:") || fds[1] != fds[0] || fds[2] != fds[0] {
		t.Errorf("descriptors of a server = %v, want 0, 1 and 2, one socket", fds)
	}
	for fd := range 3 {
		if flags := c.fdFlags(fd); flags < 0 || flags&(unix.O_NONBLOCK|unix.O_CLOEXEC) != 0 {
			t.Errorf("flags of descriptor %d = %#o, want it blocking and kept over exec", fd, flags)
		}
	}
	pid := fmt.Sprint(int(c))
	st := c.stat()
	for _, tt := range []struct{ what, got, want string }{
		{"SigIgn", c.status("SigIgn"), "0000000000000000"},
		{"SigBlk", c.status("SigBlk"), "0000000000000000"},
		{"SigPnd", c.status("SigPnd"), "0000000000000000"},
		{"umask", c.status("Umask"), "0022"},
		{"directory", c.cwd(), "/"},
		{"session", st[statSession], pid},
		{"process group", st[statGroup], pid},
		{"terminal", st[statTTY], "0"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s of a server = %q, want %q", tt.what, tt.got, tt.want)
		}
	}
}

func TestChild(t *testing.T) {
	t.Parallel()
	p := freePort(t)
	d := start(t, in("%d stream tcp nowait $me /bin/cat cat\n", p))
	c := dial(t, "tcp", local(p))
	wantChild(t, d.onlyChild("cat"))
	wantEcho(t, c, "hello\n")
}

// The server of a wait entry has the listening socket, as blocking as the
// other.
func TestChildOfWait(t *testing.T) {
	t.Parallel()
	for proto, kind := range map[string]string{"udp4": "dgram", "tcp4": "stream"} {
		t.Run(proto, func(t *testing.T) {
			t.Parallel()
			p := freePort(t)
			// A cat cannot accept, but it can sleep.
			d := start(t, in("%d %s %s wait $me /bin/sleep sleep 60\n", p, kind, proto))
			dial(t, proto, local(p)).Write([]byte("hello"))
			c := d.onlyChild("sleep")
			wantChild(t, c)
			if got, want := c.fds()[0], "socket:["+strings.Join(inodes(t, proto[:3], p), ",")+"]"; got != want {
				t.Errorf("socket of the server = %s, want that of the port, %s", got, want)
			}
			syscall.Kill(int(c), syscall.SIGKILL)
		})
	}
}

// A server is as clean if the daemon was started from a dirty environment.
func TestChildOfDirtyDaemon(t *testing.T) {
	t.Parallel()
	want := slices.Clone(cleanEnv)
	slices.Sort(want)
	all := append(slices.Clone(dirtyEnv), cleanEnv...)
	slices.Sort(all)
	for _, tt := range []struct {
		name string
		args []string
		env  []string
	}{
		{"foreground", []string{"-i", "-e"}, want},
		{"daemon", []string{"-e"}, want},
		{"kept environment", []string{"-i", "-e", "-E"}, all},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			subreaper(t)
			p := freePort(t)
			dir := t.TempDir()
			file, pidFile := filepath.Join(dir, "inetd.conf"), filepath.Join(dir, "pid")
			if err := os.WriteFile(file, []byte(in("%d stream tcp nowait $me /bin/cat cat\n", p)), 0o644); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(self)
			cmd.Args = append(append([]string{"dirty"}, tt.args...), "-p", pidFile, file)
			cmd.Dir = dir
			stderr, err := os.Create(filepath.Join(dir, "log"))
			if err != nil {
				t.Fatal(err)
			}
			defer stderr.Close()
			cmd.Stderr = stderr
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			foreground := tt.args[0] == "-i"
			if !foreground {
				if err := cmd.Wait(); err != nil {
					text, _ := os.ReadFile(stderr.Name())
					t.Fatalf("start = %v\n%s", err, text)
				}
			}
			eventually(t, "listening", func() bool { return len(inodes(t, "tcp", p)) == 1 })
			pid := readPid(t, pidFile)
			conn := dial(t, "tcp", local(p))
			c := onlyChild(t, proc(pid), "cat")
			wantChild(t, c)
			wantEcho(t, conn, "hello\n")
			if got := c.environ(); !slices.Equal(got, tt.env) {
				t.Errorf("environment of a server = %q, want %q", got, tt.env)
			}
			if l := c.read("limits"); !strings.Contains(strings.Join(strings.Fields(l), " "), "Max open files 256 512 files") {
				t.Errorf("limits of a server:\n%s\nwant Max open files 256 512, as the daemon was started with", l)
			}
			conn.Close()
			// The blocked and ignored signals work for the daemon itself.
			syscall.Kill(pid, syscall.SIGTERM)
			if foreground {
				err = cmd.Wait()
			} else {
				err = waitOrphan(pid)
			}
			if err != nil {
				t.Errorf("exit on SIGTERM = %v, want success", err)
			}
		})
	}
}

// TestIdentity looks at the user and the groups of servers.
func TestIdentity(t *testing.T) {
	isolated(t, func(t *testing.T) {
		put(t, "/etc/passwd", "root:x:0:0::/root:/bin/sh\nann:x:1001:2001::/:/bin/sh\ncarl.dot:x:1003:2001::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n", 0o644)
		put(t, "/etc/group", "root:x:0:\nusers:x:2001:\ntape:x:2002:ann\naudio:x:2003:root,ann\nmail:x:2004:\nnogroup:x:65534:\n", 0o644)
		put(t, "/etc/nsswitch.conf", "passwd: files\ngroup: files\ninitgroups: files\n", 0o644)
		for i, tt := range []struct{ user, uid, gid, groups string }{
			{"root", "0", "0", "0 2003"},
			{"root:tape", "0", "2002", "2002 2003"},
			{"root.mail", "0", "2004", "2003 2004"},
			{"root:0", "0", "0", "0 2003"},
			{"ann", "1001", "2001", "2001 2002 2003"},
			{"ann:mail", "1001", "2004", "2002 2003 2004"},
			{"ann/daemon", "1001", "2001", "2001 2002 2003"},
			{"carl.dot", "1003", "2001", "2001"},
			{"carl.dot:mail", "1003", "2004", "2004"},
			{"carl.dot.mail", "1003", "2004", "2004"},
			{"1001", "1001", "2001", "2001 2002 2003"},
			{"4711:42", "4711", "42", "42"},
			{"nobody", "65534", "65534", "65534"},
		} {
			p := 6000 + i
			d := start(t, in("%d stream tcp nowait %s /bin/cat cat\n", p, tt.user))
			conn := dial(t, "tcp", local(p))
			c := d.onlyChild("cat")
			four := func(id string) string { return strings.Join([]string{id, id, id, id}, " ") }
			for _, f := range []struct{ name, want string }{{"Uid", four(tt.uid)}, {"Gid", four(tt.gid)}, {"Groups", tt.groups}} {
				if got := c.status(f.name); got != f.want {
					t.Errorf("%s of a server with user %s = %q, want %q", f.name, tt.user, got, f.want)
				}
			}
			if uid := tt.uid; uid != "0" && strings.Trim(c.status("CapEff"), "0") != "" {
				t.Errorf("capabilities of a server with user %s = %s, want none", tt.user, c.status("CapEff"))
			}
			conn.Close()
		}
	})
}

// Many connections leave nothing behind in the daemon.
func TestNothingLeft(t *testing.T) {
	t.Parallel()
	p := freePort(t)
	d := start(t, in("%d stream tcp nowait.0 $me /bin/cat cat\n", p))
	wantAnswer(t, "tcp", local(p), "first\n", "first\n")
	eventually(t, "no children", func() bool { return len(d.proc().children()) == 0 })
	before := d.proc().fds()
	const clients = 8
	errs := make(chan error, clients)
	for range clients {
		go func() {
			for i := range 25 {
				line := fmt.Sprintf("line %d\n", i)
				if got, err := ask("tcp", local(p), line); err != nil || got != line {
					errs <- fmt.Errorf("ask(%q) = %q, %v", line, got, err)
					return
				}
			}
			errs <- nil
		}()
	}
	for range clients {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	eventually(t, "no children and no zombies", func() bool { return len(d.proc().children()) == 0 })
	if after := d.proc().fds(); len(after) != len(before) {
		t.Errorf("descriptors after 200 connections = %v, want those before, %v", after, before)
	}
}

// A server keeps its connection when the daemon goes.
func TestServerOutlivesDaemon(t *testing.T) {
	t.Parallel()
	subreaper(t)
	p := freePort(t)
	d := start(t, in("%d stream tcp nowait $me /bin/cat cat\n", p))
	c := dial(t, "tcp", local(p))
	wantEcho(t, c, "before\n")
	d.signal(syscall.SIGTERM)
	<-d.done
	wantRefused(t, "tcp", local(p))
	wantEcho(t, c, "after\n")
	c.Close()
}
