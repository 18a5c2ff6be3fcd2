package rpcbind

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
)

// Numbers of RFC 1833. Versions 2 and 3 agree on the first two procedures.
const (
	program  = 100000
	rpcbVers = 3
	pmapVers = 2

	procSet   = 1
	procUnset = 2
	procDump  = 4

	protoTCP = 6
	protoUDP = 17
)

// maxReply bounds what is read of one reply, in bytes. Only a list is longer
// than 32; this is room for 3000 entries.
const maxReply = 64 << 10

var errMalformed = errors.New("malformed reply")

// A mismatch is the answer of a port mapper that lacks the version asked for.
type mismatch struct{ low, high uint32 }

func (e mismatch) Error() string {
	return fmt.Sprintf("port mapper protocol: it speaks versions %d to %d", e.low, e.high)
}

// A client is one connection to a port mapper.
type client struct {
	conn net.Conn
	xid  uint32
	old  bool // it speaks version 2 only

	renew bool // what is set stands already
}

// change registers or removes one version; ok is false when the entry there
// belongs to somebody else.
func (c *client) change(m Mapping, vers uint32, set bool) (ok bool, err error) {
	if !c.old {
		ok, err = c.rpcb(m, vers, set)
		var e mismatch
		if !errors.As(err, &e) || e.low > pmapVers || e.high < pmapVers {
			return ok, err
		}
		c.old = true
	}
	switch {
	case m.Netid == "tcp":
		return c.pmap(pmap{m.Program, vers, protoTCP, uint32(m.Addr.Port())}, set)
	case m.Netid == "udp":
		return c.pmap(pmap{m.Program, vers, protoUDP, uint32(m.Addr.Port())}, set)
	case set:
		return false, fmt.Errorf("port mapper without %s: %w", m.Netid, errors.ErrUnsupported)
	}
	return true, nil
}

func (c *client) rpcb(m Mapping, vers uint32, set bool) (bool, error) {
	if c.renew {
		// True for an entry with this address too.
		ok, err := c.ask(rpcbVers, procSet, appendRPCB(nil, m.Program, vers, m.Netid, m.uaddr(), owner()))
		if ok || err != nil {
			return ok, err
		}
	}
	ok, err := c.ask(rpcbVers, procUnset, appendRPCB(nil, m.Program, vers, m.Netid, "", owner()))
	if err != nil || !set {
		return ok, err
	}
	// A refused removal is not the end: an entry with the very address asked
	// for is as good as ours.
	return c.ask(rpcbVers, procSet, appendRPCB(nil, m.Program, vers, m.Netid, m.uaddr(), owner()))
}

// owner is what libtirpc sends; rpcbind knows the owner by the connection.
func owner() string { return strconv.Itoa(os.Geteuid()) }

// A pmap is an entry of version 2, which has neither netids nor addresses.
type pmap struct{ prog, vers, prot, port uint32 }

// pmap does to one protocol what version 2 only does to both: its UNSET takes
// the program's tcp and udp entries away together, so the other one is put
// back.
func (c *client) pmap(p pmap, set bool) (bool, error) {
	body, err := c.call(pmapVers, procDump, nil)
	if err != nil {
		return false, err
	}
	list, err := parseDump(body)
	if err != nil {
		return false, err
	}
	var stale, other *pmap
	for i, e := range list {
		switch {
		case e.prog != p.prog || e.vers != p.vers:
		case e.prot == p.prot:
			stale = &list[i]
		default:
			other = &list[i]
		}
	}
	if set && stale != nil && stale.port == p.port {
		return true, nil
	}
	if stale != nil {
		if ok, err := c.ask(pmapVers, procUnset, p.append(nil)); !ok {
			return false, err
		}
		if other != nil {
			if ok, err := c.ask(pmapVers, procSet, other.append(nil)); !ok {
				return false, err
			}
		}
	}
	if !set {
		return true, nil
	}
	return c.ask(pmapVers, procSet, p.append(nil))
}

// ask calls a procedure that answers yes or no.
func (c *client) ask(vers, proc uint32, args []byte) (bool, error) {
	body, err := c.call(vers, proc, args)
	if err != nil {
		return false, err
	}
	d := decoder{b: body}
	answer := d.uint32()
	if d.bad || len(d.b) != 0 || answer > 1 {
		return false, errMalformed
	}
	return answer == 1, nil
}

