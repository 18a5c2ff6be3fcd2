package xinetdconf

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"inetd/inetd/conf"
)

// testEnv is a machine with testdata/services, a few RPC programs, every
// program and no user called nosuch.
func testEnv(t testing.TB) *conf.Env {
	text, err := os.ReadFile("testdata/services")
	if err != nil {
		t.Fatal(err)
	}
	type key struct{ name, proto string }
	ports := make(map[key]uint16)
	official := make(map[key]string)
	for l := range strings.Lines(string(text)) {
		l, _, _ = strings.Cut(l, "#")
		f := strings.Fields(l)
		if len(f) < 2 {
			continue
		}
		num, proto, _ := strings.Cut(f[1], "/")
		n, err := strconv.ParseUint(num, 10, 16)
		if err != nil {
			t.Fatal(err)
		}
		for i, name := range f {
			if i != 1 {
				ports[key{name, proto}], official[key{name, proto}] = uint16(n), f[0]
			}
		}
	}
	known := func(name string) error {
		if strings.HasPrefix(name, "nosuch") {
			return fmt.Errorf("unknown name %q", name)
		}
		return nil
	}
	return &conf.Env{
		Port: func(name, proto string) (uint16, string, bool) {
			p, ok := ports[key{name, proto}]
			return p, official[key{name, proto}], ok
		},
		PortName: func(port uint16, proto string) string {
			for k, p := range ports {
				if p == port && k.proto == proto {
					return official[k]
				}
			}
			return ""
		},
		RPC: func(name string) (uint32, bool) {
			n := map[string]uint32{"rstatd": 100001, "rusersd": 100002}[name]
			return n, n != 0
		},
		User:     known,
		Group:    known,
		Identity: func(user, group string) error { return cmp.Or(known(user), known(group)) },
		Internal: func(name string, typ conf.Socktype) bool {
			return slices.Contains([]string{"echo", "discard", "chargen", "daytime", "time"}, name) || name == "tcpmux" && typ == conf.Stream
		},
		InternalArgs: func(string, []string) error { return nil },
		Program:      known,
		Proto:        func(name string) bool { return slices.Contains([]string{"tcp", "udp", "icmp"}, name) },
		Network: func(name string) (netip.Prefix, bool) {
			return netip.MustParsePrefix("10.77.0.0/16"), name == "labnet"
		},
	}
}

// files is a Source with the files of a map; a nil text is one that cannot be
// read.
func files(m map[string][]byte) Source {
	return Source{
		ReadFile: func(name string) ([]byte, error) {
			text, ok := m[name]
			switch {
			case !ok:
				return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
			case text == nil:
				return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
			}
			return text, nil
		},
		ReadDir: func(dir string) (names []string, err error) {
			for name := range m {
				if filepath.Dir(name) == dir {
					names = append(names, filepath.Base(name))
				}
			}
			if names == nil {
				err = &fs.PathError{Op: "open", Path: dir, Err: fs.ErrNotExist}
			}
			return names, err
		},
	}
}

func parse(t testing.TB, text string) ([]*conf.Service, conf.ErrorList) {
	return active(Parse("x", []byte(text), testEnv(t), files(nil)))
}

// entry is a service that needs nothing more, with lines added.
func entry(name string, lines ...string) string {
	return "service " + name + "\n{\n\tsocket_type = stream\n\twait = no\n\tuser = nobody\n\tserver = /bin/cat\n\t" +
		strings.Join(lines, "\n\t") + "\n}\n"
}

func names(services []*conf.Service) string {
	var ns []string
	for _, s := range services {
		ns = append(ns, s.Name)
	}
	return strings.Join(ns, " ")
}

func lines(l conf.ErrorList) string {
	var b strings.Builder
	for _, e := range l {
		fmt.Fprintln(&b, e)
	}
	return b.String()
}

func pattern(s string) conf.Pattern {
	if p, err := netip.ParsePrefix(s); err == nil {
		return conf.Pattern{Prefix: p}
	}
	return conf.Pattern{Name: s}
}

// TestParse reads one service in which everything is said, and one in which
// nothing is.
func TestParse(t *testing.T) {
	t.Parallel()
	mask := uint32(0o027)
	tests := []struct {
		text string
		want *conf.Service
	}{
		{
			entry("telnet"),
			&conf.Service{
				Pos: conf.Pos{File: "x", Line: 1}, Name: "telnet", Socktype: conf.Stream, Proto: "tcp", Port: 23, User: "nobody",
				Program: "/bin/cat", Args: []string{"cat"},
				Limits: conf.Limits{
					Rate: conf.Unlimited, Children: conf.Unlimited, SourceRate: conf.Unlimited, SourceChildren: conf.Unlimited,
					Refuse: true, CPS: conf.CPS{Rate: 50, Wait: 10 * time.Second},
				},
				Xinetd: &conf.Xinetd{ID: "telnet", Libwrap: "cat"},
			},
		},
		{
			entry("mine", "id = mine-1", "type = UNLISTED", "port = 2000", "protocol = tcp", "group = daemon", "groups = yes",
				"server_args = -a b", "bind = ::1", "v6only = yes", "flags = NODELAY KEEPALIVE IDONLY REUSE NORETRY",
				"instances = 5", "per_source = 0", "cps = 7 3", "max_load = 1.5", "access_times = 8:00-12:00 Sat,Sun/22:00-06:00",
				"only_from = 10.0.0.0 10.1.2.3 .example.com 2001:db8::/32 labnet", "no_access = 10.0.0.{7,8} Host.Example.org",
				"libwrap = mined", "banner = /b", "banner_success = /bs", "banner_fail = /bf",
				"umask = 027", "nice = -5", "rlimit_as = 2M", "rlimit_cpu = 9", "rlimit_files = UNLIMITED",
				"passenv = PATH LANG", "env = A=1 B==2", "log_type = FILE /l 1000K", "log_on_success = PID HOST", "log_on_failure = ATTEMPT"),
			&conf.Service{
				Pos: conf.Pos{File: "x", Line: 1}, Name: "mine", Socktype: conf.Stream, Proto: "tcp", Port: 2000, User: "nobody", Group: "daemon",
				Hosts: []string{"::1"}, Family: conf.V6, Program: "/bin/cat", Args: []string{"cat", "-a", "b"},
				Limits: conf.Limits{
					Rate: conf.Unlimited, Children: 5, SourceRate: conf.Unlimited, SourceChildren: conf.Never,
					Refuse: true, CPS: conf.CPS{Rate: 7, Wait: 3 * time.Second},
				},
				Xinetd: &conf.Xinetd{
					ID: "mine-1", Unlisted: true, NoDelay: true, KeepAlive: true, IDOnly: true,
					Banner: "/b", BannerSuccess: "/bs", BannerFail: "/bf", MaxLoad: 1.5, Libwrap: "mined",
					Times: []conf.TimeWindow{{Days: conf.EveryDay, Start: 480, End: 720}, {Days: 1<<time.Saturday | 1<<time.Sunday, Start: 1320, End: 360}},
					Access: conf.Access{
						OnlyGiven: true,
						Only:      []conf.Pattern{pattern("10.0.0.0/8"), pattern("10.1.2.3/32"), pattern(".example.com"), pattern("2001:db8::/32"), pattern("10.77.0.0/16")},
						No:        []conf.Pattern{pattern("10.0.0.7/32"), pattern("10.0.0.8/32"), pattern("host.example.org")},
					},
					Groups: true, Umask: &mask, Nice: -5,
					Rlimits: []conf.Rlimit{{Resource: conf.RlimitAS, Max: 2 << 20}, {Resource: conf.RlimitCPU, Max: 9}, {Resource: conf.RlimitFiles, Max: conf.RlimInfinity}},
					PassEnv: []string{"PATH", "LANG"}, Env: []string{"A=1", "B==2"},
					Log: conf.Log{File: "/l", Soft: 1000 << 10, Hard: 1000<<10 + 10240, OnSuccess: conf.LogPID | conf.LogHost, OnError: conf.LogAttempt},
				},
			},
		},
	}
	for _, tt := range tests {
		got, errs := parse(t, tt.text)
		if len(errs) > 0 || len(got) != 1 {
			t.Errorf("Parse(%q) = %d services and\n%s", tt.text, len(got), lines(errs))
			continue
		}
		if !reflect.DeepEqual(got[0], tt.want) {
			t.Errorf("Parse(%q) =\n%+v\n%+v, want\n%+v\n%+v", tt.text, got[0], got[0].Xinetd, tt.want, tt.want.Xinetd)
		}
	}
}

