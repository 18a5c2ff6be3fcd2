package main

import (
	"fmt"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
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
			{"high ports", 10007, 10019, one, two, 3000},
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
