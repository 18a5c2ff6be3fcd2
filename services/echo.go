package services

import (
	"io"
	"time"
)

// echo is RFC 862 on a stream: everything comes back, also what was sent before
// the peer closed its side.
func echo(c *Conn) error {
	if _, err := c.start(limitOptions); err != nil {
		return err
	}
	for {
		b, n, err := c.read()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		_, err = c.Write(b.data[:n])
		b.give()
		if err != nil {
			return err
		}
	}
}

// echoDatagram is RFC 862 on datagrams: the same bytes, the empty datagram
// included.
func echoDatagram(dst, msg []byte, _ time.Time) []byte {
	if dst = append(dst, msg...); dst == nil {
		dst = []byte{}
	}
	return dst
}
