package sock

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

func socket(domain, typ, proto int) (int, error) {
	return unix.Socket(domain, typ|unix.SOCK_CLOEXEC, proto)
}

// Last sends p, for which a new connection has room, as the last that is said
// on fd, and closes it. A few bytes and the end are one packet for both sides to
// deal with instead of two (MSG_MORE). What the client has said and nobody reads
// is thrown away, which MSG_TRUNC does without copying (tcp(7)), or close(2)
// would send a reset, which can overtake p. Nothing here blocks, so the runtime
// need not know.
func Last(fd int, p []byte) {
	const flags = unix.MSG_DONTWAIT | unix.MSG_NOSIGNAL | unix.MSG_MORE
	unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), flags, 0, 0)
	if _, _, e := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), 0, 1<<20, unix.MSG_DONTWAIT|unix.MSG_TRUNC, 0, 0); e == unix.EFAULT {
		drain(fd) // no tcp(7)
	}
	unix.RawSyscall(unix.SYS_SHUTDOWN, uintptr(fd), unix.SHUT_WR, 0)
	unix.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0)
}

// base is where descriptors that live long begin. A process starts with room
// for 64.
const base = 32

// Own gives the path of a unix-domain socket its owner and mode, and nothing
// else that its name may have come to stand for in a directory that is not
// root's.
func Own(a Addr, o Options) error {
	path := a.Path
	fd, err := unix.Open(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return &os.PathError{Op: "chown", Path: path, Err: unix.ENOTSOCK}
	}
	if o.UID >= 0 || o.GID >= 0 {
		if err := unix.Fchownat(fd, "", o.UID, o.GID, unix.AT_EMPTY_PATH); err != nil {
			return &os.PathError{Op: "chown", Path: path, Err: err}
		}
	}
	if err := unix.Fchmodat(fd, "", o.Mode, unix.AT_EMPTY_PATH); err != unix.EOPNOTSUPP {
		return err
	}
	// Before Linux 6.6.
	return os.Chmod("/proc/self/fd/"+strconv.Itoa(fd), fs.FileMode(o.Mode))
}

// Reserve makes room for so many of them at once. In a process with threads
// the kernel waits for all processors each time that it enlarges the table.
func Reserve(n int) {
	if null, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0); err == nil {
		if fd, err := unix.FcntlInt(uintptr(null), unix.F_DUPFD_CLOEXEC, base+n); err == nil {
			unix.Close(fd)
		}
		unix.Close(null)
	}
}

// High moves a descriptor that lives long above those of connections: what a
// new process copies of the table ends at its connection's number.
func High(fd int) int {
	up, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, base)
	if err != nil { // the limit is low
		return fd
	}
	unix.Close(fd)
	return up
}

// Accept takes the next connection. Its descriptor is blocking and
// close-on-exec; peer is invalid for a unix-domain client. It is accept4(2)
// without what unix.Accept4 adds: a second system call to tell SCTP from TCP, and
// a Sockaddr on the heap.
func Accept(fd int) (conn int, peer netip.AddrPort, err error) {
	var sa unix.RawSockaddrInet6 // IPv4 fits, a unix path is cut and not read
	size := uint32(unsafe.Sizeof(sa))
	// The socket does not block, so the runtime need not know.
	n, _, e := unix.RawSyscall6(unix.SYS_ACCEPT4, uintptr(fd), uintptr(unsafe.Pointer(&sa)), uintptr(unsafe.Pointer(&size)), unix.SOCK_CLOEXEC, 0, 0)
	if e != 0 {
		return -1, netip.AddrPort{}, e
	}
	port := ntohs(sa.Port) // in the same place for both
	switch sa.Family {
	case unix.AF_INET:
		return int(n), netip.AddrPortFrom(netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(&sa)).Addr), port), nil
	case unix.AF_INET6:
		return int(n), netip.AddrPortFrom(withZone(netip.AddrFrom16(sa.Addr), sa.Scope_id), port), nil
	}
	return int(n), netip.AddrPort{}, nil
}

// CanFilter says whether Filter works here.
const CanFilter = true

// Filter has the kernel drop what prog does not accept before it reaches a
// socket; an empty prog ends that. What is in the queue already stays.
func Filter(fd int, prog []Instruction) error {
	if len(prog) == 0 {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0); err != nil && err != unix.ENOENT {
			return fmt.Errorf("SO_DETACH_FILTER: %w", err)
		}
		return nil
	}
	filter := make([]unix.SockFilter, len(prog))
	for i, p := range prog {
		filter[i] = unix.SockFilter(p)
	}
	err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]})
	if err != nil {
		return fmt.Errorf("SO_ATTACH_FILTER: %w", err)
	}
	return nil
}

// FilterNote says what an entry's accept filter becomes on this system.
const FilterNote = "TCP_DEFER_ACCEPT takes its place: the server starts when the client has sent anything"

// setFilter maps the BSDs' accept filters to TCP_DEFER_ACCEPT: both keep a
// connection from the server until the client has sent something.
func setFilter(fd int, name string) error {
	const seconds = 30
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, seconds); err != nil {
		return fmt.Errorf("accept filter %s: %w", name, err)
	}
	return nil
}

