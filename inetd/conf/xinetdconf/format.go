package xinetdconf

import (
	"fmt"
	"io"
	"net/netip"
	"path"
	"strconv"
	"strings"
	"time"

	"inetd/inetd/conf"
)

// Format prints services as blocks of xinetd.conf(5), which read back as the
// same services. What the syntax cannot say is in the list, as warnings with
// the places of the services; a service that would become another one is left
// out and a comment stands for it. Errors of w are not reported.
func Format(w io.Writer, services []*conf.Service) conf.ErrorList {
	f := &formatter{w: w, ids: make(map[string]bool)}
	for _, s := range services {
		if s.Xinetd != nil {
			f.ids[s.Xinetd.ID] = true
		}
	}
	for _, s := range services {
		f.service(s)
	}
	return f.errs
}

type formatter struct {
	w     io.Writer
	errs  conf.ErrorList
	ids   map[string]bool // in use
	lines []string
	began bool
}

// put adds an attribute. There is no way to write a word with a blank in it.
func (f *formatter) put(name string, values ...string) {
	f.lines = append(f.lines, strings.TrimRight(fmt.Sprintf("\t%-15s = %s", name, strings.Join(values, " ")), " "))
}

func (f *formatter) warn(s *conf.Service, field, format string, args ...any) {
	f.errs.Warnf(s.Pos, field, "%s: %s", s.Label(), fmt.Sprintf(format, args...))
}

// service prints a service: a block, or one for each of its hosts.
func (f *formatter) service(s *conf.Service) {
	if f.began {
		fmt.Fprintln(f.w)
	}
	f.began = true
	if field, why := unsayable(s); why != "" {
		f.warn(s, field, "left out: %s", why)
		fmt.Fprintf(f.w, "# %q is left out: %s\n", s.Label(), why)
		return
	}
	hosts := s.Hosts
	if len(hosts) == 0 {
		hosts = []string{""}
	} else if len(hosts) > 1 {
		f.warn(s, "bind", "it takes one address: each of the %d has a service of its own, with limits of its own", len(hosts))
	}
	for i, host := range hosts {
		if i > 0 {
			fmt.Fprintln(f.w)
		}
		f.lines = nil
		f.attributes(s, host)
		fmt.Fprintf(f.w, "service %s\n{\n%s\n}\n", s.Name, strings.Join(f.lines, "\n"))
	}
	f.lost(s)
}

// unsayable says why a service cannot be written.
func unsayable(s *conf.Service) (field, why string) {
	switch {
	case s.Socktype == 0:
		return "disable", "it is switched off, and could not be read"
	case s.Proto == "unix":
		return "protocol", "there are no unix-domain sockets in the syntax"
	case s.Mux != conf.NoMux && len(s.Hosts) > 1:
		return "bind", "it takes one address, and a name of tcpmux one service"
	case s.Socktype == conf.RDM:
		return "socket_type", "there is no rdm in the syntax"
	}
	words := []struct {
		attr string
		list []string
	}{
		{"service", []string{s.Name}}, {"protocol", []string{s.Proto}}, {"user", []string{s.User}}, {"group", []string{s.Group}},
		{"server", []string{s.Program}}, {"server_args", s.Args}, {"bind", s.Hosts},
	}
	if x := s.Xinetd; x != nil {
		words = append(words, struct {
			attr string
			list []string
		}{"env", x.Env})
	}
	for _, ws := range words {
		for _, w := range ws.list {
			if strings.ContainsFunc(w, func(r rune) bool { return r < 0x80 && blank(byte(r)) || r == 0 }) {
				return ws.attr, fmt.Sprintf("there are no quotes in the syntax, which %q needs", w)
			}
			if w == "" && (ws.attr == "service" || ws.attr == "server_args") {
				return ws.attr, "there are no empty words in the syntax"
			}
		}
	}
	if n := s.Name; comment(n) || strings.HasSuffix(n, "{") {
		return "service", "the name would be read as something else"
	}
	return "", ""
}

// attributes prints the lines of one block.
func (f *formatter) attributes(s *conf.Service, host string) {
	x := s.Xinetd
	if x == nil {
		// As inetd serves it.
		x = &conf.Xinetd{ID: f.newID(s), Groups: s.Internal == ""}
	}
	if x.ID != s.Name {
		f.put("id", x.ID)
	}
	if s.Off {
		f.put("disable", "yes")
	}
	unlisted := x.Unlisted || s.Mux != conf.NoMux || number(s.Name)
	if t := typeWords(s, x, unlisted); len(t) > 0 {
		f.put("type", t...)
	}
	if fl := flagWords(s, x); len(fl) > 0 {
		f.put("flags", fl...)
	}
	f.put("socket_type", s.Socktype.String())
	f.put("protocol", s.Proto)
	// Whatever they are said to be, datagram built-ins are not waited for, and
	// xinetd wants a yes.
	f.put("wait", yesNo(s.Wait || s.Internal != "" && s.Socktype == conf.Dgram))
	f.where(s, host, unlisted)
	f.program(s, x)
	f.limits(s)
	f.admission(s, x)
	f.process(x)
	f.log(&x.Log)
}

