package main

import (
	"fmt"
	"strings"
	"testing"
)

// A twist serves the client in the place of whatever the entry has, and not
// beside it: built-ins and connections that are passed on are no exception.
func TestTwistEverything(t *testing.T) {
	isolated(t, func(t *testing.T) {
		wrappedHost(t, "", "ALL: ALL: twist /bin/echo go away %a $(id -u)\n")
		service := func(id string, port int, more string) string {
			return fmt.Sprintf("service %s\n{\n\ttype = UNLISTED %s\n\tport = %d\n\tprotocol = tcp\n\tsocket_type = stream\n\twait = no\n\tuser = nobody\n}\n", id, more, port)
		}
		put(t, "/run/xinetd.conf", service("echo", 7101, "INTERNAL")+
			service("pass", 7102, "\n\tredirect = 127.0.0.1 7001"), 0o644)
		put(t, "/run/inetd.conf", "7001 stream tcp4 nowait nobody internal echo\n7002 stream tcp4 nowait nobody internal daytime\n7003 stream tcp4 nowait nobody /bin/cat cat\n", 0o644)
		start(t, "", "-l", "-W", "/run/inetd.conf", "/run/xinetd.conf")
		for _, port := range []int{7001, 7002, 7003, 7101, 7102} {
			got, err := ask("tcp4", fmt.Sprintf("127.0.0.1:%d", port), "hello\n")
			if want := "go away 127.0.0.1 65534\n"; strings.TrimSpace(got) != strings.TrimSpace(want) {
				t.Errorf("client of port %d that is twisted = %q, %v, want %q", port, got, err, want)
			}
		}
	})
}
