package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"inetd/inetd/child"
	"inetd/inetd/conf"
	"inetd/inetd/conf/inetdconf"
	"inetd/inetd/names"
	"inetd/inetd/sock"
	"inetd/services"
)

// A config is one reading of the files.
type config struct {
	specs    []*spec
	problems conf.ErrorList

	broadcasts []netip.Addr // of this host's networks
}

// A loader reads the files. It blocks on disks and name servers, so once the
// loop runs it is called from other goroutines; one call at a time.
type loader struct {
	opts *options
	root bool
	env  []string // for servers
	ipv6 bool     // the kernel has it
}

// load reads everything anew. An error says that a file could not be read and
// that there is no config; what is wrong inside the files is in the config.
func (ld *loader) load() (*config, error) {
	files, err := expand(ld.opts.files)
	if err != nil {
		return nil, err
	}
	db := names.New()
	ld.ipv6 = hasIPv6()
	env := environment(db)
	cfg := new(config)
	var all []*conf.Service
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		list, problems := inetdconf.Parse(name, text, env, inetdconf.Source{ReadFile: os.ReadFile, Glob: filepath.Glob})
		all = append(all, list...)
		cfg.problems = append(cfg.problems, problems...)
	}
	for _, svc := range conf.Clashes(all, &cfg.problems) {
		cfg.specs = append(cfg.specs, ld.prepare(svc, db, &cfg.problems))
	}
	cfg.problems.Sort()
	// Without them the datagram built-ins still refuse what they can tell.
	cfg.broadcasts, _ = sock.Broadcasts()
	return cfg, nil
}

// expand turns the directories among the arguments into their *.conf files.
func expand(args []string) ([]string, error) {
	var files []string
	for _, a := range args {
		fi, err := os.Stat(a)
		if err != nil {
			return nil, err
		}
		if !fi.IsDir() {
			files = append(files, a)
			continue
		}
		in, err := filepath.Glob(filepath.Join(escapeGlob(a), "*.conf"))
		if err != nil {
			return nil, err
		}
		slices.Sort(in)
		files = append(files, in...)
	}
	return files, nil
}

var escapeGlob = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace

// environment tells the checks about this machine.
func environment(db *names.DB) *conf.Env {
	return &conf.Env{
		Port:     db.Port,
		PortName: db.PortName,
		RPC:      db.RPC,
		User:     func(name string) error { _, err := db.UserID(name); return err },
		Group:    func(name string) error { _, err := db.GroupID(name); return err },
		Proto:    func(name string) bool { _, ok := db.Proto(name); return ok },
		Program:  func(path string) error { return executable(path) },
		Internal: func(name string, t conf.Socktype) bool {
			b := services.Lookup(name)
			return b != nil && (t == conf.Stream && b.HasStream() || t == conf.Dgram && b.HasDatagram())
		},
	}
}

func executable(path string) error {
	fi, err := os.Stat(path)
	if err != nil {
		return err
	}
	if fi.IsDir() {
		return errors.New("is a directory")
	}
	if fi.Mode()&0o111 == 0 {
		return fs.ErrPermission
	}
	return nil
}

// prepare makes a service ready to be served.
func (ld *loader) prepare(svc *conf.Service, db *names.DB, problems *conf.ErrorList) *spec {
	if len(svc.Hosts) == 0 && svc.Proto != "unix" && ld.opts.host != "" {
		svc.Hosts = []string{ld.opts.host}
	}
	sp := &spec{Service: svc, label: svc.Label(), limits: svc.Limits.Or(ld.opts.limits)}
	sp.opts = sock.Options{Backlog: ld.opts.backlog, SndBuf: svc.SndBuf, RcvBuf: svc.RcvBuf, Filter: svc.Filter, UID: -1, GID: -1}
	if svc.Internal != "" {
		sp.builtin = services.Lookup(svc.Internal)
	} else {
		sp.plan = &child.Plan{Path: svc.Program, Argv: svc.Args, Env: ld.env}
		if ld.root {
			id, err := db.Identity(svc.User, svc.Group)
			if err != nil {
				sp.unusable = err
			}
			sp.plan.SetIdentity(id)
		}
	}
	sp.wrap(ld.opts)
	if svc.Unix != nil {
		sp.owner(db)
	}
	if svc.Mux == conf.NoMux {
		if err := ld.resolve(sp, db); err != nil {
			problems.Errorf(svc.Pos, conf.FieldHost, "%w", err)
		}
	}
	return sp
}

func (sp *spec) owner(db *names.DB) {
	sp.opts.Mode = sp.Unix.Mode
	if sp.Unix.User != "" {
		if id, err := db.UserID(sp.Unix.User); err == nil {
			sp.opts.UID = int(id)
		}
	}
	if sp.Unix.Group != "" {
		if id, err := db.GroupID(sp.Unix.Group); err == nil {
			sp.opts.GID = int(id)
		}
	}
}

// resolve finds the addresses to bind. A host that cannot be resolved is an
// error; the others are still served.
func (ld *loader) resolve(sp *spec, db *names.DB) error {
	a := sock.Addr{Type: socktypes[sp.Socktype]}
	if sp.Proto == "unix" {
		a.Path = sp.Name
		sp.addrs = []sock.Addr{a}
		return nil
	}
	if sp.Proto != "tcp" && sp.Proto != "udp" {
		a.Proto, _ = db.Proto(sp.Proto)
	}
	hosts := sp.Hosts
	if len(hosts) == 0 {
		hosts = []string{"*"}
	}
	var errs []error
	for _, h := range hosts {
		ips, err := ld.lookup(h, sp.Family)
		if err != nil {
			errs = append(errs, err)
		}
		for _, ip := range ips {
			a.IP = netip.AddrPortFrom(ip, sp.Port)
			a.Mapped = sp.Family == conf.Mapped && ip.Is6()
			if !slices.Contains(sp.addrs, a) {
				sp.addrs = append(sp.addrs, a)
			}
		}
	}
	return errors.Join(errs...)
}

var socktypes = map[conf.Socktype]int{conf.Stream: sock.Stream, conf.Dgram: sock.Dgram, conf.Raw: sock.Raw, conf.RDM: sock.RDM, conf.Seqpacket: sock.Seqpacket}

// lookup turns a host into the addresses of the family.
func (ld *loader) lookup(host string, f conf.Family) ([]netip.Addr, error) {
	if host == "*" {
		switch f {
		case conf.V4:
			return []netip.Addr{netip.IPv4Unspecified()}, nil
		case conf.Both:
			if ld.ipv6 {
				return []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}, nil
			}
			return []netip.Addr{netip.IPv4Unspecified()}, nil
		}
		return []netip.Addr{netip.IPv6Unspecified()}, nil
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		if ip = ip.Unmap(); !fits(ip, f) {
			return nil, fmt.Errorf("%s is no address of the protocol's family", host)
		}
		return []netip.Addr{ip}, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	all, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	var ips []netip.Addr
	for _, ip := range all {
		if ip = ip.Unmap(); fits(ip, f) {
			ips = append(ips, ip)
		}
	}
	if len(ips) == 0 {
		return nil, fmt.Errorf("%s has no address of the protocol's family", host)
	}
	return ips, nil
}

func fits(ip netip.Addr, f conf.Family) bool {
	return f == conf.Both || f == conf.Mapped && ip.Is6() || f == conf.V4 && ip.Is4() || f == conf.V6 && ip.Is6()
}

// hasIPv6 says whether the kernel does: where it was built or started without,
// the IPv6 half of an entry is no error.
func hasIPv6() bool {
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM, 0)
	if err != nil {
		return false
	}
	unix.Close(fd)
	return true
}