// newID finds an id for a service that came from inetd.conf.
func (f *formatter) newID(s *conf.Service) string {
	id := s.Name
	if f.ids[id] {
		id = s.Name + "-" + s.Socktype.String()
	}
	for n := 2; f.ids[id]; n++ {
		id = s.Name + "-" + s.Socktype.String() + "-" + strconv.Itoa(n)
	}
	f.ids[id] = true
	return id
}

func typeWords(s *conf.Service, x *conf.Xinetd, unlisted bool) (t []string) {
	if s.Internal != "" && !x.Sensor {
		t = append(t, "INTERNAL")
	}
	if s.RPC != nil {
		t = append(t, "RPC")
	}
	switch s.Mux {
	case conf.MuxSelf:
		t = append(t, "TCPMUX")
	case conf.MuxPlus:
		t = append(t, "TCPMUXPLUS")
	}
	if unlisted {
		t = append(t, "UNLISTED")
	}
	return t
}

func flagWords(s *conf.Service, x *conf.Xinetd) (fl []string) {
	for _, f := range []struct {
		name string
		on   bool
	}{
		{"SENSOR", x.Sensor},
		{"IPv4", s.Family == conf.V4},
		{"IPv6", s.Family == conf.Mapped},
		{"NAMEINARGS", nameInArgs(s)},
		{"NODELAY", x.NoDelay},
		{"KEEPALIVE", x.KeepAlive},
		{"IDONLY", x.IDOnly},
		{"NOLIBWRAP", x.Libwrap == "" && libwrapped(s)},
	} {
		if f.on {
			fl = append(fl, f.name)
		}
	}
	return fl
}

func nameInArgs(s *conf.Service) bool {
	return s.Program != "" && len(s.Args) > 0 && s.Args[0] != path.Base(s.Program)
}

// libwrapped says whether a service asks libwrap unless told not to. Of a
// connection to an RPC service only its server learns the client.
func libwrapped(s *conf.Service) bool { return s.RPC == nil || s.Socktype != conf.Stream }

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// where prints what the service listens on.
func (f *formatter) where(s *conf.Service, host string, unlisted bool) {
	switch {
	case s.RPC != nil:
		if unlisted {
			f.put("rpc_number", strconv.FormatUint(uint64(s.RPC.Program), 10))
		}
		v := strconv.FormatUint(uint64(s.RPC.Low), 10)
		if s.RPC.High != s.RPC.Low {
			v += "-" + strconv.FormatUint(uint64(s.RPC.High), 10)
		}
		f.put("rpc_version", v)
	case s.Mux == conf.NoMux && (unlisted || s.Xinetd != nil):
		f.put("port", strconv.Itoa(int(s.Port)))
	}
	v6only := s.Family == conf.V6
	if a, err := netip.ParseAddr(host); err == nil && a == netip.IPv6Unspecified() {
		v6only, host = s.Family != conf.Mapped, ""
	}
	if host != "" {
		f.put("bind", host)
	}
	if v6only {
		f.put("v6only", "yes")
	}
}

// program prints what is started and as whom.
func (f *formatter) program(s *conf.Service, x *conf.Xinetd) {
	if s.User != "" {
		f.put("user", s.User)
	}
	if s.Group != "" {
		f.put("group", s.Group)
	}
	args := s.Args
	switch {
	case x.Sensor:
		return
	case x.Redirect != nil:
		f.put("redirect", x.Redirect.Host, strconv.Itoa(int(x.Redirect.Port)))
		return
	case s.Internal == "":
		f.put("server", s.Program)
		if !nameInArgs(s) && len(args) > 0 {
			args = args[1:]
		}
	}
	if len(args) > 0 {
		f.put("server_args", args...)
	}
}

func (f *formatter) limits(s *conf.Service) {
	l := s.Limits
	if l.Rate == conf.Never {
		l.Children = conf.Never
	}
	if l.SourceRate == conf.Never {
		l.SourceChildren = conf.Never
	}
	for _, c := range []struct {
		attr string
		max  conf.Max
	}{{"instances", l.Children}, {"per_source", l.SourceChildren}} {
		switch {
		case c.max > 0:
			f.put(c.attr, strconv.Itoa(int(c.max)))
		case c.max == conf.Never:
			f.put(c.attr, "0")
		}
	}
	switch {
	case s.Xinetd == nil && l.Rate != conf.Unlimited, l.CPS == conf.DefaultCPS:
	default:
		f.put("cps", strconv.Itoa(l.CPS.Rate), strconv.FormatInt(int64(l.CPS.Wait/time.Second), 10))
	}
}

