// Try-from prints what tcpd would know about the client on its standard
// input. Start it from inetd in place of a daemon, or by rsh.
package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"inetd/tcpd/peer"
	"inetd/tcpd/tool"
)

func main() { run(os.Args, os.Stdout) }

func run(argv []string, stdout io.Writer) {
	name := argv[0][strings.LastIndexByte(argv[0], '/')+1:]
	out := bufio.NewWriter(stdout)
	defer out.Flush()
	r := &tool.Report{W: out}
	sock, err := peer.Of(0)
	if err != nil {
		r.Warnf("%v", err)
	}
	req := sock.Request(name)
	for _, text := range []string{
		"client address  (%%a): %a",
		"client hostname (%%n): %n",
		"client username (%%u): %u",
		"client info     (%%c): %c",
		"server address  (%%A): %A",
		"server hostname (%%N): %N",
		"server process  (%%d): %d",
		"server info     (%%s): %s",
	} {
		fmt.Fprintln(out, r.Expand(context.Background(), req, text))
	}
}
