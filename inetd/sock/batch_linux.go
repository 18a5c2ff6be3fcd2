package sock

import (
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A Batch receives and answers datagrams; see batch for what it promises. Here
// it is recvmmsg(2) and sendmmsg(2), and answers of one length to one sender go
// through the kernel as one (UDP_SEGMENT in udp(7), since Linux 4.18).
type Batch struct {
	in, out         [batchSize]mmsghdr
	inIov, outIov   [batchSize]unix.Iovec
	name            [batchSize]unix.RawSockaddrAny
	control         [batchSize]control
	queued, replies int // entries of out, and of outIov
	buf             []byte
}

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	unix.Msghdr
	n uint32
}

// control has room for a PKTINFO message of either family, and behind it for
// that of IPv4 on an IPv6 socket, or UDP_SEGMENT; the first field aligns it as the
// kernel wants it.
type control struct {
	hdr  unix.Cmsghdr
	data [unix.SizeofInet6Pktinfo + 4]byte
	next unix.Cmsghdr
	room [unix.SizeofInet4Pktinfo + 4]byte
}

const controlLen = int(unsafe.Sizeof(control{}))

// maxSegment is the longest answer that is sent together with others. It has
// to fit any link, since the kernel does not cut segments into fragments.
const maxSegment = 1200

// Slots begin a little more than a whole number of pages apart: at the same
// offset in every page, 32 short datagrams would fight for one cache set.
const slotLen = (maxDatagram+1)&^63 + 192

// NewBatch returns a Batch for every datagram socket of one loop.
func NewBatch() *Batch {
	b := &Batch{buf: make([]byte, batchSize*slotLen)}
	for i := range b.in {
		in := &b.in[i]
		b.inIov[i].Base = &b.slot(i)[0]
		b.inIov[i].SetLen(maxDatagram)
		in.Name = (*byte)(unsafe.Pointer(&b.name[i]))
		in.Iov = &b.inIov[i]
		in.SetIovlen(1)
		in.Control = (*byte)(unsafe.Pointer(&b.control[i]))
	}
	return b
}

func (b *Batch) slot(i int) []byte { return b.buf[i*slotLen:][:maxDatagram:maxDatagram] }

// Recv takes what has arrived on fd.
func (b *Batch) Recv(fd int) (int, error) {
	b.queued, b.replies = 0, 0
	for i := range b.in {
		b.in[i].Namelen = unix.SizeofSockaddrAny
		b.in[i].SetControllen(controlLen)
	}
	n, errno := again(unix.SYS_RECVMMSG, fd, unsafe.Pointer(&b.in), batchSize, unix.MSG_DONTWAIT)
	switch errno {
	case 0:
		return n, nil
	case unix.EAGAIN:
		return 0, nil
	}
	return 0, errno
}

// Msg is the payload of datagram i.
func (b *Batch) Msg(i int) []byte { return b.slot(i)[:b.in[i].n] }

// From is the sender of datagram i.
func (b *Batch) From(i int) netip.AddrPort {
	a, port := b.sender(i)
	return netip.AddrPortFrom(a, port)
}

func (b *Batch) sender(i int) (netip.Addr, uint16) {
	switch name := unsafe.Pointer(&b.name[i]); b.name[i].Addr.Family {
	case unix.AF_INET:
		sa := (*unix.RawSockaddrInet4)(name)
		return netip.AddrFrom4(sa.Addr), ntohs(sa.Port)
	case unix.AF_INET6:
		sa := (*unix.RawSockaddrInet6)(name)
		return withZone(netip.AddrFrom16(sa.Addr).Unmap(), sa.Scope_id), ntohs(sa.Port)
	}
	return netip.Addr{}, 0
}

// To is the address datagram i was sent to.
func (b *Batch) To(i int) netip.Addr {
	switch p := unsafe.Pointer(&b.control[i].data); b.pktinfo(i) {
	case unix.IPPROTO_IP:
		return netip.AddrFrom4((*unix.Inet4Pktinfo)(p).Addr)
	case unix.IPPROTO_IPV6:
		info := (*unix.Inet6Pktinfo)(p)
		a := netip.AddrFrom16(info.Addr).Unmap()
		if a.IsLinkLocalUnicast() {
			a = withZone(a, info.Ifindex)
		}
		return a
	}
	return netip.Addr{}
}

// Broadcast says whether datagram i was sent to a broadcast address.
func (b *Batch) Broadcast(i int) bool {
	c := &b.control[i]
	var p unsafe.Pointer
	switch level := b.pktinfo(i); {
	case level == unix.IPPROTO_IP:
		p = unsafe.Pointer(&c.data)
	case level == unix.IPPROTO_IPV6 && uint64(b.in[i].Controllen) > uint64(unsafe.Offsetof(c.room)) &&
		c.next.Level == unix.IPPROTO_IP && c.next.Type == unix.IP_PKTINFO:
		p = unsafe.Pointer(&c.room)
	default:
		return false
	}
	info := (*unix.Inet4Pktinfo)(p)
	return info.Addr != info.Spec_dst // the address that the host would answer from
}

// pktinfo returns the level of the control message of datagram i, -1 if there
// is none.
func (b *Batch) pktinfo(i int) int32 {
	h := &b.control[i].hdr
	if b.in[i].Flags&unix.MSG_CTRUNC != 0 || uint64(b.in[i].Controllen) < uint64(unsafe.Sizeof(*h)) {
		return -1
	}
	switch {
	case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_PKTINFO,
		h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_PKTINFO:
		return h.Level
	}
	return -1
}

