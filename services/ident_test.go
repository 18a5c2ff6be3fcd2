package services

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestParseIdent(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		in            string
		local, remote uint16
		ok            bool
	}{
		{"6191, 23\r\n", 6191, 23, true}, // RFC 1413, section 5
		{"6191,23\r\n", 6191, 23, true},
		{" 6191 , 23 \r\n", 6191, 23, true},
		{"6191\t,\t23\r\n", 6191, 23, true},
		{"6191,23\n", 6191, 23, true},
		{"6191,23", 6191, 23, true},
		{"00001,65535\r\n", 1, 65535, true},
		{"0,23\r\n", 0, 0, false},
		{"6191,0\r\n", 0, 0, false},
		{"65536,23\r\n", 0, 0, false},
		{"6191,65536\r\n", 0, 0, false},
		{"000001,23\r\n", 0, 0, false},
		{"4294967297,23\r\n", 0, 0, false},
		{"-1,23\r\n", 0, 0, false},
		{"+1,23\r\n", 0, 0, false},
		{"6191 23\r\n", 0, 0, false},
		{"6191,23,1\r\n", 0, 0, false},
		{"61 91,23\r\n", 0, 0, false},
		{"6191,23x\r\n", 0, 0, false},
		{",23\r\n", 0, 0, false},
		{"6191,\r\n", 0, 0, false},
		{"\r\n", 0, 0, false},
		{"", 0, 0, false},
		{"6191,23\x00\r\n", 0, 0, false},
		{"6191,23\r\r\n", 0, 0, false},
	} {
		local, remote, ok := parseIdent([]byte(test.in))
		if local != test.local || remote != test.remote || ok != test.ok {
			t.Errorf("parseIdent(%q) = %v, %v, %v, want %v, %v, %v", test.in, local, remote, ok, test.local, test.remote, test.ok)
		}
	}
}

// Whatever a client sends, the answer is one line of the RFC's two forms.
var identForm = regexp.MustCompile(`^[0-9]{1,5} , [0-9]{1,5} : (ERROR : (INVALID-PORT|NO-USER|HIDDEN-USER|UNKNOWN-ERROR)|USERID : [^:]+ : [!-~][ -~]*)\r\n$`)

func FuzzIdentRequest(f *testing.F) {
	for _, s := range []string{"6191, 23\r\n", "0 , 0\r\n", ",", "65535,65536\n", "1,1", strings.Repeat(" ", 2000)} {
		f.Add([]byte(s))
	}
	o, _ := parseOptions(identOptions, []string{"-d", "nobody"})
	f.Fuzz(func(t *testing.T, line []byte) {
		if got := identAnswer(nil, &o, line); !identForm.Match(got) {
			t.Fatalf("answer to %q = %q", line, got)
		}
		if local, remote, ok := parseIdent(line); ok && (local == 0 || remote == 0 || !bytes.Contains(line, []byte(","))) {
			t.Fatalf("parseIdent(%q) = %d, %d", line, local, remote)
		}
	})
}

// query has auth answer one request, in as many writes as there are parts.
func query(t testing.TB, c *Conn, peer client, parts ...string) string {
	t.Helper()
	done := serve("auth", c)
	for _, p := range parts {
		if _, err := io.WriteString(peer, p); err != nil {
			t.Fatal(err)
		}
	}
	got, err := io.ReadAll(peer)
	if err != nil {
		t.Fatal(err)
	}
	if err := ended(t, done); err != nil {
		t.Errorf("auth = %v, want nil", err)
	}
	return string(got)
}

