package xinetdconf

import (
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"inetd/inetd/conf"
)

// A draft is a service, or the defaults, on its way from a block: what its
// attributes say so far, and which of them have said something.
type draft struct {
	block *block
	def   *draft              // nil for the defaults
	given set                 // attributes that have a value, here or from the defaults
	own   set                 // attributes that the block itself gave
	whole set                 // of those, the ones in which nothing of the defaults is left
	lost  map[string]conf.Pos // of the defaults: attributes that are not in force because of an error

	id       string
	types    types
	flags    flags
	disable  bool
	socktype conf.Socktype
	proto    string
	wait     bool
	user     string
	group    string
	server   string
	args     []string
	bind     string
	v6only   bool
	port     uint16
	rpcLow   uint32
	rpcHigh  uint32
	rpcProg  uint32
	libwrap  string
	limits   conf.Limits
	x        conf.Xinetd // what goes over as it is
	enabled  []word      // of the defaults
	disabled []word

	service *conf.Service // the result, nil if there is none
}

type types uint8

const (
	typeRPC types = 1 << iota
	typeInternal
	typeUnlisted
	typeMux
	typeMuxPlus
)

type flags uint16

const (
	flagIntercept flags = 1 << iota
	flagIDOnly
	flagNameInArgs
	flagNoDelay
	flagKeepAlive
	flagNoLibwrap
	flagSensor
	flagIPv4
	flagIPv6
	flagLabeled
	flagDisable
	flagNothing // accepted and without effect
)

var defaultCPS = conf.CPS{Rate: 50, Wait: 10 * time.Second}

// A set holds attributes by their place in the table.
type set uint64

func (s set) has(a *attribute) bool { return s&(1<<a.index) != 0 }
func (s *set) add(a *attribute)     { *s |= 1 << a.index }

func newDraft(b *block) *draft {
	return &draft{
		block: b,
		lost:  make(map[string]conf.Pos),
		limits: conf.Limits{
			Rate: conf.Unlimited, Children: conf.Unlimited, SourceRate: conf.Unlimited, SourceChildren: conf.Unlimited,
			Refuse: true, CPS: defaultCPS,
		},
	}
}

// derive makes a draft of a service that begins with what the defaults say.
func (def *draft) derive(b *block) *draft {
	d := *def
	d.block, d.def, d.id = b, def, b.name
	d.own, d.whole, d.lost = 0, 0, nil
	return &d
}

// has says whether an attribute has a value.
func (d *draft) has(attr string) bool { return d.given.has(lookup(attr)) }

// gives says whether the block itself has the attribute.
func (d *draft) gives(attr string) bool { return d.own.has(lookup(attr)) }

// pos is the place of an attribute's value, here or in the defaults, or the
// block's.
func (d *draft) pos(attr string) conf.Pos {
	row := lookup(attr)
	for from := d; row != nil && from != nil; from = from.def {
		for _, a := range from.block.lines {
			if lookup(a.name.text) != row {
				continue
			}
			if len(a.values) > 0 {
				return a.values[0].pos
			}
			return a.name.pos
		}
	}
	return d.block.pos
}

// defaults reads the defaults. An attribute that is wrong there is not in
// force, and what it would have kept out must stay out: it is lost, and the
// services that rely on it are not served.
func (p *parser) defaults() *draft {
	var def *draft
	for _, b := range p.blocks {
		if b.kind != defaults {
			continue
		}
		d := newDraft(b)
		if def != nil {
			p.errs.Errorf(b.pos, "", "a second defaults, which is not in force: the first one is %s", place(def.block.pos, b.pos))
			d = def
		}
		for _, a := range b.lines {
			n := p.errs.Errors()
			if d == def || b.misnamed {
				d.lose(a.name)
				continue
			}
			before := *d
			p.assign(d, a, true)
			if p.errs.Errors() > n {
				*d = before
				d.lose(a.name)
			}
		}
		for _, w := range b.unread {
			d.lose(w)
		}
		if b.cut {
			d.loseAll(b.pos)
		}
		def = d
	}
	if def == nil {
		def = newDraft(&block{kind: defaults})
		if p.unread {
			def.loseAll(p.firstError())
		}
	}
	return def
}

// lose marks an attribute of the defaults as not in force. A name that is none
// is taken for the one that was meant.
func (d *draft) lose(name word) {
	if a := lookup(name.text); a != nil {
		d.lost[a.name] = name.pos
	} else if a := meant(name.text); a != nil {
		d.lost[a.name] = name.pos
	}
}

func (d *draft) loseAll(pos conf.Pos) {
	for _, a := range attributes {
		d.lost[a.name] = pos
	}
}

