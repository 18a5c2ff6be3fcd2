package main

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A liveCase is one run of tcpd on a socket: a block of a .live file.
//
//	case NAME
//	note TEXT
//	allow | deny | file NAME | daemon   then lines: | with newline, ~ without;
//	                                    the daemon is a shell script
//	argv WORDS                          argv[0] first; @D@ is the daemon
//	stdin tcp4|tcp6|tcp46|udp|unix|unixdgram|listen|null
//	env NAME=VALUE
//	= status=N slow=0|1                 the exit status; slow is ignored
//	< BYTES                             what the client got
//	+ <PRI>IDENT TEXT                   what was logged
//	left 1                              the datagram was not taken
//
// @DIR@ is the directory of the files.
type liveCase struct {
	name  string
	files map[string]string
	argv  []string
	stdin string
	env   []string
	want  []string
}

func readLive(t *testing.T, file string) []*liveCase {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var all []*liveCase
	var c *liveCase
	var open string
	for line := range strings.SplitSeq(string(text), "\n") {
		word, rest, _ := strings.Cut(line, " ")
		switch {
		case word == "case":
			c = &liveCase{name: rest, stdin: "tcp4", argv: []string{"@D@"}, files: map[string]string{"allow": "", "deny": "", "svc": ""}}
			all = append(all, c)
		case word == "allow", word == "deny":
			open = word
		case word == "daemon":
			open = "svc"
		case word == "file":
			open = rest
		case word == "argv":
			c.argv = strings.Fields(rest)
		case word == "stdin":
			c.stdin = rest
		case word == "env":
			c.env = append(c.env, rest)
		case strings.HasPrefix(line, "|"):
			c.files[open] += line[1:] + "\n"
		case strings.HasPrefix(line, "~"):
			c.files[open] += line[1:]
		case word == "=":
			status, _, _ := strings.Cut(line, " slow=")
			c.want = append(c.want, status)
		case word == "+", word == "<", word == "left":
			c.want = append(c.want, line)
		}
	}
	return all
}

func init() { child = becomeTcpd }

// becomeTcpd puts the tables and the log of a case where tcpd looks for them,
// in a mount namespace of its own, and becomes tcpd.
func becomeTcpd() {
	dir := os.Getenv(childEnv)
	err := arrange(dir)
	if err == nil {
		for fd := 3; fd < 1024; fd++ {
			syscall.CloseOnExec(fd) // whatever the test was started with
		}
		env := []string{"PATH=/usr/bin:/bin:/usr/sbin", "LC_ALL=C"}
		for _, kv := range os.Environ() {
			if v, ok := strings.CutPrefix(kv, "CASE_"); ok {
				env = append(env, v)
			}
		}
		err = syscall.Exec(os.Getenv("TCPD_TEST_PROGRAM"), os.Args[1:], env)
	}
	os.WriteFile(dir+"/harness", []byte(err.Error()), 0o600)
	os.Exit(99)
}

func arrange(dir string) error {
	bind := func(from, to string) error {
		if err := syscall.Mount(from, to, "", syscall.MS_BIND, ""); err != nil {
			return errors.New("mount " + to + ": " + err.Error())
		}
		return nil
	}
	dev := dir + "/dev"
	if err := os.Mkdir(dev, 0o755); err != nil {
		return err
	}
	for _, name := range []string{"null", "zero", "urandom", "tty"} {
		if err := os.WriteFile(dev+"/"+name, nil, 0o600); err != nil {
			return err
		}
		if err := bind("/dev/"+name, dev+"/"+name); err != nil {
			return err
		}
	}
	if err := os.Link(dir+"/log", dev+"/log"); err != nil {
		return err
	}
	if err := syscall.Mount(dev, "/dev", "", syscall.MS_BIND|syscall.MS_REC, ""); err != nil {
		return err
	}
	if err := bind(dir+"/allow", "/etc/hosts.allow"); err != nil {
		return err
	}
	return bind(dir+"/deny", "/etc/hosts.deny")
}

// needLive skips tests that cannot have namespaces of their own.
func needLive(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root, for a mount namespace")
	}
	for _, path := range []string{"/etc/hosts.allow", "/etc/hosts.deny"} {
		if _, err := os.Stat(path); err != nil {
			t.Skipf("needs a file %s to mount another over", path)
		}
	}
}

