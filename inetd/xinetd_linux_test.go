package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Started as xinetd, the test binary is the daemon with that command line.
func init() {
	programs["xinetd"] = programs["inetd"]
	programs["srv.tcp"] = func([]string) int {
		nodelay, _ := unix.GetsockoptInt(0, unix.IPPROTO_TCP, unix.TCP_NODELAY)
		keepalive, _ := unix.GetsockoptInt(0, unix.SOL_SOCKET, unix.SO_KEEPALIVE)
		flags, _ := unix.FcntlInt(0, unix.F_GETFL, 0)
		fmt.Println("nodelay", nodelay, "keepalive", keepalive, "blocking", flags&unix.O_NONBLOCK == 0)
		return 0
	}
}

// A maker starts a program that reads xinetd.conf(5).
type maker struct {
	name     string
	original bool
	command  func(args ...string) *exec.Cmd
}

// ours is this daemon under the name xinetd.
var ours = maker{"ours", false, func(args ...string) *exec.Cmd {
	cmd := exec.Command(self)
	cmd.Args = append([]string{"xinetd"}, args...)
	return cmd
}}

// makers are ours and, where it is installed, xinetd itself.
func makers(t testing.TB) []maker {
	t.Helper()
	path := findProgram("xinetd")
	if path != "" {
		// Ours may be installed under that name. xinetd says what it was built with.
		out, _ := exec.Command(path, "-version").CombinedOutput()
		if strings.HasPrefix(string(out), "inetd ") {
			path = ""
		}
	}
	if path == "" {
		return []maker{ours}
	}
	return []maker{{"xinetd", true, func(args ...string) *exec.Cmd { return exec.Command(path, args...) }}, ours}
}

// machine is a network, services(5) and users of our own, with /dev/log.
func machine(t testing.TB) *journal {
	t.Helper()
	put(t, "/etc/services", "tcpmux 1/tcp\necho 7/tcp\necho 7/udp\ndiscard 9/tcp\ndiscard 9/udp\ndaytime 13/tcp\ndaytime 13/udp\nchargen 19/tcp\nchargen 19/udp\ntime 37/tcp\ntime 37/udp\nauth 113/tcp\nupper 6001/tcp\n", 0o644)
	put(t, "/etc/hosts", "127.0.0.1 localhost\n::1 localhost\n127.0.0.2 two.lab\n127.0.0.4 four.sub.lab\n", 0o644)
	put(t, "/etc/networks", "labnet 127.1.0.0\n", 0o644)
	put(t, "/etc/resolv.conf", "", 0o644)
	put(t, "/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\nservices: files\nnetworks: files\nprotocols: files\n", 0o644)
	put(t, "/etc/hosts.allow", "", 0o644)
	put(t, "/etc/hosts.deny", "", 0o644)
	os.Remove("/etc/inetd.conf") // there may be one
	appendTo(t, "/etc/passwd", "student:x:4242:4242:Student:/run/student:/bin/sh\n")
	appendTo(t, "/etc/group", "student:x:4242:\nlab:x:4243:student\n")
	// Programs are started by their names.
	for name := range programs {
		if strings.HasPrefix(name, "srv.") {
			link(t, self, "/run/srv/"+name)
		}
	}
	for name, text := range scripts {
		put(t, "/run/srv/"+name, "#!/bin/sh\nPATH=/usr/bin:/bin LC_ALL=C\n"+text, 0o755)
	}
	for _, name := range []string{"5001", "5002"} {
		link(t, "/bin/cat", "/run/srv/"+name)
	}
	put(t, "/run/srv/hello", "hello\n", 0o644)
	put(t, "/run/srv/yes", "come in\n", 0o644)
	put(t, "/run/srv/no", "go away\n", 0o644)
	put(t, "/run/loadavg", "", 0o644)
	setLoad(t, "0.10")
	if err := unix.Mount("/run/loadavg", "/proc/loadavg", "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	// Servers are to have what the daemon is started with.
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 1000, Max: 1000}); err != nil {
		t.Fatal(err)
	}
	os.Setenv("ONE", "1")
	os.Setenv("FOUR", "4")
	os.Setenv("LD_TRACE", "x")
	return syslogd(t)
}

