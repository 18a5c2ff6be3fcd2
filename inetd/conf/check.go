package conf

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// An Env tells the checks about the machine. Functions may be called from the
// goroutine that parses only.
type Env struct {
	// Port finds a services(5) name or alias; official is its first name.
	Port func(name, proto string) (port uint16, official string, ok bool)
	// PortName is the official name of a port, "" if it has none.
	PortName func(port uint16, proto string) string
	// RPC finds a program of rpc(5).
	RPC func(name string) (program uint32, ok bool)
	// User and Group say whether a name or number may be used.
	User, Group func(name string) error
	// Identity says what keeps a server from running as a user, with the user's
	// own group or another.
	Identity func(user, group string) error
	// Internal says whether there is a built-in of that name and type.
	Internal func(name string, t Socktype) bool
	// InternalArgs says what is wrong with the arguments of a built-in.
	InternalArgs func(name string, args []string) error
	// Program says what keeps a path from being executed.
	Program func(path string) error
	// Path is where a program without a slash is looked for.
	Path []string
	// FilterNote says what becomes of an accept filter.
	FilterNote string
	// DaemonDir is where tcpd looks for names without a slash.
	DaemonDir string
	// Proto says whether protocols(5) has the name.
	Proto func(name string) bool
	// Network finds a name of networks(5).
	Network func(name string) (netip.Prefix, bool)
}

// Fields are the names that errors and the manual give to the parts of an
// entry.
const (
	FieldHost     = "host"
	FieldService  = "service"
	FieldSocktype = "socket type"
	FieldProto    = "protocol"
	FieldWait     = "wait/nowait"
	FieldUser     = "user"
	FieldProgram  = "program"
	FieldArgs     = "arguments"
)

// Check finishes a service that a front-end has filled from its text: it looks
// up ports, and reports what cannot work. at gives the place of a field. The
// service is unusable if Check adds an error to the list.
func (e *Env) Check(s *Service, at func(field string) Pos, l *ErrorList) {
	n := l.Errors()
	e.checkProto(s, at, l)
	if l.Errors() == n { // a name means something for a protocol only
		e.checkName(s, at, l)
	}
	checkHosts(s, at, l)
	e.checkInternal(s, at, l)
	e.checkWait(s, at, l)
	e.checkIdentity(s, at, l)
	if s.Internal == "" && (s.Xinetd == nil || s.Xinetd.Redirect == nil) {
		e.checkProgram(s, at, l)
	}
	if s.Xinetd != nil {
		e.checkXinetd(s, at, l)
	}
}

func (e *Env) checkProto(s *Service, at func(string) Pos, l *ErrorList) {
	want := map[string]Socktype{"tcp": Stream, "udp": Dgram}[s.Proto]
	switch {
	case s.Proto == "unix":
		if s.Socktype != Stream && s.Socktype != Dgram && s.Socktype != Seqpacket {
			l.Errorf(at(FieldProto), FieldProto, "a unix socket is stream, dgram or seqpacket, not %s", s.Socktype)
		}
		if s.RPC != nil || s.Mux != NoMux {
			l.Errorf(at(FieldProto), FieldProto, "unix sockets have no rpc or tcpmux form")
		}
	case want != 0 && s.Socktype != want && s.Socktype != Raw:
		l.Errorf(at(FieldProto), FieldProto, "%s sockets are %s, not %s", s.Proto, want, s.Socktype)
	case want == 0 && !e.Proto(s.Proto):
		l.Errorf(at(FieldProto), FieldProto, "%q is not a protocol: expected tcp, udp (with 4, 6 or 46 after it), unix or rpc/tcp, rpc/udp", s.Proto)
	}
}

