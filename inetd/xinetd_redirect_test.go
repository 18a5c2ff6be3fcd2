package main

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// block is a service of xinetd.conf(5).
func block(name string, lines ...string) string {
	return "service " + name + "\n{\n\t" + strings.Join(lines, "\n\t") + "\n}\n"
}

func defaults(lines ...string) string {
	return "defaults\n{\n\t" + strings.Join(lines, "\n\t") + "\n}\n"
}

// unlisted is a nowait stream service at a port of its own.
func unlisted(port int, server string, lines ...string) string {
	return block(fmt.Sprintf("s%d", port), append([]string{
		"type = UNLISTED", fmt.Sprintf("port = %d", port), "socket_type = stream", "protocol = tcp", "wait = no", "user = root", "server = " + server,
	}, lines...)...)
}

func internal(name, kind string, lines ...string) string {
	wait := "no"
	if kind == "dgram" {
		wait = "yes"
	}
	return block(name, append([]string{"id = " + name + "-" + kind, "type = INTERNAL", "socket_type = " + kind, "wait = " + wait}, lines...)...)
}

// toRedirect is a service that is passed on.
func toRedirect(port int, host string, to int, lines ...string) string {
	return block(fmt.Sprintf("r%d", port), append([]string{
		"type = UNLISTED", fmt.Sprintf("port = %d", port), "socket_type = stream", "wait = no", fmt.Sprintf("redirect = %s %d", host, to), "cps = 0 0",
	}, lines...)...)
}

// target is a server that redirects lead to.
func target(t testing.TB, addr string, serve func(*net.TCPConn)) int {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Skipf("no address to listen at: %v", err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				c.SetDeadline(time.Now().Add(patience))
				serve(c.(*net.TCPConn))
			}()
		}
	}()
	return l.Addr().(*net.TCPAddr).Port
}

// waitLines returns the lines of a log of services, once there are n, without
// their time.
func waitLines(t testing.TB, file string, n int) []string {
	t.Helper()
	var lines []string
	eventually(t, fmt.Sprintf("%d lines in %s", n, file), func() bool {
		text, _ := os.ReadFile(file)
		lines = strings.SplitAfter(string(text), "\n")
		lines = lines[:len(lines)-1]
		return len(lines) >= n
	})
	for i, l := range lines {
		_, lines[i], _ = strings.Cut(strings.TrimSpace(l), ": ")
	}
	return lines
}

// sumServer reads all there is, then answers with its sum and an amount of data.
func sumServer(amount int) func(*net.TCPConn) {
	return func(c *net.TCPConn) {
		h := sha256.New()
		n, _ := io.Copy(h, c)
		fmt.Fprintf(c, "%8d %x", n, h.Sum(nil))
		c.Write(make([]byte, amount))
	}
}

// Each side may end while the other still has something to say, every byte
// arrives, and the TRAFFIC line has them all.
func TestRedirectHalfClose(t *testing.T) {
	t.Parallel()
	const in, out = 3<<20 + 7, 2<<20 + 1
	log := filepath.Join(t.TempDir(), "log")
	for _, tt := range []struct{ network, near, host, far string }{
		{"tcp4", "127.0.0.1", "127.0.0.1", "127.0.0.1:0"},
		{"tcp4", "127.0.0.1", "::1", "[::1]:0"},
		{"tcp6", "::1", "127.0.0.1", "127.0.0.1:0"},
		{"tcp4", "127.0.0.1", "localhost", "127.0.0.1:0"},
	} {
		t.Run(tt.network+" "+tt.host, func(t *testing.T) {
			to := target(t, tt.far, sumServer(out-8-1-64))
			p := freePort(t)
			start(t, toRedirect(p, tt.host, to, "log_type = FILE "+log+tt.network+tt.host, "log_on_success = HOST TRAFFIC EXIT"))
			c := dial(t, tt.network, net.JoinHostPort(tt.near, fmt.Sprint(p))).(*net.TCPConn)
			data := make([]byte, in)
			for i := range data {
				data[i] = byte(i * i >> 7)
			}
			if _, err := c.Write(data); err != nil {
				t.Fatal(err)
			}
			c.CloseWrite()
			got, err := io.ReadAll(c)
			want := fmt.Sprintf("%8d %x", in, sha256.Sum256(data))
			if err != nil || len(got) != out || !strings.HasPrefix(string(got), want) {
				t.Errorf("answer = %d bytes, %.80q, %v, want %d bytes, %q", len(got), got, err, out, want)
			}
			c.Close()
			lines := waitLines(t, log+tt.network+tt.host, 3)
			if got, want := strings.Join(lines, "\n"), fmt.Sprintf("START: r%d from=%s\nTRAFFIC: r%d in=%d(bytes) out=%d(bytes)\nEXIT: r%d status=0", p, tt.near, p, in, out, p); got != want {
				t.Errorf("log = %s\nwant\n%s", got, want)
			}
		})
	}
}

