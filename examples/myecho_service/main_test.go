package main

import (
	"bytes"
	"fmt"
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
	if os.Getenv("RUN_MYECHO_SERVICE") != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func program() *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "RUN_MYECHO_SERVICE=1")
	return cmd
}

func TestPipe(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 60000)
	for _, tt := range []struct {
		name, in, want string
	}{
		{"nothing", "", ""},
		{"one", "hello\n", "1: hello\n"},
		{"three", "a\nb\nc\n", "1: a\n2: b\n3: c\n"},
		{"empty lines", "\n\n", "1: \n2: \n"},
		{"telnet's line end", "hello\r\n", "1: hello\n"},
		{"no line end", "hello", "1: hello\n"},
		{"long", long + "\n", "1: " + long + "\n"},
		{"bytes", "\x00\xff\n", "1: \x00\xff\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cmd := program()
			cmd.Stdin = strings.NewReader(tt.in)
			got, err := cmd.Output()
			if err != nil || string(got) != tt.want {
				t.Errorf("myecho_service <<< %.40q = %.40q, %v, want %.40q", tt.in, got, err, tt.want)
			}
		})
	}
}

func TestLineWithoutEnd(t *testing.T) {
	t.Parallel()
	cmd := program()
	cmd.Stdin = io.LimitReader(zeros{}, 1<<20)
	out, err := cmd.Output()
	if _, ok := err.(*exec.ExitError); !ok || len(out) != 0 {
		t.Errorf("myecho_service < 1 MiB without line end = %.40q, %v, want no output and an exit status", out, err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestConnection starts the program as inetd does, with the connection as its
// descriptors 0, 1 and 2, and waits for each answer before the next line.
func TestConnection(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	f, err := server.(*net.TCPConn).File()
	server.Close()
	if err != nil {
		t.Fatal(err)
	}
	cmd := program()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = f, f, f
	err = cmd.Start()
	f.Close()
	if err != nil {
		t.Fatal(err)
	}
	client.SetDeadline(time.Now().Add(20 * time.Second))
	for n := 1; n <= 3; n++ {
		fmt.Fprintf(client, "line %d\n", n)
		want := fmt.Sprintf("%d: line %d\n", n, n)
		got := make([]byte, len(want))
		if _, err := io.ReadFull(client, got); err != nil || string(got) != want {
			t.Errorf("answer to line %d = %q, %v, want %q", n, got, err, want)
		}
	}
	client.(*net.TCPConn).CloseWrite()
	rest, err := io.ReadAll(client)
	if err != nil || len(bytes.TrimSpace(rest)) != 0 {
		t.Errorf("after the last line = %q, %v, want the end", rest, err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("exit = %v, want success", err)
	}
}