func (e *Env) checkName(s *Service, at func(string) Pos, l *ErrorList) {
	switch {
	case s.Proto == "unix":
		if !filepath.IsAbs(s.Name) {
			l.Errorf(at(FieldService), FieldService, "%q: the path of a unix socket starts with /", s.Name)
		} else if len(s.Name) > 107 {
			l.Errorf(at(FieldService), FieldService, "the path is longer than the 107 bytes a unix socket may have")
		}
	case s.Mux != NoMux:
		if s.Proto != "tcp" || s.Socktype != Stream {
			l.Errorf(at(FieldProto), FieldProto, "a tcpmux service is stream tcp")
		}
		if strings.EqualFold(s.Name, "help") {
			l.Warnf(at(FieldService), FieldService, "tcpmux answers help itself, so nobody reaches this service")
		}
		if s.Mux == MuxSelf && s.Internal != "" && s.Xinetd == nil {
			l.Warnf(at(FieldService), FieldService, "an internal service does not say the + that clients of tcpmux wait for: write tcpmux/+%s", s.Name)
		}
	case s.RPC != nil:
		if s.RPC.High-s.RPC.Low >= MaxVersions {
			l.Errorf(at(FieldService), FieldService, "an rpc service has at most %d versions", MaxVersions)
		}
		if s.RPC.Program == 0 {
			n, err := strconv.ParseUint(s.Name, 10, 32)
			prog := uint32(n)
			if err != nil || prog == 0 {
				var ok bool
				if prog, ok = e.RPC(s.Name); !ok {
					l.Errorf(at(FieldService), FieldService, "%q is neither in rpc(5) nor a program number", s.Name)
				}
			}
			s.RPC.Program = prog
		}
	case s.Port == 0:
		if n, err := strconv.ParseUint(s.Name, 10, 64); err == nil {
			if n == 0 || n > 65535 {
				l.Errorf(at(FieldService), FieldService, "port %s is not in 1 to 65535", s.Name)
			}
			s.Port = uint16(n)
			return
		}
		port, _, ok := e.Port(s.Name, s.Proto)
		if !ok {
			l.Errorf(at(FieldService), FieldService, "%q is neither a port number nor in /etc/services for %s", s.Name, s.Proto)
		}
		s.Port = port
	}
}

// checkHosts finds an entry that no address will ever come for.
func checkHosts(s *Service, at func(string) Pos, l *ErrorList) {
	if len(s.Hosts) == 0 {
		return
	}
	for _, h := range s.Hosts {
		if ip, err := netip.ParseAddr(h); err != nil || s.Family.Has(ip.Unmap()) {
			return
		}
	}
	l.Errorf(at(FieldHost), FieldHost, "%s is no address of the protocol's family", s.HostList())
}

// checkInternal finds which built-in is meant: the one that the first argument
// names (FreeBSD writes one), else that of the service's name or its official
// name. Most inetds know no arguments of a built-in and read none, so what is
// no name of one costs no service that has the name; options are not to be
// lost.
func (e *Env) checkInternal(s *Service, at func(string) Pos, l *ErrorList) {
	if s.Internal == "" {
		return
	}
	if s.Proto == "unix" && s.Socktype == Dgram {
		l.Errorf(at(FieldProgram), FieldProgram, "there are no internal dgram services on unix sockets")
		return
	}
	var names []string
	named := len(s.Args) > 0 && !strings.HasPrefix(s.Args[0], "-")
	if named {
		names = append(names, s.Args[0])
	}
	names = append(names, s.Name)
	if s.Xinetd != nil {
		names = append(names, strings.ToLower(s.Name)) // as in xinetd
	}
	internal := func(name string) bool { return e.Internal(name, s.Socktype) }
	i := slices.IndexFunc(names, internal)
	if i < 0 { // not before: to ask for a name may take its time
		names = append(names, e.official(s))
		i = slices.IndexFunc(names, internal)
	}
	if i < 0 {
		hint := ""
		if !named && s.Xinetd == nil {
			hint = ": another may be named behind internal"
		}
		l.Errorf(at(FieldProgram), FieldProgram, "there is no internal %s service %q%s", s.Socktype, names[0], hint)
		return
	}
	s.Internal = names[i]
	if named && i > 0 {
		l.Warnf(at(FieldArgs), FieldArgs, "%q names no built-in service: it and what follows is ignored, and %s served", s.Args[0], s.Internal)
		s.Args = nil
	}
	if err := e.InternalArgs(s.Internal, s.Args); err != nil {
		l.Errorf(at(FieldArgs), FieldArgs, "%w", err)
	}
}

// official is what services(5) calls a service, or its port.
func (e *Env) official(s *Service) string {
	if _, name, ok := e.Port(s.Name, s.Proto); ok || s.Port == 0 {
		return name
	}
	return e.PortName(s.Port, s.Proto)
}

