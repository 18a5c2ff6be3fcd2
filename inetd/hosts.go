package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"time"

	"inetd/inetd/conf"
)

// An answer is what a host name stands for.
type answer struct {
	ips []netip.Addr
	err error
}

const (
	lookUpTime = 10 * time.Second // for all names of one reading
	lookUpSlow = time.Second      // then somebody may want to know
	lookUpMany = 32               // at a time, each with a socket or two
)

// noServers resolves what files tell. A start does not wait for name servers:
// they may come after us, or not answer.
var noServers = &net.Resolver{
	PreferGo: true,
	Dial:     func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("not asked yet") },
}

// lookUp asks for all host names of specs at the same time. slow, if not nil, is
// told what is still missing after a while.
func (ld *loader) lookUp(specs []*spec, slow func(hosts []string)) map[string]answer {
	missing := make(map[string]bool)
	for _, sp := range specs {
		if sp.Proto == "unix" {
			continue
		}
		for _, h := range sp.Hosts {
			if _, err := netip.ParseAddr(h); err != nil {
				missing[h] = true
			}
		}
		if sp.Xinetd != nil && sp.ByAddress() {
			for _, h := range sp.Xinetd.Access.Names() {
				missing[h] = true
			}
		}
	}
	if len(missing) == 0 {
		return nil
	}
	resolver := net.DefaultResolver
	if ld.hasty {
		resolver = noServers
	}
	ctx, cancel := context.WithTimeout(context.Background(), lookUpTime)
	defer cancel()
	type result struct {
		host string
		answer
	}
	hosts, results := make(chan string, len(missing)), make(chan result)
	for h := range missing { // in no order: where too many are dead others come first another time
		hosts <- h
	}
	close(hosts)
	for range min(len(missing), lookUpMany) {
		go func() {
			for h := range hosts {
				ips, err := resolver.LookupNetIP(ctx, "ip", h)
				results <- result{h, answer{ips, err}}
			}
		}()
	}
	found := make(map[string]answer, len(missing))
	late := time.After(lookUpSlow)
	for len(missing) > 0 {
		select {
		case r := <-results:
			found[r.host] = r.answer
			delete(missing, r.host)
		case <-late:
			if slow != nil {
				slow(slices.Sorted(maps.Keys(missing)))
			}
		}
	}
	return found
}

// addresses are those of a host that are of the family.
func (ld *loader) addresses(host string, f conf.Family, names map[string]answer) ([]netip.Addr, error) {
	if host == "*" {
		switch {
		case f == conf.V6, f == conf.Mapped && ld.ipv6:
			return []netip.Addr{netip.IPv6Unspecified()}, nil
		case f == conf.Both && ld.ipv6:
			return []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}, nil
		}
		return []netip.Addr{netip.IPv4Unspecified()}, nil
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		if ip = ip.Unmap(); !f.Has(ip) {
			return nil, fmt.Errorf("%s is no address of the protocol's family", host)
		}
		return []netip.Addr{ip}, nil
	}
	if err := names[host].err; err != nil {
		if _, e := net.InterfaceByName(host); e == nil {
			return nil, fmt.Errorf("%s is an interface, and an address is expected", host)
		}
		return nil, err
	}
	var ips []netip.Addr
	for _, ip := range names[host].ips {
		if ip = ip.Unmap(); f.Has(ip) {
			ips = append(ips, ip)
		}
	}
	if len(ips) == 0 {
		return nil, fmt.Errorf("%s has no address of the protocol's family", host)
	}
	return ips, nil
}
