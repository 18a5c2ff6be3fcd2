package child

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Settings are what Go cannot do between fork and exec. The few services that
// ask for them start through the daemon's own program, which makes the
// settings, takes the identity and executes the server: the zero value costs
// nothing.
type Settings struct {
	Umask   *int // nil keeps the daemon's 022
	Nice    int  // added to the nice value
	Rlimits []Rlimit
}

// A Rlimit is one resource limit, soft and hard, in the units of setrlimit(2).
type Rlimit struct {
	Resource   int // syscall.RLIMIT_…
	Soft, Hard uint64
}

func (s *Settings) empty() bool { return s.Umask == nil && s.Nice == 0 && len(s.Rlimits) == 0 }

const helperName = "inetd-child"

// Exit statuses of a helper that could not execute the server.
const (
	exitSettings = 125 // nice value, umask or resource limit
	exitIdentity = 126 // groups, gid or uid
	exitExec     = 127
)

// helped is the path and argv of the helper for p.
func (p *Plan) helped() (path string, argv []string, err error) {
	if path, err = executable(); err != nil {
		return "", nil, err
	}
	argv = []string{helperName}
	if p.Umask != nil {
		argv = append(argv, fmt.Sprintf("umask=%d", *p.Umask))
	}
	if p.Nice != 0 {
		argv = append(argv, fmt.Sprintf("nice=%d", p.Nice))
	}
	for _, l := range p.Rlimits {
		argv = append(argv, fmt.Sprintf("rlimit=%d,%d,%d", l.Resource, l.Soft, l.Hard))
	}
	if c := p.Credential; c != nil {
		ids := []string{strconv.Itoa(int(c.Uid)), strconv.Itoa(int(c.Gid))}
		for _, g := range c.Groups {
			ids = append(ids, strconv.Itoa(int(g)))
		}
		argv = append(argv, "identity="+strings.Join(ids, ","))
	}
	argv = append(argv, "--", p.Path)
	return path, append(argv, p.Argv...), nil
}

// startHelper starts the helper and hears what became of it.
func (p *Plan) startHelper(attr *syscall.ProcAttr) (pid int, err error) {
	path, argv, err := p.helped()
	if err != nil {
		return 0, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return 0, fmt.Errorf("fork: %w", err)
	}
	defer r.Close()
	attr.Sys.Credential = nil
	out := w.Fd()
	attr.Files = []uintptr{0: out, 1: out, 2: out, parent: out, client: attr.Files[0]}
	pid, err = syscall.ForkExec(path, argv, attr)
	w.Close()
	if err != nil {
		return 0, explain(path, err)
	}
	if err := p.hear(r, pid); err != nil {
		return 0, err
	}
	return pid, nil
}

// patience is how long a start waits for its child; tests on busy machines wait
// longer.
var patience = 100 * time.Millisecond

// hear waits for the word of a helper, and buries one that failed. It waits no
// longer than for any other child: the user can stop the helper from setuid on.
func (p *Plan) hear(r *os.File, pid int) error {
	r.SetReadDeadline(time.Now().Add(patience))
	said, err := io.ReadAll(r)
	ended := err == nil // or has executed the server
	text, word, _ := bytes.Cut(said, []byte{mark})
	if len(word) == 1 || len(word) == 0 && !ended {
		return nil
	}
	// One that was stopped behind its word, and that the daemon has no right to
	// kill, is a server like others until it ends.
	if !ended && syscall.Kill(pid, syscall.SIGKILL) != nil {
		return nil
	}
	var status syscall.WaitStatus
	for {
		if _, err := syscall.Wait4(pid, &status, 0, nil); err != syscall.EINTR {
			break
		}
	}
	if len(word) == 0 {
		why, _, _ := bytes.Cut(text, []byte{'\n'})
		if len(why) == 0 {
			why = fmt.Appendf(why, "wait status %#x", int(status))
		}
		return fmt.Errorf("%s: %s", helperName, why)
	}
	why := syscall.Errno(word[1])
	switch word[0] {
	case exitExec:
		return fmt.Errorf("execv %s: %w", p.Path, why)
	case exitIdentity:
		return fmt.Errorf("groups, gid or uid: %w", why)
	}
	return fmt.Errorf("umask, nice value or limits: %w", why)
}

