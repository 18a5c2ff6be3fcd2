package xinetdconf

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"inetd/inetd/conf"
	"inetd/inetd/conf/inetdconf"
)

// again prints services and reads them back.
func again(t testing.TB, env *conf.Env, services []*conf.Service) (text string, back []*conf.Service, lost conf.ErrorList) {
	t.Helper()
	var b bytes.Buffer
	lost = Format(&b, services)
	for _, e := range lost {
		if !e.Warning || e.Pos.File == "" {
			t.Errorf("Format: %v (warning %v), want warnings with places", e, e.Warning)
		}
	}
	back, errs := Parse("back", b.Bytes(), env, files(nil))
	if errs.Errors() > 0 || strings.Contains(lines(errs), "no process is started") {
		t.Errorf("Format = %q, which reads back with\n%s", b.String(), lines(errs))
	}
	return b.String(), back, lost
}

// unplaced is the services without the places they came from.
func unplaced(services []*conf.Service) []*conf.Service {
	var out []*conf.Service
	for _, s := range services {
		c := *s
		c.Pos = conf.Pos{}
		out = append(out, &c)
	}
	return out
}

// same compares services as values.
func same(t testing.TB, text string, got, want []*conf.Service) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%q reads back as %q, want %q", text, names(got), names(want))
		return
	}
	got, want = unplaced(got), unplaced(want)
	for i := range got {
		if !reflect.DeepEqual(got[i], want[i]) {
			t.Errorf("%q reads back as\n%+v\n%+v, want\n%+v\n%+v", text, got[i], got[i].Xinetd, want[i], want[i].Xinetd)
		}
	}
}

// TestRoundTrip: what is read, printed and read again is the same, for all
// files here, switched on.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	all, err := filepath.Glob("testdata/files/*/*")
	if err != nil {
		t.Fatal(err)
	}
	examples, err := filepath.Glob("../../../examples/xinetd.d/*")
	if err != nil || len(examples) == 0 {
		t.Fatalf("examples: %v, %v", examples, err)
	}
	served := 0
	for _, file := range append(all, examples...) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text = bytes.ReplaceAll(text, []byte("disable"), []byte("#"))
		services, _ := Parse(file, text, env, system)
		services = slices.DeleteFunc(services, unread)
		served += len(services)
		out, back, lost := again(t, env, services)
		if len(lost) > 0 {
			t.Errorf("Format of %s loses\n%s", file, lines(lost))
		}
		same(t, out, back, services)
	}
	if served < 100 {
		t.Errorf("%d services went round, want all", served)
	}
}

func TestFormat(t *testing.T) {
	t.Parallel()
	services, errs := parse(t, "defaults\n{\ninstances = 5\nlog_type = FILE /l 1M\n}\n"+
		entry("telnet", "server_args = -h", "only_from = 10.0.0.0 10.0.0.0/32 10.0.0.1 ::1 .a.b", "access_times = Sat,Sun,Wed-Thu/22:00-06:00 0:00-24:00 12:00-23:59 23:59-24:00",
			"cps = 0 0", "passenv =", "log_on_success = HOST PID"))
	if len(errs) > 0 {
		t.Fatal(lines(errs))
	}
	const want = `service telnet
{
	socket_type     = stream
	protocol        = tcp
	wait            = no
	port            = 23
	user            = nobody
	server          = /bin/cat
	server_args     = -h
	instances       = 5
	cps             = 0 0
	access_times    = Wed-Thu,Sat-Sun/22:00-06:00 00:00-23:59 12:00-23:59 23:59-24:00
	only_from       = 10.0.0.0/8 10.0.0.0/32 10.0.0.1 ::1 .a.b
	passenv         =
	log_type        = FILE /l 1048576 1059061
	log_on_success  = PID HOST
}
`
	if got, _, _ := again(t, testEnv(t), services); got != want {
		t.Errorf("Format =\n%s, want\n%s", got, want)
	}
}

