package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// One of each kind of mistake: each has its line with file and line number,
// and all good lines serve.
func TestMistakes(t *testing.T) {
	t.Parallel()
	first, missing, taken, last := freePort(t), freePort(t), freePort(t), freePort(t)
	l, err := net.Listen("tcp4", fmt.Sprintf("0.0.0.0:%d", taken))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	lines := []string{
		in("%d stream tcp nowait $me $self srv.say first", first),
		"ftp stream tcp nowait",
		in("%d stream tcp mabye $me /bin/cat cat", freePort(t)),
		in("%d strem tcp nowait $me /bin/cat cat", freePort(t)),
		in("%d stream tpc nowait $me /bin/cat cat", freePort(t)),
		in("no-such-service stream tcp nowait $me /bin/cat cat"),
		in("70000 stream tcp nowait $me /bin/cat cat"),
		in("%d stream tcp nowait $me intrenal", freePort(t)),
		in("%d stream tcp nowait $me internal magic", freePort(t)),
		in("%d stream tcp nowait $me /nonexistent/server server", missing),
		in("%d stream tcp4 nowait $me $self srv.say taken", taken),
		in("%d stream tcp nowait $me $self srv.say last", last),
	}
	d := start(t, strings.Join(lines, "\n")+"\n")
	at := func(line int, text string) string {
		return regexp.QuoteMeta(fmt.Sprintf("%s:%d", d.file, line)) + `.*` + text
	}
	for _, want := range []string{
		at(2, `user: missing`),
		at(3, `wait/nowait: "mabye" is neither`),
		at(4, `socket type: "strem": expected stream`),
		at(5, `protocol: "tpc" is not a protocol`),
		at(6, `service: "no-such-service" is neither a port number nor in /etc/services`),
		at(7, `service: port 70000 is not in 1 to 65535`),
		at(8, `program: "intrenal": expected internal or a path`),
		at(9, `program: there is no internal stream service "magic"`),
		at(10, `warning: program: /nonexistent/server: no such file or directory`),
		fmt.Sprintf(`%d/tcp: 0\.0\.0\.0:%d: bind: address already in use .*inetd\.conf:11`, taken, taken),
	} {
		d.log.wait(t, 0, want)
	}
	wantAnswer(t, "tcp", local(first), "", "first\n")
	wantAnswer(t, "tcp", local(last), "", "last\n")

	// The client of a program that is missing is sent away, not left hanging.
	if got, err := ask("tcp", local(missing), ""); got != "" || err != nil && !strings.Contains(err.Error(), "reset") {
		t.Errorf("service with a missing program = %q, %v, want the end", got, err)
	}
	d.log.wait(t, 0, fmt.Sprintf(`%d/tcp: execv /nonexistent/server: no such file or directory .*inetd\.conf:10`, missing))

	// The port that was taken is the service's as soon as it can be had.
	l.Close()
	d.log.wait(t, 0, fmt.Sprintf(`%d/tcp: 0\.0\.0\.0:%d: listening now`, taken, taken))
	wantAnswer(t, "tcp", local(taken), "", "taken\n")
	if n := d.log.count(0, "bind"); n != 1 {
		t.Errorf("%d lines say that the port is taken, want one for the episode", n)
	}
}

// A datagram whose server cannot be started is thrown away, and the daemon
// does not find it again and again.
func TestMissingProgramOfDgram(t *testing.T) {
	t.Parallel()
	p := freePort(t)
	d := start(t, in("%d dgram udp4 wait.0 $me /nonexistent/server server\n", p))
	c := dial(t, "udp4", local(p))
	for i := range 3 {
		mark := d.log.mark()
		c.Write([]byte("hello"))
		d.log.wait(t, mark, "execv /nonexistent/server: no such file or directory")
		if n := d.log.count(0, "execv"); n != i+1 {
			t.Errorf("%d tries for %d datagrams", n, i+1)
		}
	}
}

