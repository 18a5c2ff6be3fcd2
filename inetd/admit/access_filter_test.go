package admit

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"inetd/inetd/conf"
)

// run is the kernel's side of a filter: what it keeps of a packet of addr.
func run(t *testing.T, prog []Instruction, addr netip.Addr) uint32 {
	t.Helper()
	packet := make([]byte, 40)
	if b := addr.AsSlice(); addr.Is4() {
		packet[0] = 0x45
		copy(packet[12:], b)
	} else {
		packet[0] = 0x60
		copy(packet[8:], b)
	}
	var acc uint32
	for pc := 0; pc < len(prog); pc++ {
		switch in := prog[pc]; in.Code {
		case loadByte:
			acc = uint32(packet[in.K-netHeader])
		case loadWord:
			acc = binary.BigEndian.Uint32(packet[in.K-netHeader:])
		case and:
			acc &= in.K
		case shift:
			acc >>= in.K
		case jumpEqual:
			if acc == in.K {
				pc += int(in.Jt)
			} else {
				pc += int(in.Jf)
			}
		case jump:
			pc += int(in.K)
		case ret:
			return in.K
		default:
			t.Fatalf("instruction %d is %+v", pc, in)
		}
	}
	t.Fatal("the program has no end")
	return 0
}

// TestFilterAgainstCheck: the kernel decides as the daemon does.
func TestFilterAgainstCheck(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(7, 8))
	addr := func() netip.Addr {
		if r.IntN(2) == 0 {
			return netip.AddrFrom4([4]byte{10 + byte(0x80*r.IntN(2)), byte(r.IntN(2)), byte(r.IntN(2)), byte(r.IntN(4))})
		}
		var b [16]byte
		b[0], b[4], b[9], b[15] = byte(0x20*r.IntN(2)), byte(0x81*r.IntN(2)), byte(r.IntN(2)), byte(r.IntN(3))
		return netip.AddrFrom16(b)
	}
	list := func() (ps []conf.Pattern) {
		for range r.IntN(6) {
			a := addr()
			p, _ := a.Prefix(r.IntN(a.BitLen() + 1))
			ps = append(ps, conf.Pattern{Prefix: p})
		}
		return ps
	}
	answers := make(map[uint32]int)
	for range 5000 {
		c := &conf.Access{Only: list(), No: list()}
		c.OnlyGiven = len(c.Only) > 0
		a := NewAccess(c)
		prog, ok := a.Filter()
		if !ok {
			t.Fatalf("Filter of %+v = false", c)
		}
		for range 10 {
			ip := addr()
			want := uint32(0)
			if a.Check(ip).Answer == Allowed {
				want = keepAll
			}
			got := run(t, prog, ip)
			if got != want {
				t.Fatalf("filter of %+v keeps %#x of %v, want %#x", c, got, ip, want)
			}
			answers[got]++
		}
	}
	if answers[0] < 5000 || answers[keepAll] < 5000 {
		t.Errorf("%d clients refused and %d allowed, want many of both", answers[0], answers[keepAll])
	}
}

func TestFilterCannot(t *testing.T) {
	t.Parallel()
	if _, ok := NewAccess(access(".example.com !")).Filter(); ok {
		t.Error("Filter with names = true, want false")
	}
	many := &conf.Access{OnlyGiven: true}
	for i := range 2000 {
		many.Only = append(many.Only, conf.Pattern{Prefix: netip.MustParsePrefix(fmt.Sprintf("10.0.%d.%d/32", i>>8, i&255))})
	}
	if _, ok := NewAccess(many).Filter(); ok {
		t.Error("Filter with 2000 addresses = true, want false")
	}
	if prog, ok := NewAccess(access("10.0.0.1 !")).Filter(); !ok || len(prog) > 12 {
		t.Errorf("Filter with one address = %d instructions, %v", len(prog), ok)
	}
}
