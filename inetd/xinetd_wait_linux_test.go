package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"inetd/inetd/sock"
)

// waiting is a wait service whose server is this test binary.
func waiting(t testing.TB, port int, kind, server string, lines ...string) string {
	name, args, _ := strings.Cut(server, " ")
	return block(fmt.Sprintf("w%d%s", port, kind), append([]string{
		"type = UNLISTED", fmt.Sprintf("port = %d", port), "socket_type = " + kind, "wait = yes", "user = " + me,
		"flags = NAMEINARGS NOLIBWRAP", "server = " + self, "server_args = " + name + " " + args,
	}, lines...)...)
}

// needFilter skips a test where the kernel filters tcp sockets for root only.
func needFilter(t testing.TB) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	const ret = 6
	if err := sock.Filter(fd, []sock.Instruction{{Code: ret, K: 1}}); errors.Is(err, unix.EPERM) && os.Geteuid() != 0 {
		t.Skipf("this kernel lets only root filter tcp sockets: %v", err)
	}
}

// reaches says whether the kernel lets a client connect. Packets of those that
// it keeps away are lost, so there is no answer to wait for.
func reaches(from, to string) bool {
	d := net.Dialer{Timeout: 150 * time.Millisecond, LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := d.Dial("tcp", to)
	if err == nil {
		c.Close()
	}
	return err == nil
}

// replies says what a datagram of a client is answered, "" for nothing.
func replies(t testing.TB, from, to, text string, wait time.Duration) string {
	t.Helper()
	c, err := dialFrom("udp", from, to)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, text)
	c.SetReadDeadline(time.Now().Add(wait))
	b := make([]byte, 1000)
	n, err := c.Read(b)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("answer to %s: %v", from, err)
	}
	return string(b[:n])
}

// A server that accepts its clients itself never sees one that is refused: not
// the one that it is started for, nor any that comes while it has the socket.
// xinetd asks nothing, or starts its server for ever.
func TestWaitOnlyFromStream(t *testing.T) {
	t.Parallel()
	needFilter(t)
	p := freePort(t)
	d := start(t, waiting(t, p, "stream", "srv.accept 6", "only_from = 127.0.0.2 127.1.0.0", "no_access = 127.1.2.3"))
	serves := func(from, want string) string {
		t.Helper()
		got, err := askFrom("tcp4", from, local(p), "hello")
		pid, text, _ := strings.Cut(got, " ")
		if err != nil || text != "hello" || want != "" && pid != want {
			t.Fatalf("answer to %s = %q, %v, want hello of server %s", from, got, err, want)
		}
		return pid
	}
	away := func(when string, from ...string) {
		t.Helper()
		for _, f := range from {
			if reaches(f, local(p)) {
				t.Errorf("%s: %s reaches the server", when, f)
			}
		}
	}
	away("before the first server", "127.0.0.1", "127.0.0.3", "127.1.2.3")
	if n := len(d.proc().children()); n > 0 {
		t.Fatalf("refused clients started %d servers", n)
	}
	pid := serves("127.0.0.2", "")
	away("while a server has the socket", "127.0.0.1", "127.1.2.3")
	serves("127.1.9.9", pid)
	// A reload changes who comes, also while the server has the socket.
	d.reload(waiting(t, p, "stream", "srv.accept 6", "only_from = 127.0.0.3"))
	away("after a reload", "127.0.0.2", "127.1.9.9")
	serves("127.0.0.3", pid)
	d.reload(waiting(t, p, "stream", "srv.accept 6", "no_access = 127.0.0.3"))
	away("after another", "127.0.0.3")
	serves("127.0.0.2", pid)
	serves("127.0.0.1", pid)
	d.reload(waiting(t, p, "stream", "srv.accept 6"))
	serves("127.0.0.3", pid) // its sixth
	if next := serves("127.0.0.3", ""); next == pid {
		t.Errorf("server %s has served more than six", pid)
	}
}

