package main

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"inetd/inetd/admit"
	"inetd/inetd/child"
	"inetd/inetd/event"
	"inetd/inetd/event/eventtest"
	"inetd/inetd/sock"
)

// Tests of the loop run in this process, once with a set that a script drives
// and servers that are only noted, and once on the kernel with real ones. Time
// is moved by hand in both.

// A rig is a server in its loop.
type rig struct {
	t      *testing.T
	s      *server
	script *eventtest.Set // nil on the kernel
	log    *journal
	clock  *fakeClock
	file   string
	done   chan error

	// Touched inside the loop only.
	started  []*startedServer
	startErr []error // of the next starts
	bindErr  error
	binds    []time.Duration // when, since the beginning
}

// A startedServer is one that a script has noted.
type startedServer struct {
	pid  int
	plan *child.Plan
	fd   int // a copy of its socket
}

// onBoth runs body on a rig of each kind.
func onBoth(t *testing.T, conf string, body func(t *testing.T, r *rig), args ...string) {
	t.Helper()
	t.Parallel()
	t.Run("scripted", func(t *testing.T) { body(t, newRig(t, eventtest.New(), conf, args)) })
	t.Run("kernel", func(t *testing.T) { body(t, newRig(t, nil, conf, args)) })
}

func newRig(t *testing.T, script *eventtest.Set, text string, args []string) *rig {
	t.Helper()
	r := &rig{t: t, script: script, log: newJournal(), clock: newFakeClock(), file: filepath.Join(t.TempDir(), "inetd.conf"), done: make(chan error, 1)}
	r.write(text)
	opts, err := parseArgs(append(args, r.file))
	if err != nil {
		t.Fatal(err)
	}
	var set event.Set = script
	if script == nil {
		if set, err = event.New(); err != nil {
			t.Fatal(err)
		}
	}
	out, in := io.Pipe()
	go r.log.readFrom(out)
	r.s = newServer(opts, &logger{w: in, debugs: true}, set)
	ld := &loader{opts: opts, env: []string{"PATH=/usr/bin:/bin"}, ipv6: hasIPv6()}
	r.s.load, r.s.again = ld.load, ld.again
	r.s.now = r.clock.Now
	r.s.after = func(d time.Duration, f func()) stopper {
		return r.clock.afterFunc(d, func() { set.Post(f) })
	}
	bind := r.s.bind
	r.s.bind = func(a sock.Addr, o sock.Options) (int, error) {
		r.binds = append(r.binds, r.clock.since())
		if r.bindErr != nil {
			return -1, r.bindErr
		}
		return bind(a, o)
	}
	start := r.s.start
	r.s.start = func(p *child.Plan, fd int, meanwhile func()) (int, int, error) {
		if len(r.startErr) > 0 {
			err := r.startErr[0]
			r.startErr = r.startErr[1:]
			if err != nil {
				return 0, -1, err
			}
		}
		if r.script == nil {
			return start(p, fd, meanwhile)
		}
		return r.note(p, fd)
	}
	t.Cleanup(func() {
		set.Post(r.s.stop)
		if err := <-r.done; err != nil {
			t.Errorf("the loop ends with %v", err)
		}
		r.s.shutdown()
		for _, s := range r.started {
			unix.Close(s.fd)
		}
		set.Close()
		in.Close()
		if t.Failed() {
			t.Logf("log:\n%s", r.log)
		}
	})
	return r
}

// run begins the loop with the configuration in force.
func (r *rig) run() {
	r.t.Helper()
	cfg, err := r.s.load()
	if err != nil {
		r.t.Fatal(err)
	}
	r.s.report(cfg)
	r.s.apply(cfg)
	go func() { r.done <- r.s.run() }()
}

func (r *rig) write(text string) {
	r.t.Helper()
	if err := os.WriteFile(r.file, []byte(text), 0o644); err != nil {
		r.t.Fatal(err)
	}
}

// do runs f inside the loop.
func (r *rig) do(f func()) {
	r.t.Helper()
	done := make(chan struct{})
	r.s.set.Post(func() { f(); close(done) })
	select {
	case <-done:
	case <-time.After(patience):
		r.t.Fatal("the loop is stuck")
	}
}

