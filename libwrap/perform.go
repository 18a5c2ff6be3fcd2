package libwrap

import (
	"context"
	"errors"
	"io"
	"runtime"
	"slices"
	"syscall"
	"time"

	"inetd/libwrap/syslog"
)

// A Conn is the client's connection as far as actions touch it. *net.TCPConn
// is one, and so is FD.
type Conn interface {
	Write(p []byte) (int, error)
	SetLinger(sec int) error // negative turns it off
	SetKeepAlive(on bool) error
}

// FD is a blocking descriptor of a connection.
type FD int

// Read reads what there is, and waits until there is something.
func (fd FD) Read(p []byte) (int, error) {
	for {
		n, err := syscall.Read(int(fd), p)
		switch {
		case err == syscall.EINTR:
			continue
		case err != nil:
			return 0, err
		case n == 0:
			return 0, io.EOF
		}
		return n, nil
	}
}

// Write writes all of p.
func (fd FD) Write(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		n, err := syscall.Write(int(fd), p[done:])
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return done, err
		}
		done += n
	}
	return done, nil
}

// SetLinger sets SO_LINGER.
func (fd FD) SetLinger(sec int) error {
	l := &syscall.Linger{}
	if sec >= 0 {
		l.Onoff, l.Linger = 1, int32(sec)
	}
	return syscall.SetsockoptLinger(int(fd), syscall.SOL_SOCKET, syscall.SO_LINGER, l)
}

// SetKeepAlive sets SO_KEEPALIVE.
func (fd FD) SetKeepAlive(on bool) error {
	n := 0
	if on {
		n = 1
	}
	return syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, n)
}

// A Performer does what a Verdict says.
type Performer struct {
	// Conn is the client's connection. Actions on it are left out if it is nil.
	Conn Conn

	// Run runs the command of a spawn option and waits for it, as Request.Run
	// does for aclexec. With nil that is RunShell.
	Run func(ctx context.Context, command string, env []string) (Status, error)

	// Log takes the messages; nil drops them.
	Log func(p syslog.Priority, text string)

	// Self says that this process is the one that serves the client: setenv,
	// umask, nice, user and group change it, and twist replaces it, on Conn,
	// which must be an FD. Otherwise these are left to the caller, who finds
	// them in Verdict.Child. Having changed the nice value, which is that of a
	// thread, Perform keeps its goroutine on its thread: call syscall.Exec
	// from the same one.
	Self bool
}

// Perform does everything v asks for, in order. Commands of spawn options are
// waited for; when ctx ends they are killed. An error means that
// the client must not be served: the identity could not be changed, a
// variable not set, or a twist not started. With Self, a delegated verdict
// does not return except with an error.
func (p *Performer) Perform(ctx context.Context, v *Verdict) error {
	var env []string
	for i := range v.Events {
		e := &v.Events[i]
		var err error
		switch e.Kind {
		case Log:
			p.log(e.Priority, e.Text)
		case Spawn:
			run := p.Run
			if run == nil {
				run = RunShell
			}
			if _, err := run(ctx, e.Text, env); err != nil {
				p.warn(e, "spawn: "+strerror(err))
			}
		case Banner:
			if p.Conn != nil {
				p.banner(ctx, []byte(e.Text))
			}
		case Linger:
			if p.Conn != nil {
				sec := e.N
				if sec == 0 {
					sec = -1
				}
				if err := p.Conn.SetLinger(sec); err != nil {
					p.warn(e, "setsockopt SO_LINGER "+itoa(e.N)+": "+Strerror(err))
				}
			}
		case Keepalive:
			if p.Conn != nil {
				if err := p.Conn.SetKeepAlive(true); err != nil {
					p.warn(e, "setsockopt SO_KEEPALIVE: "+Strerror(err))
				}
			}
		case Setenv:
			if e.Invalid() {
				err = syscall.EINVAL
				break
			}
			env = append(env, e.Key+"="+e.Text)
			if p.Self {
				err = syscall.Setenv(e.Key, e.Text)
			}
		case Umask:
			if p.Self {
				syscall.Umask(e.N)
			}
		case Nice:
			if p.Self {
				if err := nice(e.N); err != nil {
					p.warn(e, "nice("+itoa(e.N)+"): "+strerror(err))
				}
			}
		case SetUser, SetGroup:
			if p.Self {
				err = e.ID.become()
			}
		case Twist:
			if p.Self {
				err = p.twist(e.Text)
			}
		}
		if err != nil {
			err = &actionError{e.Kind, e.Key, err}
			p.log(syslog.Err, "error: "+where(e.Pos)+err.Error())
			return err
		}
	}
	return nil
}

