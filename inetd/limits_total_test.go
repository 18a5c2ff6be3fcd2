package main

import (
	"errors"
	"syscall"
	"testing"
)

// -m bounds the servers of all services together.
func TestServersInAll(t *testing.T) {
	t.Parallel()
	p, q := freePort(t), freePort(t)
	d := start(t, in("%d stream tcp4 nowait.0 $me /bin/cat cat\n%d stream tcp4 nowait.0 $me internal echo\n", p, q), "-m", "2")
	one, two := dial(t, "tcp4", local(p)), dial(t, "tcp4", local(q))
	wantEcho(t, one, "one\n")
	wantEcho(t, two, "two\n")
	for _, port := range []int{p, q} {
		if got, err := ask("tcp4", local(port), "hello\n"); got != "" || err != nil && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("third client = %q, %v, want it refused", got, err)
		}
	}
	d.log.wait(t, 0, "more than 2 servers in all")
	one.Close()
	eventually(t, "room for another", func() bool {
		got, _ := ask("tcp4", local(p), "hello\n")
		return got == "hello\n"
	})
}
