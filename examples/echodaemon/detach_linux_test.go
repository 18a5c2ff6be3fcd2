package main

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestDetached starts the daemon from a terminal of its own and reads from
// /proc what has become of it.
func TestDetached(t *testing.T) {
	t.Parallel()
	master, slave := terminal(t)
	leak, err := os.Open(os.Args[0]) // a file the shell left open
	if err != nil {
		t.Fatal(err)
	}
	defer leak.Close()

	cmd := program("127.0.0.1:0")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.ExtraFiles = []*os.File{leak, leak, leak}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(master).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid, addr := parse(t, line)
	if err := cmd.Wait(); err != nil {
		t.Fatalf("echodaemon: %v", err)
	}
	slave.Close()
	master.Close() // hangs up: what still has this terminal dies

	ask(t, addr) // it answers only when it has done all the rest
	if got := status(t, pid, "Umask"); got != "0022" {
		t.Errorf("umask = %s, want 0022", got)
	}
	proc := fmt.Sprintf("/proc/%d/", pid)
	b, err := os.ReadFile(proc + "stat")
	if err != nil {
		t.Fatal(err)
	}
	// After the name, which may hold anything: state ppid pgrp session tty.
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	if me := fmt.Sprint(pid); f[2] == me || f[3] == me {
		t.Errorf("pid %s leads group %s or session %s, want neither", me, f[2], f[3])
	}
	if sid, _ := unix.Getsid(0); f[3] == fmt.Sprint(sid) || f[3] == fmt.Sprint(cmd.Process.Pid) {
		t.Errorf("session = %s, want a new one", f[3])
	}
	if f[4] != "0" {
		t.Errorf("terminal = %s, want 0", f[4])
	}
	if cwd, err := os.Readlink(proc + "cwd"); cwd != "/" {
		t.Errorf("cwd = %q, %v, want /", cwd, err)
	}
	for _, fd := range []string{"0", "1", "2"} {
		if to, err := os.Readlink(proc + "fd/" + fd); to != "/dev/null" {
			t.Errorf("descriptor %s = %q, %v, want /dev/null", fd, to, err)
		}
	}
	fds, err := os.ReadDir(proc + "fd")
	if err != nil {
		t.Fatal(err)
	}
	self, _ := filepath.EvalSymlinks(os.Args[0])
	for _, fd := range fds {
		if to, _ := os.Readlink(proc + "fd/" + fd.Name()); slices.Contains([]string{self, slave.Name()}, to) {
			t.Errorf("descriptor %s = %q, want it closed", fd.Name(), to)
		}
	}
}

// terminal opens a pseudo terminal.
func terminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skipf("no pseudo terminals here: %v", err)
	}
	master = os.NewFile(uintptr(fd), "ptmx")
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { slave.Close() })
	return master, slave
}

// status returns a field of /proc/PID/status.
func status(t *testing.T, pid int, field string) string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, field+":"); ok {
			return strings.TrimSpace(v)
		}
	}
	t.Fatalf("no %s in /proc/%d/status", field, pid)
	return ""
}