// A job is a tcpd at work.
type job struct {
	cmd    *exec.Cmd
	dir    string
	client net.Conn // nil for stdin null
	server *os.File // our copy of its stdin
	log    *net.UnixConn
}

// start runs a program as the tcpd of a case.
func (c *liveCase) start(t *testing.T, program string) *job {
	t.Helper()
	client, server := endpoints(t, c.stdin)
	return c.startOn(t, program, client, server)
}

// startOn is start with a connection that is there already.
func (c *liveCase) startOn(t *testing.T, program string, client net.Conn, server *os.File) *job {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "live")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	sub := strings.NewReplacer("@DIR@", dir, "@D@", dir+"/svc").Replace
	for name, text := range c.files {
		mode := os.FileMode(0o644)
		if name == "svc" {
			if text == "" {
				text = `echo "argv0=$0 args=$*"` + "\n"
			}
			text, mode = "#!/bin/sh\n"+text, 0o755
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(sub(text)), mode); err != nil {
			t.Fatal(err)
		}
	}
	r := &job{dir: dir, client: client, server: server}
	if r.log, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: dir + "/log", Net: "unixgram"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.log.Close() })
	os.Chmod(dir+"/log", 0o666)

	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r.cmd = exec.Command(self)
	for _, a := range c.argv {
		r.cmd.Args = append(r.cmd.Args, sub(a))
	}
	r.cmd.Env = []string{childEnv + "=" + dir, "TCPD_TEST_PROGRAM=" + program}
	for _, kv := range c.env {
		r.cmd.Env = append(r.cmd.Env, "CASE_"+kv)
	}
	r.cmd.Stdin, r.cmd.Stdout, r.cmd.Stderr = r.server, r.server, r.server
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.cmd.Process.Kill()
		r.cmd.Wait()
	})
	return r
}

// endpoints returns a client and a blocking descriptor of the server's side.
func endpoints(t *testing.T, kind string) (net.Conn, *os.File) {
	t.Helper()
	file := func(f interface{ File() (*os.File, error) }) *os.File {
		out, err := f.File()
		if err != nil {
			t.Fatal(err)
		}
		out.Fd() // makes it blocking
		t.Cleanup(func() { out.Close() })
		return out
	}
	var client net.Conn
	var server *os.File
	var err error
	switch kind {
	case "null":
		if server, err = os.Open(os.DevNull); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { server.Close() })
		return nil, server
	case "udp":
		pc, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		defer pc.Close()
		server = file(pc)
		if client, err = net.Dial("udp4", pc.LocalAddr().String()); err != nil {
			t.Fatal(err)
		}
		if _, err := client.Write([]byte("ping")); err != nil {
			t.Fatal(err)
		}
	case "unix", "unixdgram":
		typ := syscall.SOCK_STREAM
		if kind == "unixdgram" {
			typ = syscall.SOCK_DGRAM
		}
		fds, err := syscall.Socketpair(syscall.AF_UNIX, typ|syscall.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		f := os.NewFile(uintptr(fds[0]), "client")
		server = os.NewFile(uintptr(fds[1]), "server")
		t.Cleanup(func() { server.Close() })
		if client, err = net.FileConn(f); err != nil {
			t.Fatal(err)
		}
		f.Close()
	default:
		network, addr := "tcp4", "127.0.0.1:0"
		switch kind {
		case "tcp6":
			network, addr = "tcp6", "[::1]:0"
		case "tcp46":
			network, addr = "tcp", "[::]:0"
		}
		ln, err := net.Listen(network, addr)
		if err != nil {
			t.Skipf("no %s here: %v", kind, err)
		}
		defer ln.Close()
		_, port, _ := net.SplitHostPort(ln.Addr().String())
		host := "127.0.0.1"
		if kind == "tcp6" {
			host = "::1"
		}
		if client, err = net.Dial("tcp", net.JoinHostPort(host, port)); err != nil {
			t.Fatal(err)
		}
		if kind == "listen" {
			server = file(ln.(*net.TCPListener))
			break
		}
		conn, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		server = file(conn.(*net.TCPConn))
		conn.Close()
		if kind == "reset" {
			client.(*net.TCPConn).SetLinger(0)
			client.Close()
		}
	}
	t.Cleanup(func() { client.Close() })
	return client, server
}

// patienceOfTests ends what would otherwise hang.
const patienceOfTests = time.Minute

