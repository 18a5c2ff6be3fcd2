package xinetdconf

import (
	"math"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"inetd/inetd/conf"
)

// An attribute is one row of the table: everything that is true of it
// wherever it stands.
type attribute struct {
	name     string
	ops      op
	min, max int // number of values; a max below 0 is any
	where    where
	guard    bool // without it a service is open to more
	free     bool // its values may look like comments
	index    int  // in the table
	set      func(*setting)
}

type where uint8

const (
	anywhere  where = iota
	inService       // not in the defaults
	inDefault       // nowhere else
)

const list = assign | add | remove

// A setting is one assignment on its way into a draft. The number of values
// and the operator have been checked.
type setting struct {
	p    *parser
	d    *draft
	attr string
	assignment
}

var attributes []attribute

var byName map[string]*attribute

func init() {
	// Not in the declarations, which would be circular: setters report errors
	// by looking at the table.
	attributes = []attribute{
		// What it is.
		{name: "id", ops: assign, min: 1, max: 1, where: inService, set: func(s *setting) { s.d.id = s.values[0].text }},
		{name: "type", ops: assign, min: 1, max: -1, where: inService, set: (*setting).types},
		{name: "flags", ops: assign, min: 1, max: -1, where: inService, guard: true, set: (*setting).flags},
		{name: "disable", ops: assign, min: 1, max: 1, where: inService, guard: true, set: func(s *setting) { s.yes(&s.d.disable) }},
		{name: "enabled", ops: list, max: -1, where: inDefault, guard: true, set: func(s *setting) { s.ids(&s.d.enabled) }},
		{name: "disabled", ops: list, max: -1, where: inDefault, guard: true, set: func(s *setting) { s.ids(&s.d.disabled) }},

		// Where it listens.
		{name: "socket_type", ops: assign, min: 1, max: 1, where: inService, set: (*setting).socketType},
		{name: "protocol", ops: assign, min: 1, max: 1, where: inService, set: (*setting).protocol},
		{name: "port", ops: assign, min: 1, max: 1, where: inService, set: func(s *setting) { s.d.port = uint16(s.number(s.values[0], 1, 65535)) }},
		{name: "bind", ops: assign, min: 1, max: 1, guard: true, set: (*setting).bind},
		{name: "v6only", ops: assign, min: 1, max: 1, guard: true, set: func(s *setting) { s.yes(&s.d.v6only) }},
		{name: "rpc_version", ops: assign, min: 1, max: 1, where: inService, set: (*setting).rpcVersion},
		{name: "rpc_number", ops: assign, min: 1, max: 1, where: inService, set: func(s *setting) { s.d.rpcProg = uint32(s.number(s.values[0], 1, math.MaxUint32)) }},

		// What is started.
		{name: "wait", ops: assign, min: 1, max: 1, where: inService, set: func(s *setting) { s.yes(&s.d.wait) }},
		{name: "user", ops: assign, min: 1, max: 1, where: inService, guard: true, set: func(s *setting) { s.d.user = s.values[0].text }},
		{name: "group", ops: assign, min: 1, max: 1, where: inService, guard: true, set: func(s *setting) { s.d.group = s.values[0].text }},
		{name: "groups", ops: assign, min: 1, max: 1, set: func(s *setting) { s.yes(&s.d.x.Groups) }},
		{name: "server", ops: assign, min: 1, max: 1, where: inService, free: true, set: func(s *setting) { s.path(&s.d.server) }},
		{name: "server_args", ops: assign, min: 1, max: -1, where: inService, free: true, set: func(s *setting) { s.d.args = texts(s.values) }},
		{name: "redirect", ops: assign, min: 2, max: 2, where: inService, set: (*setting).redirect},
		{name: "umask", ops: assign, min: 1, max: 1, guard: true, set: (*setting).umask},
		{name: "nice", ops: assign, min: 1, max: 1, set: (*setting).nice},
		{name: "env", ops: assign | add, max: -1, where: inService, free: true, set: (*setting).env},
		{name: "passenv", ops: list, max: -1, guard: true, set: (*setting).passenv},
		{name: "rlimit_as", ops: assign, min: 1, max: 1, where: inService, guard: true, set: func(s *setting) { s.rlimit(conf.RlimitAS) }},
		{name: "rlimit_cpu", ops: assign, min: 1, max: 1, where: inService, guard: true, set: func(s *setting) { s.rlimit(conf.RlimitCPU) }},
		{name: "rlimit_data", ops: assign, min: 1, max: 1, where: inService, guard: true, set: func(s *setting) { s.rlimit(conf.RlimitData) }},
		{name: "rlimit_files", ops: assign, min: 1, max: 1, where: inService, guard: true, set: func(s *setting) { s.rlimit(conf.RlimitFiles) }},
		{name: "rlimit_rss", ops: assign, min: 1, max: 1, where: inService, guard: true, set: func(s *setting) { s.rlimit(conf.RlimitRSS) }},
		{name: "rlimit_stack", ops: assign, min: 1, max: 1, where: inService, guard: true, set: func(s *setting) { s.rlimit(conf.RlimitStack) }},

		// Who is let in.
		{name: "instances", ops: assign, min: 1, max: 1, guard: true, set: func(s *setting) { s.count(&s.d.limits.Children) }},
		{name: "per_source", ops: assign, min: 1, max: 1, guard: true, set: func(s *setting) { s.count(&s.d.limits.SourceChildren) }},
		{name: "cps", ops: assign, min: 2, max: 2, guard: true, set: (*setting).cps},
		{name: "max_load", ops: assign, min: 1, max: 1, guard: true, set: (*setting).maxLoad},
		{name: "access_times", ops: assign, min: 1, max: -1, guard: true, set: (*setting).accessTimes},
		{name: "only_from", ops: list, max: -1, guard: true, set: (*setting).onlyFrom},
		{name: "no_access", ops: list, max: -1, guard: true, set: (*setting).noAccess},
		{name: "deny_time", ops: assign, min: 1, max: 1, where: inService, set: (*setting).denyTime},
		{name: "libwrap", ops: assign, min: 1, max: 1, where: inService, guard: true, set: func(s *setting) { s.d.libwrap = s.values[0].text }},
		{name: "banner", ops: assign, min: 1, max: 1, free: true, set: func(s *setting) { s.path(&s.d.x.Banner) }},
		{name: "banner_success", ops: assign, min: 1, max: 1, free: true, set: func(s *setting) { s.path(&s.d.x.BannerSuccess) }},
		{name: "banner_fail", ops: assign, min: 1, max: 1, free: true, set: func(s *setting) { s.path(&s.d.x.BannerFail) }},

		// What is logged.
		{name: "log_type", ops: assign, min: 2, max: 4, set: (*setting).logType},
		{name: "log_on_success", ops: list, max: -1, set: func(s *setting) { s.items(&s.d.x.Log.OnSuccess, onSuccess) }},
		{name: "log_on_failure", ops: list, max: -1, set: func(s *setting) { s.items(&s.d.x.Log.OnError, onFailure) }},

		// What is known and cannot be had.
		{name: "mdns", ops: assign, min: 1, max: 1, set: (*setting).mdns},
	}
	byName = make(map[string]*attribute, len(attributes)+1)
	for i := range attributes {
		attributes[i].index = i
		byName[attributes[i].name] = &attributes[i]
	}
	byName["interface"] = byName["bind"]
}

