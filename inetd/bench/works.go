//go:build linux

package main

import (
	"fmt"
	"net/netip"
	"time"
)

// A starter is a contender before it runs.
type starter struct {
	name  string
	need  []string // programs that must be there
	start func() (*daemon, error)
}

// A running contender.
type running struct {
	name string
	*daemon
}

// launch starts the contenders that are there, ours first: what is not
// installed has been said at the start. The notes say why others are missing.
func (b *bench) launch(ss []starter) (up []running, notes []string, err error) {
next:
	for i, s := range ss {
		for _, n := range s.need {
			if n == "" {
				continue next
			}
		}
		d, err := s.start()
		if err != nil && i == 0 {
			return nil, nil, fmt.Errorf("%s: %w", s.name, err)
		}
		if err != nil {
			notes = append(notes, fmt.Sprintf("%s left out: %v", s.name, err))
			continue
		}
		up = append(up, running{s.name, d})
	}
	return up, notes, nil
}

const floorName = "floor (accept4, vfork, execve)"

var connectionMeasures = []measure{
	{"connections", "/s", true}, {"p50", "us", false}, {"p99", "us", true}, {"daemon", "us/conn", false},
}

// compare loads each contender with so many clients at a time.
func (b *bench) compare(work, title string, clients int, up []running, notes []string) error {
	at := "1 client at a time"
	if clients > 1 {
		at = fmt.Sprintf("%d clients at a time", clients)
	}
	t := &table{Work: work, Title: title + ", " + at, Measures: connectionMeasures, Notes: notes}
	var cs []contender
	for _, r := range up {
		cs = append(cs, b.connecting(r, r.target, clients))
	}
	return b.rounds(t, cs)
}

// connecting is a contender whose clients connect to a.
func (b *bench) connecting(r running, a netip.AddrPort, clients int) contender {
	pool := new([]time.Duration)
	return contender{r.name, func() ([]float64, error) { return b.connections(r.daemon, a, clients, pool) }, pool}
}

// connections returns the connectionMeasures of one round. The daemon's time is
// its own process's alone.
func (b *bench) connections(d *daemon, a netip.AddrPort, clients int, pool *[]time.Duration) ([]float64, error) {
	before, err := cpuTime(d.pid)
	if err != nil {
		return nil, err
	}
	l, err := served(a, clients, b.options.time)
	if err != nil {
		return nil, err
	}
	after, err := cpuTime(d.pid)
	if err != nil {
		return nil, err
	}
	*pool = append(*pool, l.waits...)
	return []float64{l.rate(), percentile(l.waits, 0.50), percentile(l.waits, 0.99), us(after-before) / float64(l.conns)}, nil
}

func us(d time.Duration) float64 { return float64(d) / 1e3 }
func ms(d time.Duration) float64 { return float64(d) / 1e6 }
