package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

var soak = flag.Bool("soak", false, "run TestSoak, a few minutes")

// What grows by a little with each client shows after a hundred thousand of
// them: descriptors, memory, processes. Each part begins with enough of the
// same to have everything in place that is there once.
func TestSoak(t *testing.T) {
	if !*soak {
		t.Skip("takes a few minutes: go test ./inetd -run TestSoak -soak -timeout 20m -v")
	}
	const many = 100_000
	from := func(n, i int) string { return fmt.Sprintf("127.%d.%d.%d", 3+n, i>>6&255, i&63+1) }
	t.Run("connections", func(t *testing.T) {
		p := freePort(t)
		d := start(t, in("%d stream tcp4 nowait.0 $me /bin/cat cat\n", p))
		d.flat(many, func(n, i int) error {
			line := fmt.Sprintf("client %d, %d\n", n, i)
			got, err := askFrom("tcp4", from(n, i), local(p), line)
			if err == nil && got != line {
				err = fmt.Errorf("echo of %q = %q", line, got)
			}
			return err
		})
	})
	t.Run("built-ins", func(t *testing.T) {
		daytime, echo, dgram := freePort(t), freePort(t), freePort(t)
		d := start(t, in("%d stream tcp4 nowait.0 $me internal daytime\n%d stream tcp4 nowait.0 $me internal echo\n%d dgram udp4 wait $me internal echo\n", daytime, echo, dgram))
		d.flat(many, func(n, i int) error {
			switch i % 3 {
			case 0:
				got, err := askFrom("tcp4", from(n, i), local(daytime), "")
				if err == nil && len(got) != 26 {
					err = fmt.Errorf("daytime = %q", got)
				}
				return err
			case 1:
				got, err := askFrom("tcp4", from(n, i), local(echo), "hello")
				if err == nil && got != "hello" {
					err = fmt.Errorf("echo = %q", got)
				}
				return err
			}
			c, err := dialFrom("udp4", from(n, i), local(dgram))
			if err != nil {
				return err
			}
			defer c.Close()
			io.WriteString(c, "hello")
			_, err = c.Read(make([]byte, 16))
			return err
		})
	})
	t.Run("refusals", func(t *testing.T) {
		p, resting := freePort(t), freePort(t)
		d := start(t, in("%d stream tcp4 nowait.0/0/1 $me internal echo\n%d stream tcp4 nowait.1 $me internal echo\n", p, resting))
		for _, p := range []int{p, p, resting, resting} {
			ask("tcp4", local(p), "x")
		}
		d.log.wait(t, 0, "looping")
		d.flat(many, func(n, i int) error {
			port := p
			if i%2 == 1 {
				port = resting
			}
			got, err := ask("tcp4", local(port), "")
			if err != nil && !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, syscall.ECONNRESET) {
				return err
			}
			if got != "" {
				return fmt.Errorf("a client that should be refused got %q", got)
			}
			return nil
		})
		if n := d.log.count(0, "refused 127"); n != 1 {
			t.Errorf("%d lines about the first of the refused clients, want one for the episode", n)
		}
	})
	// NetBSD keeps every address of a minute, in a list.
	t.Run("sources", func(t *testing.T) {
		p := freePort(t)
		d := start(t, in("%d stream tcp4 nowait.0/0/5/5 $me internal daytime\n", p))
		before := d.settled()
		var wg sync.WaitGroup
		for n := range 4 {
			wg.Go(func() {
				for i := range 10_000 {
					c, err := dialFrom("tcp4", fmt.Sprintf("127.%d.%d.%d", 20+n, i>>7, i&127+1), local(p))
					if err != nil {
						t.Error(err)
						return
					}
					io.Copy(io.Discard, c)
					c.Close()
				}
			})
		}
		wg.Wait()
		after := d.settled()
		t.Logf("%v before, %v after 40000 clients", before, after)
		if after.rss > before.rss+10<<10 {
			t.Errorf("memory after 40000 clients = %d kB, want not much more than %d kB", after.rss, before.rss)
		}
		if after.fds != before.fds {
			t.Errorf("descriptors = %d, want %d", after.fds, before.fds)
		}
	})
	t.Run("reloads", func(t *testing.T) {
		kept := freePort(t)
		dir := t.TempDir()
		conf := func(i int) string {
			var b strings.Builder
			b.WriteString(in("%d stream tcp4 nowait.0 $me internal daytime\n", kept))
			for n := range 200 {
				b.WriteString(in("%s/%d stream unix nowait.%d $me /bin/cat cat %d\n", dir, n+i%2*100, i+1, i))
			}
			return b.String()
		}
		d := start(t, conf(0))
		d.flatFor(500, 1, func(n, i int) error {
			d.reload(conf(i))
			got, err := ask("tcp4", local(kept), "")
			if len(got) != 26 {
				return fmt.Errorf("daytime = %q, %v", got, err)
			}
			return nil
		})
	})
}

// A state is what must not grow.
type state struct {
	fds      int
	rss      int // kB
	children int
}

func (s state) String() string {
	return fmt.Sprintf("%d descriptors, %d kB, %d children", s.fds, s.rss, s.children)
}

// settled is the state when nothing goes on any more.
func (d *daemon) settled() state {
	d.t.Helper()
	var s state
	eventually(d.t, "a quiet daemon", func() bool {
		last := s
		s = state{fds: len(d.proc().fds()), children: len(d.proc().children())}
		if s.children == 0 && s.fds == last.fds {
			return true
		}
		time.Sleep(20 * time.Millisecond)
		return false
	})
	s.rss, _ = strconv.Atoi(strings.TrimSuffix(d.proc().status("VmRSS"), " kB"))
	return s
}

// flat runs total clients, eight at a time, and checks that the daemon is after
// them what it was when the first fifth was done.
func (d *daemon) flat(total int, client func(n, i int) error) {
	d.t.Helper()
	d.flatFor(total, 8, client)
}

func (d *daemon) flatFor(total, clients int, client func(n, i int) error) {
	t := d.t
	t.Helper()
	const parts = 5
	var states []state
	for part := range parts {
		errs := make(chan error, clients)
		for n := range clients {
			go func() {
				each := total / parts / clients
				for i := part * each; i < (part+1)*each; i++ {
					if err := client(n, i); err != nil {
						errs <- fmt.Errorf("client %d, connection %d: %w", n, i, err)
						return
					}
				}
				errs <- nil
			}()
		}
		for range clients {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		if t.Failed() {
			return
		}
		states = append(states, d.settled())
		t.Logf("after %d: %v", (part+1)*total/parts, states[part])
	}
	first, last := states[0], states[parts-1]
	if last.fds != first.fds {
		t.Errorf("descriptors = %d, want %d", last.fds, first.fds)
	}
	// Go's heap breathes; a leak of 64 bytes a client would be 5 MB.
	if last.rss > first.rss+5<<10 {
		t.Errorf("memory = %d kB, want about %d kB", last.rss, first.rss)
	}
}
