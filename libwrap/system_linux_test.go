package libwrap

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// What the system's databases say is tested in a mount namespace with an /etc
// of its own.

func init() {
	children["etc"] = func() {
		must := func(err error) {
			if err != nil {
				fmt.Println("cannot prepare /etc:", err)
				os.Exit(0)
			}
		}
		must(syscall.Mount("none", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""))
		must(syscall.Mount("tmpfs", "/etc", "tmpfs", 0, ""))
		must(syscall.Setdomainname([]byte("(none)")))
		for name, text := range map[string]string{
			"nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\nnetgroup: files\ninitgroups: files\n",
			"netgroup":      "grp (alpha,,) (Beta.example.com,-,-) sub\nsub (gamma,joe,dom)\nall (,joe,)\nnone\n",
			"passwd":        "root:x:0:0::/:/bin/sh\nnobody:x:65534:65533::/:/bin/sh\n7:x:1007:1007::/:/bin/sh\nbad:x:y:1::/:/bin/sh\nlast:x:4294967295:1::/:/bin/sh\n",
			"group":         "root:x:0:\nnogroup:x:65533:\naudio:x:29:joe,nobody\nvideo:x:44:nobody\nbad:x:-1:nobody\n",
			"hosts": "127.0.0.1 localhost\n10.0.0.1 good.example.com good\n10.0.0.2 liar.example.com\n10.0.0.99 liar.example.com other.example.com\n" +
				"10.0.0.3 real.example.com alias.example.com\n2001:db8::1 six.example.com\n10.0.0.5 10.0.0.6\n",
		} {
			must(os.WriteFile("/etc/"+name, []byte(text), 0o644))
		}
		ctx := context.Background()
		for _, q := range [][2]string{{"grp", "alpha"}, {"grp", "ALPHA"}, {"grp", "beta.example.com"}, {"grp", "gamma"}, {"grp", "joe"}, {"grp", "x"}, {"sub", "alpha"}, {"all", "whoever"}, {"none", "alpha"}, {"nosuch", "alpha"}, {"-x", "alpha"}, {"", "alpha"}} {
			fmt.Println("netgroup", q[0], q[1], getentNetgroup(ctx, q[0], q[1]))
		}
		for _, domain := range []string{"DOM", "other", "", "(none)"} {
			must(syscall.Setdomainname([]byte(domain)))
			fmt.Println("in", domain, getentNetgroup(ctx, "sub", "gamma"), getentNetgroup(ctx, "all", "alpha"))
		}
		for _, u := range []string{"root", "nobody", "7", "1007", "bad", "last", "none", "", "-u", "root:x", "+"} {
			a, ok := findUser(ctx, u)
			fmt.Println("user", u, a, ok)
		}
		for _, g := range []string{"root", "audio", "29", "bad", "none"} {
			id, ok := findGroup(ctx, g)
			fmt.Println("group", g, id, ok)
		}
		fmt.Println("groups", userGroups(ctx, "nobody", 65533))
		for _, a := range []string{"10.0.0.1", "::ffff:10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "2001:db8::1", "127.0.0.1"} {
			r := &Request{Client: Endpoint{Addr: a}, Lookup: System{}}
			d := newDecision(ctx, &Tables{}, r)
			fmt.Println("name", a, d.hostName(&r.Client), len(d.v.Events))
		}
	}
}

func TestSystemDatabases(t *testing.T) {
	testSystemDatabases(t, syscall.CLONE_NEWNS)
}

// Answers are the same on a host that has no address itself, for which getent
// needs -A.
func TestSystemDatabasesOffline(t *testing.T) {
	if help, _ := exec.Command("getent", "--help").Output(); !strings.Contains(string(help), "-A") {
		t.Skip("getent does not know -A (glibc 2.36)")
	}
	testSystemDatabases(t, syscall.CLONE_NEWNS|syscall.CLONE_NEWNET)
}