// service makes a service of a block. Its result is nil for a service that is
// switched off or has an error. Errors of one that is switched off are
// warnings: xinetd does not read on, and nobody wants to serve it.
func (p *parser) service(b *block, def *draft) *draft {
	d := def.derive(b)
	start := len(p.errs)
	before := p.errs.Errors()
	for _, a := range b.lines {
		p.assign(d, a, false)
	}
	if d.off(def) {
		for _, e := range p.errs[start:] {
			e.Warning = true
		}
		return d
	}
	for i := range attributes {
		a := &attributes[i]
		pos, lost := def.lost[a.name]
		if lost && a.guard && !d.whole.has(a) {
			p.errs.Errorf(b.pos, a.name, "service %s is not served: the defaults' value (%s) is in error, and the service has none of its own", b.name, place(pos, b.pos))
			break
		}
	}
	if b.bad || p.errs.Errors() > before {
		return d
	}
	p.finish(d)
	return d
}

// off says whether the service is not to be served.
func (d *draft) off(def *draft) bool {
	named := func(list []word) bool {
		return slices.ContainsFunc(list, func(w word) bool { return w.text == d.id })
	}
	return d.disable || d.flags&flagDisable != 0 || def.has("enabled") && !named(def.enabled) || named(def.disabled)
}

// assign puts one line into a draft.
func (p *parser) assign(d *draft, a assignment, inDefaults bool) {
	name := a.name.text
	row := lookup(name)
	if row == nil {
		guess := ""
		if m := meant(name); m != nil {
			guess = ": is it " + m.name + "?"
		}
		p.errs.Errorf(a.name.pos, name, "there is no such attribute%s%s", guess, hint([]word{a.name}))
		return
	}
	switch {
	case inDefaults && row.where == inService:
		p.errs.Errorf(a.name.pos, name, "not an attribute of the defaults")
		return
	case !inDefaults && row.where == inDefault:
		p.errs.Errorf(a.name.pos, name, "an attribute of the defaults only")
		return
	case row.ops&a.op == 0:
		p.errs.Errorf(a.name.pos, name, "%s is not possible here, only =", a.op)
		return
	}
	if inDefaults && row.list() && a.op == assign {
		a.op = add
	}
	if !row.list() && d.own.has(row) {
		p.errs.Warnf(a.name.pos, name, "given twice; the value of %s stands", place(d.pos(name), a.name.pos))
		return
	}
	if !row.free {
		for _, v := range a.values {
			if comment(v.text) {
				p.errs.Errorf(v.pos, name, "%q is not a value%s", v.text, hint([]word{v}))
				return
			}
		}
	} else if len(a.values) > 1 {
		for _, v := range a.values[1:] {
			if comment(v.text) && hint([]word{v}) != "" {
				p.errs.Warnf(v.pos, name, "%q is a value, not a comment", v.text)
				break
			}
		}
	}
	if n := len(a.values); n < row.min || row.max >= 0 && n > row.max {
		at := a.name.pos
		if row.max >= 0 && n > row.max {
			at = a.values[row.max].pos
		}
		p.errs.Errorf(at, name, "takes %s, not %d%s", row.count(), n, hint(a.values))
		return
	}
	d.own.add(row)
	d.given.add(row)
	if a.op == assign {
		d.whole.add(row)
	}
	p.setting = setting{p: p, d: d, attr: name, assignment: a}
	row.set(&p.setting)
}

// finish makes the service and has it checked.
func (p *parser) finish(d *draft) {
	n := len(p.errs)
	p.require(d)
	if p.errs[n:].Errors() > 0 {
		return
	}
	s := &conf.Service{
		Pos: d.block.pos, Name: d.block.name, Socktype: d.socktype, Proto: d.proto, Port: d.port,
		Wait: d.wait, Limits: d.limits, User: d.user, Group: d.group,
	}
	s.Pos.Col = 0
	x := d.x
	s.Xinetd = &x
	x.ID = d.id
	p.family(d, s)
	p.kind(d, s)
	p.program(d, s)
	p.known(d, s)
	d.inapplicable(s)
	if p.errs[n:].Errors() > 0 {
		return
	}
	m := len(p.errs)
	p.env.Check(s, func(field string) conf.Pos { return d.pos(d.attributeOf(field)) }, &p.errs)
	for _, e := range p.errs[m:] {
		e.Field = d.attributeOf(e.Field)
	}
	if p.errs[m:].Errors() == 0 {
		d.service = s
	}
}