// TestKinds: what a service becomes by its type and flags.
func TestKinds(t *testing.T) {
	t.Parallel()
	tests := []struct {
		text string
		want conf.Service // compared as far as show shows it
	}{
		{"service echo\n{\ntype = INTERNAL\nsocket_type = stream\nwait = no\n}", conf.Service{Name: "echo", Proto: "tcp", Port: 7, Internal: "echo", Xinetd: &conf.Xinetd{Libwrap: "echo"}}},
		{"service echo\n{\ntype = INTERNAL\nprotocol = udp\nwait = yes\n}", conf.Service{Name: "echo", Proto: "udp", Port: 7, Internal: "echo", Xinetd: &conf.Xinetd{Libwrap: "echo"}}},
		{"service e2\n{\ntype = INTERNAL UNLISTED\nport = 7007\nserver_args = echo\nprotocol = udp\nwait = yes\n}", conf.Service{Name: "e2", Proto: "udp", Port: 7007, Internal: "echo", Args: []string{"echo"}, Xinetd: &conf.Xinetd{Libwrap: "e2"}}},
		{"service echo\n{\ntype = INTERNAL\nsocket_type = stream\nwait = no\nserver_args = -I 60\n}", conf.Service{Name: "echo", Proto: "tcp", Port: 7, Internal: "echo", Args: []string{"-I", "60"}, Xinetd: &conf.Xinetd{Libwrap: "echo"}}},
		{entry("x", "type = TCPMUX UNLISTED"), conf.Service{Name: "x", Proto: "tcp", Mux: conf.MuxSelf, Program: "/bin/cat", Args: []string{"cat"}, Xinetd: &conf.Xinetd{Libwrap: "cat"}}},
		{entry("x", "type = TCPMUXPLUS UNLISTED"), conf.Service{Name: "x", Proto: "tcp", Mux: conf.MuxPlus, Program: "/bin/cat", Args: []string{"cat"}, Xinetd: &conf.Xinetd{Libwrap: "cat"}}},
		{entry("rstatd", "type = RPC", "protocol = tcp", "rpc_version = 2-4"), conf.Service{Name: "rstatd", Proto: "tcp", RPC: &conf.RPC{Program: 100001, Low: 2, High: 4}, Program: "/bin/cat", Args: []string{"cat"}, Xinetd: &conf.Xinetd{}}},
		{entry("prog", "type = RPC UNLISTED", "protocol = tcp", "rpc_version = 1", "rpc_number = 391002"), conf.Service{Name: "prog", Proto: "tcp", RPC: &conf.RPC{Program: 391002, Low: 1, High: 1}, Program: "/bin/cat", Args: []string{"cat"}, Xinetd: &conf.Xinetd{}}},
		{entry("telnet", "flags = NAMEINARGS", "server_args = /usr/sbin/in.telnetd -x"), conf.Service{Name: "telnet", Proto: "tcp", Port: 23, Program: "/bin/cat", Args: []string{"/usr/sbin/in.telnetd", "-x"}, Xinetd: &conf.Xinetd{Libwrap: "in.telnetd"}}},
		// The order of the lines does not matter.
		{entry("telnet", "server_args = in.telnetd", "flags = NAMEINARGS"), conf.Service{Name: "telnet", Proto: "tcp", Port: 23, Program: "/bin/cat", Args: []string{"in.telnetd"}, Xinetd: &conf.Xinetd{Libwrap: "in.telnetd"}}},
		{entry("telnet", "flags = NOLIBWRAP", "libwrap = x"), conf.Service{Name: "telnet", Proto: "tcp", Port: 23, Program: "/bin/cat", Args: []string{"cat"}, Xinetd: &conf.Xinetd{}}},
		{entry("telnet", "flags = SENSOR"), conf.Service{Name: "telnet", Proto: "tcp", Port: 23, Internal: "discard", Args: []string{"discard"}, Xinetd: &conf.Xinetd{Libwrap: "telnet"}}},
		{"service telnet\n{\nprotocol = tcp\nwait = no\nredirect = 10.0.0.1 telnet\n}", conf.Service{Name: "telnet", Proto: "tcp", Port: 23, Xinetd: &conf.Xinetd{Libwrap: "telnet", Redirect: &conf.Redirect{Host: "10.0.0.1", Port: 23}}}},
		{"service telnet\n{\nprotocol = tcp\nwait = no\nredirect = fe80::1 2323\n}", conf.Service{Name: "telnet", Proto: "tcp", Port: 23, Xinetd: &conf.Xinetd{Libwrap: "telnet", Redirect: &conf.Redirect{Host: "fe80::1", Port: 2323}}}},
		// Where it listens.
		{entry("telnet", "flags = IPv4"), conf.Service{Name: "telnet", Proto: "tcp", Port: 23, Family: conf.V4, Program: "/bin/cat", Args: []string{"cat"}, Xinetd: &conf.Xinetd{Libwrap: "cat"}}},
		{entry("telnet", "flags = IPv6"), conf.Service{Name: "telnet", Proto: "tcp", Port: 23, Family: conf.Mapped, Program: "/bin/cat", Args: []string{"cat"}, Xinetd: &conf.Xinetd{Libwrap: "cat"}}},
		{entry("telnet", "flags = IPv4 IPv6"), conf.Service{Name: "telnet", Proto: "tcp", Port: 23, Family: conf.Both, Program: "/bin/cat", Args: []string{"cat"}, Xinetd: &conf.Xinetd{Libwrap: "cat"}}},
		{entry("telnet", "v6only = yes"), conf.Service{Name: "telnet", Proto: "tcp", Port: 23, Family: conf.V6, Program: "/bin/cat", Args: []string{"cat"}, Xinetd: &conf.Xinetd{Libwrap: "cat"}}},
		{entry("telnet", "v6only = no"), conf.Service{Name: "telnet", Proto: "tcp", Port: 23, Family: conf.Both, Program: "/bin/cat", Args: []string{"cat"}, Xinetd: &conf.Xinetd{Libwrap: "cat"}}},
		{entry("telnet", "interface = 127.0.0.1"), conf.Service{Name: "telnet", Proto: "tcp", Port: 23, Hosts: []string{"127.0.0.1"}, Program: "/bin/cat", Args: []string{"cat"}, Xinetd: &conf.Xinetd{Libwrap: "cat"}}},
		{entry("telnet", "bind = 127.1"), conf.Service{Name: "telnet", Hosts: []string{"127.0.0.1"}, Proto: "tcp", Port: 23, Program: "/bin/cat", Args: []string{"cat"}, Xinetd: &conf.Xinetd{Libwrap: "cat"}}},
		{entry("telnet", "bind = ::"), conf.Service{Name: "telnet", Proto: "tcp", Port: 23, Program: "/bin/cat", Args: []string{"cat"}, Xinetd: &conf.Xinetd{Libwrap: "cat"}}},
		{entry("telnet", "user = 65534"), conf.Service{Name: "telnet", Proto: "tcp", Port: 23, Program: "/bin/cat", Args: []string{"cat"}, Xinetd: &conf.Xinetd{Libwrap: "cat"}}},
	}
	show := func(s *conf.Service) string {
		return fmt.Sprint(s.Name, s.Proto, s.Port, s.Hosts, s.Family, s.Mux, s.Internal, s.Program, s.Args, s.Xinetd.Libwrap, s.RPC, s.Xinetd.Redirect)
	}
	for _, tt := range tests {
		got, errs := parse(t, tt.text)
		if errs.Errors() > 0 || len(got) != 1 {
			t.Errorf("Parse(%q) = %d services and\n%s", tt.text, len(got), lines(errs))
			continue
		}
		if g, w := show(got[0]), show(&tt.want); g != w {
			t.Errorf("Parse(%q) =\n%s, want\n%s", tt.text, g, w)
		}
	}
}

func TestUserNumberIsTheGroupToo(t *testing.T) {
	t.Parallel()
	got, errs := parse(t, strings.Replace(entry("telnet"), "nobody", "1234", 1))
	if len(got) != 1 || got[0].User != "1234" || got[0].Group != "1234" {
		t.Errorf("user = 1234: %v, %s, want the group 1234", got, lines(errs))
	}
}

