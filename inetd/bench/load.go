//go:build linux

package main

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The clients use raw system calls on blocking sockets: a client that the Go
// scheduler does not notice costs little more than one in C.

// dial connects to a from src, or from any address where that is invalid.
func dial(a netip.AddrPort, src netip.Addr) (int, error) {
	fd, err := socket(unix.SOCK_STREAM)
	if err != nil {
		return -1, err
	}
	if src.IsValid() {
		if err := call(unix.SYS_BIND, fd, netip.AddrPortFrom(src, 0)); err != nil {
			unix.Close(fd)
			return -1, fmt.Errorf("bind: %w", err)
		}
	}
	if err := call(unix.SYS_CONNECT, fd, a); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("connect: %w", err)
	}
	return fd, nil
}

func socket(typ int) (int, error) {
	fd, _, e := unix.RawSyscall(unix.SYS_SOCKET, unix.AF_INET, uintptr(typ|unix.SOCK_CLOEXEC), 0)
	if e != 0 {
		return -1, fmt.Errorf("socket: %w", e)
	}
	return int(fd), nil
}

// call is bind or connect.
func call(trap uintptr, fd int, a netip.AddrPort) error {
	sa := unix.RawSockaddrInet4{Family: unix.AF_INET, Port: a.Port()>>8 | a.Port()<<8, Addr: a.Addr().As4()}
	if bigEndian {
		sa.Port = a.Port()
	}
	if _, _, e := unix.RawSyscall(trap, uintptr(fd), uintptr(unsafe.Pointer(&sa)), unsafe.Sizeof(sa)); e != 0 {
		return e
	}
	return nil
}

var bigEndian = func() bool {
	one := uint16(1)
	return *(*byte)(unsafe.Pointer(&one)) == 0
}()

func read(fd int, b []byte) (int, error) {
	n, _, e := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	if e != 0 {
		return 0, e
	}
	return int(n), nil
}

// send does not raise SIGPIPE.
func send(fd int, b []byte) (int, error) {
	n, _, e := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), unix.MSG_NOSIGNAL, 0, 0)
	if e != 0 {
		return 0, e
	}
	return int(n), nil
}

// reset closes a connection without leaving a TIME_WAIT behind at either end,
// so that later rounds find the tables as the first did.
func reset(fd int) {
	linger := unix.Linger{Onoff: 1}
	unix.RawSyscall6(unix.SYS_SETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_LINGER, uintptr(unsafe.Pointer(&linger)), unsafe.Sizeof(linger), 0)
	unix.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0)
}

// conversation connects, reads to the end and says how many bytes came.
func conversation(a netip.AddrPort, src netip.Addr, current *atomic.Int64, buf []byte) (int, error) {
	fd, err := dial(a, src)
	if err != nil {
		return 0, err
	}
	current.Store(int64(fd) + 1)
	total := 0
	for {
		n, err := read(fd, buf)
		if n == 0 || err != nil {
			break // an error is a reset, as a refusal may be
		}
		total += n
	}
	current.Store(0)
	reset(fd)
	return total, nil
}

// A load is what clients saw.
type load struct {
	conns int // conversations
	empty int // of these without an answer
	took  time.Duration
	waits []time.Duration // from connect to the end, of each
}

func (l load) rate() float64 { return float64(l.conns) / l.took.Seconds() }

// stuck is how long one conversation may take before the run ends.
const stuck = 10 * time.Second

// converse has so many clients, each one connection after the other, for d.
func converse(a netip.AddrPort, clients int, d time.Duration) (load, error) {
	return converseFrom(a, clients, d, 0)
}

// served is converse where every client must get an answer.
func served(a netip.AddrPort, clients int, d time.Duration) (load, error) {
	l, err := converse(a, clients, d)
	if err == nil && (l.empty > 0 || l.conns == 0) {
		err = fmt.Errorf("%s: %d of %d clients got no answer", a, l.empty, l.conns)
	}
	return l, err
}

// converseFrom ends after n conversations in all when n is not 0, each from an
// address of its own in 127/8.
func converseFrom(a netip.AddrPort, clients int, d time.Duration, n int) (load, error) {
	type client struct {
		lat     []time.Duration
		empty   int
		err     error
		current atomic.Int64 // descriptor + 1
	}
	cs := make([]client, clients)
	var next atomic.Int64
	var wg sync.WaitGroup
	begin := time.Now()
	end := begin.Add(d)
	for i := range cs {
		c := &cs[i]
		c.lat = make([]time.Duration, 0, 4096)
		wg.Go(func() {
			buf := make([]byte, 4096)
			for {
				var src netip.Addr
				if n > 0 {
					k := next.Add(1)
					if k > int64(n) {
						return
					}
					src = source(int(k))
				}
				t := time.Now()
				if t.After(end) {
					return
				}
				got, err := conversation(a, src, &c.current, buf)
				if err != nil {
					c.err = err
					return
				}
				if got == 0 {
					c.empty++
				}
				c.lat = append(c.lat, time.Since(t))
			}
		})
	}
	// A client that waits for ever is woken by shutting down its connection.
	watch := time.AfterFunc(d+stuck, func() {
		for i := range cs {
			if fd := cs[i].current.Load(); fd > 0 {
				unix.Shutdown(int(fd-1), unix.SHUT_RDWR)
			}
		}
	})
	wg.Wait()
	l := load{took: time.Since(begin)}
	if !watch.Stop() {
		return l, fmt.Errorf("%s: no answer within %v", a, stuck)
	}
	for i := range cs {
		if cs[i].err != nil {
			return l, fmt.Errorf("%s: %w", a, cs[i].err)
		}
		l.empty += cs[i].empty
		l.waits = append(l.waits, cs[i].lat...)
	}
	l.conns = len(l.waits)
	return l, nil
}