// lookup finds an attribute, nil if there is none of that name. As in xinetd,
// the words of the syntax are the same in capitals; names of services, users,
// files and variables are not.
func lookup(name string) *attribute {
	if a := byName[name]; a != nil {
		return a
	}
	return byName[strings.ToLower(name)]
}

// meant guesses the attribute of a name that is none.
func meant(name string) *attribute {
	name = strings.ReplaceAll(strings.ToLower(name), "-", "_")
	for i := range attributes {
		if near(name, attributes[i].name) {
			return &attributes[i]
		}
	}
	if near(name, "interface") {
		return byName["bind"]
	}
	return nil
}

// list says whether the attribute is a set that can be edited, rather than one
// value.
func (a *attribute) list() bool { return a.ops != assign }

// count is the number of values in words.
func (a *attribute) count() string {
	n := func(n int) string {
		if n == 1 {
			return "1 value"
		}
		return strconv.Itoa(n) + " values"
	}
	switch {
	case a.max < 0:
		return "at least " + n(a.min)
	case a.min < a.max:
		return strconv.Itoa(a.min) + " to " + n(a.max)
	}
	return n(a.min)
}

// fail reports a value.
func (s *setting) fail(w word, format string, args ...any) {
	s.p.errs.Errorf(w.pos, s.attr, format, args...)
}

func texts(ws []word) []string {
	t := make([]string, len(ws))
	for i, w := range ws {
		t[i] = w.text
	}
	return t
}