// line waits for the next line of the log.
func (r *job) line(t *testing.T) string {
	t.Helper()
	r.log.SetReadDeadline(time.Now().Add(patienceOfTests))
	buf := make([]byte, 9000)
	n, err := r.log.Read(buf)
	if err != nil {
		t.Fatalf("log: %v%s", err, r.harness())
	}
	return r.logged(buf[:n])
}

// logged returns a message without what changes from one to the next.
func (r *job) logged(msg []byte) string {
	pri, rest, _ := strings.Cut(string(msg), ">")
	if len(rest) > 16 && rest[3] == ' ' && rest[15] == ' ' {
		rest = rest[16:] // the time
	}
	ident, text, _ := strings.Cut(rest, ": ")
	ident = strings.ReplaceAll(ident, "["+strconv.Itoa(r.cmd.Process.Pid)+"]", "[PID]")
	return r.hide("+ " + pri + ">" + ident + " " + text)
}

// queued takes a message from a socket if there is one.
func queued(c net.Conn) ([]byte, bool) {
	raw, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		return nil, false
	}
	buf := make([]byte, 1<<16)
	n := -1
	raw.Read(func(fd uintptr) bool {
		n, _, err = syscall.Recvfrom(int(fd), buf, syscall.MSG_DONTWAIT)
		return true
	})
	if err != nil || n < 0 {
		return nil, false
	}
	return buf[:n], true
}

func (r *job) hide(s string) string { return strings.ReplaceAll(s, r.dir, "@DIR@") }

// harness says what went wrong before tcpd was there.
func (r *job) harness() string {
	text, err := os.ReadFile(r.dir + "/harness")
	if err != nil {
		return ""
	}
	return " (" + string(text) + ")"
}

// finish waits for the end and returns what happened, in the form of the
// case. It closes the server's side.
func (r *job) finish(t *testing.T, kind string) []string {
	t.Helper()
	err := r.cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if h := r.harness(); h != "" {
		t.Fatalf("harness: %s", h)
	}
	got := []string{"= status=" + strconv.Itoa(r.cmd.ProcessState.ExitCode())}
	left := false
	if kind == "udp" {
		left = r.unread()
	}
	r.server.Close()
	// What a process that has ended has sent is all there.
	var text []byte
	switch {
	case r.client == nil:
	case kind == "tcp4", kind == "tcp6", kind == "tcp46", kind == "unix":
		r.client.SetReadDeadline(time.Now().Add(patienceOfTests))
		text, _ = io.ReadAll(r.client)
	default: // these have no end
		text, _ = queued(r.client)
	}
	got = append(got, strings.TrimRight("< "+r.hide(escape(text)), " "))
	for {
		msg, ok := queued(r.log)
		if !ok {
			break
		}
		got = append(got, r.logged(msg))
	}
	if left {
		got = append(got, "left 1")
	}
	return got
}

// unread reports whether a datagram waits in the server's socket.
func (r *job) unread() bool {
	var b [16]byte
	_, _, err := syscall.Recvfrom(int(r.server.Fd()), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	return err == nil
}

func escape(text []byte) string {
	var b bytes.Buffer
	for _, c := range text {
		switch {
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\r':
			b.WriteString(`\r`)
		case c == '\\':
			b.WriteString(`\\`)
		case c < ' ' || c >= 0x7f:
			b.WriteString(`\x` + strconv.FormatUint(uint64(c)|0x100, 16)[1:])
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// liveDifferences are the lines in which we mean to differ from Debian's tcpd,
// by case, besides the facility: ours is authpriv where theirs is daemon.
var liveDifferences = map[string]map[string]string{
	"user-option-broken": {`< 0\n`: `< 65534\n`}, // the user option takes effect
}

func TestLiveDebian(t *testing.T) {
	t.Parallel()
	needLive(t)
	for _, c := range readLive(t, "testdata/live/debian.live") {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var want []string
			for _, l := range c.want {
				if ours, ok := liveDifferences[c.name][l]; ok {
					l = ours
				}
				want = append(want, toAuthpriv(l))
			}
			diff(t, c.start(t, program(t, "tcpd")).finish(t, c.stdin), want)
		})
	}
}

// TestLiveLean runs a few cases with the runtime that lean.sh makes: what has
// to do with threads and children.
func TestLiveLean(t *testing.T) {
	t.Parallel()
	needLive(t)
	lean := program(t, "lean")
	if !exists(lean) {
		t.Skip("lean.sh does not know this runtime")
	}
	for _, c := range readLive(t, "testdata/live/ours.live") {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			diff(t, c.start(t, lean).finish(t, c.stdin), c.want)
		})
	}
}