// The server may be the first to end.
func TestRedirectServerEndsFirst(t *testing.T) {
	t.Parallel()
	got := make(chan string, 1)
	to := target(t, "127.0.0.1:0", func(c *net.TCPConn) {
		io.WriteString(c, "go on")
		c.CloseWrite()
		text, _ := io.ReadAll(c)
		got <- string(text)
	})
	p := freePort(t)
	start(t, toRedirect(p, "127.0.0.1", to))
	c := dial(t, "tcp4", local(p)).(*net.TCPConn)
	if text, err := io.ReadAll(c); err != nil || string(text) != "go on" {
		t.Errorf("from the server = %q, %v", text, err)
	}
	io.WriteString(c, "I do")
	c.CloseWrite()
	if text := <-got; text != "I do" {
		t.Errorf("from the client = %q, want %q", text, "I do")
	}
}

// A client or a server that breaks off is noticed on the other side.
func TestRedirectBroken(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 2)
	to := target(t, "127.0.0.1:0", func(c *net.TCPConn) {
		b := make([]byte, 1)
		io.ReadFull(c, b)
		c.Write(b)
		if b[0] == 'q' {
			c.SetLinger(0)
			return
		}
		_, err := io.ReadFull(c, b)
		ended <- err
	})
	p := freePort(t)
	log := filepath.Join(t.TempDir(), "log")
	start(t, toRedirect(p, "127.0.0.1", to, "log_type = FILE "+log, "log_on_success = TRAFFIC EXIT", "instances = 1"))

	c := dial(t, "tcp4", local(p)).(*net.TCPConn)
	wantEcho(t, c, "x")
	c.SetLinger(0)
	c.Close()
	if err := <-ended; err == nil {
		t.Error("a client that broke off goes on for the server")
	}
	waitLines(t, log, 3)

	c = dial(t, "tcp4", local(p)).(*net.TCPConn)
	wantEcho(t, c, "q")
	if text, err := io.ReadAll(c); len(text) > 0 {
		t.Errorf("from a server that broke off = %q, %v", text, err)
	}
	c.Close()
	lines := waitLines(t, log, 6)
	if got, want := strings.ReplaceAll(strings.Join(lines, "\n"), fmt.Sprint(p), ""), "START: r\nTRAFFIC: r in=1(bytes) out=1(bytes)\nEXIT: r status=0\nSTART: r\nTRAFFIC: r in=1(bytes) out=1(bytes)\nEXIT: r status=0"; got != want {
		t.Errorf("log = %s\nwant\n%s", got, want)
	}
}

