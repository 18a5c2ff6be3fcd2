package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A wrong answer of one program is a wrong answer; where two give the same it
// is what the syntax means.
func TestXinetdSame(t *testing.T) {
	isolated(t, func(t *testing.T) {
		play(t, machine(t), same)
	})
}

const say = "/run/srv/srv.say"

var same = []scenario{
	{
		name: "group and groups",
		conf: as("student", unlisted(5001, "/run/srv/who", "group = lab", "groups = yes")) + as("student", unlisted(5002, "/run/srv/who", "group = 0", "groups = yes")),
		do: func(x *xinetd) {
			x.ask(local(5001), "")
			x.ask(local(5002), "")
		},
		want: `
127.0.0.1:5001: "Uid: 4242 4242 4242 4242\nGid: 4243 4243 4243 4243\nGroups: 4242 4243\n"
127.0.0.1:5002: "Uid: 4242 4242 4242 4242\nGid: 0 0 0 0\nGroups: 4242 4243\n"`,
	},
	{
		name: "internal streams",
		conf: internal("echo", "stream") + internal("discard", "stream") + internal("time", "stream") + internal("chargen", "stream"),
		do: func(x *xinetd) {
			x.ask("127.0.0.1:7", "hello")
			x.ask("[::1]:7", "hello")
			x.ask("127.0.0.1:9", "hello")
			got, _ := ask("tcp", "127.0.0.1:37", "")
			x.see("time: %s", now([]byte(got)))
			b := make([]byte, 100*74)
			io.ReadFull(dial(x.t, "tcp", "127.0.0.1:19"), b)
			x.see("lines of 74 bytes: %v", regexp.MustCompile(`^([ -~]{72}\r\n)+$`).Match(b))
		},
		want: `
127.0.0.1:7: "hello"
[::1]:7: "hello"
127.0.0.1:9: ""
time: now
lines of 74 bytes: true`,
	},
	{
		name: "internal datagrams",
		conf: internal("echo", "dgram", "log_type = FILE $dir/log", "log_on_success = HOST PID") + internal("discard", "dgram") + internal("time", "dgram") +
			internal("daytime", "dgram", "no_access = 127.0.0.2", "log_type = FILE $dir/denied", "log_on_failure = HOST"),
		do: func(x *xinetd) {
			x.packet("127.0.0.1:7", "hello")
			x.first("log")
			x.packet("[::1]:7", "hello again")
			x.noPacket("127.0.0.1:9", "hello")
			got, err := strconv.Unquote(x.insist("127.0.0.1:37", "?"))
			x.see("time: %s %v", now([]byte(got)), err)
			x.noPacket("127.0.0.2>127.0.0.1:13", "?")
			x.first("denied")
		},
		want: `
127.0.0.1:7: "hello"
START: echo-dgram pid=0 from=127.0.0.1
[::1]:7: "hello again"
127.0.0.1:9: nothing
time: now <nil>
127.0.0.2>127.0.0.1:13: nothing
FAIL: daytime-dgram address from=127.0.0.2`,
	},
	{
		name: "servers",
		conf: unlisted(5001, "/bin/cat") +
			unlisted(5002, say, "server_args = a  b c") +
			unlisted(5003, "/run/srv/srv.exit", "flags = NAMEINARGS", "server_args = srv.say named") +
			unlisted(5004, "/run/srv/stderr"),
		do: func(x *xinetd) {
			x.ask("127.0.0.1:5001", "hello")
			x.ask("[::1]:5001", "hello")
			x.ask("127.0.0.1:5002", "")
			x.ask("127.0.0.1:5003", "")
			x.ask("127.0.0.1:5004", "")
		},
		want: `
127.0.0.1:5001: "hello"
[::1]:5001: "hello"
127.0.0.1:5002: "a b c\n"
127.0.0.1:5003: "named\n"
127.0.0.1:5004: "trouble\n"`,
	},
	{
		name: "wait",
		conf: defaults("log_type = FILE $dir/log", "log_on_success = EXIT") +
			block("d", "type = UNLISTED", "port = 5001", "socket_type = dgram", "wait = yes", "user = root", "server = /run/srv/srv.datagrams", "server_args = 3") +
			block("s", "type = UNLISTED", "port = 5001", "socket_type = stream", "wait = yes", "user = root", "server = /run/srv/srv.accept", "server_args = 2"),
		do: func(x *xinetd) {
			pids := make(map[string]int)
			answer := func(answer string) string {
				pid, text, _ := strings.Cut(strings.Trim(answer, `"`), " ")
				if pids[pid] == 0 {
					pids[pid] = len(pids) + 1
				}
				return fmt.Sprintf("server %d: %s", pids[pid], text)
			}
			for i := range 6 {
				x.see("datagram %d: %s", i, answer(x.reply("127.0.0.1:5001", "hello", patience)))
				if i == 2 || i == 5 {
					x.logged("log", 2*(i/3+1)) // the server has ended
				}
			}
			for i := range 4 {
				x.see("client %d: %s", i, answer(x.answer("127.0.0.1:5001", "hello")))
			}
			x.lines("log", 8)
		},
		want: `
datagram 0: server 1: hello
datagram 1: server 1: hello
datagram 2: server 1: hello
datagram 3: server 2: hello
datagram 4: server 2: hello
datagram 5: server 2: hello
client 0: server 3: hello
client 1: server 3: hello
client 2: server 4: hello
client 3: server 4: hello
START: d
EXIT: d status=0
START: d
EXIT: d status=0
START: s
EXIT: s status=0
START: s
EXIT: s status=0`,
	},
	{
		name: "instances",
		conf: unlisted(5001, "/bin/cat", "instances = 2", "log_type = FILE $dir/log", "log_on_failure = HOST") +
			unlisted(5002, "/bin/cat", "instances = 0") +
			unlisted(5003, "/bin/cat", "instances = UNLIMITED") +
			internal("echo", "stream", "instances = 1"),
		do: func(x *xinetd) {
			a := x.hold("127.0.0.1:5001")
			x.hold("127.0.0.2>127.0.0.1:5001")
			x.hold("127.0.0.3>127.0.0.1:5001")
			a.Close()
			x.free("127.0.0.1:5001")
			x.hold("127.0.0.1:5002")
			x.hold("127.0.0.1:5003")
			x.hold("127.0.0.1:7")
			x.hold("127.0.0.1:7")
			x.first("log")
		},
		want: `
127.0.0.1:5001: served
127.0.0.2>127.0.0.1:5001: served
127.0.0.3>127.0.0.1:5001: no server
127.0.0.1:5001: served again
127.0.0.1:5002: no server
127.0.0.1:5003: served
127.0.0.1:7: served
127.0.0.1:7: no server
FAIL: s5001 service_limit from=127.0.0.3`,
	},
	{
		name: "per_source",
		conf: unlisted(5001, "/bin/cat", "per_source = 1", "log_type = FILE $dir/log", "log_on_failure = HOST"),
		do: func(x *xinetd) {
			a := x.hold("127.0.0.1:5001")
			x.hold("127.0.0.2>127.0.0.1:5001")
			x.hold("127.0.0.2>127.0.0.1:5001")
			x.hold("127.0.0.1:5001")
			a.Close()
			x.free("127.0.0.1:5001")
			x.first("log")
		},
		want: `
127.0.0.1:5001: served
127.0.0.2>127.0.0.1:5001: served
127.0.0.2>127.0.0.1:5001: no server
127.0.0.1:5001: no server
127.0.0.1:5001: served again
FAIL: s5001 per_source_limit from=127.0.0.2`,
	},
	{
		name: "cps",
		conf: unlisted(5001, "/bin/cat", "cps = 3 1", "log_type = FILE $dir/log", "log_on_failure = HOST", "banner_fail = /run/srv/no") + unlisted(5002, "/bin/cat"),
		do: func(x *xinetd) {
			began := time.Now()
			for range 4 {
				x.ask("127.0.0.1:5001", "hello")
			}
			if d := time.Since(began); d > 900*time.Millisecond {
				x.t.Skipf("this machine takes %v for four connections", d)
			}
			x.shut("127.0.0.1:5001")
			x.ask("127.0.0.1:5002", "hello")
			x.free("127.0.0.1:5001")
			x.first("log")
		},
		want: `
127.0.0.1:5001: "hello"
127.0.0.1:5001: "hello"
127.0.0.1:5001: "hello"
127.0.0.1:5001: "go away\n"
127.0.0.1:5001: refused
127.0.0.1:5002: "hello"
127.0.0.1:5001: served again
FAIL: s5001 connections per second from=127.0.0.1`,
	},
	{
		name: "only_from and no_access",
		conf: unlisted(5001, "/bin/cat", "only_from = 127.0.0.2") +
			unlisted(5002, "/bin/cat", "only_from = 127.1.0.0") +
			unlisted(5003, "/bin/cat", "only_from = 127.0.0.{2,4}") +
			unlisted(5004, "/bin/cat", "only_from = 127.0.0.2/31") +
			unlisted(5005, "/bin/cat", "only_from =") +
			unlisted(5006, "/bin/cat", "no_access = 127.0.0.2 ::1") +
			unlisted(5007, "/bin/cat", "only_from = 127.0.0.0/24") +
			unlisted(5008, "/bin/cat", "only_from = ::1") +
			unlisted(5009, "/bin/cat", "no_access = 127.{0,1}") +
			unlisted(5010, "/bin/cat", "only_from = 127.0.0.1 127.0.0.3", "only_from += 127.1.2.3", "only_from -= 127.0.0.3") +
			unlisted(5011, "/bin/cat", "only_from = 127.0.0.0/8", "no_access = 127.0.0.2 127.1.0.0") +
			unlisted(5012, "/bin/cat", "no_access = 0.0.0.0/0") +
			unlisted(5013, "/bin/cat", "only_from = ::/0") +
			unlisted(5014, "/bin/cat", "only_from = two.lab .sub.lab", "flags = IPv4"),
		do: func(x *xinetd) {
			for port := 5001; port <= 5014; port++ {
				x.served(port)
			}
		},
		want: `
5001: 127.0.0.2
5002: 127.1.2.3
5003: 127.0.0.2 127.0.0.4
5004: 127.0.0.2 127.0.0.3
5005:
5006: 127.0.0.1 127.0.0.3 127.0.0.4 127.1.2.3
5007: 127.0.0.1 127.0.0.2 127.0.0.3 127.0.0.4
5008: ::1
5009: ::1
5010: 127.0.0.1 127.1.2.3
5011: 127.0.0.1 127.0.0.3 127.0.0.4
5012: ::1
5013: 127.0.0.1 127.0.0.2 127.0.0.3 127.0.0.4 127.1.2.3 ::1
5014: 127.0.0.2 127.0.0.4 ::1 refused`,
	},
	{
		name: "lists of the defaults",
		conf: defaults("only_from = 127.0.0.1", "only_from += 127.0.0.2", "log_type = FILE $dir/log", "log_on_success = HOST", "log_on_success += EXIT") +
			unlisted(5001, "/bin/cat") +
			unlisted(5002, "/bin/cat", "only_from = 127.0.0.3") +
			unlisted(5003, "/bin/cat", "only_from += 127.0.0.3", "log_on_success -= HOST") +
			unlisted(5004, "/bin/cat", "only_from -= 127.0.0.1", "log_on_success ="),
		do: func(x *xinetd) {
			for port := 5001; port <= 5004; port++ {
				x.served(port)
			}
		},
		want: `
5001: 127.0.0.1 127.0.0.2
5002: 127.0.0.3
5003: 127.0.0.1 127.0.0.2 127.0.0.3
5004: 127.0.0.2`,
	},
	{
		name: "limits of the defaults",
		conf: defaults("instances = 1", "per_source = 2") + unlisted(5001, "/bin/cat") + unlisted(5002, "/bin/cat", "instances = 3"),
		do: func(x *xinetd) {
			x.hold("127.0.0.1:5001")
			x.hold("127.0.0.1:5001")
			x.hold("127.0.0.1:5002")
			x.hold("127.0.0.1:5002")
			x.hold("127.0.0.1:5002")
			x.hold("127.0.0.2>127.0.0.1:5002")
		},
		want: `
127.0.0.1:5001: served
127.0.0.1:5001: no server
127.0.0.1:5002: served
127.0.0.1:5002: served
127.0.0.1:5002: no server
127.0.0.2>127.0.0.1:5002: served`,
	},
	{
		name: "banners",
		conf: unlisted(5001, say, "server_args = served", "no_access = 127.0.0.2", "banner = /run/srv/hello", "banner_success = /run/srv/yes", "banner_fail = /run/srv/no") +
			unlisted(5002, "/bin/cat", "banner_fail = /run/srv/no", "instances = 1") +
			unlisted(5003, "/bin/cat", "banner_fail = /run/srv/no", "access_times = $closed") +
			internal("echo", "stream", "banner = /run/srv/hello", "banner_success = /run/srv/yes") +
			internal("daytime", "stream", "only_from = 127.0.0.2", "banner_fail = /run/srv/no"),
		do: func(x *xinetd) {
			x.ask("127.0.0.1:5001", "")
			x.ask("127.0.0.2>127.0.0.1:5001", "")
			x.hold("127.0.0.1:5002")
			x.ask("127.0.0.1:5002", "")
			x.ask("127.0.0.1:5003", "")
			x.ask("127.0.0.1:7", "echo\n")
			x.ask("127.0.0.1:13", "")
		},
		want: `
127.0.0.1:5001: "hello\ncome in\nserved\n"
127.0.0.2>127.0.0.1:5001: "hello\ngo away\n"
127.0.0.1:5002: served
127.0.0.1:5002: "go away\n"
127.0.0.1:5003: "go away\n"
127.0.0.1:7: "hello\ncome in\necho\n"
127.0.0.1:13: "go away\n"`,
	},
	{
		name: "no banners in datagrams",
		conf: block("d", "type = UNLISTED", "port = 5001", "socket_type = dgram", "protocol = udp", "wait = no", "user = root", "server = /bin/true",
			"flags = IPv4", "no_access = 127.0.0.2", "banner = /run/srv/hello", "banner_fail = /run/srv/no"),
		do: func(x *xinetd) {
			x.noPacket("127.0.0.2>127.0.0.1:5001", "hello")
		},
		want: `
127.0.0.2>127.0.0.1:5001: nothing`,
	},
	{
		name: "redirect",
		conf: redirected(5001, "127.0.0.1 6001", "log_type = FILE $dir/log", "log_on_success = HOST TRAFFIC EXIT") +
			redirected(5002, "::1 6001", "banner_success = /run/srv/yes") +
			redirected(5003, "127.0.0.1 6009") +
			redirected(5004, "127.0.0.1 upper", "only_from = 127.0.0.2"),
		do: func(x *xinetd) {
			upper(x.t, ":6001")
			for _, addr := range []string{"127.0.0.1:5001", "[::1]:5002", "127.0.0.1:5003", "127.0.0.1:5004", "127.0.0.2>127.0.0.1:5004"} {
				from, to := ends(addr)
				c, err := dialFrom("tcp", from, to)
				if err != nil {
					x.t.Fatal(err)
				}
				io.WriteString(c, "hello\n")
				got, _ := readUntil(c, "HELLO\n")
				x.see("%s: %q", addr, got)
				c.Close()
			}
			x.lines("log", 3)
			slices.Sort(x.seen[5:])
		},
		want: `
127.0.0.1:5001: "HELLO\n"
[::1]:5002: "come in\nHELLO\n"
127.0.0.1:5003: ""
127.0.0.1:5004: ""
127.0.0.2>127.0.0.1:5004: "HELLO\n"
EXIT: s5001 status=0
START: s5001 from=127.0.0.1
TRAFFIC: s5001 in=6(bytes) out=6(bytes)`,
	},
	{
		name: "access_times",
		conf: unlisted(5001, "/bin/cat", "access_times = $open") +
			unlisted(5002, "/bin/cat", "access_times = $closed", "log_type = FILE $dir/log", "log_on_failure = HOST") +
			unlisted(5003, "/bin/cat", "access_times = $closed $open"),
		do: func(x *xinetd) {
			x.ask("127.0.0.1:5001", "hello")
			x.ask("127.0.0.1:5002", "hello")
			x.ask("127.0.0.1:5003", "hello")
			x.lines("log", 1)
		},
		want: `
127.0.0.1:5001: "hello"
127.0.0.1:5002: ""
127.0.0.1:5003: "hello"
FAIL: s5002 time from=127.0.0.1`,
	},
	{
		name: "environment",
		conf: unlisted(5001, "/run/srv/environ", "passenv = ONE", "env = TWO=2 THREE=3") +
			unlisted(5002, "/run/srv/environ", "passenv =") +
			unlisted(5003, "/run/srv/environ", "passenv = ONE NONE", "env = ONE=new A=b=c") +
			unlisted(5004, "/run/srv/environ", "passenv = ONE FOUR", "passenv -= FOUR", "env = A=1", "env += B=2"),
		do: func(x *xinetd) {
			for port := 5001; port <= 5004; port++ {
				x.ask(fmt.Sprintf("[::1]:%d", port), "")
			}
		},
		want: `
[::1]:5001: "ONE=1\nREMOTE_HOST=::1\nTHREE=3\nTWO=2\n"
[::1]:5002: "REMOTE_HOST=::1\n"
[::1]:5003: "A=b=c\nONE=new\nREMOTE_HOST=::1\n"
[::1]:5004: "A=1\nB=2\nONE=1\nREMOTE_HOST=::1\n"`,
	},
	{
		name: "users",
		conf: unlisted(5001, "/run/srv/who") +
			as("student", unlisted(5002, "/run/srv/who")) +
			as("student", unlisted(5003, "/run/srv/who", "groups = yes")) +
			as("student", unlisted(5004, "/run/srv/who", "group = lab")) +
			as("4711", unlisted(5005, "/run/srv/who")) +
			as("4711", unlisted(5006, "/run/srv/who", "group = 4712")) +
			unlisted(5007, "/run/srv/who", "group = lab"),
		do: func(x *xinetd) {
			for port := 5001; port <= 5007; port++ {
				x.ask(fmt.Sprintf("127.0.0.1:%d", port), "")
			}
		},
		want: `
127.0.0.1:5001: "Uid: 0 0 0 0\nGid: 0 0 0 0\nGroups:\n"
127.0.0.1:5002: "Uid: 4242 4242 4242 4242\nGid: 4242 4242 4242 4242\nGroups:\n"
127.0.0.1:5003: "Uid: 4242 4242 4242 4242\nGid: 4242 4242 4242 4242\nGroups: 4242 4243\n"
127.0.0.1:5004: "Uid: 4242 4242 4242 4242\nGid: 4243 4243 4243 4243\nGroups:\n"
127.0.0.1:5005: "Uid: 4711 4711 4711 4711\nGid: 4711 4711 4711 4711\nGroups:\n"
127.0.0.1:5006: "Uid: 4711 4711 4711 4711\nGid: 4712 4712 4712 4712\nGroups:\n"
127.0.0.1:5007: "Uid: 0 0 0 0\nGid: 4243 4243 4243 4243\nGroups:\n"`,
	},
	{
		name: "process",
		conf: unlisted(5001, "/run/srv/facts") + unlisted(5002, "/run/srv/facts", "umask = 027", "nice = 5", "rlimit_files = 99"),
		do: func(x *xinetd) {
			x.ask("127.0.0.1:5001", "")
			x.ask("127.0.0.1:5002", "")
		},
		want: `
127.0.0.1:5001: "umask 0022 nice 0 files 1000 1000\nSigBlk 0\nSigIgn 0\nleads its session 1\n"
127.0.0.1:5002: "umask 0027 nice 5 files 99 99\nSigBlk 0\nSigIgn 0\nleads its session 1\n"`,
	},
	{
		name: "rlimits",
		conf: unlisted(5001, "/run/srv/limits", "rlimit_as = 64M", "rlimit_cpu = 7", "rlimit_data = 32M", "rlimit_rss = 16M", "rlimit_stack = 4096K", "rlimit_files = 20") +
			unlisted(5002, "/run/srv/limits", "rlimit_files = UNLIMITED", "rlimit_cpu = UNLIMITED", "rlimit_stack = 1M"),
		do: func(x *xinetd) {
			x.ask("127.0.0.1:5001", "")
			x.ask("127.0.0.1:5002", "")
		},
		want: `
127.0.0.1:5001: "cpu 7 7\ndata 33554432 33554432\nstack 4194304 4194304\nresident 16777216 16777216\nopen 20 20\naddress 67108864 67108864\n"
127.0.0.1:5002: "cpu unlimited unlimited\ndata unlimited unlimited\nstack 1048576 1048576\nresident unlimited unlimited\nopen 1000 1000\naddress unlimited unlimited\n"`,
	},
	{
		name: "descriptors",
		conf: unlisted(5001, "/run/srv/5001") + unlisted(5002, "/run/srv/5002", "nice = 1") + internal("echo", "stream"),
		do: func(x *xinetd) {
			x.hold("127.0.0.1:7")
			for _, addr := range []string{"127.0.0.1:5001", "127.0.0.1:5002"} {
				c := x.hold(addr)
				for fd, what := range x.child(addr[len(addr)-4:]).fds() {
					what, _, _ = strings.Cut(what, ":")
					x.see("%d %s", fd, what)
				}
				slices.Sort(x.seen[len(x.seen)-3:])
				c.Close()
			}
		},
		want: `
127.0.0.1:7: served
127.0.0.1:5001: served
0 socket
1 socket
2 socket
127.0.0.1:5002: served
0 socket
1 socket
2 socket`,
	},
	{
		name: "addresses",
		conf: unlisted(5001, "/bin/cat", "bind = 127.0.0.2") +
			unlisted(5002, "/bin/cat", "interface = ::1") +
			unlisted(5003, "/bin/cat", "v6only = yes") +
			unlisted(5004, "/bin/cat", "flags = IPv4") +
			unlisted(5005, "/bin/cat", "flags = IPv6") +
			unlisted(5006, "/bin/cat", "bind = localhost", "flags = IPv4") +
			unlisted(5007, "/bin/cat", "bind = 127.0.0.1") + strings.Replace(unlisted(5008, "/bin/cat", "bind = 127.0.0.2"), "port = 5008", "port = 5007", 1) +
			unlisted(5009, "/bin/cat") + strings.Replace(unlisted(5010, say, "server_args = second"), "port = 5010", "port = 5009", 1),
		do: func(x *xinetd) {
			for port := 5001; port <= 5010; port++ {
				var served []string
				for _, host := range []string{"127.0.0.1", "127.0.0.2", "::1"} {
					addr := net.JoinHostPort(host, fmt.Sprint(port))
					switch got := x.answer(addr, "hello"); got {
					case "refused":
					case `"hello"`:
						served = append(served, host)
					default:
						x.see("%s: %s", addr, got)
					}
				}
				x.see("%d: %q", port, served)
			}
		},
		want: `
5001: ["127.0.0.2"]
5002: ["::1"]
5003: ["::1"]
5004: ["127.0.0.1" "127.0.0.2"]
5005: ["127.0.0.1" "127.0.0.2" "::1"]
5006: ["127.0.0.1"]
5007: ["127.0.0.1" "127.0.0.2"]
5008: []
5009: ["127.0.0.1" "127.0.0.2" "::1"]
5010: []`,
	},
	{
		name: "log",
		conf: defaults("log_type = FILE $dir/log", "log_on_success = PID HOST EXIT DURATION", "log_on_failure = HOST ATTEMPT") +
			unlisted(5001, "/bin/cat", "id = echo-server") +
			unlisted(5002, "/run/srv/srv.exit", "server_args = 3") +
			unlisted(5003, "/run/srv/killed") +
			unlisted(5004, "/bin/cat", "log_on_success = HOST") +
			unlisted(5005, "/bin/cat", "log_on_success = EXIT") +
			unlisted(5006, "/bin/cat", "log_on_success -= PID DURATION") +
			unlisted(5007, "/bin/cat", "log_on_success = DURATION") +
			unlisted(5008, "/bin/cat", "log_on_success = PID") +
			unlisted(5009, "/bin/cat", "log_on_success =") +
			unlisted(5010, "/bin/cat", "access_times = $closed") +
			unlisted(5011, "/bin/cat", "access_times = $closed", "log_on_failure = ATTEMPT") +
			unlisted(5012, "/bin/cat", "access_times = $closed", "log_on_failure ="),
		do: func(x *xinetd) {
			for port := 5001; port <= 5012; port++ {
				x.answer(fmt.Sprintf("[::1]:%d", port), "")
			}
			x.lines("log", 16)
			slices.Sort(x.seen)
		},
		want: `
EXIT: echo-server status=0 pid=N duration=N(sec)
EXIT: s5002 status=3 pid=N duration=N(sec)
EXIT: s5003 signal=9 pid=N duration=N(sec)
EXIT: s5005 status=0
EXIT: s5006 status=0
EXIT: s5007 duration=N(sec)
FAIL: s5010 time from=::1
FAIL: s5011 time
START: echo-server pid=N from=::1
START: s5002 pid=N from=::1
START: s5003 pid=N from=::1
START: s5004 from=::1
START: s5005
START: s5006 from=::1
START: s5007
START: s5008 pid=N`,
	},
	{
		name: "log to syslog",
		conf: unlisted(5001, "/bin/cat", "log_type = SYSLOG local3 notice", "log_on_success = HOST EXIT") +
			unlisted(5002, "/bin/cat", "log_type = SYSLOG mail", "log_on_failure = HOST", "instances = 0"),
		do: func(x *xinetd) {
			mark := x.log.mark()
			for port := 5001; port <= 5002; port++ {
				x.answer(fmt.Sprintf("[::1]:%d", port), "")
			}
			for _, re := range []string{"START: s5001", "EXIT: s5001", "FAIL: s5002"} {
				l := x.log.wait(x.t, mark, `xinetd\[\d+\]: `+re)
				x.see("%s", strings.Replace(l, fmt.Sprintf("[%d]", x.cmd.Process.Pid), "", 1))
			}
		},
		want: `
local3.notice xinetd: START: s5001 from=::1
local3.notice xinetd: EXIT: s5001 status=0
mail.info xinetd: FAIL: s5002 service_limit from=::1`,
	},
	{
		name: "enabled and disabled",
		conf: defaults("enabled = s5001 s5002", "enabled += s5003", "disabled = s5003") +
			unlisted(5001, "/bin/cat") +
			unlisted(5002, "/bin/cat", "disable = yes") +
			unlisted(5003, "/bin/cat") +
			unlisted(5004, "/bin/cat") +
			unlisted(5005, "/bin/cat", "id = s5001"),
		do: func(x *xinetd) {
			for port := 5001; port <= 5005; port++ {
				x.ask(fmt.Sprintf("127.0.0.1:%d", port), "hello")
			}
		},
		want: `
127.0.0.1:5001: "hello"
127.0.0.1:5002: refused
127.0.0.1:5003: refused
127.0.0.1:5004: refused
127.0.0.1:5005: "hello"`,
	},
	{
		name: "libwrap",
		conf: unlisted(5001, "/bin/cat") +
			unlisted(5002, "/bin/cat", "flags = NOLIBWRAP") +
			unlisted(5003, "/bin/cat", "libwrap = other", "banner_fail = /run/srv/no") +
			unlisted(5004, "/bin/cat", "flags = NAMEINARGS", "server_args = other", "log_type = FILE $dir/log", "log_on_failure = HOST") +
			internal("echo", "stream"),
		do: func(x *xinetd) {
			put(x.t, "/etc/hosts.deny", "cat: 127.0.0.2\nother: 127.0.0.3\ns5001 echo: 127.0.0.4\n", 0o644)
			defer put(x.t, "/etc/hosts.deny", "", 0o644)
			for _, port := range []int{5001, 5002, 5003, 5004, 7} {
				x.served(port)
			}
			x.first("log")
		},
		want: `
5001: 127.0.0.1 127.0.0.3 127.0.0.4 127.1.2.3 ::1
5002: 127.0.0.1 127.0.0.2 127.0.0.3 127.0.0.4 127.1.2.3 ::1
5003: 127.0.0.1 127.0.0.2 127.0.0.4 127.1.2.3 ::1
5004: 127.0.0.1 127.0.0.2 127.0.0.4 127.1.2.3 ::1
7: 127.0.0.1 127.0.0.2 127.0.0.3 127.1.2.3 ::1
FAIL: s5004 libwrap from=127.0.0.3`,
	},
	{
		name: "libwrap and datagrams",
		conf: block("d", "type = UNLISTED", "port = 5001", "socket_type = dgram", "wait = yes", "user = root", "server = /run/srv/srv.datagrams", "server_args = 1", "flags = IPv4"),
		do: func(x *xinetd) {
			put(x.t, "/etc/hosts.deny", "srv.datagrams: 127.0.0.2\n", 0o644)
			defer put(x.t, "/etc/hosts.deny", "", 0o644)
			for _, from := range []string{"127.0.0.2", "127.0.0.1"} {
				got := x.reply(from+">127.0.0.1:5001", "hello", 300*time.Millisecond)
				if from == "127.0.0.1" && got == "nothing" {
					got = x.insist("127.0.0.1:5001", "hello")
				}
				x.see("%s is served: %v", from, strings.HasSuffix(got, ` hello"`))
			}
		},
		want: `
127.0.0.2 is served: false
127.0.0.1 is served: true`,
	},
	{
		name: "sensor",
		conf: block("trap", "type = INTERNAL UNLISTED", "flags = SENSOR", "port = 5001", "socket_type = stream", "wait = no", "user = root", "server = /bin/cat", "deny_time = FOREVER") +
			block("watch", "type = INTERNAL UNLISTED", "flags = SENSOR", "port = 5005", "socket_type = stream", "wait = no", "user = root", "server = /bin/cat", "deny_time = NEVER") +
			unlisted(5002, "/bin/cat", "log_type = FILE $dir/log", "log_on_failure = HOST") + unlisted(5003, "/bin/cat", "only_from = 127.0.0.0"),
		do: func(x *xinetd) {
			x.ask("127.0.0.3>127.0.0.1:5005", "hello")
			x.ask("127.0.0.3>127.0.0.1:5002", "hello")
			x.ask("127.0.0.2>127.0.0.1:5002", "hello")
			x.ask("127.0.0.2>127.0.0.1:5001", "hello")
			x.ask("127.0.0.2>127.0.0.1:5002", "hello")
			x.ask("127.0.0.2>127.0.0.1:5003", "hello")
			x.ask("127.0.0.1:5002", "hello")
			x.first("log")
		},
		want: `
127.0.0.3>127.0.0.1:5005: ""
127.0.0.3>127.0.0.1:5002: "hello"
127.0.0.2>127.0.0.1:5002: "hello"
127.0.0.2>127.0.0.1:5001: ""
127.0.0.2>127.0.0.1:5002: ""
127.0.0.2>127.0.0.1:5003: ""
127.0.0.1:5002: "hello"
FAIL: s5002 address from=127.0.0.2`,
	},
	{
		name: "max_load",
		conf: unlisted(5001, "/bin/cat", "max_load = 2.5", "log_type = FILE $dir/log", "log_on_failure = HOST"),
		do: func(x *xinetd) {
			x.ask("127.0.0.1:5001", "hello")
			setLoad(x.t, "2.50")
			defer setLoad(x.t, "0.10")
			x.retry("a refused client", func() bool { return x.answer("127.0.0.1:5001", "hello") == `""` })
			x.first("log")
			setLoad(x.t, "2.49")
			x.free("127.0.0.1:5001")
		},
		want: `
127.0.0.1:5001: "hello"
FAIL: s5001 load from=127.0.0.1
127.0.0.1:5001: served again`,
	},
	{
		name: "tcpmux",
		conf: internal("tcpmux", "stream") +
			block("plain", "type = TCPMUX UNLISTED", "socket_type = stream", "protocol = tcp", "wait = no", "user = nobody", "server = /run/srv/plain") +
			unlisted(5001, "/bin/cat"),
		do: func(x *xinetd) {
			x.ask("127.0.0.1:1", "plain\r\n")
			x.ask("[::1]:1", "PLAIN\r\n")
		},
		want: `
127.0.0.1:1: "+nobody\n"
[::1]:1: "+nobody\n"`,
	},
	{
		name: "socket options",
		conf: unlisted(5001, "/run/srv/srv.tcp") + unlisted(5002, "/run/srv/srv.tcp", "flags = NODELAY KEEPALIVE"),
		do: func(x *xinetd) {
			x.ask("127.0.0.1:5001", "")
			x.ask("127.0.0.1:5002", "")
		},
		want: `
127.0.0.1:5001: "nodelay 0 keepalive 0 blocking true\n"
127.0.0.1:5002: "nodelay 1 keepalive 1 blocking true\n"`,
	},
	{
		name: "include",
		conf: "include $dir/one\nincludedir $dir/d\n" + unlisted(5001, say, "server_args = main"),
		do: func(x *xinetd) {
			x.put("one", unlisted(5002, say, "server_args = included"))
			x.put("d/b", unlisted(5003, say, "server_args = b"))
			x.put("d/a", unlisted(5004, say, "server_args = a"))
			x.put("d/c.conf", unlisted(5005, say, "server_args = dot"))
			x.put("d/d~", unlisted(5006, say, "server_args = tilde"))
			x.put("d/.e", unlisted(5007, say, "server_args = hidden"))
			x.put("d/f/g", unlisted(5008, say, "server_args = below"))
			// Whoever comes first has the address.
			x.put("d/Z", strings.Replace(unlisted(5009, say, "server_args = Z"), "port = 5009", "port = 5003", 1))
			x.hup()
			for port := 5001; port <= 5009; port++ {
				x.ask(fmt.Sprintf("127.0.0.1:%d", port), "")
			}
		},
		want: `
127.0.0.1:5001: "main\n"
127.0.0.1:5002: "included\n"
127.0.0.1:5003: "Z\n"
127.0.0.1:5004: "a\n"
127.0.0.1:5005: refused
127.0.0.1:5006: refused
127.0.0.1:5007: refused
127.0.0.1:5008: refused
127.0.0.1:5009: refused`,
	},
	{
		name: "reload",
		conf: unlisted(5001, say, "server_args = kept") + unlisted(5002, say, "server_args = old") + unlisted(5003, "/bin/cat") + unlisted(5005, "/bin/cat", "instances = 1"),
		do: func(x *xinetd) {
			kept := x.listener(5001)
			running := x.hold("127.0.0.1:5005")
			x.reload(unlisted(5001, say, "server_args = kept") + unlisted(5002, say, "server_args = new") + unlisted(5004, say, "server_args = added") + unlisted(5005, "/bin/cat", "instances = 2", "no_access = 127.0.0.2"))
			for port := 5001; port <= 5004; port++ {
				x.ask(fmt.Sprintf("127.0.0.1:%d", port), "")
			}
			x.see("listener is kept: %v", x.listener(5001) == kept)
			io.WriteString(running, "y")
			_, err := io.ReadFull(running, make([]byte, 1))
			x.see("running server: %v", err)
			x.hold("127.0.0.1:5005")
			x.hold("127.0.0.1:5005")
			x.ask("127.0.0.2>127.0.0.1:5005", "hello")
			// A file that is not there changes nothing.
			os.Remove(x.file)
			mark := x.log.mark()
			x.cmd.Process.Signal(unix.SIGHUP)
			x.log.wait(x.t, mark, `nothing is changed|reconfiguration failed`)
			x.ask("127.0.0.1:5001", "")
		},
		want: `
127.0.0.1:5005: served
127.0.0.1:5001: "kept\n"
127.0.0.1:5002: "new\n"
127.0.0.1:5003: refused
127.0.0.1:5004: "added\n"
listener is kept: true
running server: <nil>
127.0.0.1:5005: served
127.0.0.1:5005: no server
127.0.0.2>127.0.0.1:5005: ""
127.0.0.1:5001: "kept\n"`,
	},
	{
		name: "reload of defaults and files",
		conf: defaults("instances = 1", "only_from = 127.0.0.1") + unlisted(5001, "/bin/cat", "id = one") + unlisted(5003, "/bin/cat") + "includedir $dir/d\n",
		do: func(x *xinetd) {
			x.put("d/a", unlisted(5004, "/bin/cat"))
			x.hup()
			x.hold(local(5001))
			x.ask(local(5004), "hello")
			// Another port for the same id, other defaults, a service switched
			// off, one more file and one less.
			x.put("d/b", unlisted(5005, "/bin/cat"))
			os.Remove(x.dir + "/d/a")
			x.reload(defaults("instances = 2", "only_from = 127.0.0.1 127.0.0.2") + unlisted(5002, "/bin/cat", "id = one") + unlisted(5003, "/bin/cat", "disable = yes") + "includedir $dir/d\n")
			for port := 5001; port <= 5005; port++ {
				x.ask("127.0.0.2>"+local(port), "hello")
			}
		},
		want: `
127.0.0.1:5001: served
127.0.0.1:5004: "hello"
127.0.0.2>127.0.0.1:5001: refused
127.0.0.2>127.0.0.1:5002: "hello"
127.0.0.2>127.0.0.1:5003: refused
127.0.0.2>127.0.0.1:5004: refused
127.0.0.2>127.0.0.1:5005: "hello"`,
	},
	{
		name: "empty",
		conf: unlisted(5001, "/bin/cat"),
		do: func(x *xinetd) {
			x.reload("# nothing\n")
			x.ask("127.0.0.1:5001", "hello")
			x.reload(unlisted(5001, "/bin/cat"))
			x.ask("127.0.0.1:5001", "hello")
		},
		want: `
127.0.0.1:5001: refused
127.0.0.1:5001: "hello"`,
	},
	{
		name: "nothing to remove",
		conf: unlisted(5001, "/bin/cat", "only_from -= 127.0.0.2") +
			unlisted(5002, "/bin/cat", "only_from = 127.0.0.1", "only_from -= 127.0.0.2") +
			unlisted(5003, "/bin/cat", "no_access -= 127.0.0.2") +
			unlisted(5004, "/run/srv/environ", "passenv -= ONE", "flags = IPv4"),
		do: func(x *xinetd) {
			for port := 5001; port <= 5004; port++ {
				x.ask(local(port), "hello")
			}
		},
		want: `
127.0.0.1:5001: ""
127.0.0.1:5002: "hello"
127.0.0.1:5003: "hello"
127.0.0.1:5004: "REMOTE_HOST=127.0.0.1\n"`,
	},
	{
		name: "errors that cost one service",
		conf: unlisted(5001, "/bin/cat", "nice = high") +
			as("nobodyelse", unlisted(5002, "/bin/cat")) +
			unlisted(5003, "/bin/cat", "umask = 999") +
			unlisted(5004, "/bin/cat", "access_times =") +
			unlisted(5005, "/bin/cat", "only_from = 127.0.0.1,127.0.0.2") +
			block("nosuchservice", "socket_type = stream", "wait = no", "user = root", "server = /bin/cat") +
			block("s5006", "type = UNLISTED", "port = 5006", "socket_type = stream", "user = root", "server = /bin/cat") +
			unlisted(5007, "/bin/cat", "log_type = FILE") +
			unlisted(5008, "/bin/cat"),
		do: func(x *xinetd) {
			for port := 5001; port <= 5008; port++ {
				x.ask(fmt.Sprintf("127.0.0.1:%d", port), "hello")
			}
		},
		want: `
127.0.0.1:5001: refused
127.0.0.1:5002: refused
127.0.0.1:5003: refused
127.0.0.1:5004: refused
127.0.0.1:5005: refused
127.0.0.1:5006: refused
127.0.0.1:5007: refused
127.0.0.1:5008: "hello"`,
	},
	{
		name: "limit",
		args: []string{"-limit", "2"},
		conf: defaults("log_type = FILE $dir/log", "log_on_failure = HOST") + unlisted(5001, "/bin/cat") + unlisted(5002, "/bin/cat"),
		do: func(x *xinetd) {
			a := x.hold("127.0.0.1:5001")
			x.hold("127.0.0.1:5002")
			x.hold("127.0.0.1:5002")
			a.Close()
			x.free("127.0.0.1:5001")
			x.first("log")
		},
		want: `
127.0.0.1:5001: served
127.0.0.1:5002: served
127.0.0.1:5002: no server
127.0.0.1:5001: served again
FAIL: s5002 process_limit from=127.0.0.1`,
	},
	{
		name: "inetd_compat",
		args: []string{"-inetd_compat", "-cc", "60"},
		conf: unlisted(5001, "/bin/cat"),
		do: func(x *xinetd) {
			put(x.t, "/etc/inetd.conf", "upper stream tcp nowait root /run/srv/srv.say srv.say from inetd.conf\n", 0o644)
			x.hup()
			x.ask("127.0.0.1:5001", "hello")
			x.ask("127.0.0.1:6001", "")
			os.Remove("/etc/inetd.conf")
			x.hup()
			x.ask("127.0.0.1:5001", "hello")
			x.ask("127.0.0.1:6001", "")
		},
		want: `
127.0.0.1:5001: "hello"
127.0.0.1:6001: "from inetd.conf\n"
127.0.0.1:5001: "hello"
127.0.0.1:6001: refused`,
	},
	{
		name: "inetd_compat and hosts.deny",
		args: []string{"-inetd_compat"},
		conf: unlisted(5001, "/bin/cat"),
		do: func(x *xinetd) {
			put(x.t, "/etc/hosts.deny", "chargen srv.say: 127.0.0.2\n", 0o644)
			defer put(x.t, "/etc/hosts.deny", "", 0o644)
			put(x.t, "/etc/inetd.conf", "upper stream tcp nowait root /run/srv/srv.say srv.say from inetd.conf\n"+
				"chargen stream tcp nowait root internal\necho dgram udp wait root internal\n", 0o644)
			defer os.Remove("/etc/inetd.conf")
			x.hup()
			x.ask("127.0.0.2>127.0.0.1:6001", "")
			x.packet("127.0.0.2>127.0.0.1:7", "hello")
			for _, from := range []string{"127.0.0.1", "127.0.0.2"} {
				c, err := dialFrom("tcp", from, "127.0.0.1:19")
				if err != nil {
					x.t.Fatal(err)
				}
				x.see("chargen serves %s: %v", from, alive(c))
				c.Close()
			}
		},
		want: `
127.0.0.2>127.0.0.1:6001: "from inetd.conf\n"
127.0.0.2>127.0.0.1:7: "hello"
chargen serves 127.0.0.1: true
chargen serves 127.0.0.2: false`,
	},
	{
		name: "options of Debian's init script, and of none",
		args: []string{"-inetd_compat", "-inetd_ipv6", "-stayalive", "-reuse", "-shutdownprocs", "5", "-limit", "-1", "-nonsense", "-syslog", "nowhere"},
		conf: unlisted(5001, "/bin/cat"),
		do: func(x *xinetd) {
			x.ask("127.0.0.1:5001", "hello")
			x.see("%d about the facility", x.log.count(0, `^daemon\.\w+ xinetd\[`+strconv.Itoa(x.cmd.Process.Pid)+`\]: .*nowhere`))
		},
		want: `
127.0.0.1:5001: "hello"
1 about the facility`,
	},
	{
		name: "capital letters",
		conf: "DEFAULTS\n{\nDisabled = S5004\n}\n" +
			"Service s5001\n{\nType = Unlisted\nPort = 5001\nSOCKET_TYPE = STREAM\nProtocol = TCP\nWait = No\nUSER = root\nServer = /bin/cat\nFlags = IPV4 reuse NoDelay\nGroups = YES\nLOG_TYPE = file $dir/log\nLog_On_Success = host\nlog_on_failure = Host Attempt\nInstances = Unlimited\nrlimit_as = unlimited\n}\n" +
			unlisted(5002, say, "flags = nameinargs", "server_args = srv.say Hello") +
			unlisted(5003, "/bin/cat", "log_type = syslog Daemon INFO", "Disable = NO", "per_source = UNlimited") +
			unlisted(5004, "/bin/cat") +
			"INCLUDE $dir/more\n" +
			block("s5006", "type = internal UNLISTED", "port = 5006", "socket_type = Dgram", "wait = YES", "disable = YES") +
			// What is not the syntax's own is as it is written.
			strings.Replace(unlisted(5007, "/bin/cat"), "root", "ROOT", 1) +
			internal("ECHO", "stream") +
			block("DISCARD", "type = UNLISTED INTERNAL", "port = 5008", "socket_type = stream", "protocol = tcp", "wait = no"),
		do: func(x *xinetd) {
			x.put("more", unlisted(5005, "/bin/cat"))
			x.hup()
			for port := 5001; port <= 5008; port++ {
				x.ask(local(port), "hello")
			}
			x.ask("127.0.0.1:7", "hello")
		},
		want: `
127.0.0.1:5001: "hello"
127.0.0.1:5002: "Hello\n"
127.0.0.1:5003: "hello"
127.0.0.1:5004: refused
127.0.0.1:5005: "hello"
127.0.0.1:5006: refused
127.0.0.1:5007: refused
127.0.0.1:5008: ""
127.0.0.1:7: refused`,
	},
	{
		name: "what has no place is ignored",
		conf: "defaults # of all\n{\n\tflags = NODELAY\n\trlimit_as = 1\n\tlibwrap = x\n\tsocket_type = dgram\n\tport = much\n\tdisable = no\n}\n" +
			strings.Replace(unlisted(5001, "/bin/cat"), "\n", " # my service\n", 1) +
			strings.Replace(unlisted(5002, "/bin/cat"), "\n", " and another\n", 1),
		do: func(x *xinetd) {
			x.ask("127.0.0.1:5001", "hello")
			x.ask("127.0.0.1:5002", "hello")
		},
		want: `
127.0.0.1:5001: "hello"
127.0.0.1:5002: "hello"`,
	},
	{
		name: "syslog",
		args: []string{"-syslog", "local5", "-stayalive"},
		conf: unlisted(5001, "/bin/cat"),
		do: func(x *xinetd) {
			x.end()
			x.see("%v", x.log.count(0, fmt.Sprintf(`^local5\.\w+ xinetd\[%d\]: `, x.cmd.Process.Pid)) > 0)
		},
		want: `true`,
	},
	{
		name: "filelog",
		args: []string{"-filelog", "filelog"},
		conf: unlisted(5001, "/bin/cat"),
		do: func(x *xinetd) {
			x.ask("127.0.0.1:5001", "hello")
			stamp := regexp.MustCompile(fmt.Sprintf(`(?i)^\d\d/\d+/\d+@\d\d:\d\d:\d\d xinetd\[%d\]: .*started`, x.cmd.Process.Pid))
			x.see("dated: %v", stamp.MatchString(x.logged("filelog", 1)[0]))
			x.see("%d lines to syslog", x.log.count(0, fmt.Sprintf(`xinetd\[%d\]`, x.cmd.Process.Pid)))
		},
		want: `
127.0.0.1:5001: "hello"
dated: true
0 lines to syslog`,
	},
	{
		name: "filelog and log_type",
		args: []string{"-filelog", "filelog"},
		conf: unlisted(5001, "/bin/cat", "log_type = SYSLOG local3 notice", "log_on_success = HOST") +
			unlisted(5002, "/bin/cat", "log_type = FILE $dir/log", "log_on_success = HOST"),
		do: func(x *xinetd) {
			mark := x.log.mark()
			for _, port := range []int{5001, 5002} {
				x.ask(local(port), "hello")
			}
			x.first("log")
			x.log.wait(x.t, mark, `^local3\.notice xinetd\[\d+\]: START: s5001 from=`)
			x.see("%d in the other file", strings.Count(readAll(x.t, filepath.Join(x.dir, "filelog")), "START"))
		},
		want: `
127.0.0.1:5001: "hello"
127.0.0.1:5002: "hello"
START: s5002 from=127.0.0.1
0 in the other file`,
	},
	{
		name: "no services",
		args: []string{"-stayalive"},
		conf: "# nothing\n",
		do: func(x *xinetd) {
			x.reload(unlisted(5001, "/bin/cat"))
			x.ask("127.0.0.1:5001", "hello")
		},
		want: `
127.0.0.1:5001: "hello"`,
	},
	{
		name: "signals",
		conf: unlisted(5001, "/bin/cat"),
		do: func(x *xinetd) {
			mark := x.log.mark()
			x.put("xinetd.conf", unlisted(5001, "/bin/cat")+unlisted(5002, "/bin/cat"))
			x.cmd.Process.Signal(unix.SIGUSR2) // its old name for HUP
			x.log.wait(x.t, mark, reloads)
			x.cmd.Process.Signal(unix.SIGABRT) // looks at itself
			x.ask(local(5002), "hello")
			os.Remove("/run/xinetd.dump")
			x.cmd.Process.Signal(unix.SIGUSR1)
			eventually(x.t, "a dump of both services", func() bool {
				text, _ := os.ReadFile("/run/xinetd.dump")
				return bytes.Contains(text, []byte("s5001")) && bytes.Contains(text, []byte("s5002"))
			})
			x.cmd.Process.Signal(unix.SIGQUIT)
			<-x.done
			x.see("exit: %v", x.err)
		},
		want: `
127.0.0.1:5002: "hello"
exit: <nil>`,
	},
	{
		name: "end",
		conf: unlisted(5001, "/bin/cat"),
		do: func(x *xinetd) {
			x.hold("127.0.0.1:5001")
			pid, err := os.ReadFile(filepath.Join(x.dir, "pid"))
			x.see("pid file: %v %v", strings.TrimSpace(string(pid)) == fmt.Sprint(x.cmd.Process.Pid), err)
			x.end()
			x.ask("127.0.0.1:5001", "hello")
			_, err = os.Stat(filepath.Join(x.dir, "pid"))
			x.see("pid file is gone: %v", os.IsNotExist(err))
		},
		want: `
127.0.0.1:5001: served
pid file: true <nil>
127.0.0.1:5001: refused
pid file is gone: true`,
	},
}