// banner sends a text for as long as ctx lasts. A client that is gone, or does
// not read, needs no banner.
func (p *Performer) banner(ctx context.Context, text []byte) {
	fd, ok := p.Conn.(FD)
	if !ok {
		p.Conn.Write(text)
		return
	}
	began := time.Now()
	for len(text) > 0 {
		n, err := syscall.SendmsgN(int(fd), text, nil, nil, syscall.MSG_DONTWAIT)
		switch err {
		case nil:
			text, began = text[n:], time.Now()
		case syscall.EINTR:
		case syscall.EAGAIN, syscall.ENOBUFS:
			if pause(ctx, began) != nil {
				return
			}
		case syscall.ENOTSOCK:
			fd.Write(text)
			return
		default:
			return
		}
	}
}

// An actionError is an action that failed, so that the client must not be
// served.
type actionError struct {
	kind EventKind
	key  string
	err  error
}

func (e *actionError) Error() string {
	what := "twist"
	switch e.kind {
	case Setenv:
		what = "setenv " + e.key
	case SetUser:
		what = "user " + e.key
	case SetGroup:
		what = "group " + e.key
	}
	return what + ": " + strerror(e.err)
}

func (e *actionError) Unwrap() error { return e.err }

func (p *Performer) log(pri syslog.Priority, text string) {
	if p.Log != nil {
		p.Log(pri, text)
	}
}

func (p *Performer) warn(e *Event, text string) {
	p.log(syslog.Err, "warning: "+where(e.Pos)+text)
}

// nice adds to the nice value of this thread, as nice(2) does.
func nice(n int) error {
	runtime.LockOSThread()
	now, err := syscall.Getpriority(syscall.PRIO_PROCESS, 0)
	if err != nil {
		return err
	}
	if runtime.GOOS == "linux" {
		now = 20 - now // the system call cannot return negative numbers
	}
	err = syscall.Setpriority(syscall.PRIO_PROCESS, 0, max(-20, min(19, now+max(-40, min(40, n)))))
	if err == syscall.EACCES {
		err = syscall.EPERM
	}
	return err
}

// become changes the identity of the process: groups, group, user, in the one
// order that works, and makes sure of each.
func (id *Identity) become() error {
	if err := syscall.Setgroups(id.Groups); err != nil {
		return err
	}
	if err := syscall.Setgid(id.GID); err != nil {
		return err
	}
	if id.UID >= 0 {
		if err := syscall.Setuid(id.UID); err != nil {
			return err
		}
	}
	if syscall.Getgid() != id.GID || syscall.Getegid() != id.GID {
		return errors.New("group did not change")
	}
	groups, err := syscall.Getgroups()
	if err != nil {
		return err
	}
	for _, g := range groups {
		if !slices.Contains(id.Groups, g) {
			return errors.New("supplementary groups did not change")
		}
	}
	if id.UID >= 0 && (syscall.Getuid() != id.UID || syscall.Geteuid() != id.UID) {
		return errors.New("user did not change")
	}
	if id.UID > 0 && syscall.Setuid(0) == nil {
		return errors.New("root can be regained")
	}
	return nil
}

// twist replaces this process by a shell command on the connection.
func (p *Performer) twist(command string) error {
	fd, ok := p.Conn.(FD)
	if !ok {
		return errors.New("no descriptor")
	}
	for to := range 3 {
		if int(fd) != to {
			if err := dup2(int(fd), to); err != nil {
				return err
			}
		}
	}
	if fd > 2 {
		syscall.Close(int(fd))
	}
	return syscall.Exec(shell, []string{"sh", "-c", command}, syscall.Environ())
}