// IsHelper says whether this process was started by Start to become a server.
func IsHelper() bool { return len(os.Args) > 0 && os.Args[0] == helperName }

// Descriptors of a helper. Its 0 to 2 are the pipe to its parent too, where the
// runtime says why it ends: that is not for the client to read, whose connection
// comes there only when all is done.
const (
	parent = 3
	client = 4
)

// The word of a helper comes behind what the runtime does not write. It is an exit
// status and an error, of which one that executes the server says only the first.
const mark = 0

func say(bytes ...byte) { syscall.Write(parent, bytes) }

// Help makes the settings and becomes the server; it returns only on failure,
// with an exit status.
func Help() int {
	// On Linux the nice value is a thread's.
	runtime.LockOSThread()
	syscall.CloseOnExec(parent)
	syscall.CloseOnExec(client)
	status, err := help(os.Args[1:])
	var why syscall.Errno
	if !errors.As(err, &why) {
		why = syscall.EINVAL
	}
	if status != exitExec {
		say(mark, byte(status))
	}
	say(byte(why))
	return status
}

func help(args []string) (status int, err error) {
	var identity []int
	for len(args) > 0 && args[0] != "--" {
		key, val, _ := strings.Cut(args[0], "=")
		n, err := numbers(val)
		if err != nil {
			return exitSettings, err
		}
		if key == "identity" && len(n) >= 2 {
			identity = n
		} else if err := set(key, n); err != nil {
			return exitSettings, err
		}
		args = args[1:]
	}
	if len(args) < 2 {
		return exitSettings, syscall.EINVAL
	}
	if identity != nil {
		if err := become(identity[0], identity[1], identity[2:]); err != nil {
			return exitIdentity, err
		}
	}
	for fd := range 3 {
		if err := unix.Dup2(client, fd); err != nil {
			return exitSettings, err
		}
	}
	say(mark, exitExec)
	return exitExec, syscall.Exec(args[1], args[2:], os.Environ())
}

func numbers(s string) ([]int, error) {
	var ns []int
	for f := range strings.SplitSeq(s, ",") {
		// Resource limits are unsigned, nice values are not: the bits count.
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			u, uerr := strconv.ParseUint(f, 10, 64)
			if uerr != nil {
				return nil, err
			}
			n = int64(u)
		}
		ns = append(ns, int(n))
	}
	return ns, nil
}

func set(key string, n []int) error {
	switch {
	case key == "umask" && len(n) == 1:
		syscall.Umask(n[0])
		return nil
	case key == "nice" && len(n) == 1:
		return unlessDenied(addNice(n[0]))
	case key == "rlimit" && len(n) == 3:
		return unlessDenied(setrlimit(n[0], uint64(n[1]), uint64(n[2])))
	}
	return syscall.EINVAL
}

// unlessDenied passes over what the daemon has no right to.
func unlessDenied(err error) error {
	if err == syscall.EPERM || err == syscall.EACCES {
		return nil
	}
	return err
}

// become takes an identity and proves that it is the only one left.
func become(uid, gid int, groups []int) error {
	denied := syscall.Setgroups(groups)
	if denied != nil && (denied != syscall.EPERM || !own(&syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)})) {
		return denied
	}
	if err := syscall.Setgid(gid); err != nil {
		return err
	}
	if err := syscall.Setuid(uid); err != nil {
		return err
	}
	now, err := syscall.Getgroups()
	if err != nil {
		return err
	}
	for _, g := range now {
		if denied == nil && g != gid && !slices.Contains(groups, g) {
			return syscall.EPERM
		}
	}
	if syscall.Getuid() != uid || syscall.Geteuid() != uid || syscall.Getgid() != gid || syscall.Getegid() != gid {
		return syscall.EPERM
	}
	if uid != 0 && syscall.Setuid(0) == nil {
		return syscall.EPERM
	}
	return nil
}
