package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What NetBSD's own tests of its inetd check, t_inetd and t_accept_max, of this
// one: limits in both notations. Where theirs take a service that is closed and
// one that does not answer for the same, so do these.

// limitTest is one service of t_inetd and how many of its clients are served.
type limitTest struct {
	name   string
	conf   string // %d is its port
	proto  string
	served int // of four
	limit  string
}

var ratelimit = []limitTest{
	{"udp wait, service_max 5, ip_max 3", "%d on bind = 127.0.0.1, protocol = udp, service_max = 5, ip_max = 3, wait = yes, user = $me, exec = $self, args = srv.datagrams 1;\n", "udp", 3, "ip"},
	{"udp wait, ip_max 0", "%d on bind = 127.0.0.1, protocol = udp, ip_max = 0, wait = yes, user = $me,\n# not the first\n  exec = $self, args = srv.datagrams 1;\n", "udp", 0, "ip"},
	{"udp wait, service_max 2", "%d on bind = 127.0.0.1, protocol = udp, service_max = 2, wait = yes, user = $me, exec = $self, args = srv.datagrams 1;\n", "udp", 2, "service"},
	{"udp wait, service_max 0", "%d on bind = 127.0.0.1, protocol = udp, service_max = 0, wait = yes, user = $me, exec = $self, args = srv.datagrams 1;\n", "udp", 0, "service"},
	{"tcp wait, service_max 2", "%d on bind = 127.0.0.1, protocol = tcp, service_max = 2, wait = yes, user = $me, exec = $self, args = srv.accept 1;\n", "tcp", 2, "service"},
	{"tcp wait, service_max 0", "%d on bind = 127.0.0.1, protocol = tcp, service_max = 0, wait = yes, user = $me, exec = $self, args = srv.accept 1;\n", "tcp", 0, "service"},
	{"tcp nowait, service_max 5, ip_max 3", "%d on bind = 127.0.0.1, protocol = tcp, service_max = 5, ip_max = 3, wait = no, user = $me, exec = $self, args = srv.say served;\n", "tcp", 3, "ip"},
	{"tcp nowait, ip_max 0", "%d on bind = 127.0.0.1, protocol = tcp, ip_max = 0, wait = no, user = $me, exec = $self, args = srv.say served;\n", "tcp", 0, "ip"},
	{"tcp nowait, service_max 2", "%d on bind = 127.0.0.1, protocol = tcp, service_max = 2, wait = no, user = $me, exec = $self, args = srv.say served;\n", "tcp", 2, "service"},
	{"tcp nowait, service_max 0", "%d on bind = 127.0.0.1, protocol = tcp, service_max = 0, wait = no, user = $me, exec = $self, args = srv.say served;\n", "tcp", 0, "service"},
	// Theirs leaves this to do.
	{"udp nowait, service_max 5, ip_max 3", "%d on bind = 127.0.0.1, protocol = udp, service_max = 5, ip_max = 3, wait = no, user = $me, exec = $self, args = srv.datagrams 1;\n", "udp", 3, "ip"},
	{"udp nowait, service_max 2", "%d on bind = 127.0.0.1, protocol = udp, service_max = 2, wait = no, user = $me, exec = $self, args = srv.datagrams 1;\n", "udp", 2, "service"},
	// The same in the older notation, as far as it goes.
	{"positional udp wait:2", "127.0.0.1:%d dgram udp wait:2 $me $self srv.datagrams 1\n", "udp", 2, "service"},
	{"positional tcp wait:2", "127.0.0.1:%d stream tcp wait:2 $me $self srv.accept 1\n", "tcp", 2, "service"},
	{"positional tcp nowait:2", "127.0.0.1:%d stream tcp nowait:2 $me $self srv.say served\n", "tcp", 2, "service"},
	{"positional tcp nowait:5/0/3", "127.0.0.1:%d stream tcp nowait:5/0/3 $me $self srv.say served\n", "tcp", 3, "ip"},
	{"positional udp wait:5/0/3", "127.0.0.1:%d dgram udp wait:5/0/3 $me $self srv.datagrams 1\n", "udp", 3, "ip"},
}

