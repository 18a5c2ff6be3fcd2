package main

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestMain lets the test binary be the program: the tests run it again with
// this variable set.
func TestMain(m *testing.M) {
	if os.Getenv("RUN_ECHOSERVER") != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func program(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), "RUN_ECHOSERVER=1")
	return cmd
}

// start runs the server on a free port and returns its address.
func start(t *testing.T) string {
	t.Helper()
	cmd := program("127.0.0.1:0")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	line, err := bufio.NewReader(stderr).ReadString('\n')
	addr, ok := strings.CutPrefix(strings.TrimSpace(line), "echoserver: listening on ")
	if err != nil || !ok {
		t.Fatalf("first line = %q, %v, want the address", line, err)
	}
	return addr
}

func dial(t *testing.T, addr string) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return c.(*net.TCPConn)
}

func TestEcho(t *testing.T) {
	t.Parallel()
	c := dial(t, start(t))
	sent := make([]byte, 1<<20)
	rand.Read(sent)
	go func() {
		c.Write(sent)
		c.CloseWrite()
	}()
	got, err := io.ReadAll(c)
	if err != nil || !bytes.Equal(got, sent) {
		t.Errorf("echo of %d bytes = %d bytes, %v, want the same bytes", len(sent), len(got), err)
	}
}

// A client that says nothing must not keep the next one waiting.
func TestClientsAtOnce(t *testing.T) {
	t.Parallel()
	addr := start(t)
	dial(t, addr)
	c := dial(t, addr)
	io.WriteString(c, "hello\n")
	got := make([]byte, 6)
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "hello\n" {
		t.Errorf("echo of %q = %q, %v", "hello\n", got, err)
	}
}

func TestPortInUse(t *testing.T) {
	t.Parallel()
	addr := start(t)
	out, err := program(addr).CombinedOutput()
	if _, ok := err.(*exec.ExitError); !ok || !strings.Contains(string(out), "in use") {
		t.Errorf("echoserver %s, twice = %q, %v, want address in use", addr, out, err)
	}
}
