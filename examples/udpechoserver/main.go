// Udpechoserver is a UDP echo server for inetd's "dgram udp wait".
//
// With UDP there is no connection to hand over. inetd sees that a datagram has
// arrived and gives us the socket itself, unread, as descriptors 0, 1 and 2;
// then it leaves the port alone until we exit. So we read that datagram, and
// any that follow, and exit when nobody has asked for a while. inetd then
// watches the port again, and nothing is lost: a datagram that arrives while
// we are leaving waits in the socket and starts the next of us.
//
// In inetd.conf:
//
//	myecho_udp dgram udp wait nobody /usr/local/sbin/udpechoserver udpechoserver -t 30s
package main

import (
	"errors"
	"flag"
	"io"
	"log"
	"log/syslog"
	"syscall"
	"time"
)

func main() {
	idle := flag.Duration("t", time.Minute, "exit after this time without a datagram")
	flag.Parse()
	// Standard error is the socket: nothing for the administrator may go there.
	if w, err := syslog.New(syslog.LOG_DAEMON|syslog.LOG_ERR, "udpechoserver"); err == nil {
		log.SetOutput(w)
		log.SetFlags(0)
	} else {
		log.SetOutput(io.Discard)
	}
	if err := serve(*idle); err != nil {
		log.Fatal(err)
	}
}

// serve answers datagrams until none has come for the idle time. It returns
// nil then, and an error when descriptor 0 is no socket it can read.
func serve(idle time.Duration) error {
	if t, err := syscall.GetsockoptInt(0, syscall.SOL_SOCKET, syscall.SO_TYPE); err != nil {
		return err
	} else if t != syscall.SOCK_DGRAM {
		return errors.New("not started for datagrams: inetd.conf must say dgram udp wait")
	}
	// Other inetds may leave the socket non-blocking.
	if err := syscall.SetNonblock(0, false); err != nil {
		return err
	}
	// SO_RCVTIMEO makes recvfrom give up, with EAGAIN, after that time.
	tv := syscall.NsecToTimeval(idle.Nanoseconds())
	if err := syscall.SetsockoptTimeval(0, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &tv); err != nil {
		return err
	}
	buf := make([]byte, 65536) // larger than any UDP datagram
	for {
		n, from, err := syscall.Recvfrom(0, buf, 0)
		switch err {
		case nil:
		case syscall.EAGAIN:
			return nil
		case syscall.EINTR, syscall.ECONNREFUSED:
			// A signal, or word that nobody took an earlier answer.
			continue
		default:
			return err
		}
		if isService(from) {
			continue
		}
		if err := syscall.Sendto(1, buf[:n], 0, from); err != nil {
			log.Print(err)
		}
	}
}

// isService tells whether a datagram came from a port where servers live. Who
// answers those can be made to play ping-pong with another echo server for
// ever, by one datagram with a forged sender.
func isService(from syscall.Sockaddr) bool {
	switch a := from.(type) {
	case *syscall.SockaddrInet4:
		return a.Port < 1024
	case *syscall.SockaddrInet6:
		return a.Port < 1024
	}
	return true
}
