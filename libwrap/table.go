package libwrap

import (
	"bytes"
	"strings"
	"syscall"
)

// maxLine is the longest a logical line may be, its newline included.
const maxLine = 2047

// What can be wrong with a line before it is a rule.
const (
	noNewline = "missing newline or line too long"
	noRules   = "all the subsequent rules will be ignored"
	noColon   = `missing ":" separator`
)

// A lineReader yields the logical lines of a table as the C library's fgets
// loop does, odd ends included. It reads from fd through buf, or only what is
// in buf if fd is negative.
type lineReader struct {
	fd         int
	buf        []byte
	start, end int // unread part of buf
	eof        bool
	err        error // in place of the end

	line int    // newlines that ended a piece so far: the line the C library reports
	acc  []byte // a line made of several pieces

	// For checkers, which want true positions: where each piece of the
	// current line came from.
	track  bool
	pieces []piece
	phys   int // physical line being read, from 0
	col    int // bytes of it read
}

// A piece says where a part of a logical line stands in the file.
type piece struct {
	off       int // in the logical line
	line, col int // in the file, both from 1
}

// next returns the next logical line, its newline included. complete is false
// for a line without newline, which ends the table in error. The line is
// valid until the next call.
func (r *lineReader) next() (line []byte, complete, ok bool) {
	r.acc = r.acc[:0]
	r.pieces = r.pieces[:0]
	for len(r.acc) < maxLine {
		chunk := r.gets(maxLine - len(r.acc))
		if len(chunk) == 0 {
			break
		}
		if r.track {
			r.pieces = append(r.pieces, piece{len(r.acc), r.phys + 1, r.col + 1})
			r.col += len(chunk)
			if chunk[len(chunk)-1] == '\n' {
				r.phys++
				r.col = 0
			}
		}
		// To C the chunk ends at a NUL: the rest of it is lost, newline and
		// all, and what follows is glued on.
		if i := bytes.IndexByte(chunk, 0); i >= 0 {
			chunk = chunk[:i]
		}
		n := len(chunk)
		if n == 0 || chunk[n-1] != '\n' {
			r.acc = append(r.acc, chunk...)
			continue
		}
		r.line++
		if n >= 2 && chunk[n-2] == '\\' {
			r.acc = append(r.acc, chunk[:n-2]...)
			continue
		}
		if len(r.acc) == 0 {
			return chunk, true, true
		}
		r.acc = append(r.acc, chunk...)
		return r.acc, true, true
	}
	return r.acc, false, len(r.acc) > 0
}

// gets is fgets(3): up to n bytes, through a newline.
func (r *lineReader) gets(n int) []byte {
	for {
		have := r.buf[r.start:r.end]
		if len(have) > n {
			have = have[:n]
		}
		if i := bytes.IndexByte(have, '\n'); i >= 0 {
			have = have[:i+1]
		} else if len(have) < n && !r.eof {
			r.fill()
			continue
		}
		r.start += len(have)
		return have
	}
}

// fill reads more. The buffer holds at least a whole line.
func (r *lineReader) fill() {
	if r.start > 0 {
		r.end = copy(r.buf, r.buf[r.start:r.end])
		r.start = 0
	}
	var n int
	n, r.err = readFD(r.fd, r.buf[r.end:])
	r.end += n
	r.eof = n == 0
}

// blank reports whether a line is skipped without a word: a comment, which
// begins in the first column, or nothing but blanks.
func blank(line []byte) bool {
	if line[0] == '#' {
		return true
	}
	for _, c := range line {
		if strings.IndexByte(blanks, c) < 0 {
			return false
		}
	}
	return true
}

// ruleText is a logical line in its three fields.
type ruleText struct {
	line             int
	daemons, clients string
	options          string // to the end of the line, newline included
	hasOptions       bool
}

// splitRule cuts a line at its colons. Those in brackets do not count. It
// returns false if there is none.
func splitRule(line string) (r ruleText, ok bool) {
	r.daemons, r.clients, ok = splitAt(line, ':')
	if !ok {
		return r, false
	}
	r.clients, r.options, r.hasOptions = splitAt(r.clients, ':')
	return r, true
}

// A Table is a whole access control file, for programs that examine one; a
// decision does not need it.
type Table struct {
	File  string
	Rules []*Rule
	// Problems are the lines that are no rules but should be, and what ends
	// the table early.
	Problems []Problem
}

// A Problem is a complaint about a place in a table.
type Problem struct {
	Pos  Pos
	Text string // without position
}

// A Rule is one logical line.
type Rule struct {
	Pos     Pos // the file, the line the C library reports (the last of a continued one), column 0
	First   int // physical line the rule starts on, counting from 1
	Daemons []Token
	Clients []Token
	Options []OptionText // nil if the rule has no third field

	text ruleText
}

// A Token is a word of a daemon or client list. The word EXCEPT is a Token
// too. Its position is the true one in the file, column included.
type Token struct {
	Pos  Pos
	Text string
}

// An OptionText is one option as written: the value is not expanded yet.
type OptionText struct {
	Pos        Pos
	Key, Value string
	// Err is why the option is in error and denies, "" if it is fine as far
	// as can be seen without expanding it.
	Err string
}

// ReadTable reads a table whole. The error is a *PathError if the file cannot
// be opened or read; that it is missing is such an error too. A directory is an empty
// table.
func ReadTable(path string) (*Table, error) {
	fd, err := openFile(path)
	if err != nil {
		return nil, &PathError{path, err}
	}
	defer syscall.Close(fd)
	t := &Table{File: path}
	r := lineReader{fd: fd, buf: make([]byte, 2*(maxLine+1)), track: true}
	for {
		line, complete, ok := r.next()
		if r.err != nil {
			return nil, &PathError{path, r.err}
		}
		if !ok {
			return t, nil
		}
		pos := Pos{File: path, Line: r.line}
		if !complete {
			t.Problems = append(t.Problems, Problem{pos, noNewline}, Problem{pos, noRules})
			return t, nil
		}
		if blank(line) {
			continue
		}
		text := string(line)
		rt, ok := splitRule(text)
		rt.line = r.line
		if !ok {
			t.Problems = append(t.Problems, Problem{pos, noColon})
			continue
		}
		rule := &Rule{Pos: pos, First: r.pieces[0].line, text: rt}
		rule.Daemons = r.tokens(path, rt.daemons, 0)
		rule.Clients = r.tokens(path, rt.clients, len(rt.daemons)+1)
		if rt.hasOptions {
			off := len(text) - len(rt.options)
			rule.Options = parseOptions(rt.options, func(o int) Pos { return r.where(path, off+o) })
		}
		t.Rules = append(t.Rules, rule)
	}
}

// tokens lists the words of a field that starts at off in the current line.
func (r *lineReader) tokens(path, list string, off int) []Token {
	var toks []Token
	for rest := list; ; {
		var tok string
		tok, rest = nextToken(rest)
		if tok == "" {
			return toks
		}
		at := len(list) - len(rest) - len(tok)
		toks = append(toks, Token{r.where(path, off+at), tok})
	}
}

// where returns the position in the file of a byte of the current line.
func (r *lineReader) where(path string, off int) Pos {
	p := r.pieces[0]
	for _, q := range r.pieces[1:] {
		if q.off > off {
			break
		}
		p = q
	}
	return Pos{path, p.line, p.col + off - p.off}
}

// A PathError is a file that could not be opened or read.
type PathError struct {
	Path string
	Err  error // a syscall.Errno
}

func (e *PathError) Error() string { return e.Path + ": " + strerror(e.Err) }

// Unwrap returns the cause.
func (e *PathError) Unwrap() error { return e.Err }
