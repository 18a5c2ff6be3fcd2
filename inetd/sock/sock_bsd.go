//go:build unix && !linux

package sock

import (
	"net/netip"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

func socket(domain, typ, proto int) (int, error) {
	// Between socket and fcntl no child may start.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	fd, err := unix.Socket(domain, typ, proto)
	if err == nil {
		unix.CloseOnExec(fd)
	}
	return fd, err
}

// Accept takes the next connection. Its descriptor is blocking and
// close-on-exec; peer is invalid for a unix-domain client.
func Accept(fd int) (conn int, peer netip.AddrPort, err error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	conn, sa, err := unix.Accept(fd)
	if err == nil {
		unix.CloseOnExec(conn)
		unix.SetNonblock(conn, false) // BSD hands O_NONBLOCK on from the listener
	}
	return conn, addrPort(sa), err
}

// Own gives the path of a unix-domain socket its owner and mode.
func Own(a Addr, o Options) error {
	if o.UID >= 0 || o.GID >= 0 {
		if err := os.Lchown(a.Path, o.UID, o.GID); err != nil {
			return err
		}
	}
	return unix.Fchmodat(unix.AT_FDCWD, a.Path, o.Mode, unix.AT_SYMLINK_NOFOLLOW)
}

const base = 0

// Reserve and High are for Linux, where they save time.
func Reserve(int) {}

func High(fd int) int { return fd }

// Last sends p, for which a new connection has room, as the last that is said
// on fd, and closes it. What the client has said and nobody reads is thrown
// away, or close(2) would send a reset, which can overtake p.
func Last(fd int, p []byte) {
	unix.SendmsgN(fd, p, nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	unix.Shutdown(fd, unix.SHUT_WR)
	drain(fd)
	unix.Close(fd)
}

// CanFilter says whether Filter works here.
const CanFilter = false

// Filter fails unless there is nothing to filter.
func Filter(fd int, prog []Instruction) error {
	if len(prog) == 0 {
		return nil
	}
	return unix.EOPNOTSUPP
}

// FilterNote says what an entry's accept filter becomes on this system.
const FilterNote = "not set here: the server starts when the client connects"

func setFilter(fd int, name string) error { return nil }

// Disconnect is for Linux.
func Disconnect(int) bool { return false }

// Unfilter takes an entry's accept filter away.
func Unfilter(fd int) {}

// Refuse makes a listening stream socket refuse its clients and keep its port:
// a socket that is bound and does not listen takes its place.
func Refuse(fd int, a Addr, o Options) (int, error) {
	if a.Path != "" {
		return fd, unix.EOPNOTSUPP
	}
	unix.Close(fd)
	return Bind(a, o)
}

// Resume ends what Refuse began.
func Resume(fd int, a Addr, o Options) error { return Listen(fd, a, o) }

// taken: these systems let a socket be bound beside connected ones.
func taken(Addr) bool { return true }

// lastSender: a queue can be seen at its head only.
func lastSender(fd int) (before int, peer netip.AddrPort, err error) {
	d, ok := Peek(fd)
	if !ok {
		return 0, peer, unix.EAGAIN
	}
	return 0, d.From, nil
}

const stamps = false

// stamped and stamp: when a datagram arrived is not asked here.
func stamped(int) (done func()) { return func() {} }

func stamp([]byte) int64 { return 0 }
