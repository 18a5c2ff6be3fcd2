package sock

import (
	"bytes"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// listenBatch opens a datagram socket as the daemon does and echoes on it with
// a Batch until the test ends.
func listenBatch(t testing.TB, a Addr) netip.AddrPort {
	t.Helper()
	fd := bound(t, a)
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
	})
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

func portOf(fd int) uint16 {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return 0
	}
	return addrPort(sa).Port()
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

// waitReadable waits until a datagram is there.
func waitReadable(t testing.TB, fd int) {
	t.Helper()
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(fds, 10_000)
		if err == unix.EINTR {
			continue
		}
		if n != 1 || err != nil {
			t.Fatalf("poll = %d, %v", n, err)
		}
		return
	}
}

func bound(t testing.TB, a Addr) int {
	t.Helper()
	fd, err := Bind(a, Options{})
	if err != nil {
		t.Skipf("no socket at %v here: %v", a, err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := EnablePktinfo(fd, a.IP.Addr().Is6()); err != nil {
		t.Fatalf("EnablePktinfo: %v", err)
	}
	return fd
}

func TestBatchRecv(t *testing.T) {
	t.Parallel()
	mapped := udp("[::]:0")
	mapped.Mapped = true
	for _, test := range []struct {
		at  Addr
		ask string
	}{
		{udp("0.0.0.0:0"), "127.0.0.1"},
		{udp("0.0.0.0:0"), "127.1.2.3"},
		{udp("[::1]:0"), "::1"},
		{mapped, "::1"},
		{mapped, "127.1.2.3"},
	} {
		fd := bound(t, test.at)
		to := netip.AddrPortFrom(netip.MustParseAddr(test.ask), portOf(fd))
		c := dialUDP(t, netip.AddrPort{}, to)
		from := c.LocalAddr().(*net.UDPAddr).AddrPort()
		b := NewBatch()
		if n, err := b.Recv(fd); n != 0 || err != nil {
			t.Errorf("Recv of nothing = %d, %v, want 0, nil", n, err)
		}
		const sent = batchSize + 5
		for i := range sent {
			if _, err := c.Write(bytes.Repeat([]byte{byte(i)}, i)); err != nil {
				t.Fatal(err)
			}
		}
		for got := 0; got < sent; {
			waitReadable(t, fd)
			n, err := b.Recv(fd)
			if n == 0 || err != nil {
				t.Fatalf("Recv = %d, %v", n, err)
			}
			for i := range n {
				if want := bytes.Repeat([]byte{byte(got)}, got); !bytes.Equal(b.Msg(i), want) {
					t.Errorf("datagram %d = %x, want %x", got, b.Msg(i), want)
				}
				if c := cap(b.Msg(i)); c != 65535 {
					t.Errorf("room for an answer = %d, want 65535", c)
				}
				if b.From(i) != from {
					t.Errorf("From = %v, want %v", b.From(i), from)
				}
				if b.To(i) != to.Addr() {
					t.Errorf("To = %v, want %v", b.To(i), to.Addr())
				}
				got++
			}
		}
	}
}

// Answers go only to those that got one, in order, and one that cannot be sent
// does not hold up the next.
func TestBatchFlush(t *testing.T) {
	t.Parallel()
	fd := bound(t, udp("127.0.0.1:0"))
	c := dialUDP(t, netip.AddrPort{}, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), portOf(fd)))
	b := NewBatch()
	const sent = 6
	for i := range sent {
		c.Write([]byte{byte(i)})
	}
	tooLong := make([]byte, 65535)
	for got := 0; got < sent; {
		waitReadable(t, fd)
		n, err := b.Recv(fd)
		if err != nil {
			t.Fatal(err)
		}
		for i := range n {
			switch got++; b.Msg(i)[0] {
			case 1, 4:
				b.Reply(i, tooLong)
			case 2:
			default:
				b.Reply(i, b.Msg(i))
			}
		}
		if err := b.Flush(fd); got == sent && err != unix.EMSGSIZE {
			t.Errorf("Flush of a datagram that is too long = %v, want %v", err, unix.EMSGSIZE)
		}
		if err := b.Flush(fd); err != nil {
			t.Errorf("Flush of nothing = %v, want nil", err)
		}
	}
	buf := make([]byte, 10)
	for _, want := range []byte{0, 3, 5} {
		if n, err := c.Read(buf); n != 1 || buf[0] != want || err != nil {
			t.Errorf("answer = %x, %v, want %02x", buf[:n], err, want)
		}
	}
}

