package services

import (
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// DefaultIdle is a sensible Conn.Idle for services left open to the world.
const DefaultIdle = 10 * time.Minute

// A Conn is the connection a built-in converses on. One goroutine uses it;
// only Close may be called from another one.
type Conn struct {
	Idle  time.Duration // end after so long without a byte either way; 0: never. Option -I overrides
	Life  time.Duration // end so long after the start whatever happens; 0: never. Option -L overrides
	Args  []string      // the argument field of the configuration line
	Users Users         // for auth with -r, which is an error without

	In, Out int64 // bytes from and to the peer, valid when the conversation is over

	f      *os.File
	rc     syscall.RawConn
	end    time.Time // of its life, zero: none
	closed atomic.Bool

	// What the callbacks below work on. They are made once per connection so
	// that a wait allocates nothing.
	buf     *buffer
	n       int
	out     []byte
	queued  int // bytes that the peer had not taken when the wait began
	err     error
	waited  bool
	onRead  func(fd uintptr) bool
	onWrite func(fd uintptr) bool
}

// NewConn wraps a connected socket that is already non-blocking when f is made
// with os.NewFile, so that the runtime's poller serves it. f belongs to the
// Conn from now on.
func NewConn(f *os.File) *Conn {
	c := &Conn{f: f}
	c.rc, c.err = f.SyscallConn()
	c.onRead, c.onWrite = c.tryRead, c.tryWrite
	return c
}

// File returns the socket.
func (c *Conn) File() *os.File { return c.f }

// Close closes the socket. Called while the conversation goes on, it ends it
// with os.ErrClosed.
func (c *Conn) Close() error {
	c.closed.Store(true)
	return c.f.Close()
}

// start reads the arguments and starts the clocks. Every Stream calls it first.
func (c *Conn) start(letters string) (options, error) {
	o, err := parseOptions(letters, c.Args)
	if err != nil {
		return o, err
	}
	if o.idle >= 0 {
		c.Idle = o.idle
	}
	if o.life >= 0 {
		c.Life = o.life
	}
	return o, c.startClocks()
}

func (c *Conn) startClocks() error {
	if c.rc == nil {
		return os.ErrInvalid
	}
	now := time.Now()
	c.end = time.Time{}
	if c.Life > 0 {
		c.end = now.Add(c.Life)
	}
	return c.plain(c.f.SetDeadline(c.limit(now)))
}

// plain gives the error of a closed socket the name it has elsewhere: those of
// a RawConn and of SetDeadline are package internal/poll's own.
func (c *Conn) plain(err error) error {
	if err != nil && c.closed.Load() {
		return os.ErrClosed
	}
	return err
}

// limit is when a wait that begins now has to end; zero is never.
func (c *Conn) limit(now time.Time) time.Time {
	if c.Idle <= 0 {
		return c.end
	}
	if t := now.Add(c.Idle); c.end.IsZero() || t.Before(c.end) {
		return t
	}
	return c.end
}

// alive reports whether the lifetime of c is not over.
func (c *Conn) alive() bool { return c.end.IsZero() || time.Now().Before(c.end) }

// wait runs try now and again whenever the socket is ready, until it returns
// true. try sets c.waited and a new deadline when it has to wait: a deadline
// that passes without that is left over from an earlier wait and only means
// that the connection was too busy to wait since.
func (c *Conn) wait(op func(func(uintptr) bool) error, try func(uintptr) bool) error {
	for {
		c.waited = false
		err := op(try)
		if err == nil || c.waited || !errors.Is(err, os.ErrDeadlineExceeded) {
			return c.plain(err)
		}
		if !c.alive() {
			return err
		}
		if err := c.f.SetDeadline(c.limit(time.Now())); err != nil {
			return c.plain(err)
		}
	}
}

// read returns the next bytes from the peer in a buffer the caller gives back.
// The buffer is taken only when there is something to read, so an idle
// connection holds none. The error is io.EOF when the peer has closed its side.
func (c *Conn) read() (b *buffer, n int, err error) {
	if err := c.wait(c.rc.Read, c.onRead); err != nil {
		return nil, 0, err
	}
	if c.err != nil {
		return nil, 0, c.err
	}
	b, c.buf = c.buf, nil
	c.In += int64(c.n)
	return b, c.n, nil
}

func (c *Conn) tryRead(fd uintptr) bool {
	c.buf = takeBuffer()
	c.n, c.err = retry(func() (int, error) { return syscall.Read(int(fd), c.buf.data) })
	if c.err == nil && c.n == 0 {
		c.err = io.EOF
	}
	if c.err != nil {
		c.buf.give()
		c.buf = nil
	}
	return c.err != syscall.EAGAIN || !c.park(c.f.SetReadDeadline)
}

// park prepares to wait and reports whether there is a reason to.
func (c *Conn) park(set func(time.Time) error) bool {
	c.waited = true
	c.err = c.plain(set(c.limit(time.Now())))
	return c.err == nil
}

// parkWrite prepares to wait until there is room to write.
func (c *Conn) parkWrite(fd uintptr) bool {
	c.queued = queued(int(fd))
	return c.park(c.f.SetWriteDeadline)
}

// send is wait for a try that writes. A peer that reads slowly makes no room for
// long, since the kernel tells of none before a third of its buffer is free: as
// long as it takes anything it is not idle. What one has not taken when the time
// is over would stay in the kernel, up to megabytes of it for minutes: the close
// that follows resets the connection.
func (c *Conn) send(try func(uintptr) bool) error {
	for {
		err := c.wait(c.rc.Write, try)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		takes := false
		c.rc.Control(func(fd uintptr) {
			if takes = c.alive() && queued(int(fd)) < c.queued; !takes {
				syscall.SetsockoptLinger(int(fd), syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1})
			}
		})
		if !takes {
			return err
		}
		if err := c.f.SetDeadline(c.limit(time.Now())); err != nil {
			return c.plain(err)
		}
	}
}