// TestFromInetdConf prints what itox loses: limits, user:group, addresses,
// tcp4 and tcp6, numbers for names, tcpd's program, RPC and tcpmux. What the
// syntax cannot say is said.
func TestFromInetdConf(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	tests := []struct {
		line string
		want string // of the block, without what every block has
		lost string
	}{
		{"telnet stream tcp nowait root /usr/sbin/in.telnetd in.telnetd",
			"flags NOLIBWRAP; user root; server /usr/sbin/in.telnetd; groups yes", ""},
		{"telnet stream tcp nowait root:daemon /usr/sbin/in.telnetd in.telnetd -x",
			"flags NOLIBWRAP; user root; group daemon; server /usr/sbin/in.telnetd; server_args -x; groups yes", ""},
		{"ftp stream tcp4 nowait root /usr/sbin/tcpd in.ftpd -l",
			"flags IPv4 NAMEINARGS NOLIBWRAP; user root; server /usr/sbin/tcpd; server_args in.ftpd -l; groups yes", ""},
		{"ftp stream tcp6 nowait root /bin/cat", "flags NOLIBWRAP; v6only yes; user root; server /bin/cat; groups yes", ""},
		{"ftp stream tcp46 nowait root /bin/cat", "flags IPv6 NOLIBWRAP; user root; server /bin/cat; groups yes", ""},
		{"127.0.0.1:ftp stream tcp nowait root /bin/cat", "flags NOLIBWRAP; bind 127.0.0.1; user root; server /bin/cat; groups yes", ""},
		{"[::1]:ftp stream tcp nowait root /bin/cat", "flags NOLIBWRAP; bind ::1; user root; server /bin/cat; groups yes", ""},
		{"[::]:ftp stream tcp nowait root /bin/cat", "flags NOLIBWRAP; v6only yes; user root; server /bin/cat; groups yes", ""},
		{"5000 stream tcp nowait nobody /bin/cat", "type UNLISTED; flags NOLIBWRAP; port 5000; user nobody; server /bin/cat; groups yes", ""},
		{"tftp dgram udp wait root /bin/cat", "flags NOLIBWRAP; user root; server /bin/cat; groups yes", ""},
		{"rstatd/2-4 dgram rpc/udp wait root /bin/cat", "type RPC; flags NOLIBWRAP; rpc_version 2-4; user root; server /bin/cat; groups yes", ""},
		{"391002/2 stream rpc/tcp wait root /bin/cat", "type RPC UNLISTED; rpc_number 391002; rpc_version 2; user root; server /bin/cat; groups yes", ""},
		{"tcpmux/+date stream tcp nowait nobody /bin/date date", "type TCPMUXPLUS UNLISTED; flags NOLIBWRAP; user nobody; server /bin/date; groups yes", ""},
		{"tcpmux/date stream tcp nowait nobody /bin/date date", "type TCPMUX UNLISTED; flags NOLIBWRAP; user nobody; server /bin/date; groups yes", ""},
		{"127.0.0.1:tcpmux/+date stream tcp nowait nobody /bin/date date", "type TCPMUXPLUS UNLISTED; flags NOLIBWRAP; bind 127.0.0.1; user nobody; server /bin/date; groups yes", ""},
		{"127.0.0.1,10.0.0.1:tcpmux/date stream tcp nowait nobody /bin/date date", "",
			"bind: 127.0.0.1,10.0.0.1:tcpmux/date: left out: it takes one address, and a name of tcpmux one service"},
		{"echo stream tcp nowait root internal", "type INTERNAL; flags NOLIBWRAP; user root", ""},
		{"echo dgram udp wait root internal", "type INTERNAL; flags NOLIBWRAP; user root", ""},
		{"7013 stream tcp nowait root internal daytime", "type INTERNAL UNLISTED; flags NOLIBWRAP; port 7013; user root; server_args daytime",
			"server_args: 7013/tcp: xinetd itself knows an internal service by its name only"},
		{"telnet stream tcp nowait/4/0/2 root /bin/cat", "flags NOLIBWRAP; user root; server /bin/cat; instances 4; per_source 2; groups yes",
			"instances: telnet/tcp: over the limit clients are refused; they no longer wait in the queue"},
		{"telnet stream tcp nowait.7 root /bin/cat", "flags NOLIBWRAP; user root; server /bin/cat; groups yes",
			"cps: telnet/tcp: a limit of 7 starts a minute cannot be said, only one of connections a second"},
		{"telnet stream tcp nowait.0 root /bin/cat", "flags NOLIBWRAP; user root; server /bin/cat; cps 0 0; groups yes", ""},
		{"telnet stream tcp nowait/0/9 root /bin/cat", "flags NOLIBWRAP; user root; server /bin/cat; groups yes",
			"per_source: telnet/tcp: a limit of 9 starts a minute for one client cannot be said"},
		{"telnet stream tcp,sndbuf=4k nowait root /bin/cat", "flags NOLIBWRAP; user root; server /bin/cat; groups yes",
			"socket_type: telnet/tcp: buffer sizes cannot be said"},
		{"telnet stream:dataready tcp nowait root /bin/cat", "flags NOLIBWRAP; user root; server /bin/cat; groups yes",
			"socket_type: telnet/tcp: the accept filter dataready cannot be said"},
		{"telnet stream tcp nowait root/daemon /bin/cat", "flags NOLIBWRAP; user root; server /bin/cat; groups yes",
			"user: telnet/tcp: the login class daemon cannot be said"},
		{"/run/x stream unix nowait root /bin/cat", "",
			"protocol: /run/x/unix: left out: there are no unix-domain sockets in the syntax"},
		{"telnet stream tcp nowait root /bin/sh sh -c 'echo hello'", "",
			`server_args: telnet/tcp: left out: there are no quotes in the syntax, which "echo hello" needs`},
		{"telnet stream tcp nowait root /bin/sh sh ''", "", "server_args: telnet/tcp: left out: there are no empty words in the syntax"},
	}
	for _, tt := range tests {
		services, errs := inetdconf.Parse("x", []byte(tt.line+"\n"), env, inetdconf.Source{})
		if errs.Errors() > 0 || len(services) != 1 {
			t.Errorf("inetd.conf: %q: %s", tt.line, lines(errs))
			continue
		}
		text, back, lost := again(t, env, services)
		if got, want := strings.TrimSpace(lines(lost)), tt.lost; strings.TrimPrefix(got, "x:1:1: warning: ") != want {
			t.Errorf("Format of %q loses\n%s, want\n%s", tt.line, got, want)
		}
		if got := brief(text); got != tt.want {
			t.Errorf("Format of %q = %q, want %q", tt.line, got, tt.want)
		}
		if tt.want == "" {
			if len(back) > 0 {
				t.Errorf("Format of %q = %q, want nothing that is read", tt.line, text)
			}
			continue
		}
		want := *services[0]
		if want.Wait && want.Internal == "" && want.RPC == nil && want.Family == conf.Both && len(want.Hosts) == 0 {
			want.Family = conf.Mapped // xinetd has one socket for one server
		}
		served(t, tt.line, back[0], &want)
	}
}

