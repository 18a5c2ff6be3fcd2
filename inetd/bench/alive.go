//go:build linux

package main

import (
	"fmt"
	"math"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

func (b *bench) nofile() int {
	var limit unix.Rlimit
	unix.Getrlimit(unix.RLIMIT_NOFILE, &limit)
	return int(min(limit.Cur, math.MaxInt32))
}

// clients are connections that are open and have been served.
type clients []int

// hold connects n clients, each of which has got an answer: to what it sent,
// if it sends, or a greeting.
func hold(a netip.AddrPort, n int, sends bool) (cs clients, err error) {
	buf := make([]byte, 64)
	for range n {
		fd, err := dial(a, netip.Addr{})
		if err != nil {
			return cs, err
		}
		cs = append(cs, fd)
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: int64(stuck / time.Second)})
		if sends {
			send(fd, []byte("x"))
		}
		if got, err := read(fd, buf); got == 0 || err != nil {
			return cs, fmt.Errorf("%s: client %d got no answer: %v", a, len(cs), err)
		}
	}
	return cs, nil
}

func (cs clients) release() {
	for _, fd := range cs {
		reset(fd)
	}
}

// held opens connections to echo that then do nothing. openbsd-inetd and
// xinetd have a process for each, so they get fewer.
func held(b *bench) error {
	p := &b.progs
	const many, some = 10_000, 500
	if b.nofile() < many+1000 {
		return skipped("needs 11,000 descriptors a process (ulimit -n)")
	}
	up, notes, err := b.launch([]starter{
		{"ours", nil, func() (*daemon, error) { return b.ours(b.builtins()) }},
		{"openbsd-inetd", []string{p.openbsd}, func() (*daemon, error) { return b.openbsd(b.builtins()) }},
		{"xinetd", []string{p.xinetd}, func() (*daemon, error) { return b.xinetd(b.builtins()) }},
	})
	if err != nil {
		return err
	}
	t := &table{Work: "held", Title: "idle connections to echo/tcp; memory is PSS of all processes, without the kernel's",
		times: 1, // the memory stays allocated after the first
		Measures: []measure{{"connections", "", false}, {"memory each", "kB", true}, {"processes", "", false},
			{"daytime p50 before", "us", false}, {"with them", "us", true}, {"echo on one of them", "us", true}},
		Notes: notes}
	var cs []contender
	for i, r := range up {
		n := many
		if i > 0 {
			n = some
		}
		cs = append(cs, contender{name: r.name, measure: func() ([]float64, error) { return b.heldBy(r.daemon, n) }})
	}
	return b.rounds(t, cs)
}

func (b *bench) heldBy(d *daemon, n int) ([]float64, error) {
	before, err := served(on(d, daytimePort), 1, b.options.time/2)
	if err != nil {
		return nil, err
	}
	empty := pssTree(d.pid)
	cs, err := hold(on(d, echoPort), n, true)
	defer cs.release()
	if err != nil {
		return nil, err
	}
	processes := len(descendants(d.pid))
	each := float64(pssTree(d.pid)-empty) / float64(n)
	with, err := served(on(d, daytimePort), 1, b.options.time/2)
	if err != nil {
		return nil, err
	}
	var trips []float64
	buf := make([]byte, 64)
	for i := range 200 {
		fd := cs[i*n/200]
		began := time.Now()
		send(fd, []byte("x"))
		if got, err := read(fd, buf); got != 1 || err != nil {
			return nil, fmt.Errorf("an idle connection does not echo: %v", err)
		}
		trips = append(trips, us(time.Since(began)))
	}
	return []float64{float64(n), each, float64(processes), percentile(before.waits, 0.5), percentile(with.waits, 0.5), median(trips)}, nil
}

// children counts what servers that stay cost the daemon.
func children(b *bench) error {
	p := &b.progs
	const n = 500
	if b.nofile() < 2*n {
		return skipped("needs 1,000 descriptors a process (ulimit -n)")
	}
	stays := func() []entry { return b.at(1, p.hold, "hold") }
	up, notes, err := b.launch([]starter{
		{"ours", nil, func() (*daemon, error) { return b.ours(stays()) }},
		{"openbsd-inetd", []string{p.openbsd}, func() (*daemon, error) { return b.openbsd(stays()) }},
		{"xinetd", []string{p.xinetd}, func() (*daemon, error) { return b.xinetd(stays()) }},
		{"tcpserver", []string{p.tcpserver}, func() (*daemon, error) { return b.tcpserver(stays()) }},
	})
	if err != nil {
		return err
	}
	t := &table{Work: "children", Title: "500 servers alive; memory is the daemon's own PSS",
		times:    1, // the memory stays allocated after the first
		Measures: []measure{{"threads before", "", false}, {"with them", "", false}, {"memory before", "kB", true}, {"memory a server", "kB", false}},
		Notes:    notes}
	var cs []contender
	for _, r := range up {
		cs = append(cs, contender{name: r.name, measure: func() ([]float64, error) {
			// What the first ones cost is not what one more costs.
			warm, err := hold(r.target, 20, false)
			warm.release()
			if err != nil {
				return nil, err
			}
			threadsBefore, err := threads(r.pid)
			if err != nil {
				return nil, err
			}
			before, err := pss(r.pid)
			if err != nil {
				return nil, err
			}
			cs, err := hold(r.target, n, false)
			defer cs.release()
			if err != nil {
				return nil, err
			}
			threadsWith, err := threads(r.pid)
			if err != nil {
				return nil, err
			}
			with, err := pss(r.pid)
			if err != nil {
				return nil, err
			}
			return []float64{float64(threadsBefore), float64(threadsWith), float64(before), float64(with-before) / n}, nil
		}})
	}
	return b.rounds(t, cs)
}

// idle counts how often daemons wake up that have nothing to do.
func idle(b *bench) error {
	if b.options.idle <= 0 {
		return skipped("say -idle 1m")
	}
	p := &b.progs
	hello := func() []entry { return b.at(1, p.hello, "hello") }
	up, notes, err := b.launch([]starter{
		{"ours", nil, func() (*daemon, error) { return b.ours(hello()) }},
		{"openbsd-inetd", []string{p.openbsd}, func() (*daemon, error) { return b.openbsd(hello()) }},
		{"xinetd", []string{p.xinetd}, func() (*daemon, error) { return b.xinetd(hello()) }},
		{"tcpserver", []string{p.tcpserver}, func() (*daemon, error) { return b.tcpserver(hello()) }},
	})
	if err != nil {
		return err
	}
	for _, r := range up {
		if _, err := served(r.target, 8, b.options.time); err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
	}
	// The last of what the connections left to do.
	time.Sleep(20 * time.Second)
	count := func() (ns []int, err error) {
		for _, r := range up {
			n, err := switches(r.pid)
			if err != nil {
				return nil, err
			}
			ns = append(ns, n)
		}
		return ns, nil
	}
	before, err := count()
	if err != nil {
		return err
	}
	time.Sleep(b.options.idle)
	after, err := count()
	if err != nil {
		return err
	}
	t := &table{Work: "idle", Title: fmt.Sprintf("idle for %v after connections: context switches of all threads", b.options.idle),
		times:    1,
		Measures: []measure{{"switches", "", false}, {"a minute", "", false}}, Notes: notes}
	var cs []contender
	for i, r := range up {
		cs = append(cs, contender{name: r.name, measure: func() ([]float64, error) {
			n := float64(after[i] - before[i])
			return []float64{n, n / b.options.idle.Minutes()}, nil
		}})
	}
	return b.rounds(t, cs)
}
