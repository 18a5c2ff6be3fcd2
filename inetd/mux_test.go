package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const muxLine = "%d stream tcp4 nowait.0 $me internal tcpmux\n"

// wantMux sends one line to tcpmux and compares all that comes back.
func wantMux(t *testing.T, port int, send, want string) {
	t.Helper()
	wantAnswer(t, "tcp4", local(port), send, want)
}

const muxRefused = "-Service not available\r\n"

// RFC 1078 over what the daemon makes of it: names in any case, help, and the
// two ways in which a server is told to begin.
func TestMux(t *testing.T) {
	t.Parallel()
	p, other := freePort(t), freePort(t)
	d := start(t, in(muxLine+`tcpmux/+go stream tcp nowait $me $self srv.say hello
tcpmux/self stream tcp nowait $me $self srv.say +mine
tcpmux/+MixedCase stream tcp nowait $me $self srv.say mixed
tcpmux/+cat stream tcp nowait $me /bin/cat cat
tcpmux/+missing stream tcp nowait $me /nonexistent/server server
%d stream tcp nowait $me $self srv.say not by tcpmux
`, p, other))
	for _, tt := range []struct{ send, want string }{
		{"go\r\n", "+Go\r\nhello\n"},
		{"GO\r\n", "+Go\r\nhello\n"},
		{"go\n", "+Go\r\nhello\n"},
		{"mixedcase\r\n", "+Go\r\nmixed\n"},
		{"self\r\n", "+mine\n"},
		{"cat\r\nfirst\x00\r\n\nlast", "+Go\r\nfirst\x00\r\n\nlast"}, // every byte behind the name is the server's
		{"help\r\n", "cat\r\ngo\r\nmissing\r\nmixedcase\r\nself\r\n"},
		{"Help\r\n", "cat\r\ngo\r\nmissing\r\nmixedcase\r\nself\r\n"},
		{"unknown\r\n", muxRefused},
		{"\r\n", muxRefused},
		{"", muxRefused},
		{"go", muxRefused}, // no end of line
		{"go \r\n", muxRefused},
		{"+go\r\n", muxRefused},
		{"tcpmux/go\r\n", muxRefused},
		// Nothing else that is in the file can be had: an xinetd gave all of it
		// to everybody.
		{"tcpmux\r\n", muxRefused},
		{fmt.Sprintf("%d\r\n", other), muxRefused},
		{"echo\r\n", muxRefused},
		{strings.Repeat("x", 256) + "\r\n", muxRefused},
	} {
		wantMux(t, p, tt.send, tt.want)
	}
	// More than a name: what was not read makes the end a reset, and that may
	// overtake the answer.
	if got, _ := ask("tcp4", local(p), strings.Repeat("x", 1<<16)); got != "" && got != muxRefused {
		t.Errorf("endless name = %q", got)
	}
	// One whose server cannot be started is not left without a word.
	if got, _ := ask("tcp4", local(p), "missing\r\n"); strings.Contains(got, "hello") {
		t.Errorf("missing program = %q", got)
	}
	d.log.wait(t, 0, `tcpmux/missing: execv /nonexistent/server: no such file or directory .*inetd\.conf:6`)

	// The names are those of the file as it is now.
	d.reload(in(muxLine+"tcpmux/+new stream tcp nowait $me $self srv.say new\n", p))
	wantMux(t, p, "new\r\n", "+Go\r\nnew\n")
	wantMux(t, p, "go\r\n", muxRefused)
	wantMux(t, p, "help\r\n", "new\r\n")
}

// The name may come in pieces, with a pause before every byte, and nothing of
// what follows is taken from the server.
func TestMuxPieces(t *testing.T) {
	t.Parallel()
	p := freePort(t)
	start(t, in(muxLine+"tcpmux/+cat stream tcp nowait $me /bin/cat cat\n", p))
	c := dial(t, "tcp4", local(p))
	c.(*net.TCPConn).SetNoDelay(true)
	for _, b := range []byte("cat\r\nA") {
		c.Write([]byte{b})
		time.Sleep(2 * time.Millisecond) // so that it is a segment of its own
	}
	got := make([]byte, len("+Go\r\nA"))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "+Go\r\nA" {
		t.Fatalf("answer = %q, %v", got, err)
	}
	wantEcho(t, c, "and more\n")
}

