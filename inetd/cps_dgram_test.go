package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// An internal datagram service pauses as others do when more than cps come, and
// comes back.
func TestCPSDatagrams(t *testing.T) {
	t.Parallel()
	p := freePort(t)
	file := filepath.Join(t.TempDir(), "xinetd.conf")
	conf := fmt.Sprintf("service echo\n{\n\ttype = INTERNAL UNLISTED\n\tport = %d\n\tprotocol = udp\n\tsocket_type = dgram\n\twait = yes\n\tflags = NOLIBWRAP\n\tcps = 3 1\n}\n", p)
	if err := os.WriteFile(file, []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	d := start(t, "", file)
	c := dial(t, "udp4", local(p))
	for i := range 10 {
		fmt.Fprintf(c, "%d", i)
	}
	d.log.wait(t, 0, "deactivating service echo due to excessive incoming connections")
	buf := make([]byte, 64)
	answers := 0
	for {
		c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		if _, err := c.Read(buf); err != nil {
			break
		}
		answers++
	}
	if answers != 3 {
		t.Errorf("%d answers to ten datagrams at once, want 3", answers)
	}
	d.log.wait(t, 0, "back in service")
	if n := d.log.count(0, "deactivating"); n != 1 {
		t.Errorf("it pauses %d times for one flood", n)
	}
	c.SetReadDeadline(time.Now().Add(patience))
	fmt.Fprint(c, "again")
	if n, err := c.Read(buf); err != nil || string(buf[:n]) != "again" {
		t.Errorf("answer after the pause = %q, %v", buf[:n], err)
	}
}
