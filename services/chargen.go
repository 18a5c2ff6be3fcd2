package services

import (
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// RFC 864 as every BSD sends it: lines of 72 characters out of a ring of the 95
// printable ones, each line beginning one further along, ended by CRLF.
const (
	ringChars = 95
	lineChars = 72
	lineLen   = lineChars + 2
	turnLen   = ringChars * lineLen // the pattern repeats after 95 lines
)

// appendLine appends the line that begins at character i of the ring.
func appendLine(dst []byte, i int) []byte {
	for j := range lineChars {
		dst = append(dst, ' '+byte((i+j)%ringChars))
	}
	return append(dst, "\r\n"...)
}

// block is the pattern often enough that a write fills a socket buffer. All
// connections send from it, so a stalled one holds an offset and nothing else.
var block = sync.OnceValue(func() []byte {
	const turns = 37 // about 256 kB
	b := make([]byte, 0, turns*turnLen)
	for i := range turns * ringChars {
		b = appendLine(b, i)
	}
	return b
})

// chargen is RFC 864 on a stream: the pattern without end; what the peer sends
// is thrown away.
func chargen(c *Conn) error {
	if _, err := c.start(limitOptions); err != nil {
		return err
	}
	off := 0
	deaf := false // the peer has nothing more to say
	try := func(fd uintptr) bool {
		c.n, c.err = retry(func() (int, error) { return syscall.Write(int(fd), block()[off:]) })
		if c.err != syscall.EAGAIN {
			return true
		}
		if !deaf {
			n, err := drain(int(fd))
			c.In += int64(max(n, 0))
			deaf = n == 0 && err == nil
		}
		return !c.parkWrite(fd)
	}
	for {
		err := c.send(try)
		if err == nil {
			err = c.err
		}
		if err != nil {
			return err
		}
		c.Out += int64(c.n)
		off = (off + c.n) % turnLen
	}
}

var nextLine atomic.Uint32

// chargenDatagram is RFC 864 on datagrams: one line, the next of the ring each
// time. It is the one answer that may be far longer than its request.
func chargenDatagram(dst, _ []byte, _ time.Time) []byte {
	return appendLine(dst, int((nextLine.Add(1)-1)%ringChars))
}