// Answers of one length to one client are sent together where the system can.
// The client must not notice: each is a datagram of its own, in order, from the
// address that was asked, and other clients get only theirs.
func TestBatchTogether(t *testing.T) {
	t.Parallel()
	fd := bound(t, udp("0.0.0.0:0"))
	var clients [2]*net.UDPConn
	for i := range clients {
		c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetReadDeadline(time.Now().Add(20 * time.Second))
		clients[i] = c
	}
	type want struct {
		from netip.Addr
		msg  string
	}
	var wants [2][]want
	sent := 0
	for i, step := range []struct {
		client, host byte
		size         int
	}{
		{0, 1, 64}, {0, 1, 64}, {0, 1, 64}, {0, 1, 63}, {0, 1, 64}, {1, 1, 64}, {1, 1, 64}, {0, 1, 64},
		{0, 2, 64}, {0, 2, 64}, {0, 1, 64}, {0, 1, 0}, {0, 1, 0}, {0, 1, 1200}, {0, 1, 1200}, {0, 1, 1201},
		{0, 1, 1201}, {1, 1, 9000}, {1, 1, 9000}, {1, 2, 1}, {1, 2, 1}, {1, 2, 1}, {1, 2, 1},
	} {
		to := netip.AddrFrom4([4]byte{127, 0, 0, step.host})
		msg := bytes.Repeat([]byte{byte(i)}, step.size)
		if _, err := clients[step.client].WriteToUDPAddrPort(msg, netip.AddrPortFrom(to, portOf(fd))); err != nil {
			t.Fatal(err)
		}
		wants[step.client] = append(wants[step.client], want{to, string(msg)})
		sent++
	}
	b := NewBatch()
	for got := 0; got < sent; {
		waitReadable(t, fd)
		n, err := b.Recv(fd)
		if err != nil {
			t.Fatal(err)
		}
		for i := range n {
			b.Reply(i, b.Msg(i))
		}
		if err := b.Flush(fd); err != nil {
			t.Errorf("Flush = %v", err)
		}
		got += n
	}
	buf := make([]byte, 1<<16)
	for i, c := range clients {
		for j, w := range wants[i] {
			n, from, err := c.ReadFromUDPAddrPort(buf)
			if err != nil || string(buf[:n]) != w.msg || from.Addr() != w.from {
				t.Fatalf("answer %d to client %d = %d bytes %.4x from %v, %v, want %d bytes %.4x from %v",
					j, i, n, buf[:n], from, err, len(w.msg), w.msg, w.from)
			}
		}
	}
}

// What was not flushed is forgotten by the next Recv.
func TestBatchDropsUnflushed(t *testing.T) {
	t.Parallel()
	fd := bound(t, udp("127.0.0.1:0"))
	c := dialUDP(t, netip.AddrPort{}, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), portOf(fd)))
	b := NewBatch()
	for _, word := range []string{"first", "second"} {
		c.Write([]byte(word))
		waitReadable(t, fd)
		if n, err := b.Recv(fd); n != 1 || err != nil {
			t.Fatalf("Recv = %d, %v", n, err)
		}
		b.Reply(0, b.Msg(0))
	}
	b.Flush(fd)
	buf := make([]byte, 10)
	if n, err := c.Read(buf); string(buf[:n]) != "second" || err != nil {
		t.Errorf("answer = %q, %v, want second", buf[:n], err)
	}
}

func TestBatchBadDescriptor(t *testing.T) {
	t.Parallel()
	b := NewBatch()
	if n, err := b.Recv(-1); n != 0 || err != unix.EBADF {
		t.Errorf("Recv(-1) = %d, %v, want %v", n, err, unix.EBADF)
	}
}
