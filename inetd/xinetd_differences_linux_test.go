package main

import (
	"fmt"
	"io"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Where ours is not as xinetd is, it is on purpose: each row says what the
// original does (2.3.15.3, as it is installed) and why ours does not. The
// manual has the list for administrators.
func TestXinetdDifferences(t *testing.T) {
	isolated(t, func(t *testing.T) {
		play(t, machine(t), differences)
	})
}

var differences = []scenario{
	{
		name: "v6only = no",
		why:  "no is not yes",
		conf: unlisted(5001, "/bin/cat", "v6only = no"),
		do:   func(x *xinetd) { x.both(5001) },
		want: `
5001: 127.0.0.1 ::1`,
		original: `
5001: ::1`,
	},
	{
		name: "better match",
		why:  "the manual of xinetd says that the better match decides",
		conf: unlisted(5001, "/bin/cat", "only_from = 127.0.0.1", "no_access = 127.0.0.0/8") +
			unlisted(5002, "/bin/cat", "only_from = 127.0.0.2 127.0.0.3", "no_access = 127.0.0.2") +
			unlisted(5003, "/bin/cat", "only_from = 127.0.0.2/31", "no_access = 127.0.0.0/30 127.0.0.3") +
			unlisted(5004, "/bin/cat", "only_from = two.lab", "no_access = .lab", "flags = IPv4"),
		do: func(x *xinetd) {
			for port := 5001; port <= 5004; port++ {
				x.served(port)
			}
		},
		want: `
5001: 127.0.0.1
5002: 127.0.0.3
5003: 127.0.0.2
5004: 127.0.0.2 ::1 refused`,
		original: `
5001:
5002: 127.0.0.3
5003:
5004: ::1 refused`,
	},
	{
		name: "names",
		why:  "who has no name is not let in past a name in no_access; everybody is everybody; localhost has two addresses",
		conf: unlisted(5001, "/bin/cat", "no_access = .sub.lab") +
			unlisted(5002, "/bin/cat", "only_from = 0.0.0.0") +
			unlisted(5003, "/bin/cat", "only_from = localhost") +
			unlisted(5004, "/bin/cat", "only_from = labnet") +
			unlisted(5005, "/bin/cat", "only_from = two.lab"),
		do: func(x *xinetd) {
			for port := 5001; port <= 5005; port++ {
				x.served(port)
			}
		},
		want: `
5001: 127.0.0.1 127.0.0.2 ::1
5002: 127.0.0.1 127.0.0.2 127.0.0.3 127.0.0.4 127.1.2.3 ::1
5003: 127.0.0.1 ::1
5004: 127.1.2.3
5005: 127.0.0.2`,
		original: `
5001: 127.0.0.1 127.0.0.2 127.0.0.3 127.0.0.4 127.1.2.3 ::1
5002: 127.0.0.1 127.0.0.2 127.0.0.3 127.0.0.4 127.1.2.3
5003: ::1
5004:
5005:`,
	},
	{
		name: "access_times",
		why:  "24:00 is in the manual of xinetd; a night has a midnight in it",
		conf: unlisted(5001, "/bin/cat", "access_times = 0:00-24:00") +
			unlisted(5002, "/bin/cat", "access_times = $overnight") +
			unlisted(5003, "/bin/cat", "access_times = $notnight") +
			unlisted(5004, "/bin/cat", "access_times = $today/0:00-24:00") +
			unlisted(5005, "/bin/cat", "access_times = $tomorrow/0:00-24:00"),
		do: func(x *xinetd) {
			if hm := time.Now().Format("15:04"); hm == "23:59" || hm == "00:00" {
				x.t.Skip("it is midnight")
			}
			for port := 5001; port <= 5005; port++ {
				x.ask(local(port), "hello")
			}
		},
		want: `
127.0.0.1:5001: "hello"
127.0.0.1:5002: "hello"
127.0.0.1:5003: ""
127.0.0.1:5004: "hello"
127.0.0.1:5005: ""`,
		original: `
127.0.0.1:5001: refused
127.0.0.1:5002: refused
127.0.0.1:5003: refused
127.0.0.1:5004: refused
127.0.0.1:5005: refused`,
	},
	{
		name: "wrong attributes",
		why:  "a service that is open to more than its file says is worse than none",
		conf: unlisted(5001, "/bin/cat", "bind = 127.0.0.2 # local") +
			unlisted(5002, "/bin/cat", "instances = 0 1") +
			unlisted(5003, "/bin/cat", "only_form = 127.0.0.2") +
			unlisted(5004, "/bin/cat", "instances += 0") +
			unlisted(5005, "/bin/cat", "per_source = 0 // nobody") +
			unlisted(5006, "/bin/cat", "only_from = 127.0.0.0", "only_from -= 127.0.0.1"),
		do: func(x *xinetd) {
			for port := 5001; port <= 5006; port++ {
				x.ask(local(port), "hello")
			}
		},
		want: `
127.0.0.1:5001: refused
127.0.0.1:5002: refused
127.0.0.1:5003: refused
127.0.0.1:5004: refused
127.0.0.1:5005: refused
127.0.0.1:5006: refused`,
		original: `
127.0.0.1:5001: "hello"
127.0.0.1:5002: "hello"
127.0.0.1:5003: "hello"
127.0.0.1:5004: "hello"
127.0.0.1:5005: "hello"
127.0.0.1:5006: "hello"`,
	},
	{
		name: "wrong defaults",
		why:  "a typing error ends no daemon",
		conf: unlisted(5001, "/bin/cat"),
		do: func(x *xinetd) {
			x.put("xinetd.conf", defaults("instances = many")+unlisted(5001, "/bin/cat")+unlisted(5002, "/bin/cat")+unlisted(5003, "/bin/cat", "instances = 5"))
			mark := x.log.mark()
			x.cmd.Process.Signal(unix.SIGHUP)
			x.log.wait(x.t, mark, `reload: \d+ added|Exiting|bailing`)
			if x.mk.original {
				<-x.done
			}
			for port := 5001; port <= 5003; port++ {
				x.ask(local(port), "hello")
			}
		},
		want: `
127.0.0.1:5001: "hello"
127.0.0.1:5002: refused
127.0.0.1:5003: "hello"`,
		original: `
127.0.0.1:5001: refused
127.0.0.1:5002: refused
127.0.0.1:5003: refused`,
	},
	{
		name: "what would refuse clients and has no place",
		why:  "whoever wrote it did not mean everybody to come in",
		conf: defaults("disable = yes") + unlisted(5001, "/bin/cat") + unlisted(5002, "/bin/cat", "disable = no"),
		do: func(x *xinetd) {
			x.ask(local(5001), "hello")
			x.ask(local(5002), "hello")
		},
		want: `
127.0.0.1:5001: refused
127.0.0.1:5002: "hello"`,
		original: `
127.0.0.1:5001: "hello"
127.0.0.1:5002: "hello"`,
	},
	{
		name: "form",
		why:  "what can be read is read, and a stray line costs nothing but itself",
		conf: "stray\n" + unlisted(5001, "/bin/cat") +
			strings.Replace(unlisted(5002, "/bin/cat"), "\n{", " {", 1) +
			unlisted(5003, "/bin/cat", "nice=1") +
			unlisted(5004, "/run/srv/srv.exit", "server_args = srv.say named", "flags = NAMEINARGS") +
			unlisted(5005, "/bin/cat", "log_on_success = TRAFFIC") +
			unlisted(5006, "/bin/cat"),
		do: func(x *xinetd) {
			for port := 5001; port <= 5006; port++ {
				x.ask(local(port), "named\n")
			}
		},
		want: `
127.0.0.1:5001: "named\n"
127.0.0.1:5002: "named\n"
127.0.0.1:5003: "named\n"
127.0.0.1:5004: "named\n"
127.0.0.1:5005: "named\n"
127.0.0.1:5006: "named\n"`,
		original: `
127.0.0.1:5001: refused
127.0.0.1:5002: refused
127.0.0.1:5003: refused
127.0.0.1:5004: ""
127.0.0.1:5005: refused
127.0.0.1:5006: "named\n"`,
	},
	{
		name: "refused before anything is started",
		why:  "strangers cost no process and no instance",
		conf: unlisted(5001, "/bin/cat", "no_access = 127.0.0.2", "log_type = FILE $dir/log", "log_on_success = HOST EXIT", "log_on_failure = HOST"),
		do: func(x *xinetd) {
			x.ask("127.0.0.2>127.0.0.1:5001", "hello")
			x.ask("127.0.0.1:5001", "hello")
			n := 5
			if !x.mk.original {
				n = 3
			}
			x.lines("log", n)
			slices.Sort(x.seen)
		},
		want: `
127.0.0.1:5001: "hello"
127.0.0.2>127.0.0.1:5001: ""
EXIT: s5001 status=0
FAIL: s5001 address from=127.0.0.2
START: s5001 from=127.0.0.1`,
		original: `
127.0.0.1:5001: "hello"
127.0.0.2>127.0.0.1:5001: ""
EXIT: s5001 status=0
EXIT: s5001 status=0
FAIL: s5001 address from=127.0.0.2
START: s5001 from=127.0.0.1
START: s5001 from=127.0.0.2`,
	},
	{
		name: "cps keeps the port",
		why:  "nobody else can have it meanwhile",
		conf: unlisted(5001, "/bin/cat", "cps = 1 30", "flags = IPv4"),
		do: func(x *xinetd) {
			x.ask(local(5001), "hello")
			x.shut(local(5001))
			x.see("another program can have the port: %v", bindable(x.t.(*testing.T), [4]byte{}, 5001, true))
		},
		want: `
127.0.0.1:5001: "hello"
127.0.0.1:5001: refused
another program can have the port: false`,
		original: `
127.0.0.1:5001: "hello"
127.0.0.1:5001: refused
another program can have the port: true`,
	},
	{
		name: "built-in services",
		why:  "RFC 864 and 867 say little; chargen in thousands of bytes for one is a weapon",
		conf: internal("echo", "dgram") + internal("daytime", "stream") + internal("daytime", "dgram") + internal("chargen", "stream") + internal("chargen", "dgram"),
		do: func(x *xinetd) {
			form := regexp.MustCompile(`[A-Za-z]+|[+-]\d+|\d+`) // some zones are called +05
			for _, day := range []string{x.answer("127.0.0.1:13", ""), x.insist("127.0.0.1:13", "?")} {
				x.see("daytime: %s", form.ReplaceAllStringFunc(day, func(w string) string {
					return map[bool]string{true: "0", false: "a"}['0' <= w[0] && w[0] <= '9']
				}))
			}
			b := make([]byte, 5)
			io.ReadFull(dial(x.t, "tcp", "127.0.0.1:19"), b)
			x.see("chargen begins with %q", b)
			line, err := strconv.Unquote(x.insist("127.0.0.1:19", "?"))
			x.see("chargen in a datagram: %d bytes %v", len(line), err)
			long, err := strconv.Unquote(x.insist("127.0.0.1:7", strings.Repeat("x", 3000)))
			x.see("echo of 3000 bytes is whole: %v %v", len(long) == 3000, err)
			x.see("echo for port 9: %s", x.fromPort(9))
		},
		want: `
daytime: "a a 0 0:0:0 0\a\a"
daytime: "a a 0 0:0:0 0\a\a"
chargen begins with " !\"#$"
chargen in a datagram: 74 bytes <nil>
echo of 3000 bytes is whole: true <nil>
echo for port 9: nothing`,
		original: `
daytime: "0 a 0 0:0:0 a\a\a"
daytime: "0 a 0 0:0:0 a\a\a"
chargen begins with "!\"#$%"
chargen in a datagram: 1024 bytes <nil>
echo of 3000 bytes is whole: false <nil>
echo for port 9: "hello"`,
	},
	{
		name: "tcpmux",
		why:  "RFC 1078: a line ends in CRLF, and help lists the services",
		conf: internal("tcpmux", "stream") +
			block("plus", "type = TCPMUXPLUS UNLISTED", "socket_type = stream", "protocol = tcp", "wait = no", "user = nobody", "server = /run/srv/plain") +
			unlisted(5001, "/bin/cat"),
		do: func(x *xinetd) {
			x.ask("127.0.0.1:1", "plus\r\n")
			x.ask("127.0.0.1:1", "s5001\r\n")
			x.ask("127.0.0.1:1", "help\r\n")
		},
		want: `
127.0.0.1:1: "+Go\r\n+nobody\n"
127.0.0.1:1: "-Service not available\r\n"
127.0.0.1:1: "plus\r\n"`,
		original: `
127.0.0.1:1: "+Go\r\n\x00+nobody\n"
127.0.0.1:1: "-Service name not found\r\n\x00"
127.0.0.1:1: "-Service name not found\r\n\x00"`,
	},
	{
		name: "addresses of clients",
		why:  "each family has a socket of its own, so an IPv4 client has an IPv4 address",
		conf: unlisted(5001, "/run/srv/environ", "passenv =", "log_type = FILE $dir/log", "log_on_success = HOST"),
		do: func(x *xinetd) {
			x.ask(local(5001), "")
			x.see("%s", strings.TrimSpace(logStamp.ReplaceAllString(x.logged("log", 1)[0], "")))
		},
		want: `
127.0.0.1:5001: "REMOTE_HOST=127.0.0.1\n"
START: s5001 from=127.0.0.1`,
		original: `
127.0.0.1:5001: "REMOTE_HOST=::ffff:127.0.0.1\n"
START: s5001 from=::ffff:127.0.0.1`,
	},
	{
		name: "environment",
		why:  "what the loader and shells obey is not passed on unless passenv says so",
		conf: unlisted(5001, "/run/srv/environ", "flags = IPv4") + unlisted(5002, "/run/srv/environ", "flags = IPv4", "passenv = LD_TRACE HOME"),
		do: func(x *xinetd) {
			for port := 5001; port <= 5002; port++ {
				var names []string
				for kv := range strings.SplitSeq(strings.Trim(x.answer(local(port), ""), `"`), `\n`) {
					switch name, _, _ := strings.Cut(kv, "="); name {
					case "ONE", "HOME", "PATH", "LD_TRACE", "REMOTE_HOST":
						names = append(names, name)
					}
				}
				x.see("%d: %s", port, strings.Join(names, " "))
			}
		},
		want: `
5001: ONE REMOTE_HOST
5002: HOME LD_TRACE REMOTE_HOST`,
		original: `
5001: HOME LD_TRACE ONE PATH REMOTE_HOST
5002: HOME LD_TRACE REMOTE_HOST`,
	},
	{
		name: "access to wait services",
		why:  "the kernel can keep the lists for servers that read their clients themselves",
		conf: block("s", "type = UNLISTED", "port = 5001", "socket_type = stream", "wait = yes", "user = root", "server = /run/srv/srv.accept", "server_args = 1", "flags = IPv4 NOLIBWRAP", "no_access = 127.0.0.3"),
		do: func(x *xinetd) {
			for _, from := range []string{"127.0.0.3", "127.0.0.1"} {
				x.see("%s reaches the server: %v", from, reaches(from, local(5001)))
			}
		},
		want: `
127.0.0.3 reaches the server: false
127.0.0.1 reaches the server: true`,
		original: `
127.0.0.3 reaches the server: true
127.0.0.1 reaches the server: true`,
	},
	{
		name: "what needs no process",
		why:  "redirects and built-ins are goroutines: their pid is 0",
		conf: defaults("log_type = FILE $dir/log", "log_on_success = PID EXIT") + redirected(5001, "127.0.0.1 6001") + internal("echo", "stream"),
		do: func(x *xinetd) {
			upper(x.t, ":6001")
			c := dial(x.t, "tcp", local(5001))
			io.WriteString(c, "hello\n")
			readUntil(c, "\n")
			c.Close()
			x.logged("log", 2)
			x.ask("127.0.0.1:7", "hello\n")
			x.lines("log", 4)
		},
		want: `
127.0.0.1:7: "hello\n"
START: s5001 pid=0
EXIT: s5001 status=0 pid=0
START: echo-stream pid=0
EXIT: echo-stream status=0 pid=0`,
		original: `
127.0.0.1:7: "hello\n"
START: s5001 pid=N
EXIT: s5001 status=0 pid=N
START: echo-stream pid=N
EXIT: echo-stream status=0 pid=N`,
	},
	{
		name: "from port 20",
		why:  "an ftp server sends from it to whom a stranger names",
		conf: unlisted(5001, "/bin/cat", "log_type = FILE $dir/log", "log_on_success = HOST", "log_on_failure = HOST"),
		do: func(x *xinetd) {
			d := net.Dialer{LocalAddr: &net.TCPAddr{Port: 20}, Timeout: patience}
			c, err := d.Dial("tcp4", local(5001))
			if err != nil {
				x.t.Fatal(err)
			}
			x.first("log")
			c.(*net.TCPConn).SetLinger(0) // the next one has the port at once
			c.Close()
		},
		want: `
FAIL: s5001 address from=127.0.0.1`,
		original: `
START: s5001 from=127.0.0.1`,
	},
	{
		name: "half-close",
		why:  "a client that has said everything still wants its answer",
		conf: redirected(5001, "127.0.0.1 6001"),
		do: func(x *xinetd) {
			upper(x.t, ":6001")
			x.ask(local(5001), "hello\n")
		},
		want: `
127.0.0.1:5001: "HELLO\n"`,
		original: `
127.0.0.1:5001: ""`,
	},
	{
		name: "end of servers",
		why:  "the manual of xinetd says that TERM ends them",
		conf: unlisted(5001, "/bin/cat"),
		do: func(x *xinetd) {
			c := x.hold(local(5001))
			x.end()
			x.see("server lives: %v", alive(c))
		},
		want: `
127.0.0.1:5001: served
server lives: false`,
		original: `
127.0.0.1:5001: served
server lives: true`,
	},
	{
		name: "servers of a removed service",
		why:  "nobody is cut off by an edited file",
		conf: unlisted(5001, "/bin/cat") + unlisted(5002, "/bin/cat"),
		do: func(x *xinetd) {
			c := x.hold(local(5001))
			x.reload(unlisted(5002, "/bin/cat"))
			x.see("server lives: %v", alive(c))
		},
		want: `
127.0.0.1:5001: served
server lives: true`,
		original: `
127.0.0.1:5001: served
server lives: false`,
	},
	{
		name: "a missing server",
		why:  "it may come later, as in inetd",
		conf: unlisted(5001, "$dir/late"),
		do: func(x *xinetd) {
			x.ask(local(5001), "hello")
			put(x.t, x.dir+"/late", "#!/bin/sh\necho here\n", 0o755)
			x.ask(local(5001), "")
		},
		want: `
127.0.0.1:5001: ""
127.0.0.1:5001: "here\n"`,
		original: `
127.0.0.1:5001: refused
127.0.0.1:5001: refused`,
	},
	{
		name: "an address that comes later",
		why:  "leases and tunnels come after daemons",
		conf: unlisted(5001, "/bin/cat", "bind = 10.9.9.9") + unlisted(5002, "/bin/cat"),
		do: func(x *xinetd) {
			if err := addAddress("lo:9", [4]byte{10, 9, 9, 9}); err != nil {
				x.t.Fatal(err)
			}
			defer dropAddress(x.t, "lo:9")
			if !x.mk.original {
				x.log.wait(x.t, 0, `s5001/tcp: .*listening now`)
			}
			x.ask("10.9.9.9:5001", "hello")
		},
		want: `
10.9.9.9:5001: "hello"`,
		original: `
10.9.9.9:5001: refused`,
	},
	{
		name: "default log",
		why:  "the manual of xinetd: SYSLOG daemon info",
		conf: unlisted(5001, "/bin/cat", "log_on_success = HOST") + unlisted(5002, "/bin/cat"),
		do: func(x *xinetd) {
			mark := x.log.mark()
			x.ask("[::1]:5001", "hello")
			x.end()
			x.see("%d START lines", x.log.count(mark, `^daemon\.info xinetd\[\d+\]: START: s5001 from=::1$`))
		},
		want: `
[::1]:5001: "hello"
1 START lines`,
		original: `
[::1]:5001: "hello"
0 START lines`,
	},
	{
		name: "user ids",
		why:  "a client is known before it has a server, and why it has no name is said",
		conf: defaults("log_type = FILE $dir/log", "log_on_success = HOST USERID", "log_on_failure = HOST USERID") +
			unlisted(5001, "/bin/cat") + unlisted(5002, "/bin/cat", "flags = IDONLY"),
		do: func(x *xinetd) {
			x.ask("127.0.0.1:5001", "hello") // nobody answers
			x.ask("127.0.0.1:5002", "hello")
			n := len(x.logged("log", 3))
			identd(x.t, "USERID : UNIX : ann")
			x.ask("127.0.0.1:5001", "hello")
			x.ask("127.0.0.1:5002", "hello")
			x.lines("log", n+4)
			slices.Sort(x.seen)
		},
		want: `
127.0.0.1:5001: "hello"
127.0.0.1:5001: "hello"
127.0.0.1:5002: ""
127.0.0.1:5002: "hello"
FAIL: s5002 ident from=127.0.0.1
NOID: s5002 127.0.0.1 connection refused
START: s5001 from=127.0.0.1
START: s5001 from=127.0.0.1
START: s5002 from=127.0.0.1
USERID: s5001 UNIX : ann
USERID: s5002 UNIX : ann`,
		original: `
127.0.0.1:5001: "hello"
127.0.0.1:5001: "hello"
127.0.0.1:5002: ""
127.0.0.1:5002: "hello"
NOID: s5002 127.0.0.1 no server
START: s5001 from=127.0.0.1
START: s5001 from=127.0.0.1
START: s5002 from=127.0.0.1
START: s5002 from=127.0.0.1
USERID: s5001 UNIX : ann
USERID: s5002 UNIX : ann`,
	},
}

// both notes the families that are served.
func (x *xinetd) both(port int) {
	l := fmt.Sprintf("%d:", port)
	for _, host := range []string{"127.0.0.1", "::1"} {
		to := local(port)
		if host == "::1" {
			to = local6(port)
		}
		if x.answer(to, "y") == `"y"` {
			l += " " + host
		}
	}
	x.see("%s", l)
}

// fromPort notes what an echo service answers to a source port of services.
func (x *xinetd) fromPort(port int) string {
	c, err := net.DialUDP("udp", &net.UDPAddr{Port: port}, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 7})
	if err != nil {
		x.t.Fatal(err)
	}
	defer c.Close()
	b := make([]byte, 100)
	for range 5 {
		c.SetDeadline(time.Now().Add(100 * time.Millisecond))
		io.WriteString(c, "hello")
		if n, err := c.Read(b); err == nil {
			return fmt.Sprintf("%q", b[:n])
		}
	}
	return "nothing"
}

// alive says whether a connection to an echo service has a server still.
func alive(c net.Conn) bool {
	io.WriteString(c, "y")
	_, err := io.ReadFull(c, make([]byte, 1))
	return err == nil
}

// dropAddress takes an address away that addAddress has given.
func dropAddress(t testing.TB, ifname string) {
	t.Helper()
	if err := addAddress(ifname, [4]byte{}); err != nil {
		t.Error(err)
	}
}
