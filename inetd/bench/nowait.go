//go:build linux

package main

import (
	"fmt"
	"os"
)

func nowait(b *bench) error {
	p := &b.progs
	hello := func() []entry { return b.at(1, p.hello, "hello") }
	up, notes, err := b.launch([]starter{
		{"ours", nil, func() (*daemon, error) { return b.ours(hello()) }},
		{"ours, from xinetd.conf", nil, func() (*daemon, error) { return b.oursXinetd(hello()) }},
		{floorName, []string{p.floor}, func() (*daemon, error) { return b.floor(hello()) }},
		{"floor with setsid", []string{p.floor}, func() (*daemon, error) { return b.floor(hello(), "-s") }},
		{"tcpserver", []string{p.tcpserver}, func() (*daemon, error) { return b.tcpserver(hello()) }},
		{"xinetd", []string{p.xinetd}, func() (*daemon, error) { return b.xinetd(hello()) }},
		{"openbsd-inetd", []string{p.openbsd}, func() (*daemon, error) { return b.openbsd(hello()) }},
	})
	if err != nil {
		return err
	}
	for _, n := range []int{1, 8} {
		if err := b.compare("nowait", "nowait, trivial server", n, up, notes); err != nil {
			return err
		}
	}
	return nil
}

// rules makes n rules of which the last lets the clients in, and everybody
// else stays out.
func (b *bench) rules(n int) error {
	text := make([]byte, 0, n*40)
	for i := range n - 1 {
		text = fmt.Appendf(text, "hello: 192.%d.%d.0/255.255.255.0\n", i>>8&255, i&255)
	}
	text = append(text, "hello: 127.0.0.0/255.0.0.0\n"...)
	if err := os.WriteFile("/etc/hosts.deny", []byte("ALL: ALL\n"), 0o644); err != nil {
		return err
	}
	// A file changes at once and not while somebody reads it.
	if err := os.WriteFile("/etc/hosts.new", text, 0o644); err != nil {
		return err
	}
	return os.Rename("/etc/hosts.new", "/etc/hosts.allow")
}

func (b *bench) noRules() {
	os.WriteFile("/etc/hosts.allow", nil, 0o644)
	os.WriteFile("/etc/hosts.deny", nil, 0o644)
}

func behindTcpd(b *bench) error {
	p := &b.progs
	if p.tcpd == "" {
		return skipped("no tcpd in -bin")
	}
	if err := b.rules(1); err != nil {
		return err
	}
	defer b.noRules()
	behind := func(tcpd string) []entry { return b.at(1, tcpd, p.hello) }
	chains := [][]starter{{
		{"ours + our tcpd", nil, func() (*daemon, error) { return b.ours(behind(p.tcpd)) }},
		{"ours + Debian's tcpd", []string{p.tcpdC}, func() (*daemon, error) { return b.ours(behind(p.tcpdC)) }},
		{"openbsd-inetd + our tcpd", []string{p.openbsd}, func() (*daemon, error) { return b.openbsd(behind(p.tcpd)) }},
		{"openbsd-inetd + Debian's tcpd", []string{p.openbsd, p.tcpdC}, func() (*daemon, error) { return b.openbsd(behind(p.tcpdC)) }},
	}}
	if p.floor != "" {
		chains = append(chains, []starter{
			{"floor + our tcpd", nil, func() (*daemon, error) { return b.floor(behind(p.tcpd)) }},
			{"floor + Debian's tcpd", []string{p.tcpdC}, func() (*daemon, error) { return b.floor(behind(p.tcpdC)) }},
		})
	}
	for _, chain := range chains {
		up, notes, err := b.launch(chain)
		if err != nil {
			return err
		}
		for _, n := range []int{1, 8} {
			if err := b.compare("tcpd", "behind tcpd, one rule of addresses", n, up, notes); err != nil {
				return err
			}
		}
		b.stopAll()
	}
	return nil
}

func access(b *bench) error {
	p := &b.progs
	if !p.ourAccess {
		return skipped("our inetd does not take -l")
	}
	defer b.noRules()
	hello := func() []entry { return b.at(1, p.hello, "hello") }
	up, notes, err := b.launch([]starter{
		{"ours -l", nil, func() (*daemon, error) { return b.ours(hello(), "-l") }},
		{"ours, no access control", nil, func() (*daemon, error) { return b.ours(hello()) }},
		{"openbsd-inetd -l", []string{p.openbsd}, func() (*daemon, error) { return b.openbsd(hello(), "-l") }},
	})
	if err != nil {
		return err
	}
	for _, rules := range []int{1, 1_000, 10_000} {
		if err := b.rules(rules); err != nil {
			return err
		}
		for _, n := range []int{1, 8} {
			title := human(float64(rules)) + " rules"
			if rules == 1 {
				title = "1 rule"
			}
			if err := b.compare("access", title, n, up, notes); err != nil {
				return err
			}
		}
	}
	return nil
}