// Disconnect takes back what connect(2) did to a datagram socket, which would
// hear nobody else, and says whether there was anything to take back. A port
// that the kernel chose would be lost.
func Disconnect(fd int) bool {
	if _, err := unix.Getpeername(fd); err != nil {
		return false
	}
	nobody := unix.RawSockaddr{Family: unix.AF_UNSPEC}
	_, _, e := unix.RawSyscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&nobody)), unsafe.Sizeof(nobody))
	return e == 0
}

// Unfilter takes an entry's accept filter away.
func Unfilter(fd int) { unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, 0) }

// Refuse makes a listening stream socket refuse its clients and keep its port:
// shutdown takes it back to bound. SO_REUSEADDR goes first, since with it
// another program could bind the port of a socket that does not listen.
func Refuse(fd int, a Addr, o Options) (int, error) {
	if a.Path != "" {
		return fd, unix.EOPNOTSUPP // a unix-domain socket does not come back from shutdown
	}
	if err := reuseAddr(fd, 0); err != nil {
		return fd, err
	}
	if err := reuse(fd, 0); err != nil {
		return fd, err
	}
	// One that does not listen yet keeps the shutdown, and gives it to all that
	// it accepts once it listens.
	if on, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err == nil && on == 0 {
		return fd, nil
	}
	if err := unix.Shutdown(fd, unix.SHUT_RDWR); err != nil {
		return fd, fmt.Errorf("shutdown: %w", err)
	}
	return fd, nil
}

// Resume ends what Refuse began. Connections that were accepted before are at
// the same port. With SO_REUSEADDR, which the socket has had, they would let it
// listen beside them, and another user's program as well, between this and
// that; with SO_REUSEPORT nobody but the daemon's own user.
func Resume(fd int, a Addr, o Options) error {
	if err := Listen(fd, a, o); err != nil {
		return err
	}
	return reuseAddr(fd, 1)
}

// taken says whether a datagram socket that is open to everybody is in the way of
// a. Those that are connected to one peer are of the servers that Split gave
// theirs, which may live longer than the daemon.
func taken(a Addr) bool {
	for _, name := range []string{"/proc/net/udp", "/proc/net/udp6"} {
		text, err := os.ReadFile(name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return true
		}
		for l := range strings.Lines(string(text)) {
			// sl local_address rem_address …
			f := strings.Fields(l)
			if len(f) < 3 || !strings.HasSuffix(f[2], ":0000") {
				continue
			}
			// Whether one of IPv6 takes IPv4 as well is not told.
			if ip, ok := procAddr(f[1]); ok && a.Meets(Addr{IP: ip, Type: a.Type, Proto: a.Proto, Mapped: ip.Addr().Is6()}) {
				return true
			}
		}
	}
	return false
}

// procAddr reads an address of /proc/net: hexadecimal words, each in the order of
// the machine's bytes, and the port.
func procAddr(s string) (netip.AddrPort, bool) {
	words, port, _ := strings.Cut(s, ":")
	b, err1 := hex.DecodeString(words)
	p, err2 := strconv.ParseUint(port, 16, 16)
	if err1 != nil || err2 != nil || len(b)%4 != 0 {
		return netip.AddrPort{}, false
	}
	for w := range slices.Chunk(b, 4) {
		binary.NativeEndian.PutUint32(w, binary.BigEndian.Uint32(w))
	}
	ip, ok := netip.AddrFromSlice(b)
	return netip.AddrPortFrom(ip, uint16(p)), ok
}

// lastSender is who has sent the last datagram of a queue, and how many stand
// before the first of those that nobody else's interrupt. With SO_PEEK_OFF each
// look goes on where the last one ended.
func lastSender(fd int) (before int, peer netip.AddrPort, err error) {
	const enough = 256
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PEEK_OFF, 0); err != nil {
		return 0, peer, fmt.Errorf("SO_PEEK_OFF: %w", err)
	}
	defer unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PEEK_OFF, -1)
	buf := make([]byte, maxDatagram)
	for n := range enough {
		_, from, err := unix.Recvfrom(fd, buf, unix.MSG_PEEK|unix.MSG_DONTWAIT)
		if err != nil {
			break
		}
		if p := addrPort(from); n == 0 || p != peer {
			before, peer = n, p
		}
	}
	if !peer.IsValid() { // a look passes over empty datagrams that were seen before
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PEEK_OFF, -1)
		_, from, err := unix.Recvfrom(fd, buf[:1], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		return 0, addrPort(from), err
	}
	return before, peer, nil
}

const stamps = true

// stamped has the kernel tell when datagrams arrived until done is called:
// servers that get the socket do not expect that. A datagram that was not
// stamped when it came is stamped when it is first looked at.
func stamped(fd int) (done func()) {
	set := func(on int) { unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, on) }
	set(1)
	return func() { set(0) }
}

// stamp is when a datagram arrived, in nanoseconds, by its control message; 0
// where there is none.
func stamp(oob []byte) int64 {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return 0
	}
	for _, m := range msgs {
		if m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SCM_TIMESTAMPNS && len(m.Data) >= int(unsafe.Sizeof(unix.Timespec{})) {
			return (*unix.Timespec)(unsafe.Pointer(&m.Data[0])).Nano()
		}
	}
	return 0
}
