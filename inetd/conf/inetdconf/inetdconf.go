// Package inetdconf reads inetd.conf(5): the union of what the BSDs, Debian and
// GNU write. Where two of them read one text differently, BSD's reading holds
// and a warning says so.
package inetdconf

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"inetd/inetd/conf"
)

// A Source gives the parser the files that .include names.
type Source struct {
	ReadFile func(name string) ([]byte, error)
	Glob     func(pattern string) ([]string, error)
}

// Parse reads one file's text. Everything wrong is in the list, in order; the
// services are those without an error.
func Parse(file string, text []byte, env *conf.Env, src Source) ([]*conf.Service, conf.ErrorList) {
	p := &parser{env: env, src: src}
	p.file(file, text, nil)
	p.errs.Sort()
	return p.services, p.errs
}

type parser struct {
	env      *conf.Env
	src      Source
	services []*conf.Service
	errs     conf.ErrorList

	name  string   // of the file being read
	hosts []string // from the last "host:" line; nil is every address
	chain []string // files that include this one
	bad   bool     // the entry being read has a lexical error
	off   bool     // the entry being read is switched off
}

// pos is the place of byte i of a line.
func (p *parser) pos(l line, i int) conf.Pos {
	return conf.Pos{File: p.name, Line: l.n, Col: l.col + i + 1}
}

// file reads one file; hosts is the default of the file that includes it.
func (p *parser) file(name string, text []byte, hosts []string) {
	defer func(name string, hosts []string) { p.name, p.hosts = name, hosts }(p.name, p.hosts)
	p.name, p.hosts = name, hosts

	text = p.trimBOM(text)
	ls, crlf := lines(text)
	if crlf > 0 {
		l := ls[crlf-1]
		p.errs.Warnf(p.pos(l, len(l.text)), "", "lines end in CR LF; the CR is ignored")
	}
	for i := 0; i < len(ls); {
		i += p.entry(ls[i:])
	}
}

func (p *parser) trimBOM(text []byte) []byte {
	rest := bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	if len(rest) < len(text) {
		p.errs.Warnf(p.pos(line{n: 1}, 0), "", "the file starts with a byte order mark, which is ignored")
	}
	return rest
}

// entry reads what starts at ls[0] and says how many lines it took.
func (p *parser) entry(ls []line) int {
	first := ls[0].text
	switch {
	case len(first) == 0:
		return 1
	case bytes.HasPrefix(first, []byte("#@")):
		if len(bytes.TrimSpace(first[2:])) > 0 {
			p.errs.Warnf(p.pos(ls[0], 0), "", "IPsec policies are not supported here; the line is ignored")
		}
		return 1
	case bytes.HasPrefix(first, []byte(offMark)):
		p.switchedOff(ls[0])
		return 1
	case first[0] == '#':
		return 1
	}
	p.bad = false
	if isKeyValue(ls[0]) {
		return p.keyValue(ls)
	}
	words := p.split(ls[0])
	if len(words) == 0 && !p.bad {
		return 1
	}
	if len(words) > 0 && words[0].text == ".include" {
		p.include(words)
		return 1
	}
	n := 1
	for ; n < len(ls) && len(ls[n].text) > 0 && blank(ls[n].text[0]); n++ {
		more := p.split(ls[n])
		if len(more) > 0 {
			p.warnContinued(more)
		}
		words = append(words, more...)
	}
	if !p.bad {
		p.positional(words)
	}
	return n
}

// offMark is how update-inetd(8) switches a line off.
const offMark = "#<off>#"

// switchedOff reads a line that is switched off, whose mistakes matter to nobody.
func (p *parser) switchedOff(l line) {
	l.col += len(offMark)
	l.text = l.text[len(offMark):]
	errs, hosts := len(p.errs), p.hosts
	if words := p.split(l); len(words) > 0 {
		p.asOff(words[0], func() { p.positional(words) })
	}
	p.hosts, p.errs = hosts, p.errs[:errs]
}

