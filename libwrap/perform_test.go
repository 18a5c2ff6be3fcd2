package libwrap

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"inetd/libwrap/syslog"
)

// children are what the test binary does when it is run as a child.
var children = map[string]func(){}

const childEnv = "LIBWRAP_TEST_CHILD"

func TestMain(m *testing.M) {
	if f := children[os.Getenv(childEnv)]; f != nil {
		os.Unsetenv(childEnv)
		f()
		os.Exit(0)
	}
	code := m.Run()
	printSummary(code == 0)
	os.Exit(code)
}

// child prepares the test binary to run one of children.
func child(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", args...)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Path = exe
	cmd.Env = append(os.Environ(), childEnv+"="+name)
	return cmd
}

func init() {
	// serve decides by the table in argv[1], performs, and then runs the
	// command in argv[2] on descriptor 0 as the daemon.
	children["serve"] = func() {
		tables := &Tables{Allow: os.Args[1], Deny: "/nonexistent"}
		v := tables.Check(context.Background(), from("10.0.0.1"))
		p := Performer{Conn: FD(0), Self: true, Log: func(_ syslog.Priority, text string) { fmt.Fprintln(os.Stderr, text) }}
		if err := p.Perform(context.Background(), v); err != nil || !v.Allowed {
			fmt.Fprintln(os.Stderr, "refused")
			os.Exit(1)
		}
		fmt.Fprintln(os.Stderr, "exec:", syscall.Exec("/bin/sh", []string{"sh", "-c", os.Args[2]}, syscall.Environ()))
	}
}

// serve runs a command behind a rule with these options and returns what it
// wrote to the connection and to the log.
func serve(t *testing.T, options, command string) (out, log string) {
	t.Helper()
	table := filepath.Join(t.TempDir(), "allow")
	writeFile(t, table, "sshd: ALL: "+options+"\n")
	if err := os.Chmod(filepath.Dir(table), 0o755); err != nil {
		t.Fatal(err)
	}
	ours, theirs := tcpPair(t)
	f, err := theirs.File()
	if err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	cmd := child(t, "serve", table, command+" >&0")
	cmd.Stdin = f
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	f.Close()
	ours.SetReadDeadline(time.Now().Add(20 * time.Second))
	var b bytes.Buffer
	if _, err := b.ReadFrom(ours); err != nil {
		t.Errorf("%s: %v", options, err)
	}
	cmd.Wait()
	return b.String(), stderr.String()
}

func tcpPair(t *testing.T) (client, server *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); s.Close() })
	return c.(*net.TCPConn), s.(*net.TCPConn)
}

func TestPerformSelf(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "sshd"), "hello %a\n")
	for _, tt := range []struct{ options, command, want, log string }{
		{"setenv A %a: setenv B  two  words : umask 027: nice 3", `echo "$A|$B|$(umask)|$(nice)"`, "10.0.0.1|two  words|0027|3\n", ""},
		{"nice 2: nice", "nice", "12\n", ""},
		{"banners " + dir, "echo served", "hello 10.0.0.1\r\nserved\n", ""},
		{"twist echo instead %d; echo err >&2", "echo served", "instead sshd\nerr\n", "twist 10.0.0.1 to echo instead sshd; echo err >&2\n"},
		{"setenv X y: twist echo $X", "echo served", "y\n", "twist 10.0.0.1 to echo $X\n"},
		{"setenv X y: spawn echo $X > " + dir + "/out", "cat " + dir + "/out", "y\n", ""},
		// C fails to set such a variable too, and denies.
		{"setenv A=b c", "echo served", "", "error: DIR/allow, line 1: setenv A=b: Invalid argument\nrefused\n"},
		{"linger 3: keepalive", "echo served", "served\n", ""},
	} {
		out, log := serve(t, tt.options, tt.command)
		if i := strings.Index(log, "error: /"); i >= 0 {
			j := strings.Index(log, "/allow")
			log = log[:i] + "error: DIR" + log[j:]
		}
		if out != tt.want || log != tt.log {
			t.Errorf("%s: %q, log %q\nwant %q, log %q", tt.options, out, log, tt.want, tt.log)
		}
	}
}

