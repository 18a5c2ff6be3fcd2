//go:build linux

package main

import (
	"fmt"
	"time"
)

func refuse(b *bench) error {
	p := &b.progs
	up, notes, err := b.launch([]starter{
		{"ours, one start a minute and source", nil, func() (*daemon, error) { return b.ours(b.at(1, p.hello, "hello"), "-C", "1") }},
		{"accept4 and close in C", []string{p.refuse}, func() (*daemon, error) { return b.refuser(b.at(1)) }},
	})
	if err != nil {
		return err
	}
	t := &table{Work: "refuse", Title: "refused clients from one source, 8 at a time",
		Measures: []measure{{"refusals", "/s", true}, {"p99", "us", true}, {"daemon", "us/refusal", true}}, Notes: notes}
	var cs []contender
	for _, r := range up {
		cs = append(cs, contender{name: r.name, measure: func() ([]float64, error) {
			before, err := cpuTime(r.pid)
			if err != nil {
				return nil, err
			}
			l, err := converse(r.target, 8, b.options.time)
			if err != nil {
				return nil, err
			}
			after, err := cpuTime(r.pid)
			if err != nil {
				return nil, err
			}
			if l.conns-l.empty > 1 {
				return nil, fmt.Errorf("%d of %d clients were served", l.conns-l.empty, l.conns)
			}
			return []float64{l.rate(), percentile(l.waits, 0.99), us(after-before) / float64(l.conns)}, nil
		}})
	}
	if err := b.rounds(t, cs); err != nil {
		return err
	}
	b.stopAll()
	return b.manySources()
}

// manySources looks at the memory that the sources take. Each comes once, so
// that as many as the daemon can remember get a server.
func (b *bench) manySources() error {
	const sources = 100_000
	t := &table{Work: "refuse", Title: "100,000 sources, one start a minute for each: memory of the daemon (PSS)",
		times:    1,
		Measures: []measure{{"before", "kB", false}, {"after", "kB", false}, {"served", "", false}, {"refused", "", false}, {"took", "s", false}}}
	es := b.at(1, b.progs.hello, "hello")
	d, err := b.ours(es, "-C", "1")
	if err != nil {
		return err
	}
	return b.rounds(t, []contender{{name: "ours", measure: func() ([]float64, error) {
		before, err := pss(d.pid)
		if err != nil {
			return nil, err
		}
		l, err := converseFrom(d.target, 8, 2*time.Minute, sources)
		if err != nil {
			return nil, err
		}
		after, err := pss(d.pid)
		if err != nil {
			return nil, err
		}
		return []float64{float64(before), float64(after), float64(l.conns - l.empty), float64(l.empty), l.took.Seconds()}, nil
	}}})
}
