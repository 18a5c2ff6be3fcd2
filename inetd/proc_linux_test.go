package main

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"testing"
)

// A proc is a process as /proc shows it.
type proc int

func (p proc) read(name string) string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/%s", p, name))
	return string(text)
}

// status is one line of /proc/PID/status.
func (p proc) status(name string) string {
	for l := range strings.SplitSeq(p.read("status"), "\n") {
		if v, ok := strings.CutPrefix(l, name+":"); ok {
			return strings.Join(strings.Fields(v), " ")
		}
	}
	return ""
}

// stat are the fields of /proc/PID/stat from the state, the third, on.
func (p proc) stat() []string {
	text := p.read("stat")
	return strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
}

// Fields of stat.
const (
	statState = iota
	statParent
	statGroup
	statSession
	statTTY
)

// fds are the open descriptors and what each is.
func (p proc) fds() map[int]string {
	dir := fmt.Sprintf("/proc/%d/fd", p)
	fds := make(map[int]string)
	names, _ := os.ReadDir(dir)
	for _, n := range names {
		fd, _ := strconv.Atoi(n.Name())
		if to, err := os.Readlink(filepath.Join(dir, n.Name())); err == nil {
			fds[fd] = to
		}
	}
	return fds
}

// fdFlags are the flags of an open descriptor, as in open(2).
func (p proc) fdFlags(fd int) int64 {
	for l := range strings.SplitSeq(p.read(fmt.Sprintf("fdinfo/%d", fd)), "\n") {
		if v, ok := strings.CutPrefix(l, "flags:"); ok {
			n, _ := strconv.ParseInt(strings.TrimSpace(v), 8, 64)
			return n
		}
	}
	return -1
}

func (p proc) cwd() string {
	dir, _ := os.Readlink(fmt.Sprintf("/proc/%d/cwd", p))
	return dir
}

// environ is the environment the process was started with, sorted.
func (p proc) environ() []string {
	env := strings.Split(strings.TrimRight(p.read("environ"), "\x00"), "\x00")
	sort.Strings(env)
	return env
}

// ticks is the processor time used, in clock ticks (hundredths of a second).
func (p proc) ticks() int {
	f := p.stat()
	user, _ := strconv.Atoi(f[11])
	system, _ := strconv.Atoi(f[12])
	return user + system
}

// children are the processes that p has started and that nobody has reaped,
// in the order of their start as far as pids tell.
func (p proc) children() []proc {
	var all []proc
	names, _ := filepath.Glob("/proc/[0-9]*")
	for _, n := range names {
		pid, _ := strconv.Atoi(filepath.Base(n))
		if text := proc(pid).read("stat"); text == "" {
			continue
		}
		if f := proc(pid).stat(); len(f) > statParent && f[statParent] == strconv.Itoa(int(p)) {
			all = append(all, proc(pid))
		}
	}
	sort.Slice(all, func(i, j int) bool { return all[i] < all[j] })
	return all
}

func (d *daemon) proc() proc { return proc(d.cmd.Process.Pid) }

// onlyChild is the one server that d runs, once it is there and is the program
// that was asked for.
func (d *daemon) onlyChild(program string) proc {
	d.t.Helper()
	return onlyChild(d.t, d.proc(), program)
}

func onlyChild(t testing.TB, p proc, program string) proc {
	t.Helper()
	var c proc
	eventually(t, "one child "+program, func() bool {
		all := p.children()
		if len(all) != 1 {
			return false
		}
		c = all[0]
		return strings.TrimSpace(c.read("comm")) == program
	})
	return c
}

// inodes are the sockets listening at, or bound to, a port.
func inodes(t testing.TB, table string, port int) []string {
	t.Helper()
	text, err := os.ReadFile("/proc/self/net/" + table)
	if err != nil {
		t.Fatal(err)
	}
	const listen, bound = "0A", "07"
	var found []string
	for l := range strings.SplitSeq(string(text), "\n") {
		f := strings.Fields(l)
		if len(f) < 10 || !strings.HasSuffix(f[1], fmt.Sprintf(":%04X", port)) {
			continue
		}
		if f[3] == listen || f[3] == bound {
			found = append(found, f[9])
		}
	}
	return found
}
