package xinetdconf

import (
	"net/netip"
	"path"
	"strconv"
	"strings"

	"inetd/inetd/conf"
)

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
	if s.Wait && s.Internal == "" && s.RPC == nil && s.Family == conf.Both && len(s.Hosts) == 0 {
		s.Family = conf.Mapped // there is one server, so there is one socket
	}
	p.known(d, s)
	d.inapplicable(s)
	p.idle(d, s)
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
	if !bannered(s) {
		for attr, file := range banners(s.Xinetd) {
			if !d.gives(attr) {
				*file = ""
			}
		}
	}
	if x := s.Xinetd; s.Internal != "" || x.Redirect != nil { // nothing is started
		x.Groups, x.Umask, x.Nice, x.Rlimits, x.PassEnv, x.Env = false, nil, 0, nil, nil, nil
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

// bannered says whether a service has connections on which a banner can be sent.
func bannered(s *conf.Service) bool {
	return s.Socktype != conf.Dgram && !(s.Wait && s.Internal == "")
}

func banners(x *conf.Xinetd) map[string]*string {
	return map[string]*string{"banner": &x.Banner, "banner_success": &x.BannerSuccess, "banner_fail": &x.BannerFail}
}

// idle warns of what the service itself gives and nothing comes of.
func (p *parser) idle(d *draft, s *conf.Service) {
	if s.Internal != "" || s.Xinetd.Redirect != nil {
		for _, attr := range []string{
			"umask", "nice", "env", "passenv", "groups",
			"rlimit_as", "rlimit_cpu", "rlimit_data", "rlimit_files", "rlimit_rss", "rlimit_stack",
		} {
			if d.gives(attr) {
				p.errs.Warnf(d.pos(attr), attr, "without effect: no process is started for an internal or redirected service")
			}
		}
	}
	for attr := range banners(s.Xinetd) {
		if !bannered(s) && d.gives(attr) {
			p.errs.Warnf(d.pos(attr), attr, "without effect: only a service with connections that does not wait sends it")
		}
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
// each has its own, which clients cannot tell, but for a server that waits.
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
	ip, err := netip.ParseAddr(d.bind)
	switch {
	case err != nil:
	case s.Family == conf.Mapped && ip.Is4():
		// xinetd listens at all addresses then.
		p.errs.Warnf(d.pos("bind"), "bind", "%s is served, an IPv4 address, though the flags say IPv6", d.bind)
		s.Family = conf.V4
	case s.Family == conf.V6 && ip.Is4(), s.Family == conf.V4 && ip.Is6() && !ip.Is4In6() && !ip.IsUnspecified():
		p.errs.Errorf(d.pos("bind"), "bind", "%s is no address of the family that v6only or the flags ask for", d.bind)
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
	switch {
	case x.DenyTime == 0:
	case !x.Sensor:
		p.errs.Warnf(d.pos("deny_time"), "deny_time", "without the flag SENSOR it has no effect")
		x.DenyTime = 0
	case s.Socktype == conf.Dgram:
		// A stranger could have anybody kept out, the name server say.
		p.errs.Warnf(d.pos("deny_time"), "deny_time", "senders of datagrams can be forged: they are logged and not kept out")
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
	if d.flags&flagNoLibwrap == 0 && libwrapped(s) {
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
		s.Xinetd.Unlisted = true
	case ok && port != s.Port:
		p.errs.Errorf(d.pos("port"), "port", "services(5) has port %d for %s/%s; another one needs type = UNLISTED", port, s.Name, s.Proto)
	}
}

// number says whether a name is one that no database is asked for.
func number(name string) bool { return strings.Trim(name, "0123456789") == "" }
