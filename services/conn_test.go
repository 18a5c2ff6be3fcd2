package services

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// The test binary is also the helper that reads the files of a user.
func TestMain(m *testing.M) {
	if os.Args[0] == IdentHelper {
		os.Exit(RunIdentHelper(os.Args, os.Stdout))
	}
	os.Exit(m.Run())
}

type client interface {
	net.Conn
	CloseWrite() error
}

// connect returns both ends of a connection over network: a Conn made the way
// the daemon makes it, and a client.
func connect(t testing.TB, network string) (*Conn, client) {
	t.Helper()
	addr := map[string]string{"tcp4": "127.0.0.1:0", "tcp6": "[::1]:0", "unix": filepath.Join(t.TempDir(), "s")}[network]
	ln, err := net.Listen(network, addr)
	if err != nil {
		t.Skipf("no %s socket here: %v", network, err)
	}
	defer ln.Close()
	peer, err := net.Dial(network, ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { peer.Close() })
	peer.SetDeadline(time.Now().Add(30 * time.Second))
	nc, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	c := NewConn(dup(t, nc.(syscall.Conn)))
	t.Cleanup(func() { c.Close() })
	return c, peer.(client)
}

// dup returns a descriptor of its own, still non-blocking.
func dup(t testing.TB, sc syscall.Conn) *os.File {
	t.Helper()
	rc, err := sc.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	fd := -1
	rc.Control(func(p uintptr) {
		syscall.ForkLock.RLock()
		defer syscall.ForkLock.RUnlock()
		if fd, err = syscall.Dup(int(p)); err == nil {
			syscall.CloseOnExec(fd)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fd), "socket")
}

// serve runs the stream form of a built-in on c as the daemon does: when it
// ends the connection is closed.
func serve(name string, c *Conn) <-chan error {
	done := make(chan error, 1)
	go func() {
		err := Lookup(name).Stream(c)
		c.Close()
		done <- err
	}()
	return done
}

func ended(t testing.TB, done <-chan error) error {
	t.Helper()
	select {
	case err := <-done:
		return err
	case <-time.After(30 * time.Second):
		t.Fatal("the service goes on")
		return nil
	}
}

func everyStream(t *testing.T, f func(t *testing.T, network string)) {
	for _, network := range []string{"tcp4", "tcp6", "unix"} {
		t.Run(network, func(t *testing.T) {
			t.Parallel()
			f(t, network)
		})
	}
}

func TestIdle(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"echo", "discard", "chargen"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, _ := connect(t, "tcp4")
			c.Idle = 50 * time.Millisecond
			if err := ended(t, serve(name, c)); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s with a silent peer = %v, want %v", name, err, os.ErrDeadlineExceeded)
			}
		})
	}
}

// A peer that sends and never reads stalls the echo; the idle limit ends it.
func TestStalledPeer(t *testing.T) {
	t.Parallel()
	c, peer := connect(t, "tcp4")
	c.Idle = 100 * time.Millisecond
	done := serve("echo", c)
	go func() {
		for {
			if _, err := peer.Write(make([]byte, 1<<16)); err != nil {
				return
			}
		}
	}()
	if err := ended(t, done); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("echo to a stalled peer = %v, want %v", err, os.ErrDeadlineExceeded)
	}
	if c.In == 0 {
		t.Error("echo to a stalled peer read nothing")
	}
}

// What a peer has not taken by then is not left with the kernel: the connection
// is reset.
func TestStalledPeerReset(t *testing.T) {
	t.Parallel()
	c, peer := connect(t, "tcp4")
	c.Idle = 100 * time.Millisecond
	if err := ended(t, serve("chargen", c)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("chargen to a stalled peer = %v, want %v", err, os.ErrDeadlineExceeded)
	}
	if n, err := io.Copy(io.Discard, peer); n == 0 || !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a stalled peer of chargen finds %d bytes and %v, want some and %v", n, err, syscall.ECONNRESET)
	}
}