// The user and group options change everything that makes an identity; in the
// C library they change nothing.
func TestIdentity(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("changing the user needs root")
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Skip("no user nobody")
	}
	daemon, err := user.LookupGroup("daemon")
	if err != nil {
		t.Skip("no group daemon")
	}
	groups, err := nobody.GroupIds()
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(groups)
	status := func(uid, gid string, groups ...string) string {
		four := func(s string) string { return strings.Repeat("\t"+s, 4) }
		return "Uid:" + four(uid) + "\nGid:" + four(gid) + "\nGroups:\t" + strings.Join(groups, " ") + " \n"
	}
	for _, tt := range []struct{ options, want string }{
		{"user nobody", status(nobody.Uid, nobody.Gid, groups...)},
		{"user nobody.daemon", status(nobody.Uid, daemon.Gid, daemon.Gid)},
		{"user nobody.root", status(nobody.Uid, "0", "0")},
		{"group daemon", status("0", daemon.Gid, daemon.Gid)},
		{"group daemon: user nobody", status(nobody.Uid, nobody.Gid, groups...)},
		{"user nosuchuser-q", ""},
		{"user nobody.nosuchgroup-q", ""},
		{"user 0", ""},
		{"user nobody: user root", ""},
	} {
		out, log := serve(t, tt.options, "grep -E '^(Uid|Gid|Groups):' /proc/self/status")
		if out != tt.want {
			t.Errorf("%s: %q, want %q; log %q", tt.options, out, tt.want, log)
		}
		if tt.want == "" && !strings.HasSuffix(log, "refused\n") {
			t.Errorf("%s: log %q, want a refusal", tt.options, log)
		}
	}
}

