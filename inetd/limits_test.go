package main

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"inetd/inetd/sock"
)

// bindable says whether another program could have the port now.
func bindable(t *testing.T, ip [4]byte, port int, reuse bool) bool {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if reuse {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
			t.Fatal(err)
		}
	}
	return unix.Bind(fd, &unix.SockaddrInet4{Port: port, Addr: ip}) == nil
}

// nowait.5 is five in a minute, exactly, over both address families together.
// Then the service refuses, while its port stays taken and others go on, until
// it is told to begin anew.
func TestRate(t *testing.T) {
	t.Parallel()
	p, other := freePort(t), freePort(t)
	d := start(t, in("%d stream tcp nowait.5 $me /bin/cat cat\n%d stream tcp nowait $me /bin/cat cat\n", p, other))
	five := func(how string) {
		t.Helper()
		mark := d.log.mark()
		for i := range 5 {
			line := fmt.Sprintf("%s, %d\n", how, i)
			addr := local(p)
			if i%2 == 1 && ipv6() {
				addr = local6(p)
			}
			wantAnswer(t, "tcp", addr, line, line)
		}
		if got, err := ask("tcp", local(p), "six\n"); got != "" {
			t.Errorf("sixth connection, %s: ask = %q, %v, want nothing", how, got, err)
		}
		d.log.wait(t, mark, fmt.Sprintf(`inetd: %d/tcp server failing \(looping\), service terminated for 10 min$`, p))
		wantAnswer(t, "tcp", local(other), "hello\n", "hello\n") // and with it the loop has come round
		wantRefused(t, "tcp", local(p))
		if ipv6() {
			wantRefused(t, "tcp", local6(p))
		}
		for _, ip := range [][4]byte{{}, {127, 0, 0, 1}} {
			for _, reuse := range []bool{false, true} {
				if bindable(t, ip, p, reuse) {
					t.Errorf("while the service rests another program can bind %v:%d (SO_REUSEADDR %v)", ip, p, reuse)
				}
			}
		}
		if n := d.log.count(mark, "looping"); n != 1 {
			t.Errorf("%d lines say that the service is down, want 1", n)
		}
	}
	back := fmt.Sprintf("inetd: %d/tcp: back in service$", p)
	five("at first")
	d.hup()
	d.log.wait(t, 0, back)
	five("after HUP")
	mark := d.log.mark()
	d.signal(syscall.SIGALRM)
	d.log.wait(t, mark, back)
	five("after ALRM")
}

func ipv6() bool {
	l, err := net.Listen("tcp6", "[::1]:0")
	if err == nil {
		l.Close()
	}
	return err == nil
}

// -R is the rate of entries without one, 0 is none.
func TestRateOption(t *testing.T) {
	t.Parallel()
	a, b, c := freePort(t), freePort(t), freePort(t)
	start(t, in("%d stream tcp nowait $me /bin/cat cat\n%d stream tcp nowait.0 $me /bin/cat cat\n%d stream tcp nowait:2 $me /bin/cat cat\n", a, b, c), "-R1")
	count := func(port, tries int) (served int) {
		for range tries {
			if got, _ := ask("tcp", local(port), "x\n"); got == "x\n" {
				served++
			}
		}
		return served
	}
	for _, tt := range []struct{ port, want int }{{a, 1}, {b, 10}, {c, 2}} {
		if got := count(tt.port, 10); got != tt.want {
			t.Errorf("served of 10 = %d, want %d", got, tt.want)
		}
	}
}

// The default is 40, as in 4.4BSD.
func TestRateDefault(t *testing.T) {
	t.Parallel()
	p := freePort(t)
	start(t, in("%d stream tcp nowait $me /bin/cat cat\n", p))
	served := 0
	for range 45 {
		if got, _ := ask("tcp", local(p), "x\n"); got == "x\n" {
			served++
		}
	}
	if served != 40 {
		t.Errorf("served of 45 = %d, want 40", served)
	}
}

// A wait service that is started too often rests too, and is back with its
// port as it was.
func TestRateOfWait(t *testing.T) {
	t.Parallel()
	p := freePort(t)
	d := start(t, in("%d dgram udp4 wait.3 $me $self srv.datagrams 1\n", p))
	c := dial(t, "udp", local(p))
	pids := map[string]bool{}
	for i := range 3 {
		pids[wantDatagram(t, c, fmt.Sprint(i))] = true
	}
	if len(pids) != 3 {
		t.Errorf("servers for three datagrams = %v, want three", pids)
	}
	c.Write([]byte("four"))
	d.log.wait(t, 0, "server failing \\(looping\\)")
	if pc, err := net.ListenPacket("udp4", fmt.Sprintf("0.0.0.0:%d", p)); err == nil {
		pc.Close()
		t.Error("while the service rests another program can bind its port")
	}
	mark := d.log.mark()
	d.hup()
	d.log.wait(t, mark, "back in service")
	wantDatagram(t, c, "five")
}

