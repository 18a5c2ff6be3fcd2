package main

import (
	"fmt"
	"strings"
	"testing"
)

// The clients of an inetd.conf are answered the same when it has become an
// xinetd.conf, by ours and by xinetd itself, and when that has become an
// inetd.conf again.
func TestConvertServed(t *testing.T) {
	isolated(t, func(t *testing.T) {
		log := machine(t)
		put(t, "/etc/hosts.deny", "srv.say: 127.0.0.2\n", 0o644)
		link(t, built(t)+"/tcpd", "/usr/sbin/tcpd")
		const conf = `
echo     stream tcp    nowait root internal
echo     dgram  udp    wait   root internal
upper    stream tcp    nowait root /bin/cat cat
5001     stream tcp    nowait.60 root /bin/cat cat
5002     stream tcp4   nowait student.lab /run/srv/id id
5003     stream tcp6   nowait student:lab /run/srv/id id
5004     stream tcp    nowait student /run/srv/who who
127.0.0.2:5005 stream tcp nowait root /bin/cat cat
127.0.0.1,[::1]:5006 stream tcp nowait root /bin/cat cat
5007     stream tcp    nowait root /usr/sbin/tcpd /run/srv/srv.say through tcpd
5008     stream tcp46  nowait/1 root /bin/cat cat
5009     dgram  udp4   wait.0 root /run/srv/srv.datagrams srv.datagrams 1
5010     stream tcp    wait.0 root /run/srv/srv.accept srv.accept 1
tcpmux   stream tcp    nowait root internal
tcpmux/own stream tcp  nowait root /run/srv/plain plain
127.0.0.2:
5011     stream tcp    nowait root /bin/cat cat
#<off># 5012 stream tcp nowait root /bin/cat cat
`
		visit := func(x *xinetd) string {
			x.packet("127.0.0.1:7", "hello")
			for _, port := range []int{7, 6001, 5001, 5002, 5003, 5004, 5005, 5006, 5011, 5012} {
				for _, host := range []string{"127.0.0.1", "127.0.0.2", "[::1]"} {
					x.ask(fmt.Sprintf("%s:%d", host, port), "hello")
				}
			}
			for _, from := range clients[:2] {
				x.ask(from+">127.0.0.1:5007", "")
			}
			x.ask("[::1]:5008", "hello")
			_, text, _ := strings.Cut(x.reply("127.0.0.1:5009", "hello", patience), " ")
			x.see("5009: %s", text)
			_, text, _ = strings.Cut(x.answer("127.0.0.1:5010", "hello"), " ")
			x.see("5010: %s", text)
			x.ask("127.0.0.1:1", "own\r\n")
			return strings.Join(x.seen, "\n")
		}
		d := startIn(t, t.TempDir(), conf, command("-i"))
		want := visit(&xinetd{t: t, log: log})
		d.end()
		for _, has := range []string{
			`127.0.0.1:5002: "4242 4243\n"`, `127.0.0.1:5004: "Uid: 4242 4242 4242 4242\nGid: 4242 4242 4242 4242\nGroups: 4242 4243\n"`, `127.0.0.1>127.0.0.1:5007: "through tcpd\n"`, `127.0.0.2>127.0.0.1:5007: ""`, `127.0.0.1:1: "+root\n"`, `127.0.0.1:5012: refused`, `127.0.0.2:5011: "hello"`,
		} {
			if !strings.Contains(want, has) {
				t.Fatalf("inetd.conf is served as\n%s\nwithout %s", want, has)
			}
		}
		xconf, said, status := converted(t, "xinetd.conf", "inetd.conf", conf)
		if status != 0 {
			t.Fatalf("inetd -o xinetd.conf = %d\n%s", status, said)
		}
		for _, mk := range makers(t) {
			t.Run(mk.name, func(t *testing.T) {
				if got := visit(mk.run(t, log, xconf)); got != want {
					t.Errorf("served as\n%s\nwant\n%s", got, want)
				}
			})
		}
		again, said, status := converted(t, "inetd.conf", "xinetd.conf", xconf)
		if status != 0 || strings.Count(again, "#<off># ") != 1 {
			t.Fatalf("inetd -o inetd.conf = %d\n%s\n%s", status, said, again)
		}
		quiet(t)
		startIn(t, t.TempDir(), again, command("-i"))
		if got := visit(&xinetd{t: t, log: log}); got != want {
			t.Errorf("converted back, served as\n%s\nwant\n%s", got, want)
		}
	})
}