// ready tells the script that a client is at an entry's socket. The kernel
// knows by itself.
func (r *rig) ready(label string) {
	r.t.Helper()
	if r.script == nil {
		return
	}
	fd := -1
	r.do(func() {
		for _, l := range r.entry(label).listeners {
			fd = l.fd
		}
	})
	r.script.Ready(fd)
	r.script.Settle()
}

// entry is for functions inside the loop.
func (r *rig) entry(label string) *entry {
	for _, e := range r.s.entries {
		if e.label == label {
			return e
		}
	}
	r.t.Fatalf("no entry %s", label)
	return nil
}

// want waits until ok, asked inside the loop, is true.
func (r *rig) want(what string, ok func() bool) {
	r.t.Helper()
	eventually(r.t, what, func() bool {
		is := false
		r.do(func() { is = ok() })
		return is
	})
}

// never checks that ok, asked inside the loop after whatever is under way, is
// false.
func (r *rig) never(what string, ok func() bool) {
	r.t.Helper()
	for range 3 {
		r.do(func() {
			if ok() {
				r.t.Errorf("%s", what)
			}
		})
	}
}

// running waits until an entry has so many servers.
func (r *rig) running(label string, n int) {
	r.t.Helper()
	r.want(fmt.Sprintf("%d servers of %s", n, label), func() bool { return r.entry(label).tally.Running() == n })
}

// watching waits until the loop watches an entry's sockets, or does not.
func (r *rig) watching(label string, want bool) {
	r.t.Helper()
	r.want(fmt.Sprintf("watching %s %v", label, want), func() bool {
		for _, l := range r.entry(label).listeners {
			if l.watched != want {
				return false
			}
		}
		return true
	})
	if r.script == nil {
		return
	}
	r.script.Settle()
	var fds []int
	r.do(func() {
		for _, l := range r.entry(label).listeners {
			fds = append(fds, l.fd)
		}
	})
	for _, fd := range fds {
		if slices.Contains(r.script.Watched(), fd) != want {
			r.t.Errorf("the set has the socket of %s: %v, want %v", label, !want, want)
		}
	}
}

// note is a server that only the script knows of.
func (r *rig) note(p *child.Plan, fd int) (pid, pidfd int, err error) {
	dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return 0, -1, err
	}
	s := &startedServer{pid: 100000 + len(r.started), plan: p, fd: dup}
	r.started = append(r.started, s)
	return s.pid, -1, nil
}

// end lets the oldest server that the script knows of end. On the kernel
// servers end by themselves, as their clients leave.
func (r *rig) end(status unix.WaitStatus) {
	r.t.Helper()
	if r.script == nil {
		return
	}
	pids := r.script.Children()
	if len(pids) == 0 {
		r.t.Fatal("no server is running")
	}
	r.do(func() {
		for _, s := range r.started {
			if s.pid == pids[0] && s.fd >= 0 {
				unix.Close(s.fd)
				s.fd = -1
			}
		}
	})
	r.script.Exit(pids[0], status)
	r.script.Settle()
}

// connect is a client at an entry, whom the loop knows of.
func (r *rig) connect(label string, port int) net.Conn {
	r.t.Helper()
	c := dial(r.t, "tcp", local(port))
	r.ready(label)
	return c
}

// A fakeClock stands still until it is moved, and runs timers as it passes
// them.
type fakeClock struct {
	mu     sync.Mutex
	now    time.Time
	begin  time.Time
	timers []*fakeTimer
}

type fakeTimer struct {
	c  *fakeClock
	at time.Time
	f  func()
}

func newFakeClock() *fakeClock {
	begin := time.Date(2026, 2, 28, 23, 59, 50, 0, time.UTC)
	return &fakeClock{now: begin, begin: begin}
}

func (c *fakeClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *fakeClock) since() time.Duration { return c.Now().Sub(c.begin) }

func (c *fakeClock) afterFunc(d time.Duration, f func()) stopper {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := &fakeTimer{c, c.now.Add(d), f}
	c.timers = append(c.timers, t)
	return t
}

func (t *fakeTimer) Stop() bool {
	t.c.mu.Lock()
	defer t.c.mu.Unlock()
	i := slices.Index(t.c.timers, t)
	if i >= 0 {
		t.c.timers = slices.Delete(t.c.timers, i, i+1)
	}
	return i >= 0
}

