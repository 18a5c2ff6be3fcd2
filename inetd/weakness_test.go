package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What goes wrong in other super-servers, each as a test that fails if it goes
// wrong here. The files weakness_linux_test.go, starve, mux, rpc and access
// have more of them; and these are shown with the feature they belong to:
//
//	no configuration at HUP ends the daemon    TestReloadWithErrors
//	a second one takes the pid file            TestSecondInstance
//	the pid file stays after TERM              TestDetach, TestInterrupt
//	root:group is ignored                      TestIdentity
//	a user is looked for at exec only          TestUnknownUser
//	unix sockets are for everybody             TestUnix
//	errors without file and line               TestMistakes
//	port 70000 is 4464                         TestMistakes
//	[::1]: is not understood, tcp46 is tcp4    TestHostIPv6, TestFamilies
//	* to an address takes two reloads          TestReloadAddress
//	arguments are cut, no blanks in them       TestArguments
//	time is eight bytes                        TestBuiltins
//	LD_PRELOAD and IFS reach servers,
//	SIGPIPE stays ignored, umask 0             TestChildOfDirtyDaemon
//	after a failed bind or a rest: never again TestMistakes, TestRate
//	a wait server runs, and HUP listens again  TestReloadWhileHeld
//	an answer from another address             TestBuiltins

// BSD compares after it has counted, so that nowait.3 serves two.
func TestRateOffByOne(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 2, 3, 64} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			p := freePort(t)
			d := start(t, in("%d stream tcp4 nowait.%d $me /bin/cat cat\n", p, n))
			for i := range n {
				line := fmt.Sprintf("client %d\n", i+1)
				wantAnswer(t, "tcp", local(p), line, line)
			}
			if got, _ := ask("tcp", local(p), "one more\n"); got != "" {
				t.Errorf("client %d of nowait.%d = %q, want nothing", n+1, n, got)
			}
			d.log.wait(t, 0, "looping")
		})
	}
}

// On a port above 1023 openbsd-inetd limits without a word, and for a wait
// dgram entry it spins. Here the log says when the service goes and when it is
// back, for datagrams as for connections.
func TestRateOfDatagrams(t *testing.T) {
	t.Parallel()
	for _, wait := range []string{"wait", "nowait"} {
		t.Run(wait, func(t *testing.T) {
			t.Parallel()
			p, other := freePort(t), freePort(t)
			d := start(t, in("%d dgram udp4 %s.3 $me $self srv.datagrams 1\n%d dgram udp4 wait $me internal echo\n", p, wait, other))
			round := func(how string) {
				t.Helper()
				mark := d.log.mark()
				for i := range 3 {
					wantDatagram(t, dial(t, "udp4", local(p)), fmt.Sprintf("%s, %d", how, i))
				}
				c := dial(t, "udp4", local(p))
				c.Write([]byte("four"))
				d.log.wait(t, mark, fmt.Sprintf(`%d/udp server failing \(looping\), service terminated for 10 min$`, p))
				for range 20 {
					c.Write([]byte("more"))
				}
				wantEcho(t, dial(t, "udp4", local(other)), "others go on")
				if n := d.log.count(mark, "looping"); n != 1 {
					t.Errorf("%s: %d lines say that the service is down, want 1", how, n)
				}
				if n := d.log.count(mark, "started for"); n != 3 {
					t.Errorf("%s: %d starts, want 3", how, n)
				}
			}
			round("at first")
			d.hup()
			d.log.wait(t, 0, fmt.Sprintf("%d/udp: back in service$", p))
			round("after HUP")
		})
	}
}

