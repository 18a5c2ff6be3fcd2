package libwrap

import (
	"strings"
	"time"

	"inetd/libwrap/syslog"
)

// An option is one row of the language of hosts_options(5).
type option struct {
	name   string
	arg    argument
	last   bool                               // nothing may follow it
	expand bool                               // its value is %-expanded first
	check  func(value string) (int, string)   // reads the value: a number, or what is wrong with it
	do     func(d *decision, v string, n int) // takes effect on the decision
}

type argument int

const (
	noArgument argument = iota
	mayHaveArgument
	needsArgument
)

// optionTable returns the options. It is a function so that a program that
// meets no option does not pay for setting up the table.
func optionTable() []option {
	return []option{
		{name: "allow", last: true, do: func(d *decision, _ string, _ int) { d.finish(true) }},
		{name: "deny", last: true, do: func(d *decision, _ string, _ int) { d.finish(false) }},
		{name: "severity", arg: needsArgument, check: checkSeverity, do: (*decision).severity},
		{name: "spawn", arg: needsArgument, expand: true, do: func(d *decision, v string, _ int) { d.event(Event{Kind: Spawn, Text: v}) }},
		{name: "twist", arg: needsArgument, expand: true, last: true, do: (*decision).twist},
		{name: "aclexec", arg: needsArgument, expand: true, do: (*decision).aclexec},
		{name: "rfc931", arg: mayHaveArgument, check: checkTimeout, do: (*decision).rfc931},
		{name: "setenv", arg: needsArgument, expand: true, do: (*decision).setenv},
		{name: "umask", arg: needsArgument, check: checkUmask, do: func(d *decision, _ string, n int) { d.event(Event{Kind: Umask, N: n}) }},
		{name: "nice", arg: mayHaveArgument, check: checkNice, do: func(d *decision, _ string, n int) { d.event(Event{Kind: Nice, N: n}) }},
		{name: "linger", arg: needsArgument, check: checkLinger, do: func(d *decision, _ string, n int) { d.event(Event{Kind: Linger, N: n}) }},
		{name: "keepalive", do: func(d *decision, _ string, _ int) { d.event(Event{Kind: Keepalive}) }},
		{name: "user", arg: needsArgument, do: (*decision).setUser},
		{name: "group", arg: needsArgument, do: (*decision).setGroup},
		{name: "banners", arg: needsArgument, do: (*decision).banners},
	}
}

