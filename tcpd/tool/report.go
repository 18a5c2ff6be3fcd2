// Package tool holds what tcpdchk and tcpdmatch have in common: the command
// line, the form of their messages, and the look they take at paths, host
// names and inetd.conf before they turn to the tables.
//
// The messages are those of the C programs, and like theirs go to standard
// output.
package tool

import (
	"fmt"
	"io"

	"inetd/libwrap"
)

// A Report prints messages and remembers whether there were any.
type Report struct {
	W     io.Writer
	File  string // what messages are about, "" for nothing in particular
	Line  int
	Found bool // something was found
}

// Warnf prints a finding in the words of the C programs.
func (r *Report) Warnf(format string, args ...any) {
	r.Found = true
	if r.File != "" {
		fmt.Fprintf(r.W, "warning: %s, line %d: ", r.File, r.Line)
	} else {
		fmt.Fprint(r.W, "warning: ")
	}
	fmt.Fprintf(r.W, format+"\n", args...)
}

// Atf prints a finding that the C programs do not make, with its place.
func (r *Report) Atf(pos libwrap.Pos, format string, args ...any) {
	r.Found = true
	fmt.Fprintf(r.W, "%v: %s\n", pos, fmt.Sprintf(format, args...))
}

// Event prints what the C library logs about an event of a decision. verbose
// is 1 for options, 2 for rules that match too.
func (r *Report) Event(e *libwrap.Event, verbose int) {
	switch e.Kind {
	case libwrap.Log:
		r.Found = true
		fmt.Fprintln(r.W, e.Text)
	case libwrap.Matched:
		if verbose > 1 {
			fmt.Fprintf(r.W, "matched:  %s line %d\n", e.Pos.File, e.Pos.Line)
		}
	case libwrap.Option:
		if verbose > 0 {
			fmt.Fprintf(r.W, "option:   %s", e.Key)
			if e.Text != "" {
				fmt.Fprintf(r.W, " %s", e.Text)
			}
			fmt.Fprintln(r.W)
		}
	case libwrap.Banner:
		fmt.Fprint(r.W, e.Text)
	}
}

// Events prints all of a decision. What the log will say of a twist is left
// out, as nothing is twisted here.
func (r *Report) Events(events []libwrap.Event, verbose int) {
	for i := range events {
		if i+1 < len(events) && events[i+1].Kind == libwrap.Twist {
			continue
		}
		r.Event(&events[i], verbose)
	}
}