// GNU's inetd does not listen again after a rest and takes no new maximum on
// HUP; in openbsd-inetd a rest outlives it. A maximum that is changed counts
// at once, up and down, and may be above the daemon's own.
func TestMaxOverReload(t *testing.T) {
	t.Parallel()
	p := freePort(t)
	conf := func(max int) string { return in("%d stream tcp4 nowait.%d $me /bin/cat cat\n", p, max) }
	served := func(tries int) (n int) {
		for range tries {
			if got, _ := ask("tcp", local(p), "x\n"); got == "x\n" {
				n++
			}
		}
		return n
	}
	d := start(t, conf(3), "-R2")
	if got := served(5); got != 3 {
		t.Errorf("nowait.3 with -R2 served %d of 5, want 3", got)
	}
	d.reload(conf(6))
	if got := served(10); got != 6 {
		t.Errorf("nowait.6 after a rest served %d of 10, want 6", got)
	}
	d.reload(conf(9))
	if got := served(4); got != 4 {
		t.Errorf("nowait.9 served %d of 4, want 4", got)
	}
	// Four are counted, and three are too many already.
	d.reload(conf(3))
	if got := served(2); got != 0 {
		t.Errorf("nowait.3 after four starts served %d of 2, want 0", got)
	}
}

// NetBSD reads a maximum that is no number as 0, and its service refuses
// everybody; openbsd-inetd takes its default, and other suffixes that it does
// not know are nothing to it. Here the line is wrong, and says where.
func TestBadSuffixes(t *testing.T) {
	t.Parallel()
	var conf strings.Builder
	bad := []struct{ line, want string }{
		{"stream tcp nowait.abc $me /bin/cat cat", `wait/nowait: starts a minute: "abc"`},
		{"stream tcp nowait. $me /bin/cat cat", `wait/nowait: starts a minute: ""`},
		{"stream tcp nowait.-1 $me /bin/cat cat", `wait/nowait: starts a minute: "-1"`},
		{"stream tcp nowait:5x $me /bin/cat cat", `wait/nowait: starts a minute: "5x"`},
		{"stream tcp nowait.5.6 $me /bin/cat cat", `wait/nowait: starts a minute: "5.6"`},
		{"stream tcp nowait.99999999999 $me /bin/cat cat", `wait/nowait: starts a minute: "99999999999"`},
		{"stream tcp nowait/x $me /bin/cat cat", `wait/nowait: servers: "x"`},
		{"stream tcp nowait/1/2/3/4 $me /bin/cat cat", `wait/nowait: "/1/2/3/4"`},
		{"stream,0 tcp nowait $me /bin/cat cat", `socket type: "0" after the comma`},
		{"stream,many tcp nowait $me /bin/cat cat", `socket type: "many" after the comma`},
		{"stream tcp,sndbuf=64q nowait $me /bin/cat cat", `sndbuf: "64q"`},
		{"stream tcp,sndbuf=99999m nowait $me /bin/cat cat", `sndbuf: "99999m"`},
		{"stream tcp,backlog=3 nowait $me /bin/cat cat", `protocol: "backlog=3"`},
	}
	var ports []int
	for _, b := range bad {
		p := freePort(t)
		ports = append(ports, p)
		fmt.Fprintf(&conf, "%d %s\n", p, in("%s", b.line))
	}
	good := freePort(t)
	conf.WriteString(in("%d stream tcp nowait $me /bin/cat cat\n", good))
	d := start(t, conf.String())
	for i, b := range bad {
		d.log.wait(t, 0, regexp.QuoteMeta(fmt.Sprintf("%s:%d:", d.file, i+1))+`\d+: `+regexp.QuoteMeta(b.want))
		wantRefused(t, "tcp", local(ports[i]))
	}
	wantAnswer(t, "tcp", local(good), "hello\n", "hello\n")
}