// pass moves the clock of a rig from timer to timer, and lets the loop do what
// each asks for before the next.
func (r *rig) pass(d time.Duration) {
	r.t.Helper()
	c := r.clock
	end := c.Now().Add(d)
	for {
		c.mu.Lock()
		var next *fakeTimer
		for _, t := range c.timers {
			if !t.at.After(end) && (next == nil || t.at.Before(next.at)) {
				next = t
			}
		}
		if next == nil {
			c.now = end
			c.mu.Unlock()
			r.do(func() {})
			return
		}
		c.now = next.at
		c.mu.Unlock()
		next.Stop()
		next.f()
		r.do(func() {})
	}
}

// A connection gets a server of its own, and the listener is watched all the
// time.
func TestLoopNowait(t *testing.T) {
	p := freePort(t)
	label := fmt.Sprintf("%d/tcp", p)
	onBoth(t, in("%d stream tcp4 nowait $me /bin/cat cat -u\n", p), func(t *testing.T, r *rig) {
		r.run()
		r.watching(label, true)
		first := r.connect(label, p)
		r.running(label, 1)
		r.watching(label, true)
		second := r.connect(label, p)
		r.running(label, 2)
		if r.script == nil {
			wantEcho(t, first, "one")
			wantEcho(t, second, "two")
		} else {
			r.do(func() {
				for i, c := range []net.Conn{first, second} {
					s := r.started[i]
					if s.plan.Path != "/bin/cat" || !slices.Equal(s.plan.Argv, []string{"cat", "-u"}) {
						t.Errorf("plan of server %d = %+v", i, s.plan)
					}
					// It is this client's connection.
					c.Write([]byte{'0' + byte(i)})
					b := make([]byte, 4)
					if n, err := unix.Read(s.fd, b); err != nil || string(b[:n]) != fmt.Sprint(i) {
						t.Errorf("server %d reads %q, %v", i, b[:max(n, 0)], err)
					}
				}
			})
		}
		first.Close()
		r.end(0)
		r.running(label, 1)
		second.Close()
		r.end(0)
		r.running(label, 0)
		r.watching(label, true)
	})
}

// While a wait server has the socket nobody watches it, however often the set
// says that it is readable.
func TestLoopWait(t *testing.T) {
	p := freePort(t)
	label := fmt.Sprintf("%d/udp", p)
	onBoth(t, in("%d dgram udp4 wait $me $self srv.datagrams 2\n", p), func(t *testing.T, r *rig) {
		r.run()
		for round := range 3 {
			r.watching(label, true)
			c := dial(t, "udp4", local(p))
			c.Write([]byte("one"))
			if r.script != nil {
				// Two events are under way before the first is dealt with.
				fd := -1
				r.do(func() { fd = r.entry(label).listeners[0].fd; r.script.Ready(fd); r.script.Ready(fd) })
				r.script.Settle()
			}
			r.running(label, 1)
			r.watching(label, false)
			if r.script == nil {
				buf := make([]byte, 64)
				c.Read(buf)
				c.Write([]byte("two"))
				c.Read(buf)
			} else {
				r.do(func() {
					if n := len(r.started); n != round+1 {
						t.Errorf("%d servers were started, want %d", n, round+1)
					}
					s := r.started[round]
					unix.Read(s.fd, make([]byte, 64))
				})
				r.end(0)
			}
			r.running(label, 0)
		}
		r.watching(label, true)
	})
}

// With as many servers as may be, clients wait in the queue.
func TestLoopFull(t *testing.T) {
	p := freePort(t)
	label := fmt.Sprintf("%d/tcp", p)
	onBoth(t, in("%d stream tcp4 nowait/2 $me /bin/cat cat\n", p), func(t *testing.T, r *rig) {
		r.run()
		var clients []net.Conn
		for range 2 {
			r.watching(label, true)
			clients = append(clients, r.connect(label, p))
			r.running(label, len(clients))
		}
		r.watching(label, false)
		third := r.connect(label, p)
		r.never("three servers of two", func() bool { return r.entry(label).tally.Running() > 2 })
		clients[0].Close()
		r.end(0)
		if r.script != nil {
			r.watching(label, true)
			r.ready(label)
		}
		r.want("the third", func() bool { return strings.Count(r.log.String(), "started for") == 3 })
		third.Close()
		clients[1].Close()
		r.end(0)
		r.end(0)
		r.running(label, 0)
		r.watching(label, true)
	})
}

