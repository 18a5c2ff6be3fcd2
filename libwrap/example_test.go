package libwrap_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"inetd/libwrap"
	"inetd/libwrap/netwrap"
	"inetd/libwrap/syslog"
)

// exampleTables writes two tables. A program would use the zero Tables, which
// stands for the files in /etc.
func exampleTables(allow, deny string) (t *libwrap.Tables, remove func()) {
	dir, err := os.MkdirTemp("", "libwrap")
	if err != nil {
		panic(err)
	}
	t = &libwrap.Tables{Allow: filepath.Join(dir, "hosts.allow"), Deny: filepath.Join(dir, "hosts.deny")}
	os.WriteFile(t.Allow, []byte(allow), 0o644)
	os.WriteFile(t.Deny, []byte(deny), 0o644)
	return t, func() { os.RemoveAll(dir) }
}

func Example() {
	tables, remove := exampleTables(
		"in.ftpd: 192.168.10.0/255.255.255.0\n",
		"ALL: ALL\n")
	defer remove()

	for _, addr := range []string{"192.168.10.7", "203.0.113.9"} {
		v := tables.Check(context.Background(), &libwrap.Request{
			Daemon: "in.ftpd",
			Client: libwrap.Endpoint{Addr: addr},
		})
		fmt.Println(addr, v.Allowed, filepath.Base(v.Rule.String()))
	}
	// Output:
	// 192.168.10.7 true hosts.allow:1
	// 203.0.113.9 false hosts.deny:1
}

// The events of a verdict are what is to be logged and done.
func ExampleVerdict() {
	tables, remove := exampleTables(
		"in.ftpd: 192.0.2. : severity auth.notice : spawn logger ftp from %c : nice : allow\n",
		"")
	defer remove()

	v := tables.Check(context.Background(), &libwrap.Request{
		Daemon: "in.ftpd",
		Client: libwrap.Endpoint{Addr: "192.0.2.7"},
		User:   "$(reboot)",
	})
	for _, e := range v.Events {
		switch e.Kind {
		case libwrap.Log:
			fmt.Println("log:", e.Text)
		case libwrap.Option:
			fmt.Printf("option: %s %q\n", e.Key, e.Text)
		case libwrap.Spawn:
			fmt.Println("would run:", e.Text)
		}
	}
	fmt.Println(v.Allowed, v.AllowSeverity, v.Child().Nice)
	// Output:
	// option: severity "auth.notice"
	// option: spawn "logger ftp from __reboot_@192.0.2.7"
	// would run: logger ftp from __reboot_@192.0.2.7
	// option: nice ""
	// option: allow ""
	// true auth.notice 10
}

func ExampleTables_CheckNow() {
	tables, remove := exampleTables("sshd: 192.0.2. .example.com\n", "ALL: ALL\n")
	defer remove()

	for _, addr := range []string{"192.0.2.7", "203.0.113.9"} {
		_, decided := tables.CheckNow(&libwrap.Request{
			Daemon: "sshd",
			Client: libwrap.Endpoint{Addr: addr},
			Lookup: netwrap.Lookup{},
		})
		fmt.Println(addr, decided)
	}
	// Output:
	// 192.0.2.7 true
	// 203.0.113.9 false
}

func ExamplePerformer() {
	tables, remove := exampleTables("sshd: ALL: frobnicate\n", "")
	defer remove()

	v := tables.Check(context.Background(), &libwrap.Request{Daemon: "sshd"})
	p := libwrap.Performer{Log: func(p syslog.Priority, text string) {
		text = strings.Replace(text, filepath.Dir(tables.Allow), "/etc", 1)
		fmt.Println(p, text)
	}}
	if err := p.Perform(context.Background(), v); err != nil || !v.Allowed {
		fmt.Println("refused")
	}
	// Output:
	// err error: /etc/hosts.allow, line 1: bad option name: "frobnicate"
	// refused
}

func ExampleReadTable() {
	tables, remove := exampleTables(
		"sshd: 10.1.2.3/8\n"+
			"ALL: 10.0.0.0/8 : allow : deny\n"+
			"sshd: 10.9.\n", "")
	defer remove()

	table, err := libwrap.ReadTable(tables.Allow)
	if err != nil {
		fmt.Println(err)
		return
	}
	place := func(p libwrap.Pos) string { return filepath.Base(p.String()) }
	for i, r := range table.Rules {
		for _, c := range r.Clients {
			if why := libwrap.ExplainHost(c.Text); why != "" {
				fmt.Printf("%s: %s: %s\n", place(c.Pos), c.Text, why)
			}
		}
		for _, o := range r.Options {
			if o.Err != "" {
				fmt.Printf("%s: %s\n", place(o.Pos), o.Err)
			}
		}
		for _, earlier := range table.Rules[:i] {
			if earlier.Hides(r) {
				fmt.Printf("%s: never reached, because of line %d\n", place(r.Pos), earlier.Pos.Line)
			}
		}
	}
	// Output:
	// hosts.allow:1:7: 10.1.2.3/8: host bits are set, so it never matches: the net is 10.0.0.0
	// hosts.allow:2:19: option "allow" must be at end
	// hosts.allow:3: never reached, because of line 2
}

// One line gives a server the access control files.
func Example_listener() {
	tables, remove := exampleTables("hello: 127.0.0.1\n", "ALL: ALL\n")
	defer remove()

	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	ln := netwrap.Wrap(inner, "hello")
	ln.Tables = tables // left out in a real server
	ln.Log = func(_ syslog.Priority, text string) { fmt.Println(text) }
	defer ln.Close()

	go net.Dial("tcp", inner.Addr().String())
	conn, err := ln.Accept()
	if err != nil {
		fmt.Println(err)
		return
	}
	conn.Close()
	// Output:
	// connect from 127.0.0.1 (127.0.0.1)
}
