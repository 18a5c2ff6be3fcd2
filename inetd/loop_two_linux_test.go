package main

import (
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"inetd/services"
)

// A forged datagram sets the echo of one host upon the chargen of another. At
// their own ports neither answers a service; at others, which nobody can tell
// from a client's, the cap on answers to one source ends it, and within one
// address the answer that is left out now and then.
func TestDatagramLoopOfTwo(t *testing.T) {
	isolated(t, func(t *testing.T) {
		one, two := [4]byte{10, 9, 9, 1}, [4]byte{10, 9, 9, 2}
		for i, a := range [][4]byte{one, two} {
			if err := addAddress(fmt.Sprintf("lo:%d", i+1), a); err != nil {
				t.Fatal(err)
			}
		}
		for _, tt := range []struct {
			name          string
			echo, chargen int
			one, two      [4]byte
			most          int
		}{
			{"low ports", 7, 19, one, two, 2},
			{"high ports", 10007, 10019, one, two, 2200},
			{"high ports of one address", 10007, 10019, one, one, 110_000},
			{"high ports of loopback", 10007, 10019, [4]byte{127, 0, 0, 1}, [4]byte{127, 0, 0, 2}, 110_000},
		} {
			one, two := tt.one, tt.two
			d1 := start(t, fmt.Sprintf("%s:%d dgram udp4 wait root internal echo\n", netip.AddrFrom4(one), tt.echo))
			d2 := start(t, fmt.Sprintf("%s:%d dgram udp4 wait root internal chargen\n", netip.AddrFrom4(two), tt.chargen))
			raw, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
			if err != nil {
				t.Fatal(err)
			}
			before := datagramsIn(t)
			forged := udpPacket(one, tt.echo, tt.chargen, "hello")
			copy(forged[16:], two[:])
			if err := unix.Sendto(raw, forged, 0, &unix.SockaddrInet4{Addr: two}); err != nil {
				t.Fatal(err)
			}
			unix.Close(raw)
			eventually(t, "the forged datagram at least", func() bool { return datagramsIn(t) > before })
			// When nothing comes for a while it is over: there is no other source.
			last := -1
			eventually(t, "an end", func() bool {
				n := datagramsIn(t)
				over := n == last
				last = n
				if !over {
					repeat(200*time.Millisecond, func() {})
				}
				return over
			})
			if n := last - before; n > tt.most {
				t.Errorf("%s: %d datagrams after one that was forged, want %d at most", tt.name, n, tt.most)
			}
			for _, d := range []*daemon{d1, d2} {
				d.signal(syscall.SIGTERM)
				<-d.done
			}
		}
	})
}

// A broadcast is known for one on a network that came after the start too, and
// on a socket of both families.
func TestDatagramBroadcast(t *testing.T) {
	isolated(t, func(t *testing.T) {
		services := "7019 dgram udp4 wait root internal chargen\n"
		ports := []int{7019}
		if hasIPv6() {
			services += "7020 dgram udp46 wait root internal chargen\n"
			ports = append(ports, 7020)
		}
		d := start(t, services)
		if err := addAddress("lo:1", [4]byte{10, 9, 9, 1}); err != nil {
			t.Fatal(err)
		}
		for _, port := range ports {
			c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(10, 9, 9, 1)})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if _, err := c.WriteTo(nil, &net.UDPAddr{IP: net.IPv4(10, 255, 255, 255), Port: port}); err != nil {
				t.Fatal(err)
			}
			d.log.wait(t, 0, fmt.Sprintf(`%d/udp: refused .*: sent to a broadcast address`, port))
			if _, err := c.WriteTo(nil, &net.UDPAddr{IP: net.IPv4(10, 9, 9, 1), Port: port}); err != nil {
				t.Fatal(err)
			}
			b := make([]byte, 100)
			c.SetReadDeadline(time.Now().Add(patience))
			n, from, err := c.ReadFrom(b)
			if err != nil || n != 74 {
				t.Errorf("port %d: %d bytes from %v, %v, want one line", port, n, from, err)
			}
			c.SetReadDeadline(time.Now().Add(time.Millisecond))
			if n, _, err := c.ReadFrom(b); err == nil {
				t.Errorf("port %d: another answer, of %d bytes", port, n)
			}
		}
	})
}

// The address that an IPv6 client is said to have may be this host's own, and
// the packet from outside.
func TestDatagramOwnAddress(t *testing.T) {
	isolated(t, func(t *testing.T) {
		needIPv6(t)
		own := net.ParseIP("2001:db8::1")
		if err := addAddress6("lo", own); err != nil {
			t.Fatal(err)
		}
		start(t, "7007 dgram udp6 wait root internal echo\n")
		c, err := net.DialUDP("udp6", &net.UDPAddr{IP: own}, &net.UDPAddr{IP: own, Port: 7007})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		b := make([]byte, 1)
		for n := 0; ; n++ {
			if n > 10*services.DefaultReplies {
				t.Fatalf("%d answers, want the cap of a client that may be anybody", n)
			}
			c.Write(b)
			c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
			if _, err := c.Read(b); err != nil {
				return
			}
		}
	})
}