// Whoever comes as a server ends gets its place, though clients are served
// before the dead are buried.
func TestLoopPlace(t *testing.T) {
	t.Parallel()
	p := freePort(t)
	label := fmt.Sprintf("%d/tcp", p)
	r := newRig(t, eventtest.New(), in("%d stream tcp4 nowait/0/0/1 $me /bin/cat cat\n", p), nil)
	r.run()
	r.connect(label, p)
	r.running(label, 1)
	dial(t, "tcp", local(p))
	fd := -1
	r.do(func() { fd = r.entry(label).listeners[0].fd })
	began, both := make(chan struct{}), make(chan struct{})
	r.script.Post(func() { close(began); <-both })
	<-began
	r.script.Exit(r.script.Children()[0], 0)
	r.script.Ready(fd)
	close(both)
	r.script.Settle()
	eventually(t, "a word on the second", func() bool { return strings.Count(r.log.String(), "127.0.0.1:") == 2 })
	if strings.Count(r.log.String(), "started for") != 2 {
		t.Error("the second is not served")
	}
}

// A fullSet has no room for children.
type fullSet struct{ event.Set }

func (c fullSet) Child(pid, pidfd int, tag any) error {
	if pidfd >= 0 {
		unix.Close(pidfd)
	}
	return unix.ENOSPC
}

// A server that the event set cannot take in gives its place back all the same.
func TestLoopCrowded(t *testing.T) {
	t.Parallel()
	p := freePort(t)
	r := newRig(t, nil, in("%d stream tcp4 nowait/1 $me /bin/cat cat\n", p), nil)
	r.s.set = fullSet{r.s.set}
	r.run()
	for range 3 {
		wantAnswer(t, "tcp4", local(p), "hello\n", "hello\n")
	}
}

// Ten minutes are ten minutes: the service that was started too often is down
// until then and not longer, and others do not notice.
func TestLoopRest(t *testing.T) {
	p, q := freePort(t), freePort(t)
	label, other := fmt.Sprintf("%d/tcp", p), fmt.Sprintf("%d/tcp", q)
	conf := in("%d stream tcp4 nowait.2 $me /bin/cat cat\n%d stream tcp4 nowait.2 $me /bin/cat cat\n", p, q)
	onBoth(t, conf, func(t *testing.T, r *rig) {
		r.run()
		serve := func(label string, port int) {
			t.Helper()
			c := r.connect(label, port)
			r.running(label, 1)
			c.Close()
			r.end(0)
			r.running(label, 0)
		}
		overdo := func() {
			t.Helper()
			mark := r.log.mark()
			serve(label, p)
			serve(label, p)
			c := r.connect(label, p)
			if n, err := c.Read(make([]byte, 1)); n > 0 || err == nil {
				t.Errorf("third client reads %d, %v, want the end", n, err)
			}
			r.log.wait(t, mark, label+` server failing \(looping\), service terminated for 10 min`)
			r.watching(label, false)
			wantRefused(t, "tcp", local(p))
			serve(other, q)
		}
		overdo()
		mark := r.log.mark()
		r.pass(admit.Rest - time.Nanosecond)
		r.watching(label, false)
		wantRefused(t, "tcp", local(p))
		if n := r.log.count(mark, "back in service"); n != 0 {
			t.Error("back before ten minutes have passed")
		}
		r.pass(time.Nanosecond)
		r.log.wait(t, mark, label+": back in service")
		r.watching(label, true)
		// The count begins anew, and so does the rest.
		overdo()
		r.pass(time.Minute)
		mark = r.log.mark()
		r.do(r.s.lift)
		r.log.wait(t, mark, label+": back in service")
		overdo()
		r.pass(admit.Rest - time.Minute) // when the rest before would have ended
		r.watching(label, false)
		r.pass(time.Minute)
		r.watching(label, true)
	})
}

