package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A transcript is one run of a tool: a block of a .tool file.
//
//	case NAME
//	cmd TOOL ARGUMENT...     words split at blanks, '' is the empty word
//	file NAME                then its lines: | with newline, ~ without
//	rc STATUS
//	1 LINE                   of standard output, \r for a carriage return
//	2 LINE                   of standard error
//
// @DIR@ is the directory it runs in, @TOOL@ the path of the tool.
type transcript struct {
	name  string
	cmd   []string
	files map[string]string
	want  []string
}

func readTranscripts(t *testing.T, file string) []*transcript {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var all []*transcript
	var tr *transcript
	var open string
	for line := range strings.SplitSeq(string(text), "\n") {
		word, rest, _ := strings.Cut(line, " ")
		switch {
		case word == "case":
			tr = &transcript{name: rest, files: make(map[string]string)}
			all = append(all, tr)
		case word == "cmd":
			for _, w := range strings.Fields(rest) {
				tr.cmd = append(tr.cmd, strings.Trim(w, "'"))
			}
		case word == "file":
			open = rest
			tr.files[open] = ""
		case strings.HasPrefix(line, "|"):
			tr.files[open] += line[1:] + "\n"
		case strings.HasPrefix(line, "~"):
			tr.files[open] += line[1:]
		case word == "rc", word == "1", word == "2":
			tr.want = append(tr.want, line)
		}
	}
	return all
}

// run returns what the tool did, in the form of a transcript.
func (tr *transcript) run(t *testing.T) []string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "tool") // world writable above, as the tools say
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	sub := func(s string) string { return strings.ReplaceAll(s, "@DIR@", dir) }
	for name, text := range tr.files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(sub(text)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	tool := program(t, tr.cmd[0])
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, tool)
	for _, a := range tr.cmd[1:] {
		cmd.Args = append(cmd.Args, sub(a))
	}
	cmd.Dir = dir
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C"}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	got := []string{"rc " + strconv.Itoa(cmd.ProcessState.ExitCode())}
	hide := strings.NewReplacer(tool, "@TOOL@", dir, "@DIR@", "\r", `\r`)
	for _, o := range []struct{ n, text string }{{"1", stdout.String()}, {"2", stderr.String()}} {
		if o.text == "" {
			continue
		}
		text, whole := strings.CutSuffix(hide.Replace(o.text), "\n")
		if !whole {
			text += "<no newline>"
		}
		for l := range strings.SplitSeq(text, "\n") {
			got = append(got, strings.TrimRight(o.n+" "+l, " "))
		}
	}
	return got
}

// toolDifferences are the places where we mean to differ from what Debian's
// tools print, or would if they were not mute.
var toolDifferences = struct {
	// Findings with file, line and column are ours alone.
	ours *regexp.Regexp
	// tcpdchk tells by its exit status whether it found something.
	found *regexp.Regexp
}{
	ours:  regexp.MustCompile(`^1 [^ ]+:\d+:\d+: `),
	found: regexp.MustCompile(`^1 (warning|error): `),
}

// TestTools compares with the transcripts of Debian's tools. What they print
// we print, in the same order.
func TestTools(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/usr/sbin/tcpd", "/bin/cat"} {
		if _, err := os.Stat(path); err != nil {
			t.Skipf("the transcripts are about a machine with %s", path)
		}
	}
	if hosts, err := os.ReadFile("/etc/hosts"); err != nil || !regexp.MustCompile(`(?m)^127\.0\.0\.1\s+localhost\b`).Match(hosts) {
		t.Skip("the transcripts are about a machine that calls 127.0.0.1 localhost")
	}
	for _, tr := range readTranscripts(t, "testdata/tools/debian.tool") {
		t.Run(tr.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			found := false
			for _, l := range tr.run(t) {
				switch {
				case toolDifferences.ours.MatchString(l):
					found = true
				default:
					found = found || toolDifferences.found.MatchString(l)
					got = append(got, l)
				}
			}
			if want := "rc 1"; tr.cmd[0] == "tcpdchk" && found {
				if got[0] != want {
					t.Errorf("%q with findings: %s, want %s", tr.cmd, got[0], want)
				}
				got[0] = "rc 0"
			}
			diff(t, got, tr.want)
		})
	}
}

// TestOurTools runs transcripts of what only our tools do.
func TestOurTools(t *testing.T) {
	t.Parallel()
	for _, tr := range readTranscripts(t, "testdata/tools/ours.tool") {
		t.Run(tr.name, func(t *testing.T) {
			t.Parallel()
			diff(t, tr.run(t), tr.want)
		})
	}
}

func diff(t *testing.T, got, want []string) {
	t.Helper()
	if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
		t.Errorf("got:\n%s\nwant:\n%s", g, w)
	}
}
