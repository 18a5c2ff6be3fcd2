// Package conf is the model of what a super-server is asked to serve: plain
// values, the place in the file each came from, and the checks that hold
// whatever syntax the file was written in. It parses nothing and opens nothing;
// the front-ends in inetdconf and xinetdconf fill it, and an Env tells it about
// the machine.
package conf

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// A Socktype is the second field of inetd.conf(5).
type Socktype uint8

const (
	Stream Socktype = iota + 1
	Dgram
	Raw
	RDM
	Seqpacket
)

var socktypes = []string{Stream: "stream", Dgram: "dgram", Raw: "raw", RDM: "rdm", Seqpacket: "seqpacket"}

func (t Socktype) String() string { return socktypes[t] }

// ParseSocktype returns 0 for a word that names no socket type.
func ParseSocktype(s string) Socktype {
	for t, name := range socktypes {
		if s == name && name != "" {
			return Socktype(t)
		}
	}
	return 0
}

// A Family says which Internet addresses an entry listens on.
type Family uint8

const (
	Both   Family = iota // IPv4 and IPv6, a socket each
	V4                   // tcp4, udp4
	V6                   // tcp6, udp6: IPv6 only
	Mapped               // tcp46, udp46: one IPv6 socket that takes IPv4 as well
)

// Has says whether an address is one of the family.
func (f Family) Has(ip netip.Addr) bool {
	return f == Both || f == Mapped || f == V4 && ip.Is4() || f == V6 && ip.Is6()
}

// InetAton reads an IPv4 address as inet_aton(3) does: up to four numbers,
// octal behind a 0 and none hexadecimal, the last of which fills what is left.
func InetAton(s string) (netip.Addr, bool) {
	parts := strings.Split(s, ".")
	last := len(parts) - 1
	if last > 3 {
		return netip.Addr{}, false
	}
	var addr uint32
	for i, part := range parts {
		bits := 8
		if i == last {
			bits = 32 - 8*i
		}
		n, err := strconv.ParseUint(part, 0, bits)
		if err != nil || strings.Trim(part, "0123456789") != "" {
			return netip.Addr{}, false
		}
		addr |= uint32(n) << (32 - 8*i - bits)
	}
	return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, addr))), true
}

var families = []string{Both: "", V4: "4", V6: "6", Mapped: "46"}

// A Max is a limit as a file gives it. The zero value means that the file says
// nothing and the daemon's default holds.
type Max int

const (
	Unlimited Max = -1
	Never     Max = -2 // NetBSD's service_max = 0: nothing is ever started
)

// Or returns m, or d when the file said nothing.
func (m Max) Or(d Max) Max {
	if m == 0 {
		return d
	}
	return m
}

// Limits bounds how often and how many servers of one entry run.
type Limits struct {
	Rate           Max // starts in 60 seconds; over it the service rests for ten minutes
	Children       Max // servers at a time; over it clients wait in the queue
	SourceRate     Max // starts in 60 seconds for one client address; over it that client is refused
	SourceChildren Max // servers at a time for one client address; over it that client is refused

	Refuse bool // over Children clients are refused, as by xinetd, and Never is none at all
	CPS    CPS  // xinetd's rate
}

// Or fills what l leaves open from d.
func (l Limits) Or(d Limits) Limits {
	l.Rate, l.Children = l.Rate.Or(d.Rate), l.Children.Or(d.Children)
	l.SourceRate, l.SourceChildren = l.SourceRate.Or(d.SourceRate), l.SourceChildren.Or(d.SourceChildren)
	return l
}

// A Mux marks an entry that is reached through tcpmux(1078) and has no socket.
type Mux uint8

const (
	NoMux   Mux = iota
	MuxSelf     // tcpmux/name: the server itself answers "+"
	MuxPlus     // tcpmux/+name: the daemon answers "+Go" first
)

// MaxVersions is how many versions of an RPC program an entry may have: each
// costs the port mapper an entry of a list it walks from the start.
const MaxVersions = 256

// RPC is the ONC RPC half of an entry (name/low-high with an rpc/ protocol).
type RPC struct {
	Program   uint32
	Low, High uint32
}

// Unix is who may reach a unix-domain socket. Without User or Group that part of
// the owner is the daemon's.
type Unix struct {
	User, Group string
	Mode        uint32
}

// A Service is one entry of a configuration file.
type Service struct {
	Pos  Pos
	Name string // as written: a services(5) name, a decimal port, an rpc(5) name, a path or a tcpmux name

	Hosts     []string // names or addresses; empty is every address
	Socktype  Socktype
	Proto     string // tcp, udp, unix or another protocols(5) name, without 4, 6 and rpc/
	Family    Family
	Port      uint16 // 0 for unix, rpc and tcpmux entries
	RPC       *RPC
	Mux       Mux
	Unix      *Unix // nil unless Proto is unix
	SndBuf    int   // bytes, 0 is the system's default
	RcvBuf    int
	Filter    string // accept filter of the BSDs
	FilterArg string

	Wait   bool // one server at a time, given the listening or datagram socket itself
	Off    bool // written and switched off; without a Socktype if the rest could not be read
	Limits Limits

	User, Group, Class string
	Internal           string   // name of the built-in, "" for a program
	Program            string   // path, "" for a built-in
	Args               []string // argv, from argv[0] on; for a built-in its options

	Xinetd *Xinetd // nil unless the entry is one of xinetd.conf(5)
}

// Label names the service in every message: ftp/tcp, with the address in front
// where the entry has one.
func (s *Service) Label() string {
	name := s.Name
	switch {
	case s.Mux != NoMux:
		name = "tcpmux/" + s.Name
	case s.Proto != "":
		name += "/" + s.Proto
	}
	if len(s.Hosts) == 0 {
		return name
	}
	return s.HostList() + ":" + name
}

// HostList is the host part as inetd.conf writes it: commas between, brackets
// around IPv6 addresses.
func (s *Service) HostList() string {
	var b strings.Builder
	for i, h := range s.Hosts {
		if i > 0 {
			b.WriteByte(',')
		}
		if a, err := netip.ParseAddr(h); err == nil && a.Is6() {
			b.WriteString("[" + h + "]")
		} else {
			b.WriteString(h)
		}
	}
	return b.String()
}

// ProtoField is the protocol as inetd.conf writes it: rpc/udp6, tcp46.
func (s *Service) ProtoField() string {
	p := s.Proto + families[s.Family]
	if s.RPC != nil {
		p = "rpc/" + p
	}
	return p
}

// Key identifies an entry from one reading of the files to the next: what it
// is called, where it listens and on what kind of socket.
func (s *Service) Key() string {
	if s.Mux != NoMux { // only the name tells, in any case (RFC 1078)
		return "tcpmux/" + strings.ToLower(s.Name)
	}
	k := s.HostList() + ":" + s.Name + "/" + s.Socktype.String() + "/" + s.ProtoField()
	if s.RPC != nil {
		k += fmt.Sprintf("/%d-%d", s.RPC.Low, s.RPC.High)
	}
	if x := s.Xinetd; x != nil && (x.Unlisted || x.ID != s.Name) {
		k += "/" + strconv.Itoa(int(s.Port)) + "/" + x.ID
	}
	return k
}
