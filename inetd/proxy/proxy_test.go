package proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"testing"
	"time"
)

// listen starts a server for one connection.
func listen(t *testing.T, serve func(*net.TCPConn)) uint16 {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		serve(c.(*net.TCPConn))
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return uint16(l.Addr().(*net.TCPAddr).Port)
}

// pair is a client and the daemon's end of its connection.
func pair(t *testing.T) (client *net.TCPConn, near *os.File) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	f, err := s.(*net.TCPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	return c.(*net.TCPConn), f
}

type result struct {
	in, out int64
	err     error
}

func run(ctx context.Context, f *os.File, host string, port uint16, idle time.Duration) <-chan result {
	ch := make(chan result, 1)
	go func() {
		in, out, err := Run(ctx, f, host, port, idle)
		ch <- result{in, out, err}
	}()
	return ch
}

// A server that answers only when the client has ended its side gets the
// half-close, and the whole answer comes back through it.
func TestHalfClose(t *testing.T) {
	t.Parallel()
	port := listen(t, func(c *net.TCPConn) {
		b, _ := io.ReadAll(c)
		c.Write(b)
	})
	client, near := pair(t)
	res := run(context.Background(), near, "localhost", port, time.Minute)
	sent := make([]byte, 3<<20)
	for i := range sent {
		sent[i] = byte(rand.Uint32())
	}
	go func() {
		client.Write(sent)
		client.CloseWrite()
	}()
	got, err := io.ReadAll(client)
	if err != nil || !bytes.Equal(got, sent) {
		t.Fatalf("got %d bytes back, %v; want the %d that were sent", len(got), err, len(sent))
	}
	if r := <-res; r.err != nil || r.in != int64(len(sent)) || r.out != int64(len(sent)) {
		t.Errorf("Run = %+v, want %d bytes both ways and no error", r, len(sent))
	}
}

func TestIdle(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("this system does not tell when data came last")
	}
	port := listen(t, func(c *net.TCPConn) { io.Copy(c, c) })
	client, near := pair(t)
	res := run(context.Background(), near, "127.0.0.1", port, 200*time.Millisecond)
	if _, err := client.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(client, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Read(make([]byte, 1)); err == nil {
		t.Error("Read after the idle time gave data, want an end")
	}
	<-res
}

// Whoever sends now and then is not idle, and is from the last byte on.
func TestIdleSinceByte(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("this system does not tell when data came last")
	}
	const idle = 400 * time.Millisecond
	client, near := pair(t)
	c, err := net.FileConn(near)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	quiet := make(chan struct{})
	defer watch(idle, func() { close(quiet) }, c.(*net.TCPConn))()
	tick := time.NewTicker(idle / 8)
	defer tick.Stop()
	last := time.Now()
	for n := 0; ; {
		select {
		case <-tick.C:
			if n++; n < 16 {
				last = time.Now()
				client.Write([]byte("x"))
			}
		case <-quiet:
			if d := time.Since(last); d < idle*3/4 {
				t.Errorf("idle %v after a byte, want it after %v", d, idle)
			}
			return
		}
	}
}

// A client that resets its connection ends it for a server that says nothing.
func TestReset(t *testing.T) {
	t.Parallel()
	over := make(chan struct{})
	port := listen(t, func(*net.TCPConn) { <-over })
	t.Cleanup(func() { close(over) })
	client, near := pair(t)
	res := run(context.Background(), near, "127.0.0.1", port, 0)
	client.SetLinger(0)
	client.Close()
	select {
	case r := <-res:
		if r.err != nil {
			t.Errorf("Run = %v, want nil", r.err)
		}
	case <-time.After(20 * time.Second):
		t.Error("the server's connection is kept")
	}
}

// Answers to keepalives are no sign of life of the client.
func TestIdleAlive(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("this system does not tell when data came last")
	}
	_, near := pair(t)
	c, err := net.FileConn(near)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	tcp := c.(*net.TCPConn)
	tcp.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: time.Second, Interval: time.Second, Count: 9})
	idle := make(chan struct{})
	defer watch(2500*time.Millisecond, func() { close(idle) }, tcp)()
	select {
	case <-idle:
	case <-time.After(20 * time.Second):
		t.Error("not idle after 20 s without data, want it after 2.5 s")
	}
}

func TestNobodyThere(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := uint16(l.Addr().(*net.TCPAddr).Port)
	l.Close()
	client, near := pair(t)
	_, _, err = Run(context.Background(), near, "127.0.0.1", port, 0)
	var op *net.OpError
	if !errors.As(err, &op) {
		t.Errorf("Run = %v, want a dial error", err)
	}
	if _, err := client.Read(make([]byte, 1)); err == nil {
		t.Error("the client's connection is open, want it closed")
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	port := listen(t, func(c *net.TCPConn) { io.Copy(io.Discard, c) })
	client, near := pair(t)
	ctx, cancel := context.WithCancel(context.Background())
	res := run(ctx, near, "127.0.0.1", port, 0)
	if _, err := client.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	cancel()
	<-res
	if err := near.Close(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("the descriptor of the client is open at the end: Close = %v", err)
	}
	if _, err := client.Read(make([]byte, 1)); err == nil {
		t.Error("the client's connection is open, want it closed")
	}
}