func TestIdentWithoutLookup(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		args, in, want string
	}{
		{"auth", "6191, 23\r\n", "6191 , 23 : ERROR : HIDDEN-USER\r\n"},
		{"", "6191, 23\r\n", "6191 , 23 : ERROR : HIDDEN-USER\r\n"},
		{"auth -d nobody", "6191, 23\r\n", "6191 , 23 : USERID : " + systemName + " : nobody\r\n"},
		{"auth -d nobody -o OTHER", "6191, 23\r\n", "6191 , 23 : USERID : OTHER : nobody\r\n"},
		{"auth -n -f -F -i", "6191, 23\r\n", "6191 , 23 : ERROR : HIDDEN-USER\r\n"},
		{"auth", "6191, 23\r\n7, 7", "6191 , 23 : ERROR : HIDDEN-USER\r\n"}, // one request only
		{"auth -g", "x\r\n", "0 , 0 : ERROR : INVALID-PORT\r\n"},
		{"auth -d nobody", "70000 , 23\r\n", "0 , 0 : ERROR : INVALID-PORT\r\n"},
		{"auth", strings.Repeat("1", 999) + "\r\n", "0 , 0 : ERROR : INVALID-PORT\r\n"},
	} {
		c, peer := connect(t, "tcp4")
		c.Args = strings.Fields(test.args)
		if got := query(t, c, peer, test.in); got != test.want {
			t.Errorf("auth %q to %.30q = %q, want %q", test.args, test.in, got, test.want)
		}
	}
}

// The end of what a client sends ends its line.
func TestIdentHalfClose(t *testing.T) {
	t.Parallel()
	c, peer := connect(t, "tcp4")
	done := serve("auth", c)
	io.WriteString(peer, "6191, 23")
	peer.CloseWrite()
	want := "6191 , 23 : ERROR : HIDDEN-USER\r\n"
	if got, err := io.ReadAll(peer); string(got) != want || err != nil {
		t.Errorf("auth of a line without an end = %q, %v, want %q", got, err, want)
	}
	if err := ended(t, done); err != nil {
		t.Errorf("auth = %v, want nil", err)
	}
}

func TestIdentWithoutUsers(t *testing.T) {
	t.Parallel()
	c, _ := connect(t, "tcp4")
	c.Args, c.Users = []string{"auth", "-r"}, nil
	if err := Lookup("auth").Stream(c); err == nil || !strings.Contains(err.Error(), "Conn.Users") {
		t.Errorf("auth -r without Users = %v", err)
	}
}

func TestIdentGarbage(t *testing.T) {
	t.Parallel()
	form := regexp.MustCompile(`^6191 , 23 : USERID : ` + systemName + ` : [0-9a-z]{16}\r\n$`)
	seen := map[string]bool{}
	for range 3 {
		c, peer := connect(t, "tcp4")
		c.Args = []string{"-g", "-r", "-d", "root"}
		got := query(t, c, peer, "61", "91", " ,", " 23", "\r", "\n")
		if !form.MatchString(got) {
			t.Errorf("auth -g = %q, want %v", got, form)
		}
		seen[got] = true
	}
	if len(seen) != 3 {
		t.Errorf("three answers of auth -g are %d names", len(seen))
	}
}

func TestIdentTimeout(t *testing.T) {
	t.Parallel()
	c, peer := connect(t, "tcp4")
	c.Args = []string{"auth", "-t", "0.05"}
	c.Idle, c.Life = time.Hour, time.Hour
	done := serve("auth", c)
	io.WriteString(peer, "6191 , ")
	if err := ended(t, done); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("auth of half a request = %v, want %v", err, os.ErrDeadlineExceeded)
	}
}

func TestIdentBadArguments(t *testing.T) {
	t.Parallel()
	c, peer := connect(t, "tcp4")
	c.Args = []string{"auth", "-r", "-x"}
	if err := ended(t, serve("auth", c)); err == nil {
		t.Error("auth -x = nil, want an error")
	}
	if got, _ := io.ReadAll(peer); len(got) != 0 {
		t.Errorf("auth -x answers %q", got)
	}
}

// someUsers is a user database of its own.
type someUsers []Account

func (u someUsers) ByUID(uid uint32, _ time.Time) (Account, error) {
	for _, a := range u {
		if a.UID == uid {
			return a, nil
		}
	}
	return Account{}, ErrNoAccount
}