// brief is a block without blanks, names and what every block has.
func brief(text string) string {
	var out []string
	for l := range strings.Lines(text) {
		attr, value, ok := strings.Cut(l, "=")
		attr = strings.TrimSpace(attr)
		if ok && !slices.Contains([]string{"socket_type", "protocol", "wait", "id"}, attr) && l[0] == '\t' {
			out = append(out, attr+" "+strings.TrimSpace(value))
		}
	}
	return strings.Join(out, "; ")
}

// served compares everything but what the syntaxes differ in.
func served(t testing.TB, line string, got, want *conf.Service) {
	t.Helper()
	flat := func(s *conf.Service) conf.Service {
		c := *s
		c.Pos, c.Limits, c.Xinetd, c.SndBuf, c.Filter, c.Class = conf.Pos{}, conf.Limits{}, nil, 0, "", ""
		if slices.Equal(c.Hosts, []string{"::"}) {
			c.Hosts, c.Family = nil, conf.V6
		}
		return c
	}
	g, w := flat(got), flat(want)
	if len(g.Args) == 0 {
		g.Args = w.Args[:0]
	}
	if !reflect.DeepEqual(g, w) {
		t.Errorf("%q became\n%+v, want\n%+v", line, g, w)
	}
	if groups := want.Internal == ""; got.Xinetd.Libwrap != "" || got.Xinetd.Groups != groups {
		t.Errorf("%q became a service with libwrap %q and groups %v, want none and %v", line, got.Xinetd.Libwrap, got.Xinetd.Groups, groups)
	}
}