// yes reads yes or no.
func (s *setting) yes(to *bool) {
	switch w := s.values[0]; strings.ToLower(w.text) {
	case "yes":
		*to = true
	case "no":
		*to = false
	default:
		s.fail(w, "%q is neither yes nor no", w.text)
	}
}

// number reads decimal digits; after an error it is least.
func (s *setting) number(w word, least, most uint64) uint64 {
	n, err := strconv.ParseUint(w.text, 10, 64)
	if err != nil || n < least || n > most {
		s.fail(w, "%q is not a number from %d to %d", w.text, least, most)
		return least
	}
	return n
}

// count reads a limit. xinetd's 0 is none at all.
func (s *setting) count(to *conf.Max) {
	w := s.values[0]
	if strings.EqualFold(w.text, "UNLIMITED") {
		*to = conf.Unlimited
		return
	}
	n, err := strconv.ParseUint(w.text, 10, 31)
	if err != nil {
		s.fail(w, "%q is neither a number nor UNLIMITED", w.text)
		return
	}
	if *to = conf.Max(n); n == 0 {
		*to = conf.Never
	}
}

// path reads an absolute path: the daemon's directory is /, and nobody thinks
// of it.
func (s *setting) path(to *string) {
	w := s.values[0]
	if !filepath.IsAbs(w.text) {
		s.fail(w, "%q: expected a path that starts with /", w.text)
		return
	}
	*to = w.text
}

// size reads a number of bytes with K or M after it.
func (s *setting) size(w word) uint64 {
	digits, unit := w.text, uint64(1)
	switch n := len(digits); digits[n-1] {
	case 'k', 'K':
		digits, unit = digits[:n-1], 1<<10
	case 'm', 'M':
		digits, unit = digits[:n-1], 1<<20
	}
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil || n > math.MaxInt64/unit {
		s.fail(w, "%q is not a size: a number, with K or M after it", w.text)
		return 0
	}
	return n * unit
}

func (s *setting) types() {
	names := map[string]types{"RPC": typeRPC, "INTERNAL": typeInternal, "UNLISTED": typeUnlisted, "TCPMUX": typeMux, "TCPMUXPLUS": typeMuxPlus}
	for _, w := range s.values {
		t, ok := names[strings.ToUpper(w.text)]
		if !ok {
			s.fail(w, "%q: expected RPC, INTERNAL, UNLISTED, TCPMUX or TCPMUXPLUS", w.text)
		}
		s.d.types |= t
	}
}

func (s *setting) flags() {
	names := map[string]flags{
		"INTERCEPT": flagIntercept, "IDONLY": flagIDOnly, "NAMEINARGS": flagNameInArgs, "NODELAY": flagNoDelay,
		"KEEPALIVE": flagKeepAlive, "NOLIBWRAP": flagNoLibwrap, "SENSOR": flagSensor, "IPV4": flagIPv4, "IPV6": flagIPv6,
		"LABELED": flagLabeled, "DISABLE": flagDisable,
		// Every service reuses its address; a failed fork is not tried again.
		"REUSE": flagNothing, "NORETRY": flagNothing,
	}
	for _, w := range s.values {
		f, ok := names[strings.ToUpper(w.text)]
		if !ok {
			s.fail(w, "%q: expected IDONLY, IPv4, IPv6, KEEPALIVE, NAMEINARGS, NODELAY, NOLIBWRAP, NORETRY, REUSE or SENSOR", w.text)
		}
		s.d.flags |= f
	}
}

// ids reads service ids.
func (s *setting) ids(to *[]word) {
	if s.op != remove {
		*to = append(slices.Clip(*to), s.values...)
		return
	}
	*to = slices.DeleteFunc(slices.Clone(*to), func(w word) bool {
		return slices.ContainsFunc(s.values, func(v word) bool { return strings.EqualFold(v.text, w.text) })
	})
}

func (s *setting) socketType() {
	w := s.values[0]
	switch s.d.socktype = conf.ParseSocktype(strings.ToLower(w.text)); s.d.socktype {
	case conf.Stream, conf.Dgram, conf.Raw, conf.Seqpacket:
	default:
		s.fail(w, "%q: expected stream, dgram, raw or seqpacket", w.text)
	}
}

func (s *setting) protocol() {
	w := s.values[0]
	// A small system knows tcp and udp without an /etc/protocols.
	if t := strings.ToLower(w.text); t == "tcp" || t == "udp" {
		s.d.proto = t
		return
	}
	if w.text == "unix" || !s.p.env.Proto(w.text) {
		if base := strings.TrimRight(w.text, "46"); base == "tcp" || base == "udp" {
			s.fail(w, "%q is not in protocols(5): write %s, and the flag IPv4 or IPv6", w.text, base)
			return
		}
		s.fail(w, "%q is not in protocols(5)", w.text)
		return
	}
	s.d.proto = w.text
}