// asOff has an entry read that is switched off. Nothing is asked of the machine
// for it, and errors are warnings. One that cannot be read is still known to be
// off.
func (p *parser) asOff(name word, read func()) {
	env, errs, services := p.env, len(p.errs), len(p.services)
	p.off, p.env = true, lenient(env)
	read()
	p.off, p.env = false, env
	for _, e := range p.errs[errs:] {
		e.Warning = true
	}
	if len(p.services) == services {
		p.services = append(p.services, &conf.Service{Pos: name.pos, Name: name.text, Off: true})
	}
}

// lenient knows every name.
func lenient(env *conf.Env) *conf.Env {
	e := *env
	ok := func(string) error { return nil }
	e.User, e.Group, e.Program = ok, ok, ok
	e.Path = nil
	e.Identity = func(string, string) error { return nil }
	e.Port = func(string, string) (uint16, string, bool) { return 0, "", true }
	e.PortName = func(uint16, string) string { return "" }
	e.RPC = func(string) (uint32, bool) { return 0, true }
	e.Proto = func(string) bool { return true }
	return &e
}

// warnContinued says what the reader of an indented line may not expect: GNU's
// inetd takes it for an entry, and nobody takes it for a comment.
func (p *parser) warnContinued(words []word) {
	w := words[0]
	if w.text[:min(1, len(w.text))] == "#" {
		p.errs.Warnf(w.pos, "", "an indented line continues the entry above: this comment becomes arguments")
		return
	}
	if len(words) >= 6 && conf.ParseSocktype(words[1].text) != 0 {
		p.errs.Warnf(w.pos, "", "an indented line continues the entry above: this entry becomes arguments")
		return
	}
	p.errs.Warnf(w.pos, "", "indented line read as continuation of the entry above")
}

// include reads the files that match a glob, relative to this one's directory.
func (p *parser) include(words []word) {
	if len(words) != 2 {
		p.errs.Errorf(words[0].pos, "", ".include takes one file name or pattern")
		return
	}
	pat := words[1]
	if !filepath.IsAbs(pat.text) {
		pat.text = filepath.Join(filepath.Dir(p.name), pat.text)
	}
	names, err := p.src.Glob(pat.text)
	names = slices.DeleteFunc(names, func(name string) bool { return hidden(name, pat.text) })
	if err != nil || len(names) == 0 {
		if err == nil {
			err = fmt.Errorf("no file matches %s", pat.text)
		}
		p.errs.Errorf(pat.pos, ".include", "%w", err)
		return
	}
	p.chain = append(p.chain, filepath.Clean(p.name))
	defer func() { p.chain = p.chain[:len(p.chain)-1] }()
	for _, name := range names {
		if slices.Contains(p.chain, filepath.Clean(name)) {
			p.errs.Errorf(pat.pos, ".include", "%s includes itself", name)
			continue
		}
		text, err := p.src.ReadFile(name)
		if err != nil {
			p.errs.Errorf(pat.pos, ".include", "%w", err)
			continue
		}
		p.file(name, text, p.hosts)
	}
}

// hidden says that glob(3) would not have found a name, one with a leading dot
// that the pattern does not write: what editors and packagers leave behind.
func hidden(name, pattern string) bool {
	for name != "" && pattern != "" {
		dir, base := path.Split(name)
		pdir, pbase := path.Split(pattern)
		if strings.HasPrefix(base, ".") && !strings.HasPrefix(pbase, ".") {
			return true
		}
		name, pattern = strings.TrimRight(dir, "/"), strings.TrimRight(pdir, "/")
	}
	return false
}

// A draft is a service on its way, with the places of its fields.
type draft struct {
	*conf.Service
	at map[string]conf.Pos
}

func (p *parser) newDraft(first word) *draft {
	return &draft{
		Service: &conf.Service{Pos: first.pos, Off: p.off},
		at:      make(map[string]conf.Pos),
	}
}

func (d *draft) pos(field string) conf.Pos {
	if pos, ok := d.at[field]; ok {
		return pos
	}
	return d.Pos
}

// finish checks a draft and keeps it if nothing was wrong since errs had n
// errors.
func (p *parser) finish(d *draft, n int) {
	if p.errs.Errors() == n {
		p.env.Check(d.Service, d.pos, &p.errs)
	}
	if p.errs.Errors() == n {
		p.services = append(p.services, d.Service)
	}
}

