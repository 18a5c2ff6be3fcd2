package libwrap

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

var (
	seedFrom = flag.Int("seed", 1000, "first seed of the differential tests, below 1000000")
	seeds    = flag.Int("seeds", 2, "how many seeds the differential tests take")
)

// wrapquery builds the program that asks the installed C library, from the
// copy in testdata.
func wrapquery(t testing.TB) string {
	t.Helper()
	cc, err := exec.LookPath("cc")
	if err != nil {
		t.Skip("no C compiler")
	}
	bin := filepath.Join(t.TempDir(), "wrapquery")
	out, err := exec.Command(cc, "-O2", "-w", "-o", bin, "testdata/oracle/wrapquery.c", "-lwrap").CombinedOutput()
	if err != nil {
		t.Skipf("the C library cannot be asked (apt: libwrap0-dev): %.200s", out)
	}
	return bin
}

// annotate has the C library answer the queries of a case file.
func annotate(t testing.TB, wrapquery string, cases []byte) []byte {
	t.Helper()
	cmd := exec.Command(wrapquery, "-a")
	cmd.Stdin = bytes.NewReader(cases)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("wrapquery: %v %s", err, stderr.Bytes())
	}
	return out
}

// TestDifferentialGen runs tables and queries of gen.py against the installed
// C library: go test ./libwrap -run Differential -seed N -seeds N
func TestDifferentialGen(t *testing.T) {
	bin := wrapquery(t)
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3 for gen.py")
	}
	total, differ := 0, 0
	for seed := *seedFrom; seed < *seedFrom+*seeds; seed++ {
		cases, err := exec.Command(python, "testdata/oracle/gen.py", "--seed", strconv.Itoa(seed), "--cases", "300").Output()
		if err != nil {
			t.Fatal(err)
		}
		n, bad := runCases(t, annotate(t, bin, cases))
		total, differ = total+n, differ+bad
	}
	t.Logf("seeds %d to %d: %d queries, %d differ", *seedFrom, *seedFrom+*seeds-1, total, differ)
}

// TestDifferentialOdd does the same with tables that nobody would write: odd
// bytes, numbers at the edges of their ranges, lines of critical length.
func TestDifferentialOdd(t *testing.T) {
	bin := wrapquery(t)
	total, differ := 0, 0
	for seed := *seedFrom; seed < *seedFrom+*seeds; seed++ {
		g := odd{rand.New(rand.NewPCG(uint64(seed), 0))}
		var b bytes.Buffer
		for i := range 300 {
			g.oneCase(&b, fmt.Sprintf("odd/%d/%d", seed, i))
		}
		n, bad := runCases(t, annotate(t, bin, b.Bytes()))
		total, differ = total+n, differ+bad
		if bad > 0 {
			os.WriteFile(filepath.Join(os.TempDir(), fmt.Sprintf("odd-%d.case", seed)), b.Bytes(), 0o644)
		}
	}
	t.Logf("seeds %d to %d: %d queries, %d differ", *seedFrom, *seedFrom+*seeds-1, total, differ)
}

// odd generates cases from few words and many ways to spoil them.
type odd struct{ *rand.Rand }

func (g odd) pick(s ...string) string { return s[g.IntN(len(s))] }
func (g odd) chance(p float64) bool   { return g.Float64() < p }

func (g odd) number() string {
	return g.pick("0", "1", "8", "08", "010", "0x8", "0x", "+8", "-8", "--8", "24", "31", "32", "33", "127", "128", "129", "255", "256",
		"4294967295", "4294967296", "4294967304", "-4294967288", "18446744073709551615", "18446744073709551624", "99999999999999999999", "-99999999999999999999",
		"9223372036854775807", "9223372036854775815", "2147483648", "22", "+22", "4294967318", "-4294967274", "65535", "65536", "022", "\v22", "22\f", "8 ", "8x", "", "x")
}

func (g odd) v4() string {
	part := func() string {
		return g.pick("10", "10", "10", "0", "0", "0", "1", "1", "255", "012", "0xa", "0XA", "08", "256", "", "1 ", "0000000001", "4294967297", "1\v")
	}
	n := 4
	if g.chance(.1) {
		n = 1 + g.IntN(6)
	}
	p := make([]string, n)
	for i := range p {
		p[i] = part()
		if g.chance(.5) {
			p[i] = g.pick("10", "0", "1")
		}
	}
	return strings.Join(p, ".") + g.pick("", "", "", "", ".", "..")
}