// A peer that reads slowly is not idle, though the kernel tells of no room to
// write for long.
func TestSlowReader(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells what a peer has taken")
	}
	t.Parallel()
	c, peer := connect(t, "tcp4")
	c.Idle = 2 * time.Second
	done := serve("chargen", c)
	b := make([]byte, 8<<10)
	for range 60 {
		if _, err := io.ReadFull(peer, b); err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond) // the slowness
	}
	peer.Close()
	if err := ended(t, done); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("chargen to a slow reader = %v", err)
	}
}

// Many short exchanges take longer than the idle limit, which none of the
// waits reaches; only the lifetime ends the connection.
func TestLife(t *testing.T) {
	t.Parallel()
	c, peer := connect(t, "tcp4")
	c.Args = []string{"echo", "-I", "5", "-L0.3"}
	c.Idle = time.Millisecond // overridden
	start := time.Now()
	done := serve("echo", c)
	buf := make([]byte, 1)
	for {
		if _, err := peer.Write(buf); err != nil {
			break
		}
		if _, err := io.ReadFull(peer, buf); err != nil {
			break
		}
	}
	if err := ended(t, done); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("echo = %v, want %v", err, os.ErrDeadlineExceeded)
	}
	if d := time.Since(start); d < 300*time.Millisecond || d > 4*time.Second {
		t.Errorf("echo -L0.3 lived %v", d)
	}
}

// Bytes that trickle in keep discard from being idle, though it does not look
// at each of them.
func TestDiscardTrickle(t *testing.T) {
	t.Parallel()
	c, peer := connect(t, "tcp4")
	c.Idle = 2 * time.Second
	done := serve("discard", c)
	const bytes = 30
	for range bytes {
		if _, err := peer.Write([]byte{0}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond) // the trickle
	}
	peer.CloseWrite()
	if err := ended(t, done); err != nil || c.In != bytes {
		t.Errorf("discard of a trickle = %v after %d bytes, want nil after %d", err, c.In, bytes)
	}
}

// The idle time counts from the last byte, also where discard finds that byte
// only when the time is over.
func TestDiscardIdleSinceByte(t *testing.T) {
	t.Parallel()
	c, peer := connect(t, "tcp4")
	c.Idle = 2 * time.Second
	if _, err := peer.Write([]byte{0}); err != nil {
		t.Fatal(err)
	}
	done := serve("discard", c)
	time.Sleep(100 * time.Millisecond) // discard waits by now
	start := time.Now()
	if _, err := peer.Write([]byte{0}); err != nil {
		t.Fatal(err)
	}
	if err := ended(t, done); !errors.Is(err, os.ErrDeadlineExceeded) || c.In != 2 {
		t.Errorf("discard = %v after %d bytes, want %v after 2", err, c.In, os.ErrDeadlineExceeded)
	}
	if d := time.Since(start); d < c.Idle-10*time.Millisecond || d > c.Idle*3/2 {
		t.Errorf("discard ended %v after the last byte, want %v", d, c.Idle)
	}
}

// A connection that is never idle long enough to wait outlives its idle limit.
func TestBusyOutlivesIdle(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"chargen", "discard"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, peer := connect(t, "tcp4")
			c.Idle = time.Second
			done := serve(name, c)
			buf := make([]byte, 1<<20)
			for start := time.Now(); time.Since(start) < 2500*time.Millisecond; {
				var err error
				if name == "chargen" {
					_, err = peer.Read(buf)
				} else {
					_, err = peer.Write(buf)
				}
				if err != nil {
					t.Fatalf("%s ended after %v: %v", name, time.Since(start), err)
				}
			}
			peer.Close()
			ended(t, done)
		})
	}
}

func TestCloseEndsStream(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"echo", "discard", "chargen", "auth"} {
		c, _ := connect(t, "tcp4")
		done := serve(name, c)
		c.Close()
		if err := ended(t, done); !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s closed by the daemon = %v, want %v", name, err, os.ErrClosed)
		}
	}
}

// A blocking socket could not be waited for, so it is an error and not a hang.
func TestBlockingSocket(t *testing.T) {
	t.Parallel()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fds[1])
	c := NewConn(os.NewFile(uintptr(fds[0]), "socket"))
	c.Idle = time.Second
	if err := ended(t, serve("echo", c)); !errors.Is(err, os.ErrNoDeadline) {
		t.Errorf("echo on a blocking socket = %v, want %v", err, os.ErrNoDeadline)
	}
}
