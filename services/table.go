// Package services holds the built-in services of inetd(8): echo, discard,
// daytime, time, chargen and auth, and the wire side of tcpmux. One RFC per
// file. The package opens no listening sockets and knows no configuration: the
// daemon hands it a datagram or a connected socket and gets bytes back.
//
// Nothing here runs before it is asked, and nothing imports package net.
package services

import "time"

// A Builtin is one row of the table of internal services. Rows are read-only.
type Builtin struct {
	Name string // the official name of services(5)

	// Reply appends the whole answer of a one-shot service (daytime, time),
	// sent on a new connection and in answer to any datagram. Nil for the rest.
	Reply func(dst []byte, now time.Time) []byte

	// Datagram appends the answer to one datagram. dst may be msg[:0]. A nil
	// result is no answer (discard), an empty one is an empty datagram. Nil for
	// services that have Reply and for those without a datagram form. Neither
	// it nor Reply blocks or allocates while dst has room.
	Datagram func(dst, msg []byte, now time.Time) []byte

	// Stream converses on a connection until the peer is done (nil), an error,
	// or a limit (os.ErrDeadlineExceeded). It blocks, so it runs in a goroutine
	// of its own. It leaves c open. It is nil for services that have Reply, and
	// for tcpmux, which hands its clients on: see ReadMuxName.
	Stream func(c *Conn) error

	options string // getopt(3) letters its arguments may use
}

// HasStream reports whether the service can stand on a stream socket.
func (b *Builtin) HasStream() bool { return b.Reply != nil || b.Stream != nil || b.Name == "tcpmux" }

// HasDatagram reports whether the service can stand on a datagram socket.
func (b *Builtin) HasDatagram() bool { return b.Reply != nil || b.Datagram != nil }

// Answer appends what b says to one datagram, whichever form b has; nil is no
// answer.
func (b *Builtin) Answer(dst, msg []byte, now time.Time) []byte {
	switch {
	case b.Datagram != nil:
		return b.Datagram(dst, msg, now)
	case b.Reply != nil:
		return b.Reply(dst, now)
	}
	return nil
}

// CheckArgs reports what is wrong with a service's argument field, so that it
// is said when the configuration is read. A first word that is no option is
// argv[0] and skipped.
func (b *Builtin) CheckArgs(args []string) error {
	_, err := parseOptions(b.options, args)
	return err
}

const limitOptions = "I:L:"

// tcpmux has a row so that a configuration may name it; the daemon holds its
// conversation with ReadMuxName, because only the daemon knows the entries.
var table = []Builtin{
	{Name: "echo", Datagram: echoDatagram, Stream: echo, options: limitOptions},
	{Name: "discard", Datagram: discardDatagram, Stream: discard, options: limitOptions},
	{Name: "chargen", Datagram: chargenDatagram, Stream: chargen, options: limitOptions},
	{Name: "daytime", Reply: daytime},
	{Name: "time", Reply: machineTime},
	{Name: "tcpmux"},
	{Name: "auth", Stream: ident, options: identOptions + limitOptions},
}

// The aliases of services(5).
var aliases = map[string]string{
	"sink":           "discard",
	"null":           "discard",
	"ttytst":         "chargen",
	"source":         "chargen",
	"timserver":      "time",
	"timeserver":     "time",
	"ident":          "auth",
	"tap":            "auth",
	"authentication": "auth",
}

// Lookup returns the built-in of that name or services(5) alias, nil if there
// is none.
func Lookup(name string) *Builtin {
	if official, ok := aliases[name]; ok {
		name = official
	}
	for i := range table {
		if table[i].Name == name {
			return &table[i]
		}
	}
	return nil
}