func (g odd) v6() string {
	if g.chance(.6) {
		return g.pick("::1", "::", "1::", "1::1", "2001:db8::1", "2001:DB8::1", "2001:db8:0:0:0:0:0:1", "2001:0db8::0001", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8",
			"::ffff:10.0.0.1", "::FFFF:10.0.0.1", "::ffff:a00:1", "0:0:0:0:0:ffff:10.0.0.1", "::10.0.0.1", "::ffff:0:10.0.0.1", "64:ff9b::10.0.0.1", "fe80::1", "fe80::1%lo", "fe80::1%1", "fe80::1%nosuch", "2001:db8::1%1", "2001:db8::1%lo", "ff02::1%lo", "::ffff:010.0.0.1", "::ffff:255.255.255.255", "::ffff:10.0.0")
	}
	n := g.IntN(10)
	p := make([]string, n)
	for i := range p {
		p[i] = g.pick("0", "1", "db8", "ffff", "00001", "g", "", "0", "1", "10.0.0.1")
	}
	return strings.Join(p, ":")
}

func (g odd) name() string {
	return g.pick("host", "host.example.com", "a.example.com", "example.com", "HOST.Example.Com", "localhost", "unknown", "paranoid", "x", "10.example", "h\xc3\xa9.x", "a;b", "$(x)", "[x]", "host.", ".x", "..", "a.b.c.d.e", "ho st", "1.2.3.4", "::1", "::ffff:1.2.3.4", "-", "a@b", "a:b", "a/b", strings.Repeat("n", 127), strings.Repeat("n", 128), strings.Repeat("l.", 60)+"com")
}

func (g odd) host() string {
	switch g.IntN(14) {
	case 0:
		return g.pick("ALL", "all", "LOCAL", "KNOWN", "known", "UNKNOWN", "PARANOID", "unknown", "EXCEPT", "except")
	case 1, 2:
		return g.v4()
	case 3:
		return g.v4() + "/" + g.v4()
	case 4:
		return g.v4() + "/" + g.number()
	case 5:
		return "[" + g.v6() + "]"
	case 6:
		return "[" + g.v6() + "]/" + g.number()
	case 7:
		return g.pick(".", "", "") + g.name() + g.pick(".", "", "")
	case 8:
		s := []byte(g.pick(g.name(), g.v4(), g.v6()))
		for range 1 + g.IntN(4) {
			if len(s) > 0 {
				s[g.IntN(len(s))] = g.pick("*", "?")[0]
			}
		}
		return string(s) + g.pick("", "*", "**", "?", "*?")
	case 9:
		return "@" + g.pick("grp", "bad", "none", "", "gr*")
	case 10:
		return "@DIR@/" + g.pick("l1", "l2", "none", "", "d", "l1/x", "nul")
	case 11:
		return g.v6()
	case 12:
		return g.pick("255.255.255.255", "0.0.0.0", "0.0.0.0/0", "0.0.0.0/0.0.0.0", "10.0.0.0/255.255.255.255", "10.0.0.0/8.0.0.0.0", "10.0.0.0/8/8", "/", "//", "[", "]", "[]", "[]/0", "[/8", "@", "@@", "a@", "@a@b", "1/1", ".1", "1.", "*", "**", "?", "*?*")
	}
	return g.v4()
}

func (g odd) client() string {
	h := g.host()
	if g.chance(.12) {
		h = g.pick("joe", "JOE", "ALL", "KNOWN", "UNKNOWN", "unknown", "j*", "", "[joe]", "joe@x", ".oe", "jo.", "22", "::ffff:1.2.3.4") + "@" + h
	}
	return h
}

func (g odd) daemon() string {
	d := g.pick("ALL", "ALL", "ALL", "sshd", "sshd", "SSHD", "x", "in.ftpd", "in.*", "*", "s?hd", "in.", ".ftpd", "KNOWN", "UNKNOWN", "LOCAL", "unknown", "", "@x", "/x", "[x]", "EXCEPT", "1.2.3.4")
	if g.chance(.15) {
		d = g.number()
	}
	if g.chance(.12) {
		d += "@" + g.host()
	}
	return d
}