// A file that would end FreeBSD's daemon (a short line is enough, on HUP too),
// or take services away from others, takes nothing from this one.
func TestBadFilesOnReload(t *testing.T) {
	t.Parallel()
	p := freePort(t)
	d := start(t, in("%d stream tcp nowait.0 $me /bin/cat cat\n", p))
	open := dial(t, "tcp", local(p))
	wantEcho(t, open, "before\n")
	for _, conf := range []string{
		"ftp\n",
		"ftp stream tcp nowait root",
		"\x00\x00\x00",
		"ftp on protocol = tcp\n",
		"ftp on protocol = tcp, protocol = tcp;\n",
		"ftp on exec = \"\\xZZ\";\n",
		".include\n",
		".include inetd.conf\n",
		".include /nonexistent/*.conf\n",
		strings.Repeat("x", 1<<20),
		strings.Repeat("x ", 1<<18) + "\n",
		strings.Repeat(":", 1<<16) + "\n",
		"[::1:ftp stream tcp nowait root /bin/cat cat\n",
		"{\n}\n}\n",
		string([]byte{0xff, 0xfe, 'f', 0, 't', 0, 'p', 0, '\n', 0}),
	} {
		mark := d.log.mark()
		if got := d.reload(conf); !strings.Contains(got, " 0 removed, ") {
			t.Errorf("reload of %.40q = %q, want nothing removed", conf, got)
		}
		if n := d.log.count(mark, regexp.QuoteMeta(d.file)+`:\d+`); n == 0 {
			t.Errorf("reload of %.40q: no line tells where the mistake is", conf)
		}
		wantAnswer(t, "tcp", local(p), "hello\n", "hello\n")
	}
	wantEcho(t, open, "after\n")
}

// In GNU's inetd each file that is read closes the services of those after it.
// And all the files are one configuration: if one cannot be read, nothing is
// taken from any.
func TestSeveralFiles(t *testing.T) {
	t.Parallel()
	a, b, c := freePort(t), freePort(t), freePort(t)
	dir := t.TempDir()
	second, third := filepath.Join(dir, "second"), filepath.Join(dir, "more", "third.conf")
	put := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	line := func(p int, say string) string { return in("%d stream tcp4 nowait $me $self srv.say %s\n", p, say) }
	put(second, line(b, "b"))
	put(third, line(c, "c"))
	first := in("127.0.0.1:\n%d stream tcp4 nowait $me $self srv.say a\n", a)
	d := start(t, first, second, filepath.Dir(third))
	// A connection in a queue would be lost with its socket.
	all := func(want ...string) {
		t.Helper()
		for i, p := range []int{a, b, c} {
			if want[i] == "" {
				wantRefused(t, "tcp", local(p))
			} else {
				wantAnswer(t, "tcp", local(p), "", want[i]+"\n")
			}
		}
	}
	all("a", "b", "c")
	for range 3 {
		if got := d.hup(); !strings.Contains(got, "0 added, 0 changed, 0 removed, 3 kept") {
			t.Errorf("reload of the same files = %q", got)
		}
		all("a", "b", "c")
	}
	put(second, line(b, "new"))
	if got := d.hup(); !strings.Contains(got, "0 added, 1 changed, 0 removed, 2 kept") {
		t.Errorf("reload with a change in the second file = %q", got)
	}
	all("a", "new", "c")
	os.Remove(second)
	if got := d.hup(); !strings.Contains(got, "nothing is changed") {
		t.Errorf("reload without the second file = %q", got)
	}
	all("a", "new", "c")
	put(second, "")
	os.Remove(third)
	if got := d.hup(); !strings.Contains(got, "0 added, 0 changed, 2 removed, 1 kept") {
		t.Errorf("reload with the second file empty and the third gone = %q", got)
	}
	all("a", "", "")
}

// Others cut lines at 1023 or 2047 bytes and read the rest as an entry.
func TestLongLine(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1023, 1024, 2047, 2048, 4096, 60000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			p, q := freePort(t), freePort(t)
			text := strings.Repeat("x", n-10) + "  the end."
			start(t, in("%d stream tcp nowait $me $self srv.say '%s'\n%d stream tcp nowait $me $self srv.say next\n", p, text, q))
			wantAnswer(t, "tcp", local(p), "", text+"\n")
			wantAnswer(t, "tcp", local(q), "", "next\n")
		})
	}
}

