package inetdconf

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"inetd/inetd/conf"
)

// Convert prints services, one to a line, so that Parse reads the same services.
// What inetd.conf cannot say is in the list, as warnings with the places of the
// services. A service that would be another one, or open to more clients, is
// printed switched off. Errors of w are not reported.
func Convert(w io.Writer, services []*conf.Service) conf.ErrorList {
	var l conf.ErrorList
	for _, s := range services {
		if s.Socktype == 0 {
			l.Warnf(s.Pos, "", "%s: left out: it is switched off, and could not be read", s.Label())
			continue
		}
		open := false
		for _, loss := range losses(s) {
			l.Warnf(s.Pos, "", "%s: inetd.conf cannot say %s", s.Label(), loss.what)
			open = open || loss.open
		}
		if open && !s.Off {
			l.Warnf(s.Pos, "", "%s: switched off", s.Label())
			off := *s
			off.Off = true
			s = &off
		}
		fmt.Fprintln(w, Format(s))
	}
	return l
}

// Format is a service as one line that Parse reads as the same: positional
// where that notation has a word for everything, else key-values.
func Format(s *conf.Service) string {
	l := s.Limits
	if l.Rate == conf.Never || l.Children == conf.Never || l.SourceRate == conf.Never ||
		strings.Contains(s.Group, "/") || strings.Contains(strings.Join(s.Args, ""), "\n") { // which no positional word can hold
		return keyValues(s)
	}
	f := []string{
		quote(serviceField(s)),
		quote(socktypeField(s)),
		quote(protoField(s)),
		waitField(s),
		quote(userField(s)),
	}
	if s.Internal != "" {
		f = append(f, "internal")
	} else {
		f = append(f, quote(s.Program))
	}
	for _, a := range arguments(s) {
		f = append(f, quote(a))
	}
	if s.Off {
		f[0] = offMark + " " + f[0]
	}
	return strings.Join(f, " ")
}

// arguments has a built-in's name in front of its options where its service is
// printed as a number.
func arguments(s *conf.Service) []string {
	if s.Internal == "" || s.Xinetd == nil || !s.Xinetd.Unlisted || len(s.Args) > 0 && !strings.HasPrefix(s.Args[0], "-") {
		return s.Args
	}
	return append([]string{s.Internal}, s.Args...)
}

func serviceField(s *conf.Service) string {
	name := s.Name
	switch {
	case s.Xinetd == nil || !s.Xinetd.Unlisted:
	case s.RPC != nil:
		name = strconv.FormatUint(uint64(s.RPC.Program), 10)
	case s.Port != 0:
		name = strconv.Itoa(int(s.Port))
	}
	switch {
	case s.Mux == conf.MuxSelf:
		name = "tcpmux/" + name
	case s.Mux == conf.MuxPlus:
		name = "tcpmux/+" + name
	case s.Unix != nil:
		if s.Unix.User == "" && s.Unix.Group == "" && s.Unix.Mode == 0o666 {
			return name
		}
		return fmt.Sprintf(":%s:%s:%03o:%s", s.Unix.User, s.Unix.Group, s.Unix.Mode, name)
	case s.RPC != nil && s.RPC.Low == s.RPC.High:
		name += fmt.Sprintf("/%d", s.RPC.Low)
	case s.RPC != nil:
		name += fmt.Sprintf("/%d-%d", s.RPC.Low, s.RPC.High)
	}
	if len(s.Hosts) > 0 {
		return s.HostList() + ":" + name
	}
	return name
}

func socktypeField(s *conf.Service) string {
	t := s.Socktype.String()
	if s.Filter != "" {
		t += ":" + s.Filter
	}
	if s.FilterArg != "" {
		t += "," + s.FilterArg
	}
	return t
}

func protoField(s *conf.Service) string {
	p := s.ProtoField()
	if s.SndBuf != 0 {
		p += ",sndbuf=" + strconv.Itoa(s.SndBuf)
	}
	if s.RcvBuf != 0 {
		p += ",rcvbuf=" + strconv.Itoa(s.RcvBuf)
	}
	return p
}

// waitField writes wait|nowait[.rate][/servers[/client-rate[/client-servers]]].
func waitField(s *conf.Service) string {
	w := "nowait"
	if s.Wait || s.Internal != "" && s.Socktype == conf.Dgram {
		w = "wait"
	}
	l := s.Limits
	if l.Rate != 0 {
		w += "." + maxText(l.Rate)
	}
	parts := []string{maxText(l.Children), maxText(l.SourceRate), maxText(l.SourceChildren)}
	for len(parts) > 0 && parts[len(parts)-1] == "" {
		parts = parts[:len(parts)-1]
	}
	for _, p := range parts {
		w += "/" + p
	}
	return w
}

func maxText(m conf.Max) string {
	switch m {
	case 0:
		return ""
	case conf.Unlimited, conf.Never:
		return "0"
	}
	return strconv.Itoa(int(m))
}

