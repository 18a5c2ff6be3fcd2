package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"inetd/inetd/proxy"
)

// setLimit is prlimit(2) on another process: its soft limit of a resource.
func setLimit(t *testing.T, p proc, resource int, n uint64) {
	t.Helper()
	if err := prlimit(int(p), resource, n); err != nil {
		t.Fatalf("prlimit: %v", err)
	}
}

func prlimit(pid, resource int, n uint64) error {
	var old unix.Rlimit
	if err := unix.Prlimit(pid, resource, nil, &old); err != nil {
		return err
	}
	return unix.Prlimit(pid, resource, &unix.Rlimit{Cur: n, Max: old.Max}, nil)
}

// A root without CAP_SYS_RESOURCE may set the limits of its own processes only,
// but anybody's processes may each other's: "srv.prlimit PID RESOURCE N".
func init() {
	programs["srv.prlimit"] = func(args []string) int {
		var n [3]int
		for i := range n {
			n[i], _ = strconv.Atoi(args[i])
		}
		if prlimit(n[0], n[1], uint64(n[2])) != nil {
			return 1
		}
		return 0
	}
}

// noDescriptors takes from a process all descriptors that it has not opened.
func noDescriptors(t *testing.T, p proc) {
	t.Helper()
	open := p.fds()
	n := 0
	for ; open[n] != ""; n++ {
	}
	setLimit(t, p, unix.RLIMIT_NOFILE, uint64(n))
}

// With no descriptor left openbsd-inetd and GNU's use all of the processor and
// log nothing while it lasts. Here clients wait in the queue, one line says so,
// and when there are descriptors again all are served.
func TestNoDescriptors(t *testing.T) {
	t.Parallel()
	cat, echo, dgram := freePort(t), freePort(t), freePort(t)
	d := start(t, in("%d stream tcp4 nowait $me /bin/cat cat\n%d stream tcp4 nowait $me internal echo\n%d dgram udp4 wait $me internal echo\n", cat, echo, dgram))
	warm := []net.Conn{dial(t, "tcp4", local(cat)), dial(t, "tcp4", local(echo))} // whatever is opened once is open
	for _, c := range warm {
		wantEcho(t, c, "warm\n")
	}
	for round := range 2 {
		mark := d.log.mark()
		noDescriptors(t, d.proc())
		var clients []net.Conn
		for i := range 10 {
			c := dial(t, "tcp4", local([]int{cat, echo}[i%2]))
			fmt.Fprintf(c, "client %d\n", i)
			clients = append(clients, c)
		}
		d.log.wait(t, mark, `/tcp: too many open files: clients wait until descriptors are free`)
		wantIdle(t, d.proc(), func() {
			repeat(1200*time.Millisecond, func() {})
		})
		wantEcho(t, dial(t, "udp4", local(dgram)), "what needs no descriptor goes on")
		if n := d.log.count(mark, "too many open files"); n != 1 {
			t.Errorf("%d lines about descriptors, want one for the episode", n)
		}
		setLimit(t, d.proc(), unix.RLIMIT_NOFILE, 1024)
		for i, c := range clients {
			want := fmt.Sprintf("client %d\n", i)
			got := make([]byte, len(want))
			if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
				t.Errorf("client that waited = %q, %v, want %q", got, err, want)
			}
			c.Close()
		}
		if round == 0 { // for an end there must be no want for a while
			d.log.wait(t, mark, "descriptors are free again")
		}
	}
	for _, c := range warm {
		wantEcho(t, c, "warm still\n")
	}
}

// Descriptors that come free because a client goes need no timer.
func TestDescriptorsComeFree(t *testing.T) {
	t.Parallel()
	p := freePort(t)
	d := start(t, in("%d stream tcp4 nowait.0 $me internal echo\n", p))
	wantEcho(t, dial(t, "tcp4", local(p)), "warm\n")
	setLimit(t, d.proc(), unix.RLIMIT_NOFILE, 80) // enough for most of these, and no more
	const all = 100
	served := make(chan int, all)
	var clients []net.Conn
	for i := range all {
		c := dial(t, "tcp4", local(p))
		clients = append(clients, c)
		c.Write([]byte{'x'})
		go func() {
			if n, _ := c.Read(make([]byte, 1)); n == 1 {
				served <- i
			}
		}()
	}
	d.log.wait(t, 0, "clients wait until descriptors are free")
	for range all { // whoever is served makes room for another
		select {
		case i := <-served:
			clients[i].Close()
		case <-time.After(patience):
			t.Fatal("a client that waits is not served when another goes")
		}
	}
}

