// Package libwrap decides who may use a service, by the rules of
// /etc/hosts.allow and /etc/hosts.deny. It speaks the whole language of
// hosts_access(5) and hosts_options(5) and comes to the same verdicts as the
// C library of tcp_wrappers, with a few differences listed in the first of
// these pages, all of them where the C library is dangerous or does nothing.
//
// # A server in one line
//
// The module is not on any server: have a copy of it and tell go(1) where,
//
//	go mod edit -require inetd@v0.0.0 -replace inetd=/path/to/inetd
//	go mod tidy
//
// Then a Go server needs none of this package, only its net.Listener:
//
//	ln, err := net.Listen("tcp", ":2000")
//	...
//	ln = netwrap.Wrap(ln, "myserver") // inetd/libwrap/netwrap
//
// Connections that the rules refuse are logged and closed; Accept never sees
// them.
//
// # By hand
//
// A decision takes three things. Tables say where the rules are, and cache
// them; make them once and share them. A [Request] says who asks for what; make
// one for each connection. And [Tables.Check] puts them together:
//
//	var tables libwrap.Tables // the usual files
//
//	req := &libwrap.Request{
//		Daemon: "myserver",
//		Client: libwrap.Endpoint{Addr: "192.0.2.7"},
//	}
//	v := tables.Check(ctx, req)
//	if !v.Allowed {
//		...
//	}
//
// Here nothing is ever looked up: rules that ask for a host name see
// "unknown". With Request.Lookup set, names and ident users are looked up when
// a rule cannot be decided without, at most once for each request, until
// ctx ends. A name counts only if it leads back to the address; otherwise the
// client is "paranoid". netwrap.NewRequest fills in everything from a
// net.Conn.
//
// [Tables.CheckNow] is for event loops: it decides if that takes no lookup and
// no command, and otherwise says so at once.
//
// # What a verdict holds
//
// Check decides and does nothing else, apart from the lookups and from running
// the commands of aclexec options, whose exit status it needs. Everything a
// rule wants done is in [Verdict.Events], in order: the messages for the log, the
// options as expanded, and the actions. [Performer.Perform] does them. tcpd
// performs, tcpdmatch only prints, and a daemon that starts its servers itself
// takes [Verdict.Child] for what concerns the new process.
//
//	p := libwrap.Performer{Conn: conn.(*net.TCPConn), Log: logf}
//	if err := p.Perform(ctx, v); err != nil || !v.Allowed {
//		conn.Close()
//	}
//
// Give it time of its own: a rule may raise an alarm when all the time for lookups
// is used up. The context does not end the writing of banners; a deadline of the
// connection does.
//
// An error in a rule that matches denies, as it does in C; Events then end with
// its text.
//
// Commands run as this process with its environment, through [RunShell]. For
// others, set Request.Run and Performer.Run, which take the commands of aclexec
// and spawn: a [Shell] is a user, groups and an environment to run them with.
//
//	sh := &libwrap.Shell{Env: env, Credential: cred}
//	req.Run, p.Run = sh.Run, sh.Run
//
// # What it costs
//
// The first decision of a process reads the tables up to the rule that matches
// and no further. Later ones use an index, so that ten thousand rules cost
// about what ten do; they check with stat(2) whether a table has changed, and an edit
// counts from the next decision on.
//
// The package imports none of net, os and fmt, and sets up nothing at start,
// because tcpd, which lives for one connection, spends most of its life
// starting. [System] looks up names without them. What needs net is in
// package netwrap, and package syslog writes to the system's log.
//
// # Safety
//
// Nothing here panics, exits, sleeps or keeps global state. Every string a
// peer supplies is cut to 127 bytes; what of it gets into a command is reduced
// to letters, digits and !@%-_=+:,./ with everything else replaced by an
// underscore. Tables of any content, size and nesting are read in bounded memory,
// and to their end. A context bounds every lookup and every command.
//
// # Checkers
//
// [ReadTable] returns every rule with the position of every word,
// [Tables.Apply] what a rule's options would do, [ExplainHost] why a pattern
// never matches, and [Rule.Hides] which rules can never be reached.
package libwrap
