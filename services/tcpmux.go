package services

import (
	"bytes"
	"errors"
	"io"
	"syscall"
	"time"
)

// The answers of RFC 1078.
const (
	MuxGo      = "+Go\r\n"                    // sent by the daemon for tcpmux/+name entries
	MuxRefused = "-Service not available\r\n" // there is no such entry, or it may not be had
)

// muxTimeout is how long ReadMuxName waits for the whole line when c.Life is 0.
const muxTimeout = 10 * time.Second

// maxMuxName is the longest name, in bytes.
const maxMuxName = 256

// errMuxName is returned for a line that cannot be a service name.
var errMuxName = errors.New("not a tcpmux service name")

// ReadMuxName reads the first line of RFC 1078, the name of a service in any
// case and CRLF, and returns it in lower case. Nothing behind the line is taken
// off the socket, so the service finds every byte meant for it. A bare LF ends
// the line too. Errors are io.ErrUnexpectedEOF, os.ErrDeadlineExceeded, those of
// the socket, and one for a line that is no name: too long, empty, a byte that is
// not printable ASCII or is a blank, a CR without LF.
func ReadMuxName(c *Conn) (string, error) {
	life := c.Life
	defer func() { c.Life = life }()
	if c.Life <= 0 {
		c.Life = muxTimeout
	}
	if err := c.startClocks(); err != nil {
		return "", err
	}
	defer c.f.SetDeadline(time.Time{})

	var line [maxMuxName + 2]byte
	n := 0 // bytes of line taken off the socket
	peek := func(fd uintptr) bool {
		c.n, c.err = retry(func() (int, error) {
			n, _, err := syscall.Recvfrom(int(fd), line[n:], syscall.MSG_PEEK)
			return n, err
		})
		return c.err != syscall.EAGAIN || !c.park(c.f.SetReadDeadline)
	}
	take := func(fd uintptr) bool {
		c.n, c.err = retry(func() (int, error) { return syscall.Read(int(fd), line[n:n+c.n]) })
		return true
	}
	for n < len(line) {
		if err := c.muxStep(peek); err != nil {
			return "", err
		}
		if i := bytes.IndexByte(line[n:n+c.n], '\n'); i >= 0 {
			c.n = i + 1
		}
		if err := c.muxStep(take); err != nil {
			return "", err
		}
		n += c.n
		c.In += int64(c.n)
		if line[n-1] == '\n' {
			return muxName(line[:n])
		}
	}
	return "", errMuxName
}

func (c *Conn) muxStep(try func(uintptr) bool) error {
	if err := c.wait(c.rc.Read, try); err != nil {
		return err
	}
	if c.err == nil && c.n == 0 {
		return io.ErrUnexpectedEOF
	}
	return c.err
}

// muxName reads a line that ends in LF.
func muxName(line []byte) (string, error) {
	line = bytes.TrimSuffix(line[:len(line)-1], []byte("\r"))
	if len(line) == 0 || len(line) > maxMuxName {
		return "", errMuxName
	}
	name := make([]byte, len(line))
	for i, b := range line {
		if b <= ' ' || b > '~' {
			return "", errMuxName
		}
		if 'A' <= b && b <= 'Z' {
			b += 'a' - 'A'
		}
		name[i] = b
	}
	return string(name), nil
}

// AppendMuxHelp appends the answer to the reserved name "help": the names, one
// to a line, without a sign in front (RFC 1078, Service Names).
func AppendMuxHelp(dst []byte, names []string) []byte {
	for _, name := range names {
		dst = append(append(dst, name...), "\r\n"...)
	}
	return dst
}