// inapplicable takes from a service what the defaults say and is for others.
// What would refuse everybody stays.
func (d *draft) inapplicable(s *conf.Service) {
	if l := &s.Limits; s.Wait && s.Internal == "" {
		if l.Children > 0 && !d.gives("instances") {
			l.Children = conf.Unlimited
		}
		if l.SourceChildren > 0 && !d.gives("per_source") {
			l.SourceChildren = conf.Unlimited
		}
	}
	var items conf.LogItems
	if s.Wait || s.Socktype != conf.Stream || s.Proto != "tcp" {
		items |= conf.LogUserID
	}
	if s.Xinetd.Redirect == nil {
		items |= conf.LogTraffic
	}
	if !d.gives("log_on_success") {
		s.Xinetd.Log.OnSuccess &^= items
	}
	if !d.gives("log_on_failure") {
		s.Xinetd.Log.OnError &^= items
	}
}

// attributeOf is the attribute that fills a field of the model.
func (d *draft) attributeOf(field string) string {
	switch field {
	case conf.FieldHost:
		return "bind"
	case conf.FieldService:
		return "port"
	case conf.FieldSocktype:
		return "socket_type"
	case conf.FieldWait:
		return "wait"
	case conf.FieldProgram:
		return "server"
	case conf.FieldArgs:
		return "server_args"
	case conf.FieldAccess:
		if !d.has("only_from") {
			return "no_access"
		}
		return "only_from"
	case conf.FieldLog:
		if d.x.Log.OnSuccess&(conf.LogUserID|conf.LogTraffic) == 0 {
			return "log_on_failure"
		}
		return "log_on_success"
	}
	return field
}

// require reports attributes that are missing, after it has filled in the one
// of socket_type and protocol that follows from the other.
func (p *parser) require(d *draft) {
	switch {
	case !d.has("protocol") && d.socktype == conf.Stream:
		d.proto = "tcp"
	case !d.has("protocol") && d.socktype == conf.Dgram:
		d.proto = "udp"
	case !d.has("socket_type") && d.proto == "tcp":
		d.socktype = conf.Stream
	case !d.has("socket_type") && d.proto == "udp":
		d.socktype = conf.Dgram
	}
	if d.flags&flagSensor != 0 {
		d.types |= typeInternal
	}
	program := d.types&typeInternal == 0 && d.x.Redirect == nil
	mux := d.types&(typeMux|typeMuxPlus) != 0
	for _, r := range []struct {
		attr    string
		missing bool
	}{
		{"socket_type", d.socktype == 0},
		{"protocol", d.proto == ""},
		{"wait", !d.has("wait")},
		{"user", program && !d.has("user")},
		{"server", program && !d.has("server")},
		{"port", d.types&typeUnlisted != 0 && d.types&typeRPC == 0 && !mux && !d.has("port")},
		{"rpc_version", d.types&typeRPC != 0 && !d.has("rpc_version")},
		{"rpc_number", d.types&typeRPC != 0 && d.types&typeUnlisted != 0 && !d.has("rpc_number")},
	} {
		if r.missing {
			p.errs.Errorf(d.block.pos, r.attr, "service %s: the attribute is missing", d.block.name)
		}
	}
}

// family works out what the service listens on from bind, v6only and the
// flags IPv4 and IPv6. xinetd opens one IPv6 socket for both families; here
// each has its own, which clients cannot tell.
func (p *parser) family(d *draft, s *conf.Service) {
	switch v4, v6 := d.flags&flagIPv4 != 0, d.flags&flagIPv6 != 0; {
	case v4 && !v6 && d.v6only:
		p.errs.Errorf(d.pos("v6only"), "v6only", "the flags ask for IPv4")
	case d.v6only:
		s.Family = conf.V6
	case v4 && !v6:
		s.Family = conf.V4
	case v6 && !v4:
		s.Family = conf.Mapped
	}
	switch d.bind {
	case "", "*":
	case "::":
		// The IPv6 wildcard takes IPv4 too, unless told otherwise.
		if s.Family == conf.V4 {
			p.errs.Errorf(d.pos("bind"), "bind", "%s is no IPv4 address, for which the flags ask", d.bind)
		}
	default:
		s.Hosts = []string{d.bind}
	}
}

