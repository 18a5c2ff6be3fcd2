package examples

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestRun starts everything as "make run" does and types what it tells the
// user to type. The ports are fixed, so it has a network of its own:
//
//	this test ── unshare ──► TestRun again, alone on a loopback interface
//	                         └─ examples/run ──► inetd ──► the servers
func TestRun(t *testing.T) {
	t.Parallel()
	if !inNetwork(t) {
		return
	}
	if err := buildInetd(); err != nil {
		t.Fatal(err)
	}
	// A copy of the tree, since the test changes hosts.allow. Its name has a
	// blank in it too.
	tree := filepath.Join(t.TempDir(), "a tree")
	copyTree(t, tree)
	cmd := exec.Command(filepath.Join(tree, "examples", "run"), bin)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	log := make(chan string, 1000)
	go func() {
		for in := bufio.NewScanner(stderr); in.Scan(); {
			log <- in.Text()
		}
		close(log)
	}()
	var told strings.Builder
	for in := bufio.NewScanner(stdout); in.Scan(); {
		told.WriteString(in.Text() + "\n")
		if strings.Contains(in.Text(), "kill -HUP") {
			break
		}
	}

	programs := filepath.Join(bin, "examples")
	pid := filepath.Join(programs, "inetd.pid")
	conf := filepath.Join(programs, "inetd.conf")
	allow := filepath.Join(tree, "examples", "hosts.allow")
	for _, want := range []string{pid, conf, allow} {
		if !strings.Contains(told.String(), want) {
			t.Errorf("run does not tell about %s:\n%s", want, &told)
		}
	}
	client := func(args ...string) (string, error) {
		cmd := exec.Command(filepath.Join(programs, "echoclient"), args...)
		cmd.Stdin = strings.NewReader("hello\n")
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	for start := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		if _, err := client("localhost", "5000"); err == nil {
			break
		}
		if time.Since(start) > 30*time.Second {
			cmd.Process.Kill()
			for line := range log {
				t.Log(line)
			}
			t.Fatal("inetd does not listen")
		}
	}

	for _, tt := range []struct{ args, want string }{
		{"localhost 5000", "1: hello\n"},
		{"127.0.0.1 5000", "1: hello\n"},
		{"localhost 5001", "1: hello\n"},
		{"localhost 5002", "1: hello\n"},
		{"localhost 5003", "1: hello\n"},
		{"-u localhost 9300", "hello\n"},
		{"-u localhost 9300", "hello\n"},
		{"localhost 7007", "hello\n"},
		{"-u localhost 7007", "hello\n"},
	} {
		if out, err := client(strings.Fields(tt.args)...); err != nil || out != tt.want {
			t.Errorf("echoclient %s = %q, %v, want %q", tt.args, out, err, tt.want)
		}
	}
	if out, err := client("localhost", "7013"); err != nil || len(out) < 24 {
		t.Errorf("daytime = %q, %v, want a time", out, err)
	}

	// nowait.5: one has been served above.
	for n := 2; n <= 6; n++ {
		if out, err := client("localhost", "5002"); (err == nil) != (n <= 5) {
			t.Errorf("client %d of 5002 = %q, %v, want five served", n, out, err)
		}
	}

	// The door is locked without any signal, for tcpd alone.
	edit(t, allow, "ALL: 127. [::1]", "#ALL: 127. [::1]")
	if out, err := client("localhost", "5001"); err == nil {
		t.Errorf("echoclient localhost 5001 without a rule = %q, want it refused", out)
	}
	if out, err := client("localhost", "5000"); err != nil {
		t.Errorf("echoclient localhost 5000 without a rule = %q, %v, want it served", out, err)
	}

	// A service is added while inetd runs.
	edit(t, conf, "\n*:\n", "\n5004 stream tcp nowait nobody internal echo\n*:\n")
	if out, err := exec.Command("sh", "-c", `kill -HUP $(cat "`+pid+`")`).CombinedOutput(); err != nil {
		t.Fatalf("kill -HUP = %q, %v", out, err)
	}
	for line := range log {
		if strings.Contains(line, "reload:") && strings.Contains(line, "5004/tcp") {
			break
		}
	}
	if out, err := client("localhost", "5004"); err != nil || out != "hello\n" {
		t.Errorf("echoclient localhost 5004 = %q, %v, want %q", out, err, "hello\n")
	}

	cmd.Process.Signal(os.Interrupt)
	for range log {
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("after an interrupt: %v, want success", err)
	}
	if _, err := os.Stat(pid); err == nil {
		t.Errorf("%s is still there", pid)
	}
}

// copyTree copies the sources.
func copyTree(t *testing.T, to string) {
	t.Helper()
	top, err := os.ReadDir("..")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range top {
		from := filepath.Join("..", e.Name())
		switch {
		case e.Name()[0] == '.' || e.Name() == "bin":
		case e.IsDir():
			err = os.CopyFS(filepath.Join(to, e.Name()), os.DirFS(from))
		case strings.HasPrefix(e.Name(), "go."):
			var text []byte
			if text, err = os.ReadFile(from); err == nil {
				err = os.WriteFile(filepath.Join(to, e.Name()), text, 0o644)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func edit(t *testing.T, file, old, new string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(string(text), old) != 1 {
		t.Fatalf("%s has %q %d times, want once", file, old, strings.Count(string(text), old))
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(text), old, new, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
}

// inNetwork runs the test again in a network namespace and returns false when
// that has been done, or true inside it, where loopback is all there is.
func inNetwork(t *testing.T) bool {
	t.Helper()
	const inside = "EXAMPLES_NETNS"
	if os.Getenv(inside) != "" {
		loopbackUp(t)
		return true
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if uid, gid := os.Getuid(), os.Getgid(); uid != 0 {
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: gid, HostID: gid, Size: 1}}
		cmd.SysProcAttr.AmbientCaps = []uintptr{unix.CAP_NET_ADMIN}
	}
	out, err := cmd.CombinedOutput()
	if _, ran := err.(*exec.ExitError); err != nil && !ran {
		t.Skipf("no network namespace here: %v", err)
	}
	if err != nil {
		t.Errorf("in a network of its own: %v\n%s", err, out)
	}
	return false
}

func loopbackUp(t *testing.T) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	ifr, err := unix.NewIfreq("lo")
	if err != nil {
		t.Fatal(err)
	}
	ifr.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, ifr); err != nil {
		t.Fatal(err)
	}
}
