// Package peer finds out who is at the two ends of a socket that was
// inherited, in the words libwrap uses. It looks up no names.
package peer

import (
	"strconv"
	"syscall"

	"inetd/libwrap"
)

// A Socket is what is known of an inherited descriptor.
type Socket struct {
	Client, Server libwrap.Endpoint
	IPv4           bool // it is of the IPv4 family
	Unread         bool // the client is the sender of a datagram that is still in the queue
}

// An Error says which step failed, in the words of the C library's warning.
type Error struct {
	Op  string
	Err error
}

func (e *Error) Error() string { return e.Op + ": " + libwrap.Strerror(e.Err) }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Of examines fd. Of a socket that has no peer it takes the sender of the
// first datagram, and waits until there is one; the datagram is left in the
// queue. With an error, an *Error, the Socket holds what was learned so far.
func Of(fd int) (Socket, error) {
	var s Socket
	sa, err := syscall.Getpeername(fd)
	// A family that the syscall package does not know is an unknown client,
	// not a missing one.
	if s.Unread = err != nil && err != syscall.EAFNOSUPPORT; s.Unread {
		if sa, err = peek(fd); err != nil && err != syscall.EAFNOSUPPORT {
			return s, &Error{"can't get client address", err}
		}
	}
	s.Client = endpoint(sa)
	sa, err = syscall.Getsockname(fd)
	if err != nil && err != syscall.EAFNOSUPPORT {
		return s, &Error{"getsockname", err}
	}
	s.Server = endpoint(sa)
	_, s.IPv4 = sa.(*syscall.SockaddrInet4)
	return s, nil
}

func peek(fd int) (syscall.Sockaddr, error) {
	var b [1]byte
	for {
		_, sa, err := syscall.Recvfrom(fd, b[:], syscall.MSG_PEEK)
		if err != syscall.EINTR {
			return sa, err
		}
	}
}

// Drop takes one datagram from the queue and forgets it. If there is none
// left it does not wait.
func Drop(fd int) {
	var b [1]byte
	for {
		_, _, err := syscall.Recvfrom(fd, b[:], syscall.MSG_DONTWAIT)
		if err != syscall.EINTR {
			return
		}
	}
}

// Request returns what libwrap asks for, with names to be looked up where that
// can have an answer. Ident knows the users of connected sockets only.
func (s *Socket) Request(daemon string) *libwrap.Request {
	r := &libwrap.Request{Daemon: daemon, Client: s.Client, Server: s.Server, Lookup: libwrap.System{}}
	if s.Unread {
		r.User = "unknown"
	}
	return r
}

// endpoint writes an address the way getnameinfo(3) does, without asking for
// its name.
func endpoint(sa syscall.Sockaddr) libwrap.Endpoint {
	switch sa := sa.(type) {
	case *syscall.SockaddrInet4:
		return libwrap.Endpoint{Addr: string(quad(nil, sa.Addr[:])), Port: sa.Port, HasPort: true}
	case *syscall.SockaddrInet6:
		b := inet6(sa.Addr)
		if sa.ZoneId != 0 {
			b = append(append(b, '%'), zone(sa.Addr, sa.ZoneId)...)
		}
		return libwrap.Endpoint{Addr: string(b), Port: sa.Port, HasPort: true}
	case *syscall.SockaddrUnix:
		// getnameinfo(3) calls every unix socket that, and gives it no name.
		return libwrap.Endpoint{Addr: "localhost", Name: "unknown"}
	}
	return libwrap.Endpoint{Addr: "unknown", Name: "unknown"}
}

func quad(b, ip []byte) []byte {
	for i, c := range ip {
		if i > 0 {
			b = append(b, '.')
		}
		b = strconv.AppendUint(b, uint64(c), 10)
	}
	return b
}

// inet6 is inet_ntop(3): the longest run of zeros becomes "::", the first of
// equals, one zero alone stays; an IPv4 address in the low half keeps its dots.
func inet6(a [16]byte) []byte {
	var w [8]uint16
	for i := range w {
		w[i] = uint16(a[2*i])<<8 | uint16(a[2*i+1])
	}
	gap, n := -1, 1
	for i := 0; i < len(w); i++ {
		j := i
		for j < len(w) && w[j] == 0 {
			j++
		}
		if j-i > n {
			gap, n = i, j-i
		}
		i = j
	}
	var b []byte
	for i := 0; i < len(w); i++ {
		if i == gap {
			b = append(b, ':')
			if i += n - 1; i == len(w)-1 {
				b = append(b, ':')
			}
			continue
		}
		if i > 0 {
			b = append(b, ':')
		}
		if i == 6 && gap == 0 && (n == 6 || n == 5 && w[5] == 0xffff) {
			return quad(b, a[12:])
		}
		b = strconv.AppendUint(b, uint64(w[i]), 16)
	}
	return b
}

// zone names the interface of a link-local address; other scopes are numbers.
func zone(a [16]byte, id uint32) string {
	if a[0] == 0xfe && a[1]&0xc0 == 0x80 || a[0] == 0xff && a[1]&0x0f == 2 {
		if name := interfaceName(id); name != "" {
			return name
		}
	}
	return strconv.FormatUint(uint64(id), 10)
}
