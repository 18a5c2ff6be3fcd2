//go:build linux

package main

import (
	"bytes"
	"io"
	"math"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	forClients()
	os.Exit(m.Run())
}

func TestTinyPrograms(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("the machine code is amd64's")
	}
	// Not parallel: a test that forked while a program is written would keep
	// it open, and busy.
	hello := filepath.Join(t.TempDir(), "hello")
	if err := os.WriteFile(hello, tinyHello(), 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(hello).Output(); err != nil || string(out) != "hello\n" {
		t.Errorf("tinyHello prints %q, %v", out, err)
	}

	stay := filepath.Join(t.TempDir(), "hold")
	if err := os.WriteFile(stay, tinyHold(), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(stay)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 6)
	if _, err := io.ReadFull(out, b); err != nil || string(b) != "hello\n" {
		t.Errorf("tinyHold prints %q, %v", b, err)
	}
	if _, err := io.WriteString(in, "more than one byte"); err != nil {
		t.Errorf("tinyHold is gone: %v", err)
	}
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Errorf("tinyHold ends with %v", err)
	}
}

func TestConverse(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		answer string
		ok     bool
	}{{"hello\n", true}, {"", false}} {
		ln, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		go func() {
			for {
				c, err := ln.Accept()
				if err != nil {
					return
				}
				io.WriteString(c, tt.answer)
				c.Close()
			}
		}()
		a := netip.MustParseAddrPort(ln.Addr().String())
		l, err := served(a, 2, 20*time.Millisecond)
		if (err == nil) != tt.ok {
			t.Errorf("served with answers %q: %v, want ok %v", tt.answer, err, tt.ok)
		}
		if l.conns == 0 || len(l.waits) != l.conns || (l.empty == 0) != tt.ok {
			t.Errorf("served with answers %q: %d conversations, %d waits, %d empty", tt.answer, l.conns, len(l.waits), l.empty)
		}
		l, err = converseFrom(a, 3, time.Minute, 100)
		if err != nil || l.conns != 100 {
			t.Errorf("converseFrom 100 sources: %d conversations, %v", l.conns, err)
		}
	}
}

func TestRounds(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	b := &bench{options: &options{rounds: 3}, out: &out}
	next := func(vs ...float64) func() ([]float64, error) {
		return func() ([]float64, error) {
			v := vs[0]
			vs = vs[1:]
			return []float64{v}, nil
		}
	}
	fails := func() ([]float64, error) { return nil, io.ErrUnexpectedEOF }
	tab := &table{Work: "work", Title: "title", Measures: []measure{{"rate", "/s", true}}}
	err := b.rounds(tab, []contender{
		{name: "ours", measure: next(100, 300, 200)},
		{name: "gone", measure: fails},
		{name: "theirs", measure: next(50, 100, 400)},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := "\nwork: title\n" +
		"          rate /s  ours/it\n" +
		"  ours        200     1.00\n" +
		"  theirs      100     2.00\n" + // the median of 2, 3 and 0.5
		"  gone left out: unexpected EOF\n"
	if out.String() != want {
		t.Errorf("rounds print\n%s\nwant\n%s", out.String(), want)
	}
	if err := b.rounds(&table{}, []contender{{name: "ours", measure: fails}}); err == nil {
		t.Error("rounds go on without ours")
	}
}

func TestHuman(t *testing.T) {
	t.Parallel()
	for f, want := range map[float64]string{
		0: "0", 7: "7", 0.5: "0.50", 9.876: "9.88", 45.67: "45.7", 999.6: "1,000", 1234567: "1,234,567", -1234: "-1,234", math.Inf(1): "-",
	} {
		if got := human(f); got != want {
			t.Errorf("human(%v) = %q, want %q", f, got, want)
		}
	}
}

func TestParseStrace(t *testing.T) {
	t.Parallel()
	text := `% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 17.97    0.000313          11        28           openat
 17.28    0.000301          20        15         1 poll
------ ----------- ----------- --------- --------- ----------------
100.00    0.001742           4       395        31 total
`
	got := parseStrace(text)
	if want := (map[string]int{"openat": 28, "poll": 15}); !reflect.DeepEqual(got, want) {
		t.Errorf("parseStrace = %v, want %v", got, want)
	}
	if got, want := summary(got, 10), "openat 2.8, poll 1.5"; got != want {
		t.Errorf("summary = %q, want %q", got, want)
	}
}

// What the kernel tells of a process is read from this one.
func TestProc(t *testing.T) {
	t.Parallel()
	pid := os.Getpid()
	if kb, err := pss(pid); err != nil || kb < 100 {
		t.Errorf("pss = %d, %v", kb, err)
	}
	if n, err := threads(pid); err != nil || n < 1 {
		t.Errorf("threads = %d, %v", n, err)
	}
	if n, err := switches(pid); err != nil || n < 1 {
		t.Errorf("switches = %d, %v", n, err)
	}
	before, err := cpuTime(pid)
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Millisecond); time.Now().Before(end); {
	}
	if after, err := cpuTime(pid); err != nil || after <= before {
		t.Errorf("cpuTime = %v and then %v, %v", before, after, err)
	}
	child := exec.Command("sleep", "60")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	all := descendants(pid)
	child.Process.Kill()
	child.Wait()
	found := false
	for _, p := range all {
		found = found || p == child.Process.Pid
	}
	if !found {
		t.Errorf("descendants = %v, without %d", all, child.Process.Pid)
	}
}

func TestConfigurations(t *testing.T) {
	t.Parallel()
	es := []entry{
		{addr: netip.MustParseAddrPort("127.0.0.2:20000"), proto: "tcp", argv: []string{"/bin/hello", "hello", "x"}},
		{addr: netip.MustParseAddrPort("10.9.9.1:7"), proto: "udp", internal: "echo"},
	}
	user := username()
	want := "127.0.0.2:20000 stream tcp4 nowait " + user + " /bin/hello hello x\n" +
		"10.9.9.1:echo dgram udp4 wait " + user + " internal\n"
	if got := inetdConf(es); got != want {
		t.Errorf("inetdConf = %q, want %q", got, want)
	}
	got := xinetdConf(es)
	for _, line := range []string{"service 20000", "bind = 127.0.0.2", "server_args = hello x", "type = INTERNAL UNLISTED", "wait = yes"} {
		if !strings.Contains(got, line) {
			t.Errorf("xinetdConf has no %q:\n%s", line, got)
		}
	}
}
