package libwrap

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// threads is how many this process has.
func threads(t *testing.T) int {
	t.Helper()
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	return len(tasks)
}

// Waiting holds no threads: where a user may have few processes the runtime
// would get no more of them, and that ends the program.
func TestThreads(t *testing.T) {
	const n = 100
	dir := t.TempDir()
	gate := filepath.Join(dir, "gate")
	if err := syscall.Mkfifo(gate, 0o600); err != nil {
		t.Fatal(err)
	}
	before := threads(t)
	done := make(chan error)
	for range n {
		go func() {
			_, err := RunShell(t.Context(), "exec 3<"+gate+"; echo >"+dir+"/$$; read x <&3", nil)
			done <- err
		}()
	}
	// It opens only when they have come so far.
	w, err := os.OpenFile(gate, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if all, _ := filepath.Glob(dir + "/[0-9]*"); len(all) == n {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the commands do not start")
		}
	}
	if now := threads(t); now > before+n/2 {
		t.Errorf("%d threads with %d commands under way, %d before", now, n, before)
	}
	w.Close()
	for range n {
		if err := <-done; err != nil {
			t.Errorf("RunShell = %v", err)
		}
	}
}

// What a program leaves behind is not waited for, and one that does not end is
// killed, whoever has its output.
func TestCapture(t *testing.T) {
	sh := func(ctx context.Context, command string) (Status, string, error) {
		st, out, err := new(Shell).run(ctx, shell, []string{"sh", "-c", command}, os.Environ(), true)
		return st, string(out), err
	}
	pidFile := filepath.Join(t.TempDir(), "pid")
	stray := "setsid sleep 1000 & echo $! >" + pidFile + "; echo hello; "
	for _, tt := range []struct {
		command string
		killed  bool
	}{{stray, false}, {stray + "exec sleep 1000", true}} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		began := time.Now()
		st, out, err := sh(ctx, tt.command)
		cancel()
		if out != "hello\n" || (err != nil) != tt.killed || (st.Signal == int(syscall.SIGKILL)) != tt.killed {
			t.Errorf("%q = %+v, %q, %v, want it killed: %v", tt.command, st, out, err, tt.killed)
		}
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("%q took %v", tt.command, took)
		}
		pid, _ := os.ReadFile(pidFile)
		sh(t.Context(), "kill "+string(pid))
	}
	st, out, err := sh(t.Context(), "exec yes")
	if err != nil || len(out) != maxGetent || st.Signal != int(syscall.SIGPIPE) {
		t.Errorf("yes = %+v, %d bytes, %v, want %d bytes and SIGPIPE", st, len(out), err, maxGetent)
	}
}

// A program may start its shells by itself, and all else is as ever.
func TestShellStart(t *testing.T) {
	starts := 0
	s := &Shell{Env: []string{"A=1"}, Start: func(path string, argv, env []string, fd int) (int, error) {
		starts++
		return syscall.ForkExec(path, argv, &syscall.ProcAttr{
			Env: env, Files: []uintptr{uintptr(fd), uintptr(fd), uintptr(fd)}, Sys: &syscall.SysProcAttr{Setpgid: true},
		})
	}}
	if st, err := s.Run(context.Background(), `exit $(($A + $B))`, []string{"B=6"}); err != nil || st.Code != 7 {
		t.Errorf("Run = %+v, %v, want status 7", st, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if st, err := s.Run(ctx, "sleep 60", nil); err != context.DeadlineExceeded || st.Signal != int(syscall.SIGKILL) {
		t.Errorf("Run beyond its time = %+v, %v", st, err)
	}
	if starts != 2 {
		t.Errorf("%d starts, want 2", starts)
	}
}

// A command that cannot be killed, here since it has no process group of its own,
// holds nobody up beyond his time, and is buried when it ends.
func TestShellUnkillable(t *testing.T) {
	var pid int
	s := &Shell{Start: func(path string, argv, env []string, fd int) (_ int, err error) {
		pid, err = syscall.ForkExec(path, argv, &syscall.ProcAttr{Env: env, Files: []uintptr{uintptr(fd), uintptr(fd), uintptr(fd)}})
		return pid, err
	}}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.Run(ctx, "exec /bin/sleep 1000", nil); err != context.DeadlineExceeded {
		t.Errorf("Run = %v, want %v", err, context.DeadlineExceeded)
	}
	syscall.Kill(pid, syscall.SIGKILL)
	for end := time.Now().Add(30 * time.Second); syscall.Kill(pid, 0) == nil; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the command is still a zombie")
		}
	}
}