func (u someUsers) ByName(name string, _ time.Time) (Account, error) {
	for _, a := range u {
		if a.Name == name {
			return a, nil
		}
	}
	return Account{}, ErrNoAccount
}

type brokenUsers struct{}

func (brokenUsers) ByUID(uint32, time.Time) (Account, error)  { return Account{}, io.ErrUnexpectedEOF }
func (brokenUsers) ByName(string, time.Time) (Account, error) { return Account{}, io.ErrUnexpectedEOF }

func TestTaken(t *testing.T) {
	t.Parallel()
	users := someUsers{{Name: "alice", UID: 1001}, {Name: "1002", UID: 1003}}
	for _, test := range []struct {
		users   Users
		name    string
		numbers bool
		want    bool
	}{
		{users, "alice", false, true},
		{users, "mallory", false, false},
		{users, "1001", false, false},
		{users, "1001", true, true},
		{users, "01001", true, true},
		{users, "1002", true, false},
		{users, "mallory", true, false},
		{users, "99999999999", true, true},
		{brokenUsers{}, "mallory", false, true},
		{brokenUsers{}, "7", true, true},
	} {
		if got := taken(test.users, test.name, test.numbers, time.Time{}); got != test.want {
			t.Errorf("taken(%q, %v) = %v, want %v", test.name, test.numbers, got, test.want)
		}
	}
}

// files makes a home with the given files; a content that begins with "->" is
// a link.
func files(t testing.TB, owner int, contents map[string]string) string {
	t.Helper()
	// Not t.TempDir, whose parent only root may enter.
	home, err := os.MkdirTemp("", "ident")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(home) })
	for name, text := range contents {
		path := filepath.Join(home, name)
		if to, ok := strings.CutPrefix(text, "->"); ok {
			err = os.Symlink(to, path)
		} else {
			err = os.WriteFile(path, []byte(text), 0o600)
		}
		if err == nil && os.Geteuid() == 0 {
			err = os.Lchown(path, owner, owner)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(home, owner, owner); err != nil {
			t.Fatal(err)
		}
	}
	return home
}

func TestFakeid(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ text, want string }{
		{"mallory\n", "mallory"},
		{"mallory", "mallory"},
		{"  \tmallory \r\n", "mallory"},
		{"mallory eve\n", "mallory"},
		{"\nmallory\n", ""},
		{"", ""},
		{" \n", ""},
		{"mal\x1blory\n", ""},
		{"m\xc3\xa4llory\n", ""},
		{strings.Repeat("m", 5000), strings.Repeat("m", maxIdentName)},
		{"->/dev/zero", ""},
		{"->/nonexistent", ""},
		{"->.", ""},
	} {
		home := files(t, os.Getuid(), map[string]string{".fakeid": test.text})
		if got := readFakeid(home); got != test.want {
			t.Errorf("readFakeid of %.20q = %q, want %q", test.text, got, test.want)
		}
	}
	if got := readFakeid("/nonexistent"); got != "" {
		t.Errorf("readFakeid without a home = %q", got)
	}
}

func TestNoident(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		home string
		want bool
	}{
		{files(t, os.Getuid(), nil), false},
		{files(t, os.Getuid(), map[string]string{".noident": ""}), true},
		{files(t, os.Getuid(), map[string]string{".noident": "->/nonexistent"}), true},
		{"/nonexistent", false},
		{"/dev/null", false},
		{"/" + strings.Repeat("x", 5000), true},
	} {
		if got := hasNoident(test.home); got != test.want {
			t.Errorf("hasNoident(%.40q) = %v, want %v", test.home, got, test.want)
		}
	}
}