// A port that is taken is tried for again after 1, 2, 4 … seconds, then every
// minute; the log has one line when it goes and one when it comes.
func TestLoopBindRetry(t *testing.T) {
	p := freePort(t)
	label := fmt.Sprintf("%d/tcp", p)
	onBoth(t, in("%d stream tcp4 nowait $me /bin/cat cat\n", p), func(t *testing.T, r *rig) {
		r.bindErr = fmt.Errorf("bind: %w", unix.EADDRINUSE)
		r.run()
		r.pass(4 * time.Minute)
		var want []time.Duration
		for _, s := range []int{0, 1, 3, 7, 15, 31, 63, 123, 183} {
			want = append(want, time.Duration(s)*time.Second)
		}
		r.do(func() {
			if !slices.Equal(r.binds, want) {
				t.Errorf("tries at %v, want %v", r.binds, want)
			}
			r.bindErr = nil
		})
		r.pass(time.Minute)
		r.watching(label, true)
		r.log.wait(t, 0, `listening now`)
		for _, re := range []string{`bind: address already in use .*:1\), will try again`, `listening now`} {
			if n := r.log.count(0, re); n != 1 {
				t.Errorf("%d lines like %q, want 1", n, re)
			}
		}
		c := r.connect(label, p)
		r.running(label, 1)
		c.Close()
		r.end(0)

		// A reload tries at once.
		r.do(func() { r.bindErr = fmt.Errorf("bind: %w", unix.EADDRNOTAVAIL) })
		r.write(in("127.0.0.1:%d stream tcp4 nowait $me /bin/cat cat\n", p))
		reloaded := func() {
			t.Helper()
			mark := r.log.mark()
			r.do(r.s.reload)
			r.log.wait(t, mark, `reload: \d+ added`)
		}
		reloaded()
		r.do(func() { r.bindErr = nil })
		reloaded()
		r.watching("127.0.0.1:"+label, true)

		// Tries before their time do not make the next one later.
		r.do(func() { r.bindErr = fmt.Errorf("bind: %w", unix.EADDRINUSE) })
		r.write(in("127.0.0.2:%d stream tcp4 nowait $me /bin/cat cat\n", p))
		for range 5 {
			reloaded()
		}
		r.do(func() { r.bindErr = nil })
		r.pass(firstRetry)
		r.watching("127.0.0.2:"+label, true)
	})
}

// An error that stays has the loop look again later, not at once.
func TestLoopErrorPauses(t *testing.T) {
	t.Parallel()
	for _, conf := range []string{
		in("%d dgram udp4 wait $me internal echo\n", freePort(t)),
		in("%d stream tcp4 nowait $me internal daytime\n", freePort(t)),
	} {
		r := newRig(t, nil, conf, nil)
		r.run()
		r.do(func() {
			l := r.s.entries[0].listeners[0]
			null, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
			if err != nil {
				t.Error(err)
				return
			}
			defer unix.Close(null)
			defer func(was int) { l.fd = was }(l.fd)
			l.fd = null // ENOTSOCK
			r.s.arrive(l)
			first := l.backoff
			l.backoff, l.watched = false, true
			r.s.arrive(l)
			if !first || l.failures != 2 {
				t.Errorf("%s: paused %v, %d failures, want a pause that grows", r.s.entries[0].label, first, l.failures)
			}
		})
	}
}

// A client that is refused, or answered at once, leaves nothing to collect but
// the reason.
func TestLoopAllocations(t *testing.T) {
	refused, answered := freePort(t), freePort(t)
	r := newRig(t, nil, in("%d stream tcp4 nowait.0/0/1 $me /bin/cat cat\n%d stream tcp4 nowait.0 $me internal daytime\n", refused, answered), nil)
	r.run()
	for port, want := range map[int]float64{refused: 1, answered: 0} {
		label := fmt.Sprintf("%d/tcp", port)
		c := r.connect(label, port)
		if port == refused {
			r.running(label, 1)
			c.Close()
			r.running(label, 0)
		}
		r.do(func() {
			e := r.entry(label)
			c := conn{fd: -1, own: true, peer: netip.MustParseAddrPort("127.0.0.1:1024"), l: e.listeners[0], e: e}
			r.s.screen(c)
			if n := testing.AllocsPerRun(100, func() { r.s.screen(c) }); n > want {
				t.Errorf("%s: %v allocations for a client, want %v", label, n, want)
			}
		})
	}
}

