package services

import (
	"hash/maphash"
	"net/netip"
	"time"
)

// DatagramRefusal says why a built-in must not answer a datagram from src that
// was sent to dst, or "" if it may. dst may be the zero Addr when it is not
// known; broadcast says that it is a broadcast address of this host's.
//
// A source address is whatever the sender wrote there. Refused is everything
// that would make two services talk to each other for ever (CERT CA-1996-01: a
// source port below 1024, or 2049, which is NFS) or one answer reach many
// hosts, and requests that reach many hosts and would have them all answer one.
// Loopback sources are served: a packet with one does not come in from outside.
// One from a broadcast address of this host's is dropped by the kernel, which
// would not let the answer out either.
func DatagramRefusal(src netip.AddrPort, dst netip.Addr, broadcast bool) string {
	a, to := src.Addr().Unmap().WithZone(""), dst.Unmap().WithZone("")
	switch {
	case !a.IsValid():
		return "source without an address"
	case src.Port() < 1024:
		return "source port below 1024"
	case src.Port() == 2049:
		return "source port of nfs"
	case a.IsUnspecified(), a.Is4() && a.As4()[0] == 0:
		return "unspecified source"
	case a.IsMulticast():
		return "multicast source"
	case a.Is4() && a.As4()[0] >= 240: // class E and 255.255.255.255
		return "broadcast source"
	case to.IsMulticast():
		return "sent to a multicast address"
	case broadcast, to.Is4() && to.As4()[0] >= 240:
		return "sent to a broadcast address"
	}
	return ""
}

// DefaultReplies is a sensible NewReplyCap: far above what a person or a
// monitor asks, and too little to hurt whoever a forged source belongs to.
const DefaultReplies = 1000

// RemoteReplies is after how many replies to one source, and LocalReplies after
// how many to those on this host, one is left out. What two services say to each
// other ends there, however slow the way between them is; another client loses a
// datagram in so many.
const (
	RemoteReplies = 1000
	LocalReplies  = 50_000
)

// A ReplyCap bounds the replies to one source in a second, and leaves one out now
// and then. It remembers a fixed number of sources; one that finds no free place
// takes over the place and the counts of another, so that a flood of forged
// sources wins nothing. It belongs to one goroutine.
type ReplyCap struct {
	perSecond uint32
	seed      maphash.Seed
	sets      [capSets][capWays]replies
	local     int // replies since one was left out
}

const (
	capSets = 256
	capWays = 4
)

// replies is what went to one source since start; a second later it is
// forgotten.
type replies struct {
	source netip.Addr
	start  time.Time
	n      uint32
	since  uint32 // one was left out; this is not forgotten
}

// NewReplyCap returns a cap of so many replies a second for one source, which
// is an IPv4 address or an IPv6 /64. Zero or less is no cap at all.
func NewReplyCap(perSecond int) *ReplyCap {
	return &ReplyCap{perSecond: uint32(max(perSecond, 0)), seed: maphash.MakeSeed()}
}

// Allow counts a reply to src at now and reports whether it may be sent. A
// source that is local, as loopback addresses are, has no cap by time, since
// nobody outside can forge it; see RemoteReplies and LocalReplies.
func (r *ReplyCap) Allow(now time.Time, src netip.Addr, local bool) bool {
	src = src.Unmap().WithZone("")
	if r.perSecond == 0 {
		return true
	}
	if local || src.IsLoopback() {
		if r.local++; r.local < LocalReplies {
			return true
		}
		r.local = 0
		return false
	}
	if src.Is6() {
		p, _ := src.Prefix(64)
		src = p.Addr()
	}
	set := &r.sets[maphash.Comparable(r.seed, src)%capSets]
	old := 0 // the place whose count began first
	for i := range set {
		if set[i].source == src {
			old = i
			break
		}
		if set[i].start.Before(set[old].start) {
			old = i
		}
	}
	e := &set[old]
	e.source = src
	if age := now.Sub(e.start); age >= time.Second || age < 0 {
		e.start, e.n = now, 0
	}
	if e.n >= r.perSecond {
		return false
	}
	e.n++
	if e.since++; e.since < RemoteReplies {
		return true
	}
	e.since = 0
	return false
}
