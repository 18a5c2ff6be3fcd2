package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// converted is what inetd -t -o prints of a file, and what it says about it
// without the name of the file.
func converted(t testing.TB, syntax, name, text string) (out, said string, status int) {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	status = run([]string{"-t", "-o", syntax, file}, &stdout, &stderr)
	return stdout.String(), strings.ReplaceAll(stderr.String(), file, name), status
}

// understood is what -t -v prints of a file: its services, one to a line.
func understood(t testing.TB, name, text string) []string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	if status := run([]string{"-t", "-v", file}, &stdout, &stderr); status != 0 {
		t.Errorf("inetd -t -v = %d\n%s%s\n%s", status, &stdout, &stderr, text)
	}
	var services []string
	for l := range strings.Lines(stdout.String()) {
		if !strings.HasPrefix(l, file+":") {
			services = append(services, strings.TrimSuffix(l, "\n"))
		}
	}
	return services
}

// attributes is a block on one line, without what every line of inetd.conf
// becomes: its user's groups, and no libwrap.
func attributes(block string) string {
	block = regexp.MustCompile(`(?m)^\tgroups +.*\n| NOLIBWRAP\b|^\tflags += NOLIBWRAP\n`).ReplaceAllString(block, "")
	block = regexp.MustCompile(`(?m)^\t(\S+) += ?(.*)$`).ReplaceAllString(block, "$1=$2;")
	return strings.Join(strings.Fields(block), " ")
}

