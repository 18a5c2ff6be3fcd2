package main

import (
	"fmt"
	"io"
	"time"

	"inetd/libwrap/syslog"
)

// syslogFacility is tcpd's, set by the linker.
var syslogFacility = "authpriv"

// Messages are lower case without a full stop. The service comes first, then
// the peer; a refusal names the limit or rule that refused. They go to syslog,
// facility daemon, or with -d and -e to stderr.
type logger struct {
	sys    *syslog.Writer  // nil: w alone
	w      io.Writer       // nil: syslog alone
	wrap   syslog.Priority // facility of what tcpd would have logged
	debugs bool
}

func (l *logger) err(format string, args ...any)  { l.log(syslog.Err, format, args) }
func (l *logger) warn(format string, args ...any) { l.log(syslog.Warning, format, args) }
func (l *logger) info(format string, args ...any) { l.log(syslog.Info, format, args) }
func (l *logger) debug(format string, args ...any) {
	if l.debugs {
		l.log(syslog.Debug, format, args)
	}
}

func (l *logger) log(p syslog.Priority, format string, args []any) {
	l.print(p, fmt.Sprintf(format, args...))
}

func (l *logger) print(p syslog.Priority, text string) {
	if l.sys != nil {
		l.sys.Print(p, text)
	}
	if l.w != nil {
		fmt.Fprintf(l.w, "%s inetd: %s\n", time.Now().Format("15:04:05.000"), text)
	}
}

// as logs a message in the name of a daemon that tcpd would have become, where
// tcpd logs.
func (l *logger) as(daemon string, p syslog.Priority, text string) {
	if l.sys != nil {
		w := syslog.New(daemon, l.wrap)
		w.Print(p, text)
		w.Close()
	}
	if l.w != nil {
		fmt.Fprintf(l.w, "%s %s: %s\n", time.Now().Format("15:04:05.000"), daemon, text)
	}
}
