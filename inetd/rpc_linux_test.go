package main

import (
	"fmt"
	"net"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// portMapper starts the real rpcbind; it is in the background when it listens.
func portMapper(t *testing.T) proc {
	t.Helper()
	if out, err := exec.Command("rpcbind").CombinedOutput(); err != nil {
		t.Fatalf("rpcbind: %v\n%s", err, out)
	}
	return running(t, "rpcbind")
}

// running is the process of this namespace with that name.
func running(t *testing.T, name string) proc {
	t.Helper()
	var found proc
	eventually(t, name, func() bool {
		for pid := proc(2); pid < 100_000; pid++ {
			if strings.TrimSpace(pid.read("comm")) == name && pid.stat()[statState] != "Z" {
				found = pid
				return true
			}
			if pid > 5000 && pid.read("comm") == "" && found == 0 {
				return false
			}
		}
		return false
	})
	return found
}

// registered is what rpcinfo tells of the programs of users, RFC 5531 section
// 13: "program version netid port", sorted.
func registered(t *testing.T) (all []string) {
	t.Helper()
	out, err := exec.Command("rpcinfo").CombinedOutput()
	if err != nil {
		t.Fatalf("rpcinfo: %v\n%s", err, out)
	}
	for l := range strings.Lines(string(out)) {
		f := strings.Fields(l)
		if len(f) < 5 || !strings.HasPrefix(f[0], "53687") {
			continue
		}
		octets := strings.Split(f[3], ".")
		hi, _ := strconv.Atoi(octets[len(octets)-2])
		lo, _ := strconv.Atoi(octets[len(octets)-1])
		all = append(all, fmt.Sprintf("%s %s %s %d", f[0], f[1], f[2], hi<<8|lo))
	}
	slices.Sort(all)
	return all
}

// wantRegistered waits until rpcbind has been told exactly this: "program
// version netid", in order.
func wantRegistered(t *testing.T, when string, want ...string) {
	t.Helper()
	var got []string
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		got = nil
		for _, r := range registered(t) {
			got = append(got, r[:strings.LastIndexByte(r, ' ')])
		}
		if slices.Equal(got, want) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: registered are %q, want %q", when, got, want)
		}
	}
}

// rpcPort is where rpcbind sends a client of a program.
func rpcPort(t *testing.T, what string) string {
	t.Helper()
	for _, r := range registered(t) {
		if port, ok := strings.CutPrefix(r, what+" "); ok {
			return port
		}
	}
	t.Fatalf("%s is not registered", what)
	return ""
}

