package names

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func testDB() *DB { return &DB{Dir: "testdata"} }

func TestPort(t *testing.T) {
	db := testDB()
	for _, tt := range []struct {
		name, proto string
		port        uint16
		official    string
		ok          bool
	}{
		{"echo", "tcp", 7, "echo", true},
		{"echo", "udp", 7, "echo", true},
		{"sink", "tcp", 9, "discard", true},
		{"null", "udp", 9, "discard", true},
		{"daytime", "tcp", 13, "daytime", true},
		{"daytime", "udp", 0, "", false},
		{"ftp", "tcp", 21, "ftp", true},
		{"krb5", "tcp", 88, "kerberos", true},
		{"www", "tcp", 80, "http", true},
		{"www", "udp", 8080, "www", true},
		{"syslog", "udp", 514, "syslog", true},
		{"indented", "tcp", 600, "indented", true},
		{"alias-of-crlf", "tcp", 601, "crlf", true},
		{"last", "tcp", 604, "last", true},
		{"dos", "tcp", 605, "dos", true},
		{"dosalias", "tcp", 605, "dos", true},
		{"unfinished", "tcp", 606, "unfinished", true},
		{"sctp-only", "sctp", 603, "sctp-only", true},
		{"sctp-only", "tcp", 0, "", false},
		{"ECHO", "tcp", 0, "", false},
		{"bad", "tcp", 0, "", false},
		{"huge", "tcp", 0, "", false},
		{"zero", "tcp", 0, "", false},
		{"negative", "tcp", 0, "", false},
		{"7/tcp", "tcp", 0, "", false},
		{"#", "tcp", 0, "", false},
		{"", "tcp", 0, "", false},
	} {
		port, official, ok := db.Port(tt.name, tt.proto)
		if port != tt.port || official != tt.official || ok != tt.ok {
			t.Errorf("Port(%q, %q) = %d, %q, %v, want %d, %q, %v", tt.name, tt.proto, port, official, ok, tt.port, tt.official, tt.ok)
		}
	}
}

func TestPortName(t *testing.T) {
	db := testDB()
	for _, tt := range []struct {
		port  uint16
		proto string
		want  string
	}{
		{7, "tcp", "echo"}, {7, "udp", "echo"}, {80, "tcp", "http"}, {8080, "tcp", "www"}, {2121, "tcp", "ftp"}, {13, "udp", ""}, {4, "tcp", ""},
	} {
		if got := db.PortName(tt.port, tt.proto); got != tt.want {
			t.Errorf("PortName(%d, %q) = %q, want %q", tt.port, tt.proto, got, tt.want)
		}
	}
}

func TestRPC(t *testing.T) {
	db := testDB()
	for _, tt := range []struct {
		name string
		want uint32
		ok   bool
	}{{"rstatd", 100001, true}, {"rup", 100001, true}, {"sunrpc", 100000, true}, {"100001", 0, false}, {"huge", 0, false}, {"", 0, false}} {
		if got, ok := db.RPC(tt.name); ok != tt.ok || ok && got != tt.want {
			t.Errorf("RPC(%q) = %d, %v, want %d, %v", tt.name, got, ok, tt.want, tt.ok)
		}
	}
}

func TestProto(t *testing.T) {
	db := testDB()
	for _, tt := range []struct {
		name string
		want int
		ok   bool
	}{{"icmp", 1, true}, {"ICMP", 1, true}, {"OSPFIGP", 89, true}, {"89", 0, false}, {"bad", 0, false}, {"none", 0, false}} {
		if got, ok := db.Proto(tt.name); ok != tt.ok || ok && got != tt.want {
			t.Errorf("Proto(%q) = %d, %v, want %d, %v", tt.name, got, ok, tt.want, tt.ok)
		}
	}
}

