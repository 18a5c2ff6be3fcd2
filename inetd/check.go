package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"inetd/inetd/conf"
	"inetd/inetd/conf/inetdconf"
	"inetd/inetd/conf/xinetdconf"
)

// check is -t: it reads the files as the daemon would and says what it finds.
// With -v it prints the services as understood, one to a line, with -o in the
// syntax asked for. Then standard output is a file to use, and what is wrong
// or cannot be said in that syntax goes to standard error.
func check(o *options, stdout, stderr io.Writer) int {
	ld := &loader{opts: o, root: os.Geteuid() == 0, ipv6: hasIPv6()}
	ld.waiting = func(hosts []string) {
		fmt.Fprintf(stderr, "inetd: waiting for the addresses of %s\n", strings.Join(hosts, ", "))
	}
	cfg, err := ld.load()
	if err != nil {
		fmt.Fprintf(stderr, "inetd: %v\n", err)
		return 1
	}
	out := bufio.NewWriter(stdout)
	report, source := io.Writer(out), carets{show: isTerminal(stdout)}
	if o.convert != "" {
		report = stderr
	}
	for _, p := range cfg.problems {
		fmt.Fprintln(report, p)
		source.print(report, p.Pos)
	}
	all := cfg.services
	if o.convert == "" {
		all = conf.On(all)
	}
	switch {
	case o.convert == "xinetd.conf":
		lost(stderr, xinetdconf.Format(out, all))
	case o.convert != "":
		lost(stderr, inetdconf.Convert(out, all))
	case o.verbose:
		lost(stderr, inetdconf.Convert(out, all))
	}
	if err := out.Flush(); err != nil {
		fmt.Fprintf(stderr, "inetd: %v\n", err)
		return 1
	}
	if cfg.problems.Errors() > 0 {
		return 1
	}
	return 0
}

func lost(w io.Writer, l conf.ErrorList) {
	for _, e := range l {
		fmt.Fprintln(w, e)
	}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	fi, err := f.Stat()
	return err == nil && fi.Mode()&os.ModeCharDevice != 0
}

// carets shows the line of a problem with a mark under the spot.
type carets struct {
	show  bool
	file  string
	lines [][]byte
}

func (c *carets) print(w io.Writer, pos conf.Pos) {
	if !c.show || pos.Col == 0 {
		return
	}
	if c.file != pos.File {
		text, _ := os.ReadFile(pos.File)
		c.file, c.lines = pos.File, bytes.Split(text, []byte("\n"))
	}
	if pos.Line > len(c.lines) {
		return
	}
	line := strings.TrimRight(string(c.lines[pos.Line-1]), "\r")
	// Tabs stay tabs in the margin, so that the mark stands under its column
	// however wide they are.
	margin := strings.Map(func(r rune) rune {
		if r == '\t' {
			return r
		}
		return ' '
	}, line[:min(pos.Col-1, len(line))])
	fmt.Fprintf(w, "  %s\n  %s^\n", printable(line), margin)
}

// printable keeps a file's bytes from driving the terminal, also those that
// control it from 0x80 on, alone or in UTF-8. Others of another encoding than
// UTF-8 stay as they are.
func printable(s string) string {
	safe := make([]byte, 0, len(s))
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && n == 1 {
			r = rune(s[0])
		}
		if r < ' ' && r != '\t' || 0x7f <= r && r < 0xa0 {
			safe = append(safe, '?')
		} else {
			safe = append(safe, s[:n]...)
		}
		s = s[n:]
	}
	return string(safe)
}
