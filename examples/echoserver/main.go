// Echoserver is the echo service as a program of its own: it opens the socket,
// waits for clients, and serves each of them at the same time as the others.
//
//	echoserver [address]
//
// The address is host:port, or :port for every address of this machine. It is
// localhost:5000 when none is given.
//
// Compare myecho_service: there inetd does all of this, and what is left is
// reading and writing.
package main

import (
	"errors"
	"io"
	"log"
	"net"
	"os"
	"time"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("echoserver: ")
	address := "localhost:5000"
	switch len(os.Args) {
	case 1:
	case 2:
		address = os.Args[1]
	default:
		log.Fatal("usage: echoserver [address]")
	}

	// socket, bind and listen in one call.
	l, err := net.Listen("tcp", address)
	if err != nil {
		log.Fatal(err)
	}
	log.Printf("listening on %v", l.Addr())
	log.Fatal(serve(l))
}

// serve accepts clients until the listener is closed. Where the textbook forks
// a process for each client, Go starts a goroutine.
func serve(l net.Listener) error {
	for {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return err
		}
		if err != nil {
			// Most likely there is no descriptor left. The client stays in
			// the queue; asking again at once would only burn the CPU.
			log.Print(err)
			time.Sleep(100 * time.Millisecond)
			continue
		}
		go echo(conn)
	}
}

// echo sends back what it reads until the client has said everything.
func echo(conn net.Conn) {
	defer conn.Close()
	if _, err := io.Copy(conn, conn); err != nil {
		log.Printf("%v: %v", conn.RemoteAddr(), err)
	}
}