func TestIdentity(t *testing.T) {
	for _, tt := range []struct {
		user, group string
		want        syscall.Credential
		err         string
	}{
		{"root", "", syscall.Credential{Uid: 0, Gid: 0, Groups: []uint32{0, 2102}}, ""},
		{"ann", "", syscall.Credential{Uid: 1001, Gid: 2001, Groups: []uint32{2001, 2101, 2102, 2103}}, ""},
		{"ann", "tape", syscall.Credential{Uid: 1001, Gid: 2101, Groups: []uint32{2101, 2102, 2001, 2103}}, ""},
		{"ann", "0", syscall.Credential{Uid: 1001, Gid: 0, Groups: []uint32{0, 2101, 2102, 2001, 2103}}, ""},
		{"dot.ted", "", syscall.Credential{Uid: 1002, Gid: 2002, Groups: []uint32{2002}}, ""},
		{"nobody", "daemon", syscall.Credential{Uid: 65534, Gid: 1, Groups: []uint32{1}}, ""},
		// A name that is a number goes before the number of a user, as in
		// chown(1).
		{"1003", "", syscall.Credential{Uid: 4444, Gid: 4444, Groups: []uint32{4444}}, ""},
		{"1001", "", syscall.Credential{Uid: 1001, Gid: 2001, Groups: []uint32{2001, 2101, 2102, 2103}}, ""},
		{"1001", "2105", syscall.Credential{Uid: 1001, Gid: 7777, Groups: []uint32{7777, 2101, 2102, 2001, 2103}}, ""},
		{"4711", "42", syscall.Credential{Uid: 4711, Gid: 42, Groups: []uint32{42}}, ""},
		{"4711", "shorter", syscall.Credential{Uid: 4711, Gid: 2106, Groups: []uint32{2106}}, ""},
		{"4711", "users", syscall.Credential{Uid: 4711, Gid: 2001, Groups: []uint32{2001}}, ""},
		{"4711", "", syscall.Credential{}, "user 4711 has no passwd entry: give a group too"},
		{"carl", "", syscall.Credential{}, `unknown user "carl"`},
		{"short", "", syscall.Credential{}, `unknown user "short"`},
		{"+", "", syscall.Credential{}, `"" is not a user or group number`},
		{"-u", "", syscall.Credential{}, `unknown user "-u"`},
		{"-1", "-1", syscall.Credential{}, `unknown user "-1"`},
		{"4294967296", "1", syscall.Credential{}, `unknown user "4294967296"`},
		{"minus", "", syscall.Credential{}, `"4294967295" is not a user or group number`},
		{"minusgid", "", syscall.Credential{}, `"4294967295" is not a user or group number`},
		{"letters", "", syscall.Credential{}, `"abc" is not a user or group number`},
		{"ann", "none", syscall.Credential{}, `unknown group "none"`},
		{"ann", "minus", syscall.Credential{}, `"4294967295" is not a user or group number`},
		{"ann", "4294967295", syscall.Credential{}, `unknown group "4294967295"`},
		{"ann", "-5", syscall.Credential{}, `unknown group "-5"`},
		{"ann", "short", syscall.Credential{}, `unknown group "short"`},
	} {
		got, err := testDB().Identity(tt.user, tt.group)
		msg := ""
		if err != nil {
			msg = err.Error()
			got = syscall.Credential{} // what it holds besides an error is nobody's business
		}
		slices.Sort(got.Groups)
		slices.Sort(tt.want.Groups)
		if fmt.Sprint(got) != fmt.Sprint(tt.want) || msg != tt.err {
			t.Errorf("Identity(%q, %q) = %v, %q, want %v, %q", tt.user, tt.group, got, msg, tt.want, tt.err)
		}
	}
}

func TestUserID(t *testing.T) {
	db := testDB()
	for _, tt := range []struct {
		name string
		want uint32
		ok   bool
	}{{"ann", 1001, true}, {"1001", 1001, true}, {"5555", 5555, true}, {"none", 0, false}, {"minus", 0, false}, {"4294967295", 0, false}, {"", 0, false}, {"0x10", 0, false}, {"+1", 0, false}} {
		if got, err := db.UserID(tt.name); (err == nil) != tt.ok || got != tt.want && tt.ok {
			t.Errorf("UserID(%q) = %d, %v, want %d, %v", tt.name, got, err, tt.want, tt.ok)
		}
	}
}

