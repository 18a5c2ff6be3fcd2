package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"inetd/services"
)

// What somebody else has put in the place of a socket is not the daemon's to
// remove.
func TestPathReplaced(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, sock, kept := filepath.Join(dir, "file"), filepath.Join(dir, "sock"), filepath.Join(dir, "kept")
	line := func(path string) string { return in("%s stream unix nowait $me /bin/cat cat\n", path) }
	d := start(t, line(file)+line(sock)+line(kept))
	for _, path := range []string{file, sock, kept} {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(file, []byte("data"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{sock, kept} {
		l, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
	}
	d.reload(line(kept))
	if text, err := os.ReadFile(file); string(text) != "data" {
		t.Errorf("file in the place of a socket = %q, %v after a reload, want it as it was", text, err)
	}
	if _, err := os.Lstat(sock); err != nil {
		t.Errorf("socket of another program after a reload: %v", err)
	}
	d.signal(syscall.SIGTERM)
	<-d.done
	if _, err := os.Lstat(kept); err != nil {
		t.Errorf("socket of another program after the end: %v", err)
	}
}

// Datagrams of several clients that arrive in one instant are not one client's:
// a nowait server is not given what another has sent, and whoever asks again is
// answered.
func TestDatagramsTogether(t *testing.T) {
	t.Parallel()
	p := freePort(t)
	d := start(t, in("%d dgram udp4 nowait.0 $me $self srv.datagrams 100 300ms\n", p))
	for round := range 3 {
		d.signal(syscall.SIGSTOP)
		var clients []net.Conn
		for i := range 5 {
			c := dial(t, "udp4", local(p))
			fmt.Fprintf(c, "client %d.%d", round, i)
			clients = append(clients, c)
		}
		fmt.Fprintf(clients[0], "client %d.0", round)
		d.signal(syscall.SIGCONT)
		for i, c := range clients {
			want := fmt.Sprintf("client %d.%d", round, i)
			buf := make([]byte, 64)
			eventually(t, "an answer for "+want, func() bool {
				fmt.Fprint(c, want)
				c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
				n, _ := c.Read(buf)
				_, got, _ := strings.Cut(string(buf[:n]), " ")
				if n > 0 && got != want {
					t.Fatalf("%s is told %q, which another has sent", want, got)
				}
				return n > 0
			})
			// Nothing else comes either.
			for {
				c.SetReadDeadline(time.Now().Add(time.Millisecond))
				n, err := c.Read(buf)
				if err != nil {
					break
				}
				if _, got, _ := strings.Cut(string(buf[:n]), " "); got != want {
					t.Fatalf("%s is told %q, which another has sent", want, got)
				}
			}
		}
	}
}

// Number 1 of a container is the parent of every orphan, and nobody else takes
// the dead away.
func TestAsInit(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root for process numbers of its own")
	}
	// To detach would be the end of the container.
	for _, flag := range []string{"-d", "-e"} {
		p := freePort(t)
		dir := t.TempDir()
		cmd := command(flag, "-p", filepath.Join(dir, "pid"))
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
		d := startIn(t, dir, in("%d stream tcp4 nowait.0 $me /bin/sh sh -c 'sleep 0.1 </dev/null >/dev/null 2>&1 & echo alone; exit 7'\n", p), cmd)
		for range 10 {
			wantAnswer(t, "tcp4", local(p), "", "alone\n")
		}
		eventually(t, "no process but the daemon left, alive or dead", func() bool { return len(d.proc().children()) == 1 })
		// And the ends of servers are told still.
		if n := d.log.count(0, "exit status 7"); n != 10 {
			t.Errorf("%s: the log tells how %d of 10 servers ended", flag, n)
		}
	}
}

// A disk without room is no reason to serve nobody.
func TestFullDisk(t *testing.T) {
	isolated(t, func(t *testing.T) {
		dir := "/run/full"
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=4096"); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(dir+"/all", make([]byte, 8192), 0o644); err == nil {
			t.Fatal("the disk is not full")
		}
		log := syslogd(t)
		d := startIn(t, t.TempDir(), "7777 stream tcp4 nowait root /bin/cat cat\n", command("-i", "-p", dir+"/pid"))
		log.wait(t, 0, `daemon\.(err|warning) inetd\[\d+\]: .*/run/full/pid: no space left on device`)
		wantAnswer(t, "tcp4", "127.0.0.1:7777", "hello\n", "hello\n")
		d.signal(syscall.SIGTERM)
		<-d.done
	})
}

// A name service that does not answer keeps no client of auth for longer than
// its -t, and nobody is said not to be there for that.
func TestIdentNameService(t *testing.T) {
	isolated(t, func(t *testing.T) {
		getent := needProgram(t, "getent")
		put(t, "/etc/passwd", "nobody:x:65534:65534::/:/bin/false\n", 0o644)
		put(t, "/run/getent", "#!/bin/sh\nexec sleep 1000\n", 0o755)
		if err := unix.Mount("/run/getent", getent, "", unix.MS_BIND, ""); err != nil {
			t.Skipf("no mount: %v", err)
		}
		start(t, "113 stream tcp4 nowait.0 0:0 internal auth -r -t 1\n")
		c := dial(t, "tcp4", "127.0.0.1:113")
		here, there := c.LocalAddr().(*net.TCPAddr).Port, 113
		began := time.Now()
		want := fmt.Sprintf("%d , %d : ERROR : UNKNOWN-ERROR\r\n", here, there)
		if got, err := ask("tcp4", "127.0.0.1:113", fmt.Sprintf("%d,%d\r\n", here, there)); got != want || err != nil {
			t.Errorf("auth = %q, %v, want %q", got, err, want)
		}
		if d := time.Since(began); d < time.Second || d > 8*time.Second {
			t.Errorf("auth -t 1 answers after %v", d)
		}
	})
}

// The number of a user is nobody's name, and the name of one is taken.
func TestAccountsByName(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]error{"root": nil, "0": services.ErrNoAccount, "+0": services.ErrNoAccount, "4294967296": services.ErrNoAccount, "nobody-is-called-that": services.ErrNoAccount} {
		if a, err := (accounts{}).ByName(name, time.Now().Add(patience)); !errors.Is(err, want) || err == nil && a.Name != name {
			t.Errorf("ByName(%q) = %v, %v, want %v", name, a, err, want)
		}
	}
}
