// Tcpdmatch explains what tcpd would do about one client of one daemon: which
// rule matches, which options it has, and whether access is granted. It does
// none of it.
package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"

	"inetd/libwrap"
	"inetd/tcpd/tool"
)

// Set by the linker; see the Makefile.
var (
	hostsAllow    = libwrap.DefaultAllow
	hostsDeny     = libwrap.DefaultDeny
	realDaemonDir = "/usr/sbin"
)

func main() { os.Exit(run(os.Args, os.Stdout, os.Stderr)) }

// run returns the exit status: 0 whatever the answer is, 1 if there is none.
func run(argv []string, stdout, stderr io.Writer) int {
	tables := &libwrap.Tables{Allow: hostsAllow, Deny: hostsDeny}
	inetconf := ""
	opts, args, err := tool.Getopt(argv[1:], "di:")
	if err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", argv[0], err)
	}
	if err != nil || len(args) != 2 {
		fmt.Fprintf(stderr, "usage: %s [-d] [-i inet_conf] daemon[@host] [user@]host\n", argv[0])
		fmt.Fprint(stderr, "\t-d: use allow/deny files in current directory\n\t-i: location of inetd.conf file\n")
		return 1
	}
	for _, o := range opts {
		switch o.Letter {
		case 'd':
			tables.Allow, tables.Deny = "hosts.allow", "hosts.deny"
		case 'i':
			inetconf = o.Arg
		}
	}
	out := bufio.NewWriter(stdout)
	defer out.Flush()
	m := match{Report: &tool.Report{W: out}, tables: tables}
	if err := m.explain(context.Background(), inetconf, args[0], args[1]); err != nil {
		if err != errSaid {
			out.Flush()
			fmt.Fprintln(stderr, err)
		}
		return 1
	}
	return 0
}

// errSaid stands for what has been printed among the messages.
var errSaid = fmt.Errorf("no address")

type match struct {
	*tool.Report
	tables *libwrap.Tables
	req    libwrap.Request
}

// explain works through the arguments in the order of the C program, which is
// that of its messages.
func (m *match) explain(ctx context.Context, inetconf, daemon, client string) error {
	m.DaemonDir(realDaemonDir)
	daemon, server, at := tool.SplitAt(daemon, '@')
	if !at {
		server = "unknown"
	}
	if strings.HasPrefix(daemon, "/") {
		name := daemon[strings.LastIndexByte(daemon, '/')+1:]
		m.Warnf("%s: daemon name normalized to: %s", daemon, name)
		daemon = name
	}
	user, host, at := tool.SplitAt(client, '@')
	if !at {
		user, host = "unknown", client
	}

	daemons, err := m.Inetd(inetconf, realDaemonDir)
	if err != nil {
		return err
	}
	if inetconf == "" {
		inetconf = tool.DefaultConf
	}
	daemons.Set("portmap", tool.Not)
	daemons.Set("rpcbind", tool.Not)
	switch daemons.Get(daemon) {
	case tool.Unheard:
		m.Warnf("%s: no such process name in %s", daemon, inetconf)
	case tool.Not:
		m.Warnf("%s: service possibly not wrapped", daemon)
	}
	m.Path(m.tables.Allow)
	m.Path(m.tables.Deny)

	m.req = libwrap.Request{
		Daemon: daemon,
		User:   user,
		Lookup: libwrap.System{},
		// Commands are not run, and so do not fail.
		Run: func(context.Context, string, []string) (libwrap.Status, error) { return libwrap.Status{}, nil },
	}
	if err := m.server(ctx, unbracket(server)); err != nil {
		return err
	}
	return m.client(ctx, unbracket(host))
}

// server fills in our side. A name must have one address only: which of them
// a connection came to would make a difference.
func (m *match) server(ctx context.Context, host string) error {
	if tool.NotAddress(host) && !tool.Known(host) {
		m.req.Server.Name = host
		return nil
	}
	addrs := m.Addresses(ctx, host)
	if len(addrs) == 0 {
		return errSaid
	}
	for _, a := range addrs {
		m.req.Server = m.Endpoint(ctx, a)
	}
	if len(addrs) > 1 {
		return fmt.Errorf("Error: %s has more than one address\nPlease specify an address instead", host)
	}
	m.req.Server.HasPort = true // port 0, as of a socket not bound yet
	return nil
}

// client tries every address of a client that is given by name. An address
// stands for a client whose name cannot be found.
func (m *match) client(ctx context.Context, host string) error {
	ip, err := netip.ParseAddr(host)
	switch {
	case tool.DottedQuad(host) || err == nil && ip.Is6():
		m.try(ctx, libwrap.Endpoint{Addr: host, Name: "unknown"})
		return nil
	case tool.NotAddress(host) && !tool.Known(host):
		m.try(ctx, libwrap.Endpoint{Addr: "unknown", Name: host})
		return nil
	}
	addrs := m.Addresses(ctx, host)
	if len(addrs) == 0 {
		return errSaid
	}
	for i, a := range addrs {
		if i > 0 {
			fmt.Fprintln(m.W)
		}
		e := m.Endpoint(ctx, a)
		e.HasPort = true
		m.try(ctx, e)
	}
	return nil
}

// try asks about one client.
func (m *match) try(ctx context.Context, client libwrap.Endpoint) {
	req := m.req
	req.Client = client
	for _, l := range []struct{ label, text string }{
		{"client:   hostname", "%n"},
		{"client:   address ", "%a"},
		{"client:   username", "%u"},
		{"server:   hostname", "%N"},
		{"server:   address ", "%A"},
		{"server:   process ", "%d"},
	} {
		if s := m.Expand(ctx, &req, l.text); !strings.EqualFold(s, "unknown") {
			fmt.Fprintf(m.W, "%s %s\n", l.label, s)
		}
	}
	v := m.tables.Check(ctx, &req)
	m.Events(v.Events, 2)
	access := "denied"
	switch {
	case slices.ContainsFunc(v.Events, func(e libwrap.Event) bool { return e.Invalid() }):
	case v.Delegated:
		access = "delegated"
	case v.Allowed:
		access = "granted"
	}
	fmt.Fprintf(m.W, "access:   %s\n", access)
}

// unbracket lets an IPv6 address be written as it is in the tables.
func unbracket(host string) string {
	if in, ok := strings.CutPrefix(host, "["); ok {
		if in, ok := strings.CutSuffix(in, "]"); ok {
			return in
		}
	}
	return host
}
