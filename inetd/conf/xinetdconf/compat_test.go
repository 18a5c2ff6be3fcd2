package xinetdconf

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"inetd/inetd/conf"
)

// With the services of an inetd.conf besides those of the file the file's
// stand, and its defaults hold for all.
func TestCompat(t *testing.T) {
	own := func(lines string) string {
		return "service smtp\n{\nsocket_type = stream\nwait = no\nuser = root\nserver = /bin/own\n" + lines + "}\n"
	}
	smtp := func() *conf.Service {
		return &conf.Service{Pos: conf.Pos{File: "c", Line: 7}, Name: "smtp", Socktype: conf.Stream, Proto: "tcp", Port: 25, User: "root", Program: "/bin/cat", Args: []string{"cat", "-u"}}
	}
	quoted := smtp()
	quoted.Args = []string{"cat", "two words"}
	local := smtp()
	local.Proto, local.Name, local.Port, local.Unix = "unix", "/run/smtp", 0, &conf.Unix{Mode: 0o600}
	limited := smtp()
	limited.User, limited.Limits, limited.SndBuf = "33", conf.Limits{Rate: 5, SourceRate: 3}, 4096
	list, errs := Parse("x", []byte("defaults\n{\nbanner = /etc/banner\nnice = 5\nv6only = yes\n}\n"), testEnv(t), Source{}, limited)
	if len(errs) != 1 || !strings.HasPrefix(errs[0].Error(), "x:3:10: warning: banner: does not hold") || len(list) != 1 {
		t.Fatalf("services %v, errors %v", list, errs)
	}
	if s := list[0]; s.Group != "" || s.Limits.Rate != 5 || s.Limits.SourceRate != 3 || s.SndBuf != 4096 || s.Xinetd.Banner != "" || s.Xinetd.Nice != 0 || s.Family != conf.Both {
		t.Errorf("service %+v, %+v", s, s.Xinetd)
	}
	for _, tt := range []struct {
		text string
		svc  *conf.Service
		want []string // host list, program, and what the defaults say
		errs []string
	}{
		{"", smtp(), []string{" /bin/cat [cat -u] 0 0"}, nil},
		{own(""), smtp(), []string{" /bin/own [own] 0 0"}, []string{"c:7: warning: service smtp: service smtp of line 1 of x has its port, and stands"}},
		{own("bind = 127.0.0.1\n"), smtp(), []string{"127.0.0.1 /bin/own [own] 0 0"}, []string{"c:7: warning: service smtp: service smtp of line 1 of x has its port, and stands"}},
		{own("disable = yes\n"), smtp(), []string{" /bin/cat [cat -u] 0 0"}, nil},
		{"defaults\n{\nbind = 127.0.0.1\ninstances = 3\nlog_on_success = PID\n}\n", smtp(), []string{"127.0.0.1 /bin/cat [cat -u] 3 4"}, nil},
		{"defaults\n{\nbind = 127.0.0.1\ninstances = 3\n}\n", quoted, []string{"127.0.0.1 /bin/cat [cat two words] 3 0"}, nil},
		{"defaults\n{\nbind = 127.0.0.1\ninstances = 3\nlog_on_success = PID\n}\n", local, []string{" /bin/cat [cat -u] 3 4"}, nil},
		{"defaults\n{\ndisabled = smtp\n}\n", smtp(), nil, nil},
		{"defaults\n{\ndisabled = smtp\n}\n", quoted, nil, nil},
		{"defaults\n{\nenabled = telnet\n}\n", smtp(), nil, []string{`x:3:11: warning: enabled: no service has the id "telnet"`}},
		{"defaults\n{\nonly_from = 10.0.0.1\n}\n", smtp(), []string{" /bin/cat [cat -u] 0 0"}, []string{"x:3:13: warning: only_from: does not hold for the services of c, as in xinetd"}},
		{"defaults\n{\nonly_from = 10.0.0.1,\n}\n", smtp(), nil, []string{"x:3:", "c:7: only_from: service smtp is not served: the defaults' value (line 3 of x) is in error, and the service has none of its own"}},
	} {
		list, errs := active(Parse("x", []byte(tt.text), testEnv(t), Source{}, tt.svc))
		var got []string
		for _, s := range list {
			var items conf.LogItems
			if s.Xinetd != nil {
				items = s.Xinetd.Log.OnSuccess
			}
			got = append(got, fmt.Sprintf("%s %s %s %d %d", s.HostList(), s.Program, s.Args, max(0, s.Limits.Children), items))
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%q: services %q, want %q", tt.text, got, tt.want)
		}
		ok := len(errs) == len(tt.errs)
		for i := range min(len(errs), len(tt.errs)) {
			ok = ok && strings.HasPrefix(errs[i].Error(), tt.errs[i])
		}
		if !ok {
			t.Errorf("%q: errors\n%v\nwant\n%s", tt.text, errs, strings.Join(tt.errs, "\n"))
		}
	}
}

