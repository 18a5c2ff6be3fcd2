package sock

import (
	"net/netip"
	"strconv"
)

// batchSize is how many datagrams one Recv takes at most.
const batchSize = 32

// maxDatagram is the longest payload of UDP without jumbograms.
const maxDatagram = 65535

// A Batch receives UDP datagrams and sends the answers, many with one system call
// where the system can. It is for the sockets an event loop answers by itself:
// it never waits, and after NewBatch it allocates nothing. One goroutine uses
// it, for all its sockets in turn:
//
//	n, err := b.Recv(fd)
//	for i := range n {
//		if answer := f(b.Msg(i)[:0], b.Msg(i)); answer != nil {
//			b.Reply(i, answer)
//		}
//	}
//	err = b.Flush(fd)
//
// The buffers cost 2 MB of address space, and memory only as far as datagrams
// have filled them.
type batch interface {
	// Recv takes what has arrived on fd, up to batchSize datagrams, and drops
	// replies not flushed. No datagram is 0, nil.
	Recv(fd int) (n int, err error)
	// Msg is the payload of datagram i, valid until the next Recv. It may be
	// written to, and appended to from its beginning up to 65,535 bytes.
	Msg(i int) []byte
	// From is the sender, IPv4 as IPv4, the zone of a link-local address as
	// the number of the interface.
	From(i int) netip.AddrPort
	// To is the address datagram i was sent to, not valid when EnablePktinfo
	// was not called for the socket or the system does not tell.
	To(i int) netip.Addr
	// Broadcast says whether that was a broadcast address of this host's, as
	// far as the system tells.
	Broadcast(i int) bool
	// Reply queues p as the answer to datagram i, to leave from the address
	// that was asked unless that was a multicast or broadcast address. p must
	// stay as it is until Flush; it may be part of Msg(i). At most one reply
	// for each datagram.
	Reply(i int, p []byte)
	// Flush sends the queue through fd. What the socket does not take now is
	// dropped, as datagrams may be; the first error is returned after the rest
	// has been tried.
	Flush(fd int) error
}

var _ batch = (*Batch)(nil)

// withZone adds the interface a link-local address belongs to.
func withZone(a netip.Addr, index uint32) netip.Addr {
	if index == 0 || !a.Is6() || a.Is4In6() {
		return a
	}
	return a.WithZone(strconv.FormatUint(uint64(index), 10))
}
