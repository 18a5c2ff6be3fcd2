package main

import (
	"net"
	"path/filepath"
	"strings"
	"testing"

	"inetd/libwrap/syslog"
)

// Lines that syslog does not take are counted, and said when it takes some
// again.
func TestLinesLost(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log")
	open := func() *net.UnixConn {
		c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	l := &logger{name: "inetd", sys: syslog.New("inetd", syslog.Daemon)}
	l.sys.Path, l.sys.TellLost = path, true
	for range 3 {
		l.info("into the void")
	}
	c := open()
	defer c.Close()
	l.info("one")
	l.info("two")
	buf := make([]byte, 1024)
	for _, want := range []string{"one", "3 log lines are lost: they were not taken in time", "two"} {
		n, err := c.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(buf[:n]); !strings.HasSuffix(got, "]: "+want) {
			t.Errorf("syslog has %q, want %q", got, want)
		}
	}
}