// bind reads an address or a host name.
func (s *setting) bind() {
	w := s.values[0]
	a, err := netip.ParseAddr(w.text)
	short, ok := conf.InetAton(w.text)
	switch {
	case err == nil:
		s.d.bind = a.Unmap().String()
	case ok:
		s.d.bind = short.String()
	case hostName(w.text):
		s.d.bind = w.text
	default:
		s.fail(w, "%q is neither an address nor a host name", w.text)
	}
}

func (s *setting) rpcVersion() {
	w := s.values[0]
	low, high, ranged := strings.Cut(w.text, "-")
	if !ranged {
		high = low
	}
	l, err1 := strconv.ParseUint(low, 10, 31)
	h, err2 := strconv.ParseUint(high, 10, 31)
	if err1 != nil || err2 != nil || l > h {
		s.fail(w, "%q: expected N or LOW-HIGH", w.text)
		return
	}
	s.d.rpcLow, s.d.rpcHigh = uint32(l), uint32(h)
}

func (s *setting) redirect() {
	host, port := s.values[0], s.values[1]
	r := new(conf.Redirect)
	if a, err := netip.ParseAddr(host.text); err == nil {
		r.Host = a.String()
	} else if r.Host = host.text; !hostName(host.text) {
		s.fail(host, "%q is neither an address nor a host name", host.text)
	}
	if n, _, ok := s.p.env.Port(port.text, "tcp"); ok {
		r.Port = n
	} else {
		n, err := strconv.ParseUint(port.text, 10, 16)
		if err != nil || n == 0 {
			s.fail(port, "%q is neither a port from 1 to 65535 nor in services(5) for tcp", port.text)
		}
		r.Port = uint16(n)
	}
	s.d.x.Redirect = r
}

func (s *setting) umask() {
	w := s.values[0]
	n, err := strconv.ParseUint(w.text, 8, 32)
	if err != nil || n > 0o777 {
		s.fail(w, "%q is not an octal number up to 777", w.text)
		return
	}
	m := uint32(n)
	s.d.x.Umask = &m
}

func (s *setting) nice() {
	w := s.values[0]
	n, err := strconv.Atoi(w.text)
	if err != nil || n < -40 || n > 40 {
		s.fail(w, "%q is not a number from -40 to 40", w.text)
		return
	}
	s.d.x.Nice = n
}

func (s *setting) env() {
	for _, w := range s.values {
		if i := strings.IndexByte(w.text, '='); i <= 0 {
			s.fail(w, "%q: expected NAME=value", w.text)
		}
	}
	if s.op == assign {
		s.d.x.Env = nil
	}
	s.d.x.Env = append(slices.Clip(s.d.x.Env), texts(s.values)...)
}

func (s *setting) passenv() {
	for _, w := range s.values {
		if strings.Contains(w.text, "=") {
			s.fail(w, "%q: expected the name of a variable alone", w.text)
		}
	}
	names := s.d.x.PassEnv
	switch s.op {
	case assign:
		names = texts(s.values)
	case add:
		names = append(slices.Clip(names), texts(s.values)...)
	case remove:
		if names == nil {
			s.p.errs.Warnf(s.name.pos, s.attr, "there is no list to remove from: none is passed")
		}
		names = slices.DeleteFunc(slices.Clone(names), func(n string) bool { return slices.Contains(texts(s.values), n) })
	}
	if names == nil {
		names = []string{}
	}
	s.d.x.PassEnv = names
}

func (s *setting) rlimit(r conf.Resource) {
	w := s.values[0]
	l := conf.Rlimit{Resource: r, Max: conf.RlimInfinity}
	switch {
	case strings.EqualFold(w.text, "UNLIMITED"):
	case r == conf.RlimitCPU:
		l.Max = s.number(w, 0, math.MaxInt64)
	default:
		l.Max = s.size(w)
	}
	s.d.x.Rlimits = append(s.d.x.Rlimits, l)
}

func (s *setting) cps() {
	s.d.limits.CPS = conf.CPS{
		Rate: int(s.number(s.values[0], 0, math.MaxInt32)),
		Wait: time.Duration(s.number(s.values[1], 0, math.MaxInt32)) * time.Second,
	}
	if s.d.limits.CPS.Rate == 0 {
		s.d.limits.CPS = conf.CPS{}
	}
}

