package sock

import (
	"bytes"
	"net"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// listenBatch opens a datagram socket as the daemon does and echoes on it with
// a Batch until the test ends.
func listenBatch(t testing.TB, a Addr) netip.AddrPort {
	t.Helper()
	fd, err := Bind(a, Options{UID: -1, GID: -1, Mode: 0o600})
	if err != nil {
		t.Skipf("no socket at %v here: %v", a, err)
	}
	if a.Path == "" {
		if err := EnablePktinfo(fd, a.IP.Addr().Is6()); err != nil {
			t.Fatalf("EnablePktinfo: %v", err)
		}
	}
	done := make(chan struct{})
	var stop [2]int
	if err := unix.Pipe(stop[:]); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(done)
		b := NewBatch()
		for {
			fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}, {Fd: int32(stop[0]), Events: unix.POLLIN}}
			if _, err := unix.Poll(fds, -1); err != nil && err != unix.EINTR {
				t.Errorf("poll: %v", err)
				return
			}
			if fds[1].Revents != 0 {
				return
			}
			echoBatch(t, b, fd)
		}
	}()
	t.Cleanup(func() {
		unix.Close(stop[1])
		<-done
		unix.Close(stop[0])
		Close(fd, a)
	})
	if a.Path != "" {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(a.IP.Addr(), Local(fd).Port())
}

func echoBatch(t testing.TB, b *Batch, fd int) {
	for {
		n, err := b.Recv(fd)
		if err != nil {
			t.Errorf("Recv: %v", err)
		}
		if n == 0 {
			return
		}
		for i := range n {
			b.Reply(i, append(b.Msg(i)[:0], b.Msg(i)...))
		}
		if err := b.Flush(fd); err != nil {
			t.Errorf("Flush: %v", err)
		}
	}
}

func udp(s string) Addr { return Addr{Type: Dgram, IP: netip.MustParseAddrPort(s)} }

func dialUDP(t testing.TB, local, remote netip.AddrPort) *net.UDPConn {
	t.Helper()
	var laddr *net.UDPAddr
	if local.IsValid() {
		laddr = net.UDPAddrFromAddrPort(local)
	}
	c, err := net.DialUDP("udp", laddr, net.UDPAddrFromAddrPort(remote))
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(20 * time.Second))
	t.Cleanup(func() { c.Close() })
	return c
}

func ask(t testing.TB, c net.Conn, msg []byte) []byte {
	t.Helper()
	if _, err := c.Write(msg); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1<<17)
	n, err := c.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return buf[:n]
}

// A connected client only hears the address it asked, so each of these also
// shows where the answer comes from.
func TestBatchEcho(t *testing.T) {
	t.Parallel()
	mapped := udp("[::]:0")
	mapped.Mapped = true
	for _, test := range []struct {
		name string
		at   Addr
		ask  []string
	}{
		{"v4 address", udp("127.0.0.1:0"), []string{"127.0.0.1"}},
		{"v4 wildcard", udp("0.0.0.0:0"), []string{"127.0.0.1", "127.1.2.3"}},
		{"v6 address", udp("[::1]:0"), []string{"::1"}},
		{"v6 wildcard", udp("[::]:0"), []string{"::1"}},
		{"both", mapped, []string{"::1", "127.0.0.1", "127.1.2.3"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			at := listenBatch(t, test.at)
			for _, to := range test.ask {
				c := dialUDP(t, netip.AddrPort{}, netip.AddrPortFrom(netip.MustParseAddr(to), at.Port()))
				for _, size := range []int{64, 0, 1, 1500, 65507} {
					msg := bytes.Repeat([]byte("0123456"), size/7+1)[:size]
					if got := ask(t, c, msg); !bytes.Equal(got, msg) {
						t.Errorf("echo of %d bytes from %v = %d bytes", size, to, len(got))
					}
				}
			}
		})
	}
}

func TestBatchUnix(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a := Addr{Type: Dgram, Path: filepath.Join(dir, "s")}
	listenBatch(t, a)
	to := &net.UnixAddr{Name: a.Path, Net: "unixgram"}
	c, err := net.DialUnix("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "c"), Net: "unixgram"}, to)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	if got := ask(t, c, []byte("hello")); string(got) != "hello" {
		t.Errorf("echo = %q, want hello", got)
	}

	// Nobody can answer a sender without a name; it must not disturb others.
	nameless, err := net.DialUnix("unixgram", nil, to)
	if err != nil {
		t.Fatal(err)
	}
	defer nameless.Close()
	nameless.Write([]byte("x"))
	if got := ask(t, c, []byte("again")); string(got) != "again" {
		t.Errorf("echo = %q, want again", got)
	}
}
