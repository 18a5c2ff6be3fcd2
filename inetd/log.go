package main

import (
	"bytes"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"inetd/libwrap/syslog"
)

// syslogFacility is tcpd's, set by the linker.
var syslogFacility = "authpriv"

// Messages are lower case without a full stop. The service comes first, then
// the peer; a refusal names the limit or rule that refused. They go to syslog,
// facility daemon, or with -d and -e to stderr.
type logger struct {
	name   string          // inetd or xinetd
	sys    *syslog.Writer  // nil: w alone
	w      io.Writer       // nil: syslog alone
	rescue io.Writer       // in the foreground: for what syslog did not take, as where there is none
	file   bool            // w is that of xinetd -filelog
	asked  *syslog.Writer  // beside that file: for services that ask for syslog
	wrap   syslog.Priority // facility of what tcpd would have logged
	debugs bool

	lines *lineWriter // behind w or rescue
}

// pause is how long the lines of one reload or dump may wait for syslog, which
// on Linux has a queue for ten. Those about clients wait for nobody.
const pause = 200 * time.Millisecond

// patience has the lines that come wait for syslog, all together for d.
func (l *logger) patience(d time.Duration) {
	if l.sys != nil {
		l.sys.SetPatience(d)
	}
}

// flush is for the end of the daemon.
func (l *logger) flush() {
	if l.lines != nil {
		l.lines.flush()
	}
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
	l.write(l.name, p, text)
}

// asks logs the line of a service that asks for a facility of syslog.
func (l *logger) asks(p syslog.Priority, text string) {
	if l.asked == nil || !l.asked.Print(p, text) {
		l.print(p, text)
	}
}

func (l *logger) write(name string, p syslog.Priority, text string) {
	w := l.w
	if l.sys != nil && !l.sys.PrintAs(name, p, text) {
		w = l.rescue
	}
	if w != nil {
		fmt.Fprintf(w, "%s%s: %s\n", l.stamp(), name, printable(text))
	}
}

// as logs a message in the name of a daemon that tcpd would have become, where
// tcpd logs.
func (l *logger) as(daemon string, p syslog.Priority, text string) {
	if p.Facility() == 0 {
		p |= l.wrap
	}
	l.write(daemon, p, text)
}

// stamp is the time in front of a line: short on a terminal, xinetd's in a file
// of its own.
func (l *logger) stamp() string {
	now := time.Now()
	if l.file {
		return xinetdStamp(now)
	}
	return now.Format("15:04:05.000 ")
}

// A lineWriter writes lines away from the loop: who reads standard error may
// stand still, and a disk may block. It loses lines then, not services, and
// says how many.
type lineWriter struct {
	w     io.Writer
	name  string
	fd    int          // of w, if it can say that there is room for a line; -1 otherwise
	queue chan []byte  // nil asks for a word on flushed
	late  atomic.Int64 // lines in the queue
	lost  atomic.Int64

	flushed chan struct{}
}

func newLineWriter(w io.Writer, fd int, name string) *lineWriter {
	l := &lineWriter{w: w, fd: fd, name: name, queue: make(chan []byte, 1024), flushed: make(chan struct{}, 1)}
	go func() {
		for line := range l.queue {
			if n := l.lost.Swap(0); n > 0 {
				fmt.Fprintf(l.w, "%s: %d log lines are lost: they were not taken in time\n", l.name, n)
			}
			if line == nil {
				l.flushed <- struct{}{}
				continue
			}
			l.w.Write(line)
			l.late.Add(-1)
		}
	}()
	return l
}

func (l *lineWriter) Write(line []byte) (int, error) {
	if l.late.Load() == 0 && len(line) <= pipeBuf && l.room() {
		return l.w.Write(line)
	}
	l.late.Add(1)
	select {
	case l.queue <- bytes.Clone(line):
	default:
		l.late.Add(-1)
		l.lost.Add(1)
	}
	return len(line), nil
}

// pipeBuf is how much a pipe takes for certain when poll(2) calls it writable.
// POSIX has at least so much.
const pipeBuf = 512

func (l *lineWriter) room() bool {
	if l.fd < 0 {
		return false
	}
	p := []unix.PollFd{{Fd: int32(l.fd), Events: unix.POLLOUT}}
	n, err := unix.Poll(p, 0)
	return err == nil && n == 1 && p[0].Revents == unix.POLLOUT
}

// flush waits until what is in the queue is written, a second at most.
func (l *lineWriter) flush() {
	late := time.After(time.Second)
	select {
	case l.queue <- nil:
	case <-late:
		return
	}
	select {
	case <-l.flushed:
	case <-late:
	}
}