// clients are addresses that the loopback interface has. Some have names: see
// machine.
var clients = []string{"127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4", "127.1.2.3", "::1"}

// served notes which clients an echo service serves.
func (x *xinetd) served(port int) {
	l := fmt.Sprintf("%d:", port)
	for _, from := range clients {
		to := local(port)
		if from == "::1" {
			to = local6(port)
		}
		switch got := x.answer(from+">"+to, "y"); got {
		case `"y"`:
			l += " " + from
		case `""`, `"go away\n"`:
		default:
			l += " " + from + " " + got
		}
	}
	x.see("%s", l)
}

// shut waits until a service refuses. Until then nobody is served.
func (x *xinetd) shut(addr string) {
	x.t.Helper()
	x.retry(addr+" refuses", func() bool {
		got := x.answer(addr, "y")
		if got == `"y"` {
			x.see("%s: %s", addr, got)
		}
		return got == "refused"
	})
	x.see("%s: refused", addr)
}

// as is a service that runs as another than root.
func as(user, service string) string {
	return strings.Replace(service, "user = root", "user = "+user, 1)
}

// redirected is a service that is passed on.
func redirected(port int, to string, lines ...string) string {
	return strings.Replace(unlisted(port, "", lines...), "server = ", "redirect = "+to, 1)
}