func TestRPC(t *testing.T) {
	isolated(t, func(t *testing.T) {
		needProgram(t, "rpcbind")
		needProgram(t, "rpcinfo")
		needIPv6(t)
		put(t, "/etc/rpc", "ourprog 536870913 ours\nother 536870914\n", 0o644)
		const cat = "ourprog/1-3 stream rpc/tcp4 nowait.0 root /bin/cat cat\n"
		const number = "536870914/2 dgram rpc/udp wait.0 root $self srv.datagrams 1\n"
		const plain = "7777 stream tcp4 nowait.0 root /bin/cat cat\n"

		// Nobody to tell: one line for each entry that says which, and all else
		// goes on.
		d := start(t, in(plain+cat+number))
		d.log.wait(t, 0, `inetd: ourprog/tcp: no port mapper answers.*inetd\.conf:2`)
		d.log.wait(t, 0, `inetd: 536870914/udp: no port mapper answers.*inetd\.conf:3`)
		wantAnswer(t, "tcp4", "127.0.0.1:7777", "hello\n", "hello\n")
		mark := d.log.mark()
		d.hup()
		wantAnswer(t, "tcp4", "127.0.0.1:7777", "hello\n", "hello\n")

		// It comes, and a reload tells it. (Without one a minute passes.)
		mapper := portMapper(t)
		d.hup()
		d.log.wait(t, mark, `ourprog/tcp: registered now`)
		d.log.wait(t, mark, `536870914/udp: registered now`)
		for _, line := range []string{"ourprog/tcp: no port mapper", "536870914/udp: no port mapper", "536870914/udp: registered now"} {
			if n := d.log.count(0, line); n != 1 {
				t.Errorf("%d lines say %q, want one for the episode", n, line)
			}
		}
		all := []string{"536870913 1 tcp", "536870913 2 tcp", "536870913 3 tcp", "536870914 2 udp", "536870914 2 udp6"}
		wantRegistered(t, "at first", all...)
		port := rpcPort(t, "536870913 2 tcp")
		wantAnswer(t, "tcp4", "127.0.0.1:"+port, "hello\n", "hello\n")
		for _, network := range []string{"udp", "udp6"} {
			host := map[string]string{"udp": "127.0.0.1", "udp6": "::1"}[network]
			wantDatagram(t, dial(t, network, net.JoinHostPort(host, rpcPort(t, "536870914 2 "+network))), "hello")
		}

		// HUP keeps the socket, and so the port that clients know, and there is no
		// moment without.
		before := registered(t)
		for range 20 {
			d.hup()
			if now := registered(t); !slices.Equal(now, before) {
				t.Fatalf("registered after HUP are %q, want %q", now, before)
			}
		}
		if got := rpcPort(t, "536870913 2 tcp"); got != port {
			t.Errorf("port after HUP = %s, want %s as before", got, port)
		}

		// Another program behind it, other versions, one entry less.
		d.reload(in(plain + "ourprog/1-3 stream rpc/tcp4 nowait.0 root $self srv.say changed\n" + number))
		wantRegistered(t, "after a change of the program", all...)
		if got := rpcPort(t, "536870913 2 tcp"); got != port {
			t.Errorf("port after a change of the program = %s, want %s as before", got, port)
		}
		wantAnswer(t, "tcp4", "127.0.0.1:"+port, "", "changed\n")
		d.reload(in(plain + "ourprog/2-4 stream rpc/tcp4 nowait.0 root /bin/cat cat\n" + number))
		if got := rpcPort(t, "536870913 3 tcp"); got != port {
			t.Errorf("port after a change of the versions = %s, want %s as before", got, port)
		}
		wantRegistered(t, "after a change of the versions", "536870913 2 tcp", "536870913 3 tcp", "536870913 4 tcp", "536870914 2 udp", "536870914 2 udp6")
		wantAnswer(t, "tcp4", "127.0.0.1:"+rpcPort(t, "536870913 4 tcp"), "hello\n", "hello\n")
		// Versions go from one entry to another of the program.
		two := func(first, second string) {
			t.Helper()
			d.reload(in("ourprog/%s stream rpc/tcp4 nowait.0 root /bin/cat cat\nourprog/%s stream rpc/tcp4 nowait.0 root $self srv.say second\n", first, second))
			wantRegistered(t, first+" and "+second, "536870913 1 tcp", "536870913 2 tcp", "536870913 3 tcp", "536870913 4 tcp")
			wantAnswer(t, "tcp4", "127.0.0.1:"+rpcPort(t, "536870913 1 tcp"), "hello\n", "hello\n")
			wantAnswer(t, "tcp4", "127.0.0.1:"+rpcPort(t, "536870913 4 tcp"), "", "second\n")
		}
		two("1-2", "3-4")
		two("1-3", "4")
		two("1", "2-4")
		d.reload(in(plain + cat))
		wantRegistered(t, "after a removal", all[:3]...)
		d.reload(in(plain + "garbage\n"))
		wantRegistered(t, "after a reload of a file with an error", all[:3]...)
		d.reload(in(plain + cat + number))
		wantRegistered(t, "as at first", all...)

		// A port mapper that has lost everything is told again.
		syscall.Kill(int(mapper), syscall.SIGKILL)
		eventually(t, "the end of rpcbind", func() bool { return mapper.read("comm") == "" || mapper.stat()[statState] == "Z" })
		mapper = portMapper(t)
		d.hup()
		wantRegistered(t, "after a restart of rpcbind", all...)

		// One that does not answer keeps nobody waiting.
		syscall.Kill(int(mapper), syscall.SIGSTOP)
		d.hup()
		wantAnswer(t, "tcp4", "127.0.0.1:7777", "hello\n", "hello\n")
		d.reload(in(plain + cat))
		wantAnswer(t, "tcp4", "127.0.0.1:7777", "hello\n", "hello\n")
		syscall.Kill(int(mapper), syscall.SIGCONT)
		wantRegistered(t, "when rpcbind answers again", all[:3]...)

		// A rest is not the end of the port: nobody else may have it.
		d.reload(in(plain + "ourprog/1-3 stream rpc/tcp4 nowait.1 root /bin/cat cat\n"))
		port = rpcPort(t, "536870913 1 tcp")
		wantAnswer(t, "tcp4", "127.0.0.1:"+port, "hello\n", "hello\n")
		ask("tcp4", "127.0.0.1:"+port, "hello\n")
		mark = d.log.mark()
		d.hup()
		d.log.wait(t, mark, "back in service")
		wantRegistered(t, "after a rest", all[:3]...)
		if got := rpcPort(t, "536870913 1 tcp"); got != port {
			t.Errorf("port after a rest = %s, want %s as before", got, port)
		}
		wantAnswer(t, "tcp4", "127.0.0.1:"+port, "hello\n", "hello\n")

		// What one that was killed has left is the next one's. FreeBSD's leaves
		// it on TERM too.
		d.cmd.Process.Kill()
		<-d.done
		d.err = nil
		wantRegistered(t, "after KILL", all[:3]...)
		d = start(t, in(plain+"ourprog/1 stream rpc/tcp4 nowait.0 root /bin/cat cat\n"))
		eventually(t, "the new port", func() bool {
			now := registered(t)
			return strings.HasPrefix(strings.Join(now, "\n"), "536870913 1 tcp ") && !slices.Contains(now, "536870913 1 tcp "+port)
		})
		wantAnswer(t, "tcp4", "127.0.0.1:"+rpcPort(t, "536870913 1 tcp"), "hello\n", "hello\n")
		d.signal(syscall.SIGTERM)
		<-d.done
		for _, r := range registered(t) {
			if regexp.MustCompile(`^536870913 1 `).MatchString(r) {
				t.Errorf("%s is registered after TERM", r)
			}
		}
	})
}

