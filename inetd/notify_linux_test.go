package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A manager is the service manager's end of NOTIFY_SOCKET.
type manager struct {
	t    *testing.T
	conn *net.UnixConn
}

func newManager(t *testing.T, name string) *manager {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &manager{t, c}
}

// next is the next message, signs of life left out unless one is asked for.
func (m *manager) next(watchdog bool) string {
	m.t.Helper()
	m.conn.SetReadDeadline(time.Now().Add(patience))
	for {
		b := make([]byte, 4096)
		n, err := m.conn.Read(b)
		if err != nil {
			m.t.Fatalf("no message: %v", err)
		}
		if text := string(b[:n]); (text == "WATCHDOG=1") == watchdog {
			return text
		}
	}
}

func (m *manager) want(text string) {
	m.t.Helper()
	if got := m.next(false); got != text {
		m.t.Errorf("message = %q, want %q", got, text)
	}
}

// Where a service manager asks for it, the daemon is the process that was
// started, and tells when it listens, reads its files anew and ends.
func TestNotify(t *testing.T) {
	t.Parallel()
	for _, abstract := range []bool{false, true} {
		p, q := freePort(t), freePort(t)
		file, pidFile := writeConf(t, in("%d stream tcp nowait $me /usr/bin/env env\n", p))
		name := filepath.Join(t.TempDir(), "notify")
		if abstract {
			name = "@" + name
		}
		m := newManager(t, name)
		cmd := command("-E", "-p", pidFile, file)
		cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+name, "WATCHDOG_USEC=100000", "LEFT=alone")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		defer cmd.Process.Kill()
		m.want("READY=1")
		if got := readPid(t, pidFile); got != cmd.Process.Pid {
			t.Errorf("pid = %d, want %d, the one that was started", got, cmd.Process.Pid)
		}
		env, err := ask("tcp", local(p), "")
		if err != nil || !strings.Contains(env, "LEFT=alone") || strings.Contains(env, "NOTIFY_") || strings.Contains(env, "WATCHDOG_") {
			t.Errorf("environment of a server with -E = %q, %v, want it without the manager's variables", env, err)
		}
		m.next(true)
		m.next(true)

		if err := os.WriteFile(file, []byte(in("%d stream tcp nowait $me /bin/cat cat\n", q)), 0o644); err != nil {
			t.Fatal(err)
		}
		cmd.Process.Signal(unix.SIGHUP)
		var usec int64
		if text := m.next(false); !scans(text, "RELOADING=1\nMONOTONIC_USEC=%d", &usec) {
			t.Errorf("message = %q, want that it reloads", text)
		}
		var now unix.Timespec
		unix.ClockGettime(unix.CLOCK_MONOTONIC, &now)
		if ago := now.Nano()/1000 - usec; ago < 0 || ago > patience.Microseconds() {
			t.Errorf("it reloads since %d µs", ago)
		}
		m.want("READY=1")
		wantAnswer(t, "tcp", local(q), "hello\n", "hello\n")

		cmd.Process.Signal(unix.SIGTERM)
		m.want("STOPPING=1")
		if err := cmd.Wait(); err != nil {
			t.Errorf("exit on SIGTERM = %v, want success", err)
		}
	}
}

func scans(text, format string, args ...any) bool {
	n, err := fmt.Sscanf(text, format, args...)
	return err == nil && n == len(args)
}

// Signs of life end when the loop is stuck, and there are none that are meant
// for another process or go nowhere.
func TestNotifyWatchdog(t *testing.T) {
	name := filepath.Join(t.TempDir(), "notify")
	m := newManager(t, name)
	for _, tt := range []struct {
		usec, pid string
		every     time.Duration
	}{
		{"5000000", "", 2500 * time.Millisecond},
		{"5000000", fmt.Sprint(os.Getpid()), 2500 * time.Millisecond},
		{"5000000", "1", 0},
		{"", "", 0},
		{"soon", "", 0},
	} {
		t.Setenv("NOTIFY_SOCKET", name)
		t.Setenv("WATCHDOG_USEC", tt.usec)
		t.Setenv("WATCHDOG_PID", tt.pid)
		n, err := newNotifier()
		if err != nil {
			t.Fatal(err)
		}
		defer n.conn.Close()
		if n.every != tt.every {
			t.Errorf("WATCHDOG_USEC=%s WATCHDOG_PID=%s: every %v, want %v", tt.usec, tt.pid, n.every, tt.every)
		}
		for _, v := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} {
			if _, ok := os.LookupEnv(v); ok {
				t.Errorf("%s is still there", v)
			}
		}
	}

	t.Setenv("NOTIFY_SOCKET", name)
	t.Setenv("WATCHDOG_USEC", "5000000")
	n, err := newNotifier()
	if err != nil {
		t.Fatal(err)
	}
	defer n.conn.Close()
	var posted []func()
	s := &server{notify: n, after: func(d time.Duration, f func()) stopper {
		posted = append(posted, f)
		return nil
	}}
	s.sayAlive()
	m.next(true)
	if len(posted) != 1 {
		t.Fatalf("%d functions wait for the loop, want 1", len(posted))
	}
	m.conn.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
	if k, err := m.conn.Read(make([]byte, 99)); err == nil {
		t.Errorf("%d bytes although the loop does not turn", k)
	}
	posted[0]()
	m.next(true)
}