// An indented line belongs to the entry above, whatever it looks like, as in
// BSD. Nobody there says so; here a warning does.
func TestIndentedLines(t *testing.T) {
	t.Parallel()
	p, q, r := freePort(t), freePort(t), freePort(t)
	d := start(t, in("%d stream tcp nowait $me $self srv.say\n\tone two\n"+
		"%d stream tcp nowait $me $self srv.say\n # old\n"+
		"  %d stream tcp nowait $me /bin/cat cat\n", p, q, r))
	d.log.wait(t, 0, `inetd\.conf:2:\d+: warning: indented line read as continuation of the entry above`)
	d.log.wait(t, 0, `inetd\.conf:4:\d+: warning: .*this comment becomes arguments`)
	d.log.wait(t, 0, `inetd\.conf:5:\d+: warning: .*this entry becomes arguments`)
	wantAnswer(t, "tcp", local(p), "", "one two\n")
	wantAnswer(t, "tcp", local(q), "", in("# old %d stream tcp nowait $me /bin/cat cat\n", r))
	wantRefused(t, "tcp", local(r))
}

// From all addresses to one and back, for every kind of socket but that of
// TestReloadAddress.
func TestReloadAddressOfOthers(t *testing.T) {
	t.Parallel()
	for _, entry := range []string{
		"dgram udp4 wait.0 $me $self srv.datagrams 1",
		"dgram udp4 nowait.0 $me $self srv.datagrams 1",
		"dgram udp4 wait $me internal echo",
		"stream tcp4 wait.0 $me $self srv.accept 1",
		"stream tcp4 nowait $me internal daytime",
	} {
		t.Run(entry, func(t *testing.T) {
			t.Parallel()
			p := freePort(t)
			line := in("%d "+entry+"\n", p)
			works := func() {
				t.Helper()
				switch {
				case strings.Contains(entry, "echo"):
					wantEcho(t, dial(t, "udp4", local(p)), "hello")
				case strings.Contains(entry, "dgram"):
					// The server before may take a datagram with it when it ends.
					c := dial(t, "udp4", local(p))
					eventually(t, "answer", func() bool {
						c.Write([]byte("hello"))
						c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
						buf := make([]byte, 64)
						n, _ := c.Read(buf)
						return strings.HasSuffix(string(buf[:n]), " hello")
					})
				case strings.Contains(entry, "internal"):
					if got, err := ask("tcp4", local(p), ""); err != nil || len(got) != 26 {
						t.Errorf("answer = %q, %v, want one", got, err)
					}
				default:
					// The server before may close the socket with us in its queue.
					eventually(t, "answer", func() bool {
						got, _ := ask("tcp4", local(p), "hello")
						return strings.HasSuffix(got, " hello")
					})
				}
			}
			d := start(t, line)
			for range 2 {
				works()
				d.reload("127.0.0.1:" + line)
				works()
				d.reload(line)
			}
			works()
			// A server that has the socket still is no obstacle for good, but
			// its port is taken until it has gone.
			if n := d.log.count(0, "bind"); n > 0 && !strings.Contains(entry, " wait.0 ") {
				t.Errorf("a bind failed:\n%s", d.log)
			}
		})
	}
}

// A client that is gone before its connection is accepted ends NetBSD's daemon
// when it counts clients, and blocks older ones.
func TestResetBeforeAccept(t *testing.T) {
	t.Parallel()
	var conf strings.Builder
	entries := []string{
		"nowait.0/0/100000/50 $me /bin/cat cat",
		"nowait.0 $me internal daytime",
		"nowait.0/40 $me internal echo",
		"wait.0 $me $self srv.accept 3",
	}
	var ports []int
	for _, e := range entries {
		p := freePort(t)
		ports = append(ports, p)
		fmt.Fprintf(&conf, "%d stream tcp4 %s\n", p, in("%s", e))
	}
	kv := freePort(t)
	ports = append(ports, kv)
	conf.WriteString(in("%d on protocol = tcp4, bind = 127.0.0.1, socktype = stream, wait = no, ip_max = 100000, service_max = 100000, user = $me, exec = /bin/cat, args = cat;\n", kv))
	d := start(t, conf.String())
	for range 100 {
		for _, p := range ports {
			c, err := net.Dial("tcp4", local(p))
			if err != nil {
				t.Fatal(err)
			}
			c.(*net.TCPConn).SetLinger(0)
			c.Close()
		}
	}
	for i, p := range append(ports[:3:3], kv) {
		want := "hello\n"
		if i == 1 {
			want = ""
		}
		if got, err := ask("tcp4", local(p), "hello\n"); err != nil && i != 1 || !strings.HasPrefix(got, want) || got == "" {
			t.Errorf("after many resets: ask(%d) = %q, %v", i, got, err)
		}
	}
	// The wait server may have had its fill of clients that were gone.
	eventually(t, "an answer of the wait service", func() bool {
		got, _ := ask("tcp4", local(ports[3]), "hello\n")
		return strings.HasSuffix(got, " hello\n")
	})
	if d.log.count(0, "refused") > 0 {
		t.Error("a client that was gone counts still")
	}
}

