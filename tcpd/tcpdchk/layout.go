package main

import (
	"bytes"
	"strings"

	"inetd/libwrap"
)

// maxLine is the longest a rule may be, continued lines joined, its newline
// included.
const maxLine = 2047

// A layout is how a table looks to somebody who has it in an editor: in lines,
// whatever they mean.
type layout struct {
	file string
	text []string // lines without their newline
	join []bool   // the line continues the one before

	odd []oddity
}

// An oddity is something that is easily missed when looking at a line.
type oddity struct {
	pos  libwrap.Pos
	text string
}

func lay(file string, text []byte) layout {
	l := layout{file: file}
	crlf := false
	for len(text) > 0 {
		line, rest, _ := bytes.Cut(text, []byte{'\n'})
		l.text = append(l.text, string(line))
		text = rest
		n := len(l.text)
		joined := n > 1 && strings.HasSuffix(l.text[n-2], `\`)
		l.join = append(l.join, joined)
		crlf = l.line(n, joined, crlf)
	}
	return l
}

// line looks at line n. It returns whether a CR LF was seen so far.
func (l *layout) line(n int, joined, crlf bool) bool {
	s := l.text[n-1]
	note := func(col int, text string) {
		l.odd = append(l.odd, oddity{libwrap.Pos{File: l.file, Line: n, Col: col}, text})
	}
	if n == 1 && strings.HasPrefix(s, "\xef\xbb\xbf") {
		note(1, "byte order mark: it is part of the first word")
	}
	if l.indented(n) {
		note(1+strings.IndexByte(s, '#'), "a comment starts in the first column: this line is none")
	}
	if joined {
		if first := l.first(n); strings.HasPrefix(l.text[first-1], "#") && !strings.HasPrefix(strings.TrimLeft(s, " \t"), "#") {
			note(1, "the line belongs to the comment above, which ends in a backslash")
		}
	}
	if i := strings.IndexByte(s, 0); i >= 0 {
		note(i+1, "NUL byte: the rest of the line is lost, and the next line is joined to it")
	}
	if !crlf && strings.HasSuffix(s, "\r") {
		crlf = true
		note(len(s), "the line ends in CR LF: a backslash before that does not continue it")
	}
	return crlf
}

// first returns the line on which the rule starts that line n is part of.
func (l *layout) first(n int) int {
	for n = min(n, len(l.text)); n > 1 && l.join[n-1]; n-- {
	}
	return max(n, 1)
}

// indented reports whether line n looks like a comment but is none.
func (l *layout) indented(n int) bool {
	if n > len(l.text) || l.join[n-1] {
		return false
	}
	s := strings.TrimPrefix(l.text[n-1], "\xef\xbb\xbf")
	return !strings.HasPrefix(l.text[n-1], "#") && strings.HasPrefix(strings.TrimLeft(s, " \t\r\v\f"), "#")
}

// broken returns where the table ends too early, and why.
func (l *layout) broken() (libwrap.Pos, string) {
	size := 0
	for i, s := range l.text {
		if !l.join[i] {
			size = 0
		}
		if size += len(strings.TrimSuffix(s, `\`)); size >= maxLine {
			return libwrap.Pos{File: l.file, Line: l.first(i + 1), Col: 1}, "rule of more than 2047 bytes"
		}
	}
	pos := libwrap.Pos{File: l.file, Line: len(l.text)}
	if pos.Line > 0 { // it may have been emptied in between
		pos.Col = len(l.text[pos.Line-1]) + 1
	}
	return pos, "the last line does not end in a newline"
}