// scripts are servers that tell what they are given, for any user.
var scripts = map[string]string{
	"environ": "tr '\\0' '\\n' < /proc/$$/environ | sort\n",
	"who":     "for n in Uid Gid Groups; do echo $(grep ^$n: /proc/self/status); done\n",
	"facts": "echo umask $(umask) nice $(nice) files $(ulimit -Sn) $(ulimit -Hn)\n" +
		// Of the first 31: make(1) ignores one of the others for everybody below.
		"for n in SigBlk SigIgn; do echo $n $((0x$(sed -n s/^$n:.//p /proc/$$/status) & 0x7fffffff)); done\n" +
		"echo leads its session $(($(cut -d ' ' -f 6 /proc/$$/stat) == $$))\n",
	"limits": "awk '/open files|cpu time|address space|data size|resident|stack/ {print $2, $(NF-2), $(NF-1)}' /proc/self/limits\n",
	"stderr": "echo trouble >&2\n",
	"killed": "kill -9 $$\n",
	"id":     "echo $(id -u) $(id -g)\n",
	"plain":  "echo +$(id -un)\n",
}

// setLoad makes the load average what it is to be.
func setLoad(t testing.TB, load string) {
	t.Helper()
	if err := os.WriteFile("/run/loadavg", []byte(load+" 0.00 0.00 1/100 1000\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

// times are windows that are open now, and closed ones: in a form that both
// programs read, over midnight, and by days of the week.
func times() *strings.Replacer {
	now := time.Now()
	open, closed := "11:00-23:59", "3:00-4:00"
	if now.Hour() < 12 {
		open, closed = "0:00-13:00", "20:00-21:00"
	}
	clock := func(hours int) string { return now.Add(time.Duration(hours) * time.Hour).Format("15:04") }
	overnight, notnight := clock(-1)+"-"+clock(-3), clock(2)+"-"+clock(-2)
	switch { // near midnight those are times of one day
	case now.Hour() < 4:
		overnight, notnight = "12:00-11:00", "12:00-0:00"
	case now.Hour() > 19:
		overnight, notnight = "12:00-11:00", "23:59-12:00"
	}
	return strings.NewReplacer("$open", open, "$closed", closed, "$overnight", overnight, "$notnight", notnight,
		"$today", now.Format("Mon"), "$tomorrow", now.AddDate(0, 0, 2).Format("Mon"))
}

// An xinetd is a running daemon, and what a scenario has seen of it.
type xinetd struct {
	t    testing.TB
	mk   maker
	cmd  *exec.Cmd
	dir  string // for the files of its services
	file string
	log  *journal
	done chan struct{}
	err  error
	seen []string
}

// starts and reloads are what the two say when they are ready.
const (
	starts  = ` xinetd\[\d+\]: (started with \d+ services|Started working: \d+ available services?)$`
	reloads = ` xinetd\[\d+\]: (reload: \d+ added|Reconfigured: new=)`
)

// run starts a daemon with a configuration, in which $dir is its directory.
func (mk maker) run(t testing.TB, log *journal, conf string, args ...string) *xinetd {
	t.Helper()
	x := &xinetd{t: t, mk: mk, log: log, dir: "/run/" + mk.name, done: make(chan struct{})}
	if err := os.RemoveAll(x.dir); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(x.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	x.file = filepath.Join(x.dir, "xinetd.conf")
	x.put("xinetd.conf", conf)
	quiet(t)
	mark := log.mark()
	x.cmd = mk.command(append([]string{"-dontfork", "-f", x.file, "-pidfile", filepath.Join(x.dir, "pid")}, args...)...)
	x.cmd.Env = append(x.cmd.Environ(), "GORACE=atexit_sleep_ms=0")
	x.cmd.Dir = x.dir
	if err := x.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		x.err = x.cmd.Wait()
		close(x.done)
	}()
	t.Cleanup(x.end)
	if slices.Contains(args, "-filelog") {
		eventually(t, "a start in the log file", func() bool {
			text, _ := os.ReadFile(filepath.Join(x.dir, "filelog"))
			return regexp.MustCompile(`(?i)started`).Match(text)
		})
		return x
	}
	log.wait(t, mark, starts)
	return x
}

// quiet waits until the wait servers of the daemon before have ended and given
// up its ports, which xinetd tries for a moment only.
func quiet(t testing.TB) {
	t.Helper()
	eventually(t, "free ports", func() bool {
		for _, table := range []string{"tcp", "tcp6", "udp", "udp6"} {
			text, err := os.ReadFile("/proc/self/net/" + table)
			if err != nil {
				t.Fatal(err)
			}
			// Listening, or for datagrams bound, at 4992 to 5023.
			if regexp.MustCompile(`:13[89]. [0-9A-F]+:0000 0[7A] `).Match(text) {
				return false
			}
		}
		return true
	})
}

// end asks the daemon to end and wants it to do so with success.
func (x *xinetd) end() {
	x.t.Helper()
	x.cmd.Process.Signal(unix.SIGTERM)
	select {
	case <-x.done:
	case <-time.After(patience):
		x.cmd.Process.Kill()
		<-x.done
		x.t.Errorf("%s does not end on SIGTERM", x.mk.name)
	}
	if x.err != nil {
		x.t.Errorf("exit of %s = %v, want success", x.mk.name, x.err)
	}
}

// put writes a file into the daemon's directory.
func (x *xinetd) put(name, text string) {
	x.t.Helper()
	put(x.t, filepath.Join(x.dir, name), x.fill(text), 0o644)
}

func (x *xinetd) fill(text string) string {
	return times().Replace(strings.ReplaceAll(text, "$dir", x.dir))
}

func (x *xinetd) reload(conf string) {
	x.t.Helper()
	x.put("xinetd.conf", conf)
	x.hup()
}

func (x *xinetd) hup() {
	x.t.Helper()
	mark := x.log.mark()
	x.cmd.Process.Signal(unix.SIGHUP)
	x.log.wait(x.t, mark, reloads)
}

// see notes what happened.
func (x *xinetd) see(format string, args ...any) {
	x.seen = append(x.seen, fmt.Sprintf(format, args...))
}

// ask notes what a stream client is answered. The address may have a source
// in front: "127.0.0.2>127.0.0.1:7".
func (x *xinetd) ask(addr, line string) {
	x.see("%s: %s", addr, x.answer(addr, line))
}

// ends are the client's address, "" for any, and the server's.
func ends(addr string) (from, to string) {
	if from, to, ok := strings.Cut(addr, ">"); ok {
		return from, to
	}
	return "", addr
}

func (x *xinetd) answer(addr, line string) string {
	from, to := ends(addr)
	got, err := askFrom("tcp", from, to, line)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case err == nil || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE):
		// A server that leaves something unread resets.
		return fmt.Sprintf("%q", got)
	}
	return err.Error()
}

// hold opens a connection to an echo service and leaves it open; nil is one
// that got no server.
func (x *xinetd) hold(addr string) net.Conn {
	from, to := ends(addr)
	c, err := dialFrom("tcp", from, to)
	if err == nil {
		x.t.Cleanup(func() { c.Close() })
		io.WriteString(c, "x")
		_, err = io.ReadFull(c, make([]byte, 1))
	}
	if err != nil {
		x.see("%s: no server", addr)
		return nil
	}
	x.see("%s: served", addr)
	return c
}

// packet notes what a datagram client is answered.
func (x *xinetd) packet(addr, text string) { x.see("%s: %s", addr, x.insist(addr, text)) }

// insist asks again when nothing comes, as such clients do: xinetd itself loses
// some.
func (x *xinetd) insist(addr, text string) string {
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if got := x.reply(addr, text, 500*time.Millisecond); got != "nothing" {
			return got
		}
	}
	return "nothing"
}