func TestWaitOnlyFromDatagrams(t *testing.T) {
	t.Parallel()
	p := freePort(t)
	d := start(t, waiting(t, p, "dgram", "srv.datagrams 3", "only_from = 127.0.0.2 127.1.0.0", "no_access = 127.1.2.3"))
	const moment = 100 * time.Millisecond
	serves := func(from, want string) string {
		t.Helper()
		pid, text, _ := strings.Cut(replies(t, from, local(p), "hello", patience), " ")
		if text != "hello" || want != "" && pid != want {
			t.Fatalf("answer to %s = %q of server %s, want hello of %s", from, text, pid, want)
		}
		return pid
	}
	away := func(when string, from ...string) {
		t.Helper()
		for _, f := range from {
			if got := replies(t, f, local(p), "from afar", moment); got != "" {
				t.Errorf("%s: answer to %s = %q, want none", when, f, got)
			}
		}
	}
	away("before the first server", "127.0.0.1", "127.1.2.3")
	if n := len(d.proc().children()); n > 0 {
		t.Fatalf("refused clients started %d servers", n)
	}
	// It answers three and ends: what it read of others would be missing.
	pid := serves("127.0.0.2", "")
	away("while a server has the socket", "127.0.0.1", "127.1.2.3")
	serves("127.1.9.9", pid)
	d.reload(waiting(t, p, "dgram", "srv.datagrams 3", "no_access = 127.0.0.2"))
	away("after a reload", "127.0.0.2")
	serves("127.0.0.1", pid)
	if next := serves("127.0.0.1", ""); next == pid {
		t.Errorf("server %s has served more than three", pid)
	}
}

// The lists mean the same to the kernel as they do to us, for both families.
func TestWaitOnlyFromPatterns(t *testing.T) {
	t.Parallel()
	needFilter(t)
	needIPv6(t)
	for _, tt := range []struct{ lines, want string }{
		{"only_from =", ""},
		{"only_from = 127.0.0.1", "127.0.0.1"},
		{"only_from = ::1", "::1"},
		{"only_from = 127.0.0.{1,3} ::/127", "127.0.0.1 127.0.0.3 ::1"},
		{"only_from = 127.0.0.0/30", "127.0.0.1 127.0.0.2 127.0.0.3"},
		{"no_access = 127.0.0.2/31", "127.0.0.1 127.1.2.3 ::1"},
		{"no_access = ::/0", ""}, // IPv4 too, as ::ffff:127.0.0.1
		{"no_access = ::/0\n\tonly_from = 127.0.0.2", "127.0.0.2"},
		{"no_access = 0.0.0.0/0", "::1"},
		{"only_from = 127.0.0.1\n\tno_access = 127.0.0.0", "127.0.0.1"},
		{"only_from = 127.0.0.1\n\tno_access = 127.0.0.1", ""},
		{"only_from = localhost", "127.0.0.1 ::1"},
	} {
		t.Run(tt.lines, func(t *testing.T) {
			t.Parallel()
			p := freePort(t)
			start(t, waiting(t, p, "stream", "srv.accept 100", tt.lines))
			var got []string
			for _, from := range []string{"127.0.0.1", "127.0.0.2", "127.0.0.3", "127.1.2.3", "::1"} {
				to := local(p)
				if from == "::1" {
					to = local6(p)
				}
				if reaches(from, to) {
					got = append(got, from)
				}
			}
			if got := strings.Join(got, " "); got != tt.want {
				t.Errorf("%q lets in %s, want %s", tt.lines, got, tt.want)
			}
		})
	}
}

// A host among the clients of a service that waits stands for its addresses. As long
// as it has none the service is not served.
func TestWaitOnlyFromHost(t *testing.T) {
	isolated(t, func(t *testing.T) {
		const hosts = "127.0.0.2 friend.example\n127.0.0.4 friend.example\n"
		hostsOnly(t, hosts)
		echo := func(port int, line string) string {
			return block("echo", "type = INTERNAL UNLISTED", fmt.Sprint("port = ", port), fmt.Sprint("id = echo", port), "socket_type = dgram", "wait = yes", "user = root", "flags = NOLIBWRAP", line)
		}
		const only, no = "only_from = friend.example 127.0.0.3", "no_access = late.example"
		d := start(t, waiting(t, 7777, "dgram", "srv.datagrams 1", only)+echo(7778, only)+waiting(t, 7787, "dgram", "srv.datagrams 1", no)+echo(7788, no))
		check := func(ports []int, served, away []string) {
			t.Helper()
			for _, port := range ports {
				for _, from := range served {
					if got := replies(t, from, local(port), "hello", patience); !strings.HasSuffix(got, "hello") {
						t.Errorf("answer of %d to %s = %q", port, from, got)
					}
				}
				for _, from := range away {
					if got := replies(t, from, local(port), "hello", 100*time.Millisecond); got != "" {
						t.Errorf("answer of %d to %s = %q, want none", port, from, got)
					}
				}
			}
		}
		check([]int{7777, 7778}, []string{"127.0.0.2", "127.0.0.3", "127.0.0.4"}, []string{"127.0.0.1", "127.0.0.9"})
		// Whom to keep out is not known yet.
		d.log.wait(t, 0, `no_access: lookup late\.example.*: not served until it is known who may come`)
		for _, port := range []int{7787, 7788} {
			if n := len(inodes(t, "udp", port)); n > 0 {
				t.Errorf("port %d has %d sockets before it is known who is kept out", port, n)
			}
		}
		hostsOnly(t, hosts+"127.0.0.9 late.example\n")
		d.log.wait(t, 0, `w7787dgram/udp: can be served now`)
		d.log.wait(t, 0, `echo/udp: can be served now`)
		check([]int{7787, 7788}, []string{"127.0.0.2"}, []string{"127.0.0.9"})

		// What let in others does not go on because who may come now is not known, also
		// while a server has the socket.
		stays := func(line string) string {
			return waiting(t, 7777, "dgram", "srv.datagrams 100", line) + echo(7778, line)
		}
		d.reload(stays(only))
		check([]int{7777, 7778}, []string{"127.0.0.3"}, nil)
		mark := d.log.mark()
		d.reload(stays("only_from = gone.example"))
		d.log.wait(t, mark, `reload: not changed yet: `)
		check([]int{7777, 7778}, nil, []string{"127.0.0.3"})
		d.reload(stays("only_from = 127.0.0.9"))
		check([]int{7777, 7778}, []string{"127.0.0.9"}, []string{"127.0.0.3"})
		// Nor in the place of a service that let everybody in, having no such list.
		mark = d.log.mark()
		d.reload("echo dgram udp wait root internal\n")
		check([]int{7}, []string{"127.0.0.3"}, nil)
		d.reload(block("echo", "type = INTERNAL", "socket_type = dgram", "wait = yes", "user = root", "only_from = gone.example"))
		d.log.wait(t, mark, `reload: removed: echo/udp$`)
		if n := len(inodes(t, "udp", 7)); n > 0 {
			t.Errorf("echo has %d sockets before it is known who may come", n)
		}
	})
}