// TestErrors: the whole text of each error, and which services are left.
func TestErrors(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text, want string
		left             string
	}{
		{"bind with two values", entry("telnet", "bind = 127.0.0.1 10.0.0.1") + entry("ftp"),
			"x:7:19: bind: takes 1 value, not 2\n", "ftp"},
		{"bind without a value", entry("telnet", "bind ="), "x:7:2: bind: takes 1 value, not 0\n", ""},
		{"comment in place of a value", entry("telnet", "port = //"),
			"x:7:9: port: \"//\" is not a value (xinetd.conf has no // comments: a comment is a line that starts with #)\n", ""},
		{"slashes behind a value", entry("telnet", "port = 23 // the usual"),
			"x:7:12: port: \"//\" is not a value (xinetd.conf has no // comments: a comment is a line that starts with #)\n", ""},
		{"slashes in a list", entry("telnet", "only_from = 10.0.0.0 //lan"),
			"x:7:23: only_from: \"//lan\" is not a value (xinetd.conf has no // comments: a comment is a line that starts with #)\n", ""},
		{"line of slashes in a block", entry("telnet", "// the login service") + entry("ftp"),
			"x:7:2: \"//\": expected NAME = VALUE or } (xinetd.conf has no // comments: a comment is a line that starts with #)\n", "ftp"},
		{"line of slashes between blocks", "// login\n" + entry("telnet"),
			"x:1:1: \"//\": expected service NAME, defaults, include FILE or includedir DIRECTORY (xinetd.conf has no // comments: a comment is a line that starts with #)\n", "telnet"},
		{"slashes before the brace", "service telnet\n// login\n" + strings.TrimPrefix(entry("telnet"), "service telnet\n") + entry("ftp"),
			"x:2:1: \"//\": expected { after service telnet (xinetd.conf has no // comments: a comment is a line that starts with #)\n", "ftp"},
		{"slashes behind the closing brace", strings.Replace(entry("telnet"), "\n}", "\n} // telnet", 1) + entry("ftp"),
			"x:8:3: \"//\": nothing stands after \"}\" (xinetd.conf has no // comments: a comment is a line that starts with #)\n", "ftp"},
		{"stray line", "hello\n" + entry("telnet"),
			"x:1:1: \"hello\": expected service NAME, defaults, include FILE or includedir DIRECTORY\n", "telnet"},
		{"stray line and block", "servcie telnet\n" + strings.TrimPrefix(entry("telnet"), "service telnet\n") + entry("ftp"),
			"x:1:1: \"servcie\": expected service NAME, defaults, include FILE or includedir DIRECTORY\n", "ftp"},
		{"block without a name", "{\n\tport = 3\n}\n" + entry("telnet"),
			"x:1:1: a block without service NAME or defaults before it\n", "telnet"},
		{"service without a name", "service\n{\n}\n" + entry("telnet"), "x:1:1: service: its name is missing\n", "telnet"},
		{"closing brace alone", "}\n" + entry("telnet"), "x:1:1: a } without a {\n", "telnet"},
		{"no opening brace", strings.Replace(entry("telnet"), "{\n", "", 1) + entry("ftp"),
			"x:2:2: \"socket_type\": expected { on a line of its own after service telnet of line 1\n", "ftp"},
		{"no block", "service telnet\n" + entry("ftp"),
			"x:2:1: \"service\": expected { on a line of its own after service telnet of line 1\n", "ftp"},
		{"no closing brace", strings.Replace(entry("telnet"), "\n}", "", 1) + entry("ftp"),
			"x:8:1: there is no } before this line: service telnet of line 1 is not closed\n", "ftp"},
		{"end of file", entry("ftp") + strings.Replace(entry("telnet"), "\n}", "", 1),
			"x:9:1: service telnet: there is no } before the end of the file\n", "ftp"},
		{"two opening braces", strings.Replace(entry("telnet"), "{\n", "{\n{\n", 1) + entry("ftp"),
			"x:3:1: a second { in service telnet\n", "ftp"},
		{"closing brace behind a value", strings.Replace(entry("telnet", "instances = 3"), "3\n}", "3 }", 1) + entry("ftp"),
			"x:7:16: the } stands on a line of its own\n", "ftp"},
		{"no operator", entry("telnet", "instances 3"), "x:7:2: \"instances\": expected NAME = VALUE or }\n", ""},
		{"unknown attribute", entry("telnet", "only_form = 10.0.0.0"), "x:7:2: only_form: there is no such attribute: is it only_from?\n", ""},
		{"unlike any attribute", entry("telnet", "colour = red"), "x:7:2: colour: there is no such attribute\n", ""},
		{"attribute of the defaults", entry("telnet", "enabled = telnet"), "x:7:2: enabled: an attribute of the defaults only\n", ""},
		{"operator", entry("telnet", "instances += 3"), "x:7:2: instances: += is not possible here, only =\n", ""},
		{"removing from env", entry("telnet", "env -= A=1"), "x:7:2: env: -= is not possible here, only =\n", ""},
		{"a NUL", entry("telnet", "instances = 3\x00"), "x:7:15: a NUL byte: this is no text\n", ""},

		{"yes or no", entry("telnet", "groups = maybe"), "x:7:11: groups: \"maybe\" is neither yes nor no\n", ""},
		{"number", entry("telnet", "instances = -1"), "x:7:14: instances: \"-1\" is neither a number nor UNLIMITED\n", ""},
		{"port", entry("telnet", "port = 70000"), "x:7:9: port: \"70000\" is not a number from 1 to 65535\n", ""},
		{"port 0", entry("telnet", "port = 0"), "x:7:9: port: \"0\" is not a number from 1 to 65535\n", ""},
		{"port of another service", entry("telnet", "port = 24"), "x:7:9: port: services(5) has port 23 for telnet/tcp; another one needs type = UNLISTED\n", ""},
		{"not in services", entry("mine"), "x:1:1: port: \"mine\" is neither a port number nor in /etc/services for tcp\n", ""},
		{"relative path", strings.Replace(entry("telnet"), "/bin/cat", "cat", 1), "x:6:11: server: \"cat\": expected a path that starts with /\n", ""},
		{"socket type", entry("telnet", "type = UNLISTED", "port = 1") + strings.Replace(entry("ftp"), "stream", "packet", 1),
			"x:12:16: socket_type: \"packet\": expected stream, dgram, raw or seqpacket\n", "telnet"},
		{"protocol", entry("telnet", "protocol = tcp6"), "x:7:13: protocol: \"tcp6\" is not in protocols(5): write tcp, and the flag IPv4 or IPv6\n", ""},
		{"protocol of the other type", entry("telnet", "protocol = udp"), "x:7:13: protocol: udp sockets are dgram, not stream\n", ""},
		{"type", entry("telnet", "type = INTERN"), "x:7:9: type: \"INTERN\": expected RPC, INTERNAL, UNLISTED, TCPMUX or TCPMUXPLUS\n", ""},
		{"no such internal service", "service ftp\n{\ntype = INTERNAL\nsocket_type = stream\nwait = no\n}\n", "x:1:1: server: there is no internal stream service \"ftp\"\n", ""},
		{"umask", entry("telnet", "umask = 088"), "x:7:10: umask: \"088\" is not an octal number up to 777\n", ""},
		{"env", entry("telnet", "env = =x"), "x:7:8: env: \"=x\": expected NAME=value\n", ""},
		{"passenv", entry("telnet", "passenv = A=1"), "x:7:12: passenv: \"A=1\": expected the name of a variable alone\n", ""},
		{"size", entry("telnet", "rlimit_as = 5G"), "x:7:14: rlimit_as: \"5G\" is not a size: a number, with K or M after it\n", ""},
		{"cps", entry("telnet", "cps = 5"), "x:7:2: cps: takes 2 values, not 1\n", ""},
		{"load", entry("telnet", "max_load = NaN"), "x:7:13: max_load: \"NaN\" is not a load, such as 2.5\n", ""},
		{"deny_time", entry("telnet", "flags = SENSOR", "deny_time = ALWAYS"), "x:8:14: deny_time: \"ALWAYS\" is neither a number of minutes nor FOREVER or NEVER\n", ""},
		{"log type", entry("telnet", "log_type = SYSLOG daemno"), "x:7:20: log_type: \"daemno\" is not a facility of syslog: expected one of daemon auth authpriv user mail lpr news uucp ftp local0 local1 local2 local3 local4 local5 local6 local7\n", ""},
		{"hard below soft", entry("telnet", "log_type = FILE /x 5M 1M"), "x:7:24: log_type: the hard limit is below the soft one\n", ""},
		{"what to log", entry("telnet", "log_on_failure = PID"), "x:7:19: log_on_failure: \"PID\": expected some of HOST USERID ATTEMPT\n", ""},
		{"access times", entry("telnet", "access_times = 8:00-25:00"), "x:7:17: access_times: \"8:00-25:00\": expected HOUR:MINUTE-HOUR:MINUTE, from 0:00 to 24:00\n", ""},
		{"access times", entry("telnet", "access_times = 8:00-24:01"), "x:7:17: access_times: \"8:00-24:01\": expected HOUR:MINUTE-HOUR:MINUTE, from 0:00 to 24:00\n", ""},
		{"access times", entry("telnet", "access_times = 24:00-8:00"), "x:7:17: access_times: \"24:00-8:00\": expected HOUR:MINUTE-HOUR:MINUTE, from 0:00 to 24:00\n", ""},
		{"access times", entry("telnet", "access_times = 8:60-9:00"), "x:7:17: access_times: \"8:60-9:00\": expected HOUR:MINUTE-HOUR:MINUTE, from 0:00 to 24:00\n", ""},
		{"access times", entry("telnet", "access_times = 8-9:00"), "x:7:17: access_times: \"8-9:00\": expected HOUR:MINUTE-HOUR:MINUTE, from 0:00 to 24:00\n", ""},
		{"access times", entry("telnet", "access_times = 8:00"), "x:7:17: access_times: \"8:00\": expected HOUR:MINUTE-HOUR:MINUTE, from 0:00 to 24:00\n", ""},
		{"access times", entry("telnet", "access_times = 008:00-9:00"), "x:7:17: access_times: \"008:00-9:00\": expected HOUR:MINUTE-HOUR:MINUTE, from 0:00 to 24:00\n", ""},
		{"access times of no length", entry("telnet", "access_times = 8:00-8:00"), "x:7:17: access_times: \"8:00-8:00\" begins when it ends; all day is 0:00-24:00\n", ""},
		{"days", entry("telnet", "access_times = Mon-Fry/8:00-9:00"), "x:7:17: access_times: \"Mon-Fry/8:00-9:00\": expected days such as Mon-Fri or Sat,Sun before the /\n", ""},
		{"days", entry("telnet", "access_times = Mo-Fr/8:00-9:00"), "x:7:17: access_times: \"Mo-Fr/8:00-9:00\": expected days such as Mon-Fri or Sat,Sun before the /\n", ""},

		{"commas", entry("telnet", "only_from = 10.0.0.1,10.0.0.2"), "x:7:14: only_from: \"10.0.0.1,10.0.0.2\": blanks stand between addresses, not commas\n", ""},
		{"half an address", entry("telnet", "only_from = 10.1"), "x:7:14: only_from: \"10.1\" is not an address of four numbers up to 255; as a network, write 0 for the rest\n", ""},
		{"length", entry("telnet", "no_access = 10.0.0.0/33"), "x:7:14: no_access: \"10.0.0.0/33\": expected a number from 0 to 32 after the /\n", ""},
		{"mask", entry("telnet", "no_access = 10.0.0.0/255.0.255.0"), "x:7:14: no_access: \"10.0.0.0/255.0.255.0\": expected a number from 0 to 32 after the /\n", ""},
		{"factors", entry("telnet", "no_access = 10.{0,256}"), "x:7:14: no_access: \"10.{0,256}\": expected numbers up to 255 with dots between and at the end several of them in braces, as in 10.1.{2,3}\n", ""},
		{"address of a network", entry("telnet", "only_from = lan/0"), "x:7:14: only_from: \"lan/0\": expected an address before the /\n", ""},
		{"address of a network", entry("telnet", "only_from = fe80::1%lo/64"), "x:7:14: only_from: \"fe80::1%lo/64\": expected an address before the /\n", ""},
		{"mask", entry("telnet", "no_access = 10.0.0.0/ffff::"), "x:7:14: no_access: \"10.0.0.0/ffff::\": expected a number from 0 to 32 after the /\n", ""},
		{"factors", entry("telnet", "no_access = 10.1.{2"), "x:7:14: no_access: \"10.1.{2\": expected numbers up to 255 with dots between and at the end several of them in braces, as in 10.1.{2,3}\n", ""},
		{"factors", entry("telnet", "no_access = 10.1{2,3}"), "x:7:14: no_access: \"10.1{2,3}\": expected numbers up to 255 with dots between and at the end several of them in braces, as in 10.1.{2,3}\n", ""},
		{"factors", entry("telnet", "no_access = 10.x.{2}"), "x:7:14: no_access: \"10.x.{2}\": expected numbers up to 255 with dots between and at the end several of them in braces, as in 10.1.{2,3}\n", ""},
		{"factors", entry("telnet", "no_access = 10.1.2.3.{4}"), "x:7:14: no_access: \"10.1.2.3.{4}\": expected numbers up to 255 with dots between and at the end several of them in braces, as in 10.1.{2,3}\n", ""},
		{"host", entry("telnet", "no_access = bad..host"), "x:7:14: no_access: \"bad..host\" is not an address, network, host name or domain\n", ""},
		{"host", entry("telnet", "no_access = bad_!host"), "x:7:14: no_access: \"bad_!host\" is not an address, network, host name or domain\n", ""},
		{"zone", entry("telnet", "no_access = fe80::1%lo"), "x:7:14: no_access: \"fe80::1%lo\": an address with a zone fits nobody\n", ""},
		{"nobody", entry("telnet", "no_access = ::"), "x:7:14: no_access: \"::\" is nobody's address: ::/0 is every IPv6 address\n", ""},
		{"part of the list", entry("telnet", "only_from = 10.0.0.0", "Only_From -= 10.0.0.5"), "x:8:15: Only_From: \"10.0.0.5\" is not in the list, only what may include it, so it cannot be removed\n", ""},
		{"part of the list", entry("telnet", "only_from = 10.0.0.5", "Only_From -= 10.0.0.0"), "x:8:15: Only_From: \"10.0.0.0\" is not in the list, only what may include it, so it cannot be removed\n", ""},
		{"part of the list", entry("telnet", "only_from = .example.com", "Only_From -= bad.example.com"), "x:8:15: Only_From: \"bad.example.com\" is not in the list, only what may include it, so it cannot be removed\n", ""},
		{"part of the list", entry("telnet", "only_from = 10.0.0.0", "Only_From -= bad.example.com"), "x:8:15: Only_From: \"bad.example.com\" is not in the list, only what may include it, so it cannot be removed\n", ""},
		{"part of the list", entry("telnet", "only_from = bad.example.com", "Only_From -= 10.0.0.5"), "x:8:15: Only_From: \"10.0.0.5\" is not in the list, only what may include it, so it cannot be removed\n", ""},

		{"what is missing", "service mine\n{\n\ttype = UNLISTED\n}\n" + entry("telnet"),
			"x:1:1: socket_type: service mine: the attribute is missing\nx:1:1: protocol: service mine: the attribute is missing\n" +
				"x:1:1: wait: service mine: the attribute is missing\nx:1:1: user: service mine: the attribute is missing\n" +
				"x:1:1: server: service mine: the attribute is missing\nx:1:1: port: service mine: the attribute is missing\n", "telnet"},
		{"RPC without a version", entry("rstatd", "type = RPC", "protocol = tcp"), "x:1:1: rpc_version: service rstatd: the attribute is missing\n", ""},
		{"the same address twice", entry("telnet") + entry("telnet", "only_from = 10.0.0.0"), "x:9:1: service telnet: service telnet of line 1 has the same address, and stands\n", "telnet"},
		{"IPv4 and v6only", entry("telnet", "flags = IPv4", "v6only = yes"), "x:8:11: v6only: the flags ask for IPv4\n", ""},

		{"LABELED", entry("telnet", "flags = LABELED"), "x:7:10: flags: LABELED: servers cannot be given the client's SELinux context here\n", ""},
		{"INTERCEPT", strings.Replace(entry("telnet", "flags = INTERCEPT"), "wait = no", "wait = yes", 1),
			"x:7:10: flags: INTERCEPT: there is no interception of a wait service's packets here; only_from and no_access may do\n", ""},
		{"braces in a name", "service a{b\n{\n}\n" + entry("telnet"), "x:1:9: service \"a{b\": a name has no braces\n", "telnet"},
		{"names for a wait service", "service tftp\n{\nprotocol = udp\nwait = yes\nuser = root\nserver = /bin/cat\nonly_from = .example.com\n}\n",
			"x:7:13: only_from: clients of a service that waits, or answers datagrams at once, can be known by address only: a host name stands for its addresses, a domain for none\n", ""},
		{"names for datagrams", "service echo\n{\ntype = INTERNAL\nprotocol = udp\nwait = yes\nno_access = .example.com\n}\n",
			"x:6:13: no_access: clients of a service that waits, or answers datagrams at once, can be known by address only: a host name stands for its addresses, a domain for none\n", ""},
		{"redirected and waiting", "service telnet\n{\nprotocol = tcp\nwait = yes\nredirect = 10.0.0.1 23\n}\n", "x:5:12: redirect: only a tcp service that does not wait can be redirected\n", ""},
		{"internal and redirected", entry("telnet", "type = INTERNAL", "redirect = 10.0.0.1 23"), "x:8:13: redirect: an internal service cannot be redirected\n", ""},
		{"redirected to nowhere", entry("telnet", "redirect = 10.0.0 0"), "x:7:13: redirect: \"10.0.0\" is neither an address nor a host name\nx:7:20: redirect: \"0\" is neither a port from 1 to 65535 nor in services(5) for tcp\n", ""},
		{"NAMEINARGS without args", entry("telnet", "flags = NAMEINARGS"), "x:7:10: flags: NAMEINARGS: there are no server_args to name the program\n", ""},
		{"IDONLY of a service that waits", "service telnet\n{\nsocket_type = stream\nwait = yes\nuser = root\nserver = /bin/cat\nflags = IDONLY\n}\n", "x:7:9: flags: IDONLY: only a tcp service that does not wait can ask who its client is\n", ""},
		{"IDONLY for datagrams", "service tftp\n{\nprotocol = udp\nwait = yes\nuser = root\nserver = /bin/cat\nflags = IDONLY\n}\n", "x:7:9: flags: IDONLY: only a tcp service that does not wait can ask who its client is\n", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			services, errs := parse(t, tt.text)
			if got := lines(errs); got != tt.want {
				t.Errorf("Parse(%q): errors\n%swant\n%s", tt.text, got, tt.want)
			}
			if got := names(services); got != tt.left {
				t.Errorf("Parse(%q) = %q, want %q", tt.text, got, tt.left)
			}
			if errs.Errors() != len(errs) {
				t.Errorf("Parse(%q): a warning among\n%s", tt.text, lines(errs))
			}
		})
	}
}

