package libwrap

import (
	"context"
	"strings"
	"syscall"
	"time"

	"inetd/libwrap/syslog"
)

// A Request is what is known about one connection, and what may be asked
// about it. Strings that are empty have not been looked up yet; a decision
// fills them in when a rule needs them, so after Check the Request shows what
// was learned. Every string counts up to its first NUL and no further than
// 127 bytes, as in the C library.
//
// A Request belongs to one decision at a time; share Tables, not Requests.
type Request struct {
	Daemon string   // process name, matched by the first field of a rule
	Client Endpoint // the peer
	Server Endpoint // our side
	User   string   // client user name; "" asks Lookup.LookupUser when a rule needs it

	// PID is what %p prints; 0 means this process.
	PID int

	// Lookup finds names and users. With nil nothing is ever looked up: what
	// is not in the Request is "unknown".
	Lookup Lookup

	// Netgroup says whether host is a member of group. With nil getent(1) is
	// asked.
	Netgroup func(ctx context.Context, group, host string) bool

	// Run runs the command of an aclexec option and waits for it. With nil
	// that is RunShell. env holds what earlier setenv options of the same rule
	// added, as NAME=value.
	Run func(ctx context.Context, command string, env []string) (Status, error)

	// Resident says that this process serves other clients too, so that no
	// rule may replace it: a twist option is then an error, which denies.
	Resident bool

	// IdentTimeout bounds an ident lookup; 0 means 10 seconds. The rfc931
	// option changes it for its own decision.
	IdentTimeout time.Duration
}

// An Endpoint is one side of a connection.
type Endpoint struct {
	Addr string // as getnameinfo(3) prints it: "10.0.0.1", "2001:db8::1", "::ffff:10.0.0.1", "fe80::1%eth0"
	Name string // host name; "" asks Lookup when a rule needs it, "unknown" and "paranoid" mean what they say
	Port int    // 0 to 65535, if HasPort
	// HasPort says that Port is known. Port-number daemon patterns, %r, %R
	// and ident need it.
	HasPort bool
}

// Lookup answers what a rule may want to know beyond addresses. Methods are
// called from the goroutine that called Check, must honour ctx, and must be
// safe for concurrent use if Requests share them. System implements it
// without package net, netwrap.Lookup with it.
type Lookup interface {
	// LookupName returns the host name of an address, or "" if it has none,
	// or ErrBadName. Patterns match no name with the final dot that package net
	// leaves to what it has from name servers: take it away.
	LookupName(ctx context.Context, addr string) (string, error)
	// LookupAddrs returns the canonical name and the addresses of a host name,
	// IPv6 addresses if v6 is set and IPv4 addresses otherwise. The client is
	// paranoid unless the canonical name is the one that was asked for, in any
	// case, and its address is among these.
	LookupAddrs(ctx context.Context, name string, v6 bool) (canonical string, addrs []string, err error)
	// LookupUser asks the client's ident server (RFC 1413) who owns the
	// connection. Both endpoints have address and port.
	LookupUser(ctx context.Context, client, server Endpoint) (string, error)
}

// Status tells how a command ended. Signal is 0 unless a signal ended it.
type Status struct {
	PID, Code, Signal int
}

const (
	unknown  = "unknown"
	paranoid = "paranoid"
)

// maxString is the longest a name, address or user may be.
const maxString = 127

// clip cuts s as the C library's 128-byte arrays do.
func clip(s string) string {
	if i := strings.IndexByte(s, 0); i >= 0 {
		s = s[:i]
	}
	if len(s) > maxString {
		s = s[:maxString]
	}
	return s
}

// clip bounds everything the caller put in.
func (r *Request) clip() {
	for _, s := range [...]*string{&r.Daemon, &r.User, &r.Client.Addr, &r.Client.Name, &r.Server.Addr, &r.Server.Name} {
		*s = clip(*s)
	}
	if r.PID == 0 {
		r.PID = syscall.Getpid()
	}
}

// ClientInfo returns the client as log lines show it, "[user@]host": the name
// if a rule caused it to be looked up and it is good, else the address; the
// user likewise. It never starts a lookup.
func (r *Request) ClientInfo() string {
	host := r.Client.info()
	if r.User == "" || equalFold(r.User, unknown) {
		return *host
	}
	return r.User + "@" + *host
}

// ServerInfo returns the server as %s shows it, "daemon[@host]".
func (r *Request) ServerInfo() string {
	host := r.Server.info()
	if equalFold(*host, unknown) {
		return r.Daemon
	}
	return r.Daemon + "@" + *host
}