func TestPerformConn(t *testing.T) {
	ours, theirs := tcpPair(t)
	f, err := theirs.File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var log []string
	event := func(k EventKind, n int, text string) Event {
		return Event{Kind: k, N: n, Text: text, Pos: Pos{File: "F", Line: 7}}
	}
	self := func() string {
		mask := syscall.Umask(0)
		syscall.Umask(mask)
		prio, _ := syscall.Getpriority(syscall.PRIO_PROCESS, 0)
		return fmt.Sprint(mask, prio, os.Getenv("K"))
	}
	before := self()
	v := &Verdict{Allowed: true, Events: []Event{
		event(Linger, 5, ""), event(Keepalive, 0, ""), event(Banner, 0, "hi\r\n"),
		// Without Self these are the caller's.
		event(Umask, 0o777, ""), event(Nice, 5, ""), {Kind: Setenv, Key: "K", Text: "x"}, event(Twist, 0, "false"),
		{Kind: SetUser, ID: &Identity{UID: 1, GID: 1}},
	}}
	option := func(name int) int {
		n, err := syscall.GetsockoptInt(int(f.Fd()), syscall.SOL_SOCKET, name)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for _, conn := range []Conn{FD(f.Fd()), theirs} {
		syscall.SetsockoptInt(int(f.Fd()), syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, 0)
		FD(f.Fd()).SetLinger(-1)
		if option(syscall.SO_LINGER) != 0 || option(syscall.SO_KEEPALIVE) != 0 {
			t.Fatal("options are set already")
		}
		p := Performer{Conn: conn, Log: func(_ syslog.Priority, s string) { log = append(log, s) }}
		if err := p.Perform(t.Context(), v); err != nil {
			t.Errorf("Perform on %T = %v", conn, err)
		}
		if option(syscall.SO_LINGER) == 0 || option(syscall.SO_KEEPALIVE) == 0 {
			t.Errorf("Perform on %T did not set the options", conn)
		}
		if err := p.Perform(t.Context(), &Verdict{Events: []Event{event(Linger, 0, "")}}); err != nil || option(syscall.SO_LINGER) != 0 {
			t.Errorf("Perform of linger 0 on %T = %v, and does not turn it off", conn, err)
		}
		b := make([]byte, 4)
		ours.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := ours.Read(b); err != nil || string(b) != "hi\r\n" {
			t.Errorf("Perform on %T sent %q, %v", conn, b, err)
		}
	}
	if len(log) != 0 {
		t.Errorf("log %q, want none", log)
	}
	if after := self(); after != before {
		t.Errorf("Perform without Self changed umask, priority and variable from %s to %s", before, after)
	}
	null, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	p := Performer{Conn: FD(null.Fd()), Log: func(_ syslog.Priority, s string) { log = append(log, s) }}
	if err := p.Perform(t.Context(), v); err != nil {
		t.Errorf("Perform without a socket = %v", err)
	}
	// What setenv(3) would refuse, the caller's server does not get either.
	for _, key := range []string{"", "A=b"} {
		p := Performer{Log: func(syslog.Priority, string) {}}
		if err := p.Perform(t.Context(), &Verdict{Allowed: true, Events: []Event{{Kind: Setenv, Key: key, Text: "x"}}}); err == nil {
			t.Errorf("Perform of setenv %q = nil", key)
		}
	}
	want := []string{"warning: F, line 7: setsockopt SO_LINGER 5: Socket operation on non-socket", "warning: F, line 7: setsockopt SO_KEEPALIVE: Socket operation on non-socket"}
	if !slices.Equal(log, want) {
		t.Errorf("log %q, want %q", log, want)
	}

	c := v.Child()
	if c.Umask != 0o777 || c.Nice != 5 || !slices.Equal(c.Env, []string{"K=x"}) || c.Command != "false" || c.ID == nil || c.ID.UID != 1 {
		t.Errorf("Child() = %+v", c)
	}
	v = &Verdict{Events: []Event{{Kind: SetUser, ID: &Identity{UID: 5, GID: 6, Groups: []int{6, 7}}}, {Kind: SetGroup, ID: &Identity{UID: -1, GID: 8, Groups: []int{8}}}}}
	if id := v.Child().ID; id.UID != 5 || id.GID != 8 || !slices.Equal(id.Groups, []int{8}) {
		t.Errorf("Child() of user and group = %+v", id)
	}
	if id := (&Verdict{Events: v.Events[1:]}).Child().ID; id.UID != -1 || id.GID != 8 {
		t.Errorf("Child() of group = %+v", id)
	}
	if c := (&Verdict{}).Child(); c.Umask != -1 || c.ID != nil || c.Command != "" {
		t.Errorf("Child() of nothing = %+v", c)
	}
}

func TestRunShell(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	for _, tt := range []struct {
		command      string
		code, signal int
		want         string
	}{
		{"exit 3", 3, 0, ""},
		{"kill -9 $$", 0, 9, ""},
		{"true", 0, 0, ""},
		{"no-such-command-q", 127, 0, ""},
		{"for i in 0 1 2; do readlink /proc/$$/fd/$i; done > OUT", 0, 0, "/dev/null\nOUT\n/dev/null\n"},
		{"kill -HUP $$; echo alive > OUT", 0, 0, "alive\n"},
		{"echo $A $B $HOME_Q > OUT", 0, 0, "new b old\n"},
	} {
		os.Remove(out)
		os.Setenv("A", "old")
		os.Setenv("HOME_Q", "old")
		st, err := RunShell(t.Context(), strings.ReplaceAll(tt.command, "OUT", out), []string{"A=new", "B=b"})
		if err != nil || st.Code != tt.code || st.Signal != tt.signal || st.PID <= 0 {
			t.Errorf("RunShell(%q) = %+v, %v, want code %d, signal %d", tt.command, st, err, tt.code, tt.signal)
		}
		b, _ := os.ReadFile(out)
		if got := strings.ReplaceAll(string(b), out, "OUT"); got != tt.want {
			t.Errorf("RunShell(%q) wrote %q, want %q", tt.command, got, tt.want)
		}
	}
}

// A command that does not end is killed with its children.
func TestRunShellTimeout(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	pidFile := filepath.Join(t.TempDir(), "pid")
	start := time.Now()
	st, err := RunShell(ctx, "sleep 1000 & echo $! > "+pidFile+"; wait", nil)
	if !errors.Is(err, context.DeadlineExceeded) || st.Signal != int(syscall.SIGKILL) {
		t.Errorf("RunShell = %+v, %v, want killed", st, err)
	}
	if d := time.Since(start); d > 10*time.Second {
		t.Errorf("took %v", d)
	}
	b, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil || bytes.Contains(b, []byte(") Z ")) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("the child of the command lives on")
}

// A Shell runs commands with its own environment and nobody else's, and as
// somebody else if it has a credential.
func TestShell(t *testing.T) {
	t.Setenv("LIBWRAP_Q", "ours")
	out := filepath.Join(t.TempDir(), "out")
	command := "echo $LIBWRAP_Q $A $B > " + out
	sh := &Shell{Env: []string{"A=old", "B=b"}}
	for range 2 { // env does not stay
		if st, err := sh.Run(t.Context(), command, []string{"A=new"}); err != nil || st.Code != 0 {
			t.Errorf("Run(%q) = %+v, %v", command, st, err)
		}
		if b, _ := os.ReadFile(out); string(b) != "new b\n" {
			t.Errorf("Run(%q) wrote %q, want %q", command, b, "new b\n")
		}
		if want := []string{"A=old", "B=b"}; !slices.Equal(sh.Env, want) {
			t.Errorf("Env = %q, want %q", sh.Env, want)
		}
	}
}

func TestShellCredential(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("changing the user needs root")
	}
	dir, err := os.MkdirTemp("/tmp", "libwrap") // one that others may write to
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "out")
	sh := &Shell{
		Env:        []string{"PATH=/usr/bin:/bin", "A=a"},
		Credential: &syscall.Credential{Uid: 65001, Gid: 65002, Groups: []uint32{65002, 65003}},
	}
	const want = "65001 65002 65002 65003 a b\n"
	command := "echo $(id -u) $(id -g) $(id -G) $A $B > " + out
	v := &Verdict{Allowed: true, Events: []Event{{Kind: Setenv, Key: "B", Text: "b"}, {Kind: Spawn, Text: command}}}
	p := Performer{Run: sh.Run, Log: func(_ syslog.Priority, s string) { t.Error(s) }}
	if err := p.Perform(t.Context(), v); err != nil {
		t.Errorf("Perform = %v", err)
	}
	if b, err := os.ReadFile(out); string(b) != want {
		t.Errorf("spawn wrote %q, %v, want %q", b, err, want)
	}
	os.Remove(out)
	r := from("10.0.0.1")
	r.Run = sh.Run
	tables := newTables(t, "ALL: ALL: setenv B b: aclexec "+command+"\n", "ALL: ALL\n")
	if v := tables.Check(t.Context(), r); !v.Allowed {
		t.Errorf("Check = %+v, want allowed", v)
	}
	if b, err := os.ReadFile(out); string(b) != want {
		t.Errorf("aclexec wrote %q, %v, want %q", b, err, want)
	}
}