var positions = []string{conf.FieldService, conf.FieldSocktype, conf.FieldProto, conf.FieldWait, conf.FieldUser, conf.FieldProgram}

// positional reads an entry of the classic form: its fields are known by their
// places.
func (p *parser) positional(words []word) {
	if len(words) == 1 && !words[0].quoted && strings.HasSuffix(words[0].text, ":") {
		// A bad list leaves the default as it was: nothing gets wider.
		if hosts, ok := p.hostList(strings.TrimSuffix(words[0].text, ":"), words[0].pos); ok {
			p.hosts = hosts
		}
		return
	}
	if len(words) > 3 && isWait(words[2]) && !isWait(words[3]) {
		p.errs.Errorf(words[2].pos, conf.FieldProto, "missing: %q stands where tcp, udp or another protocol belongs", words[2].text)
		return
	}
	if len(words) < len(positions) {
		missing := positions[len(words)]
		end := words[len(words)-1]
		end.pos.Col += len(end.text)
		p.errs.Errorf(end.pos, missing, "missing: an entry is service, socket type, protocol, wait/nowait, user, program and arguments")
		return
	}
	n := p.errs.Errors()
	d := p.newDraft(words[0])
	for i, f := range positions {
		d.at[f] = words[i].pos
	}
	p.protocol(d, words[2])
	p.socktype(d, words[1])
	p.service(d, words[0])
	p.wait(d, words[3])
	p.user(d, words[4])
	p.program(d, words[5], p.trailingComment(words))
	p.finish(d, n)
}

// trailingComment returns the arguments of an entry. What looks like a comment
// among them is one of them to a program; a built-in has no use for it.
func (p *parser) trailingComment(words []word) []word {
	args := words[len(positions):]
	for i, w := range args {
		if w.quoted || !strings.HasPrefix(w.text, "#") || w.pos.Line != words[0].pos.Line {
			continue
		}
		if builtin(words[5]) {
			p.errs.Warnf(w.pos, conf.FieldArgs, "a comment starts in the first column: %q and what follows is ignored", w.text)
			return args[:i]
		}
		p.errs.Warnf(w.pos, conf.FieldArgs, "a comment starts in the first column: %q and what follows are arguments", w.text)
		break
	}
	return args
}

func builtin(program word) bool { return program.text == "internal" && !program.quoted }

func (p *parser) hostList(text string, pos conf.Pos) ([]string, bool) {
	hosts, at, err := hosts(text)
	if err != nil {
		pos.Col += at
		p.errs.Errorf(pos, conf.FieldHost, "%w", err)
	}
	return hosts, err == nil
}

// Hosts reads host[,host…]. It is empty for *, which is every address.
func Hosts(text string) ([]string, error) {
	hosts, _, err := hosts(text)
	return hosts, err
}

// hosts says as well which byte of text an error is about.
func hosts(text string) (hosts []string, at int, err error) {
	for _, h := range strings.Split(text, ",") {
		if h == "*" {
			return nil, 0, nil
		}
		host, err := host(h)
		if err != nil {
			return nil, at, err
		}
		hosts = append(hosts, host)
		at += len(h) + 1
	}
	return hosts, 0, nil
}

func host(h string) (string, error) {
	switch {
	case h == "", h == "[]":
		return "", errors.New("an address is empty")
	case strings.HasPrefix(h, "[") != strings.HasSuffix(h, "]"):
		return "", fmt.Errorf("%q: brackets come in pairs around an IPv6 address", h)
	}
	h = strings.TrimSuffix(strings.TrimPrefix(h, "["), "]")
	ip, ok := conf.InetAton(h)
	if v6, err := netip.ParseAddr(h); err == nil && v6.Is6() {
		ip, ok = v6, true
	}
	switch {
	case ok:
		return ip.String(), nil
	case strings.Trim(h, "0123456789.") == "", !isHost(h): // no host name ends in a number
		return "", fmt.Errorf("%q is neither an address nor a host name", h)
	}
	return h, nil
}

