package conf

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
)

func TestService(t *testing.T) {
	for _, tt := range []struct {
		s                 Service
		label, key, proto string
	}{
		{Service{Name: "ftp", Socktype: Stream, Proto: "tcp"}, "ftp/tcp", ":ftp/stream/tcp", "tcp"},
		{Service{Name: "ftp", Socktype: Stream, Proto: "tcp", Family: V6}, "ftp/tcp", ":ftp/stream/tcp6", "tcp6"},
		{Service{Name: "ftp", Socktype: Stream, Proto: "tcp", Family: Mapped}, "ftp/tcp", ":ftp/stream/tcp46", "tcp46"},
		{Service{Name: "ftp", Socktype: Stream, Proto: "tcp", Hosts: []string{"127.0.0.1"}}, "127.0.0.1:ftp/tcp", "127.0.0.1:ftp/stream/tcp", "tcp"},
		{Service{Name: "69", Socktype: Dgram, Proto: "udp", Hosts: []string{"::1", "localhost"}}, "[::1],localhost:69/udp", "[::1],localhost:69/dgram/udp", "udp"},
		{Service{Name: "rstatd", Socktype: Dgram, Proto: "udp", RPC: &RPC{Low: 1, High: 3}}, "rstatd/udp", ":rstatd/dgram/rpc/udp/1-3", "rpc/udp"},
		{Service{Name: "date", Socktype: Stream, Proto: "tcp", Mux: MuxPlus}, "tcpmux/date", "tcpmux/date", "tcp"},
		{Service{Name: "/run/x", Socktype: Stream, Proto: "unix"}, "/run/x/unix", ":/run/x/stream/unix", "unix"},
	} {
		if got := tt.s.Label(); got != tt.label {
			t.Errorf("Label of %+v = %q, want %q", tt.s, got, tt.label)
		}
		if got := tt.s.Key(); got != tt.key {
			t.Errorf("Key of %+v = %q, want %q", tt.s, got, tt.key)
		}
		if got := tt.s.ProtoField(); got != tt.proto {
			t.Errorf("ProtoField of %+v = %q, want %q", tt.s, got, tt.proto)
		}
	}
}

// Entries that one configuration can have side by side have different keys.
func TestKeys(t *testing.T) {
	base := Service{Name: "x", Socktype: Stream, Proto: "tcp"}
	all := []Service{base}
	add := func(change func(s *Service)) {
		s := base
		change(&s)
		all = append(all, s)
	}
	add(func(s *Service) { s.Name = "y" })
	add(func(s *Service) { s.Proto, s.Socktype = "udp", Dgram })
	add(func(s *Service) { s.Family = V4 })
	add(func(s *Service) { s.Family = V6 })
	add(func(s *Service) { s.Hosts = []string{"127.0.0.1"} })
	add(func(s *Service) { s.Hosts = []string{"127.0.0.1", "::1"} })
	add(func(s *Service) { s.Mux = MuxSelf })
	add(func(s *Service) { s.RPC = &RPC{Low: 1, High: 1} })
	add(func(s *Service) { s.RPC = &RPC{Low: 2, High: 2} })
	add(func(s *Service) { s.Xinetd = &Xinetd{ID: "other"} })
	add(func(s *Service) { s.Xinetd = &Xinetd{ID: s.Name, Unlisted: true} })
	keys := make(map[string]Service)
	for _, s := range all {
		if other, ok := keys[s.Key()]; ok {
			t.Errorf("%+v and %+v have one key, %q", s, other, s.Key())
		}
		keys[s.Key()] = s
	}
}

func TestSocktype(t *testing.T) {
	for _, name := range []string{"stream", "dgram", "raw", "rdm", "seqpacket"} {
		if got := ParseSocktype(name); got == 0 || got.String() != name {
			t.Errorf("ParseSocktype(%q) = %d", name, got)
		}
	}
	for _, name := range []string{"", "Stream", "strea", "streams"} {
		if got := ParseSocktype(name); got != 0 {
			t.Errorf("ParseSocktype(%q) = %v, want 0", name, got)
		}
	}
}

func TestLimitsOr(t *testing.T) {
	d := Limits{Rate: 40, Children: Unlimited, SourceRate: 5, SourceChildren: Never}
	got := Limits{Rate: Unlimited, SourceRate: Never}.Or(d)
	if want := (Limits{Rate: Unlimited, Children: Unlimited, SourceRate: Never, SourceChildren: Never}); got != want {
		t.Errorf("Or = %+v, want %+v", got, want)
	}
}

