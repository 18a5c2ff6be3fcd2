package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestGetopt(t *testing.T) {
	for _, tt := range []struct {
		args string
		want string // what is set, then the rest or the error
	}{
		{"", "| "},
		{"file", "| file"},
		{"-d", "d= | "},
		{"-di file", "d= i= | file"},
		{"-R40", "R=40 | "},
		{"-R 40", "R=40 | "},
		{"-dR40", "d= R=40 | "},
		{"-dR 40 x", "d= R=40 | x"},
		{"-R -1", "R=-1 | "},
		{"-d -- -i", "d= | -i"},
		{"-d - -i", "d= | - -i"},
		{"file -d", "| file -d"},
		{"-R", "| option -R takes an argument"},
		{"-dR", "d= | option -R takes an argument"},
		{"-x", "| unknown option -x"},
		{"-:", "| unknown option -:"},
		{"-d-", "d= | unknown option --"},
		{"-b", "| option -b: bad"},
		{"-d --rate=10", "d= | there are no long options: --rate is -R here"},
		{"--pidf=x", "| there are no long options: --pidfile is -p here"},
		{"--debug", "| there are no long options: --debug is -d here"},
		{"--version", "| there are no long options: --version is -V here"},
		{"--resolve", "| option --resolve of inetutils is not known here"},
		{"--help", "| there are no long options: --help"},
	} {
		var set []string
		rest, err := getopt(strings.Fields(tt.args), "dibR:", func(c byte, arg string) error {
			if c == 'b' {
				return fmt.Errorf("bad")
			}
			set = append(set, fmt.Sprintf("%c=%s ", c, arg))
			return nil
		})
		got := strings.Join(set, "") + "| " + strings.Join(rest, " ")
		if err != nil {
			got = strings.Join(set, "") + "| " + err.Error()
		}
		if got != tt.want {
			t.Errorf("getopt(%q) = %q, want %q", tt.args, got, tt.want)
		}
	}
}

func TestParseArgs(t *testing.T) {
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args string
		want string
		got  func(o *options) string
	}{
		{"", "[/etc/inetd.conf] 4096 false false", func(o *options) string {
			return fmt.Sprint(o.files, " ", o.backlog, " ", o.foreground, " ", o.stderr)
		}},
		{"", "{40 -1 -1 -1}", limitsOf},
		{"-R 5", "{5 -1 -1 -1}", limitsOf},
		{"-R0", "{-1 -1 -1 -1}", limitsOf},
		{"-c 3 -C 7 -s 9", "{40 3 7 9}", limitsOf},
		{"-q 7", "7 []", backlogOf},
		{"-q 0", "1 [option -q: 0 is not a queue length from 1 to 65535 and taken for 1]", backlogOf},
		{"-q 99999", "65535 [option -q: 99999 is not a queue length from 1 to 65535 and taken for 65535]", backlogOf},
		{"-d", "true true true", func(o *options) string { return fmt.Sprint(o.debug, " ", o.foreground, " ", o.stderr) }},
		{"-i", "false true false", func(o *options) string { return fmt.Sprint(o.debug, " ", o.foreground, " ", o.stderr) }},
		{"-f", "false true false", func(o *options) string { return fmt.Sprint(o.debug, " ", o.foreground, " ", o.stderr) }},
		{"-e", "false false true", func(o *options) string { return fmt.Sprint(o.debug, " ", o.foreground, " ", o.stderr) }},
		{"-E", "true", func(o *options) string { return fmt.Sprint(o.keepEnv) }},
		{"-a 127.0.0.1", "127.0.0.1", func(o *options) string { return strings.Join(o.hosts, " ") }},
		{"-a localhost", "localhost", func(o *options) string { return strings.Join(o.hosts, " ") }},
		{"-a 127.0.0.1,[::1]", "127.0.0.1 ::1", func(o *options) string { return strings.Join(o.hosts, " ") }},
		{"-a ::1", "::1", func(o *options) string { return strings.Join(o.hosts, " ") }},
		{"-a *", "", func(o *options) string { return strings.Join(o.hosts, " ") }},
		{"-tv", "true true", func(o *options) string { return fmt.Sprint(o.check, " ", o.verbose) }},
		{"-p pid a /b", fmt.Sprintf("%s/pid [%s/a /b]", dir, dir), func(o *options) string { return fmt.Sprint(o.pidFile, " ", o.files) }},
	} {
		o, err := parseArgs(strings.Fields(tt.args))
		if err != nil {
			t.Errorf("parseArgs(%q): %v", tt.args, err)
			continue
		}
		if got := tt.got(o); got != tt.want {
			t.Errorf("parseArgs(%q) = %s, want %s", tt.args, got, tt.want)
		}
	}
	for _, tt := range []struct{ args, want string }{
		{"-R -1", `option -R: "-1" is not a number (0 is unlimited)`},
		{"-c x", `option -c: "x" is not a number (0 is unlimited)`},
		{"-q many", `option -q: "many" is not a queue length from 1 to 65535`},
		{"-q -1", `option -q: "-1" is not a queue length from 1 to 65535`},
		{"-Z", "unknown option -Z"},
	} {
		if _, err := parseArgs(strings.Fields(tt.args)); err == nil || err.Error() != tt.want {
			t.Errorf("parseArgs(%q) = %v, want %q", tt.args, err, tt.want)
		}
	}
}

func backlogOf(o *options) string { return fmt.Sprint(o.backlog, " ", o.warnings) }

func limitsOf(o *options) string {
	l := o.limits
	return fmt.Sprintf("{%d %d %d %d}", l.Rate, l.Children, l.SourceRate, l.SourceChildren)
}

// checked is what inetd -t prints and its exit status.
func checked(t *testing.T, args ...string) (string, int) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	status := run(append([]string{"-t"}, args...), &stdout, &stderr)
	if stderr.Len() > 0 {
		t.Errorf("inetd -t %q says on stderr: %s", args, &stderr)
	}
	return stdout.String(), status
}

// What -t -v prints is a configuration that means the same: it is printed
// again as it is. The dialects' files are full of what this machine has not,
// so problems are left aside.
func TestCheckVerbose(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("conf/inetdconf/testdata/*.conf")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	files = append(files, "../examples/inetd.conf")
	for _, file := range files {
		services := func(file string) []string {
			out, _ := checked(t, "-v", file)
			var lines []string
			for l := range strings.Lines(out) {
				if !strings.HasPrefix(l, "/") || strings.Contains(l, " unix") {
					lines = append(lines, l)
				}
			}
			return lines
		}
		first := services(file)
		if len(first) == 0 {
			t.Errorf("inetd -t -v %s prints no services", file)
		}
		again := filepath.Join(t.TempDir(), "inetd.conf")
		if err := os.WriteFile(again, []byte(strings.Join(first, "")), 0o644); err != nil {
			t.Fatal(err)
		}
		if second := services(again); !slices.Equal(first, second) {
			t.Errorf("%s is\n%s\nwhich is\n%s", file, strings.Join(first, ""), strings.Join(second, ""))
		}
	}
}

// The example has nothing wrong with it but that its programs may not be
// installed.
func TestCheckExample(t *testing.T) {
	t.Parallel()
	out, status := checked(t, "../examples/inetd.conf")
	if status != 0 {
		t.Errorf("inetd -t examples/inetd.conf = %d, want 0", status)
	}
	for l := range strings.Lines(out) {
		if !strings.Contains(l, "warning: program: /usr/local/sbin/") && !strings.Contains(l, "warning: arguments: behind tcpd: /usr/local/sbin/") {
			t.Errorf("inetd -t examples/inetd.conf: %s", l)
		}
	}
}
