package services

import (
	"encoding/binary"
	"net/netip"
	"strconv"

	"golang.org/x/sys/unix"
)

// executable is a path of this program that works whatever has happened to the
// file it was started from, and in directories the user may not enter.
func executable() (string, error) { return "/proc/self/exe", nil }

// Layouts of linux/inet_diag.h.
const (
	diagRequestLen = 56 // struct inet_diag_req_v2
	diagReplyLen   = 72 // struct inet_diag_msg
)

// owner asks the kernel (sock_diag(7)) whose the TCP connection is that has
// these ends. errNoOwner means that there is none, or none with an owner.
func owner(local, remote netip.AddrPort) (uint32, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	if err := unix.Sendto(fd, diagRequest(local, remote), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return 0, err
	}
	// The kernel answers within the send, so there is nothing to wait for.
	var buf [1024]byte
	n, from, err := unix.Recvfrom(fd, buf[:], unix.MSG_DONTWAIT)
	if err != nil {
		return 0, err
	}
	if sa, ok := from.(*unix.SockaddrNetlink); !ok || sa.Pid != 0 {
		return 0, unix.EPROTO
	}
	return parseDiag(buf[:n], local, remote)
}

// diagRequest is a netlink message that asks for exactly one connection.
func diagRequest(local, remote netip.AddrPort) []byte {
	le := binary.NativeEndian
	b := make([]byte, unix.SizeofNlMsghdr+diagRequestLen)
	le.PutUint32(b[0:], uint32(len(b)))
	le.PutUint16(b[4:], unix.SOCK_DIAG_BY_FAMILY)
	le.PutUint16(b[6:], unix.NLM_F_REQUEST)
	r := b[unix.SizeofNlMsghdr:]
	r[0] = unix.AF_INET6
	if local.Addr().Is4() {
		r[0] = unix.AF_INET
	}
	r[1] = unix.IPPROTO_TCP
	le.PutUint32(r[4:], ^uint32(0)) // states, all
	putSockID(r[8:], local, remote)
	return b
}

// putSockID writes struct inet_diag_sockid: ports and addresses in network
// order, the interface, and a cookie that means "any".
func putSockID(b []byte, local, remote netip.AddrPort) {
	binary.BigEndian.PutUint16(b[0:], local.Port())
	binary.BigEndian.PutUint16(b[2:], remote.Port())
	copy(b[4:20], local.Addr().AsSlice())
	copy(b[20:36], remote.Addr().AsSlice())
	if zone, err := strconv.ParseUint(local.Addr().Zone(), 10, 32); err == nil {
		binary.NativeEndian.PutUint32(b[36:], uint32(zone))
	}
	binary.NativeEndian.PutUint64(b[40:], ^uint64(0))
}

// TCP states in which a connection has both ends and may have an owner.
const ownedStates = 1<<unix.BPF_TCP_ESTABLISHED | 1<<unix.BPF_TCP_FIN_WAIT1 |
	1<<unix.BPF_TCP_FIN_WAIT2 | 1<<unix.BPF_TCP_CLOSE_WAIT

func parseDiag(b []byte, local, remote netip.AddrPort) (uint32, error) {
	le := binary.NativeEndian
	if len(b) < unix.SizeofNlMsghdr+4 {
		return 0, unix.EPROTO
	}
	m := b[unix.SizeofNlMsghdr:]
	switch le.Uint16(b[4:]) {
	case unix.NLMSG_ERROR:
		if errno := unix.Errno(-int32(le.Uint32(m))); errno != unix.ENOENT {
			return 0, errno
		}
		return 0, errNoOwner
	case unix.SOCK_DIAG_BY_FAMILY:
	default:
		return 0, unix.EPROTO
	}
	if len(m) < diagReplyLen {
		return 0, unix.EPROTO
	}
	state, uid, inode := m[1], le.Uint32(m[64:]), le.Uint32(m[68:])
	// Without a connection the kernel answers with the listener on that port;
	// a socket no process holds any more has uid 0 and no inode.
	switch {
	case ownedStates>>state&1 == 0, inode == 0,
		binary.BigEndian.Uint16(m[4:]) != local.Port(),
		binary.BigEndian.Uint16(m[6:]) != remote.Port():
		return 0, errNoOwner
	}
	return uid, nil
}
