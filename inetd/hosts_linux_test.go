package main

import (
	"syscall"
	"testing"
)

// All names of the files are asked for at the same time, each once, the log tells
// which are waited for, and a service that rests is not kept waiting with them.
func TestNamesTogether(t *testing.T) {
	isolated(t, func(t *testing.T) {
		ns := startNameServer(t, map[string]string{"a.example": "127.0.0.2", "b.example": "127.0.0.3", "c.example": "127.0.0.4"})
		put(t, "/etc/hosts", "127.0.0.1 localhost\n", 0o644)
		put(t, "/etc/resolv.conf", "nameserver 127.0.0.1\noptions timeout:30\n", 0o644)
		put(t, "/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n", 0o644)

		const once = "127.0.0.1:7776 stream tcp4 nowait.1 root /bin/cat cat\n"
		d := start(t, once)
		wantAnswer(t, "tcp4", "127.0.0.1:7776", "hello\n", "hello\n")
		ask("tcp4", "127.0.0.1:7776", "")
		d.log.wait(t, 0, "service terminated")
		mark := d.log.mark()
		const cat = " stream tcp4 nowait.0 root /bin/cat cat\n"
		d.write(once + "a.example:7777" + cat + "b.example,a.example:7778" + cat + "c.example:7779" + cat + "c.example:7780" + cat)
		d.signal(syscall.SIGHUP)
		d.log.wait(t, mark, "7776/tcp: back in service")
		d.log.wait(t, mark, "waiting for the addresses of a.example, b.example, c.example$")
		wantAnswer(t, "tcp4", "127.0.0.1:7776", "hello\n", "hello\n")
		for _, name := range []string{"a", "b", "c"} {
			if n := ns.heard.count(0, "^"+name+".example 1$"); n != 1 {
				t.Errorf("%s.example was asked for %d times before there was an answer", name, n)
			}
		}
		ns.hold.Unlock()
		d.log.wait(t, mark, "reload: 4 added, 0 changed, 0 removed, 1 kept")
		for _, address := range []string{"127.0.0.2:7777", "127.0.0.2:7778", "127.0.0.3:7778", "127.0.0.4:7779", "127.0.0.4:7780"} {
			wantAnswer(t, "tcp4", address, "hello\n", "hello\n")
		}
	})
}