func TestErrors(t *testing.T) {
	var l ErrorList
	l.Errorf(Pos{"b", 3, 7}, FieldWait, "%q is neither", "x")
	l.Warnf(Pos{"b", 3, 2}, "", "odd")
	l.Errorf(Pos{"b", 1, 0}, FieldUser, "%w", fs.ErrNotExist)
	l.Errorf(Pos{"a", 2, 1}, "", "later file")
	l.Warnf(Pos{"b", 0, 0}, "", "all of it")
	l.Errorf(Pos{"b", 3, 2}, "", "found after the other of the place")
	if got := l.Errors(); got != 4 {
		t.Errorf("Errors = %d, want 4", got)
	}
	if !errors.Is(l[2], fs.ErrNotExist) {
		t.Errorf("%v is not the error that it wraps", l[2])
	}
	l.Sort()
	var got []string
	for _, e := range l {
		got = append(got, e.Error())
	}
	want := []string{
		"b: warning: all of it",
		"b:1: user: file does not exist",
		"b:3:2: warning: odd",
		"b:3:2: found after the other of the place",
		`b:3:7: wait/nowait: "x" is neither`,
		"a:2:1: later file",
	}
	if !slices.Equal(got, want) {
		t.Errorf("sorted = %q, want %q", got, want)
	}
}

