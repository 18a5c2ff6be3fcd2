package main

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Under clients of every kind that connect as fast as they can come 200 HUPs,
// one on the heels of the other, with other signals between, while the file
// gains, loses and changes other services, has mistakes and is gone. No client
// of what stays notices anything, and its sockets are what they were.
func TestStorm(t *testing.T) {
	t.Parallel()
	cat, daytime, echo := freePort(t), freePort(t), freePort(t)
	other, third, fourth := freePort(t), freePort(t), freePort(t)
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	keep := in("%d stream tcp4 nowait.0 $me /bin/cat cat\n%d stream tcp4 nowait.0 $me internal daytime\n%d dgram udp4 wait $me internal echo\n%s stream unix nowait.0 $me /bin/cat cat\n",
		cat, daytime, echo, path("keep"))
	confs := []string{
		keep,
		keep + in("%d stream tcp nowait $me $self srv.say one\n%d dgram udp nowait $me $self srv.datagrams 1\n", other, third),
		in("%d stream tcp nowait.5 nobody $self srv.say two\n", other) + keep + in("%s stream unix wait $me $self srv.accept 1\n", path("other")),
		in("127.0.0.1:%d stream tcp wait $me $self srv.accept 1\n", other) + keep + in("%d dgram udp wait $me $self srv.datagrams 1\n", third),
		in("127.0.0.1,[::1]:%d stream tcp nowait $me internal chargen\n", other) + in("%d stream tcp nowait $me internal tcpmux\ntcpmux/+x stream tcp nowait $me /bin/cat cat\n", fourth) + keep,
		keep + "ftp stream\n",
		"[\x00garbage",
		"", // for: no file
	}
	d := start(t, keep)
	sockets := func() []string {
		return slices.Concat(inodes(t, "tcp", cat), inodes(t, "tcp", daytime), inodes(t, "udp", echo), unixInodes(t, path("keep")))
	}
	before := sockets()
	if len(before) != 4 {
		t.Fatalf("sockets = %q, want one for each service", before)
	}

	var stop atomic.Bool
	var served [4]atomic.Int64
	var wg sync.WaitGroup
	clients := []func(n, i int) error{
		func(n, i int) error { return wantLine("tcp4", local(cat), fmt.Sprintf("client %d, %d\n", n, i)) },
		func(n, i int) error {
			got, err := ask("tcp4", local(daytime), "")
			if err == nil && len(got) != 26 {
				err = fmt.Errorf("daytime = %q", got)
			}
			return err
		},
		func(n, i int) error {
			c, err := dialFrom("udp4", "", local(echo))
			if err != nil {
				return err
			}
			defer c.Close()
			msg := fmt.Sprintf("client %d, %d", n, i)
			buf := make([]byte, 64)
			if _, err = io.WriteString(c, msg); err == nil {
				var m int
				if m, err = c.Read(buf); err == nil && string(buf[:m]) != msg {
					err = fmt.Errorf("echo of %q = %q", msg, buf[:m])
				}
			}
			return err
		},
		func(n, i int) error { return wantLine("unix", path("keep"), fmt.Sprintf("client %d, %d\n", n, i)) },
	}
	for n := range 8 {
		wg.Go(func() {
			for i := 0; !stop.Load(); i++ {
				if err := clients[n%4](n, i); err != nil {
					t.Errorf("client %d, connection %d: %v", n, i, err)
					return
				}
				served[n%4].Add(1)
			}
		})
	}
	// Somebody uses the services that come and go, with whatever success.
	wg.Go(func() {
		for !stop.Load() {
			for _, addr := range []string{local(other), local(fourth)} {
				if c, err := net.DialTimeout("tcp", addr, time.Second); err == nil {
					c.SetDeadline(time.Now().Add(10 * time.Millisecond))
					fmt.Fprint(c, "x\r\n")
					c.Read(make([]byte, 10))
					c.Close()
				}
			}
			if c, err := net.Dial("udp", local(third)); err == nil {
				fmt.Fprint(c, "x")
				c.Close()
			}
		}
	})
	next := filepath.Join(d.dir, "next")
	for i := range 200 {
		conf := confs[i%len(confs)]
		if conf == "" {
			os.Remove(d.file)
		} else {
			if err := os.WriteFile(next, []byte(conf), 0o644); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(next, d.file); err != nil {
				t.Fatal(err)
			}
		}
		d.signal(syscall.SIGHUP)
		d.signal([]os.Signal{syscall.SIGALRM, syscall.SIGUSR1, syscall.SIGPIPE, syscall.SIGHUP}[rand.IntN(4)])
		if i%8 != 0 { // or at once
			time.Sleep(time.Duration(rand.IntN(5)) * time.Millisecond)
		}
	}
	// Of the HUPs that are under way one more reading comes out; the last one
	// has the last word.
	os.WriteFile(next, []byte(keep), 0o644)
	os.Rename(next, d.file)
	eventually(t, "the last reload", func() bool {
		return strings.Contains(d.hup(), "reload: 0 added, 0 changed, 0 removed, 4 kept")
	})
	stop.Store(true)
	wg.Wait()
	if after := sockets(); !slices.Equal(after, before) {
		t.Errorf("sockets of what stays = %q, want %q", after, before)
	}
	for i := range served {
		if served[i].Load() == 0 {
			t.Errorf("no client of kind %d was served", i)
		}
	}
	// A wait server keeps the port of its service that is gone.
	eventually(t, "no children", func() bool { return len(d.proc().children()) == 0 })
	for _, p := range []int{other, third, fourth} {
		wantRefused(t, "tcp", local(p))
	}
	if _, err := os.Lstat(path("other")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("path of a service that is gone: %v", err)
	}
	t.Logf("served %d, %d, %d, %d; %d reloads", served[0].Load(), served[1].Load(), served[2].Load(), served[3].Load(), d.log.count(0, `reload: \d+ added|nothing is changed`))
}

// wantLine sends a line to a cat and wants it back.
func wantLine(network, addr, line string) error {
	got, err := ask(network, addr, line)
	if err == nil && got != line {
		err = fmt.Errorf("echo of %q = %q", line, got)
	}
	return err
}

// unixInodes are the listening sockets at a path.
func unixInodes(t *testing.T, path string) (found []string) {
	t.Helper()
	text, err := os.ReadFile("/proc/self/net/unix")
	if err != nil {
		t.Fatal(err)
	}
	const listens = "00010000"
	for l := range strings.Lines(string(text)) {
		if f := strings.Fields(l); len(f) == 8 && f[7] == path && f[3] == listens {
			found = append(found, f[6])
		}
	}
	return found
}