// Where the kernel does not take the list of a service that is there already, the
// service is not.
func TestWaitOnlyFromFails(t *testing.T) {
	t.Parallel()
	needFilter(t)
	p := freePort(t)
	r := newRig(t, nil, waiting(t, p, "stream", "srv.none", "only_from = 127.0.0.1"), nil)
	r.run()
	listens := func() (yes bool) {
		r.do(func() { yes = r.s.entries[0].listeners[0].fd >= 0 })
		return yes
	}
	apply := func(filter ...sock.Instruction) {
		r.do(func() {
			cfg, _ := r.s.load()
			if filter != nil {
				cfg.specs[0].gate.filter = filter
			}
			r.s.apply(cfg)
		})
	}
	apply(sock.Instruction{Code: 0xffff})
	if listens() {
		t.Error("served without its list")
	}
	wantRefused(t, "tcp4", local(p))
	r.log.wait(t, 0, "SO_ATTACH_FILTER: invalid argument")
	// A child of another test, on its way to its program, may have the socket yet.
	eventually(t, "served with a list that the kernel takes", func() bool { apply(); return listens() })
}

// What the kernel cannot keep is not served at all.
func TestWaitOnlyFromTooMuch(t *testing.T) {
	t.Parallel()
	needFilter(t)
	names, many, good := freePort(t), freePort(t), freePort(t)
	list := make([]string, 3000)
	for i := range list {
		list[i] = fmt.Sprintf("10.1.%d.%d", i/200, i%200+1)
	}
	d := start(t, waiting(t, names, "stream", "srv.accept 1", "only_from = .example.org")+
		waiting(t, many, "dgram", "srv.datagrams 1", "only_from = 127.0.0.1 "+strings.Join(list, " "))+
		waiting(t, good, "stream", "srv.accept 1", "only_from = 127.0.0.1 "+strings.Join(list[:300], " ")))
	wantRefused(t, "tcp4", local(names))
	if n := len(inodes(t, "udp", many)); n > 0 {
		t.Errorf("a service that the kernel cannot keep has %d sockets", n)
	}
	if got, err := ask("tcp4", local(good), "hello"); err != nil || !strings.HasSuffix(got, " hello") {
		t.Errorf("answer = %q, %v", got, err)
	}
	d.log.wait(t, 0, `only_from: clients of a service that waits, or answers datagrams at once, can be known by address only`)
	d.log.wait(t, 0, fmt.Sprintf(`w%ddgram/udp: its server accepts its clients itself, and the kernel cannot keep only_from and no_access for it`, many))
	// A good reload over a bad one.
	d.reload(waiting(t, names, "stream", "srv.accept 1", "only_from = 127.0.0.1"))
	if got, err := ask("tcp4", local(names), "hello"); err != nil || !strings.HasSuffix(got, " hello") {
		t.Errorf("answer = %q, %v", got, err)
	}
}