func (s *setting) maxLoad() {
	w := s.values[0]
	f, err := strconv.ParseFloat(w.text, 64)
	if err != nil || !(f >= 0 && f <= 1e6) || strings.ContainsAny(w.text, "xXpPeE_") {
		s.fail(w, "%q is not a load, such as 2.5", w.text)
		return
	}
	s.d.x.MaxLoad = f
}

// denyTime reads minutes.
func (s *setting) denyTime() {
	switch w := s.values[0]; strings.ToUpper(w.text) {
	case "FOREVER":
		s.d.x.DenyTime = conf.Forever
	case "NEVER":
		s.d.x.DenyTime = 0
	default:
		n, err := strconv.ParseUint(w.text, 10, 64)
		if err != nil || n > 100*365*24*60 {
			s.fail(w, "%q is neither a number of minutes nor FOREVER or NEVER", w.text)
			return
		}
		s.d.x.DenyTime = time.Duration(n) * time.Minute
	}
}

// logType reads SYSLOG facility [level] or FILE path [soft [hard]].
func (s *setting) logType() {
	what, v := s.values[0], s.values[1:]
	var l conf.Log
	switch word := strings.ToUpper(what.text); {
	case word == "SYSLOG" && len(v) <= 2:
		l.Facility, l.Level = strings.ToLower(v[0].text), "info"
		if len(v) == 2 {
			l.Level = strings.ToLower(v[1].text)
		}
		if !slices.Contains(facilities, l.Facility) {
			s.fail(v[0], "%q is not a facility of syslog: expected one of %s", v[0].text, strings.Join(facilities, " "))
		}
		if !slices.Contains(levels, l.Level) {
			s.fail(v[len(v)-1], "%q is not a level of syslog: expected one of %s", l.Level, strings.Join(levels, " "))
		}
	case word == "SYSLOG":
		s.fail(v[2], "SYSLOG takes a facility and a level%s", hint(v))
	case word == "FILE":
		l.File = v[0].text
		if !filepath.IsAbs(l.File) {
			s.fail(v[0], "%q: expected a path that starts with /", l.File)
		}
		if len(v) > 1 {
			l.Soft = s.size(v[1])
			l.Hard = l.Soft + min(max(l.Soft/100, 5<<10), 20<<10)
		}
		if len(v) > 2 {
			if l.Hard = s.size(v[2]); l.Hard < l.Soft {
				s.fail(v[2], "the hard limit is below the soft one")
			}
		}
	default:
		s.fail(what, "%q: expected SYSLOG or FILE", what.text)
	}
	l.OnSuccess, l.OnError = s.d.x.Log.OnSuccess, s.d.x.Log.OnError
	s.d.x.Log = l
}

var (
	facilities = []string{"daemon", "auth", "authpriv", "user", "mail", "lpr", "news", "uucp", "ftp", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"}
	levels     = []string{"emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"}
)

type item struct {
	name string
	bit  conf.LogItems
}

var (
	onSuccess = []item{{"PID", conf.LogPID}, {"HOST", conf.LogHost}, {"USERID", conf.LogUserID}, {"EXIT", conf.LogExit}, {"DURATION", conf.LogDuration}, {"TRAFFIC", conf.LogTraffic}}
	onFailure = []item{{"HOST", conf.LogHost}, {"USERID", conf.LogUserID}, {"ATTEMPT", conf.LogAttempt}}
)

// items edits a set of things to log.
func (s *setting) items(to *conf.LogItems, known []item) {
	var bits conf.LogItems
	for _, w := range s.values {
		i := slices.IndexFunc(known, func(it item) bool { return strings.EqualFold(it.name, w.text) })
		switch {
		case i >= 0:
			bits |= known[i].bit
		case strings.EqualFold(w.text, "RECORD"):
			// Of xinetd before 2.3.
			s.p.errs.Warnf(w.pos, s.attr, "RECORD is no more: there is nothing to record")
		default:
			var names []string
			for _, it := range known {
				names = append(names, it.name)
			}
			s.fail(w, "%q: expected some of %s", w.text, strings.Join(names, " "))
		}
	}
	switch s.op {
	case assign:
		*to = bits
	case add:
		*to |= bits
	case remove:
		*to &^= bits
	}
}

func (s *setting) mdns() {
	var yes bool
	if s.yes(&yes); yes {
		s.p.errs.Warnf(s.values[0].pos, s.attr, "services are not announced by multicast DNS here")
	}
}