// NetBSD's count of servers is not given back by a client that another limit
// sends away, nor by a built-in that needs no process: the service is suspended
// for good.
func TestChildrenComeBack(t *testing.T) {
	t.Parallel()
	cat, daytime, missing := freePort(t), freePort(t), freePort(t)
	start(t, in(`%d on bind = 127.0.0.1, protocol = tcp, accept_max = 1, ip_max = 2, service_max = 1000, wait = no, user = $me, exec = /bin/cat, args = cat;
%d stream,1 tcp4 nowait.0 $me internal daytime
%d stream,1 tcp4 nowait.0 $me /nonexistent/server server
`, cat, daytime, missing))
	for round := range 3 {
		for n := range 4 {
			from := fmt.Sprintf("127.0.1.%d", round+1)
			got, err := askFrom("tcp4", from, local(cat), "hello\n")
			if want := n < 2; (got == "hello\n") != want {
				t.Errorf("client %s, connection %d = %q, %v, want it served: %v", from, n+1, got, err, want)
			}
		}
		if got, err := ask("tcp4", local(daytime), ""); len(got) != 26 || err != nil {
			t.Errorf("daytime = %q, %v", got, err)
		}
		if got, err := ask("tcp4", local(missing), ""); got != "" || err != nil && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("a program that is missing = %q, %v, want the end", got, err)
		}
	}
}

// How a nowait server ended is a secret of the others.
func TestExitOfNowait(t *testing.T) {
	t.Parallel()
	p, q := freePort(t), freePort(t)
	d := start(t, in("%d stream tcp nowait $me /bin/sh sh -c 'exit 7'\n%d stream tcp nowait $me /bin/sh sh -c 'kill -9 $$'\n", p, q))
	ask("tcp", local(p), "")
	d.log.wait(t, 0, fmt.Sprintf(`inetd: %d/tcp: /bin/sh\[\d+\]: exit status 7$`, p))
	ask("tcp", local(q), "")
	d.log.wait(t, 0, fmt.Sprintf(`inetd: %d/tcp: /bin/sh\[\d+\]: exit signal 9$`, q))
}

// GNU's inetd sleeps for a second when a server ends while it waits.
func TestNoPauseAfterExit(t *testing.T) {
	t.Parallel()
	p := freePort(t)
	d := start(t, in("%d stream tcp nowait.0 $me /bin/cat cat\n", p))
	fastest := time.Hour
	for range 8 {
		mark := d.log.mark()
		wantAnswer(t, "tcp", local(p), "one\n", "one\n")
		d.log.wait(t, mark, "exit status 0")
		begin := time.Now()
		wantAnswer(t, "tcp", local(p), "two\n", "two\n")
		fastest = min(fastest, time.Since(begin))
	}
	if fastest > 500*time.Millisecond {
		t.Errorf("connections after the end of a server take %v and more", fastest)
	}
}

// A queue of ten, as GNU's and older ones have, sends the eleventh client of a
// busy service away for seconds.
func TestQueue(t *testing.T) {
	t.Parallel()
	p := freePort(t)
	start(t, in("%d stream tcp4 nowait.0/1 $me /bin/cat cat\n", p))
	first := dial(t, "tcp4", local(p))
	wantEcho(t, first, "first\n")
	var queue []net.Conn
	for range 100 {
		queue = append(queue, dial(t, "tcp4", local(p)))
	}
	first.Close()
	for i, c := range queue {
		wantEcho(t, c, fmt.Sprintf("client %d\n", i))
		c.Close()
	}
}