// TestWarnings: what is odd and served.
func idle(line, col int, attr string) string {
	return fmt.Sprintf("x:%d:%d: warning: %s: without effect: no process is started for an internal or redirected service\n", line, col, attr)
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	tests := []struct{ text, want string }{
		{entry("telnet", "instances = 3", "instances = 9"), "x:8:2: warning: instances: given twice; the value of line 7 stands\n"},
		{entry("telnet", "bind = 127.0.0.1", "interface = 0.0.0.0"), "x:8:2: warning: interface: given twice; the value of line 7 stands\n"},
		{"service telnet // login\n" + strings.TrimPrefix(entry("telnet"), "service telnet\n"),
			"x:1:16: warning: \"//\" and what follows is ignored (xinetd.conf has no // comments: a comment is a line that starts with #)\n"},
		{"service telnet # login\n" + strings.TrimPrefix(entry("telnet"), "service telnet\n"),
			"x:1:16: warning: \"#\" and what follows is ignored (a comment stands on a line of its own)\n"},
		{"service telnet login {\n" + strings.TrimPrefix(entry("telnet"), "service telnet\n{\n"),
			"x:1:1: warning: xinetd wants the { on a line of its own\nx:1:16: warning: \"login\" and what follows is ignored\n"},
		{"defaults # ours\n{\n}\n" + entry("telnet"), "x:1:10: warning: \"#\" and what follows is ignored (a comment stands on a line of its own)\n"},
		{"defaults\n{\nsocket_type = dgram\n}\n" + entry("telnet"), "x:3:1: warning: socket_type: not an attribute of the defaults: it is ignored\n"},
		{"defaults\n{\nflags = NODELAY REUSE\n}\n" + entry("telnet"), "x:3:1: warning: flags: not an attribute of the defaults: it is ignored\n"},
		{"defaults\n{\ndisable = no\n}\n" + entry("telnet"), "x:3:1: warning: disable: not an attribute of the defaults: it is ignored\n"},
		{"defaults\n{\nrlimit_as = 64\nlibwrap = a b\n}\n" + entry("telnet"),
			"x:3:1: warning: rlimit_as: not an attribute of the defaults: it is ignored\nx:4:1: warning: libwrap: not an attribute of the defaults: it is ignored\n"},
		{"service telnet\n{\nsocket_type = stream\nwait = no\nredirect = 10.0.0.1 23\numask = 022\nnice = 3\nrlimit_files = 20\n}\n",
			idle(6, 9, "umask") + idle(7, 8, "nice") + idle(8, 16, "rlimit_files")},
		{"service echo\n{\nsocket_type = stream\ntype = INTERNAL\nwait = no\nenv = A=1\npassenv = A\ngroups = yes\n}\n",
			idle(6, 7, "env") + idle(7, 11, "passenv") + idle(8, 10, "groups")},
		{"defaults\n{\numask = 022\nnice = 3\nbanner = /x\n}\nservice echo\n{\nsocket_type = dgram\ntype = INTERNAL\nwait = yes\n}\n", ""},
		{"service echo\n{\nsocket_type = dgram\ntype = INTERNAL\nwait = yes\nbanner = /x\nbanner_fail = /x\n}\n",
			"x:6:10: warning: banner: without effect: only a service with connections that does not wait sends it\n" +
				"x:7:15: warning: banner_fail: without effect: only a service with connections that does not wait sends it\n"},
		{entry("telnet", "instances=3"), "x:7:11: warning: xinetd wants a blank before the operator\n"},
		{strings.Replace(entry("telnet"), "\n{", " {", 1), "x:1:1: warning: xinetd wants the { on a line of its own\n"},
		{strings.Replace(entry("telnet"), "\n{", "{", 1), "x:1:1: warning: xinetd wants the { on a line of its own\n"},
		{strings.ReplaceAll(entry("telnet"), "\n", "\r\n"), "x:1: warning: lines end in CR LF; the CR is ignored\n"},
		{"\xef\xbb\xbf" + entry("telnet"), "x:1: warning: the file starts with a byte order mark, which is ignored\n"},
		{entry("mine", "port = 2000"), "x:7:9: warning: port: mine/tcp is not in services(5): xinetd wants type = UNLISTED\n"},
		{entry("telnet", "only_from = 10.0.0.7/8"), "x:7:14: warning: only_from: \"10.0.0.7/8\" has bits beyond its length; it is read as 10.0.0.0/8\n"},
		{entry("telnet", "only_from = 10.0.0.0", "only_from -= 11.0.0.0"), "x:8:15: warning: only_from: \"11.0.0.0\" is not in the list: there is nothing to remove\n"},
		{entry("telnet", "only_from -= 10.1.0.0"), "x:7:15: warning: only_from: there is no list that \"10.1.0.0\" could be removed from: nobody is served\n"},
		{entry("telnet", "no_access = 10.0.0.0", "no_access -= 10.0.0.5"), "x:8:15: warning: no_access: \"10.0.0.5\" is not in the list: there is nothing to remove\n"},
		{entry("telnet", "passenv -= A"), "x:7:2: warning: passenv: there is no list to remove from: none is passed\n"},
		{entry("telnet", "instances = 5 # few at a time"), "x:7:16: warning: instances: \"#\" and what follows is ignored (a comment stands on a line of its own)\n"},
		{entry("telnet", "only_from = 10.0.0.1 #10.0.0.2"), "x:7:23: warning: only_from: \"#10.0.0.2\" and what follows is ignored (a comment stands on a line of its own)\n"},
		{entry("telnet", "banner = /etc/motd # hello"), "x:7:21: warning: banner: \"#\" and what follows is ignored (a comment stands on a line of its own)\n"},
		{"defaults\n{\ndisable = no # them\n}\n" + entry("telnet"), "x:3:1: warning: disable: not an attribute of the defaults: it is ignored\nx:3:14: warning: disable: \"#\" and what follows is ignored (a comment stands on a line of its own)\n"},
		{entry("telnet", "server_args = -v # loud"), "x:7:19: warning: server_args: \"#\" is a value, not a comment\n"},
		{entry("telnet", "mdns = yes"), "x:7:9: warning: mdns: services are not announced by multicast DNS here\n"},
		{entry("telnet", "mdns = no"), ""},
		{entry("telnet", "flags = INTERCEPT"), "x:7:10: warning: flags: INTERCEPT has no effect on a service that does not wait\n"},
		{strings.Replace(entry("telnet", "instances = 3", "per_source = 11"), "= no", "= yes", 1),
			"x:7:14: warning: instances: a wait service has one server at a time, the limit of 3 is without effect\n" +
				"x:8:15: warning: per_source: a wait service has one server for all clients: the limit for each client is without effect\n"},
		{entry("telnet", "deny_time = 5"), "x:7:14: warning: deny_time: without the flag SENSOR it has no effect\n"},
		{entry("telnet", "log_on_success = TRAFFIC"), "x:7:19: warning: log_on_success: TRAFFIC is known for redirected services only; it is not logged\n"},
		{entry("telnet", "log_on_failure = HOST RECORD"), "x:7:24: warning: log_on_failure: RECORD is no more: there is nothing to record\n"},
		{entry("telnet", "redirect = 10.0.0.1 23"), "x:6:11: warning: server: not started: the service is redirected\n"},
		{strings.Replace(entry("telnet"), "nobody", "nosuch", 1), "x:5:9: warning: user: unknown name \"nosuch\": not served until there is\n"},
		{"service telnet\n{\nflags = SENSOR\ntype = UNLISTED\nport = 99\nprotocol = udp\nwait = yes\ndeny_time = 5\n}\n", "x:8:13: warning: deny_time: senders of datagrams can be forged: they are logged and not kept out\n"},
	}
	for _, tt := range tests {
		services, errs := parse(t, tt.text)
		if got := lines(errs); got != tt.want || len(services) != 1 {
			t.Errorf("Parse(%q) = %d services,\n%swant 1,\n%s", tt.text, len(services), got, tt.want)
		}
	}
}

