package syslog

// Priority is a facility and a severity in one number, as in syslog(3): the
// severity in the low three bits, the facility above them. A Priority without
// facility (facility bits zero) takes the Writer's own; that is also why a
// program cannot log as kern, exactly as with syslog(3).
type Priority int

// Severities, most urgent first.
const (
	Emerg Priority = iota
	Alert
	Crit
	Err
	Warning
	Notice
	Info
	Debug
)

// Facilities.
const (
	Kern Priority = iota << 3
	User
	Mail
	Daemon
	Auth
	Syslog
	Lpr
	News
	Uucp
	Cron
	Authpriv
	Ftp
	_
	_
	_
	_
	Local0
	Local1
	Local2
	Local3
	Local4
	Local5
	Local6
	Local7
)

const (
	severityMask Priority = 7
	facilityMask Priority = 0x3f8
)

type name struct {
	name string
	p    Priority
}

// The first name of a value is the one String prints; the others are the
// synonyms of syslog.conf(5).
var (
	severities = [...]name{
		{"emerg", Emerg}, {"alert", Alert}, {"crit", Crit}, {"err", Err},
		{"warning", Warning}, {"notice", Notice}, {"info", Info}, {"debug", Debug},
		{"panic", Emerg}, {"error", Err}, {"warn", Warning},
	}
	facilities = [...]name{
		{"kern", Kern}, {"user", User}, {"mail", Mail}, {"daemon", Daemon},
		{"auth", Auth}, {"syslog", Syslog}, {"lpr", Lpr}, {"news", News},
		{"uucp", Uucp}, {"cron", Cron}, {"authpriv", Authpriv}, {"ftp", Ftp},
		{"local0", Local0}, {"local1", Local1}, {"local2", Local2}, {"local3", Local3},
		{"local4", Local4}, {"local5", Local5}, {"local6", Local6}, {"local7", Local7},
		{"security", Auth},
	}
)

// Severity returns the severity alone.
func (p Priority) Severity() Priority { return p & severityMask }

// Facility returns the facility alone, Kern (zero) if there is none.
func (p Priority) Facility() Priority { return p & facilityMask }

// String returns "facility.severity", or only the severity when there is no
// facility.
func (p Priority) String() string {
	sev := severities[p.Severity()].name
	f := p.Facility()
	if f == 0 {
		return sev
	}
	for _, n := range facilities {
		if n.p == f {
			return n.name + "." + sev
		}
	}
	return "?." + sev
}

// ParseSeverity knows emerg alert crit err warning notice info debug and the
// synonyms panic, error and warn, in any case.
func ParseSeverity(s string) (Priority, bool) { return find(severities[:], s) }

// ParseFacility knows the facilities of syslog(3) and the synonym security
// (auth), in any case.
func ParseFacility(s string) (Priority, bool) { return find(facilities[:], s) }

func find(names []name, s string) (Priority, bool) {
	for _, n := range names {
		if equalFold(n.name, s) {
			return n.p, true
		}
	}
	return 0, false
}

// equalFold compares s with the lower-case ASCII word w.
func equalFold(w, s string) bool {
	if len(w) != len(s) {
		return false
	}
	for i := range len(w) {
		c := s[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != w[i] {
			return false
		}
	}
	return true
}