// TestSeveralHosts: bind takes one address, so they become several services
// with ids that differ.
func TestSeveralHosts(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	services, _ := inetdconf.Parse("x", []byte("127.0.0.1,[::1]:ftp stream tcp nowait root /bin/cat\nftp stream tcp nowait root /bin/cat\n"+
		"echo stream tcp nowait root internal\necho dgram udp wait root internal\n"), env, inetdconf.Source{})
	text, back, lost := again(t, env, services)
	got := ""
	for _, s := range back {
		got += s.Label() + " " + s.Xinetd.ID + "\n"
	}
	want := "127.0.0.1:ftp/tcp ftp\n[::1]:ftp/tcp ftp-stream\nftp/tcp ftp-stream-2\necho/tcp echo\necho/udp echo-dgram\n"
	if got != want || len(lost) != 1 {
		t.Errorf("services\n%swant\n%s%s\n%s", got, want, lines(lost), text)
	}
}

// TestFormatRandom makes services up from values and looks for them after a
// round trip.
func TestFormatRandom(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	r := rand.New(rand.NewPCG(5, 6))
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	some := func() bool { return r.IntN(2) == 0 }
	for range 2000 {
		s := &conf.Service{
			Pos: conf.Pos{File: "x", Line: 1}, Name: "svc", Port: uint16(1 + r.IntN(65535)), Socktype: conf.Stream, Proto: "tcp",
			User: pick("root", "nobody"), Group: pick("", "daemon"), Program: pick("/bin/cat", "//bin/cat"), Args: []string{pick("cat", "dog"), pick("-x", "a=b", "#", "}")},
			Limits: conf.Limits{
				Rate: conf.Unlimited, SourceRate: conf.Unlimited, Refuse: true,
				Children: []conf.Max{conf.Unlimited, conf.Never, 7}[r.IntN(3)], SourceChildren: []conf.Max{conf.Unlimited, conf.Never, 7}[r.IntN(3)],
				CPS: []conf.CPS{{}, conf.DefaultCPS, {Rate: 3, Wait: 90 * time.Second}}[r.IntN(3)],
			},
			Family: []conf.Family{conf.Both, conf.V4, conf.V6, conf.Mapped}[r.IntN(4)],
			Xinetd: &conf.Xinetd{
				ID: pick("svc", "other"), Unlisted: true, NoDelay: some(), KeepAlive: some(), IDOnly: some(), Groups: some(),
				Banner: pick("", "/a"), BannerSuccess: pick("", "/b"), BannerFail: pick("", "/c"), Libwrap: pick("", "w"),
				MaxLoad: float64(r.IntN(20)) / 8, Nice: r.IntN(41) - 20,
			},
		}
		x := s.Xinetd
		if some() {
			m := r.Uint32N(0o1000)
			x.Umask = &m
		}
		for i := range r.IntN(6) {
			x.Rlimits = append(x.Rlimits, conf.Rlimit{Resource: conf.Resource(i), Max: []uint64{conf.RlimInfinity, r.Uint64N(1 << 40)}[r.IntN(2)]})
		}
		for range r.IntN(3) {
			start := uint16(r.IntN(1440))
			x.Times = append(x.Times, conf.TimeWindow{Days: 1 + conf.Days(r.IntN(127)), Start: start, End: (start + 1 + uint16(r.IntN(1438))) % 1440})
		}
		if some() {
			x.PassEnv = []string{"A", "B"}[:r.IntN(3)]
		}
		if some() {
			x.Env = []string{"A=1", "B=#", "C="}[:1+r.IntN(3)]
		}
		if x.Access.OnlyGiven = some(); x.Access.OnlyGiven {
			for range r.IntN(4) {
				x.Access.Only = append(x.Access.Only, pattern(pick("10.0.0.0/8", "10.0.0.0/32", "10.0.0.1/32", "0.0.0.0/0", "::/0", "::1/128", "::ff00:0:0/100", ".a.b", "c.d")))
			}
		}
		if some() {
			x.Access.No = []conf.Pattern{pattern("10.1.0.0/16")}
		}
		switch r.IntN(4) {
		case 0:
			x.Log.Facility, x.Log.Level = "local3", "err"
		case 1:
			x.Log.File = "/log"
		case 2:
			x.Log.File, x.Log.Soft, x.Log.Hard = "/log", 1000, 1000+r.Uint64N(1000)
		}
		x.Log.OnSuccess = conf.LogItems(r.IntN(32))
		x.Log.OnError = conf.LogItems(r.IntN(4)) & (conf.LogHost | conf.LogUserID)
		if some() {
			s.Hosts = []string{pick("127.0.0.1", "host.example.com")}
			s.Family = conf.Both
		}
		text, back, lost := again(t, env, []*conf.Service{s})
		if len(lost) > 0 {
			t.Errorf("Format loses\n%s", lines(lost))
		}
		same(t, text, back, []*conf.Service{s})
		if t.Failed() {
			return
		}
	}
}