// TestTwiceTheFirstStands: as in xinetd.
func TestTwiceTheFirstStands(t *testing.T) {
	t.Parallel()
	services, _ := parse(t, entry("telnet", "bind = 127.0.0.1", "bind = 10.0.0.1"))
	if len(services) != 1 || !slices.Equal(services[0].Hosts, []string{"127.0.0.1"}) {
		t.Errorf("bind twice = %v, want the first", services)
	}
}

// TestLists: the operators, with and without defaults.
func TestLists(t *testing.T) {
	t.Parallel()
	tests := []struct{ defaults, service, want string }{
		{"", "only_from += 10.0.0.1", "[10.0.0.1]"},
		{"only_from = 10.0.0.1", "", "[10.0.0.1]"},
		{"only_from = 10.0.0.1", "only_from = 10.0.0.2", "[10.0.0.2]"},
		{"only_from = 10.0.0.1", "only_from += 10.0.0.2", "[10.0.0.1 10.0.0.2]"},
		{"only_from = 10.0.0.1 10.0.0.2", "only_from -= 10.0.0.2", "[10.0.0.1]"},
		{"only_from = 10.0.0.1", "only_from =", "[]"},
		{"only_from = 10.0.0.1", "only_from =\n only_from += 10.0.0.3", "[10.0.0.3]"},
		// In defaults = adds.
		{"only_from = 10.0.0.1\n only_from = 10.0.0.2", "", "[10.0.0.1 10.0.0.2]"},
		{"only_from = 10.0.0.{1,2,3}", "only_from -= 10.0.0.{1,3}", "[10.0.0.2]"},
		{"only_from = 0.0.0.0", "", "[0.0.0.0/0 ::/0]"},
		{"only_from = localhost", "", "[127.0.0.1 ::1]"},
		{"only_from = 10.1.2.0/255.255.255.0 10.1.2.128/255.255.255.128 ::ffff:0.0.0.0/96 ::/95", "", "[10.1.2.0/24 10.1.2.128/25 0.0.0.0/0 ::/95]"},
		{"only_from = 10.1.0.0 10.1.2.0/24 10.1.0.0/255.255.0.0 192.168.{1,2} ::ffff:10.0.0.9 ::ffff:10.0.0.0/104", "", "[10.1.0.0/16 10.1.2.0/24 10.1.0.0/16 192.168.1.0/24 192.168.2.0/24 10.0.0.9 10.0.0.0/8]"},
	}
	for _, tt := range tests {
		services, errs := parse(t, "defaults\n{\n"+tt.defaults+"\n}\n"+entry("telnet", tt.service))
		if len(services) != 1 || len(errs) > 0 {
			t.Errorf("defaults %q, service %q: %s", tt.defaults, tt.service, lines(errs))
			continue
		}
		if got := fmt.Sprint(services[0].Xinetd.Access.Only); got != tt.want || !services[0].Xinetd.Access.OnlyGiven {
			t.Errorf("defaults %q, service %q: only_from %s, want %s", tt.defaults, tt.service, got, tt.want)
		}
	}
}

