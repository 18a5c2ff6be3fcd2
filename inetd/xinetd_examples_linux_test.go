package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"inetd/inetd/conf"
)

// The second half of the chapter: the same services the way xinetd has them.

// chapter puts the files of examples/ where the textbook has them.
func chapter(t *testing.T) *journal {
	t.Helper()
	install(t)
	if err := addAddress("lo:1", [4]byte{192, 168, 10, 5}); err != nil {
		t.Fatal(err)
	}
	put(t, "/etc/xinetd.conf", readFile(t, "../examples/xinetd.conf"), 0o644)
	if err := shadow("/etc/xinetd.d"); err != nil { // only if the package is installed
		if err := os.Mkdir("/etc/xinetd.d", 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range globbed(t, "/etc/xinetd.d/*") {
		os.Remove(name)
	}
	for _, name := range globbed(t, "../examples/xinetd.d/*") {
		put(t, "/etc/xinetd.d/"+filepath.Base(name), readFile(t, name), 0o644)
	}
	appendTo(t, "/etc/services", readFile(t, "../examples/services")+"echo 7/tcp\necho 7/udp\nchargen 19/tcp\nchargen 19/udp\nsmtp 25/tcp\npop3 110/tcp\n")
	return syslogd(t)
}

func readFile(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func globbed(t testing.TB, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// Whoever reads the examples, and however it is started, the services of the
// chapter are there and take the clients that they should.
func TestXinetdChapter(t *testing.T) {
	isolated(t, func(t *testing.T) {
		os.Setenv("GORACE", "atexit_sleep_ms=0")
		log := chapter(t)
		type start struct {
			name string
			run  func(t *testing.T) (pid int)
		}
		foreground := func(cmd *exec.Cmd, ready string) func(t *testing.T) int {
			return func(t *testing.T) int {
				stderr := newJournal()
				pipe, err := cmd.StderrPipe()
				if err != nil {
					t.Fatal(err)
				}
				mark := log.mark()
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				go stderr.readFrom(pipe)
				t.Cleanup(func() {
					unix.Kill(cmd.Process.Pid, unix.SIGTERM)
					if err := cmd.Wait(); err != nil {
						t.Errorf("exit = %v, want success", err)
					}
				})
				if ready == "stderr" {
					stderr.wait(t, 0, `started with 2 services`)
				} else {
					log.wait(t, mark, ready)
				}
				return cmd.Process.Pid
			}
		}
		background := func(pidFile string, cmd *exec.Cmd) func(t *testing.T) int {
			return func(t *testing.T) int {
				pid := detached(t, cmd, pidFile)
				t.Cleanup(func() {
					unix.Kill(pid, unix.SIGTERM)
					if err := waitOrphan(pid); err != nil {
						t.Errorf("exit = %v, want success", err)
					}
				})
				return pid
			}
		}
		starts := []start{
			{"xinetd", background("/run/xinetd.pid", ours.command("-pidfile", "/run/xinetd.pid"))},
			{"xinetd -dontfork", foreground(ours.command("-f", "/etc/xinetd.conf", "-dontfork"), starts)},
			{"xinetd -d", foreground(ours.command("-d"), "stderr")},
			{"inetd xinetd.conf", background("/run/inetd.pid", command("/etc/xinetd.conf"))},
			{"inetd -i inetd.conf xinetd.conf", foreground(command("-i", "/etc/inetd.conf", "/etc/xinetd.conf"), ` inetd\[\d+\]: started with 2 services`)},
		}
		for _, mk := range makers(t) {
			if mk.original {
				starts = append(starts, start{"original", foreground(mk.command("-f", "/etc/xinetd.conf", "-dontfork"), ` Started working: 2 available services`)})
			}
		}
		put(t, "/etc/inetd.conf", "# nothing\n", 0o644)
		for _, s := range starts {
			t.Run(s.name, func(t *testing.T) {
				original := s.name == "original"
				families := []string{"127.0.0.1", "::1"}
				if original {
					// It looks for the name of ::ffff:127.0.0.1.
					put(t, "/etc/xinetd.conf", strings.Replace(readFile(t, "/etc/xinetd.conf"), "= localhost", "= 127.0.0.1", 1), 0o644)
					families = families[:1]
				}
				// The server of the last one may be on its way out.
				eventually(t, "a free port", func() bool { return len(inodes(t, "udp", 9300))+len(inodes(t, "udp6", 9300)) == 0 })
				pid := s.run(t)
				// Three a second and no more, so each of these counts.
				wantAnswer(t, "tcp", "127.0.0.1:9200", "hello\nworld\n", "1: hello\n2: world\n")
				if got, _ := askFrom("tcp", "127.0.0.9", "127.0.0.1:9200", "hello\n"); got != "" {
					t.Errorf("answer to 127.0.0.9 = %q, want none", got)
				}
				if got, err := askFrom("tcp", "192.168.10.5", "192.168.10.5:9200", "hello\n"); err != nil || got != "1: hello\n" {
					t.Errorf("answer to 192.168.10.5 = %q, %v", got, err)
				}
				if got, _ := ask("tcp", "127.0.0.1:9200", "hello\n"); got != "" {
					t.Errorf("answer to the fourth in a second = %q, want none", got)
				}
				eventually(t, "a pause", func() bool {
					_, err := dialFrom("tcp", "", "127.0.0.1:9200")
					return err != nil
				})
				// Only what is switched on is there.
				for _, port := range []string{"7", "19", "23", "25", "110"} {
					wantRefused(t, "tcp", net.JoinHostPort("127.0.0.1", port))
				}
				// A stranger's datagram starts nothing and is not answered.
				if !original {
					stranger, err := dialFrom("udp", "127.0.0.9", "127.0.0.1:9300")
					if err != nil {
						t.Fatal(err)
					}
					defer stranger.Close()
					io.WriteString(stranger, "from afar")
				}
				for _, host := range families {
					c := dial(t, "udp", net.JoinHostPort(host, "9300"))
					if original { // it loses datagrams
						eventually(t, "an answer", func() bool {
							io.WriteString(c, "hello")
							c.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
							n, _ := c.Read(make([]byte, 100))
							return n == len("hello")
						})
						continue
					}
					wantEcho(t, c, "hello "+host)
				}
				if log.count(0, "START: myecho_udpserv.*127\\.0\\.0\\.9") > 0 {
					t.Errorf("a stranger's datagram started a server")
				}
				for _, c := range proc(pid).children() {
					if original {
						unix.Kill(int(c), unix.SIGKILL) // it would leave it behind
					}
				}
			})
		}
		// What the defaults want to know of it all, in every case but that of -d,
		// which logs to the terminal.
		told := len(starts) - 1
		for _, line := range []string{
			`START: myecho_serv pid=\d+ from=(::ffff:)?127\.0\.0\.1`,
			`START: myecho_serv pid=\d+ from=(::ffff:)?192\.168\.10\.5`,
			`FAIL: myecho_serv address from=(::ffff:)?127\.0\.0\.9`,
			`FAIL: myecho_serv connections per second from=(::ffff:)?127\.0\.0\.1`,
		} {
			if n := log.count(0, `^authpriv\.info x?inetd\[\d+\]: `+line+"$"); n != told {
				t.Errorf("%d lines like %q, want %d", n, line, told)
			}
		}
		log.wait(t, 0, `^authpriv\.info x?inetd\[\d+\]: EXIT: myecho_serv status=0 pid=\d+ duration=0\(sec\)$`)
	})
}

// The services that the examples have switched off do what their comments say
// when they are switched on.
func TestXinetdChapterServices(t *testing.T) {
	isolated(t, func(t *testing.T) {
		os.Setenv("GORACE", "atexit_sleep_ms=0")
		log := chapter(t)
		for i, ip := range [][4]byte{{192, 168, 10, 1}, {192, 168, 10, 25}, {192, 168, 10, 66}} {
			if err := addAddress(fmt.Sprintf("lo:%d", 2+i), ip); err != nil {
				t.Fatal(err)
			}
		}
		for _, name := range globbed(t, "/etc/xinetd.d/*") {
			text := strings.ReplaceAll(readFile(t, name), "disable\t\t= yes", "disable\t\t= no")
			put(t, name, strings.Replace(text, "Mon-Fri/08:00-18:00", "Mon-Sun/00:00-24:00", 1), 0o644)
		}
		put(t, "/usr/sbin/in.telnetd", "#!/bin/sh\necho telnetd \"$0\" $# as $(/usr/bin/id -un) for $REMOTE_HOST\n", 0o755)
		put(t, "/usr/sbin/ipop3d", "#!/bin/sh\necho +OK\n", 0o755)
		l, err := net.Listen("tcp", "192.168.10.25:25")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				fmt.Fprintf(c, "220 mail for %v\r\n", c.RemoteAddr().(*net.TCPAddr).IP)
				c.Close()
			}
		}()
		pid := detached(t, ours.command("-pidfile", "/run/xinetd.pid"), "/run/xinetd.pid")
		t.Cleanup(func() {
			unix.Kill(pid, unix.SIGTERM)
			if err := waitOrphan(pid); err != nil {
				t.Errorf("exit = %v, want success", err)
			}
		})
		for _, tt := range []struct{ from, addr, send, want string }{
			{"192.168.10.5", "192.168.10.5:23", "", "telnetd /usr/sbin/in.telnetd 0 as root for 192.168.10.5\n"},
			{"192.168.10.66", "192.168.10.5:23", "", ""}, // but for one machine of it
			{"127.0.0.1", "127.0.0.1:23", "", ""},        // = leaves nothing of the defaults
			{"127.0.0.1", "127.0.0.1:110", "", "+OK\n"},
			{"127.0.0.2", "127.0.0.1:110", "", ""},
			{"127.0.0.1", "127.0.0.1:7", "hello", "hello"},
			{"127.0.0.2", "127.0.0.1:7", "hello", ""},
			{"192.168.10.5", "192.168.10.1:25", "", "220 mail for 192.168.10.5\r\n"},
		} {
			if got, err := askFrom("tcp", tt.from, tt.addr, tt.send); got != tt.want {
				t.Errorf("%s from %s = %q, %v, want %q", tt.addr, tt.from, got, err, tt.want)
			}
		}
		wantEcho(t, dial(t, "udp", "127.0.0.1:7"), "hello")
		for _, addr := range []string{"127.0.0.1:19", "192.168.10.5:25"} { // in disabled; bind
			wantRefused(t, "tcp", addr)
		}
		log.wait(t, 0, `^authpriv\.info xinetd\[\d+\]: TRAFFIC: smtp-gateway in=0\(bytes\) out=\d+\(bytes\)$`)
		log.wait(t, 0, `^authpriv\.info xinetd\[\d+\]: FAIL: telnet address from=192\.168\.10\.66$`)
		log.wait(t, 0, `^authpriv\.info xinetd\[\d+\]: START: pop3 pid=\d+ from=127\.0\.0\.1$`)
		log.wait(t, 0, `^authpriv\.info xinetd\[\d+\]: EXIT: smtp-gateway duration=0\(sec\)$`) // PID and EXIT are taken out
	})
}

// Slides explain each line with //, which no xinetd reads.
func TestXinetdSlideComments(t *testing.T) {
	t.Parallel()
	p, q := freePort(t), freePort(t)
	conf := in("// the services\n"+ // 1
		"service echo9200   // myecho\n"+
		"{\n"+
		"\ttype = UNLISTED\n"+
		"\tport = %d\n"+ // 5
		"\tsocket_type = stream\n"+
		"\tprotocol = tcp\n"+
		"\twait = no\n"+
		"\tuser = $me\n"+
		"\tserver = /bin/cat   // the program\n"+ // 10
		"\tcps = 3 10  # three a second\n"+
		"}\n"+
		"service good\n"+
		"{\n"+
		"\ttype = UNLISTED\n"+ // 15
		"\tport = %d\n"+
		"\tsocket_type = stream\n"+
		"\twait = no\n"+
		"\tuser = $me\n"+
		"\tserver = /bin/cat\n"+
		"\t// the end\n"+ // 21
		"}\n"+
		"service fine\n"+
		"{\n"+
		"\ttype = UNLISTED\n"+
		"\tport = %d\n"+
		"\tsocket_type = stream\n"+
		"\twait = no\n"+
		"\tuser = $me\n"+
		"\tserver = /bin/cat\n"+
		"}\n", p, freePort(t), q)
	file := filepath.Join(t.TempDir(), "xinetd.conf")
	if err := os.WriteFile(file, []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	out, status := checked(t, file)
	slashes := ` (xinetd.conf has no // comments: a comment is a line that starts with #)`
	want := strings.ReplaceAll(`$:1:1: "//": expected service NAME, defaults, include FILE or includedir DIRECTORY`+slashes+`
$:2:20: warning: "//" and what follows is ignored`+slashes+`
$:10:22: server: "//" is not a value`+slashes+`
$:11:14: warning: cps: "#" and what follows is ignored (a comment stands on a line of its own)
$:21:2: "//": expected NAME = VALUE or }`+slashes+`
`, "$", file)
	if out != want || status != 1 {
		t.Errorf("inetd -t = %d\n%swant 1\n%s", status, out, want)
	}
	// Who serves it all the same has what is right.
	d := start(t, conf)
	wantAnswer(t, "tcp", local(q), "hello\n", "hello\n")
	wantRefused(t, "tcp", local(p))
	d.log.wait(t, 0, regexp.QuoteMeta(d.file)+`:1:1: "//": expected service NAME`)
}

// The options of xinetd(8).
func TestXinetdOptions(t *testing.T) {
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	show := func(o *options) string {
		return fmt.Sprintf("%s%s foreground=%v stderr=%v pid=%s log=%s facility=%s limit=%d", o.files, o.compat, o.foreground, o.stderr, o.pidFile, o.logFile, o.facility, o.processes)
	}
	for _, tt := range []struct{ args, want string }{
		{"", "[/etc/xinetd.conf] foreground=false stderr=false pid= log= facility= limit=0"},
		{"-f x", "[" + dir + "/x] foreground=false stderr=false pid= log= facility= limit=0"},
		{"-f /x -dontfork", "[/x] foreground=true stderr=false pid= log= facility= limit=0"},
		{"-d", "[/etc/xinetd.conf] foreground=true stderr=true pid= log= facility= limit=0"},
		{"-stayalive -cc 60 -logprocs 5", "[/etc/xinetd.conf] foreground=false stderr=false pid= log= facility= limit=0"},
		{"-pidfile p -filelog l", "[/etc/xinetd.conf] foreground=false stderr=false pid=" + dir + "/p log=" + dir + "/l facility= limit=0"},
		{"-syslog local3 -limit 7", "[/etc/xinetd.conf] foreground=false stderr=false pid= log= facility=local3 limit=7"},
		{"-inetd_compat", "[/etc/xinetd.conf]/etc/inetd.conf foreground=false stderr=false pid= log= facility= limit=0"},
		{"-f", "option -f takes an argument"},
		{"-limit many", `option -limit: "many" is not a number`},
		{"-cc -1", `option -cc: "-1" is not a number`},
		{"-limit -1", "[/etc/xinetd.conf] foreground=false stderr=false pid= log= facility= limit=0"},
		{"-limit 99999999999", "[/etc/xinetd.conf] foreground=false stderr=false pid= log= facility= limit=2147483647"},
		{"-inetd_compat -inetd_ipv6 -stayalive -reuse", "[/etc/xinetd.conf]/etc/inetd.conf foreground=false stderr=false pid= log= facility= limit=0"},
		{"-syslog nowhere", `[/etc/xinetd.conf] foreground=false stderr=false pid= log= facility= limit=0 [option -syslog: "nowhere" is not a facility: daemon is used]`},
		{"-shutdownprocs 5", "[/etc/xinetd.conf] foreground=false stderr=false pid= log= facility= limit=0 [option -shutdownprocs has no effect]"},
		{"-i -limit 7", "[/etc/xinetd.conf] foreground=false stderr=false pid= log= facility= limit=7 [unknown option -i is ignored]"},
		{"-syslog nowhere -filelog l", "-syslog and -filelog exclude each other"},
		{"-filelog l -syslog local3", "-syslog and -filelog exclude each other"},
		{"-shutdownprocs", "option -shutdownprocs takes an argument"},
		{"file", `"file": expected an option`},
		{"-", `"-": expected an option`},
		{"-version", "version asked for"},
	} {
		o, err := parseXinetdArgs(strings.Fields(tt.args))
		got := fmt.Sprint(err)
		if err == nil {
			got = show(o)
			if o.warnings != nil {
				got += fmt.Sprint(" ", o.warnings)
			}
		}
		if got != tt.want {
			t.Errorf("parseXinetdArgs(%q) = %s, want %s", tt.args, got, tt.want)
		}
	}
}

// xinetd as an administrator meets it.
func TestXinetdCommand(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "xinetd.conf")
	for _, tt := range []struct {
		args           []string
		status         int
		stdout, stderr string
	}{
		{[]string{"-version"}, 0, "inetd " + version + "\n", ""},
		{[]string{"x"}, 2, "", "xinetd: \"x\": expected an option\n" + xinetdUsage},
		{[]string{"-f"}, 2, "", "xinetd: option -f takes an argument\n" + xinetdUsage},
		{[]string{"-f", file}, 1, "", "xinetd: stat " + file + ": no such file or directory\n"},
		{[]string{"-f", file, "-dontfork"}, 1, "", "xinetd: stat " + file + ": no such file or directory\n"},
	} {
		cmd := ours.command(tt.args...)
		cmd.Env = append(cmd.Environ(), "GORACE=atexit_sleep_ms=0")
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		cmd.Run()
		if got := cmd.ProcessState.ExitCode(); got != tt.status || stdout.String() != tt.stdout || stderr.String() != tt.stderr {
			t.Errorf("xinetd %q = %d, stdout %q, stderr %q, want %d, %q, %q", tt.args, got, &stdout, &stderr, tt.status, tt.stdout, tt.stderr)
		}
	}
}

// Its own file is xinetd.conf whatever it begins with, and the one of
// -inetd_compat is not.
func TestXinetdFileIsItsOwn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, compat := filepath.Join(dir, "conf"), filepath.Join(dir, "compat")
	for name, text := range map[string]string{
		file:   fmt.Sprintf("%d stream tcp nowait root internal echo\n", freePort(t)) + unlisted(5001, "/bin/cat"),
		compat: "service stream tcp nowait root /bin/cat cat\nservice x\n",
	} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	o, err := parseXinetdArgs([]string{"-f", file})
	if err != nil {
		t.Fatal(err)
	}
	o.compat = compat
	cfg, err := (&loader{opts: o}).load()
	if err != nil {
		t.Fatal(err)
	}
	if len(cfg.specs) != 1 || cfg.specs[0].label != "s5001/tcp" {
		t.Errorf("xinetd serves %d services, want s5001/tcp alone", len(cfg.specs))
	}
	for _, want := range []string{`conf:1:1: ".*": expected service NAME`, `compat:2:\d+: protocol: missing`} {
		if !slices.ContainsFunc(cfg.problems, func(e *conf.Error) bool { return regexp.MustCompile(want).MatchString(e.Error()) }) {
			t.Errorf("no %q among %v", want, cfg.problems)
		}
	}
}