// What the defaults say of clients is not for services of inetd.conf, their limits
// are, and a service that waits has one socket.
func TestCompatDefaults(t *testing.T) {
	const text = "defaults\n{\nonly_from = 10.0.0.1\naccess_times = 8:00-9:00\ninstances = 3\nper_source = 2\ncps = 7 3\n%s}\n"
	service := func(change func(*conf.Service)) *conf.Service {
		s := &conf.Service{Pos: conf.Pos{File: "c", Line: 7}, Name: "smtp", Socktype: conf.Stream, Proto: "tcp", Port: 25, User: "root", Program: "/bin/cat", Args: []string{"cat"}}
		change(s)
		return s
	}
	all := conf.Limits{Rate: conf.Unlimited, Children: 3, SourceRate: conf.Unlimited, SourceChildren: 2, Refuse: true, CPS: conf.CPS{Rate: 7, Wait: 3 * time.Second}}
	unpaused, one := all, all
	unpaused.CPS = conf.CPS{}
	one.Children, one.SourceChildren = conf.Unlimited, conf.Unlimited
	for _, tt := range []struct {
		defaults string
		change   func(*conf.Service)
		limits   conf.Limits
		unlisted bool
		family   conf.Family
	}{
		{"", func(*conf.Service) {}, all, false, conf.Both},
		{"bind = ::\n", func(*conf.Service) {}, all, false, conf.Both},
		{"", func(s *conf.Service) { s.Name = "2525" }, all, true, conf.Both},
		{"", func(s *conf.Service) { s.Mux = conf.MuxPlus }, all, true, conf.Both},
		{"", func(s *conf.Service) { s.Limits.Rate = conf.Unlimited }, unpaused, false, conf.Both},
		{"", func(s *conf.Service) { s.Wait = true }, one, false, conf.Mapped},
		{"", func(s *conf.Service) { s.Wait, s.Family = true, conf.V4 }, one, false, conf.V4},
		{"", func(s *conf.Service) { s.Wait, s.RPC = true, &conf.RPC{Low: 1, High: 1} }, one, false, conf.Both},
	} {
		list, errs := Parse("x", fmt.Appendf(nil, text, tt.defaults), testEnv(t), Source{}, service(tt.change))
		if len(list) != 1 {
			t.Fatalf("services %v, errors %v", list, errs)
		}
		s, x := list[0], list[0].Xinetd
		if x.Access.Patterns() || x.Times != nil || !x.Groups || x.ID != s.Name || x.Unlisted != tt.unlisted {
			t.Errorf("%s has the clients %v, times %v, groups %v, id %q, unlisted %v", s.Label(), x.Access, x.Times, x.Groups, x.ID, x.Unlisted)
		}
		if s.Limits != tt.limits || s.Family != tt.family || len(s.Hosts) > 0 {
			t.Errorf("%s has the limits %+v, family %v, hosts %q, want %+v, %v", s.Label(), s.Limits, s.Family, s.Hosts, tt.limits, tt.family)
		}
	}
}

// hosts.allow and hosts.deny are asked for built-ins: programs have tcpd.
func TestCompatLibwrap(t *testing.T) {
	service := func(name string, typ conf.Socktype, proto string, argv ...string) *conf.Service {
		s := &conf.Service{Name: name, Port: 1, Socktype: typ, Proto: proto, User: "root"}
		if s.Internal = name; len(argv) > 0 {
			s.Internal, s.Program, s.Args = "", argv[0], argv[1:]
		}
		return s
	}
	for _, tt := range []struct {
		s    *conf.Service
		want string
	}{
		{service("time", conf.Stream, "tcp"), "time"},
		{service("time", conf.Dgram, "udp"), "time"},
		{service("ftp", conf.Stream, "tcp", "/bin/cat", "in.ftpd", "-l"), ""},
		{service("ftp", conf.Stream, "tcp", "/usr/sbin/tcpd", "in.ftpd", "-l"), ""},
	} {
		list, errs := Parse("x", nil, testEnv(t), Source{}, tt.s)
		if len(list) != 1 || list[0].Xinetd.Libwrap != tt.want {
			t.Errorf("%s %s: asked for as %v, %v, want %q", tt.s.Label(), tt.s.Program, list, errs, tt.want)
		}
	}
}