// TestAclexecHole is the case in which the C library lets everybody in: an
// aclexec that fails in hosts.allow cancels a catch-all with an option in
// hosts.deny.
func TestAclexecHole(t *testing.T) {
	dir := t.TempDir()
	for _, tt := range []struct {
		allow, deny string
		want        bool
	}{
		{"sshd: ALL: aclexec /bin/false", "ALL: ALL: spawn true", false},
		{"sshd: ALL: aclexec /bin/false", "ALL: ALL: severity crit", false},
		{"sshd: ALL: aclexec /bin/false", "ALL: ALL", false},
		{"sshd: ALL: aclexec /bin/false\nsshd: ALL", "ALL: ALL", false},
		{"sshd: ALL: aclexec kill -9 $$", "ALL: ALL: severity crit", false},
		{"sshd: ALL: aclexec /bin/true", "ALL: ALL: severity crit", true},
		{"sshd: ALL: aclexec /bin/false: aclexec /bin/true", "ALL: ALL", true},
		{"sshd: ALL: setenv X y: aclexec test $X = y", "ALL: ALL", true},
		{"", "ALL: ALL: aclexec /bin/false", true},
		{"sshd: ALL: aclexec echo x; echo y > " + dir + "/out; test -c /dev/stdin", "ALL: ALL: severity crit", true},
	} {
		tables := newTables(t, tt.allow+"\n", tt.deny+"\n")
		for range 3 {
			if v := tables.Check(t.Context(), from("10.0.0.1")); v.Allowed != tt.want {
				t.Errorf("%q, %q: Allowed = %v, want %v", tt.allow, tt.deny, v.Allowed, tt.want)
			}
			if _, ok := tables.CheckNow(from("10.0.0.1")); ok {
				t.Errorf("%q, %q: CheckNow runs a command", tt.allow, tt.deny)
			}
		}
	}
	// A failure does not reach the next decision either.
	tables := newTables(t, "sshd: 10.: aclexec /bin/false\n", "sshd: ALL: severity crit\n")
	for _, addr := range []string{"10.0.0.1", "11.0.0.1"} {
		if v := tables.Check(t.Context(), from(addr)); v.Allowed {
			t.Errorf("%s: Allowed = true, want false", addr)
		}
	}
	// A command that does not get to say anything denies, in either table.
	for _, tables := range []*Tables{
		newTables(t, "sshd: ALL: aclexec sleep 100\n", "ALL: ALL\n"),
		newTables(t, "", "ALL: ALL: aclexec sleep 100\n"),
		newTables(t, "sshd: ALL: aclexec sleep 100: allow\n", ""),
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		if v := tables.Check(ctx, from("10.0.0.1")); v.Allowed {
			t.Error("with a context that ended Allowed = true, want false")
		}
		cancel()
	}
}

func TestExpandTooLong(t *testing.T) {
	tables := newTables(t, "sshd: ALL: spawn "+strings.Repeat("%u", 1000)+"\n", "")
	r := from("10.0.0.1")
	r.User = strings.Repeat("u", 127)
	if v := tables.Check(t.Context(), r); v.Allowed || len(v.Child().Command) > 0 {
		t.Errorf("Check = %+v, want a denial", v)
	}
}

func TestPerformTwistNeedsFD(t *testing.T) {
	_, theirs := tcpPair(t)
	p := Performer{Conn: theirs, Self: true}
	err := p.Perform(t.Context(), &Verdict{Delegated: true, Events: []Event{{Kind: Twist, Text: "true"}}})
	if err == nil {
		t.Error("twist without a descriptor = nil")
	}
	var e *actionError
	if !errors.As(err, &e) {
		t.Errorf("error is %T", err)
	}
}
