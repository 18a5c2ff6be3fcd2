package admit

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
)

// An Instruction is one of the classic BPF, as the kernel has it in struct
// sock_filter.
type Instruction struct {
	Code   uint16
	Jt, Jf uint8
	K      uint32
}

// The codes that a filter is made of: load from the packet, mask, shift, jump,
// jump if equal, return.
const (
	loadWord  = 0x20
	loadByte  = 0x30
	and       = 0x54
	shift     = 0x74
	jump      = 0x05
	jumpEqual = 0x15
	ret       = 0x06

	netHeader = 0xfff00000 // SKF_NET_OFF: offsets from here count from the IP header
	keepAll   = 0xffffffff

	maxInstructions = 4096 // BPF_MAXINSNS
)

// Filter is only_from and no_access for a socket whose server reads its clients
// itself: with it as SO_ATTACH_FILTER, datagrams and connections of clients
// that are refused never come. It is false if the kernel cannot decide as
// Check does: if names matter, or if there are too many patterns.
func (a *Access) Filter() ([]Instruction, bool) {
	if len(a.outcome) > 1 {
		return nil, false
	}
	end := Instruction{Code: ret, K: keepAll}
	if a.only {
		end.K = 0
	}
	v4 := append(a.v4.filter(), end)
	v6 := append(a.v6.filter(), end)
	prog := []Instruction{
		{Code: loadByte, K: netHeader},
		{Code: shift, K: 4},
		// A jump reaches 255 instructions; what is not IPv4 goes on to a
		// long one.
		{Code: jumpEqual, Jt: 1, K: 4},
		{Code: jump, K: uint32(len(v4))},
	}
	prog = append(append(prog, v4...), v6...)
	return prog, len(prog) <= maxInstructions
}

// filter tests the prefixes, the longest first: the first that fits decides.
func (p *prefixes) filter() (prog []Instruction) {
	nets := slices.SortedFunc(maps.Keys(p.rules), func(a, b netip.Prefix) int {
		return cmp.Or(b.Bits()-a.Bits(), a.Addr().Compare(b.Addr()))
	})
	for _, n := range nets {
		verdict := Instruction{Code: ret, K: keepAll}
		if p.rules[n].refuse {
			verdict.K = 0
		}
		prog = append(append(prog, compare(n)...), verdict)
	}
	return prog
}

// compare jumps over the one instruction behind it unless the packet's source
// is in n.
func compare(n netip.Prefix) (prog []Instruction) {
	source := uint32(12) // in the header of IPv4
	if n.Addr().Is6() {
		source = 8
	}
	words := (n.Bits() + 31) / 32
	addr := n.Addr().AsSlice()
	for i := range words {
		mask := ^uint32(0)
		if rest := n.Bits() - 32*i; rest < 32 {
			mask <<= 32 - rest
		}
		word := uint32(addr[4*i])<<24 | uint32(addr[4*i+1])<<16 | uint32(addr[4*i+2])<<8 | uint32(addr[4*i+3])
		prog = append(prog, Instruction{Code: loadWord, K: netHeader + source + 4*uint32(i)})
		if mask != ^uint32(0) {
			prog = append(prog, Instruction{Code: and, K: mask})
		}
		prog = append(prog, Instruction{Code: jumpEqual, K: word})
	}
	for i := range prog {
		if prog[i].Code == jumpEqual {
			prog[i].Jf = uint8(len(prog) - i)
		}
	}
	return prog
}