// Write sends all of p, waiting within the limits of c.
func (c *Conn) Write(p []byte) (int, error) {
	c.out, c.err = p, nil
	err := c.send(c.onWrite)
	n := len(p) - len(c.out)
	c.Out += int64(n)
	c.out = nil
	if err == nil {
		err = c.err
	}
	return n, err
}

func (c *Conn) tryWrite(fd uintptr) bool {
	for len(c.out) > 0 {
		n, err := retry(func() (int, error) { return syscall.Write(int(fd), c.out) })
		if n > 0 {
			c.out = c.out[n:]
		}
		if err == syscall.EAGAIN {
			return !c.parkWrite(fd)
		}
		if err != nil {
			c.err = err
			return true
		}
	}
	return true
}

func retry(f func() (int, error)) (int, error) {
	for {
		n, err := f()
		if err != syscall.EINTR {
			return n, err
		}
	}
}

// Buffers are shared by all connections. Big ones make a fast stream cheap: at
// 512 kB an echo costs two thirds of the processor time of one at 64 kB, both
// ends together. So that many stalled peers cannot hold much, only a few are
// big at any time and the rest small.
const (
	bigBuffer   = 512 << 10
	smallBuffer = 16 << 10
	maxBig      = 32
)

type buffer struct{ data []byte }

var (
	bigs     = sync.Pool{New: func() any { return &buffer{make([]byte, bigBuffer)} }}
	smalls   = sync.Pool{New: func() any { return &buffer{make([]byte, smallBuffer)} }}
	bigsUsed atomic.Int32
)

func takeBuffer() *buffer {
	if bigsUsed.Add(1) <= maxBig {
		return bigs.Get().(*buffer)
	}
	bigsUsed.Add(-1)
	return smalls.Get().(*buffer)
}

func (b *buffer) give() {
	if len(b.data) == smallBuffer {
		smalls.Put(b)
		return
	}
	bigsUsed.Add(-1)
	bigs.Put(b)
}