// isHost keeps what cannot be one from being looked up for ever.
func isHost(s string) bool {
	return len(s) <= 253 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") == ""
}

// protocol reads [rpc/]proto[4|6|46][,sndbuf=N][,rcvbuf=N].
func (p *parser) protocol(d *draft, w word) {
	proto, opts, more := strings.Cut(w.text, ",")
	rest, rpc := strings.CutPrefix(proto, "rpc/")
	if rpc {
		d.RPC = new(conf.RPC)
	}
	d.Proto, d.Family = rest, conf.Both
	for _, f := range []struct {
		suffix string
		family conf.Family
	}{{"6only", conf.V6}, {"46", conf.Mapped}, {"4", conf.V4}, {"6", conf.V6}} {
		if base, ok := strings.CutSuffix(rest, f.suffix); ok && (base == "tcp" || base == "udp") {
			d.Proto, d.Family = base, f.family
			break
		}
	}
	if rest == "tcp/ttcp" || strings.HasPrefix(rest, "faith/") {
		p.errs.Errorf(w.pos, conf.FieldProto, "%q: T/TCP and faith are gone from every kernel", rest)
	}
	at := w.pos
	at.Col += len(proto) + 1
	for more {
		var opt string
		opt, opts, more = strings.Cut(opts, ",")
		key, val, _ := strings.Cut(opt, "=")
		v := word{text: val, pos: at}
		v.pos.Col += min(len(key)+1, len(opt))
		switch key {
		case "sndbuf":
			p.buffer(&d.SndBuf, key, v)
		case "rcvbuf":
			p.buffer(&d.RcvBuf, key, v)
		case "tcp", "udp":
			p.errs.Errorf(w.pos, conf.FieldProto, "%q: an entry has one protocol: write a line for each", w.text)
		default:
			p.errs.Errorf(at, conf.FieldProto, "%q: expected sndbuf=N or rcvbuf=N", opt)
		}
		at.Col += len(opt) + 1
	}
}

const maxBuffer = 1 << 30

// bufferSize reads a number of bytes with k or m after it.
func bufferSize(s string) (int, error) {
	digits, unit := s, 1
	if n := len(s); n > 0 {
		switch s[n-1] {
		case 'k', 'K':
			digits, unit = s[:n-1], 1<<10
		case 'm', 'M':
			digits, unit = s[:n-1], 1<<20
		}
	}
	v, err := number(digits, maxBuffer/unit)
	if err != nil || v == 0 {
		return 0, fmt.Errorf("%q is not a size from 1 to 1024m, with k or m after it", s)
	}
	return v * unit, nil
}

// number reads decimal digits and nothing else, up to limit.
func number(s string, limit int) (int, error) {
	v, err := strconv.ParseUint(s, 10, 31)
	if err != nil || int(v) > limit {
		return 0, fmt.Errorf("%q is not a number from 0 to %d", s, limit)
	}
	return int(v), nil
}

const maxCount = 1<<31 - 1

// socktype reads type[,accept-max][:filter[,arg]] (NetBSD's suffixes).
func (p *parser) socktype(d *draft, w word) {
	t, filter, hasFilter := strings.Cut(w.text, ":")
	t, max, hasMax := strings.Cut(t, ",")
	if d.Socktype = conf.ParseSocktype(t); d.Socktype == 0 {
		p.errs.Errorf(w.pos, conf.FieldSocktype, "%q: expected stream, dgram, raw, rdm or seqpacket", t)
		return
	}
	if hasFilter {
		at := w.pos
		at.Col += len(w.text) - len(filter)
		p.filter(d, word{text: filter, pos: at})
	}
	if hasMax {
		n, err := number(max, maxCount)
		if err != nil || n == 0 {
			p.errs.Errorf(w.pos, conf.FieldSocktype, "%q after the comma is not a number of servers from 1 on", max)
		}
		d.Limits.Children = conf.Max(n)
	}
}

