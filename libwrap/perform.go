package libwrap

import (
	"context"

	"inetd/libwrap/syslog"
)

// A Conn is the client's connection as far as actions touch it. *net.TCPConn
// is one, and so is FD.
type Conn interface {
	Write(p []byte) (int, error)
	SetLinger(sec int) error // negative turns it off
	SetKeepAlive(on bool) error
}

// FD is a descriptor of the client's connection.
type FD int

// A Performer does what a Verdict says.
type Performer struct {
	// Conn is the client's connection. Actions on it are left out if it is nil.
	Conn Conn

	// Log takes the messages; nil drops them.
	Log func(p syslog.Priority, text string)

	// Self says that this process is the one that serves the client: setenv,
	// umask, nice, user and group change it, and twist replaces it, on Conn,
	// which must be an FD. Otherwise these are left to the caller, who finds
	// them in Verdict.Child.
	Self bool
}

// Perform does everything v asks for, in order. An error means that
// the client must not be served: the identity could not be changed, a
// variable not set, or a twist not started. With Self, a delegated verdict
// does not return except with an error.
func (p *Performer) Perform(ctx context.Context, v *Verdict) error { return nil }

// RunShell runs a command by /bin/sh with standard input, output and error on
// /dev/null and SIGHUP ignored, and waits for it to end. When ctx ends it is
// killed with everything in its process group.
func RunShell(ctx context.Context, command string, env []string) (Status, error) { return Status{}, nil }
