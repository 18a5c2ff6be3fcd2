//go:build linux

package main

import (
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

var sizes = []int{10, 1_000, 5_000}

// manyServices runs a daemon of each kind for each size, all at once.
func manyServices(b *bench) error {
	p := &b.progs
	if b.nofile() < 12_000 {
		return skipped("needs 12,000 descriptors a process (ulimit -n)")
	}
	kinds := []struct {
		name  string
		need  []string
		start func([]entry) (*daemon, error)
	}{
		{"ours", nil, func(es []entry) (*daemon, error) { return b.ours(es) }},
		{"openbsd-inetd", []string{p.openbsd}, func(es []entry) (*daemon, error) { return b.openbsd(es) }},
	}
	var latency, reload, start, memory []contender
	var notes []string
	for _, k := range kinds {
		var ds []*daemon
		var services [][]entry
		up, left, err := b.launch([]starter{{k.name, k.need, func() (d *daemon, err error) {
			for _, n := range sizes {
				es := b.at(n, p.hello, "hello")
				if d, err = k.start(es); err != nil {
					return nil, err
				}
				ds, services = append(ds, d), append(services, es)
			}
			return d, nil
		}}})
		if err != nil {
			return err
		}
		notes = append(notes, left...)
		if len(up) == 0 {
			continue
		}
		latency = append(latency, contender{name: k.name, measure: func() ([]float64, error) {
			vs, err := each(ds, func(i int) (float64, error) {
				l, err := served(services[i][sizes[i]-1].addr, 1, b.options.time)
				return percentile(l.waits, 0.5), err
			})
			if err != nil {
				return nil, err
			}
			return append(vs, vs[len(vs)-1]/vs[0]), nil
		}})
		reload = append(reload, contender{name: k.name, measure: func() ([]float64, error) {
			return each(ds, func(i int) (float64, error) { return ds[i].reload(services[i]) })
		}})
		start = append(start, contender{name: k.name, measure: func() ([]float64, error) {
			return each(ds, func(i int) (float64, error) {
				es := b.at(sizes[i], p.hello, "hello")
				began := time.Now()
				d, err := k.start(es)
				if err != nil {
					return none, err
				}
				took := ms(time.Since(began))
				b.end(d)
				return took, nil
			})
		}})
		memory = append(memory, contender{name: k.name, measure: func() ([]float64, error) {
			return each(ds, func(i int) (float64, error) {
				kb, err := pss(ds[i].pid)
				return float64(kb), err
			})
		}})
	}
	with := func(unit string, ratio bool) (ms []measure) {
		for _, n := range sizes {
			ms = append(ms, measure{"at " + human(float64(n)), unit, ratio})
		}
		return ms
	}
	for _, t := range []struct {
		title    string
		times    int
		measures []measure
		cs       []contender
	}{
		{"10, 1,000 and 5,000 services: p50 of a connection to the last one, 1 client at a time", 1000, append(with("us", false), measure{"5,000/10", "", false}), latency},
		{"10, 1,000 and 5,000 services: memory (PSS)", 1, with("kB", true), memory},
		{"10, 1,000 and 5,000 services: from SIGHUP until an added one answers", 9, with("ms", true), reload},
		{"10, 1,000 and 5,000 services: from start until all of them answer", 9, with("ms", true), start},
	} {
		cs := t.cs
		t := &table{Work: "services", Title: t.title, Measures: t.measures, Notes: notes, times: min(b.options.rounds, t.times)}
		if err := b.rounds(t, cs); err != nil {
			return err
		}
	}
	return nil
}

func each(ds []*daemon, f func(int) (float64, error)) ([]float64, error) {
	var vs []float64
	for i := range ds {
		v, err := f(i)
		if err != nil {
			return nil, err
		}
		vs = append(vs, v)
	}
	return vs, nil
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