// TestListsAreNotShared: one service's edit of a list of the defaults is not
// another one's.
func TestListsAreNotShared(t *testing.T) {
	t.Parallel()
	services, errs := parse(t, "defaults\n{\nonly_from = 10.0.0.1 10.0.0.2 10.0.0.3\nonly_from = 10.0.0.4\npassenv = A B C\nlog_on_success = PID\n}\n"+
		entry("telnet", "only_from += 10.0.0.8", "passenv += D")+
		entry("ftp", "only_from += 10.0.0.9", "only_from -= 10.0.0.1", "passenv -= A", "log_on_success += HOST")+entry("smtp"))
	got := ""
	for _, s := range services {
		got += fmt.Sprint(s.Xinetd.Access.Only, s.Xinetd.PassEnv, s.Xinetd.Log.OnSuccess, "\n")
	}
	want := "[10.0.0.1 10.0.0.2 10.0.0.3 10.0.0.4 10.0.0.8] [A B C D] 4\n" +
		"[10.0.0.2 10.0.0.3 10.0.0.4 10.0.0.9] [B C] 5\n[10.0.0.1 10.0.0.2 10.0.0.3 10.0.0.4] [A B C] 4\n"
	if got != want {
		t.Errorf("lists\n%swant\n%s%s", got, want, lines(errs))
	}
}

// TestDefaults: what a service takes from the defaults, wherever they stand.
func TestDefaults(t *testing.T) {
	t.Parallel()
	def := "defaults\n{\ninstances = 7\nper_source = 3\ncps = 1 2\nbind = 127.0.0.1\nv6only = no\nbanner = /b\nbanner_success = /s\nbanner_fail = /f\n" +
		"groups = yes\numask = 077\nnice = 3\nmax_load = 4\nno_access = 10.0.0.1\npassenv =\nlog_type = SYSLOG auth notice\nlog_on_success = PID\nlog_on_failure = HOST\naccess_times = 8:00-9:00\n}\n"
	var first *conf.Service
	for _, text := range []string{def + entry("telnet"), entry("telnet") + def} {
		services, errs := parse(t, text)
		if len(services) != 1 || len(errs) > 0 {
			t.Fatalf("Parse(%q) = %v\n%s", text, services, lines(errs))
		}
		s := services[0]
		x := s.Xinetd
		got := fmt.Sprintln(s.Limits.Children, s.Limits.SourceChildren, s.Limits.CPS, s.Hosts, x.Banner, x.BannerSuccess, x.BannerFail, x.Groups,
			*x.Umask, x.Nice, x.MaxLoad, x.Access, x.PassEnv != nil, len(x.PassEnv), x.Log, x.Times)
		want := "7 3 {1 2s} [127.0.0.1] /b /s /f true 63 3 4 {false [] [10.0.0.1]} true 0 {auth notice  0 0 4 1} [{127 480 540}]\n"
		if got != want {
			t.Errorf("with the defaults\n%s, want\n%s", got, want)
		}
		if s.Pos.Line = 0; first == nil {
			first = s
		} else if !reflect.DeepEqual(first, s) {
			t.Errorf("defaults behind the service make %+v, want %+v", s, first)
		}
	}
}

// TestDefaultsForOthers: nobody is warned of what the defaults say and a service
// cannot have, and of what it says itself it is.
func TestDefaultsForOthers(t *testing.T) {
	t.Parallel()
	const def = "defaults\n{\ninstances = 50\nper_source = 10\nlog_on_success = HOST USERID TRAFFIC\nlog_on_failure = USERID ATTEMPT\n}\n"
	const tftp = "service tftp\n{\nprotocol = udp\nwait = yes\nuser = root\nserver = /bin/cat\n"
	services, errs := parse(t, def+tftp+"}\n"+entry("telnet"))
	if len(errs) > 0 || len(services) != 2 {
		t.Fatalf("%q and\n%s", names(services), lines(errs))
	}
	for i, want := range []string{"-1 -1 1 64", "50 10 3 66"} {
		l, x := services[i].Limits, services[i].Xinetd
		if got := fmt.Sprint(int(l.Children), int(l.SourceChildren), x.Log.OnSuccess, x.Log.OnError); got != want {
			t.Errorf("%s has %s, want %s", services[i].Name, got, want)
		}
	}
	_, errs = parse(t, def+tftp+"instances = 5\nper_source = 5\nlog_on_success += PID\n}\n")
	if got := len(errs); got != 4 {
		t.Errorf("%d warnings, want 4\n%s", got, lines(errs))
	}
	// Built-ins do not wait, whatever they are said to do.
	services, _ = parse(t, def+"service echo\n{\ntype = INTERNAL\nprotocol = tcp\nwait = yes\n}\n")
	if got := services[0].Limits.Children; services[0].Wait || got != 50 {
		t.Errorf("instances of a built-in = %v, want 50", got)
	}
	services, _ = parse(t, "defaults\n{\ninstances = 0\n}\n"+tftp+"}\n")
	if services[0].Limits.Children != conf.Never {
		t.Errorf("instances = 0 in the defaults = %v, want none at all", services[0].Limits.Children)
	}
}

