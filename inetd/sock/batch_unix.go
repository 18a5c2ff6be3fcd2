//go:build unix && !linux

package sock

import (
	"net"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// A Batch receives and answers datagrams; see batch for what it promises. Here
// it is one recvmsg(2) and one sendmsg(2) for each, which allocate the
// addresses.
type Batch struct {
	in      [batchSize]received
	out     [batchSize]reply
	replies int
	buf     []byte

	broadcasts []netip.Addr // of this host, as they were when asked
	asked      time.Time
}

type received struct {
	n, oobn, flags int
	from           unix.Sockaddr
	oob            [64]byte
}

type reply struct {
	p, oob []byte
	to     unix.Sockaddr
}

// NewBatch returns a Batch for every datagram socket of one loop.
func NewBatch() *Batch { return &Batch{buf: make([]byte, batchSize*maxDatagram)} }

func (b *Batch) slot(i int) []byte { return b.buf[i*maxDatagram:][:maxDatagram:maxDatagram] }

// Recv takes what has arrived on fd.
func (b *Batch) Recv(fd int) (n int, err error) {
	b.replies = 0
	for n < batchSize {
		m := &b.in[n]
		m.n, m.oobn, m.flags, m.from, err = unix.Recvmsg(fd, b.slot(n), m.oob[:], unix.MSG_DONTWAIT)
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			return n, nil
		case err != nil && n > 0:
			return n, nil // the next Recv meets it again, or it is over
		case err != nil:
			return 0, err
		default:
			n++
		}
	}
	return n, nil
}

// Msg is the payload of datagram i.
func (b *Batch) Msg(i int) []byte { return b.slot(i)[:b.in[i].n] }

// From is the sender of datagram i.
func (b *Batch) From(i int) netip.AddrPort {
	a := addrPort(b.in[i].from)
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// To is the address datagram i was sent to.
func (b *Batch) To(i int) netip.Addr {
	level, data := b.destination(i)
	switch level {
	case unix.IPPROTO_IP:
		return netip.AddrFrom4([4]byte(data))
	case unix.IPPROTO_IPV6:
		return netip.AddrFrom16([16]byte(data)).Unmap()
	}
	return netip.Addr{}
}

// destination returns the control message that tells the destination of
// datagram i, and -1 if there is none. With IP_RECVDSTADDR it is the address,
// with IPV6_RECVPKTINFO the address and the interface.
func (b *Batch) destination(i int) (level int32, data []byte) {
	m := &b.in[i]
	if m.oobn == 0 || m.flags&unix.MSG_CTRUNC != 0 {
		return -1, nil
	}
	h, data, _, err := unix.ParseOneSocketControlMessage(m.oob[:m.oobn])
	switch {
	case err != nil:
	case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_RECVDSTADDR && len(data) >= 4,
		h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_PKTINFO && len(data) >= unix.SizeofInet6Pktinfo:
		return h.Level, data
	}
	return -1, nil
}

// Reply queues p as the answer to datagram i.
func (b *Batch) Reply(i int, p []byte) {
	m := &b.in[i]
	out := &b.out[b.replies]
	*out = reply{p: p, to: m.from}
	switch level, data := b.destination(i); level {
	case unix.IPPROTO_IP:
		// Sent back, IP_RECVDSTADDR is IP_SENDSRCADDR (not on darwin, which
		// ignores it).
		out.oob = m.oob[:m.oobn]
	case unix.IPPROTO_IPV6:
		if a := netip.AddrFrom16([16]byte(data)); !a.IsMulticast() {
			if !a.IsLinkLocalUnicast() {
				clear(data[16:unix.SizeofInet6Pktinfo]) // the route decides the way out
			}
			out.oob = m.oob[:m.oobn]
		}
	}
	b.replies++
}

// Flush sends what Reply has queued.
func (b *Batch) Flush(fd int) (err error) {
	queue := b.out[:b.replies]
	b.replies = 0
	for i := range queue {
		r := &queue[i]
		_, serr := unix.SendmsgN(fd, r.p, r.oob, r.to, unix.MSG_DONTWAIT)
		switch serr {
		case unix.EINVAL, unix.EADDRNOTAVAIL, unix.EADDRINUSE:
			// Some systems do not let a socket choose that is bound to one
			// address already, or one that was sent to a broadcast address.
			_, serr = unix.SendmsgN(fd, r.p, nil, r.to, unix.MSG_DONTWAIT)
		}
		if serr != nil && err == nil {
			err = serr
		}
	}
	return err
}

// EnablePktinfo asks for the destination address of every datagram on fd, so
// that Reply can answer from there.
func EnablePktinfo(fd int, v6 bool) error {
	if v6 {
		return unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1)
	}
	return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_RECVDSTADDR, 1)
}

// Broadcast says whether datagram i was sent to a broadcast address.
func (b *Batch) Broadcast(i int) bool {
	to := b.To(i)
	if !to.Is4() {
		return false
	}
	if now := time.Now(); now.Sub(b.asked) > time.Second {
		b.broadcasts, b.asked = broadcasts(), now
	}
	return slices.Contains(b.broadcasts, to)
}

// broadcasts are those of the networks this host is on.
func broadcasts() (list []netip.Addr) {
	addrs, _ := net.InterfaceAddrs()
	for _, a := range addrs {
		n, ok := a.(*net.IPNet)
		if !ok || n.IP.To4() == nil || len(n.Mask) != 4 {
			continue
		}
		b := [4]byte(n.IP.To4())
		for i := range b {
			b[i] |= ^n.Mask[i]
		}
		if ones, _ := n.Mask.Size(); ones < 31 {
			list = append(list, netip.AddrFrom4(b))
		}
	}
	return list
}