// FreeBSD remembers 256 clients, so that a few hundred others make it forget
// one, and has a line in the log for each that it sends away.
func TestManySources(t *testing.T) {
	t.Parallel()
	p := freePort(t)
	d := start(t, in("%d stream tcp4 nowait.0/0/2 $me /bin/true true\n", p))
	try := func(from string) error {
		c, err := dialFrom("tcp4", from, local(p))
		if err != nil {
			t.Skipf("no address %s: %v", from, err)
		}
		defer c.Close()
		_, err = io.ReadAll(c)
		return err
	}
	started := func(from string) int { return d.log.count(0, `started for `+regexp.QuoteMeta(from)+`:`) }
	const greedy = "127.1.0.1"
	for range 3 {
		try(greedy)
	}
	for i := range 400 {
		try(fmt.Sprintf("127.2.%d.%d", i/200, i%200+1))
	}
	for range 20 {
		try(greedy)
	}
	d.hup() // and with it the log is complete
	if n := started(greedy); n != 2 {
		t.Errorf("starts for one client = %d, want 2", n)
	}
	if n := d.log.count(0, `started for 127\.2\.`); n != 400 {
		t.Errorf("starts for 400 clients = %d", n)
	}
	if n := d.log.count(0, "refused"); n != 1 {
		t.Errorf("%d lines about refused clients, want one for the episode", n)
	}
}

// One that converses with a built-in and does not read, or says nothing, costs
// the others nothing, and -I ends it.
func TestStalledPeers(t *testing.T) {
	t.Parallel()
	chargen, echo, discard, daytime := freePort(t), freePort(t), freePort(t), freePort(t)
	d := start(t, in("%d stream tcp4 nowait.0 $me internal chargen -I 1\n%d stream tcp4 nowait.0 $me internal echo -I 1\n%d stream tcp4 nowait.0 $me internal discard -I 1\n%d stream tcp4 nowait.0 $me internal daytime\n",
		chargen, echo, discard, daytime))
	var peers []net.Conn
	for range 40 {
		peers = append(peers, dial(t, "tcp4", local(chargen)), dial(t, "tcp4", local(echo)), dial(t, "tcp4", local(discard)))
	}
	for _, c := range peers {
		// More than any buffer holds, and nobody reads what comes back.
		c.SetWriteDeadline(time.Now().Add(time.Millisecond))
		c.Write(make([]byte, 1<<16))
	}
	fastest := time.Hour
	for range 20 {
		begin := time.Now()
		if got, err := ask("tcp4", local(daytime), ""); len(got) != 26 || err != nil {
			t.Fatalf("daytime = %q, %v", got, err)
		}
		fastest = min(fastest, time.Since(begin))
	}
	if fastest > 500*time.Millisecond {
		t.Errorf("daytime takes %v beside stalled peers", fastest)
	}
	// An idle peer is sent away.
	for _, c := range []net.Conn{dial(t, "tcp4", local(echo)), dial(t, "tcp4", local(discard))} {
		if _, err := c.Read(make([]byte, 1)); err != io.EOF && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("read of an idle peer = %v, want the end of the connection", err)
		}
	}
	eventually(t, "the end of all stalled peers", func() bool {
		mark := d.log.mark()
		d.signal(syscall.SIGUSR1)
		for _, p := range []int{chargen, echo, discard} {
			if !strings.Contains(d.log.wait(t, mark, fmt.Sprintf(`inetd: %d/tcp: .* servers running`, p)), ", 0 servers running") {
				return false
			}
		}
		return true
	})
}

// Nothing that a file or a client says drives the terminal of who reads it.
func TestPrintable(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"a\tb é À \u00a0", "a\tb é À \u00a0"},
		{"a\x1b[2J\x7f\n", "a?[2J??"},
		{"\u009b2J\u0080\u009f", "?2J??"},
		{"\x9b2J \xe4\x9b\x00", "?2J \xe4??"},
		{"\xb0\xa1\xb3\xaa\xa0\xff", "\xb0\xa1\xb3\xaa\xa0\xff"}, // EUC-KR
	} {
		if got := printable(tt.in); got != tt.want {
			t.Errorf("printable(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}
