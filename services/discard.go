package services

import (
	"errors"
	"os"
	"syscall"
	"time"
)

// discard is RFC 863 on a stream: everything is thrown away until the peer
// closes its side.
func discard(c *Conn) error {
	if _, err := c.start(limitOptions); err != nil {
		return err
	}
	last := time.Now() // when something came
	take := func(fd uintptr) { c.n, c.err = retry(func() (int, error) { return drain(int(fd)) }) }
	set := func(time.Time) error { return c.f.SetReadDeadline(c.limit(last)) }
	try := func(fd uintptr) bool {
		take(fd)
		return c.err != syscall.EAGAIN || !c.park(set)
	}
	c.rc.Control(func(fd uintptr) { wakeLate(int(fd)) })
	for {
		err := c.wait(c.rc.Read, try)
		late := time.Duration(0)
		if errors.Is(err, os.ErrDeadlineExceeded) && c.alive() {
			// Idle, or is there something too small to be woken for?
			cerr := c.rc.Control(func(fd uintptr) {
				take(fd)
				late = sinceData(int(fd))
			})
			if c.err != syscall.EAGAIN {
				err = c.plain(cerr)
			}
		}
		if err == nil {
			err = c.err
		}
		if err != nil || c.n == 0 {
			return err
		}
		last = time.Now().Add(-late)
		c.In += int64(c.n)
	}
}

// drainInto reads what there is and forgets it.
func drainInto(fd int) (int, error) {
	b := takeBuffer()
	defer b.give()
	return syscall.Read(fd, b.data)
}

// discardDatagram is RFC 863 on datagrams: no answer.
func discardDatagram(_, _ []byte, _ time.Time) []byte { return nil }
