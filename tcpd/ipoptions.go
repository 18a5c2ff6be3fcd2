//go:build (linux && !386 && !s390x) || freebsd || netbsd

package main

import (
	"runtime"
	"syscall"
	"unsafe"

	"inetd/libwrap"
	"inetd/libwrap/syslog"
)

// IP options, RFC 791, section 3.1.
const (
	optEnd         = 0
	optNop         = 1
	optLooseRoute  = 131 // LSRR
	optStrictRoute = 137 // SSRR
)

// fixOptions shuts a connection that came with a source route: who can name
// the way that answers take can pretend to be anybody. Other IP options are
// removed, since rlogind, rshd and their like refuse to work with them.
func fixOptions(fd int, client string, log *syslog.Writer) {
	var buf [64]byte // a header holds at most 40
	opts := ipOptions(fd, buf[:])
	if len(opts) == 0 {
		return
	}
	if sourceRouted(opts) {
		log.Print(syslog.Warning, "refused connect from "+client+" with IP source routing options")
		syscall.Shutdown(fd, syscall.SHUT_RDWR)
		return
	}
	text := "connect from " + client + " with IP options (ignored):"
	for _, c := range opts {
		const hex = "0123456789abcdef"
		text += " " + string(hex[c>>4]) + string(hex[c&15])
	}
	log.Print(syslog.Notice, text)
	if err := syscall.SetsockoptString(fd, syscall.IPPROTO_IP, syscall.IP_OPTIONS, ""); err != nil {
		log.Print(syslog.Err, "setsockopt IP_OPTIONS NULL: "+libwrap.Strerror(err))
		syscall.Shutdown(fd, syscall.SHUT_RDWR)
	}
}

// ipOptions reads the options of an IPv4 socket into buf.
func ipOptions(fd int, buf []byte) []byte {
	n := uint32(len(buf))
	_, _, e := syscall.Syscall6(syscall.SYS_GETSOCKOPT, uintptr(fd), syscall.IPPROTO_IP, syscall.IP_OPTIONS,
		uintptr(unsafe.Pointer(&buf[0])), uintptr(unsafe.Pointer(&n)), 0)
	if e != 0 || int(n) > len(buf) {
		return nil
	}
	return buf[:n]
}

// sourceRouted walks the options of one datagram.
func sourceRouted(opts []byte) bool {
	if runtime.GOOS != "linux" {
		// BSD puts the first hop in front. The C wrapper skips it everywhere,
		// and so misses a source route on Linux.
		if len(opts) < 4 {
			return false
		}
		opts = opts[4:]
	}
	for len(opts) > 0 {
		size := 1
		switch opts[0] {
		case optLooseRoute, optStrictRoute:
			return true
		case optEnd:
			return false
		case optNop:
		default:
			if len(opts) < 2 || opts[1] == 0 || int(opts[1]) > len(opts) {
				return false
			}
			size = int(opts[1])
		}
		opts = opts[size:]
	}
	return false
}