// filter reads name[,argument].
func (p *parser) filter(d *draft, w word) {
	d.Filter, d.FilterArg, _ = strings.Cut(w.text, ",")
	if d.Filter == "" {
		p.errs.Errorf(w.pos, conf.FieldSocktype, "the accept filter is missing")
		return
	}
	p.errs.Warnf(w.pos, conf.FieldSocktype, "accept filter %s: %s", d.Filter, p.env.FilterNote)
}

// service reads [host[,host…]:]name[/versions] or [host…:]tcpmux/[+]name, or
// the path of a unix socket with FreeBSD's :user:group:mode: in front.
func (p *parser) service(d *draft, w word) {
	if d.Proto == "unix" {
		p.unix(d, w)
		return
	}
	d.Hosts = p.hosts
	name := w.text
	front, _, _ := strings.Cut(name, "/") // a name of tcpmux may have a colon
	if i := strings.LastIndexByte(front, ':'); i >= 0 {
		d.Hosts, _ = p.hostList(name[:i], w.pos)
		name = name[i+1:]
		w.pos.Col += i + 1
		d.at[conf.FieldService] = w.pos
	}
	for _, m := range []struct {
		prefix string
		mux    conf.Mux
	}{{"tcpmux/+", conf.MuxPlus}, {"tcpmux/", conf.MuxSelf}} {
		if rest, ok := strings.CutPrefix(name, m.prefix); ok {
			d.Name, d.Mux = rest, m.mux
			if rest == "" || len(rest) > 255 {
				p.errs.Errorf(w.pos, conf.FieldService, "a tcpmux name has 1 to 255 bytes")
			}
			return
		}
	}
	if d.RPC != nil {
		name = p.rpcVersions(d, name, w.pos)
	}
	if name == "" {
		p.errs.Errorf(w.pos, conf.FieldService, "the name of the service is missing")
	}
	d.Name = name
}

// rpcVersions cuts /N or /N-M off the name of an RPC service.
func (p *parser) rpcVersions(d *draft, name string, pos conf.Pos) string {
	name, vers, ok := strings.Cut(name, "/")
	if !ok {
		p.errs.Errorf(pos, conf.FieldService, "an rpc service needs its versions: name/1 or name/1-3")
		return name
	}
	low, high, ranged := strings.Cut(vers, "-")
	if !ranged {
		high = low
	}
	l, err1 := number(low, maxCount)
	h, err2 := number(high, maxCount)
	if err1 != nil || err2 != nil || l > h {
		p.errs.Errorf(pos, conf.FieldService, "rpc versions %q: expected N or LOW-HIGH", vers)
	}
	d.RPC.Low, d.RPC.High = uint32(l), uint32(h)
	return name
}

// unix reads [:user:group:mode:]path. Without the prefix anybody may connect,
// as on Debian and the BSDs without it.
func (p *parser) unix(d *draft, w word) {
	d.Unix = &conf.Unix{Mode: 0o666}
	d.Name = w.text
	if !strings.HasPrefix(w.text, ":") {
		return
	}
	f := strings.SplitN(w.text[1:], ":", 4)
	if len(f) != 4 {
		p.errs.Errorf(w.pos, conf.FieldService, "%q: expected :user:group:mode:/path", w.text)
		return
	}
	d.Unix.User, d.Unix.Group, d.Name = f[0], f[1], f[3]
	// FreeBSD's default: only the owner may write, that is connect.
	d.Unix.Mode = 0o200
	if f[2] != "" {
		m, err := strconv.ParseUint(f[2], 8, 32)
		if err != nil || m > 0o777 {
			p.errs.Errorf(w.pos, conf.FieldService, "mode %q is not an octal number up to 777", f[2])
		}
		d.Unix.Mode = uint32(m)
	}
	for _, c := range []struct {
		name string
		has  func(string) error
	}{{f[0], p.env.User}, {f[1], p.env.Group}} {
		if c.name == "" {
			continue
		}
		if err := c.has(c.name); err != nil {
			p.errs.Errorf(w.pos, conf.FieldService, "%w", err)
		}
	}
}

// cutWait takes the limits off wait or nowait.
func cutWait(w word) (word, limits string) {
	if i := strings.IndexAny(w.text, ".:/"); i >= 0 {
		return w.text[:i], w.text[i:]
	}
	return w.text, ""
}

