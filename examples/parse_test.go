//go:build unix

package examples

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"inetd/inetd/conf"
	"inetd/inetd/conf/inetdconf"
	"inetd/inetd/conf/xinetdconf"
	"inetd/inetd/names"
	"inetd/libwrap"
	"inetd/services"
)

// wellKnown are the names of services(5) that the examples use besides those of
// examples/services.
const wellKnown = `
echo 7/tcp
echo 7/udp
discard 9/tcp
discard 9/udp
daytime 13/tcp
daytime 13/udp
chargen 19/tcp
chargen 19/udp
ftp 21/tcp
telnet 23/tcp
smtp 25/tcp
time 37/tcp
time 37/udp
tftp 69/udp
finger 79/tcp
pop3 110/tcp
auth 113/tcp
imap 143/tcp
login 513/tcp
shell 514/tcp
talk 517/udp
ntalk 518/udp
rsync 873/tcp
git 9418/tcp
`

// machine is one where every program is installed, with examples/services in
// /etc/services and the two users that the examples name.
func machine(t *testing.T) *conf.Env {
	t.Helper()
	ours, err := os.ReadFile("services")
	if err != nil {
		t.Fatal(err)
	}
	db := &names.DB{Dir: t.TempDir()}
	for name, text := range map[string]string{
		"services":  string(ours) + wellKnown,
		"passwd":    "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
		"group":     "root:x:0:\nnogroup:x:65534:\n",
		"protocols": "tcp 6 TCP\nudp 17 UDP\n",
	} {
		if err := os.WriteFile(filepath.Join(db.Dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return &conf.Env{
		Port:     db.Port,
		PortName: db.PortName,
		RPC:      db.RPC,
		Network:  db.Network,
		User:     func(name string) error { _, err := db.UserID(name); return err },
		Group:    func(name string) error { _, err := db.GroupID(name); return err },
		Proto:    func(name string) bool { _, ok := db.Proto(name); return ok },
		Identity: func(user, group string) error { _, err := db.Identity(user, group); return err },
		Program:  func(string) error { return nil },
		Internal: func(name string, s conf.Socktype) bool {
			b := services.Lookup(name)
			return b != nil && (s == conf.Stream && b.HasStream() || s == conf.Dgram && b.HasDatagram())
		},
		InternalArgs: func(name string, args []string) error { return services.Lookup(name).CheckArgs(args) },
	}
}

// labels names services, and says what is wrong: nothing may be, not even a
// warning.
func labels(t *testing.T, what string, list []*conf.Service, problems conf.ErrorList) []string {
	t.Helper()
	conf.Clashes(list, &problems)
	for _, p := range problems {
		t.Errorf("%s: %v", what, p)
	}
	var ls []string
	for _, s := range list {
		ls = append(ls, s.Label())
	}
	slices.Sort(ls)
	return ls
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var switchedOff = regexp.MustCompile(`(?m)^#([a-z0-9_]+\t(?:stream|dgram)\t.*)$`)

func TestInetdConf(t *testing.T) {
	t.Parallel()
	env := machine(t)
	text := read(t, "inetd.conf")

	list, problems := inetdconf.Parse("inetd.conf", []byte(text), env, inetdconf.Source{})
	got := labels(t, "inetd.conf", list, problems)
	if len(got) != 12 {
		t.Errorf("inetd.conf has %d services, want 12: %q", len(got), got)
	}
	for _, l := range got {
		if !strings.HasPrefix(l, "localhost:") {
			t.Errorf("%s is open to others than this machine", l)
		}
	}

	var on strings.Builder
	for _, m := range switchedOff.FindAllStringSubmatch(text, -1) {
		fmt.Fprintln(&on, m[1])
	}
	list, problems = inetdconf.Parse("inetd.conf", []byte(on.String()), env, inetdconf.Source{})
	got = labels(t, "inetd.conf, the reference", list, problems)
	if len(got) != strings.Count(on.String(), "\n") || len(got) != 25 {
		t.Errorf("the reference has %d lines and %d services, want 25: %q", strings.Count(on.String(), "\n"), len(got), got)
	}
	for _, want := range []string{"ftp/tcp", "telnet/tcp", "tftp/udp", "myecho/tcp", "myecho_udp/udp"} {
		if !slices.Contains(got, want) {
			t.Errorf("the reference has no %s", want)
		}
	}
	for i, m := range regexp.MustCompile(`(?m)^#[^# \t\n].*$`).FindAllString(text, -1) {
		if !switchedOff.MatchString(m) {
			t.Errorf("%q, comment %d without a blank behind its #, is no entry that can be switched on", m, i)
		}
	}
}

func TestServices(t *testing.T) {
	t.Parallel()
	env := machine(t)
	for _, tt := range []struct {
		name, proto string
		want        uint16
	}{
		{"myecho", "tcp", 5000},
		{"myecho_udp", "udp", 9300},
		{"myecho_serv", "tcp", 9200},
		{"myecho_udpserv", "udp", 9300},
	} {
		if port, _, ok := env.Port(tt.name, tt.proto); !ok || port != tt.want {
			t.Errorf("Port(%q, %q) = %d, %v, want %d", tt.name, tt.proto, port, ok, tt.want)
		}
	}
}

// TestXinetdConf reads the files as they are, and with every service on.
func TestXinetdConf(t *testing.T) {
	t.Parallel()
	env := machine(t)
	for _, tt := range []struct {
		name    string
		replace *strings.Replacer
		want    []string
	}{
		{"as they are", strings.NewReplacer(), []string{"myecho_serv/tcp", "myecho_udpserv/udp"}},
		{"all on", regexpReplacer("disable", "yes", "no", "disabled", "chargen-stream chargen-dgram", ""), []string{
			"192.168.10.1:smtp/tcp", "chargen/tcp", "chargen/udp", "echo/tcp", "echo/udp",
			"myecho_serv/tcp", "myecho_udpserv/udp", "pop3/tcp", "telnet/tcp",
		}},
		{"by name", strings.NewReplacer("type\t\t= UNLISTED\n", "", "\tport\t\t= 9200\n", "", "\tport\t\t= 9300\n", ""), []string{"myecho_serv/tcp", "myecho_udpserv/udp"}},
	} {
		src := xinetdconf.Source{
			ReadFile: func(name string) ([]byte, error) {
				text, err := os.ReadFile(strings.TrimPrefix(name, "/etc/"))
				return []byte(tt.replace.Replace(string(text))), err
			},
			ReadDir: func(name string) ([]string, error) {
				return xinetdconf.RegularFiles(strings.TrimPrefix(name, "/etc/"))
			},
		}
		text, err := src.ReadFile("xinetd.conf")
		if err != nil {
			t.Fatal(err)
		}
		if !xinetdconf.Is("/etc/xinetd.conf", text) {
			t.Error("xinetd.conf is not known for what it is")
		}
		list, problems := xinetdconf.Parse("/etc/xinetd.conf", text, env, src)
		if got := labels(t, tt.name, conf.On(list), problems); !slices.Equal(got, tt.want) {
			t.Errorf("%s: services %q, want %q", tt.name, got, tt.want)
		}
		for _, s := range list {
			if !s.Xinetd.Access.OnlyGiven {
				t.Errorf("%s: %s is open to everybody", tt.name, s.Label())
			}
		}
	}
}

// regexpReplacer replaces values of attributes: name, old, new and so on.
func regexpReplacer(args ...string) *strings.Replacer {
	var pairs []string
	for i := 0; i < len(args); i += 3 {
		for _, tabs := range []string{"\t", "\t\t"} {
			eq := args[i] + tabs + "= "
			pairs = append(pairs, eq+args[i+1], eq+args[i+2])
		}
	}
	return strings.NewReplacer(pairs...)
}

func TestHostsTables(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]int{"hosts.allow": 2, "hosts.deny": 1} {
		table, err := libwrap.ReadTable(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range table.Problems {
			t.Errorf("%v", p)
		}
		if len(table.Rules) != want {
			t.Errorf("ReadTable(%q) has %d rules, want %d", name, len(table.Rules), want)
		}
	}
}

// TestTcpdchk has tcpdchk look at the tables and at inetd.conf on a machine
// where the programs are, as they are and with all lines switched on.
func TestTcpdchk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	sbin := filepath.Join(dir, "sbin")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", dir+"/", "-ldflags", "-X main.realDaemonDir="+sbin, "../tcpd/tcpdchk")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	config := read(t, "inetd.conf")
	programs := regexp.MustCompile(`(?:/usr/local/sbin|/usr/sbin|/usr/bin)/`)
	config = programs.ReplaceAllString(config, sbin+"/")
	if err := os.Mkdir(sbin, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range strings.Fields("tcpd myecho_service udpechoserver rsync git in.ftpd in.telnetd in.rshd in.rlogind in.talkd in.ntalkd ipop3d imapd in.tftpd in.fingerd") {
		if err := os.WriteFile(filepath.Join(sbin, name), []byte("#!/bin/sh\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	rule := regexp.MustCompile(`(?m)^#([a-z.]+: .*)$`)
	for _, tt := range []struct {
		name          string
		config, allow string
	}{
		{"as they are", config, read(t, "hosts.allow")},
		{"all on", switchedOff.ReplaceAllString(config, "$1"), rule.ReplaceAllString(read(t, "hosts.allow"), "$1")},
	} {
		for name, text := range map[string]string{"inetd.conf": tt.config, "hosts.allow": tt.allow, "hosts.deny": read(t, "hosts.deny")} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		cmd := exec.Command(filepath.Join(dir, "tcpdchk"), "-d", "-i", "inetd.conf")
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if _, found := err.(*exec.ExitError); err != nil && !found {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(out)) {
			if !strings.HasSuffix(line, ": world writable\n") { // where the test is
				t.Errorf("%s: tcpdchk says %s", tt.name, line)
			}
		}
	}
}