// noPacket is for what should not be answered.
func (x *xinetd) noPacket(addr, text string) {
	x.see("%s: %s", addr, x.reply(addr, text, 150*time.Millisecond))
}

// reply is what comes back for one datagram.
func (x *xinetd) reply(addr, text string, wait time.Duration) string {
	from, to := ends(addr)
	c, err := dialFrom("udp", from, to)
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(wait))
	if _, err := io.WriteString(c, text); err != nil {
		return err.Error()
	}
	buf := make([]byte, 65536)
	n, err := c.Read(buf)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "nothing"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case err != nil:
		return err.Error()
	}
	return fmt.Sprintf("%q", buf[:n])
}

// logged are the lines of a log file of services, at least n of them.
func (x *xinetd) logged(name string, n int) (lines []string) {
	x.t.Helper()
	eventually(x.t, fmt.Sprintf("%d lines in %s", n, name), func() bool {
		text, _ := os.ReadFile(filepath.Join(x.dir, name))
		lines = strings.SplitAfter(string(text), "\n")
		lines = lines[:len(lines)-1]
		return len(lines) >= n
	})
	return lines
}

// lines notes what is in a log, once it has n lines, without what no two runs
// have in common.
func (x *xinetd) lines(name string, n int) {
	x.t.Helper()
	for _, l := range x.logged(name, n) {
		x.see("%s", logFields(strings.TrimSuffix(l, "\n")))
	}
}

