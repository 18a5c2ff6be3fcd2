//go:build unix

package examples

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// bin is where the tests build programs. Its name has a blank in it, as a
// student's home may.
var bin string

func TestMain(m *testing.M) {
	var err error
	if bin, err = os.MkdirTemp("", "inetd examples "); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(bin)
	os.Exit(code)
}

var buildInetd = sync.OnceValue(func() error {
	cmd := exec.Command("go", "build", "-buildvcs=false", "-o", bin+"/", "../inetd")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %v\n%s", err, out)
	}
	return nil
})

// An initScript runs inetd.init with files of its own.
type initScript struct {
	t       *testing.T
	env     []string
	pidFile string
	config  string
	port    string
}

func newInitScript(t *testing.T) *initScript {
	t.Helper()
	if err := buildInetd(); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	// Options and files are split at blanks, so these have none.
	dir, err := os.MkdirTemp("", "inetd")
	if err != nil {
		t.Fatal(err)
	}
	s := &initScript{t: t, port: port, config: filepath.Join(dir, "inetd.conf"), pidFile: filepath.Join(dir, "inetd.pid")}
	s.env = append(os.Environ(), "DAEMON="+filepath.Join(bin, "inetd"), "CONFIG="+s.config, "PIDFILE="+s.pidFile)
	s.write(fmt.Sprintf("127.0.0.1:%s stream tcp nowait root internal echo\n", port))
	t.Cleanup(func() {
		s.run("stop")
		os.RemoveAll(dir)
	})
	return s
}

func (s *initScript) write(config string) {
	s.t.Helper()
	if err := os.WriteFile(s.config, []byte(config), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

func (s *initScript) run(action string) (out string, status int) {
	cmd := exec.Command("./inetd.init", action)
	cmd.Env = s.env
	b, err := cmd.CombinedOutput()
	if _, ok := err.(*exec.ExitError); err != nil && !ok {
		s.t.Fatal(err)
	}
	return string(b), cmd.ProcessState.ExitCode()
}

func (s *initScript) want(action, says string, status int) {
	s.t.Helper()
	if out, got := s.run(action); got != status || !strings.Contains(out, says) {
		s.t.Errorf("inetd.init %s = %q, status %d, want %q, status %d", action, out, got, says, status)
	}
}

// echo says whether the echo service on that port works.
func echo(port string) error {
	c, err := net.Dial("tcp", "127.0.0.1:"+port)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	io.WriteString(c, "hello")
	got := make([]byte, 5)
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "hello" {
		return fmt.Errorf("echo of hello = %q, %v", got, err)
	}
	return nil
}

func TestInitScript(t *testing.T) {
	t.Parallel()
	s := newInitScript(t)
	s.want("status", "not running", 3)
	s.want("reload", "not running", 7)
	s.want("stop", "not running", 0)
	s.want("", "usage:", 2)

	s.want("start", "started", 0)
	if err := echo(s.port); err != nil {
		t.Errorf("after start: %v", err)
	}
	s.want("status", "is running", 0)
	pid, _ := os.ReadFile(s.pidFile)
	s.want("start", "already running", 0)
	if now, _ := os.ReadFile(s.pidFile); string(now) != string(pid) {
		t.Errorf("pid after the second start = %q, want %q", now, pid)
	}

	s.want("restart", "started", 0)
	if now, _ := os.ReadFile(s.pidFile); string(now) == string(pid) {
		t.Errorf("pid after restart = %q, want another", now)
	}
	if err := echo(s.port); err != nil {
		t.Errorf("after restart: %v", err)
	}

	s.want("stop", "stopped", 0)
	if err := echo(s.port); err == nil {
		t.Error("the service answers after stop")
	}
	s.want("status", "not running", 3)
}

func TestInitScriptReload(t *testing.T) {
	t.Parallel()
	s := newInitScript(t)
	s.want("start", "started", 0)

	s.write("nonsense\n")
	s.want("reload", "inetd.conf:1:", 1)
	if err := echo(s.port); err != nil {
		t.Errorf("after a reload that was refused: %v", err)
	}

	s.write("# nothing\n")
	s.want("reload", "reloaded", 0)
	for echo(s.port) == nil {
		time.Sleep(10 * time.Millisecond) // the script does not wait for inetd
	}
}

// TestInitScriptStalePid gives the script the number of a process that is no
// inetd: it must neither take it for one nor end it.
func TestInitScriptStalePid(t *testing.T) {
	t.Parallel()
	s := newInitScript(t)
	stranger := exec.Command("sleep", "600")
	if err := stranger.Start(); err != nil {
		t.Fatal(err)
	}
	defer stranger.Wait()
	defer stranger.Process.Kill()
	os.WriteFile(s.pidFile, fmt.Appendln(nil, stranger.Process.Pid), 0o644)
	s.want("status", "exists", 1)
	s.want("stop", "not running", 0)
	s.want("reload", "not running", 7)
	s.want("start", "started", 0)
	if err := echo(s.port); err != nil {
		t.Error(err)
	}
	if err := stranger.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("the stranger: %v", err)
	}
}