// A client that says no name has no process, does not keep others from theirs,
// and is sent away.
func TestMuxSilence(t *testing.T) {
	t.Parallel()
	p := freePort(t)
	d := start(t, in(muxLine+"tcpmux/+go stream tcp nowait $me $self srv.say hello\n", p))
	var silent []net.Conn
	for range 20 {
		c := dial(t, "tcp4", local(p))
		fmt.Fprint(c, "g")
		silent = append(silent, c)
	}
	wantMux(t, p, "go\r\n", "+Go\r\nhello\n")
	d.hup() // and with it the log is complete
	if n := d.log.count(0, "started for"); n != 1 {
		t.Errorf("%d servers for 20 silent clients and one that asks, want 1", n)
	}
	for _, c := range silent {
		got, err := io.ReadAll(c)
		if err != nil || string(got) != muxRefused {
			t.Errorf("silent client = %q, %v, want it refused", got, err)
		}
	}
	wantMux(t, p, "go\r\n", "+Go\r\nhello\n")
}

// An entry behind tcpmux has limits of its own, and those of tcpmux are not
// them.
func TestMuxLimits(t *testing.T) {
	t.Parallel()
	p := freePort(t)
	d := start(t, in(muxLine+`tcpmux/+two stream tcp nowait.2 $me $self srv.say two
tcpmux/+one stream tcp nowait.0/1 $me /bin/cat cat
tcpmux/+client stream tcp nowait.0/0/1 $me $self srv.say client
tcpmux/+free stream tcp nowait.0 $me $self srv.say free
`, p))
	wantMux(t, p, "two\r\n", "+Go\r\ntwo\n")
	wantMux(t, p, "two\r\n", "+Go\r\ntwo\n")
	wantMux(t, p, "two\r\n", muxRefused)
	d.log.wait(t, 0, `tcpmux/two server failing \(looping\), service terminated for 10 min`)
	wantMux(t, p, "two\r\n", muxRefused)
	d.log.wait(t, 0, `tcpmux/two: refused 127\.0\.0\.1:\d+: the service rests`)
	wantMux(t, p, "free\r\n", "+Go\r\nfree\n")

	c := dial(t, "tcp4", local(p))
	fmt.Fprint(c, "one\r\n")
	got := make([]byte, 5)
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "+Go\r\n" {
		t.Fatalf("answer = %q, %v", got, err)
	}
	wantMux(t, p, "one\r\n", muxRefused)
	d.log.wait(t, 0, `tcpmux/one: refused 127\.0\.0\.1:\d+: more than 1 servers at a time`)
	c.Close()
	d.log.wait(t, 0, "tcpmux/one: .*exit status 0")
	wantMux(t, p, "one\r\nx", "+Go\r\nx")

	wantMux(t, p, "client\r\n", "+Go\r\nclient\n")
	wantMux(t, p, "client\r\n", muxRefused)
	got2, err := askFrom("tcp4", "127.0.0.2", local(p), "client\r\n")
	if got2 != "+Go\r\nclient\n" {
		t.Errorf("another client = %q, %v", got2, err)
	}

	// HUP ends the rest of one that has no socket to listen at.
	mark := d.log.mark()
	d.hup()
	d.log.wait(t, mark, "tcpmux/two: back in service")
	wantMux(t, p, "two\r\n", "+Go\r\ntwo\n")
}