// inetd.conf as xinetd.conf: everything that itox and its like lose is in the
// block, or a warning says that it is not.
func TestConvertToXinetd(t *testing.T) {
	t.Parallel()
	const plain = "service 7001 { type=UNLISTED; socket_type=stream; protocol=tcp; wait=no; port=7001; user=root; server=/bin/cat; }"
	for _, tt := range []struct {
		line string
		want string   // the block
		back string   // the service of the block, where it is not that of the line
		lost []string // warnings
	}{
		{line: "7001 stream tcp nowait root /bin/cat cat", want: plain},
		{line: "7001 stream tcp nowait root /bin/cat", want: plain, back: "7001 stream tcp nowait root /bin/cat cat"},
		{
			line: "7001 stream tcp nowait root /bin/cat other name",
			want: "service 7001 { type=UNLISTED; flags=NAMEINARGS; socket_type=stream; protocol=tcp; wait=no; port=7001; user=root; server=/bin/cat; server_args=other name; }",
		},
		{
			line: "7001 stream tcp nowait root /bin/cat cat -u x",
			want: "service 7001 { type=UNLISTED; socket_type=stream; protocol=tcp; wait=no; port=7001; user=root; server=/bin/cat; server_args=-u x; }",
		},
		// A line with tcpd is that of tcpd, not of the daemon behind it.
		{
			line: "7001 stream tcp nowait root /usr/sbin/tcpd in.telnetd -h",
			want: "service 7001 { type=UNLISTED; flags=NAMEINARGS; socket_type=stream; protocol=tcp; wait=no; port=7001; user=root; server=/usr/sbin/tcpd; server_args=in.telnetd -h; }",
		},
		{
			line: "7001 stream tcp nowait root /usr/sbin/tcpd /opt/in.ftpd",
			want: "service 7001 { type=UNLISTED; flags=NAMEINARGS; socket_type=stream; protocol=tcp; wait=no; port=7001; user=root; server=/usr/sbin/tcpd; server_args=/opt/in.ftpd; }",
		},
		// user.group and user:group, numbers and login classes.
		{
			line: "7001 stream tcp nowait root.0 /bin/cat cat",
			want: "service 7001 { type=UNLISTED; socket_type=stream; protocol=tcp; wait=no; port=7001; user=root; group=0; server=/bin/cat; }",
			back: "7001 stream tcp nowait root:0 /bin/cat cat",
		},
		{
			line: "7001 stream tcp nowait root:0 /bin/cat cat",
			want: "service 7001 { type=UNLISTED; socket_type=stream; protocol=tcp; wait=no; port=7001; user=root; group=0; server=/bin/cat; }",
		},
		{line: "7001 stream tcp nowait root/daemon /bin/cat cat", want: plain, back: "7001 stream tcp nowait root /bin/cat cat", lost: []string{"user: 7001/tcp: the login class daemon cannot be said"}},
		{
			line: "7001 stream tcp nowait 65534 /bin/cat cat",
			want: "service 7001 { type=UNLISTED; socket_type=stream; protocol=tcp; wait=no; port=7001; user=65534; server=/bin/cat; }",
			back: "7001 stream tcp nowait 65534:65534 /bin/cat cat",
			lost: []string{"group: 7001/tcp: where the user is a number the group is the same number, not what passwd(5) has"},
		},
		// Hosts.
		{
			line: "127.0.0.1:7001 stream tcp nowait root /bin/cat cat",
			want: "service 7001 { type=UNLISTED; socket_type=stream; protocol=tcp; wait=no; port=7001; bind=127.0.0.1; user=root; server=/bin/cat; }",
		},
		{
			line: "[::1]:7001 stream tcp nowait root /bin/cat cat",
			want: "service 7001 { type=UNLISTED; socket_type=stream; protocol=tcp; wait=no; port=7001; bind=::1; user=root; server=/bin/cat; }",
		},
		{
			line: "localhost:\n7001 stream tcp nowait root /bin/cat cat",
			want: "service 7001 { type=UNLISTED; socket_type=stream; protocol=tcp; wait=no; port=7001; bind=localhost; user=root; server=/bin/cat; }",
			back: "localhost:7001 stream tcp nowait root /bin/cat cat",
		},
		{
			line: "127.0.0.1,[::1]:7001 stream tcp nowait root /bin/cat cat",
			want: "service 7001 { type=UNLISTED; socket_type=stream; protocol=tcp; wait=no; port=7001; bind=127.0.0.1; user=root; server=/bin/cat; } " +
				"service 7001 { id=7001-stream; type=UNLISTED; socket_type=stream; protocol=tcp; wait=no; port=7001; bind=::1; user=root; server=/bin/cat; }",
			back: "127.0.0.1:7001 stream tcp nowait root /bin/cat cat\n[::1]:7001 stream tcp nowait root /bin/cat cat",
			lost: []string{"bind: 127.0.0.1,[::1]:7001/tcp: it takes one address: each of the 2 has a service of its own, with limits of its own"},
		},
		// Families.
		{
			line: "7001 stream tcp4 nowait root /bin/cat cat",
			want: "service 7001 { type=UNLISTED; flags=IPv4; socket_type=stream; protocol=tcp; wait=no; port=7001; user=root; server=/bin/cat; }",
		},
		{
			line: "7001 stream tcp6 nowait root /bin/cat cat",
			want: "service 7001 { type=UNLISTED; socket_type=stream; protocol=tcp; wait=no; port=7001; v6only=yes; user=root; server=/bin/cat; }",
		},
		{
			line: "7001 stream tcp46 nowait root /bin/cat cat",
			want: "service 7001 { type=UNLISTED; flags=IPv6; socket_type=stream; protocol=tcp; wait=no; port=7001; user=root; server=/bin/cat; }",
		},
		{
			line: "7001 dgram udp4 wait root /bin/cat cat",
			want: "service 7001 { type=UNLISTED; flags=IPv4; socket_type=dgram; protocol=udp; wait=yes; port=7001; user=root; server=/bin/cat; }",
		},
		// Limits.
		{line: "7001 stream tcp nowait.60 root /bin/cat cat", want: plain, back: "7001 stream tcp nowait root /bin/cat cat", lost: []string{"cps: 7001/tcp: a limit of 60 starts a minute cannot be said, only one of connections a second"}},
		{
			line: "7001 stream tcp nowait.0 root /bin/cat cat",
			want: "service 7001 { type=UNLISTED; socket_type=stream; protocol=tcp; wait=no; port=7001; user=root; server=/bin/cat; cps=0 0; }",
			back: "7001 stream tcp nowait root /bin/cat cat",
		},
		{
			line: "7001 stream tcp nowait/10/20/3 root /bin/cat cat",
			want: "service 7001 { type=UNLISTED; socket_type=stream; protocol=tcp; wait=no; port=7001; user=root; server=/bin/cat; instances=10; per_source=3; }",
			back: "7001 stream tcp nowait.0/10/0/3 root /bin/cat cat",
			lost: []string{
				"instances: 7001/tcp: over the limit clients are refused; they no longer wait in the queue",
				"per_source: 7001/tcp: a limit of 20 starts a minute for one client cannot be said",
			},
		},
		{line: "7001 stream tcp,sndbuf=64k,rcvbuf=32k nowait root /bin/cat cat", want: plain, back: "7001 stream tcp nowait root /bin/cat cat", lost: []string{"socket_type: 7001/tcp: buffer sizes cannot be said"}},
		// Built-ins.
		{
			line: "7001 stream tcp nowait root internal daytime",
			want: "service 7001 { type=INTERNAL UNLISTED; socket_type=stream; protocol=tcp; wait=no; port=7001; user=root; server_args=daytime; }",
			lost: []string{"server_args: 7001/tcp: xinetd itself knows an internal service by its name only"},
		},
		{
			line: "7001 dgram udp wait root internal echo",
			want: "service 7001 { type=INTERNAL UNLISTED; socket_type=dgram; protocol=udp; wait=yes; port=7001; user=root; server_args=echo; }",
			back: "7001 dgram udp wait root internal echo",
			lost: []string{"server_args: 7001/udp: xinetd itself knows an internal service by its name only"},
		},
		{
			line: "tcpmux/+go stream tcp nowait root /bin/cat cat",
			want: "service go { type=TCPMUXPLUS UNLISTED; socket_type=stream; protocol=tcp; wait=no; user=root; server=/bin/cat; }",
			lost: []string{"service: tcpmux/go: nobody reaches it: there is no tcpmux entry"},
		},
		{
			line: "tcpmux/own stream tcp nowait root /bin/cat cat",
			want: "service own { type=TCPMUX UNLISTED; socket_type=stream; protocol=tcp; wait=no; user=root; server=/bin/cat; }",
			lost: []string{"service: tcpmux/own: nobody reaches it: there is no tcpmux entry"},
		},
		// RPC, which itox takes a unix path for.
		{
			line: "391002/2-4 dgram rpc/udp wait root /bin/cat cat",
			want: "service 391002 { type=RPC UNLISTED; socket_type=dgram; protocol=udp; wait=yes; rpc_number=391002; rpc_version=2-4; user=root; server=/bin/cat; }",
		},
		{
			line: "391002/1 stream rpc/tcp wait root /bin/cat cat",
			want: "service 391002 { type=RPC UNLISTED; socket_type=stream; protocol=tcp; wait=yes; rpc_number=391002; rpc_version=1; user=root; server=/bin/cat; }",
		},
		// NetBSD's notation.
		{
			line: "7001 on protocol = tcp, wait = no, user = root, exec = /bin/cat, args = cat, accept_max = 3, service_max = 7;",
			want: "service 7001 { type=UNLISTED; socket_type=stream; protocol=tcp; wait=no; port=7001; user=root; server=/bin/cat; instances=3; }",
			back: "7001 stream tcp nowait.0/3 root /bin/cat cat",
			lost: []string{
				"cps: 7001/tcp: a limit of 7 starts a minute cannot be said, only one of connections a second",
				"instances: 7001/tcp: over the limit clients are refused; they no longer wait in the queue",
			},
		},
		// Nothing is the whole service without these.
		{line: "7001 stream tcp nowait root /bin/echo echo \"hello world\"", want: `# "7001/tcp" is left out: there are no quotes in the syntax, which "hello world" needs`, lost: []string{`server_args: 7001/tcp: left out: there are no quotes in the syntax, which "hello world" needs`}},
		{line: "/run/hello stream unix nowait root /bin/cat cat", want: `# "/run/hello/unix" is left out: there are no unix-domain sockets in the syntax`, lost: []string{"protocol: /run/hello/unix: left out: there are no unix-domain sockets in the syntax"}},
		{line: "::0:660:/run/hello dgram unix wait root /bin/cat cat", want: `# "/run/hello/unix" is left out: there are no unix-domain sockets in the syntax`, lost: []string{"protocol: /run/hello/unix: left out: there are no unix-domain sockets in the syntax"}},
		// What is off stays off.
		{line: "#<off># see below", want: `# "see" is left out: it is switched off, and could not be read`},
		{line: "#<off># 7001 stream tcp nowait root /bin/cat cat", want: "service 7001 { disable=yes; type=UNLISTED; socket_type=stream; protocol=tcp; wait=no; port=7001; user=root; server=/bin/cat; }"},
		{line: "7001 off protocol = tcp, wait = no, user = root, exec = /bin/cat;", want: "service 7001 { disable=yes; type=UNLISTED; socket_type=stream; protocol=tcp; wait=no; port=7001; user=root; server=/bin/cat; }"},
	} {
		t.Run(tt.line, func(t *testing.T) {
			t.Parallel()
			out, said, status := converted(t, "xinetd.conf", "inetd.conf", tt.line+"\n")
			if status != 0 {
				t.Errorf("status = %d, want 0\n%s", status, said)
			}
			if got := attributes(out); got != tt.want {
				t.Errorf("block = %s\nwant    %s", got, tt.want)
			}
			wantSaid(t, said, "inetd.conf", tt.lost)
			back := tt.back
			if back == "" && strings.Contains(tt.want, "{") && !strings.Contains(tt.want, "disable=yes") {
				back = tt.line
			}
			// xinetd has no rate by the minute, so its services say 0.
			limits := regexp.MustCompile(`(wait)\.0((?:/\d+)*?)(?:/0)* `)
			services := understood(t, "xinetd.conf", out)
			for i, s := range services {
				services[i] = limits.ReplaceAllString(s, "$1$2 ")
			}
			if got := strings.Join(services, "\n"); got != limits.ReplaceAllString(back, "$1$2 ") {
				t.Errorf("read again = %s\nwant         %s", got, back)
			}
		})
	}
}

