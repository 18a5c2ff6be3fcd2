// Tcpdchk examines the rules of hosts.allow and hosts.deny, and the entries of
// inetd.conf that they are about, and says what is wrong with them.
//
// What the program of that name has always found it says in the same words.
// What else there is stands on lines of its own, with file, line and column.
package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"

	"inetd/libwrap"
	"inetd/tcpd/tool"
)

// Set by the linker; see the Makefile.
var (
	hostsAllow    = libwrap.DefaultAllow
	hostsDeny     = libwrap.DefaultDeny
	realDaemonDir = "/usr/sbin"
)

// libwrapped are daemons that ask libwrap themselves, as Debian knows them.
var libwrapped = []string{
	"portmap", "mountd", "statd", "ugidd", "redir", "rlinetd", "sshd", "atftpd", "diald", "esound", "gdm", "gnome-session",
	"icecast", "icecast_admin", "icecast_client", "icecast_source", "mysqld", "ntop", "pptpd", "rquotad", "sendmail", "smail",
}

func main() { os.Exit(run(os.Args, os.Stdout, os.Stderr)) }

// run returns the exit status: 0 if nothing was found, 1 if something was or
// the arguments are wrong.
func run(argv []string, stdout, stderr io.Writer) int {
	tables := &libwrap.Tables{Allow: hostsAllow, Deny: hostsDeny}
	var c checker
	opts, args, err := tool.Getopt(argv[1:], "adi:qv")
	if err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", argv[0], err)
	}
	if err != nil || len(args) > 0 {
		fmt.Fprintf(stderr, "usage: %s [-a] [-d] [-i inet_conf] [-v]\n", argv[0])
		fmt.Fprint(stderr, "\t-a: report rules with implicit \"ALLOW\" at end\n"+
			"\t-d: use allow/deny files in current directory\n"+
			"\t-i: location of inetd.conf file\n"+
			"\t-v: list all rules\n")
		return 1
	}
	for _, o := range opts {
		switch o.Letter {
		case 'a':
			c.implicit = true
		case 'd':
			tables.Allow, tables.Deny = "hosts.allow", "hosts.deny"
		case 'i':
			c.inetconf = o.Arg
		case 'q':
			stdout = io.Discard
		case 'v':
			c.verbose++
		}
	}
	out := bufio.NewWriter(stdout)
	defer out.Flush()
	c.Report = &tool.Report{W: out}
	c.tables = tables
	if err := c.check(context.Background()); err != nil {
		out.Flush()
		fmt.Fprintln(stderr, err)
		return 1
	}
	if c.Found {
		return 1
	}
	return 0
}

// check works in the order of the C program, which is that of its messages.
func (c *checker) check(ctx context.Context) error {
	c.DaemonDir(realDaemonDir)
	var err error
	if c.daemons, err = c.Inetd(c.inetconf, realDaemonDir); err != nil {
		return err
	}
	if c.inetconf == "" {
		c.inetconf = tool.DefaultConf
	}
	if c.verbose > 0 {
		fmt.Fprintf(c.W, "Using network configuration file: %s\n", c.inetconf)
	}
	for _, name := range libwrapped {
		c.daemons.Set(name, tool.Wrapped)
	}
	c.Path(c.tables.Allow)
	c.Path(c.tables.Deny)
	c.table(ctx, c.tables.Allow, true)
	c.table(ctx, c.tables.Deny, false)
	return nil
}
