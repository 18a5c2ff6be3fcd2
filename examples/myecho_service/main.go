// Myecho_service is the echo service for inetd: it sends back each line with
// its number in front.
//
// There is no socket in this program. inetd has opened the port, accepted the
// client and made the connection descriptors 0, 1 and 2 before it started us,
// so reading standard input reads from the client and writing standard output
// writes to it. That is why it can be tried without any network:
//
//	$ echo hello | myecho_service
//	1: hello
//
// In inetd.conf:
//
//	myecho stream tcp nowait nobody /usr/local/sbin/myecho_service myecho_service
package main

import (
	"bufio"
	"fmt"
	"log/syslog"
	"os"
)

func main() {
	// Scan ends with an error when a line is longer than 64 KiB, so no client
	// can make this process grow.
	lines := bufio.NewScanner(os.Stdin)
	for n := 1; lines.Scan(); n++ {
		// os.Stdout has no buffer: every Printf is one write, and the client
		// has its answer at once. A C program must call fflush after each
		// line, because stdio holds output back when it is not a terminal.
		fmt.Printf("%d: %s\n", n, lines.Text())
	}
	if err := lines.Err(); err != nil {
		// Standard error is the client too. What is meant for the
		// administrator goes to syslog.
		if w, e := syslog.New(syslog.LOG_DAEMON|syslog.LOG_NOTICE, "myecho_service"); e == nil {
			fmt.Fprint(w, err)
		}
		os.Exit(1)
	}
}
