package libwrap

import (
	"context"
	"sync"
	"syscall"
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
}

// Run runs a command by /bin/sh with standard input, output and error on
// /dev/null and SIGHUP ignored, and waits for it to end. env, NAME=value, is
// added to the shell's. When ctx ends the command is killed with everything in
// its process group, and the error is that of ctx.
func (s *Shell) Run(ctx context.Context, command string, env []string) (Status, error) {
	// A shell whose parent ends may get SIGHUP and must not mind; there is no
	// other way to have it ignored from the start.
	argv := []string{"sh", "-c", "trap '' HUP\n" + command}
	st, _, err := run(ctx, shell, argv, addEnv(s.Env, env), s.Credential, false)
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
// for it. With capture it returns what the program writes to its standard
// output, up to maxGetent bytes.
func run(ctx context.Context, path string, argv, env []string, cred *syscall.Credential, capture bool) (st Status, out []byte, err error) {
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
	}
	pid, err := syscall.ForkExec(path, argv, &syscall.ProcAttr{
		Env: env, Files: files, Sys: &syscall.SysProcAttr{Setpgid: true, Credential: cred},
	})
	if capture {
		syscall.Close(p[1])
	}
	if err != nil {
		if capture {
			syscall.Close(p[0])
		}
		return st, nil, err
	}

	var mu sync.Mutex
	ended := false
	stop := context.AfterFunc(ctx, func() {
		mu.Lock()
		defer mu.Unlock()
		if !ended {
			syscall.Kill(-pid, syscall.SIGKILL)
		}
	})
	defer stop()
	if capture {
		out = readAll(p[0], 0, maxGetent)
		syscall.Close(p[0]) // one that has more to say must not wait for us
	}
	st.PID = pid
	for {
		var ws syscall.WaitStatus
		_, err = syscall.Wait4(pid, &ws, 0, nil)
		if err == syscall.EINTR {
			continue
		}
		if err == nil {
			if ws.Signaled() {
				st.Signal = int(ws.Signal())
			} else {
				st.Code = ws.ExitStatus()
			}
		}
		mu.Lock()
		ended = true
		mu.Unlock()
		if err == nil && st.Signal == int(syscall.SIGKILL) {
			err = ctx.Err()
		}
		return st, out, err
	}
}

// pipe returns a pipe that other children do not inherit.
func pipe(p *[2]int) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := syscall.Pipe(p[:]); err != nil {
		return err
	}
	syscall.CloseOnExec(p[0])
	syscall.CloseOnExec(p[1])
	return nil
}