// call does one round trip and returns the results as XDR.
func (c *client) call(vers, proc uint32, args []byte) ([]byte, error) {
	c.xid++
	if _, err := c.conn.Write(appendCall(nil, c.xid, vers, proc, args)); err != nil {
		return nil, err
	}
	rec, err := readRecord(c.conn)
	if err != nil {
		return nil, err
	}
	return parseReply(rec, c.xid)
}

// appendCall adds a call message as one record (RFC 5531 sections 9 and 11).
// Credentials are empty: nobody believes them.
func appendCall(b []byte, xid, vers, proc uint32, args []byte) []byte {
	const header = 40
	return append(appendUint32s(b, 1<<31|uint32(header+len(args)),
		xid, 0, 2, program, vers, proc,
		0, 0, 0, 0), args...)
}

// appendRPCB adds struct rpcb of RFC 1833 section 2.1.
func appendRPCB(b []byte, prog, vers uint32, netid, addr, owner string) []byte {
	b = appendUint32s(b, prog, vers)
	for _, s := range []string{netid, addr, owner} {
		b = append(appendUint32s(b, uint32(len(s))), s...)
		b = append(b, make([]byte, -len(s)&3)...)
	}
	return b
}

func (p pmap) append(b []byte) []byte { return appendUint32s(b, p.prog, p.vers, p.prot, p.port) }

func appendUint32s(b []byte, vs ...uint32) []byte {
	for _, v := range vs {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	return b
}

// readRecord reads the fragments of one record. Their headers count against
// maxReply, so that empty ones come to an end too.
func readRecord(r io.Reader) ([]byte, error) {
	var rec []byte
	for left := uint32(maxReply); ; {
		var head [4]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return nil, err
		}
		h := binary.BigEndian.Uint32(head[:])
		size := h &^ (1 << 31)
		if left < 4 || size > left-4 {
			return nil, fmt.Errorf("%w: longer than %d bytes", errMalformed, maxReply)
		}
		left -= 4 + size
		n := len(rec)
		rec = append(rec, make([]byte, size)...)
		if _, err := io.ReadFull(r, rec[n:]); err != nil {
			return nil, err
		}
		if h>>31 == 1 {
			return rec, nil
		}
	}
}

// parseReply returns the results of a reply message (RFC 5531 section 9).
func parseReply(rec []byte, xid uint32) ([]byte, error) {
	d := decoder{b: rec}
	id, kind, stat := d.uint32(), d.uint32(), d.uint32()
	if d.bad || id != xid || kind != 1 {
		return nil, errMalformed
	}
	switch stat {
	case 0: // accepted
		d.uint32() // flavour of the verifier
		d.opaque(400)
		why := d.uint32()
		switch {
		case d.bad:
		case why == 0:
			return d.b, nil
		case why == 2:
			if e := (mismatch{d.uint32(), d.uint32()}); !d.bad {
				return nil, e
			}
		default:
			// Program unavailable, procedure unavailable, garbage, system
			// error: from a port mapper all the same to us.
			return nil, fmt.Errorf("call not served (accept status %d)", why)
		}
	case 1: // denied
		switch reject := d.uint32(); {
		case d.bad:
		case reject == 0:
			return nil, errors.New("it speaks another version of RPC")
		case reject == 1:
			// rpcbind's answer to callers it does not take for local.
			if why := d.uint32(); !d.bad {
				return nil, fmt.Errorf("permission denied (authentication status %d)", why)
			}
		}
	}
	return nil, errMalformed
}

// parseDump reads the list that version 2 answers DUMP with.
func parseDump(body []byte) ([]pmap, error) {
	d := decoder{b: body}
	var list []pmap
	for {
		switch more := d.uint32(); {
		case d.bad || more > 1:
			return nil, errMalformed
		case more == 0:
			if len(d.b) != 0 {
				return nil, errMalformed
			}
			return list, nil
		}
		list = append(list, pmap{d.uint32(), d.uint32(), d.uint32(), d.uint32()})
	}
}

// A decoder reads XDR (RFC 4506). Past the end it sets bad and reads zeros.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) uint32() uint32 {
	if len(d.b) < 4 {
		d.b, d.bad = nil, true
		return 0
	}
	v := binary.BigEndian.Uint32(d.b)
	d.b = d.b[4:]
	return v
}

// opaque skips bytes of variable length, at most max, and their padding.
func (d *decoder) opaque(max uint32) {
	n := d.uint32()
	padded := (n + 3) &^ 3
	if n > max || padded > uint32(len(d.b)) {
		d.b, d.bad = nil, true
		return
	}
	d.b = d.b[padded:]
}
