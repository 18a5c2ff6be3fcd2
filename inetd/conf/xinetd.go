package conf

import (
	"net/netip"
	"reflect"
	"slices"
	"time"
)

// Xinetd is what xinetd.conf(5) can say of a service and inetd.conf(5) cannot.
// The zero value of each field, and a nil *Xinetd, leave the service as inetd
// would serve it, but for Groups.
type Xinetd struct {
	ID       string // names the service in its log and in lists of services; never empty
	Unlisted bool   // the name is not looked up in services(5) or rpc(5)

	NoDelay   bool // TCP_NODELAY on connections
	KeepAlive bool // SO_KEEPALIVE on connections

	// Who is let in. The decisions are made in the order of the fields, after
	// that of Limits.CPS and before those of Limits.Children and SourceChildren.
	Banner   string       // file that every client gets, before anything is decided; "" is none
	MaxLoad  float64      // refuse while the load average of the last minute is this or more; 0 is no limit
	Times    []TimeWindow // refuse outside all of these; none is always
	Sensor   bool         // every client is refused and, for DenyTime, no other service takes it
	DenyTime time.Duration
	Access   Access
	Libwrap  string // the daemon name to ask hosts_access(5) for; "" does not ask
	IDOnly   bool   // refuse clients that ident (RFC 1413) does not name

	BannerSuccess string // file for a client that is let in
	BannerFail    string // file for a client that is not

	Redirect *Redirect // nil, or where connections are passed on to instead of to a program
	Groups   bool      // the server has its user's groups; else it has its gid and no other
	Umask    *uint32   // nil is the daemon's own, 022
	Nice     int       // added to the daemon's own
	Rlimits  []Rlimit
	// PassEnv names the variables of the daemon's environment that the server
	// gets. Nil passes all of them, an empty list none.
	PassEnv []string
	Env     []string // NAME=value, put into what PassEnv left

	Log Log
}

// Forever is a DenyTime that ends with the daemon. 0 only logs.
const Forever time.Duration = -1

// Equal says whether x and y, which may be nil, ask for the same.
func (x *Xinetd) Equal(y *Xinetd) bool { return reflect.DeepEqual(x, y) }

// A CPS bounds the connections of a service by the second. The zero value is
// no limit.
type CPS struct {
	Rate int           // connections in any one second; one more and the service pauses
	Wait time.Duration // how long it pauses
}

// DefaultCPS is the limit of a service that gives none.
var DefaultCPS = CPS{Rate: 50, Wait: 10 * time.Second}

// Access is only_from and no_access: which client addresses are served. The
// pattern that fits a client best decides, and where two that disagree fit
// equally well the client is refused; package admit has the details.
type Access struct {
	OnlyGiven bool // clients that no pattern fits are refused, all of them if Only is empty
	Only, No  []Pattern
}

// Patterns says whether there is anything to decide.
func (a *Access) Patterns() bool { return a.OnlyGiven || len(a.No) > 0 }

// Equal says whether both let the same clients in, by the same words.
func (a *Access) Equal(b *Access) bool {
	return a.OnlyGiven == b.OnlyGiven && slices.Equal(a.Only, b.Only) && slices.Equal(a.No, b.No)
}

// Names are the hosts and domains, these with their dot, among the patterns.
func (a *Access) Names() (names []string) {
	for _, list := range [][]Pattern{a.Only, a.No} {
		for _, p := range list {
			if p.Name != "" {
				names = append(names, p.Name)
			}
		}
	}
	return names
}

// ByAddress says whether nobody can wait for the name of a client: a server that
// waits reads its clients itself, and an internal one answers datagrams at once.
func (s *Service) ByAddress() bool { return s.Wait || s.Internal != "" && s.Socktype == Dgram }

// A Pattern is a set of clients: the addresses of a network, or one name or
// all the names of a domain.
type Pattern struct {
	Prefix netip.Prefix // without host bits; invalid in a pattern of names
	Name   string       // in lower case; with a dot in front it is a domain; "" in a pattern of addresses
}

func (p Pattern) String() string {
	switch {
	case p.Name != "":
		return p.Name
	case !p.Prefix.IsSingleIP():
		return p.Prefix.String()
	}
	// As an address without a length, one that ends in zeros is a network.
	a := p.Prefix.Addr()
	if a.Is4() && a.As4()[3] == 0 {
		return p.Prefix.String()
	}
	return a.String()
}