func FuzzParse(f *testing.F) {
	env := testEnv(f)
	all, err := filepath.Glob("testdata/files/*/*")
	if err != nil {
		f.Fatal(err)
	}
	examples, _ := filepath.Glob("../../../examples/xinetd*")
	for _, name := range append(all, examples...) {
		if text, err := os.ReadFile(name); err == nil {
			f.Add(bytes.ReplaceAll(text, []byte("disable"), []byte("#")))
		}
	}
	f.Add([]byte(entry("telnet", "access_times = Sat-Mon/1:00-24:00", "only_from = 10.{1,2} {9} ::/0", "env = A=1", "passenv -= A")))
	f.Add([]byte("default\n{\n} x {\nservice a{\nservice b\n{\n=\n}\ninclude"))
	f.Fuzz(func(t *testing.T, text []byte) {
		src := files(map[string][]byte{"/f/a": text, "/f/b": nil, "/x": text})
		services, errs := Parse("/x", text, env, src)
		services = slices.DeleteFunc(services, unread)
		n := bytes.Count(text, []byte{'\n'}) + 1
		for _, e := range errs {
			if e.Pos.Line < 1 || e.Pos.Line > n || e.Pos.Col < 0 || e.Pos.Col > len(text)+1 {
				t.Errorf("%v: not in the file", e)
			}
		}
		for _, s := range services {
			if s.Xinetd == nil || s.Name == "" || s.Port == 0 && s.RPC == nil && s.Mux == conf.NoMux {
				t.Errorf("Parse = %+v", s)
			}
		}
		var b bytes.Buffer
		lost := Format(&b, services)
		back, errs := Parse("/back", b.Bytes(), env, files(nil))
		if errs.Errors() > 0 {
			t.Errorf("Format = %q, which reads back with\n%s", b.String(), lines(errs))
		}
		for _, e := range lost {
			if strings.Contains(e.Error(), "left out") {
				t.Errorf("%v", e)
			}
		}
		same(t, b.String(), back, services)
	})
}