// Of a flood of refused clients the log has the first and, a minute later, how
// many more there were.
func TestLoopRefusals(t *testing.T) {
	p := freePort(t)
	label := fmt.Sprintf("%d/tcp", p)
	onBoth(t, in("%d stream tcp4 nowait/0/1 $me /bin/cat cat\n", p), func(t *testing.T, r *rig) {
		r.run()
		c := r.connect(label, p)
		r.running(label, 1)
		c.Close()
		r.end(0)
		r.running(label, 0)
		for range 10 {
			c := r.connect(label, p)
			if n, err := c.Read(make([]byte, 1)); n > 0 || err == nil {
				t.Errorf("refused client reads %d, %v, want the end", n, err)
			}
		}
		r.do(func() {})
		if n := r.log.count(0, "refused"); n != 1 {
			t.Errorf("%d lines for ten refused clients, want 1", n)
		}
		r.pass(time.Minute)
		r.log.wait(t, 0, label+`: refused 9 more clients`)
		// The episode is over when a minute has passed without one.
		r.pass(time.Minute)
		c = r.connect(label, p)
		r.running(label, 1)
		c.Close()
		r.end(0)
		r.running(label, 0)
		r.connect(label, p)
		r.want("a new episode", func() bool { return r.log.count(0, "refused 127") == 2 })
	})
}

// A reaping set counts how often it is asked to.
type reaping struct {
	event.Set
	n int
}

func (r *reaping) Reap() {
	r.n++
	r.Set.Reap()
}

// The dead count as processes: where there is no room for one they go first.
func TestLoopNoProcess(t *testing.T) {
	t.Parallel()
	p := freePort(t)
	label := fmt.Sprintf("%d/tcp", p)
	r := newRig(t, eventtest.New(), in("%d stream tcp4 nowait $me /bin/cat cat\n", p), nil)
	set := &reaping{Set: r.s.set}
	r.s.set = set
	start := r.s.start
	var reaped []int
	r.s.start = func(p *child.Plan, fd int, meanwhile func()) (int, int, error) {
		reaped = append(reaped, set.n)
		return start(p, fd, meanwhile)
	}
	r.startErr = []error{unix.EAGAIN}
	r.run()
	r.connect(label, p)
	r.running(label, 1)
	r.do(func() {
		if !slices.Equal(reaped, []int{0, 1}) {
			t.Errorf("reaped before each start: %v, want [0 1]", reaped)
		}
	})
}

// A server that cannot be started costs its client the connection and nothing
// else.
func TestLoopStartFails(t *testing.T) {
	p := freePort(t)
	label := fmt.Sprintf("%d/tcp", p)
	onBoth(t, in("%d stream tcp4 nowait/1 $me /bin/cat cat\n", p), func(t *testing.T, r *rig) {
		r.run()
		for range 3 {
			mark := r.log.mark()
			r.do(func() { r.startErr = []error{fmt.Errorf("execv /bin/cat: %w", unix.ENOENT)} })
			c := r.connect(label, p)
			if n, err := c.Read(make([]byte, 1)); n > 0 || err == nil {
				t.Errorf("client of a server that cannot start reads %d, %v, want the end", n, err)
			}
			r.log.wait(t, mark, label+`: execv /bin/cat: no such file or directory \(.*:1\)`)
			r.running(label, 0)
			r.watching(label, true)
		}
	})
}

// A fork that fails for want of descriptors is tried again with those that are
// kept back.
func TestLoopSpare(t *testing.T) {
	p := freePort(t)
	label := fmt.Sprintf("%d/tcp", p)
	onBoth(t, in("%d stream tcp4 nowait $me /bin/cat cat\n", p), func(t *testing.T, r *rig) {
		if !r.s.spare.fill() {
			t.Fatal("no descriptors to keep back")
		}
		r.run()
		r.do(func() { r.startErr = []error{fmt.Errorf("fork: %w", unix.EMFILE), nil} })
		c := r.connect(label, p)
		r.running(label, 1)
		c.Close()
		r.end(0)
		r.running(label, 0)
		r.do(func() {
			for _, fd := range r.s.spare {
				if fd < 0 {
					t.Errorf("kept back are %v, want all again", r.s.spare)
				}
			}
			r.s.spare.release()
		})
	})
}