func (e *Env) checkWait(s *Service, at func(string) Pos, l *ErrorList) {
	switch {
	case s.Internal != "":
		// Built-ins know best; the files of every system say "wait" for the
		// datagram ones and mean nothing by it.
		if s.Socktype == Stream && s.Wait {
			l.Warnf(at(FieldWait), FieldWait, "internal stream services are always nowait")
		}
		if c := s.Limits; s.Socktype == Dgram && s.Xinetd == nil && max(c.Rate, c.Children, c.SourceRate, c.SourceChildren) > 0 {
			l.Warnf(at(FieldWait), FieldWait, "datagrams of internal services are answered at once, the limits are without effect")
		}
		s.Wait = false
	case s.Mux != NoMux && s.Wait && s.Xinetd == nil:
		l.Warnf(at(FieldWait), FieldWait, "a tcpmux service is always nowait") // as in NetBSD
		s.Wait = false
	case s.Mux != NoMux && s.Wait:
		l.Errorf(at(FieldWait), FieldWait, "a tcpmux service is nowait")
	case !s.Wait && (s.Socktype == Raw || s.Socktype == RDM):
		l.Errorf(at(FieldWait), FieldWait, "a %s service is wait: there are no connections to hand out", s.Socktype)
	case !s.Wait && s.Socktype == Dgram && s.Proto == "unix":
		l.Errorf(at(FieldWait), FieldWait, "a dgram service on a unix socket is wait")
	case s.Socktype == Dgram && !s.Wait:
		l.Warnf(at(FieldWait), FieldWait, "nowait on a dgram service: each client gets a server with a socket of its own")
	case s.Wait && s.Limits.Children > 1:
		field := FieldWait
		if s.Xinetd != nil {
			field = "instances"
		}
		l.Warnf(at(field), field, "a wait service has one server at a time, the limit of %d is without effect", int(s.Limits.Children))
	}
}

func (e *Env) checkIdentity(s *Service, at func(string) Pos, l *ErrorList) {
	if s.Class != "" {
		l.Warnf(at(FieldUser), FieldUser, "login class %q is ignored: this system has none", s.Class)
	}
	if s.Internal != "" || s.User == "" && s.Xinetd != nil {
		return // nothing runs as anybody
	}
	field, err := FieldUser, e.Identity(s.User, s.Group)
	if s.Xinetd != nil && s.Group != "" {
		if gerr := e.Group(s.Group); gerr != nil {
			field, err = "group", gerr
		}
	}
	if err != nil {
		l.Warnf(at(field), field, "%w: not served until there is", err)
	}
}

func (e *Env) checkProgram(s *Service, at func(string) Pos, l *ErrorList) {
	if !filepath.IsAbs(s.Program) {
		l.Errorf(at(FieldProgram), FieldProgram, "%q: expected internal or a path that starts with /", s.Program)
		return
	}
	if err := e.Program(s.Program); err != nil {
		l.Warnf(at(FieldProgram), FieldProgram, "%s: %w", s.Program, Innermost(err))
	}
	name, argv0 := filepath.Base(s.Program), s.Args[0]
	switch {
	case name == "tcpd":
		e.checkBehindTcpd(s, at, l)
	case strings.HasPrefix(argv0, "/") && filepath.Base(argv0) != name && name != "busybox",
		strings.HasPrefix(argv0, "-") && argv0[1:] != name && !strings.HasSuffix(argv0, "sh"):
		// For python3 /usr/local/bin/x.py it is clients who say what the program is.
		l.Warnf(at(FieldArgs), FieldArgs, "%q is the name that %s is called by, argv[0], and no argument: write %s %[1]s", argv0, name, name)
	}
}

// checkBehindTcpd looks at what tcpd becomes.
func (e *Env) checkBehindTcpd(s *Service, at func(string) Pos, l *ErrorList) {
	behind := s.Args[0]
	if !filepath.IsAbs(behind) {
		behind = e.DaemonDir + "/" + behind
	}
	if filepath.Base(behind) == "tcpd" {
		how := ""
		if s.Xinetd != nil {
			how = ", with flags = NAMEINARGS"
		}
		l.Errorf(at(FieldArgs), FieldArgs, "tcpd would start itself, for ever: name the server behind it, by its path or by a name in %s%s", e.DaemonDir, how)
	} else if err := e.Program(behind); err != nil {
		l.Warnf(at(FieldArgs), FieldArgs, "behind tcpd: %s: %w", behind, Innermost(err))
	}
}

