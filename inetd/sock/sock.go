// Package sock opens, binds and accepts: the one place that knows socket
// options and what the kernels do differently. It holds no state; descriptors
// are close-on-exec from birth.
package sock

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Socket types, as socket(2) has them.
const (
	Stream    = unix.SOCK_STREAM
	Dgram     = unix.SOCK_DGRAM
	Raw       = unix.SOCK_RAW
	RDM       = unix.SOCK_RDM
	Seqpacket = unix.SOCK_SEQPACKET
)

// An Addr is where a socket is bound. It is comparable, and two entries with
// one Addr mean one descriptor.
type Addr struct {
	Type   int            // Stream, Dgram, …
	Proto  int            // IP protocol number of a raw socket, else 0
	IP     netip.AddrPort // invalid for a unix-domain socket
	Mapped bool           // an IPv6 socket that takes IPv4 as well
	Path   string         // of a unix-domain socket
	Name   string         // tells sockets apart whose port the kernel chooses
}

// Meets says whether only one of two sockets can be bound.
func (a Addr) Meets(b Addr) bool {
	if a.Type != b.Type || a.Proto != b.Proto || a.Path != b.Path || a.Name != b.Name || a.IP.Port() != b.IP.Port() {
		return false
	}
	x, y := a.IP.Addr(), b.IP.Addr()
	any := x.IsUnspecified() || y.IsUnspecified()
	return x == y || any && (x.Is4() == y.Is4() || a.Mapped || b.Mapped)
}

func (a Addr) String() string {
	if a.Path != "" {
		return a.Path
	}
	return a.IP.String()
}

// Options are the settings that may change while a socket is open.
type Options struct {
	Backlog int // of a stream socket
	SndBuf  int // bytes, 0 is the system's default
	RcvBuf  int
	Filter  string // accept filter (accf_data and the like)
	UID     int    // owner of a unix-domain path, -1 leaves it
	GID     int
	Mode    uint32 // of a unix-domain path
}

func (a Addr) domain() int {
	switch {
	case a.Path != "":
		return unix.AF_UNIX
	case a.IP.Addr().Is4():
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// At says whether what is sent to an address of this host comes to a.
func (a Addr) At(ip netip.Addr) bool {
	own := a.IP.Addr()
	if own.IsUnspecified() {
		return ip.IsValid() && (a.Mapped || own.Is4() == ip.Is4())
	}
	return own.WithZone("") == ip.WithZone("") && zoneID(own.Zone()) == zoneID(ip.Zone())
}

func (a Addr) sockaddr() unix.Sockaddr {
	if a.Path != "" {
		return &unix.SockaddrUnix{Name: a.Path}
	}
	return sockaddr(a.IP)
}

// sockaddr turns an address into what system calls take. A zone may be an
// interface's name or number.
func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16(), ZoneId: zoneID(a.Addr().Zone())}
}

// zoneID turns the zone of an address into an interface index; 0 is none.
func zoneID(zone string) uint32 {
	if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
		return uint32(n)
	}
	if ifi, err := net.InterfaceByName(zone); err == nil {
		return uint32(ifi.Index)
	}
	return 0
}

// addrPort is the reverse of sockaddr; it is invalid for other families.
func addrPort(sa unix.Sockaddr) netip.AddrPort {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(withZone(netip.AddrFrom16(sa.Addr), sa.ZoneId), uint16(sa.Port))
	}
	return netip.AddrPort{}
}

// Bind opens a socket at a. A stream socket does not listen yet: see Listen.
func Bind(a Addr, o Options) (fd int, err error) {
	if a.Name != "" {
		if fd, err = bindReserved(a, o); err == nil {
			return fd, nil
		}
	}
	// Only streams reuse an address, for their old connections linger in
	// TIME_WAIT: on Linux a datagram socket that does could be robbed of its
	// port by another program, or rob it.
	fd, err = bind(a, o, a.Type == Stream)
	if err == nil && a.Type == Stream && a.IP.IsValid() && a.IP.Port() == 0 {
		// A port that the kernel chose is given back when the socket ceases to
		// listen; one that was asked for is kept (see Refuse).
		for range 10 { // somebody may be quicker
			pinned := a
			pinned.IP = netip.AddrPortFrom(a.IP.Addr(), Local(fd).Port())
			unix.Close(fd)
			if fd, err = bind(pinned, o, true); err == nil {
				return fd, nil
			}
			if fd, err = bind(a, o, true); err != nil {
				return -1, err
			}
		}
		return fd, nil
	}
	if errors.Is(err, unix.EADDRINUSE) && a.Type == Dgram && a.Path == "" && !taken(a) {
		if fd, err = bind(a, o, true); err == nil {
			err = reuse(fd, 0)
		}
	}
	return fd, err
}