// toAuthpriv changes facility daemon to authpriv.
func toAuthpriv(line string) string {
	num, rest, ok := strings.Cut(strings.TrimPrefix(line, "+ <"), ">")
	n, err := strconv.Atoi(num)
	if !ok || err != nil || n>>3 != 3 {
		return line
	}
	return "+ <" + strconv.Itoa(10<<3|n&7) + ">" + rest
}

func TestLiveOurs(t *testing.T) {
	t.Parallel()
	needLive(t)
	for _, c := range readLive(t, "testdata/live/ours.live") {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			diff(t, c.start(t, program(t, "tcpd")).finish(t, c.stdin), c.want)
		})
	}
}

// TestPatience holds that a refused connection does not keep a process, and
// that refused datagrams and listening sockets do, for inetd would start the
// next one at once. patient waits an hour.
func TestPatience(t *testing.T) {
	t.Parallel()
	needLive(t)
	for _, tt := range []struct {
		name, stdin, deny string
		argv              []string
		stays             bool
		last              string
	}{
		{"stream", "tcp4", "ALL: ALL\n", nil, false, "+ <84>svc[PID] refused connect from 127.0.0.1 (127.0.0.1)"},
		{"stream6", "tcp6", "ALL: ALL\n", nil, false, "+ <84>svc[PID] refused connect from ::1 (::1)"},
		{"stream that was reset", "reset", "ALL: ALL\n", nil, false, "+ <84>svc[PID] refused connect from unknown (unknown)"},
		{"unix", "unix", "ALL: ALL\n", nil, false, "+ <84>svc[PID] refused connect from localhost (localhost)"},
		{"dgram", "udp", "ALL: ALL\n", nil, true, "+ <84>svc[PID] refused connect from 127.0.0.1 (127.0.0.1)"},
		{"listening", "listen", "ALL: ALL\n", nil, true, "+ <84>svc[PID] refused connect from unknown (unknown)"},
		{"no socket", "null", "", nil, true, "+ <83>svc[PID] getpeername: Socket operation on non-socket"},
		{"no daemon", "tcp4", "", []string{"/nonexistent/svc"}, true, "+ <83>svc[PID] error: cannot execute /nonexistent/svc: No such file or directory"},
		{"itself", "tcp4", "", []string{program(t, "patient")}, true, "+ <83>patient[PID] error: " + program(t, "patient") + " would start itself: name the server behind it"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := &liveCase{stdin: tt.stdin, argv: tt.argv, files: map[string]string{"allow": "", "deny": tt.deny, "svc": ""}}
			if c.argv == nil {
				c.argv = []string{"@D@"}
			}
			r := c.start(t, program(t, "patient"))
			for l := ""; l != tt.last; {
				l = r.line(t)
			}
			if !tt.stays {
				if err := r.cmd.Wait(); err != nil {
					t.Errorf("exit of a refused %s: %v, want 0", tt.stdin, err)
				}
				return
			}
			waitAsleep(t, r.cmd.Process.Pid)
			if tt.stdin == "udp" && r.unread() {
				t.Error("the datagram is still there")
			}
		})
	}
}

// waitAsleep returns when all threads of a process wait for something, and
// fails if the process ends.
func waitAsleep(t *testing.T, pid int) {
	t.Helper()
	task := "/proc/" + strconv.Itoa(pid) + "/task/"
	deadline := time.Now().Add(patienceOfTests)
	for quiet := 0; quiet < 20; {
		if time.Now().After(deadline) {
			t.Fatal("the process does not come to rest")
		}
		threads, err := os.ReadDir(task)
		if err != nil || len(threads) == 0 {
			t.Fatalf("the process is gone: %v", err)
		}
		quiet++
		for _, th := range threads {
			stat, err := os.ReadFile(task + th.Name() + "/stat")
			_, state, _ := strings.Cut(string(stat), ") ")
			switch {
			case strings.HasPrefix(state, "Z"), strings.HasPrefix(state, "X"):
				t.Fatal("the process has ended")
			case err != nil || !strings.HasPrefix(state, "S"):
				quiet = 0
			}
		}
		time.Sleep(time.Millisecond)
	}
}