// More sockets than descriptors: what listens serves, the rest is tried again, and
// neither that nor clients of a built-in that stay keep others from their servers,
// or the daemon from its files.
func TestDescriptorsKeptBack(t *testing.T) {
	t.Parallel()
	first, echo := freePort(t), freePort(t)
	some := in("%d stream tcp4 nowait.0 $me /bin/cat cat\n%d stream tcp4 nowait.0 $me internal echo\n", first, echo)
	many := some
	for range 100 {
		many += in("%d stream tcp4 nowait.0 $me /bin/cat cat\n", freePort(t))
	}
	d := start(t, some)
	setLimit(t, d.proc(), unix.RLIMIT_NOFILE, 64)
	mark := d.log.mark()
	d.reload(many)
	d.log.wait(t, mark, `0\.0\.0\.0:\d+: too many open files: the last descriptors are for clients \(.*:1\), will try again`)
	wantAnswer(t, "tcp4", local(first), "hello\n", "hello\n")

	mark = d.log.mark()
	for range 60 {
		dial(t, "tcp4", local(echo))
	}
	d.log.wait(t, mark, fmt.Sprintf("%d/tcp: too many open files: clients wait until descriptors are free", echo))
	for range 3 {
		wantAnswer(t, "tcp4", local(first), "hello\n", "hello\n")
	}
	mark = d.log.mark()
	if got := d.reload(some); !strings.HasSuffix(got, "0 added, 0 changed, 100 removed, 2 kept") {
		t.Errorf("reload without descriptors = %q", got)
	}
	wantAnswer(t, "tcp4", local(first), "hello\n", "hello\n")
}

// A redirected client takes most of its descriptors after it is let in: half of what
// there is stays for others, and who waits has his turn when one goes.
func TestRedirectLeavesDescriptors(t *testing.T) {
	t.Parallel()
	to := target(t, "127.0.0.1:0", func(c *net.TCPConn) { io.Copy(c, c) })
	p, cat := freePort(t), freePort(t)
	mux := freePort(t)
	d := start(t, toRedirect(p, "127.0.0.1", to)+unlisted(cat, "/bin/cat")+
		block("tcpmux", "type = INTERNAL UNLISTED", fmt.Sprint("port = ", mux), "socket_type = stream", "wait = no", "cps = 0 0")+
		block("r", "type = TCPMUXPLUS UNLISTED", "socket_type = stream", "wait = no", fmt.Sprint("redirect = 127.0.0.1 ", to), "cps = 0 0"))
	const all, places, listeners = 40, 10, 6
	setLimit(t, d.proc(), unix.RLIMIT_NOFILE, 2*places*proxy.Files+listeners)
	served := make(chan net.Conn, all)
	for range all {
		c := dial(t, "tcp4", local(p))
		c.Write([]byte{'x'})
		go func() {
			if n, _ := c.Read(make([]byte, 1)); n == 1 {
				served <- c
			}
		}()
	}
	d.log.wait(t, 0, "clients wait until descriptors are free")
	var in []net.Conn
	for n := range all {
		select {
		case c := <-served:
			in = append(in, c)
		case <-time.After(patience):
			t.Fatalf("%d of %d clients were passed on", n, all)
		}
		if n == places-1 {
			for range 3 {
				wantAnswer(t, "tcp4", local(cat), "hello\n", "hello\n")
			}
			// Who comes by tcpmux is there already and cannot wait.
			wantMux(t, mux, "r\r\n", muxRefused)
			d.log.wait(t, 0, "tcpmux/r: refused .*: connections that are passed on have half of the open files")
		}
		if n >= places-1 {
			in[n+1-places].Close()
		}
	}
}

// A reload that cannot open its files is not lost.
func TestNoDescriptorForReload(t *testing.T) {
	t.Parallel()
	p := freePort(t)
	d := start(t, "")
	setLimit(t, d.proc(), unix.RLIMIT_NOFILE, 3)
	d.write(in("%d stream tcp4 nowait $me /bin/cat cat\n", p))
	mark := d.log.mark()
	d.signal(syscall.SIGHUP)
	d.log.wait(t, mark, `inetd\.conf: too many open files: nothing is changed, and the files are read as soon as descriptors are free`)
	setLimit(t, d.proc(), unix.RLIMIT_NOFILE, 1024)
	d.log.wait(t, mark, "reload: 1 added")
	wantAnswer(t, "tcp4", local(p), "hello\n", "hello\n")
}

