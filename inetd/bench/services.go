//go:build linux

package main

import (
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

var sizes = []int{10, 1_000, 5_000}

// A kind is a daemon that can have many services.
type kind struct {
	name  string
	start func([]entry) (*daemon, error)
}

// manyServices looks at one daemon after the other for what it needs alone,
// and then has one of each kind and size run to compare how they serve.
func manyServices(b *bench) error {
	p := &b.progs
	if b.nofile() < 12_000 {
		return skipped("needs 12,000 descriptors a process (ulimit -n)")
	}
	kinds := []kind{{"ours", func(es []entry) (*daemon, error) { return b.ours(es) }}}
	if p.openbsd != "" {
		kinds = append(kinds, kind{"openbsd-inetd", func(es []entry) (*daemon, error) { return b.openbsd(es) }})
	}
	var start, memory, latency, reload []contender
	for _, k := range kinds {
		start = append(start, contender{name: k.name, measure: func() ([]float64, error) { return each(b.startTime, k) }})
		memory = append(memory, contender{name: k.name, measure: func() ([]float64, error) { return each(b.memory, k) }})
	}
	title := func(s string) string { return "10, 1,000 and 5,000 services: " + s }
	bySize := func(unit string, ratio bool) (ms []measure) {
		for _, n := range sizes {
			ms = append(ms, measure{"at " + human(float64(n)), unit, ratio})
		}
		return ms
	}
	if err := b.rounds(&table{Work: "services", Title: title("from start until all of them answer"),
		Measures: bySize("ms", true), times: min(b.options.rounds, 9)}, start); err != nil {
		return err
	}
	if err := b.rounds(&table{Work: "services", Title: title("memory of the daemon after some connections (PSS)"),
		Measures: bySize("kB", true), times: min(b.options.rounds, 3)}, memory); err != nil {
		return err
	}

	for _, k := range kinds {
		up := make(map[int]*daemon)
		services := make(map[int][]entry)
		for _, n := range sizes {
			services[n] = b.at(n, p.hello, "hello")
			var err error
			if up[n], err = k.start(services[n]); err != nil {
				return fmt.Errorf("%s: %w", k.name, err)
			}
		}
		latency = append(latency, contender{name: k.name, measure: func() ([]float64, error) {
			vs, err := each(func(n int, k kind) (float64, error) {
				l, err := served(services[n][n-1].addr, 1, b.options.time)
				return percentile(l.waits, 0.5), err
			}, k)
			if err != nil {
				return nil, err
			}
			return append(vs, vs[len(vs)-1]/vs[0]), nil
		}})
		reload = append(reload, contender{name: k.name, measure: func() ([]float64, error) {
			return each(func(n int, k kind) (float64, error) { return up[n].reload(services[n]) }, k)
		}})
	}
	if err := b.rounds(&table{Work: "services", Title: title("p50 of a connection to the last one, 1 client at a time"),
		Measures: append(bySize("us", false), measure{"5,000/10", "", false})}, latency); err != nil {
		return err
	}
	return b.rounds(&table{Work: "services", Title: title("from SIGHUP until an added one answers"),
		Measures: bySize("ms", true), times: min(b.options.rounds, 9)}, reload)
}

// each measures all sizes.
func each(f func(n int, k kind) (float64, error), k kind) ([]float64, error) {
	var vs []float64
	for _, n := range sizes {
		v, err := f(n, k)
		if err != nil {
			return nil, err
		}
		vs = append(vs, v)
	}
	return vs, nil
}

// startTime is in milliseconds.
func (b *bench) startTime(n int, k kind) (float64, error) {
	es := b.at(n, b.progs.hello, "hello")
	began := time.Now()
	d, err := k.start(es)
	if err != nil {
		return 0, err
	}
	took := ms(time.Since(began))
	b.end(d)
	return took, nil
}

// memory is the PSS in kB of a daemon that is the only one of its kind: what
// two of them share would count half.
func (b *bench) memory(n int, k kind) (float64, error) {
	es := b.at(n, b.progs.hello, "hello")
	d, err := k.start(es)
	if err != nil {
		return 0, err
	}
	defer b.end(d)
	if _, err := served(es[n-1].addr, 1, b.options.time); err != nil {
		return 0, err
	}
	// What the connections left to do, and to give back.
	time.Sleep(300 * time.Millisecond)
	kb, err := pss(d.pid)
	return float64(kb), err
}

// reload returns the milliseconds from a SIGHUP until a service that was added
// as the last line can be reached. It leaves the daemon as it was.
func (d *daemon) reload(es []entry) (float64, error) {
	last := es[len(es)-1]
	added := last
	added.addr = netip.AddrPortFrom(last.addr.Addr(), last.addr.Port()+1)
	if err := d.write(append(es[:len(es):len(es)], added)); err != nil {
		return 0, err
	}
	began := time.Now()
	unix.Kill(d.pid, unix.SIGHUP)
	if err := d.answers(added.addr, startTimeout); err != nil {
		return 0, err
	}
	took := ms(time.Since(began))
	if err := d.write(es); err != nil {
		return 0, err
	}
	unix.Kill(d.pid, unix.SIGHUP)
	for end := time.Now().Add(startTimeout); connectable(added.addr) == nil; {
		if time.Now().After(end) {
			return 0, fmt.Errorf("%s: still there after a reload without it", added.addr)
		}
		time.Sleep(time.Millisecond)
	}
	return took, nil
}
