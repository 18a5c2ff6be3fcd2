package libwrap

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// logLookup answers from maps and writes down what it was asked.
type logLookup struct {
	names map[string]string // address to name
	addrs map[string]string // name to address
	user  string
	asked []string
}

func (l *logLookup) LookupName(_ context.Context, addr string) (string, error) {
	l.asked = append(l.asked, "name "+addr)
	return l.names[addr], nil
}

func (l *logLookup) LookupAddrs(_ context.Context, name string, v6 bool) (string, []string, error) {
	l.asked = append(l.asked, "addrs "+name)
	if a := l.addrs[name]; a != "" {
		return name, []string{a}, nil
	}
	return name, nil, nil
}

func (l *logLookup) LookupUser(context.Context, Endpoint, Endpoint) (string, error) {
	l.asked = append(l.asked, "user")
	return l.user, nil
}

// TestIndex holds the index against reading the table straight, which looks
// at every rule: same verdict, same events, same lookups in the same order.
func TestIndex(t *testing.T) {
	dir := t.TempDir()
	hits := 0
	for seed := range uint64(150) {
		g := odd{rand.New(rand.NewPCG(seed, 9))}
		path := func(name string) string { return filepath.Join(dir, fmt.Sprint(seed, name)) }
		write := func(name, text string) {
			if err := os.WriteFile(path(name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		lines := func(n int, word func() string) string {
			var b strings.Builder
			for range n {
				b.WriteString(strings.ReplaceAll(word(), "@DIR@/l1", path("list")) + "\n")
			}
			return b.String()
		}
		rule := func() string {
			// A small world, so that rules and clients meet.
			host := func() string {
				return g.pick(g.v4(), "10.0.0.1", "10.0.", "1.2.3.4", "10.0.0.0/8", "10.1.1.0/24", "1.0.0.0/255.0.0.0", "[2001:db8::1]", "[2001:db8::]/32", "[1::]/16", "[::]/0",
					"host.example.com", ".example.com", "a.example.com", "*.example.com", "host.*", "h?st.example.com", "2001:db8*", "unknown", "LOCAL", "KNOWN", "PARANOID", "@grp", "@DIR@/l1", "host.", "joe@10.0.", "joe@.example.com", "ALL@1.2.3.4", "10.?.*", "*.1", "nothing", "10.0.0.255", "x.y.z", ".org", g.host())
			}
			daemon := func() string {
				return g.pick("ALL", "sshd", "x", "22", "80", "sshd@10.0.0.1", "ALL@10.", "sshd@srv.example.com", "ALL@LOCAL", "in.*", "other", "other2", "23", "x@10.0.0.0/8", "ftpd")
			}
			s := g.list(daemon) + ":" + g.list(host)
			if g.chance(.1) {
				s = g.pick("sshd@srv.example.com", "x@LOCAL", "sshd@host.example.com", "in.*@.org") + ": ALL"
			}
			if strings.Contains(s, "ALL") && !strings.Contains(s, "@") && g.chance(.9) {
				s = strings.Replace(s, "ALL", "other", 1)
			}
			if g.chance(.02) {
				s = "no colon"
			}
			return s + g.pick("", "", "", ":allow", ":deny", ": spawn %c %n", ":rfc931")
		}
		write("list", lines(g.IntN(40), func() string { return g.pick(g.v4(), g.host(), ".example.com", "10.0.0.9") }))
		write("allow", lines(g.IntN(60), rule))
		write("deny", lines(g.IntN(60), rule)+g.pick("", "no newline"))
		tables := func() *Tables { return &Tables{Allow: path("allow"), Deny: path("deny")} }
		compiled := tables()
		compiled.Check(t.Context(), &Request{})
		for range 60 {
			addr := g.pick("10.0.0.1", "10.1.1.7", "1.2.3.4", "2001:db8::1", "::ffff:10.0.0.1", "1::5", "9.9.9.9", "unknown")
			name := g.pick("host.example.com", "a.example.com", "srv", "x.y.z", "", "host.evil.org")
			forward := g.pick(unmap(addr), unmap(addr), "8.8.8.8", "")
			request := func() (*Request, *logLookup) {
				l := &logLookup{names: map[string]string{unmap(addr): name, "10.0.0.1": "srv.example.com"}, addrs: map[string]string{name: forward, "srv.example.com": "10.0.0.1"}, user: "joe"}
				return &Request{
					Client: Endpoint{Addr: addr, Port: 1000, HasPort: true},
					Server: Endpoint{Addr: "10.0.0.1", Port: 22, HasPort: true},
					PID:    1, Lookup: l,
					Netgroup: func(_ context.Context, _, host string) bool {
						l.asked = append(l.asked, "netgroup "+host)
						return host == "a.example.com"
					},
				}, l
			}
			daemon := g.pick("sshd", "x", "in.ftpd", "none")
			port := g.pick("22", "80", "")
			known := g.chance(.2)
			run := func(tb *Tables, now bool) (*Verdict, *Request, []string, bool) {
				r, l := request()
				r.Daemon = daemon
				r.Server.Port, _ = portPattern(port)
				r.Server.HasPort = port != ""
				if known {
					r.Client.Name = name
				}
				if now {
					v, ok := tb.CheckNow(r)
					return v, r, l.asked, ok
				}
				return tb.Check(t.Context(), r), r, l.asked, true
			}
			v1, r1, asked1, _ := run(tables(), false)
			v2, r2, asked2, _ := run(compiled, false)
			r1.Lookup, r2.Lookup, r1.Netgroup, r2.Netgroup = nil, nil, nil, nil
			if !reflect.DeepEqual(v1, v2) || !reflect.DeepEqual(asked1, asked2) || !reflect.DeepEqual(r1, r2) {
				t.Fatalf("seed %d, %s %s %s:\nstraight %+v %v\n%+v\ncompiled %+v %v\n%+v", seed, daemon, addr, name, v1, asked1, r1, v2, asked2, r2)
			}
			for _, tb := range []*Tables{tables(), compiled} {
				v3, r3, asked3, ok := run(tb, true)
				if ok != (len(asked1) == 0) && !(ok == false && addr == "unknown") {
					t.Fatalf("seed %d: CheckNow = %v, but Check asked %v", seed, ok, asked1)
				}
				if len(asked3) > 0 {
					t.Fatalf("seed %d: CheckNow asked %v", seed, asked3)
				}
				r3.Lookup, r3.Netgroup = nil, nil
				if ok && (!reflect.DeepEqual(v1, v3) || !reflect.DeepEqual(r1, r3)) {
					t.Fatalf("seed %d: CheckNow = %+v, want %+v", seed, v3, v1)
				}
			}
			if v1.Rule.IsValid() {
				hits++
			}
		}
	}
	if hits < 3000 {
		t.Errorf("only %d requests met a rule", hits)
	}
}

// Tables with more masks than are tried one by one, and with more daemons than
// are remembered, decide as others do.
func TestIndexBounds(t *testing.T) {
	var allow strings.Builder
	for i := range 3 * maxMasks { // masks with holes, all different; the last byte decides
		fmt.Fprintf(&allow, "sshd: 10.0.0.%d/255.%d.%d.255\n", i, 128+i/128, 128+i%128)
	}
	tables := newTables(t, allow.String(), "ALL: ALL\n")
	tables.Check(t.Context(), from("10.0.0.1"))
	for i := range 256 {
		v := tables.Check(t.Context(), from(fmt.Sprintf("10.0.0.%d", i)))
		if v.Allowed != (i < 3*maxMasks) || v.Allowed && v.Rule.Line != i+1 {
			t.Errorf("10.0.0.%d: Allowed = %v by %v", i, v.Allowed, v.Rule)
		}
	}
	for i := range maxViews + 10 {
		r := from("10.0.0.7")
		r.Daemon = fmt.Sprint("d", i)
		if tables.Check(t.Context(), r).Allowed || !tables.Check(t.Context(), from("10.0.0.7")).Allowed {
			t.Fatalf("after %d daemons the verdict is another", i)
		}
	}
	if n := len(tables.allow.state.Load().form.views); n > maxViews {
		t.Errorf("%d views are kept, want %d at most", n, maxViews)
	}
}
