// Echoclient sends the lines it reads from standard input to a server and
// prints the line that comes back for each.
//
//	echoclient localhost 5000
//	echoclient -u localhost 9300
package main

import (
	"bufio"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"time"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("echoclient: ")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: echoclient [-u] [-t time] host port")
		flag.PrintDefaults()
	}
	udp := flag.Bool("u", false, "use UDP, one datagram a line")
	wait := flag.Duration("t", 5*time.Second, "how long to wait for a connection or an answer")
	flag.Parse()
	if flag.NArg() != 2 {
		flag.Usage()
		os.Exit(2)
	}

	network := "tcp"
	if *udp {
		network = "udp"
	}
	// For UDP this sends nothing: it only notes where datagrams shall go.
	conn, err := net.DialTimeout(network, net.JoinHostPort(flag.Arg(0), flag.Arg(1)), *wait)
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()

	answers := bufio.NewScanner(conn)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		conn.SetDeadline(time.Now().Add(*wait))
		if _, err := fmt.Fprintf(conn, "%s\n", lines.Text()); err != nil {
			log.Fatal(err)
		}
		if !answers.Scan() {
			if err := answers.Err(); err != nil {
				log.Fatal(err)
			}
			// What a client sees when tcpd refuses it: the connection
			// was made, and ends without a word.
			log.Fatal("the server closed the connection")
		}
		fmt.Println(answers.Text())
	}
	if err := lines.Err(); err != nil {
		log.Fatal(err)
	}
}