func TestClashes(t *testing.T) {
	svc := func(file string, line int, name string, port uint16, change func(s *Service)) *Service {
		s := &Service{Pos: Pos{file, line, 0}, Name: name, Port: port, Socktype: Stream, Proto: "tcp"}
		if change != nil {
			change(s)
		}
		return s
	}
	hosts := func(h ...string) func(s *Service) { return func(s *Service) { s.Hosts = h } }
	family := func(f Family) func(s *Service) { return func(s *Service) { s.Family = f } }
	udp := func(s *Service) { s.Proto, s.Socktype = "udp", Dgram }
	mux := func(s *Service) { s.Mux = MuxSelf }
	off := func(s *Service) { s.Off = true }
	for _, tt := range []struct {
		in   []*Service
		want []string // warnings
		kept []int    // lines
	}{
		{[]*Service{svc("f", 1, "ftp", 21, nil), svc("f", 2, "ssh", 22, nil)}, nil, []int{1, 2}},
		{[]*Service{svc("f", 1, "ftp", 21, nil), svc("f", 2, "ftp", 21, nil)}, []string{"f:2: warning: ftp/tcp: duplicate of line 1, which is replaced"}, []int{2}},
		{[]*Service{svc("f", 1, "Foo", 0, mux), svc("f", 2, "foo", 0, mux), svc("f", 3, "bar", 0, mux)}, []string{"f:2: warning: tcpmux/foo: duplicate of line 1, which is replaced"}, []int{2, 3}},
		{[]*Service{svc("f", 1, "ftp", 21, nil), svc("g", 1, "ftp", 21, nil)}, []string{"g:1: warning: ftp/tcp: duplicate of line 1 of f, which is replaced"}, []int{1}},
		{[]*Service{svc("f", 1, "ftp", 21, nil), svc("f", 2, "21", 21, nil)}, []string{"f:2: warning: 21/tcp: port clash with ftp/tcp of line 1, which keeps it"}, []int{1, 2}},
		{[]*Service{svc("f", 1, "ftp", 21, nil), svc("f", 2, "ftp", 21, family(V6))}, nil, []int{1, 2}}, // tcp is IPv4 then
		{[]*Service{svc("f", 1, "ftp", 21, nil), svc("f", 2, "ftp", 21, func(s *Service) { s.Family, s.Hosts = V6, []string{"::1"} })}, []string{"f:2: warning: [::1]:ftp/tcp: port clash with ftp/tcp of line 1, which keeps it"}, []int{1, 2}},
		{[]*Service{svc("f", 1, "ftp", 21, family(V4)), svc("f", 2, "ftp", 21, family(V6))}, nil, []int{1, 2}},
		{[]*Service{svc("f", 1, "ftp", 21, family(V4)), svc("f", 2, "ftp", 21, family(Mapped))}, []string{"f:2: warning: ftp/tcp: port clash with ftp/tcp of line 1, which keeps it"}, []int{1, 2}},
		{[]*Service{svc("f", 1, "ftp", 21, nil), svc("f", 2, "ftp", 21, udp)}, nil, []int{1, 2}},
		{[]*Service{svc("f", 1, "ftp", 21, hosts("127.0.0.1")), svc("f", 2, "ftp", 21, hosts("127.0.0.2"))}, nil, []int{1, 2}},
		{[]*Service{svc("f", 1, "ftp", 21, hosts("127.0.0.1")), svc("f", 2, "ftp", 21, nil)}, []string{"f:2: warning: ftp/tcp: port clash with 127.0.0.1:ftp/tcp of line 1, which keeps it"}, []int{1, 2}},
		{[]*Service{svc("f", 1, "ftp", 21, hosts("127.0.0.1")), svc("f", 2, "ftp", 21, family(V6))}, nil, []int{1, 2}},
		{[]*Service{svc("f", 1, "ftp", 21, family(V4)), svc("f", 2, "ftp", 21, hosts("::1", "fe80::1%lo"))}, nil, []int{1, 2}},
		{[]*Service{svc("f", 1, "ftp", 21, func(s *Service) { s.Family, s.Hosts = Mapped, []string{"::"} }), svc("f", 2, "ftp", 21, family(V4))}, []string{"f:2: warning: ftp/tcp: port clash with [::]:ftp/tcp of line 1, which keeps it"}, []int{1, 2}},
		{[]*Service{svc("f", 1, "ftp", 21, family(V4)), svc("f", 2, "ftp", 21, hosts("::1", "a"))}, []string{"f:2: warning: [::1],a:ftp/tcp: port clash with ftp/tcp of line 1, which keeps it"}, []int{1, 2}},
		{[]*Service{svc("f", 1, "ftp", 21, family(V4)), svc("f", 2, "ftp", 21, hosts("::1", "127.0.0.1"))}, []string{"f:2: warning: [::1],127.0.0.1:ftp/tcp: port clash with ftp/tcp of line 1, which keeps it"}, []int{1, 2}},
		{[]*Service{svc("f", 1, "ftp", 21, hosts("a", "b")), svc("f", 2, "21", 21, hosts("a", "b", "c"))}, []string{"f:2: warning: a,b,c:21/tcp: port clash with a,b:ftp/tcp of line 1, which keeps it"}, []int{1, 2}},
		{[]*Service{svc("f", 1, "ftp", 21, hosts("a", "b")), svc("f", 2, "21", 21, hosts("b", "c"))}, []string{"f:2: warning: b,c:21/tcp: port clash with a,b:ftp/tcp of line 1, which keeps it"}, []int{1, 2}},
		{[]*Service{svc("f", 1, "x", 0, mux), svc("f", 2, "x", 0, func(s *Service) { mux(s); s.Family = V4; s.Hosts = []string{"a"} })}, []string{"f:2: warning: a:tcpmux/x: duplicate of line 1, which is replaced"}, []int{2}},
		{[]*Service{svc("f", 1, "x", 0, mux), svc("f", 2, "y", 0, mux)}, nil, []int{1, 2}},
		{[]*Service{svc("f", 1, "ftp", 21, family(V4)), svc("f", 2, "21", 21, family(V4))}, []string{"f:2: warning: 21/tcp: port clash with ftp/tcp of line 1, which keeps it"}, []int{1, 2}},
		{[]*Service{svc("f", 1, "ftp", 21, family(V6)), svc("f", 2, "21", 21, family(V6))}, []string{"f:2: warning: 21/tcp: port clash with ftp/tcp of line 1, which keeps it"}, []int{1, 2}},
		{[]*Service{svc("f", 1, "ftp", 21, nil), svc("f", 2, "ftp", 21, off), svc("f", 3, "21", 21, off)}, nil, []int{1, 2, 3}},
		{[]*Service{svc("f", 1, "ftp", 21, off), svc("f", 2, "ftp", 21, nil)}, nil, []int{1, 2}},
	} {
		var l ErrorList
		var got []string
		var kept []int
		for _, s := range Clashes(tt.in, &l) {
			kept = append(kept, s.Pos.Line)
		}
		for _, e := range l {
			got = append(got, e.Error())
		}
		what := make([]string, len(tt.in))
		for i, s := range tt.in {
			what[i] = fmt.Sprintf("%v %s%s", s.Pos, s.Label(), families[s.Family])
		}
		if !slices.Equal(got, tt.want) || !slices.Equal(kept, tt.kept) {
			t.Errorf("Clashes(%s) = %q, lines %v, want %q, %v", strings.Join(what, ", "), got, kept, tt.want, tt.kept)
		}
	}
}