// first notes the first line of a log.
func (x *xinetd) first(name string) {
	x.t.Helper()
	x.see("%s", logFields(strings.TrimSuffix(x.logged(name, 1)[0], "\n")))
}

var (
	logStamp = regexp.MustCompile(`^\d\d/\d{1,2}/\d{1,2}@\d\d:\d\d:\d\d: `)
	logPid   = regexp.MustCompile(` pid=[1-9]\d*`)
	logTime  = regexp.MustCompile(` duration=\d+\(sec\)`)
)

// logFields is a line without its time, pids and durations; zero pids stay. An
// IPv4 client looks the same whatever socket it came through: see
// TestXinetdDifferences.
func logFields(l string) string {
	stamp := logStamp.FindString(l)
	if stamp == "" {
		return "no time: " + l
	}
	l = l[len(stamp):]
	l = logPid.ReplaceAllString(l, " pid=N")
	l = logTime.ReplaceAllString(l, " duration=N(sec)")
	return strings.ReplaceAll(l, "::ffff:", "")
}

// A scenario is a configuration and what clients see of it.
type scenario struct {
	name string
	conf string
	args []string // besides the file and where to log
	do   func(*xinetd)
	want string // a line for each thing seen
	// Where the original is another on purpose: what it does, and why ours
	// does not.
	original string
	why      string
}

// play runs scenarios with every program there is.
func play(t *testing.T, log *journal, all []scenario) {
	makers := makers(t)
	if len(makers) == 1 {
		t.Run("xinetd", func(t *testing.T) { t.Skip("xinetd is not installed: ours runs alone") })
	}
	for _, sc := range all {
		for _, mk := range makers {
			t.Run(sc.name+"/"+mk.name, func(t *testing.T) {
				x := mk.run(t, log, sc.conf, sc.args...)
				sc.do(x)
				want := sc.want
				if mk.original && sc.original != "" {
					want = sc.original
				}
				want = x.fill(strings.TrimSpace(want))
				if got := strings.Join(x.seen, "\n"); got != want {
					t.Errorf("%s sees of %s\n%s\nwant\n%s", sc.name, mk.name, got, want)
				}
			})
		}
	}
}
