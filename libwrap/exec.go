package libwrap

import (
	"context"
	"syscall"
	"time"
)

const shell = "/bin/sh"

// RunShell runs a command as this process, with its environment; see Shell.Run.
func RunShell(ctx context.Context, command string, env []string) (Status, error) {
	return (&Shell{Env: syscall.Environ()}).Run(ctx, command, env)
}

// A Shell says as whom commands run. It is not changed by them and may be used
// by several goroutines.
type Shell struct {
	Env        []string            // NAME=value
	Credential *syscall.Credential // nil is this process's own

	// Start, if it is given, starts a program with fd as its descriptors 0 to 2,
	// in a process group of its own and with Credential, instead of
	// syscall.ForkExec. For that blocks until the program is executed, and the
	// user it becomes can stop it before.
	Start func(path string, argv, env []string, fd int) (pid int, err error)
}

// Run runs a command by /bin/sh with standard input, output and error on
// /dev/null and SIGHUP ignored, and waits for it to end. env, NAME=value, is
// added to the shell's. When ctx ends the command is killed with everything in
// its process group, and the error is that of ctx. One that cannot be killed is
// left alone then.
func (s *Shell) Run(ctx context.Context, command string, env []string) (Status, error) {
	// A shell whose parent ends may get SIGHUP and must not mind; there is no
	// other way to have it ignored from the start.
	argv := []string{"sh", "-c", "trap '' HUP\n" + command}
	st, _, err := s.run(ctx, shell, argv, addEnv(s.Env, env), false)
	return st, err
}

// addEnv adds variables to an environment, replacing those it has.
func addEnv(env, more []string) []string {
	for _, kv := range more {
		name := kv
		for i := range len(kv) {
			if kv[i] == '=' {
				name = kv[:i+1]
				break
			}
		}
		kept := env[:0:0]
		for _, old := range env {
			if len(old) < len(name) || old[:len(name)] != name {
				kept = append(kept, old)
			}
		}
		env = append(kept, kv)
	}
	return env
}

// run starts a program on /dev/null in a process group of its own and waits
// for it to end. With capture it returns what the program wrote to its standard
// output until then, up to maxGetent bytes.
func (s *Shell) run(ctx context.Context, path string, argv, env []string, capture bool) (st Status, out []byte, err error) {
	if err := ctx.Err(); err != nil {
		return st, nil, err
	}
	null, err := syscall.Open("/dev/null", syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		return st, nil, err
	}
	defer syscall.Close(null)
	files := []uintptr{uintptr(null), uintptr(null), uintptr(null)}
	p := [2]int{-1, -1}
	if capture {
		if err := pipe(&p); err != nil {
			return st, nil, err
		}
		files[1] = uintptr(p[1])
		defer func() { syscall.Close(p[0]) }()
		if err := syscall.SetNonblock(p[0], true); err != nil {
			syscall.Close(p[1])
			return st, nil, err
		}
	}
	began := time.Now()
	var pid int
	if s.Start != nil && !capture {
		pid, err = s.Start(path, argv, env, null)
	} else {
		pid, err = syscall.ForkExec(path, argv, &syscall.ProcAttr{
			Env: env, Files: files, Sys: &syscall.SysProcAttr{Setpgid: true, Credential: s.Credential},
		})
	}
	if capture {
		syscall.Close(p[1])
	}
	if err != nil {
		return st, nil, err
	}
	st.PID = pid
	alive, killed := ctx, false
	for {
		var ws syscall.WaitStatus
		ended, err := syscall.Wait4(pid, &ws, syscall.WNOHANG, nil)
		if err == syscall.EINTR {
			continue
		}
		// All that the program wrote is in the pipe when it has ended. A child
		// that it leaves behind with the other end is not waited for.
		if capture && len(out) < maxGetent {
			if out = drain(p[0], out); len(out) == maxGetent {
				syscall.Close(p[0]) // one that has more to say must not wait for us
				p[0] = -1
			}
		}
		switch {
		case err != nil:
			return st, out, err
		case ended == 0:
			if pause(alive, began) == nil {
				continue
			}
			// It may be another user's that this process has no right to kill, or
			// wait for a dead disk.
			if killed || syscall.Kill(-pid, syscall.SIGKILL) != nil {
				go bury(pid)
				return st, out, ctx.Err()
			}
			var cancel func()
			alive, cancel = context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			killed = true
		case ws.Signaled():
			if st.Signal = int(ws.Signal()); st.Signal == int(syscall.SIGKILL) {
				err = ctx.Err()
			}
			return st, out, err
		default:
			st.Code = ws.ExitStatus()
			return st, out, nil
		}
	}
}

// bury waits for the end of a process that nobody asks about any more.
func bury(pid int) {
	for {
		ended, err := syscall.Wait4(pid, nil, syscall.WNOHANG, nil)
		if ended == pid || err != nil && err != syscall.EINTR {
			return
		}
		time.Sleep(time.Second)
	}
}

// pause lets an eighth pass of the time since began, within bounds. Who asks
// again and again in such steps holds no thread, as one who waits in the kernel
// does: a Go program that needs a thread and gets none, because the processes
// of a user are limited, is ended by the runtime, and how many clients there
// are to wait for is up to strangers.
func pause(ctx context.Context, began time.Time) error {
	t := time.NewTimer(max(50*time.Microsecond, min(time.Since(began)/8, 50*time.Millisecond)))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// drain adds to b what a non-blocking pipe holds now, up to maxGetent bytes.
func drain(fd int, b []byte) []byte {
	for len(b) < maxGetent {
		if len(b) == cap(b) {
			b = append(b, make([]byte, 512)...)[:len(b)]
		}
		n, err := readFD(fd, b[len(b):min(cap(b), maxGetent)])
		if n == 0 || err != nil {
			break
		}
		b = b[:len(b)+n]
	}
	return b
}
