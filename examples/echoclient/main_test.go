package main

import (
	"bufio"
	"fmt"
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
	if os.Getenv("RUN_ECHOCLIENT") != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// run types input to echoclient with these arguments.
func run(input string, args ...string) (stdout, stderr string, err error) {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), "RUN_ECHOCLIENT=1")
	cmd.Stdin = strings.NewReader(input)
	var out, diag strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &diag
	err = cmd.Run()
	return out.String(), diag.String(), err
}

// listen serves each client with f.
func listen(t *testing.T, f func(net.Conn)) (host, port string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { defer c.Close(); f(c) }()
		}
	}()
	host, port, _ = net.SplitHostPort(l.Addr().String())
	return host, port
}

// shout answers each line in capitals, so that an answer is not mistaken for
// the question.
func shout(c net.Conn) {
	for in := bufio.NewScanner(c); in.Scan(); {
		fmt.Fprintln(c, strings.ToUpper(in.Text()))
	}
}

func TestTCP(t *testing.T) {
	t.Parallel()
	host, port := listen(t, shout)
	out, diag, err := run("one\ntwo\n\nfour\n", host, port)
	if want := "ONE\nTWO\n\nFOUR\n"; err != nil || out != want {
		t.Errorf("echoclient = %q, %q, %v, want %q", out, diag, err, want)
	}
}

func TestUDP(t *testing.T) {
	t.Parallel()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pc.Close() })
	go func() {
		buf := make([]byte, 1024)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			pc.WriteTo([]byte(strings.ToUpper(string(buf[:n]))), from)
		}
	}()
	host, port, _ := net.SplitHostPort(pc.LocalAddr().String())
	out, diag, err := run("one\ntwo\n", "-u", host, port)
	if want := "ONE\nTWO\n"; err != nil || out != want {
		t.Errorf("echoclient -u = %q, %q, %v, want %q", out, diag, err, want)
	}
}

// TestRefused is what a client of tcpd sees: accepted, then closed.
func TestRefused(t *testing.T) {
	t.Parallel()
	// Read the line first: closing with input unread would reset.
	host, port := listen(t, func(c net.Conn) { bufio.NewReader(c).ReadString('\n') })
	out, diag, err := run("hello\n", host, port)
	if err == nil || out != "" || !strings.Contains(diag, "the server closed the connection") {
		t.Errorf("echoclient to a closing server = %q, %q, %v, want the diagnostic and a status", out, diag, err)
	}
}

func TestSilentServer(t *testing.T) {
	t.Parallel()
	done := make(chan struct{})
	t.Cleanup(func() { close(done) })
	host, port := listen(t, func(net.Conn) { <-done })
	begin := time.Now()
	_, diag, err := run("hello\n", "-t", "100ms", host, port)
	if err == nil || !strings.Contains(diag, "timeout") {
		t.Errorf("echoclient to a silent server = %q, %v after %v, want a timeout", diag, err, time.Since(begin))
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	_, diag, err := run("", "localhost")
	if e, ok := err.(*exec.ExitError); !ok || e.ExitCode() != 2 || !strings.HasPrefix(diag, "usage:") {
		t.Errorf("echoclient localhost = %q, %v, want the usage and status 2", diag, err)
	}
}
