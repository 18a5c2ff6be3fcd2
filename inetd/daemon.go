package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"inetd/inetd/child"
)

// Go cannot fork without exec, so the daemon detaches by starting itself anew:
// in a session of its own, without a terminal, with /dev/null as its standard
// descriptors. The one who started it waits on a pipe until the new one listens
// and exits with what it said, so that an init script sees a failed start.

// detachEnv tells the new process that it is the daemon. The pipe is its
// descriptor 3.
const detachEnv = "INETD_DETACHED"

const ready = "ready\n"

// inherited is the pipe to the process that detached this one, nil if none
// did. The variable goes, since servers inherit the environment.
func inherited() *os.File {
	if os.Getenv(detachEnv) == "" {
		return nil
	}
	os.Unsetenv(detachEnv)
	return os.NewFile(3, "pipe")
}

// detach says what keeps the daemon from starting while somebody listens, starts
// it and waits for its word.
func detach(ld *loader, stderr io.Writer) error {
	o := ld.opts
	if err := readableElsewhere(o.files); err != nil {
		return fmt.Errorf("%w: give a file, or -i to stay in the foreground", err)
	}
	cfg, err := ld.load()
	if err != nil {
		return err
	}
	if !o.stderr {
		for _, p := range cfg.problems {
			if !p.Warning {
				fmt.Fprintln(stderr, p)
			}
		}
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("%w: give %s to stay in the foreground", err, o.stay())
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("%w: give %s to stay in the foreground", err, o.stay())
	}
	defer null.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	files := []*os.File{null, null, null, w}
	if o.stderr {
		files[2] = os.Stderr
	}
	syscall.Umask(child.Umask)
	p, err := os.StartProcess(self, os.Args, &os.ProcAttr{
		Dir:   o.dir,
		Env:   append(os.Environ(), detachEnv+"=1"),
		Files: files,
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	w.Close()
	if err != nil {
		return err
	}
	p.Release()
	said, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if string(said) != ready {
		_, said, _ := strings.Cut(strings.TrimSpace(string(said)), ": ") // the caller puts the name back
		return errors.New(said)
	}
	return nil
}

// stay is the option not to detach.
func (o *options) stay() string {
	if o.asXinetd {
		return "-dontfork"
	}
	return "-f"
}

// nameProcess gives the process the name it was called by, as pgrep(1) and
// start-stop-daemon(8) see it: starting itself anew has followed the link by
// which it is xinetd. Other systems than Linux go without.
func nameProcess() {
	os.WriteFile("/proc/self/comm", []byte(filepath.Base(os.Args[0])), 0)
}

// A pidFile is locked for as long as its daemon lives, so that a second one
// neither overwrites nor removes it.
type pidFile struct {
	f    *os.File
	name string
}

const defaultPidFile = "/run/inetd.pid"

var errRunning = errors.New("another inetd is running")

// lockPidFile fails with errRunning if another daemon has the file; with any
// other error there is just no file, which is no reason not to serve. Without
// root, and as xinetd, there is one only on request.
func lockPidFile(o *options, root bool) (*pidFile, error) {
	name := o.pidFile
	if name == "" {
		if !root || o.asXinetd {
			return nil, nil
		}
		name = defaultPidFile
	}
	return openLocked(name)
}

// write puts the number in. Who reads it may send signals at once.
func (p *pidFile) write() error {
	if p == nil {
		return nil
	}
	if err := p.f.Truncate(0); err != nil {
		return err
	}
	_, err := p.f.WriteString(strconv.Itoa(os.Getpid()) + "\n")
	return err
}

// openLocked returns the file that is at name, locked: one that its daemon
// removed between the opening and the lock is not that.
func openLocked(name string) (*pidFile, error) {
	for {
		// Neither what a link names nor a device is written to or removed.
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o644)
		if err != nil {
			return nil, err
		}
		if fi, err := f.Stat(); err != nil || !fi.Mode().IsRegular() {
			f.Close()
			return nil, cmp.Or(err, fmt.Errorf("%s: not a regular file", name))
		}
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			text, _ := io.ReadAll(io.LimitReader(f, 32))
			f.Close()
			if errors.Is(err, unix.EWOULDBLOCK) {
				return nil, fmt.Errorf("%s: %w, pid %s", name, errRunning, strings.TrimSpace(string(text)))
			}
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		p := &pidFile{f, name}
		if p.inPlace() {
			return p, nil
		}
		f.Close()
	}
}

// inPlace says whether the file is still what its name stands for.
func (p *pidFile) inPlace() bool {
	mine, err1 := p.f.Stat()
	there, err2 := os.Lstat(p.name)
	return err1 == nil && err2 == nil && os.SameFile(mine, there)
}

// remove removes the file unless somebody has put another in its place.
func (p *pidFile) remove() {
	if p == nil {
		return
	}
	if p.inPlace() {
		if err := os.Remove(p.name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			fmt.Fprintln(os.Stderr, "inetd:", err)
		}
	}
	p.f.Close()
}

// spareThreads has the runtime make threads while it can: one that it needs
// and does not get, because the system or the user is out of processes, ends
// the program. It keeps those it has.
func spareThreads() {
	const enough = 8 // the loop, the monitor, signals, collectors, and some that wait in system calls
	var here sync.WaitGroup
	leave := make(chan struct{})
	for range enough {
		here.Add(1)
		go func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			here.Done()
			<-leave
		}()
	}
	here.Wait()
	close(leave)
}

// asInit is what the first process of a container has to do besides: take away
// the dead that no other process does. It starts the daemon as a child, passes
// signals on to it and ends as it ends.
func asInit(o *options) (status int, err error) {
	self, err := os.Executable()
	if err != nil {
		return 1, fmt.Errorf("%w: is /proc mounted?", err)
	}
	args := append([]string{os.Args[0], o.stay()}, os.Args[1:]...)
	sigs := make(chan os.Signal, 16)
	signal.Notify(sigs, unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGALRM, unix.SIGUSR1, unix.SIGUSR2, unix.SIGABRT)
	files := []*os.File{os.Stdin, os.Stdout, os.Stderr}
	if os.Getenv(detachEnv) != "" { // somebody waits for word
		files = append(files, os.NewFile(3, "pipe"))
	}
	p, err := os.StartProcess(self, args, &os.ProcAttr{Files: files})
	if err != nil {
		return 1, err
	}
	for _, f := range files[3:] {
		f.Close()
	}
	go func() {
		for sig := range sigs {
			unix.Kill(p.Pid, sig.(unix.Signal))
		}
	}()
	for {
		var ws unix.WaitStatus
		pid, err := unix.Wait4(-1, &ws, 0, nil)
		switch {
		case err == unix.EINTR, pid != p.Pid && err == nil:
		case err != nil:
			return 1, fmt.Errorf("wait4: %w", err)
		case ws.Signaled():
			return 128 + int(ws.Signal()), nil
		default:
			return ws.ExitStatus(), nil
		}
	}
}
