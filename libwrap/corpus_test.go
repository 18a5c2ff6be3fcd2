package libwrap

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"inetd/libwrap/syslog"
)

var corpusDir = flag.String("corpus", "", "run the *.case files under this directory instead of testdata")

// differences are the places where we mean to differ from the C library, by
// number as under DIFFERENCES in hosts_access(5). A query is excused if the
// case name has the prefix and what the C library did matches cdid, a regular
// expression over its verdict and event lines; ours must then be instead, and
// stand at the same rule. Events are compared up to where cdid begins.
var differences = []struct {
	number  int
	cases   string // prefix of the case name
	query   string // word the query has
	cdid    string
	instead string // our verdict; "" for any
	why     string
}{
	{1, "", "", `(?m)^(setuid|setgid|setgroups|initgroups) `, "", "user and group take effect; C does nothing, or in the wrong order"},
	{2, "", "sticky=1", `(?m)^log info aclexec returned 1$`, "", "a failed aclexec does not outlive its decision"},
	{2, "", "", `(?s)^allow at=deny:.*log info aclexec returned 1\n(.*\n)?log info aclexec returned 1\n`, "deny", "a failed aclexec in hosts.allow does not cancel a rule of hosts.deny"},
	{3, "", "", `(?m)^sleep 5\nexit 0\n`, "deny", "a too long expansion denies instead of ending the process"},
	{6, "", "", `(?m)^log err error: .*: bad syslog facility or severity: "(?i:authpriv|ftp|syslog|warn|error|panic)"\n`, "", "severity knows these words"},
}

// A query is one q line of a case file with what is expected of it.
type query struct {
	name   string // case#n
	kv     map[string]string
	line   string
	want   string // "allow at=allow:1"
	events []string
}

type kase struct {
	name        string
	allow, deny *tableText
	files       map[string][]byte
	netgroups   map[string][]string
	queries     []*query
}

type tableText struct {
	state string
	text  []byte
}

// parseCases reads a case file; dir takes the place of @DIR@.
func parseCases(text []byte, dir string) []*kase {
	var all []*kase
	var c *kase
	var body *[]byte
	var q *query
	add := func(b []byte) {
		if body != nil {
			*body = append(*body, bytes.ReplaceAll(b, []byte("@DIR@"), []byte(dir))...)
		}
	}
	for line := range bytes.SplitSeq(text, []byte("\n")) {
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		switch line[0] {
		case '|':
			add(append(slices.Clone(line[1:]), '\n'))
			continue
		case '~':
			add(line[1:])
			continue
		case '!':
			add(unescape(string(line[1:])))
			continue
		case '*':
			n, rest, _ := bytes.Cut(line[1:], []byte(" "))
			k, _ := strconv.Atoi(string(n))
			if body != nil {
				*body = append(*body, bytes.Repeat(rest, k)...)
			}
			continue
		case '=':
			q.want = strings.TrimSpace(string(line[1:]))
			continue
		case '+':
			q.events = append(q.events, strings.TrimPrefix(string(line[1:]), " "))
			continue
		}
		word, rest, _ := strings.Cut(string(line), " ")
		switch word {
		case "case":
			c = &kase{name: rest, files: map[string][]byte{}, netgroups: map[string][]string{}}
			all = append(all, c)
			body = nil
		case "note":
		case "allow":
			c.allow = &tableText{state: strings.TrimSpace(rest)}
			body = &c.allow.text
		case "deny":
			c.deny = &tableText{state: strings.TrimSpace(rest)}
			body = &c.deny.text
		case "file":
			b := new([]byte)
			body = b
			name := rest
			defer func(c *kase) { c.files[name] = *b }(c)
		case "netgroup":
			f := strings.Fields(rest)
			c.netgroups[f[0]] = append(c.netgroups[f[0]], f[1:]...)
		case "q":
			q = &query{kv: map[string]string{}, line: string(line)}
			q.name = c.name + "#" + strconv.Itoa(len(c.queries)+1)
			for _, f := range strings.Fields(rest) {
				k, v, _ := strings.Cut(f, "=")
				q.kv[k] = string(unescape(v))
			}
			c.queries = append(c.queries, q)
		default:
			panic("case file: " + string(line))
		}
	}
	return all
}

func unescape(s string) []byte {
	var b []byte
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			b = append(b, s[i])
			continue
		}
		if i++; i == len(s) {
			break
		}
		switch s[i] {
		case 'n':
			b = append(b, '\n')
		case 'r':
			b = append(b, '\r')
		case 't':
			b = append(b, '\t')
		case 's':
			b = append(b, ' ')
		case '0':
			b = append(b, 0)
		case 'e':
		case 'x':
			if i+2 < len(s) {
				if n, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
					b = append(b, byte(n))
					i += 2
				}
			}
		default:
			b = append(b, s[i])
		}
	}
	return b
}

