//go:build linux

package main

import (
	"net/netip"
)

// echoPort and daytimePort are those that openbsd-inetd and xinetd know their
// built-ins by.
const (
	echoPort    = 7
	discardPort = 9
	daytimePort = 13
	chargenPort = 19
)

func (b *bench) builtins() []entry {
	ip := b.ip()
	var es []entry
	for _, s := range []struct {
		name string
		port uint16
	}{{"echo", echoPort}, {"discard", discardPort}, {"daytime", daytimePort}, {"chargen", chargenPort}} {
		es = append(es, entry{addr: netip.AddrPortFrom(ip, s.port), proto: "tcp", internal: s.name})
	}
	return es
}

func on(d *daemon, port uint16) netip.AddrPort { return netip.AddrPortFrom(d.target.Addr(), port) }

// echoUDP is echo at a, which is where datagrams for the daemon go.
func echoUDP(a netip.Addr) entry {
	return entry{addr: netip.AddrPortFrom(a, echoPort), proto: "udp", internal: "echo"}
}

func builtins(b *bench) error {
	p := &b.progs
	up, notes, err := b.launch([]starter{
		{"ours", nil, func() (*daemon, error) { return b.ours(append(b.builtins(), echoUDP(b.ip()))) }},
		{"openbsd-inetd", []string{p.openbsd}, func() (*daemon, error) { return b.openbsd(append(b.builtins(), echoUDP(otherNet))) }},
		{"xinetd", []string{p.xinetd}, func() (*daemon, error) { return b.xinetd(append(b.builtins(), echoUDP(b.ip()))) }},
	})
	if err != nil {
		return err
	}
	megabytes := func(port uint16, write, receive bool) func(*daemon) ([]float64, error) {
		return func(d *daemon) ([]float64, error) {
			rate, err := stream(on(d, port), b.options.time, write, receive)
			return []float64{rate / 1e6}, err
		}
	}
	mb := []measure{{"", "MB/s", true}}
	for _, s := range []struct {
		title    string
		measures []measure
		measure  func(*daemon) ([]float64, error) // nil: connections to daytime
	}{
		{"echo/tcp, one stream", mb, megabytes(echoPort, true, true)},
		{"discard/tcp, one stream", mb, megabytes(discardPort, true, false)},
		{"chargen/tcp, one stream", mb, megabytes(chargenPort, false, true)},
		{"daytime/tcp, 8 clients at a time", connectionMeasures, nil},
		{"echo/udp, 64 bytes, 32 in flight", []measure{{"answers", "/s", true}, {"lost", "%", false}}, func(d *daemon) ([]float64, error) {
			rate, lost, err := datagrams(d.udp, 64, 32, b.options.time)
			return []float64{rate, lost}, err
		}},
	} {
		var cs []contender
		for _, r := range up {
			if s.measure == nil {
				cs = append(cs, b.connecting(r, on(r.daemon, daytimePort), 8))
				continue
			}
			cs = append(cs, contender{name: r.name, measure: func() ([]float64, error) { return s.measure(r.daemon) }})
		}
		t := &table{Work: "builtins", Title: s.title, Measures: s.measures, Notes: notes}
		if err := b.rounds(t, cs); err != nil {
			return err
		}
	}
	return nil
}
