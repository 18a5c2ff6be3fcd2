// Package proxy passes a connection on to another server: the redirect of
// xinetd.conf(5). It knows nothing of services; the daemon runs it in a
// goroutine of its own.
package proxy

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// dialTimeout bounds the search for the other server's name and the connection
// to it.
const dialTimeout = 30 * time.Second

// Files is how many descriptors a connection takes while it is passed on: both
// ends, and on Linux two pipes for splice(2).
const Files = 6

// Run connects to host and port, whose name is looked up each time, and copies
// both ways until both sides have ended or nothing has come from either for
// idle (0: no limit). An end of one side is passed on as a half-close, so the
// other may still answer. client is closed. in and out are the bytes from and
// to the client. When ctx ends both connections are closed. That one side resets
// the connection is no error.
func Run(ctx context.Context, client *os.File, host string, port uint16, idle time.Duration) (in, out int64, err error) {
	c, err := net.FileConn(client)
	client.Close()
	if err != nil {
		return 0, 0, err
	}
	defer c.Close()
	near, ok := c.(*net.TCPConn)
	if !ok {
		return 0, 0, errors.New("not a tcp connection")
	}
	d := net.Dialer{Timeout: dialTimeout}
	s, err := d.DialContext(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(int(port))))
	if err != nil {
		return 0, 0, err
	}
	far := s.(*net.TCPConn)
	defer far.Close()

	// What one side had not finished is no use to the other.
	cut := func() { near.Close(); far.Close() }
	defer context.AfterFunc(ctx, cut)()
	if idle > 0 {
		stop := watch(idle, cut, near, far)
		defer stop()
	}
	var wg sync.WaitGroup
	var inErr, outErr error
	wg.Go(func() { in, inErr = pass(far, near) })
	out, outErr = pass(near, far)
	wg.Wait()
	return in, out, cmp.Or(trouble(outErr), trouble(inErr))
}

// trouble is an error that is more than one side having gone away early, as
// clients do.
func trouble(err error) error {
	for _, gone := range []error{net.ErrClosed, syscall.ECONNRESET, syscall.EPIPE} {
		if errors.Is(err, gone) {
			return nil
		}
	}
	return err
}

// pass copies one way and hands the end on. On Linux io.Copy between TCP
// connections is splice(2).
func pass(to, from *net.TCPConn) (int64, error) {
	n, err := io.Copy(to, from)
	if err != nil {
		// The other direction would wait for a side that is gone.
		to.Close()
		from.Close()
		return n, err
	}
	return n, to.CloseWrite()
}