// spoken are reserved ports whose servers may be started after us: those of Debian's
// bindresvport.blacklist.
var spoken = []uint16{631, 636, 655, 774, 783, 873, 921, 993, 995}

// bindReserved takes a port that only root can, in the range of bindresvport(3):
// there are clients of RPC services that trust no other.
func bindReserved(a Addr, o Options) (fd int, err error) {
	const low, n = 600, 1024 - 600
	start := rand.IntN(n)
	for i := range n {
		port := uint16(low + (start+i)%n)
		if slices.Contains(spoken, port) {
			continue
		}
		pinned := a
		pinned.IP = netip.AddrPortFrom(a.IP.Addr(), port)
		if fd, err = bind(pinned, o, a.Type == Stream); !errors.Is(err, unix.EADDRINUSE) {
			return fd, err
		}
	}
	return -1, err
}

// reuse sets SO_REUSEPORT. For two datagram sockets at one address both must
// have it while the second is bound, and for no other program of the same user
// to take the port after that one of them must not. Other users cannot, which
// SO_REUSEADDR does not ask about.
func reuse(fd, on int) error {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, on); err != nil {
		return fmt.Errorf("SO_REUSEPORT: %w", err)
	}
	return nil
}

func reuseAddr(fd, on int) error {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, on); err != nil {
		return fmt.Errorf("SO_REUSEADDR: %w", err)
	}
	return nil
}

func bind(a Addr, o Options, shared bool) (fd int, err error) {
	fd, err = socket(a.domain(), a.Type, a.Proto)
	if err != nil {
		return -1, fmt.Errorf("socket: %w", err)
	}
	fd = High(fd)
	defer func() {
		if err != nil {
			unix.Close(fd)
			fd = -1
		}
	}()
	if a.domain() == unix.AF_INET6 {
		v6only := 1
		if a.Mapped {
			v6only = 0
		}
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, v6only); err != nil {
			return fd, fmt.Errorf("IPV6_V6ONLY: %w", err)
		}
	}
	if shared {
		if a.Type == Stream {
			err = reuseAddr(fd, 1)
		} else {
			err = reuse(fd, 1)
		}
		if err != nil {
			return fd, err
		}
	}
	if err := Set(fd, a, o); err != nil {
		return fd, err
	}
	if a.Path != "" {
		return fd, bindPath(fd, a, o)
	}
	if err := unix.Bind(fd, a.sockaddr()); err != nil {
		return fd, fmt.Errorf("bind: %w", err)
	}
	return fd, nil
}

// bindPath binds a unix-domain socket that nobody can connect to before its
// owner and mode are set.
func bindPath(fd int, a Addr, o Options) error {
	if err := removeStale(a.Path, a.Type); err != nil {
		return err
	}
	// Linux makes the file with the mode that the socket has. Elsewhere it is
	// the umask, which is the whole process's for that moment.
	old := -1
	if unix.Fchmod(fd, 0) != nil {
		old = unix.Umask(0o777)
	}
	err := unix.Bind(fd, a.sockaddr())
	if old >= 0 {
		unix.Umask(old)
	}
	if err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	if err := Own(a, o); err != nil {
		os.Remove(a.Path)
		return err
	}
	return nil
}

// removeStale removes the socket that a killed server left behind, and nothing
// else.
func removeStale(path string, typ int) error {
	fi, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if fi.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%s exists and is not a socket", path)
	}
	fd, err := socket(unix.AF_UNIX, typ, 0)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	defer unix.Close(fd)
	unix.SetNonblock(fd, true)
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err != unix.ECONNREFUSED {
		return fmt.Errorf("bind: %w", unix.EADDRINUSE)
	}
	return os.Remove(path)
}

