package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Servers for the entries of tests. Each is this test binary under the name
// that stands first among the arguments of the entry. None outlives its test
// for long, whatever happens to the daemon.
func init() {
	server := func(name string, f func(args []string) int) {
		programs[name] = func(args []string) int {
			time.AfterFunc(2*patience, func() { os.Exit(3) })
			return f(args)
		}
	}
	server("srv.say", serveSay)
	server("srv.exit", serveExit)
	server("srv.accept", serveAccepted)
	server("srv.datagrams", serveDatagrams)
	server("srv.sockopt", serveSockopt)
}

// serveSay writes its arguments and ends: "srv.say hello".
func serveSay(args []string) int {
	fmt.Println(strings.Join(args, " "))
	return 0
}

// serveExit ends at once: "srv.exit 3".
func serveExit(args []string) int {
	n, _ := strconv.Atoi(args[0])
	return n
}

// serveAccepted is a stream wait server. It answers N clients with its pid and
// their line and ends: "srv.accept 2".
func serveAccepted(args []string) int {
	n, _ := strconv.Atoi(args[0])
	l, err := net.FileListener(os.Stdin)
	if err != nil {
		return 1
	}
	for range n {
		c, err := l.Accept()
		if err != nil {
			return 1
		}
		text, _ := io.ReadAll(io.LimitReader(c, 1<<16))
		fmt.Fprintf(c, "%d %s", os.Getpid(), text)
		c.Close()
	}
	return 0
}

// serveDatagrams is a dgram server, wait or nowait. It answers N datagrams with its
// pid and their text and ends: "srv.datagrams 2". With a second argument it
// ends when none has come for that time.
func serveDatagrams(args []string) int {
	n, _ := strconv.Atoi(args[0])
	if len(args) > 1 {
		idle, _ := time.ParseDuration(args[1])
		tv := unix.NsecToTimeval(idle.Nanoseconds())
		unix.SetsockoptTimeval(0, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv)
	}
	buf := make([]byte, 65536)
	for range n {
		n, from, err := unix.Recvfrom(0, buf, 0)
		if err == unix.EAGAIN {
			return 0
		}
		if err != nil {
			return 1
		}
		answer := fmt.Appendf(nil, "%d %s", os.Getpid(), buf[:n])
		if _, unconnected := unix.Getpeername(0); unconnected == nil {
			_, err = unix.Write(1, answer)
		} else {
			err = unix.Sendto(1, answer, 0, from)
		}
		if err != nil {
			return 1
		}
	}
	return 0
}

// serveSockopt writes the sizes of the socket's buffers.
func serveSockopt([]string) int {
	snd, err1 := unix.GetsockoptInt(0, unix.SOL_SOCKET, unix.SO_SNDBUF)
	rcv, err2 := unix.GetsockoptInt(0, unix.SOL_SOCKET, unix.SO_RCVBUF)
	fmt.Println(snd, rcv, err1, err2)
	return 0
}