// The ports of root's RPC services are reserved ones, for as long as there are any.
func TestRPCPorts(t *testing.T) {
	isolated(t, func(t *testing.T) {
		needProgram(t, "rpcbind")
		needProgram(t, "rpcinfo")
		portMapper(t)
		const services = "536870913/1 stream rpc/tcp4 nowait.0 root /bin/cat cat\n536870914/1 dgram rpc/udp4 wait.0 root $self srv.datagrams 1\n"
		d := start(t, in(services))
		reserved := func(when string, want bool) {
			t.Helper()
			wantRegistered(t, when, "536870913 1 tcp", "536870914 1 udp")
			for _, what := range []string{"536870913 1 tcp", "536870914 1 udp"} {
				port := rpcPort(t, what)
				if n, _ := strconv.Atoi(port); (600 <= n && n < 1024) != want {
					t.Errorf("%s: port of %s = %s", when, what, port)
				}
			}
			wantAnswer(t, "tcp4", "127.0.0.1:"+rpcPort(t, "536870913 1 tcp"), "hello\n", "hello\n")
			mark := d.log.mark()
			wantDatagram(t, dial(t, "udp4", "127.0.0.1:"+rpcPort(t, "536870914 1 udp")), "hello")
			d.log.wait(t, mark, `536870914/udp: .* exit status 0`) // it has the port
		}
		reserved("at first", true)
		d.reload("")
		for port := 600; port < 1024; port++ {
			address := fmt.Sprintf("0.0.0.0:%d", port)
			if l, err := net.Listen("tcp4", address); err == nil {
				defer l.Close()
			}
			if c, err := net.ListenPacket("udp4", address); err == nil {
				defer c.Close()
			}
		}
		wantRegistered(t, "with nothing to serve")
		d.reload(in(services))
		reserved("where all are taken", false)
	})
}

// tcp and udp, both families, and one socket for both.
func TestRPCFamilies(t *testing.T) {
	isolated(t, func(t *testing.T) {
		needProgram(t, "rpcbind")
		needProgram(t, "rpcinfo")
		needIPv6(t)
		portMapper(t)
		d := start(t, `536870920/1 stream rpc/tcp nowait.0 root /bin/cat cat
536870921/1 stream rpc/tcp6 nowait.0 root /bin/cat cat
536870922/1 stream rpc/tcp46 nowait.0 root /bin/cat cat
127.0.0.1:536870923/1 stream rpc/tcp nowait.0 root /bin/cat cat
536870924/1-2 dgram rpc/udp6 wait.0 root /bin/cat cat
`)
		wantRegistered(t, "at first", "536870920 1 tcp", "536870920 1 tcp6", "536870921 1 tcp6", "536870922 1 tcp", "536870922 1 tcp6",
			"536870923 1 tcp", "536870924 1 udp6", "536870924 2 udp6")
		for _, tt := range []struct{ what, host string }{
			{"536870920 1 tcp", "127.0.0.1"}, {"536870920 1 tcp6", "::1"}, {"536870921 1 tcp6", "::1"},
			{"536870922 1 tcp", "127.0.0.1"}, {"536870922 1 tcp6", "::1"}, {"536870923 1 tcp", "127.0.0.1"},
		} {
			wantAnswer(t, "tcp", net.JoinHostPort(tt.host, rpcPort(t, tt.what)), tt.what, tt.what)
		}
		d.reload("")
		wantRegistered(t, "with nothing to serve")
	})
}