// TestLostDefaults: an error in the defaults serves nobody who relied on them,
// and everybody else.
func TestLostDefaults(t *testing.T) {
	t.Parallel()
	both := entry("telnet") + entry("ftp", "only_from = 10.0.0.1", "no_access = 10.0.0.2", "bind = 10.9.9.9", "instances = 1",
		"access_times = 8:00-9:00", "per_source = 1", "cps = 1 1", "max_load = 1", "umask = 022", "passenv =", "v6only = no", "disable = no")
	tests := []struct{ defaults, left string }{
		{"only_from = 10.0.0.0/99", "ftp"},
		{"only_from = 10.0.0.0 // lan", "ftp"},
		{"only_from = 10.0.0.0 // lan", "ftp"},
		{"only_from 10.0.0.0", "ftp"},
		{"only_form = 10.0.0.0", "ftp"},
		{"Only_From = 10.0.0.0/99", "ftp"},
		{"no_access = 10.0.0.1,10.0.0.2", "ftp"},
		{"bind = 10.0.0.1 10.0.0.2", "ftp"},
		{"interface = 10.0.0.1 10.0.0.2", "ftp"},
		{"interfaces = 10.0.0.1", "ftp"},
		{"instances = many", "ftp"},
		{"instances += 3", "ftp"},
		{"per_source = 1 2", "ftp"},
		{"access_times = 8-9", "ftp"},
		{"cps = 5", "ftp"},
		{"max_load = high", "ftp"},
		{"umask = 999", "ftp"},
		{"passenv = A=1", "ftp"},
		{"v6only = perhaps", "ftp"},
		{"disable = yes", "ftp"},
		{"flags = NODELAY idonly", ""},
		{"flags = SENSOR", ""},
		{"enabled = ftp\nenable = ftp", ""},
		// Nobody is let in by these.
		{"log_type = FILE", "telnet ftp"},
		{"log_on_success = NAMES", "telnet ftp"},
		{"banner = none", "telnet ftp"},
		{"groups = some", "telnet ftp"},
		{"nice = very", "telnet ftp"},
		{"// who may come", "telnet ftp"},
		{"colour = red", "telnet ftp"},
	}
	for _, tt := range tests {
		services, errs := parse(t, "defaults\n{\n"+tt.defaults+"\n}\n"+both)
		if got := names(services); got != tt.left || errs.Errors() == 0 {
			t.Errorf("defaults %q leave %q, want %q\n%s", tt.defaults, got, tt.left, lines(errs))
		}
	}
	// Adding to a lost list leaves it lost.
	services, errs := parse(t, "defaults\n{\nno_access = 10.0.0.0/99\n}\n"+entry("telnet", "no_access += 10.0.0.1"))
	if len(services) > 0 {
		t.Errorf("a service that adds to a lost no_access is served\n%s", lines(errs))
	}
	want := "x:3:13: no_access: \"10.0.0.0/99\": expected a number from 0 to 32 after the /\n" +
		"x:5:1: no_access: service telnet is not served: the defaults' value (line 3) is in error, and the service has none of its own\n"
	if got := lines(errs); got != want {
		t.Errorf("errors\n%swant\n%s", got, want)
	}
}

// TestDefaultsInDisguise: defaults that are not in force, or not all of them.
func TestDefaultsInDisguise(t *testing.T) {
	t.Parallel()
	const only = "\nonly_from = 10.0.0.1\n"
	tests := []struct{ name, text string }{
		{"misspelled", "default\n{" + only + "}\n"},
		{"misspelled with a capital", "Default\n{" + only + "}\n"},
		{"misspelled with a brace", "default {" + only + "}\n"},
		{"a second one", "defaults\n{\n}\ndefaults\n{" + only + "}\n"},
		{"cut off", entry("ftp") + "defaults\n{\ninstances = 5\n"},
	}
	for _, tt := range tests {
		text := tt.text
		if tt.name == "cut off" {
			text = entry("telnet") + text
		} else {
			text += entry("telnet")
		}
		services, errs := parse(t, text)
		if len(services) > 0 || errs.Errors() == 0 {
			t.Errorf("%s: %q is served\n%s", tt.name, names(services), lines(errs))
		}
	}
	// A word that looks like it and has no block costs nothing.
	services, errs := parse(t, "default\n"+entry("telnet"))
	if names(services) != "telnet" || errs.Errors() != 1 {
		t.Errorf("a stray word: %q is served\n%s", names(services), lines(errs))
	}
	// A stray line in the defaults does not take the others with it.
	services, errs = parse(t, "defaults\n{\n// ours\nonly_from = 10.0.0.1\n}\n"+entry("telnet"))
	if len(services) != 1 || fmt.Sprint(services[0].Xinetd.Access.Only) != "[10.0.0.1]" {
		t.Errorf("with a comment in the defaults: %v\n%s", services, lines(errs))
	}
}

// TestOff: services that are switched off, whose errors are warnings.
func TestOff(t *testing.T) {
	t.Parallel()
	tests := []struct{ defaults, left string }{
		{"", "telnet ftp"},
		{"enabled = telnet", "telnet"},
		{"enabled =", ""},
		{"disabled = telnet", "ftp"},
		{"enabled = telnet f\ndisabled = f", "telnet"},
		{"enabled = telnet\nenabled += f\nenabled -= telnet", "ftp"},
		{"enabled = off", ""},
		{"enabled = Telnet F\ndisabled = TELNET", "ftp"},
		{"enabled = telnet\nenabled += F\nenabled -= TELNET", "ftp"},
	}
	text := entry("telnet") + entry("ftp", "id = f") + entry("smtp", "id = off", "disable = yes") + entry("pop3", "flags = DISABLE")
	for _, tt := range tests {
		services, errs := parse(t, "defaults\n{\n"+tt.defaults+"\n}\n"+text)
		if got := names(services); got != tt.left || len(errs) > 0 {
			t.Errorf("defaults %q leave %q, want %q\n%s", tt.defaults, got, tt.left, lines(errs))
		}
	}
	services, errs := parse(t, "service telnet\n{\ndisable = yes\nport = much\nserver = x y\n}\n")
	want := "x:4:8: warning: port: \"much\" is not a number from 1 to 65535\nx:5:12: warning: server: takes 1 value, not 2\n"
	if got := lines(errs); len(services) > 0 || got != want {
		t.Errorf("errors of a service that is off\n%swant\n%s", got, want)
	}
	_, errs = parse(t, "defaults\n{\ndisabled = telnte\n}\n"+entry("telnet"))
	if got, want := lines(errs), "x:3:12: warning: disabled: no service has the id \"telnte\"\n"; got != want {
		t.Errorf("disabled = telnte: %q, want %q", got, want)
	}
}

// TestSameNames: what xinetd takes for two services is two services.
func TestSameNames(t *testing.T) {
	t.Parallel()
	services, errs := parse(t, entry("telnet", "bind = 127.0.0.1")+entry("telnet", "bind = 127.0.0.2")+
		entry("web", "type = UNLISTED", "port = 8080")+entry("web", "type = UNLISTED", "port = 8081")+
		"service echo\n{\ntype = INTERNAL\nprotocol = tcp\nwait = no\n}\nservice echo\n{\ntype = INTERNAL\nprotocol = udp\nwait = yes\n}\n")
	if len(services) != 6 || len(errs) > 0 {
		t.Fatalf("%q and\n%s", names(services), lines(errs))
	}
	var l conf.ErrorList
	if kept := conf.Clashes(services, &l); len(kept) != 6 || len(l) > 0 {
		t.Errorf("Clashes keeps %q\n%s", names(kept), lines(l))
	}
}

func TestInclude(t *testing.T) {
	t.Parallel()
	m := map[string][]byte{
		"/etc/main":      []byte("include more\nincludedir /etc/d\nincludedir d2\n" + entry("telnet")),
		"/etc/more":      []byte("\nbad line\ninclude /etc/d/b\n"),
		"/etc/d/b":       []byte(entry("ftp")),
		"/etc/d/README":  []byte(entry("smtp", "colour = red")),
		"/etc/d/c.conf":  []byte(entry("pop3")),
		"/etc/d/d~":      []byte(entry("pop3")),
		"/etc/d/.hidden": []byte(entry("pop3")),
	}
	services, errs := active(Parse("/etc/main", m["/etc/main"], testEnv(t), files(m)))
	want := "/etc/main:3:12: includedir: open /etc/d2: file does not exist\n" +
		"/etc/more:2:1: \"bad\": expected service NAME, defaults, include FILE or includedir DIRECTORY\n" +
		"/etc/main:2:12: warning: includedir: /etc/d/b has been read already\n" +
		"/etc/d/README:7:2: colour: there is no such attribute\n"
	got := lines(errs)
	for l := range strings.Lines(want) {
		if !strings.Contains(got, l) {
			t.Errorf("errors\n%swant among them\n%s", got, l)
		}
	}
	if strings.Count(got, "\n") != strings.Count(want, "\n") || names(services) != "ftp telnet" {
		t.Errorf("%q is served, want \"ftp telnet\", with\n%s", names(services), got)
	}
}

// TestIncludeLoops: no way of including ends in a long one.
func TestIncludeLoops(t *testing.T) {
	t.Parallel()
	deep := make(map[string][]byte)
	for i := range 40 {
		deep[fmt.Sprintf("/%d", i)] = []byte(strings.Repeat(fmt.Sprintf("include /%d\n", i+1), 100) + entry("telnet"))
	}
	tests := []struct {
		m    map[string][]byte
		want string
	}{
		{map[string][]byte{"/0": []byte("include /0\n" + entry("telnet"))}, "/0:1:9: include: /0 includes itself"},
		{map[string][]byte{"/0": []byte("include /1\n" + entry("telnet")), "/1": []byte("include ./././0\n")}, "/1:1:9: include: /0 includes itself"},
		{deep, "more than 16 files that include each other"},
	}
	for _, tt := range tests {
		_, errs := Parse("/0", tt.m["/0"], testEnv(t), files(tt.m))
		if !strings.Contains(lines(errs), tt.want) {
			t.Errorf("errors %.500s, want %s", lines(errs), tt.want)
		}
	}
}

