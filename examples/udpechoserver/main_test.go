package main

import (
	"errors"
	"fmt"
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
	if os.Getenv("RUN_UDPECHOSERVER") != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// listen opens the server's socket and returns it as a file, the way inetd
// holds it, and a client connected to it.
func listen(t *testing.T, network, addr string) (*os.File, net.Conn) {
	t.Helper()
	pc, err := net.ListenPacket(network, addr)
	if errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT) {
		t.Skipf("no %s loopback here: %v", network, err)
	}
	if err != nil {
		t.Fatal(err)
	}
	f, err := pc.(*net.UDPConn).File()
	pc.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	client, err := net.Dial(network, pc.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	client.SetDeadline(time.Now().Add(20 * time.Second))
	return f, client
}

// start runs the server on socket f as "dgram udp wait" does.
func start(t *testing.T, f *os.File, idle string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-t", idle)
	cmd.Env = append(os.Environ(), "RUN_UDPECHOSERVER=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = f, f, f
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	return cmd
}

func roundTrip(t *testing.T, client net.Conn, msg string) {
	t.Helper()
	if _, err := client.Write([]byte(msg)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 65536)
	n, err := client.Read(buf)
	if err != nil || string(buf[:n]) != msg {
		t.Fatalf("answer to %.40q = %.40q, %v", msg, buf[:n], err)
	}
}

func TestManyDatagrams(t *testing.T) {
	t.Parallel()
	for network, addr := range map[string]string{"udp4": "127.0.0.1:0", "udp6": "[::1]:0"} {
		t.Run(network, func(t *testing.T) {
			t.Parallel()
			f, client := listen(t, network, addr)
			// The first datagram is there before the server is.
			client.Write([]byte("first"))
			cmd := start(t, f, "1m")
			buf := make([]byte, 16)
			if n, err := client.Read(buf); err != nil || string(buf[:n]) != "first" {
				t.Fatalf("answer to the waiting datagram = %q, %v, want %q", buf[:n], err, "first")
			}
			for i := range 100 {
				roundTrip(t, client, fmt.Sprint("datagram ", i))
			}
			roundTrip(t, client, "")
			roundTrip(t, client, strings.Repeat("x", 9000))
			if err := cmd.Process.Signal(syscall.Signal(0)); err != nil {
				t.Errorf("the server has gone: %v", err)
			}
		})
	}
}

// TestExitWhenIdle is what gives the socket back to inetd; the next datagram
// then starts the next server on the same socket.
func TestExitWhenIdle(t *testing.T) {
	t.Parallel()
	f, client := listen(t, "udp4", "127.0.0.1:0")
	for range 2 {
		client.Write([]byte("hello"))
		cmd := start(t, f, "50ms")
		buf := make([]byte, 16)
		if n, err := client.Read(buf); err != nil || string(buf[:n]) != "hello" {
			t.Fatalf("answer = %q, %v, want %q", buf[:n], err, "hello")
		}
		if err := cmd.Wait(); err != nil {
			t.Fatalf("exit after idle time = %v, want success", err)
		}
	}
}

// A datagram from a client that has gone must not end the server.
func TestClientGone(t *testing.T) {
	t.Parallel()
	f, client := listen(t, "udp4", "127.0.0.1:0")
	gone, err := net.Dial("udp4", client.RemoteAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	gone.Write([]byte("bye"))
	gone.Close()
	start(t, f, "1m")
	for range 3 {
		roundTrip(t, client, "hello")
	}
}

func TestNotASocket(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "RUN_UDPECHOSERVER=1")
	if err := cmd.Run(); err == nil {
		t.Error("udpechoserver </dev/null succeeded, want an exit status")
	}
}

func TestIsService(t *testing.T) {
	for _, tt := range []struct {
		from syscall.Sockaddr
		want bool
	}{
		{&syscall.SockaddrInet4{Port: 7}, true},
		{&syscall.SockaddrInet4{Port: 1023}, true},
		{&syscall.SockaddrInet4{Port: 1024}, false},
		{&syscall.SockaddrInet6{Port: 19}, true},
		{&syscall.SockaddrInet6{Port: 65535}, false},
		{&syscall.SockaddrUnix{}, true},
		{nil, true},
	} {
		if got := isService(tt.from); got != tt.want {
			t.Errorf("isService(%#v) = %v, want %v", tt.from, got, tt.want)
		}
	}
}
