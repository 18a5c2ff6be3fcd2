package peer

import (
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"

	"inetd/libwrap"
)

func TestInet6(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"::": "::", "::1": "::1", "1::": "1::", "2001:DB8::A": "2001:db8::a", "1:0:0:2:0:0:0:3": "1:0:0:2::3", "1:0:2:0:3:0:4:0": "1:0:2:0:3:0:4:0",
		"1:0:0:2:3:0:0:4": "1::2:3:0:0:4", "0:1::": "0:1::", "::ffff:10.0.0.1": "::ffff:10.0.0.1", "::10.0.0.1": "::10.0.0.1", "::2:3": "::0.2.0.3", "::ffff:0:0": "::ffff:0.0.0.0",
		"::fffe:10.0.0.1": "::fffe:a00:1", "64:ff9b::10.0.0.1": "64:ff9b::a00:1", "1:2:3:4:5:6:7:8": "1:2:3:4:5:6:7:8", "1:2:3:4:5:6::": "1:2:3:4:5:6::",
	} {
		if got := string(inet6(netip.MustParseAddr(in).As16())); got != want {
			t.Errorf("inet6(%s) = %q, want %q", in, got, want)
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 100000 {
		var a [16]byte
		for i := 0; i < 16; i += 2 {
			if r.IntN(2) == 0 {
				a[i], a[i+1] = byte(r.Uint32()), byte(r.Uint32())
			}
		}
		ip := netip.AddrFrom16(a)
		// netip knows no IPv4-compatible addresses.
		if want := ip.String(); ip.Is4In6() || a[0]|a[1]|a[2]|a[3]|a[4]|a[5]|a[6]|a[7]|a[8]|a[9]|a[10]|a[11] == 0 {
			continue
		} else if got := string(inet6(a)); got != want {
			t.Fatalf("inet6(%x) = %q, want %q", a, got, want)
		}
	}
}

func TestEndpoint(t *testing.T) {
	t.Parallel()
	lo, err := net.InterfaceByIndex(1)
	if err != nil {
		t.Skipf("no interface 1: %v", err)
	}
	for _, tt := range []struct {
		sa   syscall.Sockaddr
		want libwrap.Endpoint
	}{
		{&syscall.SockaddrInet4{Port: 21, Addr: [4]byte{192, 0, 2, 255}}, libwrap.Endpoint{Addr: "192.0.2.255", Port: 21, HasPort: true}},
		{&syscall.SockaddrInet6{Addr: [16]byte{15: 1}}, libwrap.Endpoint{Addr: "::1", HasPort: true}},
		{&syscall.SockaddrInet6{Addr: [16]byte{0xfe, 0x80, 15: 1}, ZoneId: 1}, libwrap.Endpoint{Addr: "fe80::1%" + lo.Name, HasPort: true}},
		{&syscall.SockaddrInet6{Addr: [16]byte{0xfe, 0x80, 15: 1}, ZoneId: 999999}, libwrap.Endpoint{Addr: "fe80::1%999999", HasPort: true}},
		{&syscall.SockaddrInet6{Addr: [16]byte{0x20, 15: 1}, ZoneId: 1}, libwrap.Endpoint{Addr: "2000::1%1", HasPort: true}},
		{&syscall.SockaddrUnix{Name: "/x"}, libwrap.Endpoint{Addr: "localhost", Name: "unknown"}},
		{nil, libwrap.Endpoint{Addr: "unknown", Name: "unknown"}},
	} {
		if got := endpoint(tt.sa); got != tt.want {
			t.Errorf("endpoint(%+v) = %+v, want %+v", tt.sa, got, tt.want)
		}
	}
}

func TestNoSocket(t *testing.T) {
	t.Parallel()
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	_, err = Of(int(f.Fd()))
	if want := "can't get client address: Socket operation on non-socket"; err == nil || err.Error() != want {
		t.Errorf("Of(/dev/null): %v, want %v", err, want)
	}
}

// TestDatagram peeks without taking, and drops one.
func TestDatagram(t *testing.T) {
	t.Parallel()
	server, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	client, err := net.DialUDP("udp4", nil, server.LocalAddr().(*net.UDPAddr))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for _, s := range []string{"one", "two"} {
		if _, err := client.Write([]byte(s)); err != nil {
			t.Fatal(err)
		}
	}
	f, err := server.File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fd := int(f.Fd())
	s, err := Of(fd)
	if err != nil || !s.Unread || !s.IPv4 || s.Client.Port != client.LocalAddr().(*net.UDPAddr).Port {
		t.Errorf("Of(datagram socket) = %+v, %v", s, err)
	}
	if want := endpoint(&syscall.SockaddrInet4{Port: server.LocalAddr().(*net.UDPAddr).Port, Addr: [4]byte{127, 0, 0, 1}}); s.Server != want || s.Client.Addr != want.Addr {
		t.Errorf("Of(datagram socket) = %+v, want our side to be %+v", s, want)
	}
	if r := s.Request("d"); r.User != "unknown" {
		t.Errorf("user of a datagram = %q, want it not to be asked for", r.User)
	}
	Drop(fd)
	var b [16]byte
	n, _, err := syscall.Recvfrom(fd, b[:], syscall.MSG_DONTWAIT)
	if err != nil || string(b[:n]) != "two" {
		t.Errorf("after Drop the next datagram is %q, %v, want two", b[:max(n, 0)], err)
	}
	Drop(fd) // nothing to drop, and no waiting
}