func TestNetBSDRatelimit(t *testing.T) {
	t.Parallel()
	var conf strings.Builder
	conf.WriteString("127.0.0.1:\n\n# comments stand between entries\n")
	ports := make([]int, len(ratelimit))
	for i, tt := range ratelimit {
		if i == 4 || i == 5 {
			ports[i] = ports[i-2] // one number for two protocols, each counted by itself
		} else {
			ports[i] = freePort(t)
		}
		conf.WriteString(in(tt.conf, ports[i]))
	}
	d := start(t, conf.String())
	t.Run("services", func(t *testing.T) {
		for i, tt := range ratelimit {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				addr := local(ports[i])
				for n := range 4 {
					served := false
					want := n < tt.served
					if tt.proto == "tcp" {
						got, err := ask("tcp", addr, "")
						served = got != ""
						if !served && !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, syscall.ECONNRESET) && err != nil {
							t.Errorf("client %d = %v, want it dropped at once", n+1, err)
						}
					} else {
						served = answered(t, addr, want)
					}
					if served != want {
						t.Errorf("client %d is served: %v, want %v", n+1, served, want)
					}
				}
			})
		}
	})
	// What was over a limit is not left in the socket to be found again.
	var starts int
	for i, tt := range ratelimit {
		starts += tt.served
		if looping := d.log.count(0, fmt.Sprintf(`:%d/%s server failing`, ports[i], tt.proto)); looping != 1 && tt.limit == "service" || looping != 0 && tt.limit == "ip" {
			t.Errorf("%s: %d lines say that the service is down", tt.name, looping)
		}
		if refused := d.log.count(0, fmt.Sprintf(`:%d/%s: refused 127`, ports[i], tt.proto)); refused != 1 && tt.limit == "ip" {
			t.Errorf("%s: %d lines about refused clients, want one for the episode", tt.name, refused)
		}
	}
	if n := d.log.count(0, "started for"); n != starts {
		t.Errorf("%d starts, want %d", n, starts)
	}
	d.signal(syscall.SIGTERM)
	<-d.done
	if d.err != nil {
		t.Errorf("exit on SIGTERM = %v, want success", d.err)
	}
}

// answered says whether a datagram gets an answer. One that is not to have one
// is not waited for as long.
func answered(t *testing.T, addr string, want bool) bool {
	t.Helper()
	c := dial(t, "udp", addr)
	defer c.Close()
	if !want {
		c.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	}
	if _, err := c.Write([]byte("hello")); err != nil {
		return false
	}
	_, err := c.Read(make([]byte, 64))
	return err == nil
}

// Two servers at a time on a unix-domain socket, and each step of each of their
// lives at the tester's word. The third client is not refused, it waits.
func TestNetBSDAcceptMax(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, conf string }{
		{"max2_pos", "%s stream,2 unix nowait.0 $me $self srv.step\n"},
		{"max2_kv", "%s on socktype = stream, protocol = unix, accept_max = 2, service_max = 1000, wait = no, user = $me, exec = $self, args = srv.step;\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "sock")
			d := start(t, in(tt.conf, path))
			// The log may tell of a start after its client has heard from it.
			running := func(want int) {
				t.Helper()
				eventually(t, fmt.Sprintf("%d servers", want), func() bool {
					return d.log.count(0, "started for")-d.log.count(0, "exit status") == want
				})
			}
			if n := d.log.count(0, "started for"); n != 0 {
				t.Errorf("%d servers before the first client", n)
			}
			connect := func() net.Conn { return dial(t, "unix", path) }
			greeted := func(c net.Conn) {
				t.Helper()
				got := make([]byte, 6)
				if _, err := io.ReadFull(c, got); err != nil || string(got) != "ready\n" {
					t.Fatalf("greeting = %q, %v", got, err)
				}
			}
			release := func(c net.Conn) {
				t.Helper()
				fmt.Fprintln(c, "go")
				if got, err := io.ReadAll(c); err != nil || string(got) != "done\n" {
					t.Errorf("farewell = %q, %v", got, err)
				}
			}
			one := connect()
			greeted(one)
			running(1)
			two := connect()
			greeted(two)
			running(2)
			three := connect()
			three.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
			if n, err := three.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("third client = %d, %v, want it to wait", n, err)
			}
			three.SetReadDeadline(time.Now().Add(patience))
			running(2)
			release(one)
			greeted(three)
			release(two)
			release(three)
			running(0)
			if n := d.log.count(0, "exit status 0"); n != 3 {
				t.Errorf("%d servers ended well, want 3", n)
			}
			d.signal(syscall.SIGTERM)
			<-d.done
		})
	}
}

func init() { programs["srv.step"] = serveStep }

// serveStep says that it runs, waits for a line, and ends.
func serveStep([]string) int {
	time.AfterFunc(2*patience, func() { os.Exit(3) })
	fmt.Println("ready")
	var word string
	fmt.Scan(&word)
	fmt.Println("done")
	return 0
}
