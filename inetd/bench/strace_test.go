//go:build linux

package main

import (
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// What a connection may cost is counted, not timed: whatever else the daemon did
// for each, such as opening a file, would show.
func TestSystemCalls(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("other architectures have ForkExec, and no server of machine code")
	}
	// Not parallel, for the reason that TestTinyPrograms gives.
	b := &bench{options: &options{time: 500 * time.Millisecond}, dir: t.TempDir()}
	t.Cleanup(b.stopAll)
	var err error
	if b.progs.strace, err = exec.LookPath("strace"); err != nil {
		t.Skip(err)
	}
	b.progs.inetd = filepath.Join(b.dir, "inetd")
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", b.progs.inetd, "..").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	b.progs.hello = filepath.Join(b.dir, "hello")
	if err := os.WriteFile(b.progs.hello, tinyHello(), 0o755); err != nil {
		t.Fatal(err)
	}
	d, err := b.ours([]entry{{addr: freeAddr(t), proto: "tcp", argv: []string{b.progs.hello, "hello"}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := served(d.target, 1, 10*time.Millisecond); err != nil { // the first of all prepares
		t.Fatal(err)
	}
	calls, n, err := b.traced(d)
	if _, skip := err.(skipped); skip {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	most := map[string]int{
		// The daemon.
		"accept4": 1, "clone3": 1, "wait4": 1, "close": 2, "epoll_ctl": 2,
		// The child, on its way and as the server. That it is whom it was made is not
		// taken on trust.
		"close_range": 2, "setsid": 1, "setgroups": 1, "setgid": 1, "setuid": 1, "getgroups": 1, "getegid": 1, "geteuid": 1, "prlimit64": 1, "dup3": 3,
		"execve": 1, "write": 1,
	}
	// How often it sleeps, and the runtime looks around, depends on the machine.
	for _, name := range []string{"epoll_pwait", "futex", "nanosleep", "restart_syscall", "sched_yield", "tgkill", "getpid", "rt_sigreturn"} {
		delete(calls, name)
	}
	slack := 10 + n/10
	for name, got := range calls {
		if got > most[name]*n+slack {
			t.Errorf("%d connections took %s %d times, and not %d times each", n, name, got, most[name])
		}
	}
	for _, name := range []string{"accept4", "clone3", "execve"} {
		if calls[name] < n {
			t.Errorf("strace saw %s %d times in %d connections", name, calls[name], n)
		}
	}
	t.Logf("%d connections: %s", n, summary(calls, n))
}

// freeAddr is an address that nobody else has for the moment.
func freeAddr(t *testing.T) netip.AddrPort {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).AddrPort()
}