// kind fills in what type and flags say of a service.
func (p *parser) kind(d *draft, s *conf.Service) {
	x := s.Xinetd
	x.Unlisted = d.types&(typeUnlisted|typeMux|typeMuxPlus) != 0 || number(s.Name)
	x.NoDelay = d.flags&flagNoDelay != 0
	x.KeepAlive = d.flags&flagKeepAlive != 0
	x.IDOnly = d.flags&flagIDOnly != 0
	x.Sensor = d.flags&flagSensor != 0
	if !x.Sensor && d.gives("deny_time") {
		p.errs.Warnf(d.pos("deny_time"), "deny_time", "without the flag SENSOR it has no effect")
	}
	if x.Sensor && s.Socktype == conf.Dgram && x.DenyTime != 0 {
		// A stranger could have anybody kept out, the name server say.
		p.errs.Warnf(d.pos("deny_time"), "deny_time", "senders of datagrams can be forged: they are logged and not kept out")
		x.DenyTime = 0
	}
	if !x.Sensor {
		x.DenyTime = 0
	}
	if (x.NoDelay || x.KeepAlive) && s.Proto != "tcp" {
		x.NoDelay, x.KeepAlive = false, false
	}
	if d.types&typeRPC != 0 {
		s.RPC = &conf.RPC{Low: d.rpcLow, High: d.rpcHigh}
		if d.types&typeUnlisted != 0 {
			s.RPC.Program = d.rpcProg
		}
		s.Port = 0
	}
	switch {
	case d.types&typeMuxPlus != 0:
		s.Mux = conf.MuxPlus
	case d.types&typeMux != 0:
		s.Mux = conf.MuxSelf
	}
	if s.Mux != conf.NoMux {
		s.Port = 0
		if s.RPC != nil {
			p.errs.Errorf(d.pos("type"), "type", "TCPMUX does not go with RPC")
		}
	}
	switch {
	case d.flags&flagLabeled != 0:
		p.errs.Errorf(d.pos("flags"), "flags", "LABELED: servers cannot be given the client's SELinux context here")
	case d.flags&flagIntercept != 0 && s.Wait:
		p.errs.Errorf(d.pos("flags"), "flags", "INTERCEPT: there is no interception of a wait service's packets here; only_from and no_access may do")
	case d.flags&flagIntercept != 0:
		p.errs.Warnf(d.pos("flags"), "flags", "INTERCEPT has no effect on a service that does not wait")
	}
}

// program fills in what is started.
func (p *parser) program(d *draft, s *conf.Service) {
	nameInArgs := d.flags&flagNameInArgs != 0
	switch {
	case s.Xinetd.Sensor:
		s.Internal, s.Args = "internal", []string{"discard"}
		s.Xinetd.Redirect = nil
	case d.types&typeInternal != 0 && s.Xinetd.Redirect != nil:
		p.errs.Errorf(d.pos("redirect"), "redirect", "an internal service cannot be redirected")
	case d.types&typeInternal != 0:
		s.Internal, s.Args = "internal", d.args
		if nameInArgs {
			p.errs.Errorf(d.pos("flags"), "flags", "NAMEINARGS: an internal service has no program to name")
		}
	case s.Xinetd.Redirect != nil:
		if d.gives("server") {
			p.errs.Warnf(d.pos("server"), "server", "not started: the service is redirected")
		}
	case nameInArgs && len(d.args) == 0:
		p.errs.Errorf(d.pos("flags"), "flags", "NAMEINARGS: there are no server_args to name the program")
	case nameInArgs:
		s.Program, s.Args = d.server, d.args
	default:
		s.Program, s.Args = d.server, append([]string{path.Base(d.server)}, d.args...)
	}
	// Of a connection to an RPC service only its server learns the client.
	if d.flags&flagNoLibwrap == 0 && (s.RPC == nil || s.Socktype != conf.Stream) {
		s.Xinetd.Libwrap = d.libwrap
		if d.libwrap == "" {
			s.Xinetd.Libwrap = libwrapName(s)
		}
	}
	// A number for the user is the group's too.
	if _, err := strconv.ParseUint(s.User, 10, 32); err == nil && s.Group == "" {
		s.Group = s.User
	}
}

// libwrapName is the daemon name that hosts_access(5) is asked for when the
// service does not give one.
func libwrapName(s *conf.Service) string {
	if s.Internal != "" || s.Program == "" {
		return s.Name
	}
	return path.Base(s.Args[0])
}

// known compares the port with the one that services(5) has for the name, as
// xinetd does.
func (p *parser) known(d *draft, s *conf.Service) {
	if s.RPC != nil || s.Mux != conf.NoMux || !d.has("port") || s.Xinetd.Unlisted {
		return
	}
	switch port, _, ok := p.env.Port(s.Name, s.Proto); {
	case !ok:
		p.errs.Warnf(d.pos("port"), "port", "%s/%s is not in services(5): xinetd wants type = UNLISTED", s.Name, s.Proto)
	case ok && port != s.Port:
		p.errs.Errorf(d.pos("port"), "port", "services(5) has port %d for %s/%s; another one needs type = UNLISTED", port, s.Name, s.Proto)
	}
}

// number says whether a name is one that no database is asked for.
func number(name string) bool { return strings.Trim(name, "0123456789") == "" }

// firstError is the place of the first error.
func (p *parser) firstError() conf.Pos {
	for _, e := range p.errs {
		if !e.Warning {
			return e.Pos
		}
	}
	return conf.Pos{}
}
