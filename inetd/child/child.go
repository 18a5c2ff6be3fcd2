// Package child turns a plan into a running process. It is the one room that
// changes users, groups and signals; it logs nothing and waits for nothing.
package child

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// A Plan is all that is known of a server before a client comes. It is made
// once, when the configuration is read, and not changed after.
type Plan struct {
	Path string
	Argv []string
	Env  []string
	Settings

	// Credential is who servers run as, the gid among the groups. nil is the
	// daemon itself, which is all that a daemon without root can do.
	Credential *syscall.Credential

	launch *launch // made at the first start
}

// Clone returns a plan that may be changed without changing p.
func (p *Plan) Clone() *Plan {
	q := *p
	q.launch = nil
	return &q
}

// Start runs the plan's program with fd as its descriptors 0, 1 and 2 and no
// others, in a session of its own. Groups, gid and uid are set in that order
// and the program is not executed unless the kernel granted each, but for the
// groups of the daemon's own user and group; an error says that nothing was
// started. pidfd is -1 where the system has none.
//
// Where the kernel or the processor has no faster way this is syscall.ForkExec,
// and a plan with Settings or a user of its own starts through a helper then, see
// Help. One goroutine at a time may start a plan. Unless it is nil meanwhile runs,
// on the fast way and if there is a child at all, while that is on its way to the
// program.
func Start(p *Plan, fd int, meanwhile func()) (pid, pidfd int, err error) {
	if pid, pidfd, err, ok := startFast(p, fd, meanwhile); ok {
		return pid, pidfd, err
	}
	return forkExec(p, fd)
}

func forkExec(p *Plan, fd int) (pid, pidfd int, err error) {
	pidfd = -1
	f := uintptr(fd)
	attr := syscall.ProcAttr{
		Env:   p.Env,
		Files: []uintptr{f, f, f},
		Sys:   &syscall.SysProcAttr{Setsid: true, Credential: p.Credential},
	}
	wantPidfd(attr.Sys, &pidfd)
	// ForkExec waits for the exec, and from setuid on the user could stop that.
	if c := p.Credential; !p.Settings.empty() || c != nil && !own(c) {
		pid, err = p.startHelper(&attr)
	} else {
		pid, err = syscall.ForkExec(p.Path, p.Argv, &attr)
		if err == syscall.EPERM && c != nil {
			attr.Sys.Credential = &syscall.Credential{Uid: c.Uid, Gid: c.Gid, NoSetGroups: true}
			pid, err = syscall.ForkExec(p.Path, p.Argv, &attr)
		}
		if err != nil {
			err = explain(p.Path, err)
		}
	}
	if err != nil {
		if pidfd >= 0 { // of a helper that failed
			syscall.Close(pidfd)
		}
		return 0, -1, err
	}
	return pid, pidfd, nil
}

// own says whether c is who the daemon is already. Its other groups may be denied
// then, as they are to a root that has no CAP_SETGID or is the one user of a
// namespace: it gives up nothing by keeping those it has.
func own(c *syscall.Credential) bool {
	return int(c.Uid) == os.Geteuid() && int(c.Gid) == os.Getegid()
}

// explain says which step failed as far as the error tells: before the exec
// the kernel refuses an identity with EPERM or EINVAL only.
func explain(path string, err error) error {
	if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.ENOMEM) || errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
		return fmt.Errorf("fork: %w", err)
	}
	return fmt.Errorf("execv %s: %w", path, err)
}

// Removed from the environment that servers get: what Debian's inetd launders,
// and what changes how a dynamic loader or a shell behaves.
var laundered = []string{"PATH", "HOME", "SHELL", "TERM", "USER", "LOGNAME", "IFS", "MAIL", "CDPATH", "ENV", "BASH_ENV"}

// Launder is the environment for servers: env without the variables of the
// person who started the daemon. NOTIFY_SOCKET and the like of a service
// manager are the daemon's own.
func Launder(env []string) []string {
	var kept []string
next:
	for _, kv := range env {
		name, _, _ := strings.Cut(kv, "=")
		for _, prefix := range []string{"LD_", "NOTIFY_SOCKET", "LISTEN_", "WATCHDOG_", "INVOCATION_ID", "JOURNAL_STREAM"} {
			if strings.HasPrefix(name, prefix) {
				continue next
			}
		}
		for _, l := range laundered {
			if name == l {
				continue next
			}
		}
		kept = append(kept, kv)
	}
	return kept
}

// Clean takes from this process what servers would inherit and must not:
// ignored and blocked signals, open descriptors, the umask and the directory.
// It is called once, before the first Start, and may re-execute the program. A
// process that cannot know who it is must not start servers: it would take itself
// for one that is not root.
func Clean() error {
	if os.Geteuid() == -1 || os.Getegid() == -1 {
		return errors.New("geteuid and getegid fail: the system does not say who the daemon is")
	}
	if err := resetSignals(); err != nil {
		return fmt.Errorf("signals: %w", err)
	}
	if err := closeOnExec(); err != nil {
		return fmt.Errorf("descriptors: %w", err)
	}
	Umask = syscall.Umask(0o022)
	return os.Chdir("/")
}

// closeOnExecIn marks the descriptors that a directory of them has.
func closeOnExecIn(dir string) error {
	fds, err := os.ReadDir(dir)
	for _, e := range fds {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd > 2 {
			syscall.CloseOnExec(fd)
		}
	}
	return err
}

// Umask is what this process was started with, once Clean has been called.
var Umask = 0o022