func userField(s *conf.Service) string {
	u := s.User
	if u == "" {
		u = "root" // of a built-in, which has none
	}
	if s.Group != "" {
		u += ":" + s.Group
	}
	if s.Class != "" {
		u += "/" + s.Class
	}
	return u
}

// quote keeps a word together; a stretch with one kind of quote in it goes
// between the other kind.
func quote(w string) string {
	if w != "" && w[0] != '#' && !strings.ContainsAny(w, " \t\r'\"") && !strings.ContainsFunc(w, misleading) {
		return w
	}
	var b strings.Builder
	for {
		i := strings.IndexByte(w, '"')
		if i < 0 {
			i = len(w)
		}
		if i > 0 || b.Len() == 0 {
			b.WriteString(`"` + w[:i] + `"`)
		}
		if i == len(w) {
			return b.String()
		}
		b.WriteString(`'"'`)
		w = w[i+1:]
		if w == "" {
			return b.String()
		}
	}
}

// A loss is what a service of xinetd.conf(5) has and no line of inetd.conf can
// say.
type loss struct {
	what string
	open bool // without it the service would be another, or serve more clients
}

func losses(s *conf.Service) []loss {
	x := s.Xinetd
	if x == nil {
		return nil
	}
	var lost []loss
	note := func(what string, set, open bool) {
		if set {
			lost = append(lost, loss{what, open})
		}
	}
	note("redirect", x.Redirect != nil, true)
	note("only_from", x.Access.OnlyGiven, true)
	note("no_access", len(x.Access.No) > 0, true)
	note("access_times", len(x.Times) > 0, true)
	note("SENSOR", x.Sensor, true)
	note("IDONLY", x.IDOnly, true)
	note("instances = 0 or per_source = 0", s.Limits.Children == conf.Never || s.Limits.SourceChildren == conf.Never, true)
	note("max_load", x.MaxLoad > 0, false)
	note("cps", s.Limits.CPS != conf.CPS{} && s.Limits.CPS != conf.DefaultCPS, false)
	note("instances as xinetd has it: clients over it wait", s.Limits.Refuse && s.Limits.Children > 0, false)
	note("NODELAY", x.NoDelay, false)
	note("KEEPALIVE", x.KeepAlive, false)
	note("libwrap: start inetd with -l, or put tcpd in front", x.Libwrap != "", false)
	note("banner", x.Banner != "" || x.BannerSuccess != "" || x.BannerFail != "", false)
	note("groups = no", !x.Groups && s.Internal == "" && x.Redirect == nil, false)
	note("umask", x.Umask != nil, false)
	note("nice", x.Nice != 0, false)
	note("rlimit", len(x.Rlimits) > 0, false)
	note("env", len(x.Env) > 0, false)
	note("passenv", x.PassEnv != nil, false)
	note("log_on_success", x.Log.OnSuccess != 0, false)
	note("log_on_failure", x.Log.OnError != 0, false)
	note("id "+x.ID, x.ID != s.Name, false)
	return lost
}

// keyValues writes NetBSD's notation on one line.
func keyValues(s *conf.Service) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s protocol = %s, socktype = %s", escaped(serviceField(s)), map[bool]string{true: "off", false: "on"}[s.Off], s.ProtoField(), s.Socktype)
	opt := func(key, val string) {
		if val != "" {
			fmt.Fprintf(&b, ", %s = %s", key, val)
		}
	}
	if s.Filter != "" {
		opt("acceptfilter", escaped(strings.TrimPrefix(socktypeField(s), s.Socktype.String()+":")))
	}
	if s.SndBuf != 0 {
		opt("sndbuf", strconv.Itoa(s.SndBuf))
	}
	if s.RcvBuf != 0 {
		opt("recvbuf", strconv.Itoa(s.RcvBuf))
	}
	opt("wait", map[bool]string{true: "yes", false: "no"}[s.Wait])
	opt("service_max", maxText(s.Limits.Rate))
	opt("accept_max", maxText(s.Limits.Children))
	opt("ip_max", maxText(s.Limits.SourceRate))
	user := s.User
	if s.Class != "" {
		user += "/" + s.Class
	}
	opt("user", escaped(user))
	if s.Group != "" {
		opt("group", escaped(s.Group))
	}
	exec := s.Program
	if s.Internal != "" {
		exec = "internal"
	}
	opt("exec", escaped(exec))
	if args := arguments(s); len(args) > 0 {
		words := make([]string, len(args))
		for i, a := range args {
			words[i] = escaped(a)
		}
		opt("args", strings.Join(words, " "))
	}
	return b.String() + ";"
}

// escaped is a word of the key-values notation.
func escaped(w string) string {
	if w != "" && !strings.ContainsAny(w, " \t\r\n'\"\\=,;#") {
		return w
	}
	r := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`, "\t", `\t`)
	return `"` + r.Replace(w) + `"`
}