// listener is the socket that listens at a port of both families.
func (x *xinetd) listener(port int) string {
	x.t.Helper()
	all := inodes(x.t, "tcp6", port)
	if len(all) != 1 {
		x.t.Fatalf("%d sockets listen at port %d", len(all), port)
	}
	return all[0]
}

// child is the server that runs under a name, which is a link to cat.
func (x *xinetd) child(name string) (c proc) {
	x.t.Helper()
	eventually(x.t, "a server "+name, func() bool {
		for _, c = range proc(x.cmd.Process.Pid).children() {
			if strings.TrimSpace(c.read("comm")) == name {
				return true
			}
		}
		return false
	})
	return c
}

// retry tries again, less often than the default of cps allows.
func (x *xinetd) retry(what string, ok func() bool) {
	x.t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			x.t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

// free waits until a service has a server again.
func (x *xinetd) free(addr string) {
	x.t.Helper()
	x.retry(addr+" serves again", func() bool { return x.answer(addr, "y") == `"y"` })
	x.see("%s: served again", addr)
}

// now is what the time protocol means.
func now(b []byte) string {
	if len(b) != 4 {
		return fmt.Sprintf("%d bytes", len(b))
	}
	then := time.Unix(int64(binary.BigEndian.Uint32(b))-2208988800, 0)
	if d := time.Since(then); d < -patience || d > patience {
		return then.String()
	}
	return "now"
}

// upper is a server that answers lines in capital letters.
func upper(t testing.TB, addr string) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for {
					line, err := readUntil(c, "\n")
					if err != nil {
						return
					}
					io.WriteString(c, strings.ToUpper(line))
				}
			}()
		}
	}()
}

// identd answers every question of RFC 1413 with one text, until it is told to
// stop or the test ends.
func identd(t testing.TB, text string) (stop func()) {
	l, err := net.Listen("tcp", ":113")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			line, _ := readUntil(c, "\n")
			fmt.Fprintf(c, "%s : %s\r\n", strings.TrimSpace(line), text)
			c.Close()
		}
	}()
	return func() { l.Close() }
}