// nextField cuts the options at the next colon. A backslash before a colon
// goes and the colon stays; other backslashes stay.
func nextField(s string) (field, rest string) {
	i := strings.IndexAny(s, `:\`)
	if i < 0 {
		return s, ""
	}
	var b []byte // what is before from, if a backslash went
	from := 0
	for ; i < len(s) && s[i] != ':'; i++ {
		if s[i] == '\\' && i+1 < len(s) && s[i+1] == ':' {
			b = append(b, s[from:i]...)
			from = i + 1
			i++
		}
	}
	field = s[from:i]
	if from > 0 {
		field = string(append(b, field...))
	}
	if i < len(s) {
		rest = s[i+1:]
	}
	return field, rest
}

// splitOption cuts an option into key and value. The first blank or = ends
// the key; one = is swallowed, with the blanks around it. An empty value is
// as good as none.
func splitOption(field string) (key, value string) {
	field = trim(field)
	i := strings.IndexAny(field, "="+blanks)
	if i < 0 {
		return field, ""
	}
	key, value = field[:i], field[i:]
	value = strings.TrimLeft(value, blanks)
	if value != "" && value[0] == '=' {
		value = strings.TrimLeft(value[1:], blanks)
	}
	return key, value
}

// findOption looks up a key and makes the checks that all options share.
func findOption(key, value string, more bool) (o *option, problem string) {
	if key == "" {
		return nil, "missing option name"
	}
	table := optionTable()
	for i := range table {
		if o = &table[i]; !equalFold(o.name, key) {
			continue
		}
		switch {
		case value == "" && o.arg == needsArgument:
			problem = `option "` + key + `" requires value`
		case value != "" && o.arg == noArgument:
			problem = `option "` + key + `" requires no value`
		case more && o.last:
			problem = `option "` + key + `" must be at end`
		}
		return o, problem
	}
	return nil, `bad option name: "` + key + `"`
}

// parseOptions lists options for checkers; pos maps an offset in text to its
// place in the file.
func parseOptions(text string, pos func(off int) Pos) []OptionText {
	list := []OptionText{}
	for rest := text; rest != ""; {
		at := len(text) - len(rest)
		for at < len(text) && text[at] != '\n' && isspace(text[at]) {
			at++
		}
		var field string
		field, rest = nextField(rest)
		o := OptionText{Pos: pos(at)}
		o.Key, o.Value = splitOption(field)
		row, problem := findOption(o.Key, o.Value, rest != "")
		if problem == "" && row.check != nil {
			_, problem = row.check(o.Value)
		}
		o.Err = problem
		list = append(list, o)
	}
	return list
}

// options runs the options of a rule from left to right.
func (d *decision) options(text string) {
	for text != "" && !d.stop() {
		var field string
		field, text = nextField(text)
		key, value := splitOption(field)
		o, problem := findOption(key, value, text != "")
		if problem != "" {
			d.fail(problem)
			return
		}
		if o.expand {
			if value = trim(d.expand(value, maxExpansion)); d.stop() {
				return
			}
		}
		d.event(Event{Kind: Option, Key: key, Text: value})
		n := 0
		if o.check != nil {
			if n, problem = o.check(value); problem != "" {
				d.fail(problem)
				return
			}
		}
		o.do(d, value, n)
	}
}

// The words of the severity option are those of syslog(3) except that
// synonyms of facilities are not known.
func checkSeverity(value string) (int, string) {
	fac, level, both, p := "", value, false, syslog.Priority(0)
	if fac, level, both = splitAt(value, '.'); both {
		f, ok := syslog.ParseFacility(fac)
		if !ok || equalFold(fac, "security") {
			return 0, badSeverity(fac)
		}
		p = f
	} else {
		level = value
	}
	l, ok := syslog.ParseSeverity(level)
	if !ok {
		return 0, badSeverity(level)
	}
	return int(p | l), ""
}

func badSeverity(word string) string { return `bad syslog facility or severity: "` + word + `"` }

func (d *decision) severity(_ string, n int) {
	p := syslog.Priority(n)
	d.v.AllowSeverity, d.v.DenySeverity = p, p
}

func checkTimeout(value string) (int, string) {
	if value == "" {
		return 0, ""
	}
	n, ok := scanInt(value)
	if !ok || n <= 0 {
		return 0, `bad rfc931 timeout: "` + value + `"`
	}
	return n, ""
}

func (d *decision) rfc931(_ string, n int) {
	if n > 0 {
		d.timeout = time.Duration(n) * time.Second
	}
	d.user()
}

func checkUmask(value string) (int, string) {
	n, ok := scanUint(value, 8)
	if !ok || n > 0777 {
		return 0, `bad umask value: "` + value + `"`
	}
	return int(n), ""
}

func checkNice(value string) (int, string) {
	if value == "" {
		return 10, ""
	}
	n, ok := scanInt(value)
	if !ok {
		return 0, `bad nice value: "` + value + `"`
	}
	return n, ""
}

func checkLinger(value string) (int, string) {
	n, ok := scanInt(value)
	if !ok || n < 0 {
		return 0, `bad linger value: "` + value + `"`
	}
	return n, ""
}

func (d *decision) setenv(value string, _ int) {
	name, val := value, ""
	if i := strings.IndexAny(value, blanks); i >= 0 {
		name, val = value[:i], trim(value[i+1:])
	}
	name = trim(name)
	d.env = append(d.env, name+"="+val)
	d.event(Event{Kind: Setenv, Key: name, Text: val})
}

func (d *decision) twist(value string, _ int) {
	if d.r.Resident {
		d.fail("twist option in resident process")
		return
	}
	d.event(Event{Kind: Log, Priority: d.v.DenySeverity, Text: "twist " + d.r.ClientInfo() + " to " + value})
	d.event(Event{Kind: Twist, Text: value})
	d.v.Delegated = true
	d.finish(false)
}

// aclexec runs a command whose exit status decides whether the rule counts as
// matching. Only the last one of a rule decides.
func (d *decision) aclexec(value string, _ int) {
	if d.block() {
		return
	}
	run := d.r.Run
	if run == nil {
		run = RunShell
	}
	st, err := run(d.ctx, value, d.env)
	if err != nil {
		// Nobody knows what it would have said, and in a deny table a failure
		// grants.
		d.fail("aclexec: " + strerror(err))
		return
	}
	if st.Signal != 0 {
		d.warn("process " + itoa(st.PID) + " exited with signal " + itoa(st.Signal))
	}
	d.aclFailed = st.Signal != 0 || st.Code != 0
}

func (d *decision) setUser(value string, _ int) {
	name, group, both := splitAt(value, '.')
	gid := -1
	if both {
		var ok bool
		if gid, ok = d.gid(group); !ok {
			return
		}
	}
	if d.block() {
		return
	}
	u, ok := findUser(d.ctx, name)
	if !ok {
		d.fail(`unknown user: "` + name + `"`)
		return
	}
	if gid < 0 {
		gid = u.gid
	}
	d.event(Event{Kind: SetUser, Key: name, ID: &Identity{Name: name, UID: u.uid, GID: gid, Groups: userGroups(d.ctx, name, gid)}})
}

func (d *decision) setGroup(value string, _ int) {
	if gid, ok := d.gid(value); ok {
		d.event(Event{Kind: SetGroup, Key: value, ID: &Identity{Name: value, UID: -1, GID: gid, Groups: []int{gid}}})
	}
}

func (d *decision) gid(name string) (int, bool) {
	if d.block() {
		return 0, false
	}
	gid, ok := findGroup(d.ctx, name)
	if !ok {
		d.fail(`unknown group: "` + name + `"`)
	}
	return gid, ok
}

const (
	maxBanner     = 1 << 20 // bytes of a banner file
	maxBannerLine = 8190    // longer lines come in pieces
)

// banners sends the file named after the daemon, a line at a time.
func (d *decision) banners(dir string, _ int) {
	text, err := readPath(dir+"/"+d.r.Daemon, maxBanner)
	if err != nil {
		if _, err := statFile(dir); err != nil {
			d.warn(dir + ": " + strerror(err))
		}
		return
	}
	for len(text) > 0 && text[0] == 0 {
		d.event(Event{Kind: Banner, Text: "\x00"})
		text = text[1:]
	}
	for len(text) > 0 && !d.stop() {
		n := min(len(text), maxBannerLine)
		line := text[:n]
		if i := strings.IndexByte(string(line), '\n'); i >= 0 {
			line = line[:i+1]
		}
		text = text[len(line):]
		s := string(line)
		if i := strings.IndexByte(s, 0); i >= 0 {
			s = s[:i] // where C sees the end of the line
		}
		// The newline of a line with an open bracket is not found.
		if before, _, ok := splitAt(s, '\n'); ok {
			s = before + "\r\n"
		}
		if s = d.expand(s, 2*maxExpansion+2); !d.stop() {
			d.event(Event{Kind: Banner, Text: s})
		}
	}
}
