package sock

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// On other systems the addresses are allocated by golang.org/x/sys.
func TestBatchDoesNotAllocate(t *testing.T) {
	for _, at := range []string{"127.0.0.1:0", "[::1]:0"} {
		a := udp(at)
		fd := bound(t, a)
		c := dialUDP(t, netip.AddrPort{}, netip.AddrPortFrom(a.IP.Addr(), portOf(fd)))
		b := NewBatch()
		msg, buf := make([]byte, 64), make([]byte, 128)
		if n := testing.AllocsPerRun(500, func() {
			c.Write(msg)
			n, err := b.Recv(fd)
			if n != 1 || err != nil || b.From(0).Port() == 0 || !b.To(0).IsValid() {
				t.Fatalf("Recv = %d, %v from %v to %v", n, err, b.From(0), b.To(0))
			}
			b.Reply(0, b.Msg(0))
			if err := b.Flush(fd); err != nil {
				t.Fatal(err)
			}
			c.Read(buf)
		}); n != 0 {
			t.Errorf("a datagram to %s and its answer allocate %v times", at, n)
		}
	}
}

// A link-local client is answered through the interface it is on:
//
//	client fe80::1%a ──veth── fe80::2%b server, and the other way round
func TestBatchLinkLocal(t *testing.T) {
	if os.Getenv("BATCH_TEST_LINK") == "" {
		t.Parallel()
		inNamespace(t, "BATCH_TEST_LINK")
		return
	}
	for _, line := range []string{
		"link set lo up",
		"link add veth-a type veth peer name veth-b",
		"link set veth-a up",
		"link set veth-b up",
		"addr add fe80::1/64 dev veth-a nodad",
		"addr add fe80::2/64 dev veth-b nodad",
	} {
		if out, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput(); err != nil {
			t.Skipf("ip %s: %v: %s", line, err, out)
		}
	}
	at := listenBatch(t, udp("[::]:0"))
	for client, server := range map[string]string{"fe80::1%veth-a": "fe80::2%veth-a", "fe80::2%veth-b": "fe80::1%veth-b"} {
		c := dialUDP(t, netip.AddrPortFrom(netip.MustParseAddr(client), 0), netip.AddrPortFrom(netip.MustParseAddr(server), at.Port()))
		if got := ask(t, c, []byte("hello")); string(got) != "hello" {
			t.Errorf("echo from %s to %s = %q, want hello", server, client, got)
		}
	}

	fd := bound(t, udp("[::]:0"))
	c := dialUDP(t, netip.MustParseAddrPort("[fe80::1%veth-a]:0"), netip.AddrPortFrom(netip.MustParseAddr("fe80::2%veth-a"), portOf(fd)))
	c.Write([]byte("x"))
	waitReadable(t, fd)
	b := NewBatch()
	if n, err := b.Recv(fd); n != 1 || err != nil {
		t.Fatalf("Recv = %d, %v", n, err)
	}
	ifi, err := net.InterfaceByName("veth-b")
	if err != nil {
		t.Fatal(err)
	}
	if from := withZone(netip.MustParseAddr("fe80::1"), uint32(ifi.Index)); b.From(0).Addr() != from {
		t.Errorf("From = %v, want %v", b.From(0).Addr(), from)
	}
	if to := withZone(netip.MustParseAddr("fe80::2"), uint32(ifi.Index)); b.To(0) != to {
		t.Errorf("To = %v, want %v", b.To(0), to)
	}

	// Asked through a group, the server answers from an address of its own.
	mc, err := net.ListenUDP("udp6", &net.UDPAddr{IP: net.ParseIP("fe80::1"), Zone: "veth-a"})
	if err != nil {
		t.Fatal(err)
	}
	defer mc.Close()
	if _, err := mc.WriteTo([]byte("all"), &net.UDPAddr{IP: net.ParseIP("ff02::1"), Zone: "veth-a", Port: int(portOf(fd))}); err != nil {
		t.Fatal(err)
	}
	for {
		waitReadable(t, fd)
		n, err := b.Recv(fd)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 || !b.To(0).IsMulticast() {
			continue
		}
		b.Reply(0, b.Msg(0))
		if err := b.Flush(fd); err != nil {
			t.Errorf("Flush to a client that asked a group = %v", err)
		}
		return
	}
}

// Where the way to the peer takes no segments of that length, the answers go
// out one by one, in fragments.
func TestBatchApart(t *testing.T) {
	if os.Getenv("BATCH_TEST_MTU") == "" {
		t.Parallel()
		inNamespace(t, "BATCH_TEST_MTU")
		return
	}
	if out, err := exec.Command("ip", "link", "set", "lo", "up", "mtu", "600").CombinedOutput(); err != nil {
		t.Skipf("ip: %v: %s", err, out)
	}
	fd := bound(t, udp("0.0.0.0:0"))
	c := dialUDP(t, netip.AddrPort{}, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), portOf(fd)))
	b := NewBatch()
	const sent = 3
	for i := range sent {
		c.Write(bytes.Repeat([]byte{byte(i)}, maxSegment))
	}
	waitReadable(t, fd)
	n, err := b.Recv(fd)
	if n != sent || err != nil {
		t.Fatalf("Recv = %d, %v, want %d", n, err, sent)
	}
	for i := range n {
		b.Reply(i, b.Msg(i))
	}
	if b.queued != 1 {
		t.Fatalf("%d answers are %d messages, want 1", sent, b.queued)
	}
	if err := b.Flush(fd); err != nil {
		t.Errorf("Flush = %v", err)
	}
	buf := make([]byte, 1<<16)
	for i := range sent {
		if n, err := c.Read(buf); n != maxSegment || buf[0] != byte(i) || err != nil {
			t.Errorf("answer %d = %d bytes %.4x, %v", i, n, buf[:n], err)
		}
	}
}

// inNamespace runs the calling test again in a network of its own, with the
// environment variable set.
func inNamespace(t *testing.T, variable string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root for a network namespace")
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), variable+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNET}
	out, err := cmd.CombinedOutput()
	switch {
	case errors.Is(err, syscall.EPERM):
		t.Skip("needs the right to make a network namespace")
	case err != nil:
		t.Errorf("in a namespace: %v\n%s", err, out)
	case strings.Contains(string(out), "--- SKIP"):
		t.Skipf("in a namespace: %s", out)
	}
}