func testSystemDatabases(t *testing.T, namespaces uintptr) {
	if os.Geteuid() != 0 {
		t.Skip("an /etc of our own needs root")
	}
	if _, err := exec.LookPath("getent"); err != nil {
		t.Skip("no getent")
	}
	cmd := child(t, "etc")
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: namespaces | syscall.CLONE_NEWUTS}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EPERM) {
		t.Skip("no namespaces: ", err)
	}
	if err != nil {
		t.Fatalf("%v %s", err, out)
	}
	if strings.HasPrefix(string(out), "cannot") {
		t.Skip(string(out))
	}
	want := `netgroup grp alpha true
netgroup grp ALPHA true
netgroup grp beta.example.com true
netgroup grp gamma true
netgroup grp joe false
netgroup grp x false
netgroup sub alpha false
netgroup all whoever true
netgroup none alpha false
netgroup nosuch alpha false
netgroup -x alpha false
netgroup  alpha false
in DOM true true
in other false true
in  true true
in (none) true true
user root {0 0} true
user nobody {65534 65533} true
user 7 {1007 1007} true
user 1007 {0 0} false
user bad {0 1} false
user last {4294967295 1} false
user none {0 0} false
user  {0 0} false
user -u {0 0} false
user root:x {0 0} false
user + {0 0} false
group root 0 true
group audio 29 true
group 29 0 false
group bad 0 false
group none 0 false
groups [65533 29 44]
name 10.0.0.1 good.example.com 0
name ::ffff:10.0.0.1 good.example.com 0
name 10.0.0.2 liar.example.com 0
name 10.0.0.3 real.example.com 0
name 10.0.0.4 unknown 0
name 10.0.0.5 paranoid 1
name 2001:db8::1 six.example.com 0
name 127.0.0.1 localhost 0
`
	if string(out) != want {
		t.Errorf("got\n%s\nwant\n%s", out, want)
	}
}

// A file whose reading fails is no empty one: hosts.deny refuses everybody, and so
// does a rule for which a host file would be read. Nothing of that is kept.
func TestReadFails(t *testing.T) {
	const broken = "/proc/self/mem" // a regular file; read(2) at 0 is EIO
	deny := newTables(t, "sshd: 10.\n", "")
	deny.Deny = broken
	for _, tables := range []*Tables{
		deny,
		newTables(t, "sshd: 10.\n", "ALL: "+broken+"\n"),
		newTables(t, "sshd: 10.\nALL: "+broken+"\n", ""),
	} {
		for range 3 { // read, compiled, kept
			if v := tables.Check(t.Context(), from("9.9.9.9")); v.Allowed || len(v.Events) == 0 || !strings.HasSuffix(v.Events[len(v.Events)-1].Text, "Input/output error") {
				t.Errorf("%+v: verdict %+v, want a refusal for the error", tables, v)
			}
			if v := tables.Check(t.Context(), from("10.0.0.1")); !v.Allowed {
				t.Errorf("%+v: a client of a rule before is refused: %+v", tables, v)
			}
		}
	}
	allow := newTables(t, "", "")
	allow.Allow = broken // it may end in a rule that denies
	for range 3 {
		if v := allow.Check(t.Context(), from("10.0.0.1")); v.Allowed {
			t.Errorf("a hosts.allow that cannot be read lets in: %+v", v)
		}
	}
	if _, err := ReadTable(broken); !errors.Is(err, syscall.EIO) {
		t.Errorf("ReadTable = %v, want %v", err, syscall.EIO)
	}
}

// No decision leaves a file open, neither the first nor one after an edit, nor one
// that reads what is never compiled.
func TestDescriptors(t *testing.T) {
	dir := t.TempDir()
	tables := &Tables{Allow: dir + "/allow", Deny: dir + "/deny"}
	if err := os.Mkdir(dir+"/hosts.d", 0o755); err != nil {
		t.Fatal(err)
	}
	writeFile(t, dir+"/hosts", "10.0.0.2")
	writeFile(t, dir+"/sshd", "hello\n")
	for i := range 4 {
		writeFile(t, tables.Allow, strings.Repeat("#\n", i)+"sshd: "+dir+"/hosts "+dir+"/hosts.d\n")
		writeFile(t, tables.Deny, strings.Repeat("#\n", i)+"sshd: 10.0.0.1: banners "+dir+"\n")
		for range 2 {
			if v := tables.Check(t.Context(), from("10.0.0.1")); v.Allowed || v.Rule.File != tables.Deny {
				t.Fatalf("Check = %+v", v)
			}
			if _, err := ReadTable(tables.Allow); err != nil {
				t.Fatal(err)
			}
		}
	}
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip(err)
	}
	for _, fd := range all {
		if path, _ := os.Readlink("/proc/self/fd/" + fd.Name()); strings.HasPrefix(path, dir+"/") {
			t.Errorf("descriptor %s is still %s", fd.Name(), path)
		}
	}
}
