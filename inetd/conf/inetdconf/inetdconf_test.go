package inetdconf

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"inetd/inetd/conf"
)

var update = flag.Bool("update", false, "write the .want files anew")

// A machine with a few of everything.
var ports = map[string]uint16{
	"ftp/tcp": 21, "ssh/tcp": 22, "telnet/tcp": 23, "smtp/tcp": 25, "time/tcp": 37, "time/udp": 37, "whois/tcp": 43,
	"echo/tcp": 7, "echo/udp": 7, "discard/tcp": 9, "discard/udp": 9, "daytime/tcp": 13, "daytime/udp": 13,
	"chargen/tcp": 19, "chargen/udp": 19, "tftp/udp": 69, "finger/tcp": 79, "http/tcp": 80, "https/tcp": 443,
	"pop-3/tcp": 110, "nntp/tcp": 119, "imap2/tcp": 143, "imap/tcp": 143, "auth/tcp": 113, "ident/tcp": 113,
	"comsat/udp": 512, "login/tcp": 513, "shell/tcp": 514, "talk/udp": 517, "ntalk/udp": 518, "uucp/tcp": 540,
	"git/tcp": 9418, "spamd-cfg/tcp": 8026, "myecho/tcp": 5000, "tcpmux/tcp": 1, "heute/tcp": 13,
}

var official = map[string]string{"heute/tcp": "daytime", "ident/tcp": "auth", "imap2/tcp": "imap"}

var programs = map[string]uint32{"rquotad": 100011, "rstatd": 100001, "sprayd": 100012, "rusersd": 100002, "walld": 100008}

func known(names string) func(string) error {
	return func(name string) error {
		for _, n := range strings.Fields(names) {
			if n == name {
				return nil
			}
		}
		return fmt.Errorf("unknown %q", name)
	}
}

var (
	knownUser  = known("root nobody guest tty news backup gitd telnetd identd uucp _httpd _spamd _identd _fingerd _walld dot.ted ann 0")
	knownGroup = known("wheel tty kmem nogroup news scanner ted staff 0")
)

func knownIdentity(user, group string) error {
	if err := knownUser(user); err != nil || group == "" {
		return err
	}
	return knownGroup(group)
}

var env = &conf.Env{
	Port: func(name, proto string) (uint16, string, bool) {
		p, ok := ports[name+"/"+proto]
		if o := official[name+"/"+proto]; o != "" {
			name = o
		}
		return p, name, ok
	},
	PortName: func(port uint16, proto string) string {
		for n, p := range ports {
			if p == port && strings.HasSuffix(n, "/"+proto) && official[n] == "" {
				return strings.TrimSuffix(n, "/"+proto)
			}
		}
		return ""
	},
	RPC:        func(name string) (uint32, bool) { n, ok := programs[name]; return n, ok },
	User:       knownUser,
	Group:      knownGroup,
	Identity:   knownIdentity,
	DaemonDir:  "/usr/sbin",
	FilterNote: "not here",
	Internal: func(name string, t conf.Socktype) bool {
		switch name {
		case "echo", "discard", "daytime", "time", "chargen":
			return t == conf.Stream || t == conf.Dgram
		case "tcpmux", "auth":
			return t == conf.Stream
		}
		return false
	},
	InternalArgs: func(name string, args []string) error {
		if len(args) > 1 && args[1] == "-bad" {
			return errors.New("unknown option -bad")
		}
		return nil
	},
	Program: func(path string) error {
		if strings.HasPrefix(path, "/missing") || path == "/bin/Internal" {
			return &fs.PathError{Op: "stat", Path: path, Err: fs.ErrNotExist}
		}
		return nil
	},
	Path:  []string{"/missing/sbin", "/bin"},
	Proto: func(name string) bool { return name == "icmp" || name == "ospf" },
}

func noFile(name string) ([]byte, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

// parse reads text alone.
func parse(text string) ([]*conf.Service, conf.ErrorList) {
	return active(Parse("f", []byte(text), env, Source{ReadFile: noFile, Glob: func(string) ([]string, error) { return nil, nil }}))
}

// show is what a reading of a file found, as text.
func show(services []*conf.Service, errs conf.ErrorList) string {
	var b strings.Builder
	for _, e := range errs {
		fmt.Fprintln(&b, e)
	}
	for _, s := range services {
		fmt.Fprintf(&b, "%s\t%s\n", s.Pos, Format(s))
	}
	return b.String()
}

// The files as the systems ship them, with all that each can say. The .want
// file beside each has the problems, then the services with their places.
func TestDialects(t *testing.T) {
	files, err := filepath.Glob("testdata/*.conf")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			services, errs := active(Parse(name, text, env, Source{ReadFile: os.ReadFile, Glob: filepath.Glob}))
			got := show(services, errs)
			wantFile := strings.TrimSuffix(name, ".conf") + ".want"
			if *update {
				if err := os.WriteFile(wantFile, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(wantFile)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("Parse(%s) =\n%s\nwant\n%s", name, got, want)
			}
		})
	}
}