// What is discarded of a socket that is closed is nothing of whoever has its
// number now.
func TestDiscardClosed(t *testing.T) {
	t.Parallel()
	other, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	f, err := other.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	dial(t, "tcp4", other.Addr().String())
	discard(conn{fd: int(f.Fd()), l: &listener{fd: -1, addr: sock.Addr{Type: sock.Stream}}})
	other.(*net.TCPListener).SetDeadline(time.Now().Add(patience))
	if c, err := other.Accept(); err != nil {
		t.Errorf("the other's client is gone: %v", err)
	} else {
		c.Close()
	}
}

// With /2 the third client waits in the queue until one of the two leaves.
func TestChildren(t *testing.T) {
	t.Parallel()
	p := freePort(t)
	d := start(t, in("%d stream tcp nowait/2 $me /bin/cat cat\n", p))
	first, second := dial(t, "tcp", local(p)), dial(t, "tcp", local(p))
	wantEcho(t, first, "one\n")
	wantEcho(t, second, "two\n")
	third := dial(t, "tcp", local(p))
	third.Write([]byte("three\n"))
	// Another round through the loop would have accepted it.
	d.hup()
	if n := d.log.count(0, `started for`); n != 2 {
		t.Errorf("servers started = %d, want 2", n)
	}
	first.Close()
	buf := make([]byte, 6)
	if n, err := third.Read(buf); err != nil || string(buf[:n]) != "three\n" {
		t.Errorf("third client = %q, %v, want %q when the first has left", buf[:n], err, "three\n")
	}
	// A higher limit counts at once.
	fourth := dial(t, "tcp", local(p))
	d.reload(in("%d stream tcp nowait/3 $me /bin/cat cat\n", p))
	wantEcho(t, fourth, "four\n")
}

// A built-in that has all the clients it may have lets others wait too.
func TestLimitBuiltin(t *testing.T) {
	t.Parallel()
	p := freePort(t)
	d := start(t, in("%d stream tcp4 nowait.0/1 $me internal echo\n", p))
	first := dial(t, "tcp4", local(p))
	wantEcho(t, first, "first\n")
	second := dial(t, "tcp4", local(p))
	d.hup() // another round through the loop
	first.Close()
	wantEcho(t, second, "second\n")
}

// A service that is asked for at other addresses is the same service: what it has
// started counts.
func TestLimitsMove(t *testing.T) {
	t.Parallel()
	p, q, id := freePort(t), freePort(t), freePort(t)
	conf := func(at, proto string) string {
		return in("%s%d stream %s nowait.0/1 $me /bin/cat cat\n%s%d stream %s nowait.2 $me /bin/cat cat\n", at, p, proto, at, q, proto)
	}
	one := func(bind string) string {
		return unlisted(id, "/bin/cat", in("user = $me"), "instances = 1", bind)
	}
	d := start(t, conf("", "tcp"))
	x := start(t, one("bind = 0.0.0.0"))
	held := dial(t, "tcp4", local(p))
	wantEcho(t, held, "held\n")
	inside := dial(t, "tcp4", local(id))
	wantEcho(t, inside, "held\n")
	wantAnswer(t, "tcp4", local(q), "one\n", "one\n")
	for _, text := range []string{conf("", "tcp4"), conf("127.0.0.1:", "tcp")} {
		if got := d.reload(text); !strings.HasSuffix(got, "0 added, 2 changed, 0 removed, 0 kept") {
			t.Errorf("reload = %q", got)
		}
	}
	wantAnswer(t, "tcp4", local(q), "two\n", "two\n")
	if got, _ := ask("tcp4", local(q), "three\n"); got != "" {
		t.Errorf("a third server in a minute of two = %q", got)
	}
	next := dial(t, "tcp4", local(p))
	x.reload(one("bind = 127.0.0.1"))
	if got, _ := ask("tcp4", local(id), "second\n"); got != "" {
		t.Errorf("a second server of one instance = %q", got)
	}
	d.hup() // another round through the loop
	if n := d.log.count(0, "started for"); n != 3 {
		t.Errorf("servers started = %d, want 3", n)
	}
	held.Close()
	wantEcho(t, next, "next\n")
}

