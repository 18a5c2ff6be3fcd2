package sock

import (
	"fmt"

	"golang.org/x/sys/unix"
)

func socket(domain, typ, proto int) (int, error) {
	return unix.Socket(domain, typ|unix.SOCK_CLOEXEC, proto)
}

func accept(fd int) (int, unix.Sockaddr, error) {
	return unix.Accept4(fd, unix.SOCK_CLOEXEC)
}

// setFilter maps the BSDs' accept filters to TCP_DEFER_ACCEPT: both keep a
// connection from the server until the client has sent something.
func setFilter(fd int, name string) error {
	const seconds = 30
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, seconds); err != nil {
		return fmt.Errorf("accept filter %s: %w", name, err)
	}
	return nil
}

// Refuse makes a listening stream socket refuse its clients and keep its port:
// shutdown takes it back to bound. SO_REUSEADDR goes first, since with it
// another program could bind the port of a socket that does not listen.
func Refuse(fd int, a Addr, o Options) (int, error) {
	if a.Path != "" {
		return fd, unix.EOPNOTSUPP // a unix-domain socket does not come back from shutdown
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 0); err != nil {
		return fd, fmt.Errorf("SO_REUSEADDR: %w", err)
	}
	if err := unix.Shutdown(fd, unix.SHUT_RDWR); err != nil {
		return fd, fmt.Errorf("shutdown: %w", err)
	}
	return fd, nil
}

// Resume ends what Refuse began.
func Resume(fd int, a Addr, o Options) error {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return fmt.Errorf("SO_REUSEADDR: %w", err)
	}
	return Listen(fd, a, o)
}