// wantSaid checks the warnings about a conversion; those about a field
// have another column than the first.
func wantSaid(t testing.TB, said, name string, want []string) {
	t.Helper()
	var got []string
	for l := range strings.Lines(said) {
		if m := regexp.MustCompile(`^` + regexp.QuoteMeta(name) + `:\d+(?::1)?: warning: (.*)\n$`).FindStringSubmatch(l); m != nil {
			got = append(got, m[1])
		} else if !strings.Contains(l, ": warning: ") {
			t.Errorf("said %q", l)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("said %q\nwant %q", got, want)
	}
}

// The servers of inetd.conf have all groups of their user, and tcpd where the
// line says so: none of it changes.
func TestConvertKeeps(t *testing.T) {
	t.Parallel()
	out, _, _ := converted(t, "xinetd.conf", "inetd.conf", "7001 stream tcp nowait root /bin/cat cat\n")
	const want = `service 7001
{
	type            = UNLISTED
	flags           = NOLIBWRAP
	socket_type     = stream
	protocol        = tcp
	wait            = no
	port            = 7001
	user            = root
	server          = /bin/cat
	groups          = yes
}
`
	if out != want {
		t.Errorf("block = %s\nwant %s", out, want)
	}
}

// xinetd.conf as inetd.conf: what is lost is said, and who would be open to
// more clients is off.
func TestConvertToInetd(t *testing.T) {
	t.Parallel()
	const plain = "7001 stream tcp nowait.0/0/0/0 root /bin/cat cat"
	off := func(line string) string { return "#<off># " + line }
	for _, tt := range []struct {
		lines string // of a service with a port, a user and a server
		want  string
		lost  []string
	}{
		{"", plain, nil},
		// Who is let in.
		{"only_from = 127.0.0.1", off(plain), []string{"only_from"}},
		{"only_from =", off(plain), []string{"only_from"}},
		{"no_access = 127.0.0.1", off(plain), []string{"no_access"}},
		{"access_times = 8:00-18:00", off(plain), []string{"access_times"}},
		{"flags = NOLIBWRAP SENSOR", off("7001 stream tcp nowait.0/0/0/0 root internal discard"), []string{"SENSOR"}},
		{"flags = NOLIBWRAP IDONLY", off(plain), []string{"IDONLY"}},
		{"instances = 0", "7001 off protocol = tcp, socktype = stream", []string{"instances = 0 or per_source = 0"}},
		{"per_source = 0", off(plain), []string{"instances = 0 or per_source = 0"}},
		{"redirect = 127.0.0.1 80", off(`7001 stream tcp nowait.0/0/0/0 root ""`), []string{"redirect"}},
		// How much.
		{"max_load = 2.5", plain, []string{"max_load"}},
		{"cps = 10 30", plain, []string{"cps"}},
		{"cps = 0 0", plain, nil},
		{"instances = 5", "7001 stream tcp nowait.0/5/0/0 root /bin/cat cat", []string{"instances as xinetd has it: clients over it wait"}},
		{"per_source = 5", "7001 stream tcp nowait.0/0/0/5 root /bin/cat cat", nil},
		// How it runs.
		{"flags = NOLIBWRAP NODELAY KEEPALIVE", plain, []string{"NODELAY", "KEEPALIVE"}},
		{"flags = NOLIBWRAP NAMEINARGS\n\tserver_args = other name", "7001 stream tcp nowait.0/0/0/0 root /bin/cat other name", nil},
		{"server_args = a b", "7001 stream tcp nowait.0/0/0/0 root /bin/cat cat a b", nil},
		{"group = 0", "7001 stream tcp nowait.0/0/0/0 root:0 /bin/cat cat", nil},
		{"umask = 077", plain, []string{"umask"}},
		{"nice = 3", plain, []string{"nice"}},
		{"rlimit_cpu = 3", plain, []string{"rlimit"}},
		{"env = A=b", plain, []string{"env"}},
		{"passenv = A", plain, []string{"passenv"}},
		{"banner = /etc/passwd", plain, []string{"banner"}},
		{"log_on_success = HOST\n\tlog_on_failure = HOST", plain, []string{"log_on_success", "log_on_failure"}},
		{"id = other", plain, []string{"id other"}},
		// Where it listens.
		{"bind = 127.0.0.1", "127.0.0.1:" + plain, nil},
		{"bind = ::1", "[::1]:" + plain, nil},
		{"bind = localhost", "localhost:" + plain, nil},
		{"v6only = yes", strings.Replace(plain, " tcp ", " tcp6 ", 1), nil},
		{"flags = NOLIBWRAP IPv4", strings.Replace(plain, " tcp ", " tcp4 ", 1), nil},
		{"flags = NOLIBWRAP IPv6", strings.Replace(plain, " tcp ", " tcp46 ", 1), nil},
		{"disable = yes", off(plain), nil},
	} {
		t.Run(tt.lines, func(t *testing.T) {
			t.Parallel()
			lines := tt.lines
			if !strings.Contains(lines, "flags") {
				lines += "\n\tflags = NOLIBWRAP"
			}
			out, said, status := converted(t, "inetd.conf", "xinetd.conf", block("s", "type = UNLISTED", "port = 7001", "socket_type = stream", "wait = no", "user = root", "server = /bin/cat", "groups = yes", lines))
			if status != 0 {
				t.Errorf("status = %d, want 0\n%s", status, said)
			}
			if got := strings.TrimSuffix(out, "\n"); got != tt.want && !(strings.HasSuffix(tt.want, "socktype = stream") && strings.HasPrefix(got, tt.want)) {
				t.Errorf("line = %s\nwant   %s", got, tt.want)
			}
			var lost []string
			for _, l := range tt.lost {
				lost = append(lost, labelOf(tt.want)+": inetd.conf cannot say "+l)
			}
			switchedOff := strings.HasPrefix(tt.want, "#") || strings.Contains(tt.want, " off ")
			if switchedOff && tt.lost != nil { // not by the file
				lost = append(lost, labelOf(tt.want)+": switched off")
			}
			wantSaid(t, said, "xinetd.conf", lost)
			// It is what it says, and off is off.
			var want []string
			if !switchedOff && tt.want != "" {
				want = []string{tt.want}
			}
			if got := understood(t, "inetd.conf", out); !slices.Equal(got, want) {
				t.Errorf("read again = %q, want %q", got, want)
			}
		})
	}
}

// A name that services(5) does not have needs its port in both syntaxes, said to
// be UNLISTED or not.
func TestConvertUnlisted(t *testing.T) {
	t.Parallel()
	text := block("nobody-has-it", "port = 7001", "socket_type = stream", "wait = no", "user = root", "server = /bin/cat", "groups = yes", "flags = NOLIBWRAP")
	const want = "7001 stream tcp nowait.0/0/0/0 root /bin/cat cat"
	out, said, status := converted(t, "inetd.conf", "xinetd.conf", text)
	if out != want+"\n" || status != 0 {
		t.Errorf("line = %q, %d, want %q\n%s", out, status, want, said)
	}
	if got := understood(t, "inetd.conf", out); !slices.Equal(got, []string{want}) {
		t.Errorf("read again = %q, want %q", got, want)
	}
	out, _, _ = converted(t, "xinetd.conf", "xinetd.conf", text)
	if !strings.Contains(out, "UNLISTED") {
		t.Errorf("block = %s\nwithout UNLISTED", out)
	}
	// Behind a number a built-in has its name, with options too.
	out, _, _ = converted(t, "inetd.conf", "xinetd.conf", block("echo", "type = INTERNAL UNLISTED", "port = 7001", "socket_type = stream", "wait = no", "server_args = -I 60"))
	if want := "7001 stream tcp nowait.0/0/0/0 root internal echo -I 60\n"; out != want {
		t.Errorf("line = %q, want %q", out, want)
	}
}

// labelOf is how messages name the service of a line.
func labelOf(line string) string {
	host, _, ok := strings.Cut(line, ":7001 ")
	if !ok {
		return "s/tcp"
	}
	return host + ":s/tcp"
}

// Access by libwrap and a user's groups are not what they are in a line.
func TestConvertWarns(t *testing.T) {
	t.Parallel()
	out, said, _ := converted(t, "inetd.conf", "xinetd.conf", block("s", "type = UNLISTED", "port = 7001", "socket_type = stream", "wait = no", "user = root", "server = /bin/cat"))
	if want := "7001 stream tcp nowait.0/0/0/0 root /bin/cat cat\n"; out != want {
		t.Errorf("line = %q, want %q", out, want)
	}
	wantSaid(t, said, "xinetd.conf", []string{
		"s/tcp: inetd.conf cannot say libwrap: start inetd with -l, or put tcpd in front",
		"s/tcp: inetd.conf cannot say groups = no",
	})
}

// Standard output is a file that can be used, whatever is wrong with the other;
// the services of a mix of files come out in one syntax, in their order.
func TestConvertFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	old, new := filepath.Join(dir, "inetd.conf"), filepath.Join(dir, "xinetd.conf")
	for name, text := range map[string]string{
		old: "7001 stream tcp nowait root /bin/cat cat\n7002 stream tcp sometimes root /bin/cat cat\n",
		new: block("s", "type = UNLISTED", "port = 7003", "socket_type = stream", "wait = no", "user = root", "server = /bin/cat", "instances = many") +
			block("t", "type = UNLISTED", "port = 7004", "socket_type = stream", "wait = no", "user = root", "server = /bin/cat", "only_from = 127.0.0.1"),
	} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct{ syntax, want string }{
		{"inetd.conf", "7001 stream tcp nowait root /bin/cat cat\n#<off># 7004 stream tcp nowait.0/0/0/0 root /bin/cat cat\n"},
		{"xinetd.conf", "service 7001 { type=UNLISTED; socket_type=stream; protocol=tcp; wait=no; port=7001; user=root; server=/bin/cat; } " +
			"service t { type=UNLISTED; socket_type=stream; protocol=tcp; wait=no; port=7004; user=root; server=/bin/cat; only_from=127.0.0.1; }"},
	} {
		var stdout, stderr bytes.Buffer
		status := run([]string{"-o", tt.syntax, old, new}, &stdout, &stderr)
		got := stdout.String()
		if tt.syntax == "xinetd.conf" {
			got = attributes(got)
		}
		if got != tt.want || status != 1 {
			t.Errorf("inetd -o %s = %d\n%s\nwant 1\n%s", tt.syntax, status, got, tt.want)
		}
		for _, want := range []string{old + `:2:17: wait/nowait: "sometimes"`, new + `:9:14: instances: "many"`} {
			if !strings.Contains(stderr.String(), want) {
				t.Errorf("inetd -o %s says\n%swant a line with %q", tt.syntax, &stderr, want)
			}
		}
	}
	var stdout, stderr bytes.Buffer
	if status := run([]string{"-o", "rlinetd.conf", old}, &stdout, &stderr); status != 2 || !strings.Contains(stderr.String(), `"rlinetd.conf" is neither inetd.conf nor xinetd.conf`) {
		t.Errorf("inetd -o rlinetd.conf = %d, %s", status, &stderr)
	}
}