// Without files nothing is known, and nothing fails.
func TestNoFiles(t *testing.T) {
	db := &DB{Dir: t.TempDir()}
	if _, _, ok := db.Port("echo", "tcp"); ok {
		t.Error("a port without services(5)")
	}
	if got := db.PortName(7, "tcp"); got != "" {
		t.Errorf("PortName without services(5) = %q", got)
	}
	if _, err := db.Identity("root", ""); err == nil {
		t.Error("an identity without passwd(5)")
	}
	if got, err := db.Identity("0", "0"); err != nil || got.Uid != 0 || got.Gid != 0 || !slices.Equal(got.Groups, []uint32{0}) {
		t.Errorf("Identity(0, 0) without passwd(5) = %v, %v", got, err)
	}
}

// Every user of this system has here the identity that id(1) tells.
func TestThisSystem(t *testing.T) {
	id, err := exec.LookPath("id")
	if err != nil {
		t.Skip("id is not installed")
	}
	text, err := os.ReadFile("/etc/passwd")
	if err != nil {
		t.Skipf("no passwd file: %v", err)
	}
	db := New()
	for l := range strings.Lines(string(text)) {
		user, _, _ := strings.Cut(l, ":")
		out, err := exec.Command(id, "-G", "--", user).Output()
		if err != nil {
			continue
		}
		want := strings.Fields(string(out))
		got, err := db.Identity(user, "")
		if err != nil {
			t.Errorf("Identity(%q): %v", user, err)
			continue
		}
		var groups []string
		for _, g := range got.Groups {
			groups = append(groups, strconv.Itoa(int(g)))
		}
		sort.Strings(groups)
		sort.Strings(want)
		if !slices.Equal(groups, want) {
			t.Errorf("groups of %s = %v, want %v as id has them", user, groups, want)
		}
		uid, err := exec.Command(id, "-u", "--", user).Output()
		if got := fmt.Sprintln(got.Uid); err == nil && got != string(uid) {
			t.Errorf("uid of %s = %q, want %q as id has it", user, got, uid)
		}
	}
	if _, err := db.Identity("no-such-user-here", ""); err == nil {
		t.Error("an unknown user has an identity")
	}
	if _, _, ok := db.Port("no-such-service", "tcp"); ok {
		t.Error("an unknown service has a port")
	}
}

// What the files do not have, getent(1) is asked for, and its answer is what
// counts.
func TestGetent(t *testing.T) {
	getent, err := exec.LookPath("getent")
	if err != nil {
		t.Skip("getent is not installed")
	}
	for _, tt := range []struct{ database, key, sep string }{{"passwd", "root", ":"}, {"group", "root", ":"}, {"protocols", "tcp", ""}, {"services", "echo/tcp", ""}, {"passwd", "no-such-user-here", ":"}, {"passwd", "-h", ":"}} {
		var want []string
		if out, err := exec.Command(getent, tt.database, "--", tt.key).Output(); err == nil {
			want = cut(strings.TrimRight(string(out), "\n"), tt.sep)
		}
		if got := New().getent(tt.database, tt.key, tt.sep); !slices.Equal(got, want) {
			t.Errorf("getent(%s, %s) = %q, want %q", tt.database, tt.key, got, want)
		}
	}
}