// A TimeWindow is a time of the week, by the clock on the wall. Start and End
// are minutes since midnight, and the whole minute End belongs to the window.
// If End is before Start the window goes on into the next day.
type TimeWindow struct {
	Days       Days
	Start, End uint16 // 0 to 1439
}

// Days is a set of days of the week: bit 1<<time.Sunday is Sunday, and so on.
// Those are the days on which a window starts.
type Days uint8

// EveryDay is the whole week.
const EveryDay Days = 1<<7 - 1

// Has says whether day is in the set.
func (d Days) Has(day time.Weekday) bool { return d&(1<<day) != 0 }

// A Redirect is the other end of a redirected service.
type Redirect struct {
	Host string // name or address
	Port uint16
}

// A Rlimit is one resource limit of a server, both soft and hard.
type Rlimit struct {
	Resource Resource
	Max      uint64 // bytes, seconds or descriptors; RlimInfinity is none
}

// RlimInfinity takes a limit away.
const RlimInfinity = ^uint64(0)

// A Resource is what an Rlimit is about.
type Resource uint8

const (
	RlimitAS    Resource = iota // bytes of address space
	RlimitCPU                   // seconds of processor time
	RlimitData                  // bytes of data segment
	RlimitFiles                 // descriptors
	RlimitRSS                   // bytes in memory
	RlimitStack                 // bytes of stack
)

var resources = []string{RlimitAS: "as", RlimitCPU: "cpu", RlimitData: "data", RlimitFiles: "files", RlimitRSS: "rss", RlimitStack: "stack"}

func (r Resource) String() string { return resources[r] }

// A Log says where a service logs and what.
type Log struct {
	Facility, Level string // of syslog; "" is the daemon's log
	File            string // appended to instead
	// Soft is a size in bytes at which a warning is logged once, Hard one at
	// which nothing more is written. 0 is no limit.
	Soft, Hard         uint64
	OnSuccess, OnError LogItems
}

// LogItems is a set of things to log.
type LogItems uint8

const (
	LogHost     LogItems = 1 << iota // the client's address
	LogUserID                        // what ident says of the client
	LogPID                           // the server's process
	LogExit                          // that a server ended, and how
	LogDuration                      // for how long it ran
	LogTraffic                       // the bytes of a redirected service
	LogAttempt                       // the refusal itself
)

// Fields that only xinetd.conf(5) has.
const (
	FieldAccess   = "access"
	FieldRedirect = "redirect"
	FieldFlags    = "flags"
	FieldLog      = "log"
)

// checkXinetd reports what does not go together.
func (e *Env) checkXinetd(s *Service, at func(string) Pos, l *ErrorList) {
	x := s.Xinetd
	tcp := s.Socktype == Stream && s.Proto == "tcp"
	if s.ByAddress() && slices.ContainsFunc(x.Access.Names(), func(name string) bool { return name[0] == '.' }) {
		l.Errorf(at(FieldAccess), FieldAccess, "clients of a service that waits, or answers datagrams at once, can be known by address only: a host name stands for its addresses, a domain for none")
	}
	if x.IDOnly && (!tcp || s.Wait) {
		l.Errorf(at(FieldFlags), FieldFlags, "IDONLY: only a tcp service that does not wait can ask who its client is")
	}
	if x.Redirect != nil && (!tcp || s.Wait) {
		l.Errorf(at(FieldRedirect), FieldRedirect, "only a tcp service that does not wait can be redirected")
	}
	if s.Wait && s.Limits.SourceChildren > 0 {
		l.Warnf(at("per_source"), "per_source", "a wait service has one server for all clients: the limit for each client is without effect")
	}
	if (x.Log.OnSuccess|x.Log.OnError)&LogUserID != 0 && (!tcp || s.Wait) {
		l.Warnf(at(FieldLog), FieldLog, "USERID is known for tcp services that do not wait only; it is not logged")
	}
	if x.Log.OnSuccess&LogTraffic != 0 && x.Redirect == nil {
		l.Warnf(at(FieldLog), FieldLog, "TRAFFIC is known for redirected services only; it is not logged")
	}
}
