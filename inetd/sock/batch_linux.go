package sock

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A Batch receives and answers datagrams; see batch for what it promises. Here
// it is recvmmsg(2) and sendmmsg(2).
type Batch struct {
	in, out [BatchSize]mmsghdr
	iov     [BatchSize]struct{ in, out unix.Iovec }
	name    [BatchSize]unix.RawSockaddrAny
	control [BatchSize]control
	replies int
	buf     []byte
}

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	unix.Msghdr
	n uint32
}

// control has room for one PKTINFO message of either family; the first field
// aligns it as the kernel wants it.
type control struct {
	hdr  unix.Cmsghdr
	data [unix.SizeofInet6Pktinfo + 4]byte
}

const controlLen = int(unsafe.Sizeof(control{}))

// Slots begin a little more than a whole number of pages apart: at the same
// offset in every page, 32 short datagrams would fight for one cache set.
const slotLen = (maxDatagram+1)&^63 + 192

// NewBatch returns a Batch for every datagram socket of one loop.
func NewBatch() *Batch {
	b := &Batch{buf: make([]byte, BatchSize*slotLen)}
	for i := range b.in {
		in, iov := &b.in[i], &b.iov[i]
		iov.in.Base = &b.slot(i)[0]
		iov.in.SetLen(maxDatagram)
		in.Name = (*byte)(unsafe.Pointer(&b.name[i]))
		in.Iov = &iov.in
		in.SetIovlen(1)
		in.Control = (*byte)(unsafe.Pointer(&b.control[i]))
	}
	return b
}

func (b *Batch) slot(i int) []byte { return b.buf[i*slotLen:][:maxDatagram:maxDatagram] }

// Recv takes what has arrived on fd.
func (b *Batch) Recv(fd int) (int, error) {
	b.replies = 0
	for i := range b.in {
		b.in[i].Namelen = unix.SizeofSockaddrAny
		b.in[i].SetControllen(controlLen)
	}
	for {
		n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&b.in)), BatchSize, unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
		case unix.EAGAIN:
			return 0, nil
		default:
			return 0, errno
		}
	}
}

// Msg is the payload of datagram i.
func (b *Batch) Msg(i int) []byte { return b.slot(i)[:b.in[i].n] }

// Truncated reports that datagram i was longer than Msg shows.
func (b *Batch) Truncated(i int) bool { return b.in[i].Flags&unix.MSG_TRUNC != 0 }

// From is the sender of datagram i.
func (b *Batch) From(i int) netip.AddrPort {
	a, port := b.sender(i)
	return netip.AddrPortFrom(a, port)
}

func (b *Batch) sender(i int) (netip.Addr, uint16) {
	switch name := unsafe.Pointer(&b.name[i]); b.family(i) {
	case unix.AF_INET:
		sa := (*unix.RawSockaddrInet4)(name)
		return netip.AddrFrom4(sa.Addr), ntohs(sa.Port)
	case unix.AF_INET6:
		sa := (*unix.RawSockaddrInet6)(name)
		return withZone(netip.AddrFrom16(sa.Addr).Unmap(), sa.Scope_id), ntohs(sa.Port)
	}
	return netip.Addr{}, 0
}

// family is that of the sender; an unnamed unix-domain socket has none.
func (b *Batch) family(i int) uint16 {
	if b.in[i].Namelen < 2 {
		return unix.AF_UNSPEC
	}
	return b.name[i].Addr.Family
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
	if b.in[i].Namelen < 2 {
		return // a unix-domain sender without a name cannot be answered
	}
	iov := &b.iov[b.replies].out
	iov.Base = unsafe.SliceData(p)
	iov.SetLen(len(p))
	out := &b.out[b.replies]
	out.Msghdr = unix.Msghdr{Name: b.in[i].Name, Namelen: b.in[i].Namelen, Iov: iov}
	out.SetIovlen(1)
	if b.source(i) {
		out.Control = b.in[i].Control
		out.SetControllen(int(b.in[i].Controllen))
	}
	b.replies++
}

// source turns the received control message of datagram i into one that
// chooses the reply's source address.
func (b *Batch) source(i int) bool {
	switch p := unsafe.Pointer(&b.control[i].data); b.pktinfo(i) {
	case unix.IPPROTO_IP:
		// The kernel has put the address a broadcast is to be answered from
		// into Spec_dst. The route, not the way in, decides the way out.
		info := (*unix.Inet4Pktinfo)(p)
		info.Ifindex = 0
		return true
	case unix.IPPROTO_IPV6:
		info := (*unix.Inet6Pktinfo)(p)
		a := netip.AddrFrom16(info.Addr)
		switch {
		case a.IsMulticast():
			return false
		case !a.IsLinkLocalUnicast():
			info.Ifindex = 0
		}
		return true
	}
	return false
}

// Flush sends what Reply has queued.
func (b *Batch) Flush(fd int) (err error) {
	queue := b.out[:b.replies]
	b.replies = 0
	for len(queue) > 0 {
		n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&queue[0])), uintptr(len(queue)), unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			queue = queue[n:]
			continue
		case unix.EINTR:
			continue
		}
		if err == nil {
			err = errno
		}
		if errno == unix.EAGAIN || errno == unix.ENOBUFS {
			return err
		}
		queue = queue[1:] // the error is that of the first message
	}
	return err
}

// ntohs reads a port as a socket address holds it.
func ntohs(port uint16) uint16 {
	p := (*[2]byte)(unsafe.Pointer(&port))
	return uint16(p[0])<<8 | uint16(p[1])
}

// EnablePktinfo asks for the destination address of every datagram on fd, so
// that Reply can answer from there. v6 sockets that take IPv4 too report it in
// mapped form.
func EnablePktinfo(fd int, v6 bool) error {
	if v6 {
		return unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1)
	}
	return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_PKTINFO, 1)
}

// Broadcasts returns the IPv4 broadcast addresses of the networks this host is
// on.
func Broadcasts() ([]netip.Addr, error) {
	rib, err := syscall.NetlinkRIB(unix.RTM_GETADDR, unix.AF_INET)
	if err != nil {
		return nil, err
	}
	msgs, err := syscall.ParseNetlinkMessage(rib)
	if err != nil {
		return nil, err
	}
	var list []netip.Addr
	for _, m := range msgs {
		if m.Header.Type != unix.RTM_NEWADDR || len(m.Data) < unix.SizeofIfAddrmsg {
			continue
		}
		attrs, err := syscall.ParseNetlinkRouteAttr(&m)
		if err != nil {
			return nil, err
		}
		bits := m.Data[1] // of the prefix
		for _, a := range attrs {
			switch {
			case len(a.Value) != 4:
			case a.Attr.Type == unix.IFA_BROADCAST:
				list = append(list, netip.AddrFrom4([4]byte(a.Value)))
			case a.Attr.Type == unix.IFA_LOCAL && bits < 31:
				// What the kernel takes as broadcast where none is set, too.
				ip := binary.BigEndian.Uint32(a.Value) | ^uint32(0)>>bits
				list = append(list, netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, ip))))
			}
		}
	}
	slices.SortFunc(list, netip.Addr.Compare)
	return slices.Compact(list), nil
}
