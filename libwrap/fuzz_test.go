package libwrap

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// corpusSeeds calls f with every query of testdata/corpus.
func corpusSeeds(tb testing.TB, dir string, f func(c *kase, q *query)) {
	files, err := filepath.Glob("testdata/corpus/*.case")
	if err != nil || len(files) == 0 {
		tb.Fatal("no corpus", err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			tb.Fatal(err)
		}
		for _, c := range parseCases(text, dir) {
			for _, q := range c.queries {
				f(c, q)
			}
		}
	}
}

// within fails the test if f takes long.
func within(t *testing.T, limit time.Duration, what string, f func()) {
	t.Helper()
	start := time.Now()
	f()
	if d := time.Since(start); d > limit {
		t.Errorf("%s took %v", what, d)
	}
}

// FuzzCheck wants one answer from the straight and the compiled form, soon,
// whatever the tables and the peer say.
func FuzzCheck(f *testing.F) {
	dir := scratch(f)
	corpusSeeds(f, dir, func(c *kase, q *query) {
		var allow, deny, list []byte
		if c.allow != nil {
			allow = c.allow.text
		}
		if c.deny != nil {
			deny = c.deny.text
		}
		for _, l := range c.files {
			list = l
		}
		f.Add(allow, deny, list, q.kv["daemon"], q.kv["addr"], q.kv["host"], q.kv["user"], uint16(22))
	})
	f.Add([]byte("ALL: "+dir+"/list\n"), []byte(""), []byte(dir+"/list "+dir+"/list"), "x", "1.2.3.4", "", "", uint16(0))
	f.Add([]byte(strings.Repeat("x", 1<<20)), []byte(strings.Repeat("ALL: x\n", 1000)), []byte(strings.Repeat("y", 1<<20)), "x", "1.2.3.4", "", "", uint16(0))
	f.Add([]byte("ALL: "+strings.Repeat("*a", 900)+"b\n"), []byte("ALL: "+strings.Repeat("EXCEPT ", 250)+"\n"), []byte{0, 0}, "x", "1.2.3.4", strings.Repeat("a", 200), "", uint16(0))
	f.Fuzz(func(t *testing.T, allow, deny, list []byte, daemon, addr, name, user string, port uint16) {
		tables := &Tables{Allow: filepath.Join(dir, "allow"), Deny: filepath.Join(dir, "deny")}
		for path, text := range map[string][]byte{tables.Allow: allow, tables.Deny: deny, filepath.Join(dir, "list"): list} {
			if err := os.WriteFile(path, text, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		request := func() *Request {
			return &Request{
				Daemon: daemon, Client: Endpoint{Addr: addr, Name: name, Port: 1, HasPort: true}, User: user,
				Server: Endpoint{Addr: "10.0.0.1", Port: int(port), HasPort: port%2 == 0}, PID: 1,
				Lookup:   identOnly("j;oe"),
				Netgroup: func(context.Context, string, string) bool { return false },
				Run:      func(context.Context, string, []string) (Status, error) { return Status{Code: int(port % 3)}, nil },
			}
		}
		var first *Verdict
		for range 3 {
			within(t, 10*time.Second, "Check", func() {
				v := tables.Check(t.Context(), request())
				if first == nil {
					first = v
				} else if !reflect.DeepEqual(v, first) {
					t.Errorf("compiled %+v\nstraight %+v", v, first)
				}
				if v.Allowed && v.Delegated {
					t.Error("both allowed and delegated")
				}
			})
		}
		r := request()
		if v, ok := tables.CheckNow(r); ok && !reflect.DeepEqual(v, first) {
			t.Errorf("CheckNow %+v\nCheck %+v", v, first)
		}
	})
}

// FuzzOptions wants the checker's reading of options and the decision's to
// agree.
func FuzzOptions(f *testing.F) {
	corpusSeeds(f, "/nonexistent", func(c *kase, _ *query) {
		for _, tt := range []*tableText{c.allow, c.deny} {
			if tt == nil {
				continue
			}
			for line := range bytes.SplitSeq(tt.text, []byte("\n")) {
				if r, ok := splitRule(string(line)); ok && r.hasOptions {
					f.Add(r.options)
				}
			}
		}
	})
	f.Add(strings.Repeat("spawn %u:", 1000))
	f.Fuzz(func(t *testing.T, text string) {
		list := parseOptions(text, func(off int) Pos {
			if off < 0 || off > len(text) {
				t.Errorf("position %d outside of %q", off, text)
			}
			return Pos{}
		})
		r := &Request{Client: Endpoint{Addr: "10.0.0.1"}, User: "joe", Run: func(context.Context, string, []string) (Status, error) { return Status{}, nil }}
		d := newDecision(t.Context(), &Tables{}, r)
		d.at = Pos{File: "F", Line: 1}
		if low := foldASCII(text); strings.Contains(low, "user") || strings.Contains(low, "group") || strings.Contains(low, "banners") {
			return // these ask the system
		}
		within(t, 5*time.Second, "options", func() { d.options(text) })
		failed, tooLong := "", false
		for _, e := range d.v.Events {
			if e.Kind == Log && strings.HasPrefix(e.Text, "error: ") {
				failed = strings.TrimPrefix(e.Text, "error: F, line 1: ")
			}
			tooLong = tooLong || e.Kind == Log && strings.Contains(e.Text, "expansion too long")
		}
		want := ""
		for _, o := range list {
			if o.Err != "" {
				want = o.Err
				break
			}
		}
		if failed != want && !tooLong {
			t.Errorf("%q: the decision fails for %q, the checker says %q", text, failed, want)
		}
	})
}

// FuzzExpand wants nothing unsafe from a peer in what a shell will see.
func FuzzExpand(f *testing.F) {
	corpusSeeds(f, "", func(c *kase, q *query) {
		if c.allow != nil {
			f.Add(string(c.allow.text), q.kv["daemon"], q.kv["addr"], q.kv["host"], q.kv["user"])
		}
	})
	f.Add("%a%A%c%d%h%H%n%N%p%r%R%s%u%%%z%", "d;", "10.0.0.1;", "h`id`", "$(u)")
	f.Fuzz(func(t *testing.T, text, daemon, addr, name, user string) {
		request := func() *Request {
			return &Request{Daemon: daemon, PID: 7, Client: Endpoint{Addr: addr, Name: name}, Server: Endpoint{Addr: name, Name: user}, User: user}
		}
		d := newDecision(t.Context(), &Tables{}, request())
		got := d.expand(text, maxExpansion)
		if d.done {
			if d.v.Allowed {
				t.Error("too long, but allowed")
			}
			return
		}
		if len(got) > maxExpansion {
			t.Errorf("%d bytes, want at most %d", len(got), maxExpansion)
		}
		// The same a piece at a time.
		d = newDecision(t.Context(), &Tables{}, request())
		var want strings.Builder
		for i := 0; i < len(text); i++ {
			if text[i] != '%' || i+1 == len(text) {
				want.WriteByte(text[i])
				continue
			}
			i++
			piece := d.expand("%"+text[i:i+1], maxExpansion)
			for j := range len(piece) {
				if !strings.Contains("1234567890!@%-_=+:,./abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", piece[j:j+1]) {
					t.Fatalf("%%%c expands to %q", text[i], piece)
				}
			}
			want.WriteString(piece)
		}
		if got != want.String() {
			t.Errorf("expand(%q) = %q, want %q", text, got, want.String())
		}
	})
}

// FuzzTable wants the checker to see the rules that decisions see, at places
// that are in the file.
func FuzzTable(f *testing.F) {
	dir := scratch(f)
	corpusSeeds(f, dir, func(c *kase, _ *query) {
		if c.allow != nil {
			f.Add(c.allow.text)
		}
	})
	f.Add([]byte("a\x00b\\\n\\\nc: d\\:e\\\n:allow\n\x00\x00"))
	path := filepath.Join(dir, "table")
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
		table, err := ReadTable(path)
		if err != nil {
			t.Fatal(err)
		}
		lines := bytes.Split(text, []byte("\n"))
		inFile := func(p Pos) {
			if p.File != path || p.Line < 1 || p.Line > len(lines) || p.Col < 1 || p.Col > len(lines[p.Line-1])+1 {
				t.Errorf("%v is not in the file", p)
			}
		}
		for _, r := range table.Rules {
			for _, tok := range append(r.Daemons, r.Clients...) {
				inFile(tok.Pos)
				// It stands there, unless it continues on another line.
				if rest := string(lines[tok.Pos.Line-1][tok.Pos.Col-1:]); !strings.HasPrefix(rest, tok.Text) && !strings.ContainsAny(rest, "\\\x00") {
					t.Errorf("%v: %q, want %q", tok.Pos, rest, tok.Text)
				}
			}
			for _, o := range r.Options {
				inFile(o.Pos)
			}
		}
		rs := compileRules(string(text))
		if len(rs.rules) != len(table.Rules) || len(rs.problems) != len(table.Problems) {
			t.Fatalf("%d rules and %d problems, checker has %d and %d", len(rs.rules), len(rs.problems), len(table.Rules), len(table.Problems))
		}
		for i, r := range rs.rules {
			if !reflect.DeepEqual(r, table.Rules[i].text) {
				t.Errorf("rule %d is %+v, checker has %+v", i, r, table.Rules[i].text)
			}
		}
	})
}

// FuzzIdent wants a bounded name without blanks, or none.
func FuzzIdent(f *testing.F) {
	f.Add([]byte("1000, 22 : USERID : UNIX : joe\r\n"))
	f.Add([]byte("1000 , 22 : ERROR : NO-USER\r\n"))
	f.Add([]byte("4294968296,22:USERID:UNIX:" + strings.Repeat("x", 600)))
	f.Add([]byte("\x00\n"))
	f.Fuzz(func(t *testing.T, reply []byte) {
		ours, theirs := net.Pipe()
		go func() {
			b := make([]byte, 64)
			theirs.Read(b)
			theirs.Write(reply)
			theirs.Close()
		}()
		user, err := AskIdent(ours, 1000, 22)
		ours.Close()
		if (err == nil) != (user != "") {
			t.Errorf("AskIdent = %q, %v", user, err)
		}
		if len(user) > maxUserID || strings.ContainsAny(user, " \t\r\n\v\f\x00") {
			t.Errorf("AskIdent = %q", user)
		}
		if err == nil && !bytes.Contains(reply, []byte(user)) {
			t.Errorf("AskIdent = %q, which %q does not say", user, reply)
		}
	})
}