// Of services that do different things one does not count for another, whatever is
// called the same.
func TestLimitsMoveApart(t *testing.T) {
	t.Parallel()
	p := freePort(t)
	line := func(host, says string) string {
		return in("%s:%d stream tcp nowait.1 $me /bin/echo echo %s\n", host, p, says)
	}
	d := start(t, line("127.0.0.1", "one")+line("127.0.0.2", "two"))
	wantAnswer(t, "tcp4", local(p), "", "one\n")
	if got := d.reload(line("127.0.0.3", "two")); !strings.HasSuffix(got, "0 added, 1 changed, 1 removed, 0 kept") {
		t.Errorf("reload = %q", got)
	}
	wantAnswer(t, "tcp4", fmt.Sprintf("127.0.0.3:%d", p), "", "two\n")
	// Of several that do the same, which is which is told by the addresses.
	d.reload(line("127.0.0.3,127.0.0.4", "two") + line("127.0.0.5", "two"))
	wantAnswer(t, "tcp4", fmt.Sprintf("127.0.0.4:%d", p), "", "two\n")
	d.reload(line("127.0.0.5,127.0.0.6", "two") + line("127.0.0.4", "two"))
	wantAnswer(t, "tcp4", fmt.Sprintf("127.0.0.6:%d", p), "", "two\n")
	if got, _ := ask("tcp4", fmt.Sprintf("127.0.0.4:%d", p), ""); got != "" {
		t.Errorf("a second server in a minute of one = %q", got)
	}
}

// A limit on the servers of one client counts those that ran before it came.
func TestSourceLimitOnReload(t *testing.T) {
	t.Parallel()
	p, other := freePort(t), freePort(t)
	line := func(wait string) string {
		return in("%d stream tcp4 "+wait+" $me /bin/cat cat\n%d stream tcp4 nowait $me /bin/cat cat\n", p, other)
	}
	d := start(t, line("nowait"))
	for i := range 2 {
		wantEcho(t, dial(t, "tcp4", local(p)), fmt.Sprintln("client", i))
	}
	wantEcho(t, dial(t, "tcp4", local(other)), "does not count\n")
	d.reload(line("nowait/0/0/3"))
	c := dial(t, "tcp4", local(p))
	wantEcho(t, c, "client 3\n")
	if got, _ := ask("tcp4", local(p), "client 4\n"); got != "" {
		t.Errorf("fourth server of a client that may have three = %q", got)
	}
	c.Close()
	d.log.wait(t, 0, "exit status 0")
	wantAnswer(t, "tcp4", local(p), "client 5\n", "client 5\n")
}

// FreeBSD's /0/2/1: of one client two starts a minute and one server at a time.
func TestSourceLimits(t *testing.T) {
	t.Parallel()
	p := freePort(t)
	d := start(t, in("%d stream tcp4 nowait/0/3/1 $me /bin/cat cat\n", p))
	try := func(from, line string) string {
		got, _ := askFrom("tcp", from, local(p), line)
		return got
	}
	c, err := dialFrom("tcp", "127.0.0.2", local(p))
	if err != nil {
		t.Skipf("no second loopback address: %v", err)
	}
	defer c.Close()
	wantEcho(t, c, "one\n")
	if got := try("127.0.0.2", "two\n"); got != "" {
		t.Errorf("second server of one client = %q, want none", got)
	}
	if got := try("127.0.0.3", "other\n"); got != "other\n" {
		t.Errorf("server of another client = %q, want %q", got, "other\n")
	}
	ended := func(n int) {
		t.Helper()
		eventually(t, "the end of a server", func() bool { return d.log.count(0, "exit status 0") == n })
	}
	c.(*net.TCPConn).CloseWrite()
	ended(2)
	for i, want := range []string{"again\n", "again\n", ""} {
		if got := try("127.0.0.2", "again\n"); got != want {
			t.Errorf("start %d of one client = %q, want %q", i+2, got, want)
		}
		ended(min(3+i, 4))
	}
	if n := d.log.count(0, "refused 127.0.0.2:"); n != 1 {
		t.Errorf("%d lines say that a client was refused, want one for the episode", n)
	}
	if n := d.log.count(0, "looping"); n != 0 {
		t.Error("the service was terminated for the sake of one client")
	}
}

// A listener that refuses is not only silent: a connection is refused by the
// kernel.
func TestRefusalIsReset(t *testing.T) {
	t.Parallel()
	p := freePort(t)
	d := start(t, in("%d stream tcp nowait.1 $me /bin/cat cat\n", p))
	wantAnswer(t, "tcp", local(p), "one\n", "one\n")
	ask("tcp", local(p), "two\n")
	d.log.wait(t, 0, "looping")
	eventually(t, "refused", func() bool {
		_, err := ask("tcp", local(p), "three\n")
		return errors.Is(err, syscall.ECONNREFUSED)
	})
	// The limit of a changed line is in force, and the rest goes on no longer.
	d.reload(strings.Replace(in("%d stream tcp nowait.1 $me /bin/cat cat\n", p), ".1", ".100", 1))
	for range 10 {
		wantAnswer(t, "tcp", local(p), "more\n", "more\n")
	}
}