// place writes the files of a case and returns its tables.
func (c *kase) place(t testing.TB, dir string) *Tables {
	write := func(name string, text []byte) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range c.files {
		write(name, text)
	}
	table := func(tt *tableText, name string) string {
		path := filepath.Join(dir, name)
		switch {
		case tt == nil || tt.state == "absent":
		case tt.state == "dir":
			if err := os.Mkdir(path, 0o755); err != nil {
				t.Fatal(err)
			}
		case tt.state == "notdir":
			write("plain", nil)
			path = filepath.Join(dir, "plain", name)
		default:
			write(name, tt.text)
		}
		return path
	}
	return &Tables{Allow: table(c.allow, "hosts.allow"), Deny: table(c.deny, "hosts.deny")}
}

// identOnly answers ident lookups and knows no names.
type identOnly string

func (identOnly) LookupName(context.Context, string) (string, error) { return "", nil }
func (identOnly) LookupAddrs(context.Context, string, bool) (string, []string, error) {
	return "", nil, nil
}
func (u identOnly) LookupUser(context.Context, Endpoint, Endpoint) (string, error) {
	return string(u), nil
}

// request makes the Request that a query describes.
func (c *kase) request(q *query) *Request {
	get := func(key, none string) string {
		if v, ok := q.kv[key]; ok {
			return v
		}
		return none
	}
	endpoint := func(addr, host, port string) Endpoint {
		e := Endpoint{Addr: q.kv[addr], Name: q.kv[host]}
		if v, ok := q.kv[port]; ok {
			e.Port, _ = strconv.Atoi(v)
			e.HasPort = true
		}
		return e
	}
	return &Request{
		Daemon:   get("daemon", "unknown"),
		Client:   endpoint("addr", "host", "cport"),
		Server:   endpoint("saddr", "shost", "sport"),
		User:     q.kv["user"],
		PID:      4242,
		Resident: q.kv["resident"] == "1",
		Lookup:   identOnly(get("ident", "unknown")),
		Netgroup: func(_ context.Context, group, host string) bool {
			return slices.Contains(c.netgroups[group], host) || slices.Contains(c.netgroups[group], "*")
		},
		Run: func(context.Context, string, []string) (Status, error) {
			st := Status{PID: 77777}
			if v := q.kv["aclexec"]; strings.HasPrefix(v, "sig") {
				st.Signal, _ = strconv.Atoi(v[3:])
			} else if v != "" {
				st.Code, _ = strconv.Atoi(v)
			}
			return st, nil
		},
	}
}

// answer shows a verdict in the notation of the case files.
func answer(t *Tables, v *Verdict, q *query, dir string) (verdict string, events []string) {
	verdict = "deny"
	switch {
	case v.Delegated:
		verdict = "twist"
	case v.Allowed:
		verdict = "allow"
	}
	at := "-"
	if v.Rule.IsValid() {
		at = "deny:"
		if v.Rule.File == t.Allow {
			at = "allow:"
		}
		at += strconv.Itoa(v.Rule.Line)
	}
	show := func(s string) string {
		s = strings.ReplaceAll(s, dir, "@DIR@")
		var b strings.Builder
		for i := range len(s) {
			switch c := s[i]; {
			case c == '\\':
				b.WriteString(`\\`)
			case c < 0x20 || c >= 0x7f:
				fmt.Fprintf(&b, `\x%02x`, c)
			default:
				b.WriteByte(c)
			}
		}
		return b.String()
	}
	warn := func(e Event, what string) {
		if q.kv["nosock"] == "1" {
			events = append(events, show("log err warning: "+where(e.Pos)+what+": Socket operation on non-socket"))
		}
	}
	for _, e := range v.Events {
		switch e.Kind {
		case Log:
			events = append(events, show("log "+e.Priority.String()+" "+e.Text))
		case Option:
			events = append(events, strings.TrimRight(show("opt "+e.Key+" "+e.Text), " "))
		case Ident:
			events = append(events, fmt.Sprintf("ident timeout=%d", e.N))
		case Spawn:
			events = append(events, show("spawn "+e.Text))
		case Setenv:
			events = append(events, show("setenv "+e.Key+"="+e.Text))
		case Umask:
			events = append(events, fmt.Sprintf("umask %03o", e.N))
		case Nice:
			events = append(events, fmt.Sprintf("nice %d", e.N))
		case Linger:
			on := 0
			if e.N != 0 {
				on = 1
			}
			events = append(events, fmt.Sprintf("so_linger onoff=%d linger=%d", on, e.N))
			warn(e, fmt.Sprintf("setsockopt SO_LINGER %d", e.N))
		case Keepalive:
			events = append(events, "so_keepalive")
			warn(e, "setsockopt SO_KEEPALIVE")
		case Banner:
			events = append(events, show("banner "+e.Text))
		}
	}
	if v.AllowSeverity != syslog.Info || v.DenySeverity != syslog.Warning {
		events = append(events, fmt.Sprintf("severity allow=%s deny=%s", v.AllowSeverity, v.DenySeverity))
	}
	return verdict + " at=" + at, events
}