// An unknown user or group is found when the file is read, and the service is
// not offered with another identity.
func TestUnknownUser(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("without root the user field has no effect")
	}
	a, b, c := freePort(t), freePort(t), freePort(t)
	d := start(t, in("%d stream tcp nowait no-such-user /bin/cat cat\n%d stream tcp nowait root:no-such-group /bin/cat cat\n%d stream tcp nowait root /bin/cat cat\n", a, b, c))
	d.log.wait(t, 0, `inetd\.conf:1:25: warning: user: unknown user "no-such-user"`)
	d.log.wait(t, 0, `inetd\.conf:2:25: warning: user: unknown group "no-such-group"`)
	wantRefused(t, "tcp", local(a))
	wantRefused(t, "tcp", local(b))
	wantAnswer(t, "tcp", local(c), "hello\n", "hello\n")
	// A reload with the same mistake in a running entry keeps it as it was.
	d.reload(in("%d stream tcp nowait no-such-user /bin/cat cat\n", c))
	wantAnswer(t, "tcp", local(c), "hello\n", "hello\n")
}

// Without root a daemon serves as itself and says so.
func TestNotRoot(t *testing.T) {
	t.Parallel()
	p := freePort(t)
	dir := t.TempDir()
	if os.Geteuid() == 0 {
		// The parents of TempDir are for root alone.
		var err error
		if dir, err = os.MkdirTemp("", "inetd-nobody"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		if err := os.Chmod(dir, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	exe := filepath.Join(dir, "inetd")
	if err := copyFile(self, exe); err != nil {
		t.Fatal(err)
	}
	cmd := command("-d")
	cmd.Path = exe
	uid := os.Geteuid()
	if uid == 0 {
		uid = 65534
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	d := startIn(t, dir, fmt.Sprintf("%d stream tcp nowait root /usr/bin/id id -u\n", p), cmd)
	d.log.wait(t, 0, fmt.Sprintf(`not root: servers run as uid %d, the user field has no effect`, uid))
	wantAnswer(t, "tcp", local(p), "", fmt.Sprintln(uid))
}

func copyFile(from, to string) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, text, 0o755)
}

// -t prints everything that is wrong, in the order of the lines, and its exit
// status says whether there is an error.
func TestCheck(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, conf string
		status     int
		want       []string // "line:column: text"
	}{
		{"good", in("7 stream tcp nowait $me /bin/cat cat\n"), 0, nil},
		{"empty", "", 0, nil},
		{"warnings", in("7 stream tcp nowait $me /nonexistent nonexistent\n"), 0, []string{"1:%d: warning: program: /nonexistent: no such file or directory"}},
		{"errors", in("7 stream tcp mabye $me /bin/cat cat\n\n8 dgram\n"), 1, []string{
			`1:14: wait/nowait: "mabye" is neither`,
			`3:8: protocol: missing: an entry is service, socket type, protocol, wait/nowait, user, program and arguments`,
		}},
	} {
		file := filepath.Join(t.TempDir(), "inetd.conf")
		if err := os.WriteFile(file, []byte(tt.conf), 0o644); err != nil {
			t.Fatal(err)
		}
		cmd := command("-t", file)
		out, _ := cmd.Output()
		var want strings.Builder
		for _, w := range tt.want {
			if strings.Contains(w, "%d") {
				w = fmt.Sprintf(w, strings.Index(tt.conf, "/nonexistent")+1)
			}
			fmt.Fprintf(&want, "%s:%s\n", file, w)
		}
		if got := cmd.ProcessState.ExitCode(); got != tt.status || string(out) != want.String() {
			t.Errorf("inetd -t, %s = %d, %q, want %d, %q", tt.name, got, out, tt.status, want.String())
		}
	}
}

// A directory stands for its *.conf files.
func TestDirectory(t *testing.T) {
	t.Parallel()
	a, b, c := freePort(t), freePort(t), freePort(t)
	dir := t.TempDir()
	for name, text := range map[string]string{
		"b.conf":  in("%d stream tcp nowait $me $self srv.say b\n", b),
		"a.conf":  in("%d stream tcp nowait $me $self srv.say a\n", a),
		"a.orig":  in("%d stream tcp nowait $me $self srv.say orig\n", c),
		".a.conf": in("%d stream tcp nowait $me $self srv.say hidden\n", c),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	d := start(t, "", dir)
	wantAnswer(t, "tcp", local(a), "", "a\n")
	wantAnswer(t, "tcp", local(b), "", "b\n")
	wantRefused(t, "tcp", local(c))
	os.Remove(filepath.Join(dir, "a.conf"))
	d.hup()
	wantRefused(t, "tcp", local(a))
	wantAnswer(t, "tcp", local(b), "", "b\n")
}

// A tcpd that could not start under its limits is told of before a client is.
func TestTcpdLimits(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"tcpd", "other"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct{ server, limit, want string }{
		{"tcpd", "rlimit_as = 64M", "rlimit_as below 1536M"},
		{"tcpd", "rlimit_data = 32M", "rlimit_data below 64M"},
		{"tcpd", "rlimit_as = 1536M", ""},
		{"tcpd", "rlimit_as = UNLIMITED", ""},
		{"tcpd", "rlimit_stack = 1M", ""},
		{"other", "rlimit_as = 64M", ""},
	} {
		file := filepath.Join(dir, "conf")
		text := fmt.Sprintf("service x\n{\n\ttype = UNLISTED\n\tport = 7001\n\tprotocol = tcp\n\tsocket_type = stream\n\twait = no\n\tuser = %s\n\tflags = NAMEINARGS\n\tserver_args = %s\n\tserver = %s\n\t%s\n}\n", me, filepath.Join(dir, "other"), filepath.Join(dir, tt.server), tt.limit)
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		out, status := checked(t, file)
		if status != 0 || (out == "") != (tt.want == "") || !strings.Contains(out, tt.want) {
			t.Errorf("inetd -t of %s with %s = %d, %q, want %q", tt.server, tt.limit, status, out, tt.want)
		}
	}
}

// What the kernel says when it does not execute a file sends people to look for
// the wrong thing.
func TestPrograms(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, tt := range []struct {
		text string
		mode os.FileMode
		want string
	}{
		{"#!/bin/sh\r\necho hi\r\n", 0o755, `its interpreter "/bin/sh\r" does not exist`},
		{"#! /usr/bin/pyhton3 -u\n", 0o755, `its interpreter "/usr/bin/pyhton3" does not exist`},
		{"#!\n", 0o755, "no interpreter is behind its #!"},
		{"echo hi\n", 0o755, "is no program: the first line of a script is #! and its interpreter"},
		{"", 0o755, "is no program: the first line of a script is #! and its interpreter"},
		{"#!/bin/sh\n", 0o644, "permission denied: it is not executable (chmod +x)"},
		{"#! /bin/sh -e\n", 0o755, ""},
		{"#!/bin/sh", 0o711, ""},
		{"\x7fELF\x02\x01\x01\x00", 0o755, ""},
	} {
		prog := filepath.Join(dir, "prog")
		os.Remove(prog)
		if err := os.WriteFile(prog, []byte(tt.text), tt.mode); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, "conf")
		if err := os.WriteFile(file, fmt.Appendf(nil, "7001 stream tcp nowait %s %s prog\n", me, prog), 0o644); err != nil {
			t.Fatal(err)
		}
		want := ""
		if tt.want != "" {
			want = fmt.Sprintf("%s:1:%d: warning: program: %s: %s\n", file, len("7001 stream tcp nowait ")+len(me)+2, prog, tt.want)
		}
		if out, status := checked(t, file); status != 0 || out != want {
			t.Errorf("inetd -t of a program %q, mode %o = %d, %q, want %q", tt.text, tt.mode, status, out, want)
		}
	}
}