func (g odd) list(word func() string) string {
	var b strings.Builder
	for i := range g.pick("1", "1", "12", "12", "123", "1234567") + g.pick("", "") {
		if i > 0 {
			if g.chance(.2) {
				b.WriteString(" " + g.pick("EXCEPT", "except", "Except") + " ")
			}
			b.WriteString(g.pick(" ", " ", " ", ",", ", ", "\t", "\r", ",,", " \v", "\f"))
		}
		b.WriteString(word())
	}
	return b.String() + g.pick("", "", "", "", "", "", "", "", " EXCEPT", ",", "\r")
}

func (g odd) options() string {
	var b strings.Builder
	for range 1 + g.IntN(4) {
		b.WriteString(g.pick(":", ":", ": ", " :", ":\t", ":\v"))
		switch g.IntN(10) {
		case 0, 1:
			b.WriteString(g.pick("allow", "deny", "Allow", "ALLOW ", "allow =", "deny= ", "allow x", "allow=x", "deny\\:", "al\\:low"))
		case 2:
			b.WriteString("severity" + g.pick(" ", "=", "= ", " = ", "\t=\t", "\v", "\f=") + g.pick("info", "mail.info", "MAIL.INFO", "auth.notice", "kern.emerg", "local7.debug", "local8.info", "info.mail", "mail.", ".info", ".", "", "mail.info.x", "a[.]info", "[mail.info", "cron.crit", "uucp.alert", "news.err", "lpr.warning", "security.info", "none"))
		case 3:
			b.WriteString(g.pick("spawn", "setenv", "twist", "aclexec", "setenv X", "setenv X ") + g.pick(" ", "=", " = ", "") + g.expansion())
		case 4:
			b.WriteString(g.pick("nice ", "umask ", "linger ", "rfc931 ", "keepalive ", "nice=", "umask=", "linger=") + g.number() + g.pick("", "", " ", "\v"))
		case 5:
			b.WriteString(g.pick("user nobody", "user nobody.daemon", "user nobody.", "user .daemon", "user nosuchuser-q.daemon", "user nobody.nosuchgroup-q", "group daemon", "group nosuchgroup-q", "group 1", "user 0", "user", "group", "user -x", "user a[.]b"))
		case 6:
			b.WriteString("banners " + g.pick("@DIR@/d", "@DIR@/none", "@DIR@", "@DIR@/l1", ""))
		case 7:
			b.WriteString(g.pick("", " ", "\\", "\\\\", "=", "= x", "bogus", "spawnx", "\x01", "# x", "al low", "\\:", "x\\:y", "keepalive", "rfc931", "nice"))
		default:
			b.WriteString(g.pick("keepalive", "nice", "umask 22", "linger 0", "linger 3", "rfc931 3", "spawn %c %s", "setenv A %h"))
		}
	}
	return b.String()
}

func (g odd) expansion() string {
	var b strings.Builder
	for range g.IntN(8) {
		b.WriteString(g.pick("%a", "%A", "%c", "%d", "%h", "%H", "%n", "%N", "%p", "%r", "%R", "%s", "%u", "%%", "%", "%z", "%\\:", "\\:", "\\", " ", "  ", "\t", "\v", "x", "[", "]", "'", "\"", "$", "\xff", "%\xff", "=", "A=b", "A b"))
	}
	return b.String()
}

// table writes the body of a table, escaped.
func (g odd) table(b *bytes.Buffer, lines int) {
	var text strings.Builder
	for i := range lines {
		s := g.list(g.daemon) + g.pick(":", ": ", " : ", ":", " ") + g.list(g.client)
		if g.chance(.35) {
			s += g.options()
		}
		switch {
		case g.chance(.04):
			s = g.pick("#", " #", "", " ", "\t\r", "\v", ":", "::", ":::", "ALL", "ALL:", ":ALL", "[ALL:ALL", "ALL]:ALL", "ALL[:]ALL:ALL", "#\\", "\\", "\\\\", "# : \\")
		case g.chance(.02):
			// around the limit of 2047 bytes, newline included
			n := 2040 + g.IntN(16) - len(s)
			s += strings.Repeat(g.pick(" ", "x", ","), max(0, n))
		case g.chance(.01):
			s += strings.Repeat("y", 2000+g.IntN(3000))
		}
		for g.chance(.10) && len(s) > 0 {
			j := g.IntN(len(s))
			s = s[:j] + g.pick("\\\n", "\\\n", "\\\r\n", "\\ \n", "\x00", "\x00\x00", "\r", "[", "]", ":", "@", "\\", "\n", "#", "/", "*") + s[j:]
		}
		text.WriteString(s)
		if g.chance(.02) {
			text.WriteString("\\")
		}
		if i < lines-1 || g.chance(.93) {
			text.WriteString(g.pick("\n", "\n", "\n", "\n", "\n", "\n", "\n", "\r\n", "\x00\n", " \n"))
		}
	}
	b.WriteByte('!')
	b.WriteString(escape(text.String()))
	b.WriteByte('\n')
}

func escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c >= 0x7f || c == '\\' {
			fmt.Fprintf(&b, `\x%02x`, c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

func (g odd) oneCase(b *bytes.Buffer, name string) {
	fmt.Fprintf(b, "case %s\n", name)
	if g.chance(.03) {
		fmt.Fprintf(b, "allow %s\n", g.pick("absent", "dir", "notdir"))
	} else if g.chance(.95) {
		b.WriteString("allow\n")
		g.table(b, g.IntN(7))
	}
	switch {
	case g.chance(.3):
		b.WriteString("deny\n|ALL: ALL\n")
	case g.chance(.03):
		fmt.Fprintf(b, "deny %s\n", g.pick("absent", "dir", "notdir"))
	case g.chance(.9):
		b.WriteString("deny\n")
		g.table(b, g.IntN(7))
	}
	for _, f := range []string{"l1", "l2"} {
		fmt.Fprintf(b, "file %s\n", f)
		var s strings.Builder
		for range g.IntN(6) {
			h := g.host()
			if strings.HasPrefix(h, "@DIR@") {
				h = "@DIR@/" + g.pick("none", "d", "nul") // never itself: that crashes C
			}
			s.WriteString(h + g.pick(" ", "\n", "\t", "\v", "\f", "\r\n", "\x00 ", ",", " # "))
		}
		fmt.Fprintf(b, "!%s\n", escape(s.String()))
	}
	b.WriteString("file nul\n!10.0.0.1\\x00zz \\x00 a\\x00\n")
	fmt.Fprintf(b, "file d/sshd\n!%s\n", escape(g.pick("", "hello %a\n", "\x00\x00x %u\n", "a [b\nc\n", "no newline", "a\x00b\nc\n", "%q%\n", "a]\n", strings.Repeat("z", 8189)+"%d\n", strings.Repeat("%c", 5000)+"\n")))
	b.WriteString("netgroup grp host unknown a.example.com\nnetgroup bad *\n")
	for range 6 {
		g.query(b)
	}
}

func (g odd) query(b *bytes.Buffer) {
	word := func(key, v string) {
		if v == "" {
			v = `\e`
			fmt.Fprintf(b, " %s=%s", key, v)
			return
		}
		fmt.Fprintf(b, " %s=%s", key, strings.ReplaceAll(escape(v), " ", `\s`))
	}
	b.WriteString("q")
	word("daemon", g.pick("sshd", "sshd", "sshd", "SSHD", "x", "in.ftpd", "unknown", "", "22", "[x]", "::ffff:1.2.3.4", "1.2.3.4", "a;b", "@x", strings.Repeat("d", 130)))
	if g.chance(.95) {
		word("addr", g.pick("10.0.0.1", "10.0.0.1", "10.1.1.0", "1.2.3.4", "0.0.0.0", "255.255.255.255", g.v4(), g.v6(), g.v6(), "::ffff:"+g.v4(), "unknown", "", "::1", "2001:db8::1"))
	}
	if g.chance(.6) {
		word("host", g.name())
	}
	if g.chance(.4) {
		word("user", g.pick("joe", "JOE", "root", "unknown", "", "j;e", "joe@x", "[joe]", strings.Repeat("u", 127)))
	} else {
		word("ident", g.pick("joe", "unknown", "a;b", "x"))
	}
	if g.chance(.5) {
		word("sport", g.pick("22", "0", "65535", "8", "80"))
	}
	if g.chance(.5) {
		word("cport", g.pick("1024", "0", "65535"))
	}
	if g.chance(.4) {
		word("saddr", g.pick("10.0.0.1", "10.0.0.2", g.v4(), g.v6(), "unknown", ""))
	}
	if g.chance(.3) {
		word("shost", g.name())
	}
	if g.chance(.2) {
		word("aclexec", g.pick("0", "1", "127", "sig9", "sig15"))
	}
	if g.chance(.1) {
		word("resident", "1")
	}
	if g.chance(.1) {
		word("nosock", "1")
	}
	b.WriteByte('\n')
}
