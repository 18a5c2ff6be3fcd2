//go:build linux

package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// syscalls counts what a connection takes: the system calls of the daemon and of
// the server, which is the same for all, and how often the daemon sleeps.
func syscalls(b *bench) error {
	p := &b.progs
	if p.strace == "" {
		return skipped("strace is not installed")
	}
	hello := func() []entry { return b.at(1, p.hello, "hello") }
	up, notes, err := b.launch([]starter{
		{"ours", nil, func() (*daemon, error) { return b.ours(hello()) }},
		{floorName, []string{p.floor}, func() (*daemon, error) { return b.floor(hello()) }},
		{"tcpserver", []string{p.tcpserver}, func() (*daemon, error) { return b.tcpserver(hello()) }},
		{"xinetd", []string{p.xinetd}, func() (*daemon, error) { return b.xinetd(hello()) }},
		{"openbsd-inetd", []string{p.openbsd}, func() (*daemon, error) { return b.openbsd(hello()) }},
	})
	if err != nil {
		return err
	}
	t := &table{Work: "syscalls", Title: "system calls a connection, of the daemon and its server together",
		times:    1,
		Measures: []measure{{"calls", "", false}, {"switches, 1 client", "", false}, {"8 clients", "", false}}, Notes: notes}
	var cs []contender
	for _, r := range up {
		cs = append(cs, contender{name: r.name, measure: func() ([]float64, error) {
			var slept []float64
			for _, n := range []int{1, 8} {
				each, err := b.switchesEach(r.daemon, n)
				if err != nil {
					return nil, err
				}
				slept = append(slept, each)
			}
			calls, n, err := b.traced(r.daemon)
			if err != nil {
				return nil, err
			}
			sum := 0
			for _, c := range calls {
				sum += c
			}
			t.note("%s: %s", r.name, summary(calls, n))
			return append([]float64{float64(sum) / float64(n)}, slept...), nil
		}})
	}
	return b.rounds(t, cs)
}

// switchesEach is how often the daemon's threads go to sleep for a connection.
func (b *bench) switchesEach(d *daemon, clients int) (float64, error) {
	before, err := switches(d.pid)
	if err != nil {
		return 0, err
	}
	l, err := served(d.target, clients, 2*b.options.time)
	if err != nil {
		return 0, err
	}
	after, err := switches(d.pid)
	return float64(after-before) / float64(l.conns), err
}

// traced counts the calls by name while n connections are served.
func (b *bench) traced(d *daemon) (calls map[string]int, n int, err error) {
	out := b.file("strace")
	cmd := exec.Command(b.progs.strace, "-f", "-c", "-o", out, "-p", strconv.Itoa(d.pid))
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return nil, 0, err
	}
	if err := cmd.Start(); err != nil {
		return nil, 0, err
	}
	attached := make(chan bool, 1)
	go func() {
		sc := bufio.NewScanner(stderr)
		attached <- sc.Scan() && strings.Contains(sc.Text(), "attached")
		io.Copy(io.Discard, stderr)
	}()
	ok := false
	select {
	case ok = <-attached:
	case <-time.After(5 * time.Second):
	}
	if !ok {
		cmd.Process.Kill()
		cmd.Wait()
		return nil, 0, skipped("strace cannot attach")
	}
	l, err := served(d.target, 1, b.options.time)
	// What the last connection leaves to do, such as reaping.
	time.Sleep(50 * time.Millisecond)
	cmd.Process.Signal(unix.SIGINT)
	cmd.Wait()
	if err != nil {
		return nil, 0, err
	}
	text, err := os.ReadFile(out)
	if err != nil {
		return nil, 0, err
	}
	return parseStrace(string(text)), l.conns, nil
}

// parseStrace reads the table of strace -c: the call's name is the last field
// of a line, the number of calls the fourth.
func parseStrace(text string) map[string]int {
	calls := make(map[string]int)
	for line := range strings.Lines(text) {
		f := words(line)
		if len(f) < 5 || f[len(f)-1] == "total" {
			continue
		}
		if n, err := strconv.Atoi(f[3]); err == nil {
			calls[f[len(f)-1]] = n
		}
	}
	return calls
}

// summary lists the calls that a connection has at least every tenth time.
func summary(calls map[string]int, n int) string {
	type call struct {
		name string
		each float64
	}
	var all []call
	for name, c := range calls {
		if each := float64(c) / float64(n); each >= 0.1 {
			all = append(all, call{name, each})
		}
	}
	slices.SortFunc(all, func(a, b call) int {
		if a.each != b.each {
			if a.each > b.each {
				return -1
			}
			return 1
		}
		return strings.Compare(a.name, b.name)
	})
	var parts []string
	for _, c := range all {
		parts = append(parts, fmt.Sprintf("%s %.1f", c.name, c.each))
	}
	return strings.Join(parts, ", ")
}
