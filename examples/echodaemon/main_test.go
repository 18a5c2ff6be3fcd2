package main

import (
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain lets the test binary be the program: the tests run it again with
// this variable set.
func TestMain(m *testing.M) {
	if os.Getenv("RUN_ECHODAEMON") != "" {
		main()
		os.Exit(0)
	}
	syscall.Umask(0o077) // what the daemon starts with, and must change
	os.Exit(m.Run())
}

func program(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), "RUN_ECHODAEMON=1")
	return cmd
}

func TestServesAfterReturning(t *testing.T) {
	t.Parallel()
	out, err := program("127.0.0.1:0").Output()
	if err != nil {
		t.Fatal(err)
	}
	_, addr := parse(t, string(out))
	for range 3 {
		ask(t, addr)
	}
}

// ask has the server at addr echo a word.
func ask(t *testing.T, addr string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	io.WriteString(c, "hello")
	c.(*net.TCPConn).CloseWrite()
	got, err := io.ReadAll(c)
	if err != nil || string(got) != "hello" {
		t.Errorf("echo of %q = %q, %v", "hello", got, err)
	}
}

func TestPortInUse(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	out, err := program(l.Addr().String()).CombinedOutput()
	if _, ok := err.(*exec.ExitError); !ok || !strings.Contains(string(out), "in use") {
		t.Errorf("echodaemon on a taken port = %q, %v, want address in use", out, err)
	}
}

// parse reads "pid N, listening on ADDRESS", and has that daemon ended with the
// test.
func parse(t *testing.T, line string) (pid int, addr string) {
	t.Helper()
	rest, ok := strings.CutPrefix(strings.TrimSpace(line), "pid ")
	num, addr, ok2 := strings.Cut(rest, ", listening on ")
	for _, c := range num {
		pid = pid*10 + int(c-'0')
	}
	if !ok || !ok2 || pid < 2 {
		t.Fatalf("echodaemon said %q, want its pid and address", line)
	}
	t.Cleanup(func() { syscall.Kill(pid, syscall.SIGKILL) })
	return pid, addr
}