// Reply queues p as the answer to datagram i.
func (b *Batch) Reply(i int, p []byte) {
	in := &b.in[i]
	msg := unix.Msghdr{Name: in.Name, Namelen: in.Namelen, Iov: &b.outIov[b.replies], Control: in.Control}
	msg.SetIovlen(1)
	msg.SetControllen(b.source(i))
	msg.Iov.Base = unsafe.SliceData(p)
	msg.Iov.SetLen(len(p))
	b.replies++
	if b.queued > 0 && together(&b.out[b.queued-1].Msghdr, &msg) {
		b.out[b.queued-1].Iovlen++
		return
	}
	b.out[b.queued].Msghdr = msg
	b.queued++
}

// together reports whether the answer b can be a segment behind those of a:
// it is as long, and comes from and goes to the same address.
func together(a, b *unix.Msghdr) bool {
	return a.Iov.Len == b.Iov.Len && 0 < b.Iov.Len && b.Iov.Len <= maxSegment &&
		a.Namelen == b.Namelen && a.Controllen == b.Controllen &&
		string(unsafe.Slice(a.Name, a.Namelen)) == string(unsafe.Slice(b.Name, b.Namelen)) &&
		string(unsafe.Slice(a.Control, a.Controllen)) == string(unsafe.Slice(b.Control, b.Controllen))
}

// source turns the received control message of datagram i into one that
// chooses the reply's source address, and returns how long it is.
func (b *Batch) source(i int) int {
	switch p := unsafe.Pointer(&b.control[i].data); b.pktinfo(i) {
	case unix.IPPROTO_IP:
		// The kernel has put the address a broadcast is to be answered from
		// into Spec_dst. The route, not the way in, decides the way out.
		(*unix.Inet4Pktinfo)(p).Ifindex = 0
		return unix.CmsgSpace(unix.SizeofInet4Pktinfo)
	case unix.IPPROTO_IPV6:
		info := (*unix.Inet6Pktinfo)(p)
		a := netip.AddrFrom16(info.Addr)
		if a.IsMulticast() {
			return 0
		}
		if !a.IsLinkLocalUnicast() {
			info.Ifindex = 0
		}
		return unix.CmsgSpace(unix.SizeofInet6Pktinfo)
	}
	return 0
}

// Flush sends what Reply has queued.
func (b *Batch) Flush(fd int) (err error) {
	queue := b.out[:b.queued]
	b.queued, b.replies = 0, 0
	for i := range queue {
		if queue[i].Iovlen > 1 {
			segment(&queue[i].Msghdr)
		}
	}
	for len(queue) > 0 {
		n, errno := again(unix.SYS_SENDMMSG, fd, unsafe.Pointer(&queue[0]), uintptr(len(queue)), unix.MSG_DONTWAIT)
		if errno == 0 {
			queue = queue[n:]
			continue
		}
		// The error is that of the first message.
		if queue[0].Iovlen > 1 && errno != unix.EAGAIN && errno != unix.ENOBUFS {
			errno = sendApart(fd, queue[0].Msghdr)
		}
		if err == nil && errno != 0 {
			err = errno
		}
		if errno == unix.EAGAIN || errno == unix.ENOBUFS {
			return err
		}
		queue = queue[1:]
	}
	return err
}

// segment asks for the answers of m to be sent as datagrams of their own.
func segment(m *unix.Msghdr) {
	h := (*unix.Cmsghdr)(unsafe.Add(unsafe.Pointer(m.Control), m.Controllen))
	h.Level, h.Type = unix.SOL_UDP, unix.UDP_SEGMENT
	h.SetLen(unix.CmsgLen(2))
	*(*uint16)(unsafe.Add(unsafe.Pointer(h), unix.CmsgLen(0))) = uint16(m.Iov.Len)
	m.SetControllen(int(m.Controllen) + unix.CmsgSpace(2))
}

// sendApart sends the answers of m one by one: the kernel is too old for
// segments, or the way to the peer does not take them.
func sendApart(fd int, m unix.Msghdr) (first syscall.Errno) {
	iovs := unsafe.Slice(m.Iov, m.Iovlen)
	m.SetControllen(int(m.Controllen) - unix.CmsgSpace(2))
	m.SetIovlen(1)
	for i := range iovs {
		m.Iov = &iovs[i]
		_, errno := again(unix.SYS_SENDMSG, fd, unsafe.Pointer(&m), unix.MSG_DONTWAIT, 0)
		if errno != 0 && first == 0 {
			first = errno
		}
	}
	return first
}

// again makes a system call that does not wait, until no signal interrupts it.
func again(call uintptr, fd int, msg unsafe.Pointer, n, flags uintptr) (int, syscall.Errno) {
	for {
		r, _, errno := unix.RawSyscall6(call, uintptr(fd), uintptr(msg), n, flags, 0, 0)
		if errno != unix.EINTR {
			return int(r), errno
		}
	}
}

// ntohs reads a port as a socket address holds it.
func ntohs(port uint16) uint16 {
	p := (*[2]byte)(unsafe.Pointer(&port))
	return uint16(p[0])<<8 | uint16(p[1])
}

// EnablePktinfo asks for the destination address of every datagram on fd, so
// that Reply can answer from there. v6 sockets that take IPv4 too report it in
// mapped form, and as IPv4 sockets do.
func EnablePktinfo(fd int, v6 bool) error {
	if v6 {
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1); err != nil {
			return err
		}
	}
	return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_PKTINFO, 1)
}