// A wait server that leaves its datagram in the queue is not started for it
// again and again: the datagram goes, and after each such server the socket is
// left alone for longer.
func TestLoopUnread(t *testing.T) {
	p := freePort(t)
	label := fmt.Sprintf("%d/udp", p)
	onBoth(t, in("%d dgram udp4 wait.0 $me $self srv.exit 0\n", p), func(t *testing.T, r *rig) {
		r.run()
		c := dial(t, "udp4", local(p))
		started := func() int { return r.log.count(0, "started for") }
		for round, wait := range []time.Duration{100 * time.Millisecond, 200 * time.Millisecond, 400 * time.Millisecond, 800 * time.Millisecond} {
			r.watching(label, true)
			c.Write([]byte("hello"))
			r.ready(label)
			r.want("a server", func() bool { return started() == round+1 })
			r.end(0)
			r.running(label, 0)
			r.watching(label, false)
			r.do(func() {
				if _, ok := sock.Peek(r.entry(label).listeners[0].fd); ok {
					t.Error("the datagram is still there")
				}
			})
			r.pass(wait - 1)
			r.watching(label, false)
			r.pass(1)
			r.watching(label, true)
		}
		if n := r.log.count(0, "left its datagram unread, dropped"); n != 1 {
			t.Errorf("%d lines say that a datagram was left, want 1", n)
		}
	})
}

// Requests to reload that come while one is under way are one more reading.
func TestLoopReloadsAtOnce(t *testing.T) {
	p := freePort(t)
	label := fmt.Sprintf("%d/tcp", p)
	onBoth(t, "", func(t *testing.T, r *rig) {
		load := r.s.load
		gate := make(chan struct{})
		readings := make(chan int, 10)
		r.run()
		n := 0
		r.do(func() {
			r.s.load = func() (*config, error) {
				n++
				readings <- n
				<-gate
				return load()
			}
		})
		r.do(r.s.reload)
		<-readings
		for range 5 {
			r.do(r.s.reload)
		}
		r.write(in("%d stream tcp4 nowait $me /bin/cat cat\n", p))
		gate <- struct{}{}
		<-readings
		gate <- struct{}{}
		r.want("the end of it", func() bool { return !r.s.loading })
		r.watching(label, true)
		if len(readings) > 0 {
			t.Error("there is a third reading")
		}
	})
}

// Entries come and go in the order of the files, and what stays keeps its
// counters, its socket and its servers.
func TestLoopReload(t *testing.T) {
	p, q := freePort(t), freePort(t)
	label, other := fmt.Sprintf("%d/tcp", p), fmt.Sprintf("%d/tcp", q)
	first := in("%d stream tcp4 nowait/2 $me /bin/cat cat\n", p)
	onBoth(t, first, func(t *testing.T, r *rig) {
		r.run()
		c := r.connect(label, p)
		r.running(label, 1)
		fd := -1
		r.do(func() { fd = r.entry(label).listeners[0].fd })
		reload := func(text, want string) {
			t.Helper()
			r.write(text)
			mark := r.log.mark()
			r.do(r.s.reload)
			if got := r.log.wait(t, mark, `reload: \d+ added`); !strings.HasSuffix(got, want) {
				t.Errorf("reload = %q, want %q", got, want)
			}
		}
		reload(in("%d stream tcp4 nowait $me /bin/cat cat\n", q)+strings.Replace(first, "/2", "/1", 1), "reload: 1 added, 1 changed, 0 removed, 0 kept")
		r.running(label, 1)
		r.watching(label, false) // one of one is running
		r.watching(other, true)
		r.do(func() {
			if e := r.entry(label); e.listeners[0].fd != fd || r.s.entries[1] != e {
				t.Errorf("after the reload the socket is %d, want %d", e.listeners[0].fd, fd)
			}
		})
		c.Close()
		r.end(0)
		r.running(label, 0)
		r.watching(label, true)
		reload(first, "reload: 0 added, 1 changed, 1 removed, 0 kept")
		reload(first, "reload: 0 added, 0 changed, 0 removed, 1 kept")
		if r.script != nil {
			r.script.Settle()
			if got := r.script.Watched(); !slices.Equal(got, []int{fd}) {
				t.Errorf("the set has %v, want %v alone", got, fd)
			}
		}
	})
}