// What only getent(1) knows is as good as what the files have: users by name and
// number, with their groups, and the names of everything else.
func TestNameService(t *testing.T) {
	t.Parallel()
	ask := func() *DB { return &DB{Dir: "testdata", Getent: "testdata/getent"} }
	for _, tt := range []struct {
		user, group string
		want        syscall.Credential
	}{
		{"lena", "", syscall.Credential{Uid: 3001, Gid: 3001, Groups: []uint32{3001, 2101, 3100, 3101}}},
		{"3001", "", syscall.Credential{Uid: 3001, Gid: 3001, Groups: []uint32{3001, 2101, 3100, 3101}}},
		{"lena", "staff", syscall.Credential{Uid: 3001, Gid: 3100, Groups: []uint32{3100, 2101, 3001, 3101}}},
		// Of a user whom passwd(5) has, group(5) tells all groups.
		{"dot.ted", "staff", syscall.Credential{Uid: 1002, Gid: 3100, Groups: []uint32{3100}}},
	} {
		got, err := ask().Identity(tt.user, tt.group)
		if fmt.Sprint(got) != fmt.Sprint(tt.want) || err != nil {
			t.Errorf("Identity(%q, %q) = %v, %v, want %v", tt.user, tt.group, got, err, tt.want)
		}
	}
	if _, err := ask().Identity("nobody-else", ""); !errors.Is(err, ErrNoUser) {
		t.Errorf("Identity of a user whom nobody knows = %v, want %v", err, ErrNoUser)
	}
	if n, err := ask().GroupID("none"); err == nil {
		t.Errorf("GroupID of a group that nobody knows = %d", n)
	}
	if port, official, ok := ask().Port("wiki", "tcp"); port != 3080 || official != "wiki" || !ok {
		t.Errorf("Port = %d, %q, %v", port, official, ok)
	}
	if n, ok := ask().RPC("walld"); n != 100008 || !ok {
		t.Errorf("RPC = %d, %v", n, ok)
	}
	if n, ok := ask().Proto("sctp"); n != 132 || !ok {
		t.Errorf("Proto = %d, %v", n, ok)
	}
	if p, ok := ask().Network("lab"); p.String() != "10.1.0.0/16" || !ok {
		t.Errorf("Network = %v, %v", p, ok)
	}
}

func TestAccount(t *testing.T) {
	t.Parallel()
	db := testDB()
	want := Account{Name: "ann", UID: 1001, GID: 2001, Home: "/home/ann"}
	for _, key := range []string{"ann", "1001"} {
		if got, err := db.Account(key); got != want || err != nil {
			t.Errorf("Account(%q) = %+v, %v, want %+v", key, got, err, want)
		}
	}
	if got, err := db.Account("four"); got != (Account{Name: "four", UID: 1006, GID: 2101}) || err != nil {
		t.Errorf("Account of a line with four fields = %+v, %v", got, err)
	}
	for _, key := range []string{"none", "short", "minus", "minusgid", "letters"} {
		if got, err := db.Account(key); err == nil {
			t.Errorf("Account(%q) = %+v, want an error", key, got)
		}
	}
}

// The prefix of a network is as long as its octets that are not zeros at the end.
func TestNetwork(t *testing.T) {
	t.Parallel()
	db := testDB()
	for name, want := range map[string]string{
		"default": "0.0.0.0/0", "loop": "127.0.0.0/8", "lan": "10.0.5.0/24", "short": "10.1.0.0/16", "one": "192.0.2.7/32",
		"alias": "10.0.5.0/24", "long": "", "big": "", "letters": "", "none": "",
	} {
		p, ok := db.Network(name)
		if ok != (want != "") || ok && p.String() != want {
			t.Errorf("Network(%q) = %v, %v, want %q", name, p, ok, want)
		}
	}
}

// A user may be there whom a file that cannot be read does not tell.
func TestUnreadable(t *testing.T) {
	t.Parallel()
	db := &DB{Dir: t.TempDir()}
	if err := os.Mkdir(db.Dir+"/passwd", 0o755); err != nil {
		t.Fatal(err)
	}
	if a, err := db.Account("ann"); err == nil || errors.Is(err, ErrNoUser) {
		t.Errorf("Account = %v, %v, want what is wrong with the file", a, err)
	}
}

// Who is not found in time may be there.
func TestUntil(t *testing.T) {
	db := New()
	db.Until = time.Now().Add(-time.Second)
	if a, err := db.Account("nobody-is-called-that"); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrNoUser) {
		t.Errorf("Account after the time = %v, %v, want %v", a, err, context.DeadlineExceeded)
	}
}