// Each kind of socket starves alike: a server for a datagram needs descriptors
// too, and a wait server that cannot be started is not started in a loop.
func TestNoDescriptorsForOthers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, conf, network string }{
		{"dgram nowait", "%d dgram udp4 nowait.0 $me $self srv.datagrams 1\n", "udp4"},
		{"dgram wait", "%d dgram udp4 wait.0 $me $self srv.datagrams 1\n", "udp4"},
		{"stream wait", "%d stream tcp4 wait.0 $me $self srv.accept 1\n", "tcp4"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := freePort(t)
			d := start(t, in(tt.conf, p))
			works := func() {
				t.Helper()
				if tt.network == "tcp4" {
					eventually(t, "answer", func() bool {
						got, _ := ask("tcp4", local(p), "hello")
						return strings.HasSuffix(got, " hello")
					})
					return
				}
				c := dial(t, "udp4", local(p))
				eventually(t, "answer", func() bool {
					c.Write([]byte("hello"))
					c.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
					buf := make([]byte, 64)
					n, _ := c.Read(buf)
					return strings.HasSuffix(string(buf[:n]), " hello")
				})
			}
			works()
			eventually(t, "no children", func() bool { return len(d.proc().children()) == 0 })
			mark := d.log.mark()
			noDescriptors(t, d.proc())
			c := dial(t, tt.network, local(p))
			wantIdle(t, d.proc(), func() {
				repeat(1200*time.Millisecond, func() {
					if tt.network == "udp4" {
						c.Write([]byte("poke"))
					}
				})
			})
			if n := d.log.count(mark, "too many open files"); n > 3 {
				t.Errorf("%d lines about descriptors within a second, want one for the episode", n)
			}
			c.Close()
			setLimit(t, d.proc(), unix.RLIMIT_NOFILE, 1024)
			works()
		})
	}
}

// The line about descriptors needs one itself: elsewhere it is written when all
// is over.
func TestNoDescriptorForSyslog(t *testing.T) {
	isolated(t, func(t *testing.T) {
		log := syslogd(t)
		dir := t.TempDir()
		d := startIn(t, dir, "7777 stream tcp4 nowait root /bin/cat cat\n", command("-i", "-p", filepath.Join(dir, "pid")))
		wantAnswer(t, "tcp4", "127.0.0.1:7777", "hello\n", "hello\n")
		eventually(t, "no children", func() bool { return len(d.proc().children()) == 0 })
		noDescriptors(t, d.proc())
		c := dial(t, "tcp4", "127.0.0.1:7777")
		log.wait(t, 0, `daemon\.err inetd\[\d+\]: 7777/tcp: too many open files`)
		setLimit(t, d.proc(), unix.RLIMIT_NOFILE, 1024)
		wantEcho(t, c, "hello\n")
	})
}

// When the system starts no more processes for the user, the daemon serves what
// needs none, says so without a line for each client, and is well again after.
func TestNoProcesses(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to be a user who runs nothing else")
	}
	dir, err := os.MkdirTemp("", "inetd-nproc")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	exe := filepath.Join(dir, "inetd")
	if err := copyFile(self, exe); err != nil {
		t.Fatal(err)
	}
	p, dgram, daytime, other := freePort(t), freePort(t), freePort(t), freePort(t)
	cmd := command("-d")
	cmd.Path = exe
	uid := uint32(1_000_000 + os.Getpid())
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	conf := fmt.Sprintf("%d stream tcp4 nowait.0 root /bin/cat cat\n%d dgram udp4 wait.0 root /bin/false false\n%d stream tcp4 nowait.0 root internal daytime\n", p, dgram, daytime)
	d := startIn(t, dir, conf, cmd)
	wantAnswer(t, "tcp4", local(p), "hello\n", "hello\n")
	eventually(t, "no children", func() bool { return len(d.proc().children()) == 0 })
	limit := func(n int) {
		t.Helper()
		cmd := &exec.Cmd{Path: exe, Args: []string{"srv.prlimit", strconv.Itoa(d.cmd.Process.Pid), strconv.Itoa(unix.RLIMIT_NPROC), strconv.Itoa(n)}}
		cmd.SysProcAttr = d.cmd.SysProcAttr
		if err := cmd.Run(); err != nil {
			t.Fatalf("prlimit: %v", err)
		}
	}
	mark := d.log.mark()
	limit(1)
	wantIdle(t, d.proc(), func() {
		c := dial(t, "udp4", local(dgram))
		repeat(1000*time.Millisecond, func() {
			c.Write([]byte("poke"))
			if got, err := ask("tcp4", local(daytime), ""); len(got) != 26 {
				t.Fatalf("daytime = %q, %v", got, err)
			}
			ask("tcp4", local(p), "hello\n")
		})
	})
	d.log.wait(t, mark, `fork: resource temporarily unavailable`)
	if n := d.log.count(mark, "fork: "); n > 5 {
		t.Errorf("%d lines about processes that cannot be started, want one for the episode", n)
	}
	d.reload(conf + fmt.Sprintf("%d stream tcp4 nowait.0 root internal time\n", other))
	if got, err := ask("tcp4", local(other), ""); len(got) != 4 {
		t.Errorf("service that came with a reload = %q, %v", got, err)
	}
	limit(1000)
	wantAnswer(t, "tcp4", local(p), "hello\n", "hello\n")
}
