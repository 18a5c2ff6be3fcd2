package conf

import (
	"errors"
	"fmt"
	"sort"
	"strings"
)

// A Pos is a place in a configuration file. Line and Col count from 1, Col in
// bytes; a zero Col means the whole line and a zero Line the whole file.
type Pos struct {
	File string
	Line int
	Col  int
}

func (p Pos) String() string {
	switch {
	case p.Line == 0:
		return p.File
	case p.Col == 0:
		return fmt.Sprintf("%s:%d", p.File, p.Line)
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Col)
}

// An Error is one thing wrong, or for a warning one thing odd, at one place.
type Error struct {
	Pos     Pos
	Field   string // the field's name in the manual, "" when it is about the line
	Err     error
	Warning bool // the service is kept
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Pos.String())
	b.WriteString(": ")
	if e.Warning {
		b.WriteString("warning: ")
	}
	if e.Field != "" {
		b.WriteString(e.Field)
		b.WriteString(": ")
	}
	b.WriteString(e.Err.Error())
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

// Innermost is err without the operation and path, or whatever else is around
// it, for messages that name them already.
func Innermost(err error) error {
	for {
		u := errors.Unwrap(err)
		if u == nil {
			return err
		}
		err = u
	}
}

// An ErrorList holds errors and warnings in the order they were found.
type ErrorList []*Error

// Errorf adds an error.
func (l *ErrorList) Errorf(pos Pos, field, format string, args ...any) {
	*l = append(*l, &Error{Pos: pos, Field: field, Err: fmt.Errorf(format, args...)})
}

// Warnf adds a warning.
func (l *ErrorList) Warnf(pos Pos, field, format string, args ...any) {
	*l = append(*l, &Error{Pos: pos, Field: field, Err: fmt.Errorf(format, args...), Warning: true})
}

// Errors counts the entries that are not warnings.
func (l ErrorList) Errors() int {
	n := 0
	for _, e := range l {
		if !e.Warning {
			n++
		}
	}
	return n
}

// Sort orders the list by line and column within each file; files stay in the
// order in which they were read.
func (l ErrorList) Sort() {
	file := make(map[string]int)
	for _, e := range l {
		if _, ok := file[e.Pos.File]; !ok {
			file[e.Pos.File] = len(file)
		}
	}
	sort.SliceStable(l, func(i, j int) bool {
		a, b := l[i].Pos, l[j].Pos
		if a.File != b.File {
			return file[a.File] < file[b.File]
		}
		if a.Line != b.Line {
			return a.Line < b.Line
		}
		return a.Col < b.Col
	})
}