// compare returns how our answer differs from the expected one, "" if it does
// not or is meant to.
func compare(q *query, verdict string, events []string) string {
	trim := func(l []string) []string {
		out := make([]string, len(l))
		for i, s := range l {
			out[i] = strings.TrimRight(s, " ")
		}
		return out
	}
	// C takes a negative nice value for an error code, and logs whatever errno
	// happens to hold.
	want := slices.DeleteFunc(trim(q.events), regexp.MustCompile(`^log err warning: .*: nice\(-[0-9]+\): `).MatchString)
	got := trim(events)
	if verdict == q.want && slices.Equal(want, got) {
		return ""
	}
	all := q.want + "\n" + strings.Join(want, "\n") + "\n"
	for _, d := range differences {
		if !strings.HasPrefix(q.name, d.cases) || d.query != "" && !slices.Contains(strings.Fields(q.line), d.query) {
			continue
		}
		loc := regexp.MustCompile(d.cdid).FindStringIndex(all)
		if loc == nil {
			continue
		}
		ours, at, _ := strings.Cut(verdict, " ")
		_, wantAt, _ := strings.Cut(q.want, " ")
		before := min(strings.Count(all[:loc[0]], "\n"), len(want)+1) - 1
		if (d.instead == "" || ours == d.instead) && (at == wantAt || d.query != "") &&
			(before <= 0 || before <= len(got) && slices.Equal(got[:before], want[:before])) {
			return ""
		}
	}
	return fmt.Sprintf("%s\n got %s %q\nwant %s %q", q.line, verdict, got, q.want, want)
}

// runCases runs every query of a case file three ways: reading the tables
// straight, from the compiled form, and without blocking.
func runCases(t *testing.T, text []byte) (queries, differ int) {
	dir := scratch(t)
	for _, c := range parseCases(text, dir) {
		tables := c.place(t, dir)
		compiled := &Tables{Allow: tables.Allow, Deny: tables.Deny}
		compiled.Check(context.Background(), &Request{})
		for _, q := range c.queries {
			queries++
			straight := &Tables{Allow: tables.Allow, Deny: tables.Deny}
			v := straight.Check(context.Background(), c.request(q))
			verdict, events := answer(straight, v, q, dir)
			bad := compare(q, verdict, events)

			v = compiled.Check(context.Background(), c.request(q))
			verdict2, events2 := answer(compiled, v, q, dir)
			if verdict2 != verdict || !slices.Equal(events2, events) {
				bad += fmt.Sprintf("\n%s\ncompiled: %s %q\nstraight: %s %q", q.line, verdict2, events2, verdict, events)
			}

			r := c.request(q)
			if v, ok := compiled.CheckNow(r); ok {
				verdict3, events3 := answer(compiled, v, q, dir)
				if verdict3 != verdict || !slices.Equal(events3, events) {
					bad += fmt.Sprintf("\n%s\nCheckNow: %s %q\nstraight: %s %q", q.line, verdict3, events3, verdict, events)
				}
			}
			if bad != "" {
				differ++
				t.Errorf("%s: %s", q.name, bad)
			}
		}
		old, _ := filepath.Glob(filepath.Join(dir, "*"))
		for _, name := range old {
			os.RemoveAll(name)
		}
	}
	return queries, differ
}

// scratch returns a directory whose name is as long as that of the one in
// which the C library was asked, so that lines with @DIR@ are too.
func scratch(t testing.TB) string {
	for range 100 {
		dir := fmt.Sprintf("/dev/shm/libwr%06d", rand.IntN(1e6))
		if _, err := os.Stat("/dev/shm"); err != nil {
			dir = fmt.Sprintf("/tmp/libwrap%08d", rand.IntN(1e8))
		}
		if err := os.Mkdir(dir, 0o755); err == nil {
			t.Cleanup(func() { os.RemoveAll(dir) })
			return dir
		}
	}
	t.Fatal("no scratch directory")
	return ""
}

// TestCorpus compares our answers with those of the C library, as recorded in
// case files: verdict, matching rule and events.
func TestCorpus(t *testing.T) {
	dirs := []string{*corpusDir}
	if *corpusDir == "" {
		dirs = []string{"testdata/corpus", "testdata/fuzz"}
	} else if _, err := os.Stat(*corpusDir); err != nil && !filepath.IsAbs(*corpusDir) {
		dirs[0] = filepath.Join("..", *corpusDir) // from where go test was called
	}
	queries, differ := 0, 0
	for _, dir := range dirs {
		dir, err := filepath.EvalSymlinks(dir)
		if err != nil {
			t.Fatal(err)
		}
		err = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() || filepath.Ext(path) != ".case" {
				return err
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			n, bad := runCases(t, text)
			queries += n
			differ += bad
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if queries == 0 {
		t.Errorf("no queries under %v", dirs)
	}
	corpusSummary = fmt.Sprintf("%d queries, %d differ\n", queries, differ)
}

// corpusSummary is the last line of output if TestCorpus ran.
var corpusSummary string

// printSummary ends the output with the summary. go test drops what a package
// prints whose tests pass, unless it was given -v or no package, so for a
// corpus that somebody named the line goes to where go test itself writes, if
// that can be found out.
func printSummary(passed bool) {
	os.Stdout.WriteString(corpusSummary)
	if !passed || testing.Verbose() || *corpusDir == "" || corpusSummary == "" {
		return
	}
	if f := goTestOutput(); f != nil {
		f.WriteString(corpusSummary)
		f.Close()
	}
}