// Of a tcp line and a tcp6 line of one port the first is for IPv4, whichever
// comes first.
func TestClashesFamilies(t *testing.T) {
	for _, in := range [][2]Family{{Both, V6}, {V6, Both}} {
		var l ErrorList
		var got []Family
		for _, s := range Clashes([]*Service{
			{Name: "ftp", Port: 21, Socktype: Stream, Proto: "tcp", Family: in[0]},
			{Name: "ftp", Port: 21, Socktype: Stream, Proto: "tcp", Family: in[1]},
		}, &l) {
			got = append(got, s.Family)
		}
		slices.Sort(got)
		if want := []Family{V4, V6}; !slices.Equal(got, want) || len(l) > 0 {
			t.Errorf("Clashes of the families %v leaves %v, %v, want %v", in, got, l, want)
		}
	}
}

func TestAccessEqual(t *testing.T) {
	a, b := []Pattern{{Name: "a"}}, []Pattern{{Name: "b"}}
	all := []Access{{}, {OnlyGiven: true}, {OnlyGiven: true, Only: a}, {OnlyGiven: true, Only: b}, {No: a}, {No: b}}
	for i := range all {
		for j := range all {
			if got := all[i].Equal(&all[j]); got != (i == j) {
				t.Errorf("%v and %v are equal = %v", all[i], all[j], got)
			}
		}
	}
}

func TestByAddress(t *testing.T) {
	for _, tt := range []struct {
		s    Service
		want bool
	}{
		{Service{Socktype: Stream}, false},
		{Service{Socktype: Dgram}, false},
		{Service{Socktype: Stream, Internal: "echo"}, false},
		{Service{Socktype: Dgram, Internal: "echo"}, true},
		{Service{Socktype: Stream, Wait: true}, true},
	} {
		if got := tt.s.ByAddress(); got != tt.want {
			t.Errorf("ByAddress of %+v = %v, want %v", tt.s, got, tt.want)
		}
	}
}

// A built-in that the entry names needs no database, which may be slow to say
// that it does not know a name.
func TestInternalNamed(t *testing.T) {
	asked := ""
	env := Env{
		Port:         func(name, _ string) (uint16, string, bool) { asked = name; return 0, "", false },
		PortName:     func(uint16, string) string { return "echo" },
		Internal:     func(name string, _ Socktype) bool { return name == "echo" },
		InternalArgs: func(string, []string) error { return nil },
	}
	for _, tt := range []struct {
		name string
		args []string
		want string // that is asked for
	}{
		{"7007", []string{"echo"}, ""},
		{"echo", nil, ""},
		{"echo", []string{"-I", "60"}, ""},
		{"7007", []string{"-I", "60"}, "7007"},
		{"my-echo", nil, "my-echo"},
	} {
		asked = ""
		s := &Service{Name: tt.name, Socktype: Stream, Proto: "tcp", Port: 7007, User: "root", Internal: "internal", Args: tt.args}
		var l ErrorList
		env.checkInternal(s, func(string) Pos { return Pos{} }, &l)
		if len(l) > 0 || s.Internal != "echo" || !slices.Equal(s.Args, tt.args) {
			t.Errorf("%s %q is the built-in %q with %q, %v", tt.name, tt.args, s.Internal, s.Args, l)
		}
		if asked != tt.want {
			t.Errorf("%s %q: services(5) is asked for %q, want %q", tt.name, tt.args, asked, tt.want)
		}
	}
}

func TestMuxless(t *testing.T) {
	entry := func(name string, mux Mux, internal string) *Service {
		return &Service{Pos: Pos{"f", len(name), 0}, Name: name, Socktype: Stream, Proto: "tcp", Mux: mux, Internal: internal}
	}
	echo, a, bb := entry("echo", NoMux, "echo"), entry("a", MuxPlus, ""), entry("bb", MuxSelf, "")
	for _, tt := range []struct {
		in   []*Service
		want string
	}{
		{nil, ""},
		{[]*Service{echo}, ""},
		{[]*Service{echo, a, bb}, "f:1: warning: service: tcpmux/a: nobody reaches it: there is no tcpmux entry"},
		{[]*Service{a, bb, entry("tcpmux", NoMux, "tcpmux")}, ""},
		{[]*Service{entry("tcpmux", MuxPlus, "tcpmux")}, "f:6: warning: service: tcpmux/tcpmux: nobody reaches it: there is no tcpmux entry"},
	} {
		var l ErrorList
		Muxless(tt.in, &l)
		got := ""
		for _, e := range l {
			got += e.Error()
		}
		if got != tt.want {
			t.Errorf("Muxless of %d services = %q, want %q", len(tt.in), got, tt.want)
		}
	}
}