// On returns the services that are not switched off.
func On(services []*Service) []*Service {
	return slices.DeleteFunc(slices.Clone(services), func(s *Service) bool { return s.Off })
}

// Clashes warns of entries that ask for what another entry has. Of two entries
// with one Key the later stands, as in every inetd; the result is without the
// earlier. Of two that differ and want one port the first keeps it: in every
// inetd the second fails to bind. Those that are switched off ask for nothing.
func Clashes(services []*Service, l *ErrorList) []*Service {
	type place struct {
		proto string
		port  uint16
		host  string
	}
	const all, any = "", "*" // entries at any host, and those without one
	byKey := make(map[string]*Service, len(services))
	keys := make([]string, len(services))
	for i, s := range services {
		if s.Off {
			continue
		}
		keys[i] = s.Key()
		if old := byKey[keys[i]]; old != nil {
			l.Warnf(s.Pos, "", "%s: duplicate of line %s, which is replaced", s.Label(), line(old.Pos, s.Pos))
		}
		byKey[keys[i]] = s
	}
	at := make(map[place][]*Service, len(services))
	kept := services[:0:0]
	for i, s := range services {
		if !s.Off && byKey[keys[i]] != s {
			continue
		}
		kept = append(kept, s)
		if s.Off || s.Port == 0 || s.Mux != NoMux {
			continue
		}
		hosts, rivals := s.Hosts, []string{all}
		if len(hosts) == 0 {
			hosts = []string{any}
		} else {
			rivals = append([]string{any}, hosts...)
		}
		var met []*Service
		for _, h := range rivals {
			for _, old := range at[place{s.Proto, s.Port, h}] {
				if slices.Equal(old.Hosts, s.Hosts) && (old.Family == V6 && s.Family == Both || old.Family == Both && s.Family == V6) {
					// In the BSDs, whose files have a line for each, tcp is IPv4.
					if old.Family == Both {
						old.Family = V4
					} else {
						s.Family = V4
					}
					continue
				}
				if familiesMeet(old.reach(), s.reach()) && !slices.Contains(met, old) {
					met = append(met, old)
					Clash(old, s, l)
				}
			}
		}
		for _, h := range append([]string{all}, hosts...) {
			p := place{s.Proto, s.Port, h}
			at[p] = append(at[p], s)
		}
	}
	return kept
}

// Clash warns that s wants an address that old has.
func Clash(old, s *Service, l *ErrorList) {
	l.Warnf(s.Pos, "", "%s: port clash with %s of line %s, which keeps it", s.Label(), old.Label(), line(old.Pos, s.Pos))
}

// Muxless warns, once, of services of tcpmux where nothing asks for their names.
func Muxless(services []*Service, l *ErrorList) {
	i := slices.IndexFunc(services, func(s *Service) bool { return s.Mux != NoMux })
	if i >= 0 && !slices.ContainsFunc(services, func(s *Service) bool { return s.Mux == NoMux && s.Internal == "tcpmux" }) {
		l.Warnf(services[i].Pos, FieldService, "%s: nobody reaches it: there is no tcpmux entry", services[i].Label())
	}
}

func line(p, seenFrom Pos) string {
	if p.File == seenFrom.File {
		return strconv.Itoa(p.Line)
	}
	return fmt.Sprintf("%d of %s", p.Line, p.File)
}

// reach is the family of the addresses that s can have: with tcp and 127.0.0.1 it is
// IPv4.
func (s *Service) reach() Family {
	v4 := func(h string) bool { a, err := netip.ParseAddr(h); return err != nil || a.Unmap().Is4() }
	v6 := func(h string) bool { a, err := netip.ParseAddr(h); return err != nil || a.Unmap().Is6() }
	switch {
	case len(s.Hosts) == 0, s.Family == Mapped:
		return s.Family
	case !slices.ContainsFunc(s.Hosts, v6):
		return V4
	case !slices.ContainsFunc(s.Hosts, v4):
		return V6
	}
	return s.Family
}

func familiesMeet(a, b Family) bool {
	return !(a == V4 && b == V6 || a == V6 && b == V4)
}