// source is the n-th client address, outside of those that daemons have.
func source(n int) netip.Addr {
	return netip.AddrFrom4([4]byte{127, byte(100 + n>>16), byte(n >> 8), byte(n)})
}

// stream moves bytes over one connection for d from the first on, in both
// directions as asked, and returns how many came back, or where nothing is read
// how many went.
func stream(a netip.AddrPort, d time.Duration, write, receive bool) (bytesPerSecond float64, err error) {
	fd, err := dial(a, netip.Addr{})
	if err != nil {
		return 0, err
	}
	var in, out atomic.Int64
	var wg sync.WaitGroup
	pump := func(op func(int, []byte) (int, error), count *atomic.Int64) {
		wg.Go(func() {
			buf := make([]byte, 128<<10)
			for {
				n, err := op(fd, buf)
				if n == 0 || err != nil && !errors.Is(err, unix.EINTR) {
					return
				}
				count.Add(int64(n))
			}
		})
	}
	if write {
		pump(send, &out)
	}
	count := &out
	if receive {
		pump(read, &in)
		count = &in
	}
	for end := time.Now().Add(stuck); count.Load() == 0 && time.Now().Before(end); {
		time.Sleep(100 * time.Microsecond)
	}
	first, begin := count.Load(), time.Now()
	time.Sleep(d)
	bytesPerSecond = float64(count.Load()-first) / time.Since(begin).Seconds()
	unix.Shutdown(fd, unix.SHUT_RDWR)
	wg.Wait()
	reset(fd)
	if first == 0 {
		return 0, fmt.Errorf("%s: not one byte in %v", a, stuck)
	}
	return bytesPerSecond, nil
}

// mmsghdr is the kernel's struct for sendmmsg(2) and recvmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
}

// datagrams keeps window datagrams of size bytes on their way to a and back
// for d. It returns the answers a second and the percentage that had none.
func datagrams(a netip.AddrPort, size, window int, d time.Duration) (rate, lost float64, err error) {
	fd, err := socket(unix.SOCK_DGRAM)
	if err != nil {
		return 0, 0, err
	}
	defer unix.Close(fd)
	if err := call(unix.SYS_CONNECT, fd, a); err != nil {
		return 0, 0, fmt.Errorf("connect: %w", err)
	}
	// A lost datagram would take its place in the window with it.
	unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 20_000})
	var out, in []mmsghdr
	vector := func() []mmsghdr {
		v := make([]mmsghdr, window)
		for i := range v {
			b := make([]byte, size)
			iov := &unix.Iovec{Base: &b[0]}
			iov.SetLen(size)
			v[i].hdr.Iov = iov
			v[i].hdr.SetIovlen(1)
		}
		return v
	}
	out, in = vector(), vector()
	if err := knock(fd, size); err != nil {
		return 0, 0, fmt.Errorf("%s: %w", a, err)
	}
	total, missing := 0, 0
	begin := time.Now()
	for flying := 0; time.Since(begin) < d; {
		if n := window - flying; n > 0 {
			m, _, e := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&out[0])), uintptr(n), 0, 0, 0)
			if e != 0 {
				return 0, 0, fmt.Errorf("sendmmsg: %w", e)
			}
			flying += int(m)
		}
		n, _, e := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&in[0])), uintptr(window), unix.MSG_WAITFORONE, 0, 0)
		switch {
		case e == syscall.EAGAIN:
			missing += flying
			flying = 0
		case e != 0:
			return 0, 0, fmt.Errorf("recvmmsg: %w", e)
		default:
			total += int(n)
			flying = max(0, flying-int(n))
		}
	}
	return float64(total) / time.Since(begin).Seconds(), 100 * float64(missing) / float64(max(1, total+missing)), nil
}

// knock sends one datagram after the other until one is answered.
func knock(fd, size int) error {
	b := make([]byte, size)
	for end := time.Now().Add(stuck); time.Now().Before(end); {
		if _, err := send(fd, b); err != nil {
			return err
		}
		if n, err := read(fd, b); err == nil && n == size {
			return nil
		}
	}
	return fmt.Errorf("no answer within %v", stuck)
}