func TestParseHelper(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		in     string
		hidden bool
		fake   string
		ok     bool
	}{
		{"ident false \n", false, "", true},
		{"ident false mallory\n", false, "mallory", true},
		{"ident true \n", true, "", true},
		{"", true, "", false},
		{"\n", true, "", false},
		{"ident false", true, "", false},
		{"ident false mallory", true, "", false},
		{"ident true mallory\n", true, "", false},
		{"ident false a b\n", true, "", false},
		{"ident false a\r\nb\n", true, "", false},
		{"ident false " + strings.Repeat("x", 33) + "\n", true, "", false},
		{"panic: runtime error\n", true, "", false},
	} {
		hidden, fake, err := parseHelper([]byte(test.in))
		if hidden != test.hidden || fake != test.fake || (err == nil) != test.ok {
			t.Errorf("parseHelper(%q) = %v, %q, %v, want %v, %q, ok %v", test.in, hidden, fake, err, test.hidden, test.fake, test.ok)
		}
	}
}

// The helper itself, run as the process that runs the tests.
func TestAskFiles(t *testing.T) {
	t.Parallel()
	self := Account{UID: uint32(os.Geteuid()), GID: uint32(os.Getegid())}
	ask := func(o options, contents map[string]string) (bool, string, error) {
		self.Home = files(t, os.Getuid(), contents)
		return askFiles(self, &o, deadline())
	}
	both := options{noident: true, fakeid: true}
	for _, test := range []struct {
		o        options
		contents map[string]string
		hidden   bool
		fake     string
	}{
		{both, nil, false, ""},
		{both, map[string]string{".fakeid": "mallory\n"}, false, "mallory"},
		{both, map[string]string{".noident": "", ".fakeid": "mallory\n"}, true, ""},
		{options{fakeid: true}, map[string]string{".noident": "", ".fakeid": "mallory\n"}, false, "mallory"},
		{options{noident: true}, map[string]string{".fakeid": "mallory\n"}, false, ""},
	} {
		if hidden, fake, err := ask(test.o, test.contents); hidden != test.hidden || fake != test.fake || err != nil {
			t.Errorf("askFiles(%+v, %v) = %v, %q, %v, want %v, %q", test.o, test.contents, hidden, fake, err, test.hidden, test.fake)
		}
	}
}

// deadline is far enough away for a helper on a busy machine.
func deadline() time.Time { return time.Now().Add(20 * time.Second) }

func TestAskFilesFailsClosed(t *testing.T) {
	t.Parallel()
	o := options{noident: true}
	self := Account{UID: uint32(os.Geteuid()), GID: uint32(os.Getegid()), Home: "/nonexistent"}
	if hidden, _, err := askFiles(self, &o, time.Now().Add(-time.Second)); !hidden || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("askFiles without time = %v, %v, want hidden, %v", hidden, err, os.ErrDeadlineExceeded)
	}
	if os.Geteuid() != 0 {
		other := Account{UID: self.UID + 1, GID: self.GID, Home: "/"}
		if hidden, _, err := askFiles(other, &o, time.Now().Add(time.Second)); !hidden || !errors.Is(err, os.ErrPermission) {
			t.Errorf("askFiles of somebody else = %v, %v, want hidden, %v", hidden, err, os.ErrPermission)
		}
	}
	for _, args := range [][]string{
		{IdentHelper},
		{IdentHelper, "4000000001", "-", "-n", "/"},
		{IdentHelper, "", "-", "-n", "/"},
		{IdentHelper, "", "1", "-n", "/"},
		{IdentHelper, "1", "x", "-n", "/"},
		{IdentHelper, "-1", "1", "-n", "/"},
		{IdentHelper, "4294967295", "1", "-n", "/"},
		{IdentHelper, "1", "4294967295", "-n", "/"},
	} {
		// A process of its own: it may get as far as to drop something.
		cmd := exec.Command(os.Args[0])
		cmd.Args = args
		if out, err := cmd.Output(); err == nil || len(out) != 0 {
			t.Errorf("helper with %q = %q, %v, want a failure", args, out, err)
		}
	}
}