// Set applies the options that need no new socket.
func Set(fd int, a Addr, o Options) error {
	for _, b := range []struct {
		name      string
		opt, size int
	}{{"SO_SNDBUF", unix.SO_SNDBUF, o.SndBuf}, {"SO_RCVBUF", unix.SO_RCVBUF, o.RcvBuf}} {
		if b.size == 0 {
			continue
		}
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, b.opt, b.size); err != nil {
			return fmt.Errorf("%s: %w", b.name, err)
		}
	}
	if o.Filter != "" && a.Type == Stream && a.Path == "" {
		return setFilter(fd, o.Filter)
	}
	return nil
}

// Listen makes a bound stream socket take connections; for others it does
// nothing.
func Listen(fd int, a Addr, o Options) error {
	if a.Type != Stream && a.Type != Seqpacket {
		return nil
	}
	if a.Path == "" && runtime.GOOS == "linux" {
		if err := reuse(fd, 1); err != nil { // connections inherit it: see Resume
			return err
		}
	}
	if err := unix.Listen(fd, o.Backlog); err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	return nil
}

// drain throws away what a client has said, up to 64 kB.
func drain(fd int) {
	var unread [4096]byte
	for range 16 {
		if n, _, err := unix.Recvfrom(fd, unread[:], unix.MSG_DONTWAIT); n < len(unread) || err != nil {
			break
		}
	}
}

// Tight says that High has found no room for a descriptor that is to live long:
// with it, too few would be left for clients, servers and files. Where there are
// few altogether nobody can have any for himself.
func Tight(fd int) bool {
	const few = 64
	if fd >= base {
		return false
	}
	var lim unix.Rlimit
	return unix.Getrlimit(unix.RLIMIT_NOFILE, &lim) == nil && lim.Cur >= few
}

// Full says that the next would be Tight.
func Full() bool {
	fd, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return true
	}
	fd = High(fd)
	defer unix.Close(fd)
	return Tight(fd)
}

// Path is the socket file of a unix-domain socket that was just bound, nil for
// others.
func Path(a Addr) os.FileInfo {
	if a.Path == "" {
		return nil
	}
	fi, _ := os.Lstat(a.Path)
	return fi
}

// Close closes a socket and removes path, what Path said of it, unless
// somebody has put something else in its place.
func Close(fd int, a Addr, path os.FileInfo) {
	unix.Close(fd)
	if now := Path(a); path != nil && now != nil && os.SameFile(path, now) {
		os.Remove(a.Path)
	}
}

// An Instruction is one of the classic BPF, struct sock_filter.
type Instruction struct {
	Code   uint16
	Jt, Jf uint8
	K      uint32
}

// Local is the address of this end of a socket, invalid for a unix-domain one.
func Local(fd int) netip.AddrPort {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return netip.AddrPort{}
	}
	return addrPort(sa)
}

// SetNoDelay and SetKeepAlive set TCP_NODELAY and SO_KEEPALIVE; for a socket
// that has no such thing they do nothing.
func SetNoDelay(fd int)   { unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1) }
func SetKeepAlive(fd int) { unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1) }

// Shed closes the next connection of a listening socket, which may be a
// blocking one.
func Shed(fd int) {
	SetNonblock(fd, true)
	if conn, _, err := Accept(fd); err == nil {
		unix.Close(conn)
	}
	SetNonblock(fd, false)
}

// Gone says whether an error of Accept means that one client went away again,
// or that there was none, and the next is worth a try. These are the errors
// that accept(2) tells programs to treat like EAGAIN. A firewall's EPERM is not
// among them: a filter of system calls says it every time.
func Gone(err error) bool {
	switch err {
	case unix.EINTR, unix.EAGAIN, unix.ECONNABORTED, unix.EPROTO, unix.ENETDOWN, unix.ENOPROTOOPT,
		unix.EHOSTDOWN, unix.EHOSTUNREACH, unix.EOPNOTSUPP, unix.ENETUNREACH:
		return true
	}
	return false
}