func isWait(w word) bool {
	word, _ := cutWait(w)
	return word == "wait" || word == "nowait"
}

// wait reads wait|nowait[(.|:)rate][/servers[/client-rate[/client-servers]]]:
// the BSDs' and GNU's starts a minute, then FreeBSD's servers at a time, starts
// a minute of one client and servers of one client. Both may be given, and a
// number left out keeps its default.
func (p *parser) wait(d *draft, w word) {
	word, suffix := cutWait(w)
	switch word {
	case "wait":
		d.Wait = true
	case "nowait":
	default:
		p.errs.Errorf(w.pos, conf.FieldWait, "%q is neither", word)
		return
	}
	if suffix == "" {
		return
	}
	w.pos.Col += len(word)
	parts := strings.Split(suffix, "/")
	if rate := parts[0]; rate != "" {
		p.max(&d.Limits.Rate, rate[1:], "starts a minute", w.pos)
	}
	limits := []struct {
		m    *conf.Max
		what string
	}{{&d.Limits.Children, "servers"}, {&d.Limits.SourceRate, "starts a minute of one client"}, {&d.Limits.SourceChildren, "servers of one client"}}
	if len(parts)-1 > len(limits) {
		p.errs.Errorf(w.pos, conf.FieldWait, "%q: expected /servers[/client-rate[/client-servers]]", suffix)
		return
	}
	for i, part := range parts[1:] {
		if part != "" || len(parts) == 2 {
			p.max(limits[i].m, part, limits[i].what, w.pos)
		}
	}
}

// max reads a limit; 0 is none.
func (p *parser) max(m *conf.Max, s, what string, pos conf.Pos) {
	n, err := number(s, maxCount)
	if err != nil {
		p.errs.Errorf(pos, conf.FieldWait, "%s: %w", what, err)
		return
	}
	if *m = conf.Max(n); n == 0 {
		*m = conf.Unlimited
	}
}

// user reads user[(.|:)group][/class]. A dot splits only a name that is no
// user as a whole, since names may have dots.
func (p *parser) user(d *draft, w word) {
	name, class, _ := strings.Cut(w.text, "/")
	d.Class = class
	user, group, colon := strings.Cut(name, ":")
	if !colon && p.env.User(name) != nil {
		user = strings.TrimRight(name, ".")
		colon = user != name
		if i := strings.LastIndexByte(user, '.'); i > 0 && p.env.User(user) != nil {
			user, group, colon = user[:i], user[i+1:], true
		}
	}
	switch {
	case user == "":
		p.errs.Errorf(w.pos, conf.FieldUser, "%q: expected user, user:group or user.group", w.text)
	case colon && group == "":
		p.errs.Warnf(w.pos, conf.FieldUser, "%q: the group is empty: the user's own is taken", w.text)
	}
	d.User, d.Group = user, group
}

func (p *parser) program(d *draft, w word, args []word) {
	d.at[conf.FieldArgs] = w.pos
	if len(args) > 0 {
		d.at[conf.FieldArgs] = args[0].pos
	}
	for _, a := range args {
		d.Args = append(d.Args, a.text)
	}
	if builtin(w) {
		d.Internal = w.text
		return
	}
	d.Program = w.text
	switch {
	case filepath.IsAbs(w.text):
	case strings.Contains(w.text, "/"):
		d.Program = "/" + w.text
		p.errs.Warnf(w.pos, conf.FieldProgram, "%q: read as %s, the daemon's directory being /", w.text, d.Program)
	default: // as in busybox; a misspelled internal is found nowhere
		found := func(dir string) bool { return p.env.Program(dir+"/"+w.text) == nil }
		if i := slices.IndexFunc(p.env.Path, found); i >= 0 {
			d.Program = p.env.Path[i] + "/" + w.text
			p.errs.Warnf(w.pos, conf.FieldProgram, "%q: read as %s: most inetds want the whole path", w.text, d.Program)
		}
	}
	if len(d.Args) == 0 {
		d.Args = []string{filepath.Base(w.text)}
	}
}