// admission prints who is let in.
func (f *formatter) admission(s *conf.Service, x *conf.Xinetd) {
	if x.MaxLoad > 0 {
		f.put("max_load", strconv.FormatFloat(x.MaxLoad, 'f', -1, 64))
	}
	if len(x.Times) > 0 {
		var ts []string
		for _, t := range x.Times {
			ts = append(ts, windowWord(t))
		}
		f.put("access_times", ts...)
	}
	patterns := func(ps []conf.Pattern) (ws []string) {
		for _, p := range ps {
			ws = append(ws, p.String())
		}
		return ws
	}
	if x.Access.OnlyGiven {
		f.put("only_from", patterns(x.Access.Only)...)
	}
	if len(x.Access.No) > 0 {
		f.put("no_access", patterns(x.Access.No)...)
	}
	switch {
	case x.DenyTime == conf.Forever:
		f.put("deny_time", "FOREVER")
	case x.DenyTime > 0:
		f.put("deny_time", strconv.FormatInt(int64(x.DenyTime/time.Minute), 10))
	}
	if x.Libwrap != "" && x.Libwrap != libwrapName(s) {
		f.put("libwrap", x.Libwrap)
	}
	for _, b := range [][2]string{{"banner", x.Banner}, {"banner_success", x.BannerSuccess}, {"banner_fail", x.BannerFail}} {
		if b[1] != "" {
			f.put(b[0], b[1])
		}
	}
}

func windowWord(t conf.TimeWindow) string {
	end := t.End
	if end == t.Start { // the last minute of a day: 24:00, for which xinetd itself switches a service off
		end = midnight
	}
	word := fmt.Sprintf("%02d:%02d-%02d:%02d", t.Start/60, t.Start%60, end/60, end%60)
	if t.Days == conf.EveryDay {
		return word
	}
	// The week of the manual begins on Monday.
	var days []string
	for i := 1; i <= 7; i++ {
		first := i
		for i <= 7 && t.Days.Has(time.Weekday(i%7)) {
			i++
		}
		switch i - first {
		case 0:
		case 1:
			days = append(days, dayNames[first%7])
		default:
			days = append(days, dayNames[first%7]+"-"+dayNames[(i-1)%7])
		}
	}
	return strings.Join(days, ",") + "/" + word
}

// process prints how the server runs.
func (f *formatter) process(x *conf.Xinetd) {
	if x.Groups {
		f.put("groups", "yes")
	}
	if x.Umask != nil {
		f.put("umask", fmt.Sprintf("%03o", *x.Umask))
	}
	if x.Nice != 0 {
		f.put("nice", strconv.Itoa(x.Nice))
	}
	for _, l := range x.Rlimits {
		max := "UNLIMITED"
		if l.Max != conf.RlimInfinity {
			max = strconv.FormatUint(l.Max, 10)
		}
		f.put("rlimit_"+l.Resource.String(), max)
	}
	if x.PassEnv != nil {
		f.put("passenv", x.PassEnv...)
	}
	if len(x.Env) > 0 {
		f.put("env", x.Env...)
	}
}

func (f *formatter) log(l *conf.Log) {
	switch {
	case l.File != "" && l.Soft == 0 && l.Hard == 0:
		f.put("log_type", "FILE", l.File)
	case l.File != "":
		f.put("log_type", "FILE", l.File, strconv.FormatUint(l.Soft, 10), strconv.FormatUint(l.Hard, 10))
	case l.Facility != "":
		f.put("log_type", "SYSLOG", l.Facility, l.Level)
	}
	for _, i := range []struct {
		attr  string
		bits  conf.LogItems
		known []item
	}{{"log_on_success", l.OnSuccess, onSuccess}, {"log_on_failure", l.OnError, onFailure}} {
		var names []string
		for _, it := range i.known {
			if i.bits&it.bit != 0 {
				names = append(names, it.name)
			}
		}
		if len(names) > 0 {
			f.put(i.attr, names...)
		}
	}
}

// lost warns of what the block does not say.
func (f *formatter) lost(s *conf.Service) {
	l := s.Limits
	for _, w := range []struct {
		field string
		lost  bool
		text  string
	}{
		{"cps", l.Rate > 0, fmt.Sprintf("a limit of %d starts a minute cannot be said, only one of connections a second", l.Rate)},
		{"cps", l.Rate == conf.Never, "it becomes instances = 0: refused for the number of servers, not for the rate"},
		{"instances", l.Children > 0 && !l.Refuse, "over the limit clients are refused; they no longer wait in the queue"},
		{"per_source", l.SourceRate > 0, fmt.Sprintf("a limit of %d starts a minute for one client cannot be said", l.SourceRate)},
		{"socket_type", s.SndBuf != 0 || s.RcvBuf != 0, "buffer sizes cannot be said"},
		{"socket_type", s.Filter != "", fmt.Sprintf("the accept filter %s cannot be said", s.Filter)},
		{"group", s.Xinetd == nil && s.Group == "" && s.User != "" && strings.Trim(s.User, "0123456789") == "", "where the user is a number the group is the same number, not what passwd(5) has"},
		{"user", s.Class != "", fmt.Sprintf("the login class %s cannot be said", s.Class)},
	} {
		if w.lost {
			f.warn(s, w.field, "%s", w.text)
		}
	}
	if s.Internal != "" && len(s.Args) > 0 && (s.Xinetd == nil || !s.Xinetd.Sensor) {
		f.warn(s, "server_args", "xinetd itself knows an internal service by its name only")
	}
}