// Scarce says whether an error means that the process or the system is out of
// descriptors or memory.
func Scarce(err error) bool {
	for _, e := range []error{unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM, unix.EAGAIN} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// A Datagram is what identifies the datagram at the head of a queue.
type Datagram struct {
	From  netip.AddrPort
	stamp int64 // when it arrived, 0 where the system does not tell
	Len   int
	Head  [64]byte
}

// Same says whether two looks saw one datagram. Where the system does not tell
// when each arrived, two that are alike are taken for one.
func (d *Datagram) Same(e *Datagram) bool { return *d == *e }

// Peek looks at the next datagram without taking it.
func Peek(fd int) (Datagram, bool) {
	var d Datagram
	// Room for the time of arrival, which comes first, and not for descriptors,
	// which a unix-domain client can send.
	var oob []byte
	if stamps {
		oob = make([]byte, unix.CmsgSpace(int(unsafe.Sizeof(unix.Timespec{}))))
	}
	done := stamped(fd)
	// With MSG_TRUNC Linux tells the whole length, other systems what fits.
	n, oobn, _, sa, err := unix.Recvmsg(fd, d.Head[:], oob, unix.MSG_PEEK|unix.MSG_DONTWAIT|unix.MSG_TRUNC)
	done()
	if err != nil {
		return d, false
	}
	d.Len, d.stamp = n, stamp(oob[:oobn])
	if sa != nil {
		d.From = addrPort(sa)
	}
	return d, true
}

// Drop takes one datagram and forgets it.
func Drop(fd int) error {
	var b [1]byte
	_, _, err := unix.Recvfrom(fd, b[:], unix.MSG_DONTWAIT)
	return err
}

// SetNonblock sets or clears O_NONBLOCK of the open socket, which everybody
// who has a descriptor of it shares.
func SetNonblock(fd int, on bool) { unix.SetNonblock(fd, on) }

// Split gives the sender of a datagram in fd's queue a socket of its own: the
// old one, connected to it, with what it has sent. A new socket takes the old
// one's place at the address. Where several have sent something at once that is
// the last of them, and what came before is dropped: a server must not answer
// one client what another has asked. The caller must not wait for fd meanwhile.
// With an error conn is -1; listener then is too, or it replaces fd, which is
// closed.
func Split(fd int, a Addr, o Options) (conn, listener int, peer netip.AddrPort, err error) {
	_, peer, err = lastSender(fd)
	if err != nil {
		return -1, -1, peer, err
	}
	if !answerable(peer) {
		return -1, -1, peer, errNoReturn
	}
	if a.Path == "" && a.IP.Port() == 0 { // the port of an rpc service is the kernel's choice
		a.IP = netip.AddrPortFrom(a.IP.Addr(), Local(fd).Port())
	}
	if err := reuse(fd, 1); err != nil {
		return -1, -1, peer, err
	}
	if listener, err = bind(a, o, true); err != nil {
		reuse(fd, 0)
		return -1, -1, peer, fmt.Errorf("a socket for %s: %w", peer, err)
	}
	peer, err = settle(fd, peer)
	if e := reuse(listener, 0); err == nil {
		err = e
	}
	if err != nil { // fd may be connected to somebody, and deaf to all others
		unix.Close(fd)
		return -1, listener, peer, fmt.Errorf("a socket for %s: %w", peer, err)
	}
	SetNonblock(fd, false)
	return fd, listener, peer, nil
}

func answerable(peer netip.AddrPort) bool { return peer.IsValid() && peer.Port() != 0 }

var errNoReturn = errors.New("a datagram without a return address")

// settle connects a socket to the sender of the last datagram in its queue and
// drops what others have sent. Once it is connected nothing of others comes any
// more, but until then it may.
func settle(fd int, peer netip.AddrPort) (netip.AddrPort, error) {
	for {
		if err := unix.Connect(fd, sockaddr(peer)); err != nil {
			return peer, fmt.Errorf("connect: %w", err)
		}
		before, last, err := lastSender(fd)
		if err != nil {
			return peer, err
		}
		for range before {
			Drop(fd)
		}
		switch {
		case last == peer && before > 0:
			continue // empty ones may have been dropped instead: look again
		case last == peer:
			for d, ok := Peek(fd); ok && d.From != peer; d, ok = Peek(fd) {
				Drop(fd) // an empty one that was not counted
			}
			return peer, nil
		case !answerable(last):
			return last, errNoReturn
		}
		peer = last
	}
}

// Dup takes the socket out of a file that the runtime's poller serves.
func Dup(f *os.File) (int, error) {
	rc, err := f.SyscallConn()
	if err != nil {
		return -1, err
	}
	fd := -1
	cerr := rc.Control(func(old uintptr) {
		fd, err = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 3)
	})
	return fd, errors.Join(cerr, err)
}