// What is printed of the examples is printed again as it is.
func TestConvertExamples(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	text.WriteString(strings.Replace(readAll(t, "../examples/xinetd.conf"), "includedir", "#includedir", 1))
	files, err := filepath.Glob("../examples/xinetd.d/*")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, f := range files {
		text.WriteString(regexp.MustCompile(`(?m)^\tdisable.*\n`).ReplaceAllString(readAll(t, f), ""))
	}
	first, said, status := converted(t, "xinetd.conf", "xinetd.conf", text.String())
	if n := strings.Count(first, "\nservice ") + 1; status != 0 || n < 7 {
		t.Fatalf("inetd -o xinetd.conf = %d, %d services\n%s", status, n, said)
	}
	second, said, status := converted(t, "xinetd.conf", "xinetd.conf", first)
	if second != first || status != 0 {
		t.Errorf("printed again = %d\n%s%s\nwant\n%s", status, said, second, first)
	}
	for _, want := range []string{
		"access_times    = Mon-Fri/08:00-18:00", "redirect        = 192.168.10.25 25", "cps             = 3 10",
		"only_from       = 127.0.0.1 ::1 192.168.10.0/24", "log_on_success  = HOST DURATION TRAFFIC", "log_type        = SYSLOG authpriv info", "per_source      = 2",
	} {
		if !strings.Contains(first, want) {
			t.Errorf("printed without %q:\n%s", want, first)
		}
	}
}