// Every mistake, with its place and text.
func TestProblems(t *testing.T) {
	const missing = ": missing: an entry is service, socket type, protocol, wait/nowait, user, program and arguments"
	for _, tt := range []struct {
		text string
		want []string // what is printed after "f:"
		left int      // services that are kept
	}{
		{"", nil, 0},
		{"# a comment\n\n \t\n#<off># ftp stream tcp\n", nil, 0},
		{"ftp stream tcp nowait root /bin/cat", nil, 1},

		// Fields that are not there.
		{"ftp\n", []string{"1:4: socket type" + missing}, 0},
		{"ftp stream\n", []string{"1:11: protocol" + missing}, 0},
		{"ftp stream tcp\n", []string{"1:15: wait/nowait" + missing}, 0},
		{"ftp stream tcp nowait\n", []string{"1:22: user" + missing}, 0},
		{"ftp stream tcp nowait root  \n", []string{"1:27: program" + missing}, 0},
		{"ftp stream tcp nowait root\nssh stream tcp nowait root /bin/cat\n", []string{"1:27: program" + missing}, 1},

		// Services.
		{"nosuch stream tcp nowait root /bin/cat\n", []string{`1:1: service: "nosuch" is neither a port number nor in /etc/services for tcp`}, 0},
		{"tftp stream tcp nowait root /bin/cat\n", []string{`1:1: service: "tftp" is neither a port number nor in /etc/services for tcp`}, 0},
		{"0 stream tcp nowait root /bin/cat\n", []string{"1:1: service: port 0 is not in 1 to 65535"}, 0},
		{"65536 stream tcp nowait root /bin/cat\n", []string{"1:1: service: port 65536 is not in 1 to 65535"}, 0},
		{"65535 stream tcp nowait root /bin/cat\n", nil, 1},
		{"70000 stream tcp nowait root /bin/cat\n", []string{"1:1: service: port 70000 is not in 1 to 65535"}, 0},
		{"ftp stream nowait root /bin/cat cat\n", []string{`1:12: protocol: missing: "nowait" stands where tcp, udp or another protocol belongs`}, 0},
		{"echo stream nowait.40 root internal\n", []string{`1:13: protocol: missing: "nowait.40" stands where tcp, udp or another protocol belongs`}, 0},
		{"ftp stream wait wait root /bin/cat\n", []string{`1:12: protocol: "wait" is not a protocol: expected tcp, udp (with 4, 6 or 46 after it), unix or rpc/tcp, rpc/udp`}, 0},
		{"ftp stream tcp,udp nowait root /bin/cat\n", []string{`1:12: protocol: "tcp,udp": an entry has one protocol: write a line for each`}, 0},
		{"ftp\u00a0stream tcp nowait root /bin/cat\n", []string{"1:4: U+00A0 is no blank: fields stand between spaces or tabs"}, 0},
		{"ftp stream tcp nowait root /bin/sh\u3000sh\n", []string{"1:35: U+3000 is no blank: fields stand between spaces or tabs"}, 0},
		{"ftp stream tcp nowait root /bin/sh sh “-c”\n", []string{"1:39: warning: \"“-c”\" has U+201C in it, which is no blank and no quote"}, 1},
		{"ftp stream tcp nowait root /bin/sh sh 'a\u3000b' é\n", nil, 1},
		{"127.0.0.1: stream tcp nowait root /bin/cat\n", []string{"1:11: service: the name of the service is missing", `1:1: service: "" is neither a port number nor in /etc/services for tcp`}[:1], 0},
		{"a,,b:ftp stream tcp nowait root /bin/cat\n", []string{"1:3: host: an address is empty"}, 0},
		{":ftp stream tcp nowait root /bin/cat\n", []string{"1:1: host: an address is empty"}, 0},
		{"[::1:ftp stream tcp nowait root /bin/cat\n", []string{`1:1: host: "[::1": brackets come in pairs around an IPv6 address`}, 0},
		{"::1]:ftp stream tcp nowait root /bin/cat\n", []string{`1:1: host: "::1]": brackets come in pairs around an IPv6 address`}, 0},
		{"127.0.0.1,bad!:7005 stream tcp nowait root /bin/cat\n", []string{`1:11: host: "bad!" is neither an address nor a host name`}, 0},
		{"127.0.0.1:nosuch stream tcp nowait root /bin/cat\n", []string{`1:11: service: "nosuch" is neither a port number nor in /etc/services for tcp`}, 0},
		{"127.0.0.1:rstatd/x dgram rpc/udp wait root /bin/cat\n", []string{`1:11: service: rpc versions "x": expected N or LOW-HIGH`}, 0},
		{"ftp stream:dataready tcp nowait root /bin/cat\n", []string{"1:12: warning: socket type: accept filter dataready: not here"}, 1},
		{"ftp stream tcp,rcvbuf=1k,sndbuf=64q nowait root /bin/cat\n", []string{`1:33: sndbuf: "64q" is not a size from 1 to 1024m, with k or m after it`}, 0},
		{"a,,b:\nftp stream tcp nowait root /bin/cat\n", []string{"1:3: host: an address is empty"}, -1},

		// Socket types and protocols.
		{"ftp strem tcp nowait root /bin/cat\n", []string{`1:5: socket type: "strem": expected stream, dgram, raw, rdm or seqpacket`}, 0},
		{"ftp stream, tcp nowait root /bin/cat\n", []string{`1:5: socket type: "" after the comma is not a number of servers from 1 on`}, 0},
		{"ftp stream,0 tcp nowait root /bin/cat\n", []string{`1:5: socket type: "0" after the comma is not a number of servers from 1 on`}, 0},
		{"ftp stream: tcp nowait root /bin/cat\n", []string{"1:12: socket type: the accept filter is missing"}, 0},
		{"ftp stream foo nowait root /bin/cat\n", []string{`1:12: protocol: "foo" is not a protocol: expected tcp, udp (with 4, 6 or 46 after it), unix or rpc/tcp, rpc/udp`}, 0},
		{"ftp dgram tcp wait root /bin/cat\n", []string{"1:11: protocol: tcp sockets are stream, not dgram"}, 0},
		{"tftp stream udp wait root /bin/cat\n", []string{"1:13: protocol: udp sockets are dgram, not stream"}, 0},
		{"ftp stream tcp,sndbuf=64q nowait root /bin/cat\n", []string{`1:23: sndbuf: "64q" is not a size from 1 to 1024m, with k or m after it`}, 0},
		{"ftp stream tcp,rcvbuf= nowait root /bin/cat\n", []string{`1:23: rcvbuf: "" is not a size from 1 to 1024m, with k or m after it`}, 0},
		{"ftp stream tcp,rcvbuf=1025m nowait root /bin/cat\n", []string{`1:23: rcvbuf: "1025m" is not a size from 1 to 1024m, with k or m after it`}, 0},
		{"ftp stream tcp,window=7 nowait root /bin/cat\n", []string{`1:16: protocol: "window=7": expected sndbuf=N or rcvbuf=N`}, 0},
		{"ftp stream tcp/ttcp nowait root /bin/cat\n", []string{`1:12: protocol: "tcp/ttcp": T/TCP and faith are gone from every kernel`}, 0},
		{"127.0.0.1:ftp stream tcp6 nowait root /bin/cat\n", []string{"1:1: host: 127.0.0.1 is no address of the protocol's family"}, 0},
		{"[::1],[::2]:tftp dgram udp4 wait root /bin/cat\n", []string{"1:1: host: [::1],[::2] is no address of the protocol's family"}, 0},
		{"127.0.0.1,[::1]:\nftp stream tcp4 nowait root /bin/cat\ntime stream tcp6 nowait root internal\n", nil, 2},
		{"127.0.0.1,localhost:ftp stream tcp6 nowait root /bin/cat\n", nil, 1},
		{"127.0.0.1:ftp stream tcp46 nowait root /bin/cat\n", nil, 1},
		{"ftp stream faith/tcp6 nowait root /bin/cat\n", []string{`1:12: protocol: "faith/tcp6": T/TCP and faith are gone from every kernel`}, 0},

		// wait and its limits.
		{"ftp stream tcp maybe root /bin/cat\n", []string{`1:16: wait/nowait: "maybe" is neither`}, 0},
		{"ftp stream tcp nowai.3 root /bin/cat\n", []string{`1:16: wait/nowait: "nowai" is neither`}, 0},
		{"ftp stream tcp nowait. root /bin/cat\n", []string{`1:22: wait/nowait: starts a minute: "" is not a number from 0 to 2147483647`}, 0},
		{"ftp stream tcp nowait.abc root /bin/cat\n", []string{`1:22: wait/nowait: starts a minute: "abc" is not a number from 0 to 2147483647`}, 0},
		{"ftp stream tcp nowait.-1 root /bin/cat\n", []string{`1:22: wait/nowait: starts a minute: "-1" is not a number from 0 to 2147483647`}, 0},
		{"ftp stream tcp nowait.99999999999 root /bin/cat\n", []string{`1:22: wait/nowait: starts a minute: "99999999999" is not a number from 0 to 2147483647`}, 0},
		{"ftp stream tcp nowait/ root /bin/cat\n", []string{`1:22: wait/nowait: servers: "" is not a number from 0 to 2147483647`}, 0},
		{"ftp stream tcp nowait/1/x root /bin/cat\n", []string{`1:22: wait/nowait: starts a minute of one client: "x" is not a number from 0 to 2147483647`}, 0},
		{"ftp stream tcp nowait/1/2/x root /bin/cat\n", []string{`1:22: wait/nowait: servers of one client: "x" is not a number from 0 to 2147483647`}, 0},
		{"ftp stream tcp nowait/1/2/3/4 root /bin/cat\n", []string{`1:22: wait/nowait: "/1/2/3/4": expected /servers[/client-rate[/client-servers]]`}, 0},
		{"tftp dgram udp nowait root /bin/cat\n", []string{"1:16: warning: wait/nowait: nowait on a dgram service: each client gets a server with a socket of its own"}, 1},
		{"ftp stream tcp wait/2 root /bin/cat\n", []string{"1:16: warning: wait/nowait: a wait service has one server at a time, the limit of 2 is without effect"}, 1},
		{"echo stream tcp wait root internal\n", []string{"1:17: warning: wait/nowait: internal stream services are always nowait"}, 1},
		{"7777 raw ospf nowait root /bin/cat\n", []string{"1:15: wait/nowait: a raw service is wait: there are no connections to hand out"}, -1},

		{"echo dgram udp wait.5 root internal\n", []string{"1:16: warning: wait/nowait: datagrams of internal services are answered at once, the limits are without effect"}, 1},
		{"echo dgram udp wait/2 root internal\n", []string{"1:16: warning: wait/nowait: datagrams of internal services are answered at once, the limits are without effect"}, 1},
		{"echo stream tcp nowait.5/2 root internal\n", nil, 1},

		// tcpmux.
		{"tcpmux/+Help stream tcp nowait root /bin/cat\n", []string{"1:1: warning: service: tcpmux answers help itself, so nobody reaches this service"}, 1},
		{"tcpmux/echo stream tcp nowait root internal\n", []string{"1:1: warning: service: an internal service does not say the + that clients of tcpmux wait for: write tcpmux/+echo"}, 1},
		{"tcpmux/+echo stream tcp nowait root internal\n", nil, 1},
		{"/run/x seqpacket unix wait root /bin/cat\n", nil, 1},
		{"rstatd/1000000-1000003 dgram rpc/udp wait root /bin/cat\n", nil, 1},
		{"tcpmux/x stream tcp wait root /bin/cat\n", []string{"1:21: warning: wait/nowait: a tcpmux service is always nowait"}, 1},

		// Users.
		{"echo stream tcp nowait nosuch internal\n", nil, 1},
		{"ftp stream tcp nowait nosuch /bin/cat\n", []string{`1:23: warning: user: unknown "nosuch": not served until there is`}, 1},
		{"ftp stream tcp nowait root:nosuch /bin/cat\n", []string{`1:23: warning: user: unknown "nosuch": not served until there is`}, 1},
		{"ftp stream tcp nowait root.nosuch /bin/cat\n", []string{`1:23: warning: user: unknown "nosuch": not served until there is`}, 1},
		{"ftp stream tcp nowait root: /bin/cat\n", []string{`1:23: warning: user: "root:": the group is empty: the user's own is taken`}, 1},
		{"ftp stream tcp nowait root. /bin/cat\n", []string{`1:23: warning: user: "root.": the group is empty: the user's own is taken`}, 1},
		{"ftp stream tcp nowait :wheel /bin/cat\n", []string{`1:23: user: ":wheel": expected user, user:group or user.group`}, 0},
		{"ftp stream tcp nowait root/staff /bin/cat\n", []string{`1:23: warning: user: login class "staff" is ignored: this system has none`}, 1},

		// Programs.
		{"ftp stream tcp nowait root bin/cat cat\n", []string{`1:28: warning: program: "bin/cat": read as /bin/cat, the daemon's directory being /`}, 1},
		{"ftp stream tcp nowait root cat cat\n", []string{`1:28: warning: program: "cat": read as /bin/cat: most inetds want the whole path`}, 1},
		{"echo stream tcp nowait root Internal\n", []string{`1:29: program: "Internal": expected internal or a path that starts with /`}, 0},
		{"#<off>#ftp stream tcp nowait root cat cat\n", nil, 0},
		{"ftp stream tcp nowait root tcpd tcpd\n", []string{
			`1:28: warning: program: "tcpd": read as /bin/tcpd: most inetds want the whole path`,
			"1:33: arguments: tcpd would start itself, for ever: name the server behind it, by its path or by a name in /usr/sbin"}, 0},
		{"ftp stream tcp nowait root /missing/cat cat\n", []string{"1:28: warning: program: /missing/cat: file does not exist"}, 1},
		{"ftp stream tcp nowait root internal\n", []string{`1:28: program: there is no internal stream service "ftp": another may be named behind internal`}, 0},
		{"ftp stream tcp nowait root internal magic\n", []string{`1:28: program: there is no internal stream service "magic"`}, 0},
		{"ftp stream tcp nowait root /usr/sbin/tcpd /missing/ftpd -l\n", []string{"1:43: warning: arguments: behind tcpd: /missing/ftpd: file does not exist"}, 1},
		{"ftp stream tcp nowait root /usr/sbin/tcpd ftpd\n", nil, 1},
		{"ftp stream tcp nowait root /usr/sbin/tcpd\n", []string{"1:28: arguments: tcpd would start itself, for ever: name the server behind it, by its path or by a name in /usr/sbin"}, 0},
		{"ftp stream tcp nowait root /usr/sbin/tcpd tcpd /bin/ftpd\n", []string{"1:43: arguments: tcpd would start itself, for ever: name the server behind it, by its path or by a name in /usr/sbin"}, 0},
		{"ftp stream tcp nowait root /usr/sbin/tcpd /usr/sbin/tcpd ftpd\n", []string{"1:43: arguments: tcpd would start itself, for ever: name the server behind it, by its path or by a name in /usr/sbin"}, 0},
		{"ftp stream tcp nowait root /usr/bin/python3 /root/x.py\n", []string{`1:45: warning: arguments: "/root/x.py" is the name that python3 is called by, argv[0], and no argument: write python3 /root/x.py`}, 1},
		{"ftp stream tcp nowait root /bin/ls -l\n", []string{`1:36: warning: arguments: "-l" is the name that ls is called by, argv[0], and no argument: write ls -l`}, 1},
		{"ftp stream tcp nowait root /bin/sh /bin/sh /root/x.sh\n", nil, 1},
		{"ftp stream tcp nowait root /bin/sh -sh\n", nil, 1},
		{"ftp stream tcp nowait root /bin/sh ''\n", nil, 1},
		{"auth stream tcp nowait root internal auth -bad\n", []string{"1:38: arguments: unknown option -bad"}, 0},
		{"daytime stream tcp nowait root internal # my comment\n", []string{`1:41: warning: arguments: a comment starts in the first column: "#" and what follows is ignored`}, 1},
		{"auth stream tcp nowait root internal auth -r #comment\n", []string{`1:46: warning: arguments: a comment starts in the first column: "#comment" and what follows is ignored`}, 1},
		{"daytime stream tcp nowait root internal internal\n", []string{`1:41: warning: arguments: "internal" names no built-in service: it and what follows is ignored, and daytime served`}, 1},
		{"13 dgram udp wait root internal /usr/sbin/discard x\n", []string{`1:33: warning: arguments: "/usr/sbin/discard" names no built-in service: it and what follows is ignored, and daytime served`}, 1},
		{"auth stream tcp nowait root internal -r\n", nil, 1},
		{"heute stream tcp nowait root internal -I 60\n", nil, 1},
		{"echo stream tcp nowait root internal -I -bad\n", []string{"1:38: arguments: unknown option -bad"}, 0},
		{"ftp stream tcp nowait root internal -r\n", []string{`1:28: program: there is no internal stream service "ftp": another may be named behind internal`}, 0},
		{"heute stream tcp nowait root internal\n7777 stream tcp nowait root internal echo\n13 dgram udp wait root internal\n", nil, 3},
		{"auth dgram udp wait root internal auth\n", []string{`1:1: service: "auth" is neither a port number nor in /etc/services for udp`, `1:26: program: there is no internal dgram service "auth"`}, 0},

		// unix, rpc, tcpmux.
		{"run/x stream unix nowait root /bin/cat\n", []string{`1:1: service: "run/x": the path of a unix socket starts with /`}, 0},
		{"/" + strings.Repeat("x", 107) + " stream unix nowait root /bin/cat\n", []string{"1:1: service: the path is longer than the 107 bytes a unix socket may have"}, 0},
		{"/" + strings.Repeat("x", 106) + " stream unix nowait root /bin/cat\n", nil, 1},
		{":ann:/x stream unix nowait root /bin/cat\n", []string{`1:1: service: ":ann:/x": expected :user:group:mode:/path`}, 0},
		{":ann:staff:888:/x stream unix nowait root /bin/cat\n", []string{`1:1: service: mode "888" is not an octal number up to 777`}, 0},
		{":ann:staff:1777:/x stream unix nowait root /bin/cat\n", []string{`1:1: service: mode "1777" is not an octal number up to 777`}, 0},
		{":x:staff:600:/x stream unix nowait root /bin/cat\n", []string{`1:1: service: unknown "x"`}, 0},
		{"/x raw unix wait root /bin/cat\n", []string{"1:8: protocol: a unix socket is stream, dgram or seqpacket, not raw"}, 0},
		{"/x dgram unix nowait root /bin/cat\n", []string{"1:15: wait/nowait: a dgram service on a unix socket is wait"}, 0},
		{"/x dgram unix wait root internal echo\n", []string{"1:25: program: there are no internal dgram services on unix sockets"}, 0},
		{"rstatd dgram rpc/udp wait root /bin/cat\n", []string{"1:1: service: an rpc service needs its versions: name/1 or name/1-3"}, 0},
		{"rstatd/3-1 dgram rpc/udp wait root /bin/cat\n", []string{`1:1: service: rpc versions "3-1": expected N or LOW-HIGH`}, 0},
		{"rstatd/x dgram rpc/udp wait root /bin/cat\n", []string{`1:1: service: rpc versions "x": expected N or LOW-HIGH`}, 0},
		{"rstatd/1-2000 dgram rpc/udp wait root /bin/cat\n", []string{"1:1: service: an rpc service has at most 256 versions"}, 0},
		{"nosuchd/1 dgram rpc/udp wait root /bin/cat\n", []string{`1:1: service: "nosuchd" is neither in rpc(5) nor a program number`}, 0},
		{"tcpmux/ stream tcp nowait root /bin/cat\n", []string{"1:1: service: a tcpmux name has 1 to 255 bytes"}, 0},
		{"tcpmux/x dgram udp nowait root /bin/cat\n", []string{"1:16: protocol: a tcpmux service is stream tcp", "1:20: warning: wait/nowait: nowait on a dgram service: each client gets a server with a socket of its own"}, 0},
		{"10.0.0.1,:tcpmux/x stream tcp nowait root /bin/cat\n", []string{`1:10: host: an address is empty`}, 0},

		// Lines.
		{"\xef\xbb\xbfftp stream tcp nowait root /bin/cat\n", []string{"1:1: warning: the file starts with a byte order mark, which is ignored"}, 1},
		{"# unix line\n# DOS line\r\nftp stream tcp nowait root /bin/cat\r\n", []string{"2:11: warning: lines end in CR LF; the CR is ignored"}, 1},
		{"ftp stream tcp nowait root /bin/cat cat # a remark\n", []string{`1:41: warning: arguments: a comment starts in the first column: "#" and what follows are arguments`}, 1},
		{"ftp stream tcp nowait root /bin/cat cat\n # a remark\n", []string{"2:2: warning: an indented line continues the entry above: this comment becomes arguments"}, 1},
		{"ftp stream tcp nowait root /bin/cat cat\n\tssh stream tcp nowait root /bin/cat cat\n", []string{"2:2: warning: an indented line continues the entry above: this entry becomes arguments"}, 1},
		{"ftp stream tcp nowait root /bin/cat cat\n\t-l\n", []string{"2:2: warning: indented line read as continuation of the entry above"}, 1},
		{"ftp stream tcp nowait root /bin/sh sh -c 'echo hello\n", []string{"1:42: warning: the quote ' has no end on this line: it is taken as it stands"}, 1},
		{"ftp stream tcp nowait root /bin/sh \"sh\n\tx\"\n", []string{
			"1:36: warning: the quote \" has no end on this line: it is taken as it stands", "2:2: warning: indented line read as continuation of the entry above",
			"2:3: warning: the quote \" within a word is taken as it stands: NetBSD and GNU take it for one"}, 1},
		{"ftp stream tcp nowait root /bin/echo echo it's a don't\n", []string{
			"1:45: warning: the quote ' within a word is taken as it stands: NetBSD and GNU take it for one",
			"1:53: warning: the quote ' within a word is taken as it stands: NetBSD and GNU take it for one"}, 1},
		{"ftp stream tcp nowait root /bin/echo echo 'a'b\"\"' 'x''y'\n", []string{
			"1:47: warning: the quote \" within a word is taken as it stands: NetBSD and GNU take it for one"}, 1},
		{"ftp stream tcp nowait root /bin/cat\n a\x00b\nssh stream tcp nowait root /bin/cat\n", []string{"2:2: a word has a NUL byte in it"}, 1},
		{"ftp stream tcp nowait root /bin/cat a\x00b\n", []string{"1:37: a word has a NUL byte in it"}, 0},
		{"#@ in ipsec esp\n#@\n", []string{"1:1: warning: IPsec policies are not supported here; the line is ignored"}, 0},
		{".include\n", []string{"1:1: .include takes one file name or pattern"}, 0},
		{".include a b\n", []string{"1:1: .include takes one file name or pattern"}, 0},
		{".include x*\n", []string{"1:10: .include: no file matches x*"}, 0},

		// Key-values.
		{"ftp on protocol = tcp, wait = no, user = root, exec = /bin/cat;\n", nil, 1},
		{"ftp off protocol = tcp, wait = no, user = root, exec = /bin/cat;\n", nil, 0},
		{"ftp on protocol = tcp, wait = no, user = root, exec = /bin/cat\n", []string{"1:1: the entry has no ; before the end of the file"}, 0},
		{"\nftp on", []string{"2:1: the entry has no ; before the end of the file"}, 0},
		{"echo on protocol = tcp; ftp on protocol = tcp;\n", []string{`1:25: program: there is no internal stream service "ftp": another may be named behind internal`}, 1},
		{"ftp on bind = 127.0.0.1, protocol = tcp6, wait = no, user = root, exec = /bin/cat;\n", []string{"1:15: host: 127.0.0.1 is no address of the protocol's family"}, 0},
		{"ftp on protocol = tcp, acceptfilter = dataready, wait = no, user = root, exec = /bin/cat;\n", []string{"1:39: warning: socket type: accept filter dataready: not here"}, 1},
		{"ftp on colour = red;\n", []string{`1:8: unknown option "colour"`}, 0},
		{"ftp on protocol tcp;\n", []string{"1:20: expected = after protocol"}, 0},
		{"ftp on protocol = tcp, protocol = tcp;\n", []string{"1:32: option protocol is already given"}, 0},
		{"ftp on protocol = ;\n", []string{"1:20: option protocol has no value"}, 0},
		{"ftp on protocol = tcp udp;\n", []string{"1:27: option protocol has more than one value"}, 0},
		{"ftp on protocol = tcp, wait = maybe, user = root, exec = /bin/cat;\n", []string{`1:31: wait/nowait: "maybe": expected yes or no`}, 0},
		{"ftp on protocol = tcp, wait = no, exec = /bin/cat;\n", []string{"1:1: user: required, and not given"}, 0},
		{"ftp on wait = no, user = root, exec = /bin/cat;\n", []string{"1:1: protocol: required, and not given", "1:1: socktype: required, and not given"}, 0},
		{"ftp on protocol = tcp, wait = no, user = root, exec = /bin/cat, args = \"x;\nssh stream tcp nowait root /bin/cat\n", []string{`1:72: the quote " has no end on this line`}, 1},
		{"ftp on protocol = tcp, wait = no, user = root, exec = /bin/cat, args = \"\\z\";\n", []string{`1:73: bad escape: expected one of \\ \n \t \r \' \" \xHH`}, 0},
		{"ftp on protocol = tcp, service_max = x, wait = no, user = root, exec = /bin/cat;\n", []string{`1:38: service_max: "x" is not a number from 0 to 2147483647`}, 0},
	} {
		services, errs := parse(tt.text)
		var got []string
		for _, e := range errs {
			got = append(got, strings.TrimPrefix(e.Error(), "f:"))
		}
		if strings.Join(got, "\n") != strings.Join(tt.want, "\n") {
			t.Errorf("Parse(%q) reports\n%s\nwant\n%s", tt.text, strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
		}
		if tt.left >= 0 && len(services) != tt.left {
			t.Errorf("Parse(%q) has %d services, want %d", tt.text, len(services), tt.left)
		}
	}
}

// TestHosts: addresses in every form of inet_aton(3), and what is none.
func TestHosts(t *testing.T) {
	for _, tt := range []struct{ text, want string }{ // "!" is an error
		{"127.0.0.1", "127.0.0.1"},
		{"127.1", "127.0.0.1"},
		{"[0:0::1],[FE80::0:1%lo]", "::1 fe80::1%lo"},
		{"10.1.258", "10.1.1.2"},
		{"10.65538", "10.1.0.2"},
		{"2130706433", "127.0.0.1"},
		{"4294967295", "255.255.255.255"},
		{"0", "0.0.0.0"},
		{"0177.0.0.01", "127.0.0.1"},
		{"localhost,127.1,[::1]", "localhost 127.0.0.1 ::1"},
		{"127.1,*", ""},
		{"host1.2b", "host1.2b"},
		{"1host", "1host"},
		{"127.0.0.256", "!"},
		{"256.1", "!"},
		{"127.0.65536", "!"},
		{"127.16777216", "!"},
		{"1_0", "1_0"}, // Go's own numbers
		{"0b1", "0b1"},
		{"0x7f.1", "0x7f.1"},
		{"4294967296", "!"},
		{"127.0.0.1.", "!"},
		{"1.2.3.4.5", "!"},
		{"127..1", "!"},
		{"127.0.0.08", "!"},
	} {
		got, err := Hosts(tt.text)
		if tt.want == "!" {
			if err == nil {
				t.Errorf("Hosts(%s) = %q, want an error", tt.text, got)
			}
		} else if err != nil || strings.Join(got, " ") != tt.want {
			t.Errorf("Hosts(%s) = %q, %v, want %s", tt.text, got, err, tt.want)
		}
	}
}

// A file that is included and cannot be read is an error, which keeps what it had
// in service, and nothing is read in a circle.
func TestIncludeErrors(t *testing.T) {
	const ssh = "ssh stream tcp nowait root /bin/cat\n"
	found := func(string) ([]string, error) { return []string{"/d/x"}, nil }
	for _, tt := range []struct {
		src  Source
		want string
	}{
		{Source{ReadFile: noFile, Glob: found}, "/d/f:1:10: .include: open /d/x: file does not exist"},
		{Source{ReadFile: noFile, Glob: filepath.Glob}, "/d/f:1:10: .include: syntax error in pattern"},
		{Source{ReadFile: func(string) ([]byte, error) { return []byte(".include f\n"), nil }, Glob: func(p string) ([]string, error) {
			if p == "/d/f" {
				return []string{p}, nil
			}
			return found(p)
		}}, "/d/x:1:10: .include: /d/f includes itself"},
	} {
		services, errs := Parse("/d/f", []byte(".include [\n"+ssh), env, tt.src)
		if len(errs) != 1 || errs[0].Error() != tt.want || errs.Errors() != 1 || len(services) != 1 {
			t.Errorf("services %v, errors %v, want the one besides and %s", services, errs, tt.want)
		}
	}
}

// Who may connect to a unix-domain socket.
func TestUnix(t *testing.T) {
	for _, tt := range []struct {
		name string
		want conf.Unix
	}{
		{"/run/x", conf.Unix{Mode: 0o666}},
		{":ann:staff:640:/run/x", conf.Unix{User: "ann", Group: "staff", Mode: 0o640}},
		{":::777:/run/x", conf.Unix{Mode: 0o777}},
		{":ann:::/run/x", conf.Unix{User: "ann", Mode: 0o200}},
	} {
		services, errs := parse(tt.name + " stream unix nowait root /bin/cat\n")
		if len(services) != 1 || len(errs) > 0 || services[0].Name != "/run/x" || *services[0].Unix != tt.want {
			t.Errorf("%s = %v, %v, want %+v", tt.name, services, errs, tt.want)
		}
	}
}

// TestIncludeHidden: a pattern finds what the shell's would.
func TestIncludeHidden(t *testing.T) {
	dir := t.TempDir()
	for i, name := range []string{"a", ".a", "d/b", "d/.b", ".d/c", ".d/.c"} {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, fmt.Appendf(nil, "%d stream tcp nowait root internal echo\n", i+1), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct{ pattern, want string }{
		{"[.a]*", "1"},
		{"a*", "1"},
		{".a*", "2"},
		{".a", "2"},
		{"*/*", "3"},
		{"*/.b", "4"},
		{"d/*", "3"},
		{"d/.*", "4"},
		{".d/*", "5"},
		{".*/*", "5"},
		{".*/.*", "6"},
		{"./d//*", "3"},
		{"x*", ""},
		{"d/*.x", ""},
	} {
		for _, base := range []string{"", dir + "/"} {
			text := ".include " + base + tt.pattern + "\n"
			services, errs := Parse(filepath.Join(dir, "f"), []byte(text), env, Source{ReadFile: os.ReadFile, Glob: filepath.Glob})
			var got []string
			for _, s := range services {
				got = append(got, s.Name)
			}
			if strings.Join(got, " ") != tt.want || (errs.Errors() == 0) != (tt.want != "") {
				t.Errorf("%s has services %q, %v, want %s", text, got, errs, tt.want)
			}
		}
	}
}

// TestQuotes: those that begin no word, and those without a second, are as in
// Debian, where no quote means anything. What is printed reads back.
func TestQuotes(t *testing.T) {
	for _, tt := range []struct {
		args, want string
		printed    string
	}{
		{`echo it's`, `echo|it's`, `echo "it's"`},
		{`echo 5" disk`, `echo|5"|disk`, `echo "5"'"' disk`},
		{`echo 5" o'clock`, `echo|5"|o'clock`, `echo "5"'"' "o'clock"`},
		{`echo "it's here"`, `echo|it's here`, `echo "it's here"`},
		{`echo 'a b' it's`, `echo|a b|it's`, `echo "a b" "it's"`},
		{`echo it's a don't`, `echo|it's|a|don't`, `echo "it's" a "don't"`},
		{`echo a="b c"`, `echo|a="b|c"`, `echo "a="'"'"b" "c"'"'`},
		{`echo 'a b'c`, `echo|a bc`, `echo "a bc"`},
		{`echo 'a b'c"d"`, `echo|a bc"d"`, `echo "a bc"'"'"d"'"'`},
		{`echo "a "'"'"b' c"`, `echo|a "b' c`, `echo "a "'"'"b' c"`},
		{`echo "a"'"b c`, `echo|a'"b|c`, `echo "a'"'"'"b" c`},
		{`echo '`, `echo|'`, `echo "'"`},
	} {
		services, errs := parse("ftp stream tcp nowait root /bin/echo " + tt.args + "\n")
		if len(services) != 1 || errs.Errors() > 0 {
			t.Errorf("%s: %d services, %v", tt.args, len(services), errs)
			continue
		}
		if got := strings.Join(services[0].Args, "|"); got != tt.want {
			t.Errorf("%s = %s, want %s", tt.args, got, tt.want)
		}
		line := Format(services[0])
		if want := "ftp stream tcp nowait root /bin/echo " + tt.printed; line != want {
			t.Errorf("Format = %s, want %s", line, want)
		}
		if again, errs := parse(line + "\n"); len(errs) > 0 || strings.Join(again[0].Args, "|") != tt.want {
			t.Errorf("%s reads back as %q, %v", line, again[0].Args, errs)
		}
	}
}

// active leaves those out that are switched off.
func active(services []*conf.Service, errs conf.ErrorList) ([]*conf.Service, conf.ErrorList) {
	return conf.On(services), errs
}

// A tcpmux service has the hosts in front of it, of a line host: and of bind, and
// what is printed keeps them. Its name may have a colon.
func TestMuxHosts(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"tcpmux/+x stream tcp nowait root /bin/cat\n", "tcpmux/+x"},
		{"127.0.0.1:tcpmux/+x stream tcp nowait root /bin/cat\n", "127.0.0.1:tcpmux/+x"},
		{"10.0.0.1,[::1]:tcpmux/x stream tcp nowait root /bin/cat\n", "10.0.0.1,[::1]:tcpmux/x"},
		{"localhost:\ntcpmux/+x:y stream tcp nowait root /bin/cat\n", "localhost:tcpmux/+x:y"},
		{"localhost:\n*:tcpmux/+x stream tcp nowait root /bin/cat\n", "tcpmux/+x"},
		{"tcpmux/+x on bind = ::1, protocol = tcp, wait = no, user = root, exec = /bin/cat;\n", "[::1]:tcpmux/+x"},
	} {
		for _, text := range []string{tt.text, tt.want + " stream tcp nowait root /bin/cat cat\n"} {
			services, errs := parse(text)
			if len(errs) > 0 || len(services) != 1 {
				t.Errorf("Parse(%q) = %s", text, show(services, errs))
				continue
			}
			if got, want := Format(services[0]), tt.want+" stream tcp nowait root /bin/cat cat"; got != want {
				t.Errorf("Parse(%q) = %q, want %q", text, got, want)
			}
		}
	}
}