// addr returns the address, "unknown" if there is none.
func (e *Endpoint) addr() *string {
	if e.Addr == "" {
		e.Addr = unknown
	}
	return &e.Addr
}

// info returns the name if it is known already, else the address.
func (e *Endpoint) info() *string {
	if e.Name != "" && known(e.Name) {
		return &e.Name
	}
	return e.addr()
}

// known reports whether name is that of a host.
func known(name string) bool { return !equalFold(name, unknown) && !equalFold(name, paranoid) }

// A Pos is a place in a table. Line 0 is before the end of the first line.
// Col counts bytes from 1 and is 0 where it is not known.
type Pos struct {
	File string
	Line int
	Col  int
}

// IsValid reports whether the position names a file.
func (p Pos) IsValid() bool { return p.File != "" }

// String returns "file:line:column", without the column if it is not known.
func (p Pos) String() string {
	s := p.File + ":" + itoa(p.Line)
	if p.Col > 0 {
		s += ":" + itoa(p.Col)
	}
	return s
}

// A Verdict is a decision and everything that led to it, in order.
type Verdict struct {
	// Allowed says that the daemon may serve the client.
	Allowed bool
	// Delegated says that a twist option serves the client in the daemon's
	// place; the command is in the last Event. Allowed is false then.
	Delegated bool

	// Rule is the rule that decided; without a file if none did, because no
	// rule matched or a table could not be read.
	Rule Pos

	// Events are the messages, options and actions in the order in which the
	// C library would have produced them. Performer.Perform does them.
	Events []Event

	// AllowSeverity and DenySeverity are how to log the outcome: Info and
	// Warning, unless a severity option said otherwise.
	AllowSeverity, DenySeverity syslog.Priority
}

// An EventKind says what an Event is and which of its fields count.
type EventKind uint8

// Event kinds. Those after Option are actions.
const (
	Log       EventKind = iota // a message: Priority, Text
	Matched                    // a rule matched: Pos
	Option                     // an option is about to take effect: Key, Text (its value, expanded)
	Ident                      // an ident lookup was made: N (its timeout in seconds); done already
	Spawn                      // run Text by the shell and wait for it
	Twist                      // run Text by the shell in place of the daemon
	Setenv                     // set environment variable Key to Text
	Umask                      // set the file mode creation mask to N
	Nice                       // add N to the nice value
	Linger                     // set SO_LINGER to N seconds, 0 turns it off
	Keepalive                  // set SO_KEEPALIVE
	Banner                     // send Text to the client
	SetUser                    // change identity to ID
	SetGroup                   // change the group to ID
)

// An Event is a message, an option or an action.
type Event struct {
	Kind     EventKind
	Pos      Pos             // the rule, without a file outside of rules
	Priority syslog.Priority // Log
	Key      string          // Option, Setenv
	Text     string
	N        int
	ID       *Identity // SetUser, SetGroup
}

// Invalid says whether an event sets a variable whose name setenv(3) refuses:
// without one, or with = in it. Then it refuses the client.
func (e *Event) Invalid() bool {
	return e.Kind == Setenv && (e.Key == "" || strings.IndexByte(e.Key, '=') >= 0)
}

// An Identity is what the user and group options change to.
type Identity struct {
	Name   string // as the rule spells it
	UID    int    // -1 leaves it alone
	GID    int
	Groups []int // all supplementary groups
}

// Child collects what the process that serves the client should be given, for
// callers that start it themselves instead of performing these actions on
// their own process.
type Child struct {
	Command string    // shell command of a twist, "" for the daemon itself
	Env     []string  // NAME=value, in order
	Umask   int       // -1 leaves it alone
	Nice    int       // to add
	ID      *Identity // nil leaves it alone
}

// Child returns the process-wide part of the verdict.
func (v *Verdict) Child() Child {
	c := Child{Umask: -1}
	for i := range v.Events {
		switch e := &v.Events[i]; e.Kind {
		case Twist:
			c.Command = e.Text
		case Setenv:
			c.Env = append(c.Env, e.Key+"="+e.Text)
		case Umask:
			c.Umask = e.N
		case Nice:
			c.Nice += e.N
		case SetUser, SetGroup:
			id := *e.ID
			if c.ID != nil && id.UID < 0 {
				id.UID = c.ID.UID
			}
			c.ID = &id
		}
	}
	return c
}