// TestUnreadableInclude: a file that is there and cannot be read may hold the
// defaults; one that is not there does not.
func TestUnreadableInclude(t *testing.T) {
	t.Parallel()
	m := map[string][]byte{"/secret": nil}
	tests := []struct{ text, left string }{
		{"include /secret\n" + entry("telnet"), ""},
		{"include /nosuch\n" + entry("telnet"), "telnet"},
		{"include /secret\ndefaults\n{\n}\n" + entry("telnet"), "telnet"},
	}
	for _, tt := range tests {
		services, errs := active(Parse("/x", []byte(tt.text), testEnv(t), files(m)))
		if names(services) != tt.left || errs.Errors() == 0 {
			t.Errorf("Parse(%q) = %q, want %q\n%s", tt.text, names(services), tt.left, lines(errs))
		}
	}
}

func TestIs(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text string
		want       bool
	}{
		{"/x", "service telnet\n{\n}\n", true},
		{"/x", "# comment\n\n  service telnet {\n", true},
		{"/x", "defaults\n{\n", true},
		{"/x", "defaults{\n", true},
		{"/x", "Service telnet\n{\n}\n", true},
		{"/x", "DEFAULTS\n{\n", true},
		{"/x", "include /etc/foo\n", true},
		{"/x", "includedir /etc/foo\n", true},
		{"/x", "// slides\nservice telnet // login\n{\n", true},
		{"/x", "\xef\xbb\xbfservice telnet\r\n{\n", true},
		{"/x", "", false},
		{"/x", "# nothing\n", false},
		{"/x", "telnet stream tcp nowait root /bin/cat cat\n", false},
		{"/x", "service stream tcp nowait root /bin/cat cat\n", false},
		{"/x", "defaults stream tcp nowait root internal\n", false},
		{"/x", "include stream tcp nowait root internal\n", false},
		{"/x", ".include foo\n", false},
		{"/x", "service on protocol = tcp;\n", false},
		{"/etc/xinetd.conf", "", true},
		{"/etc/xinetd.d/foo", "hello\n", true},
		{"/etc/inetd.conf", "service telnet\n{\n}\n", true},
	}
	for _, tt := range tests {
		if got := Is(tt.name, []byte(tt.text)); got != tt.want {
			t.Errorf("Is(%q, %q) = %v, want %v", tt.name, tt.text, got, tt.want)
		}
	}
}

func TestIncluded(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{"telnet": true, "README": true, "a.rpmnew": false, ".x": false, "telnet~": false, "~telnet": true, "": false} {
		if got := Included(name); got != want {
			t.Errorf("Included(%q) = %v, want %v", name, got, want)
		}
	}
}

func TestRegularFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, err := range []error{
		os.WriteFile(filepath.Join(dir, "b"), nil, 0o600),
		os.WriteFile(filepath.Join(dir, "A"), nil, 0o600),
		os.Mkdir(filepath.Join(dir, "sub"), 0o700),
		os.Symlink("b", filepath.Join(dir, "link")),
		os.Symlink("sub", filepath.Join(dir, "dirlink")),
		os.Symlink("nowhere", filepath.Join(dir, "dangling")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	got, err := RegularFiles(dir)
	if want := []string{"A", "b", "link"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("RegularFiles = %q, %v, want %q", got, err, want)
	}
	if _, err := RegularFiles(filepath.Join(dir, "nosuch")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("RegularFiles of nothing: %v, want that it does not exist", err)
	}
}

// TestPackages: the files that packages ship are read without an error, as
// they are and switched on.
func TestPackages(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	for _, name := range []string{"debian.conf", "fedora.conf", "suse.conf", "classic.conf"} {
		file := filepath.Join("testdata/files/conf", name)
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		services, errs := active(Parse(file, text, env, system))
		if errs.Errors() > 0 || len(services) == 0 {
			t.Errorf("Parse(%s) = %d services\n%s", file, len(services), lines(errs))
		}
	}
	all, err := filepath.Glob("testdata/files/*/*")
	if err != nil || len(all) < 80 {
		t.Fatalf("Glob = %d files, %v, want all packages", len(all), err)
	}
	for _, file := range all {
		if filepath.Dir(file) == "testdata/files/conf" {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		off := []byte("disable")
		if i := bytes.Index(text, off); i >= 0 {
			eol := i + bytes.IndexByte(text[i:], '\n')
			text = slices.Concat(text[:i], []byte("disable = no"), text[eol:])
		}
		services, errs := active(Parse(file, text, env, system))
		// xinetd itself has not had these for long.
		gone := strings.HasSuffix(file, "/servers") || strings.HasSuffix(file, "/services")
		if gone && (len(services) > 0 || errs.Errors() != 1) || !gone && (len(services) == 0 || errs.Errors() > 0) {
			t.Errorf("Parse(%s) = %d services\n%s", file, len(services), lines(errs))
		}
	}
}

// TestExamples: the files of the examples are right, with everything in them
// switched on too.
func TestExamples(t *testing.T) {
	t.Parallel()
	const dir = "../../../examples/"
	for _, on := range []bool{false, true} {
		src := Source{
			ReadFile: func(name string) ([]byte, error) {
				text, err := os.ReadFile(strings.Replace(name, "/etc/", dir, 1))
				if on {
					text = bytes.ReplaceAll(text, []byte("= yes\n"), []byte("= no\n"))
					text = bytes.ReplaceAll(text, []byte("= dgram\n"), []byte("= dgram\n\twait = yes\n"))
					text = bytes.ReplaceAll(text, []byte("\tdisabled"), []byte("#"))
				}
				return text, err
			},
			ReadDir: func(name string) ([]string, error) { return RegularFiles(strings.Replace(name, "/etc/", dir, 1)) },
		}
		text, err := src.ReadFile("/etc/xinetd.conf")
		if err != nil {
			t.Fatal(err)
		}
		if !Is("x", text) {
			t.Error("examples/xinetd.conf is not recognised")
		}
		services, errs := active(Parse("/etc/xinetd.conf", text, testEnv(t), src))
		if got := errs.Errors(); got > 0 {
			t.Errorf("Parse(examples/xinetd.conf) =\n%s", lines(errs))
		}
		want := "myecho_serv myecho_udpserv"
		if on {
			want = "chargen chargen echo echo myecho_serv myecho_udpserv pop3 smtp telnet"
		}
		if got := names(services); got != want {
			t.Errorf("the examples serve %q, want %q", got, want)
		}
	}
}

// TestManual: xinetd.conf(5) has the syntax, the default and an example of each
// attribute, and where it may stand.
func TestManual(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../../man/xinetd.conf.5")
	if err != nil {
		t.Fatal(err)
	}
	_, list, ok := strings.Cut(string(text), ".Sh ATTRIBUTES")
	list, _, ok2 := strings.Cut(list, ".Ss Clients")
	if !ok || !ok2 {
		t.Fatal("the manual has no list of attributes")
	}
	items := make(map[string]string)
	for _, item := range strings.Split(list, "\n.It Ic ")[1:] {
		names, text, _ := strings.Cut(item, "\n")
		for _, name := range strings.Split(names, " , ") {
			items[name] = text
		}
	}
	for name, a := range byName {
		item, ok := items[name]
		if !ok {
			t.Errorf("%s: not in the manual", name)
			continue
		}
		for what, sign := range map[string]string{"syntax": " No = ", "example": "= "} {
			if !strings.Contains(item, sign) {
				t.Errorf("%s: no %s", name, what)
			}
		}
		if !strings.Contains(item, "efault") && a.min > 0 && name != "rpc_version" && name != "rpc_number" && name != "mdns" {
			t.Errorf("%s: no default", name)
		}
		if got, want := strings.Contains(item, "Also in defaults"), a.where == anywhere && name != "mdns"; got != want {
			t.Errorf("%s: the manual has it in defaults: %v, want %v", name, got, want)
		}
		if got, want := strings.Contains(item, "A list") || strings.Contains(item, "Lists."), a.list(); got != want {
			t.Errorf("%s: the manual has it as a list: %v, want %v", name, got, want)
		}
		delete(items, name)
	}
	for name := range items {
		t.Errorf("%s: no attribute, but in the manual", name)
	}
}

var system = Source{ReadFile: os.ReadFile, ReadDir: RegularFiles}

// unread is one that is switched off and could not be read.
func unread(s *conf.Service) bool { return s.Off && s.Socktype == 0 }

// active leaves those out that are switched off.
func active(services []*conf.Service, errs conf.ErrorList) ([]*conf.Service, conf.ErrorList) {
	return conf.On(services), errs
}