// Hosts of an entry behind tcpmux are those at which its clients may ask for it.
func TestMuxHosts(t *testing.T) {
	t.Parallel()
	p := freePort(t)
	d := start(t, in(muxLine+`tcpmux/+all stream tcp nowait $me $self srv.say all
127.0.0.2:tcpmux/+two stream tcp nowait $me $self srv.say two
[::1],127.0.0.3:tcpmux/+three stream tcp nowait $me $self srv.say three
0.0.0.0:tcpmux/+v4 stream tcp nowait $me $self srv.say v4
[::]:tcpmux/+v6 stream tcp nowait $me $self srv.say v6
nowhere.invalid:tcpmux/+nowhere stream tcp nowait $me $self srv.say nowhere
`, p))
	for _, tt := range []struct{ at, send, want string }{
		{"127.0.0.1", "all", "+Go\r\nall\n"},
		{"127.0.0.1", "v4", "+Go\r\nv4\n"},
		{"127.0.0.1", "v6", muxRefused},
		{"127.0.0.1", "two", muxRefused},
		{"127.0.0.2", "two", "+Go\r\ntwo\n"},
		{"127.0.0.3", "two", muxRefused},
		{"127.0.0.3", "three", "+Go\r\nthree\n"},
		{"127.0.0.1", "three", muxRefused},
		{"127.0.0.1", "nowhere", muxRefused},
		{"127.0.0.1", "help", "all\r\nv4\r\n"},
		{"127.0.0.2", "help", "all\r\ntwo\r\nv4\r\n"},
	} {
		if got, err := ask("tcp4", fmt.Sprintf("%s:%d", tt.at, p), tt.send+"\r\n"); got != tt.want || err != nil {
			t.Errorf("%s at %s = %q, %v, want %q", tt.send, tt.at, got, err, tt.want)
		}
	}
	d.log.wait(t, 0, `127\.0\.0\.2:tcpmux/two: refused 127\.0\.0\.1:\d+: not served at the address that was asked`)

	// They may change, and xinetd's bind is such a host.
	d.reload(in(muxLine+"127.0.0.1:tcpmux/+two stream tcp nowait $me $self srv.say two\n", p))
	wantMux(t, p, "two\r\n", "+Go\r\ntwo\n")
	mux := block("tcpmux", "type = INTERNAL UNLISTED", fmt.Sprint("port = ", p), "socket_type = stream", "wait = no", "flags = IPv4")
	for bind, want := range map[string]string{"127.0.0.1": "+Go\r\ntwo", "127.0.0.2": muxRefused} {
		d.reload(mux + block("two", "type = TCPMUXPLUS", "socket_type = stream", "wait = no", in("user = $me"), "server = /bin/cat", "bind = "+bind))
		wantMux(t, p, "two\r\ntwo", want)
	}
}

// An xinetd ran all services behind tcpmux as root.
func TestMuxUser(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("without root the user field has no effect")
	}
	p := freePort(t)
	start(t, in("%d stream tcp4 nowait.0 root internal tcpmux\ntcpmux/+who stream tcp nowait nobody:nogroup /bin/sh sh -c 'id -u; id -g; id -G; umask'\n", p))
	wantMux(t, p, "who\r\n", "+Go\r\n65534\n65534\n65534\n0022\n")
}

// Banners do not come between a client of tcpmux and the answer it waits for.
func TestMuxBanner(t *testing.T) {
	t.Parallel()
	p := freePort(t)
	banner := filepath.Join(t.TempDir(), "banner")
	if err := os.WriteFile(banner, []byte("BANNER\r\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	service := func(name string, lines ...string) string {
		return block(name, append(lines, "socket_type = stream", "protocol = tcp", "wait = no", "banner = "+banner, "banner_fail = "+banner, "banner_success = "+banner)...)
	}
	start(t, service("tcpmux", "type = INTERNAL UNLISTED", fmt.Sprint("port = ", p), "user = root")+
		service("open", "type = TCPMUXPLUS UNLISTED", in("user = $me"), "server = /bin/cat")+
		service("closed", "type = TCPMUXPLUS UNLISTED", in("user = $me"), "server = /bin/cat", "no_access = 127.0.0.1"))
	for send, want := range map[string]string{
		"open\r\nhello\n":   "+Go\r\nBANNER\r\nhello\n",
		"closed\r\nhello\n": muxRefused,
		"none\r\nhello\n":   muxRefused,
	} {
		if got, err := ask("tcp4", local(p), send); got != want || err != nil {
			t.Errorf("%q = %q, %v, want %q", send, got, err, want)
		}
	}
}