// Where nobody listens the client is closed at once, the instance is free
// again, and when somebody does it is served.
func TestRedirectRefused(t *testing.T) {
	t.Parallel()
	p, to := freePort(t), freePort(t)
	log := filepath.Join(t.TempDir(), "log")
	d := start(t, toRedirect(p, "127.0.0.1", to, "instances = 1", "log_type = FILE "+log, "log_on_success = HOST TRAFFIC EXIT"))
	for n := 1; n <= 3; n++ {
		began := time.Now()
		if got, _ := ask("tcp4", local(p), "hello\n"); got != "" || time.Since(began) > patience/2 {
			t.Errorf("answer from nobody = %q after %v", got, time.Since(began))
		}
		waitLines(t, log, 3*n)
	}
	d.log.wait(t, 0, fmt.Sprintf(`r%d/tcp: redirect to 127\.0\.0\.1 for 127\.0\.0\.1:\d+: connection refused`, p))
	target(t, local(to), func(c *net.TCPConn) { io.Copy(c, c) })
	wantAnswer(t, "tcp4", local(p), "hello\n", "hello\n")
	lines := waitLines(t, log, 12)
	if got, want := lines[1], fmt.Sprintf("TRAFFIC: r%d in=0(bytes) out=0(bytes)", p); got != want {
		t.Errorf("traffic with nobody = %q, want %q", got, want)
	}
	if got, want := lines[10], fmt.Sprintf("TRAFFIC: r%d in=6(bytes) out=6(bytes)", p); got != want {
		t.Errorf("traffic = %q, want %q", got, want)
	}
}

// Many at a time do not mix, count as instances, and go on when the service is
// changed or removed.
func TestRedirectMany(t *testing.T) {
	t.Parallel()
	const clients = 100
	to := target(t, "127.0.0.1:0", func(c *net.TCPConn) { io.Copy(c, c) })
	p, q := freePort(t), freePort(t)
	log := filepath.Join(t.TempDir(), "log")
	logging := []string{"log_type = FILE " + log, "log_on_success = TRAFFIC"}
	d := start(t, toRedirect(p, "127.0.0.1", to, append(logging, "instances = 100")...))
	conns := make([]net.Conn, clients)
	for i := range conns {
		conns[i] = dial(t, "tcp4", local(p))
		wantEcho(t, conns[i], fmt.Sprintf("I am %d", i))
	}
	if got, _ := ask("tcp4", local(p), "one more"); got != "" {
		t.Errorf("answer to number 101 = %q, want none", got)
	}
	talk := func(how string) {
		var wg sync.WaitGroup
		for i, c := range conns {
			wg.Go(func() {
				for n := range 20 {
					msg := fmt.Sprintf("%s, %d from %d\n", how, n, i)
					io.WriteString(c, msg)
					got := make([]byte, len(msg))
					if _, err := io.ReadFull(c, got); err != nil || string(got) != msg {
						t.Errorf("echo of %q = %q, %v", msg, got, err)
						return
					}
				}
			})
		}
		wg.Wait()
	}
	talk("at first")
	other := freePort(t) // nobody is there
	d.reload(toRedirect(p, "127.0.0.1", other, append(logging, "instances = 100")...))
	talk("changed")
	d.reload(toRedirect(q, "127.0.0.1", to, logging...))
	talk("removed")
	wantRefused(t, "tcp4", local(p))
	wantAnswer(t, "tcp4", local(q), "hello\n", "hello\n")
	for _, c := range conns {
		c.Close()
	}
	lines := waitLines(t, log, 2*(clients+1))
	sum := 0
	for _, l := range lines {
		var in, out int
		if i := strings.Index(l, "in="); i >= 0 {
			if _, err := fmt.Sscanf(l[i:], "in=%d(bytes) out=%d(bytes)", &in, &out); err != nil || in != out {
				t.Errorf("line %q: %v", l, err)
			}
			sum += in
		}
	}
	want := len("hello\n")
	for i := range clients {
		want += len(fmt.Sprintf("I am %d", i))
		for n := range 20 {
			want += len(fmt.Sprintf("at first, %d from %d\nchanged, %d from %d\nremoved, %d from %d\n", n, i, n, i, n, i))
		}
	}
	if sum != want {
		t.Errorf("traffic of all = %d bytes, want %d", sum, want)
	}
}
