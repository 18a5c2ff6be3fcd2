package libwrap

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

	options    string // third field, its newline included
	hasOptions bool
}

// A Token is a word of a daemon or client list. The word EXCEPT is a Token
// too.
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

// ReadTable reads a table whole. The error is a *PathError if the file cannot be
// opened; a missing file is such an error too.
func ReadTable(path string) (*Table, error) { return nil, nil }

// A PathError is a file that could not be opened.
type PathError struct {
	Path string
	Err  error // a syscall.Errno
}

func (e *PathError) Error() string { return e.Path + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *PathError) Unwrap() error { return e.Err }
