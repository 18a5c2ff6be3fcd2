// Package syslog writes to the local syslog daemon the way syslog(3) does,
// and is small enough for programs that live for one connection: it imports
// neither net nor os nor fmt, which alone would cost a short-lived program
// more than everything it does itself.
//
//	log := syslog.New("in.ftpd", syslog.Authpriv)
//	log.Print(syslog.Info, "connect from 10.0.0.1 (10.0.0.1)")
//
// A message is one datagram "<PRI>Mmm dd hh:mm:ss IDENT[PID]: text" to
// /dev/log (RFC 3164, section 4.1; no host name on the local socket), or the
// same ended by a NUL on a stream socket where the daemon offers only that.
//
// Writing does not block unless it is told to: a message that cannot be
// delivered at once is dropped. When the daemon has been restarted
// the socket is opened anew.
package syslog

import (
	"strconv"
	"sync"
	"syscall"
	"time"
	"unicode/utf8"
)

// DefaultPath is where the daemon listens.
const DefaultPath = "/dev/log"

// maxLen bounds a whole message, in bytes; what does not fit is cut. Daemons
// commonly take 8 KiB.
const maxLen = 8192

// maxIdent bounds the ident, which tcpd takes from its caller.
const maxIdent = 255

// A Writer logs under one name. It is safe for concurrent use. The zero value
// has no name; see New. Path, Now and TellLost may be set before the first
// message.
type Writer struct {
	Path     string           // the socket; DefaultPath if empty
	Now      func() time.Time // the clock; time.Now if nil
	TellLost bool             // a message that gets through is followed by how many before it did not

	ident    string
	facility Priority

	mu     sync.Mutex
	fd     int  // while up
	up     bool // the socket is open
	stream bool // fd is a stream socket: messages end in NUL
	buf    []byte
	untold uint64 // messages dropped

	patience time.Duration
}

// New returns a Writer for a program called ident. Messages whose priority
// names no facility go to facility. Nothing is opened before the first
// message.
func New(ident string, facility Priority) *Writer {
	return &Writer{ident: ident, facility: facility.Facility()}
}

// Print sends one message. Control bytes in text become '?', so that what a
// peer supplies cannot start a new line or drive a terminal. It reports
// whether the message was handed to the daemon.
func (w *Writer) Print(p Priority, text string) bool { return w.PrintAs(w.ident, p, text) }

// PrintAs is Print in the name of another program.
func (w *Writer) PrintAs(ident string, p Priority, text string) bool {
	if len(ident) > maxIdent {
		ident = ident[:maxIdent]
	}
	now := time.Now
	if w.Now != nil {
		now = w.Now
	}
	t := now()

	w.mu.Lock()
	defer w.mu.Unlock()
	w.format(ident, p, t, text)
	if !w.deliver() {
		w.untold++
		return false
	}
	if w.untold > 0 && w.TellLost {
		w.format(w.ident, Warning, t, strconv.FormatUint(w.untold, 10)+" log lines are lost: they were not taken in time")
		if w.deliver() {
			w.untold = 0
		}
	}
	return true
}

// deliver sends what is formatted, once more if the daemon went away and is
// back already.
func (w *Writer) deliver() bool {
	if !w.up && !w.open() {
		return false
	}
	ok, lost := w.send()
	if lost {
		w.close()
		if w.open() {
			ok, _ = w.send()
		}
	}
	return ok
}

// SetPatience lets the messages that come wait for a daemon that is busy, all
// together for d. A queue on Linux has room for ten by default. 0, as in a new
// Writer, has none wait.
func (w *Writer) SetPatience(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.patience = d
}

// wait writes b as soon as there is room.
func (w *Writer) wait(b []byte) (n int, err error) {
	began := time.Now()
	limit := syscall.NsecToTimeval(max(w.patience, time.Microsecond).Nanoseconds())
	if err := syscall.SetsockoptTimeval(w.fd, syscall.SOL_SOCKET, syscall.SO_SNDTIMEO, &limit); err != nil {
		return 0, err
	}
	syscall.SetNonblock(w.fd, false)
	defer syscall.SetNonblock(w.fd, true)
	n, err = syscall.Write(w.fd, b)
	w.patience = max(0, w.patience-time.Since(began))
	return n, err
}

// Close closes the socket. The next message opens it again.
func (w *Writer) Close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.close()
}

func (w *Writer) close() {
	if w.up {
		syscall.Close(w.fd)
		w.up = false
	}
}

// open connects to the daemon: datagram first, then stream.
func (w *Writer) open() bool {
	path := w.Path
	if path == "" {
		path = DefaultPath
	}
	for _, typ := range [...]int{syscall.SOCK_DGRAM, syscall.SOCK_STREAM} {
		fd, err := socket(typ)
		if err != nil {
			return false
		}
		if err := syscall.Connect(fd, &syscall.SockaddrUnix{Name: path}); err == nil {
			w.fd, w.up, w.stream = fd, true, typ == syscall.SOCK_STREAM
			return true
		} else if syscall.Close(fd); err != syscall.EPROTOTYPE {
			return false
		}
	}
	return false
}

// send writes w.buf once. lost says that the connection is gone, so that
// trying on a new one makes sense.
func (w *Writer) send() (ok, lost bool) {
	b := w.buf
	if w.stream {
		b = append(b, 0)
	}
	for {
		n, err := syscall.Write(w.fd, b)
		if err == syscall.EAGAIN && w.patience > 0 {
			n, err = w.wait(b)
		}
		switch {
		case err == nil && n == len(b):
			return true, false
		case err == nil:
			// Half a message on a stream: the daemon would glue the next one
			// to it. Start over on a fresh connection, without this message.
			w.close()
			w.open()
			return false, false
		case err == syscall.EINTR:
		case err == syscall.EAGAIN, err == syscall.ENOBUFS, err == syscall.EMSGSIZE:
			return false, false
		default:
			return false, true
		}
	}
}

const months = "JanFebMarAprMayJunJulAugSepOctNovDec"

func (w *Writer) format(ident string, p Priority, t time.Time, text string) {
	if p.Facility() == 0 {
		p |= w.facility
	}
	b := append(w.buf[:0], '<')
	b = strconv.AppendInt(b, int64(p&(facilityMask|severityMask)), 10)
	b = append(b, '>')
	_, month, day := t.Date()
	hour, min, sec := t.Clock()
	b = append(b, months[3*(month-1):3*month]...)
	b = append(b, ' ')
	b = two(b, day, ' ')
	b = append(b, ' ')
	b = two(b, hour, '0')
	b = append(b, ':')
	b = two(b, min, '0')
	b = append(b, ':')
	b = two(b, sec, '0')
	b = append(b, ' ')
	b = clean(b, ident)
	b = append(b, '[')
	b = strconv.AppendInt(b, int64(syscall.Getpid()), 10)
	b = append(b, ']', ':', ' ')
	if room := maxLen - 1 - len(b); len(text) > room {
		text = text[:room]
	}
	b = clean(b, text)
	w.buf = b
}

func two(b []byte, n int, pad byte) []byte {
	if n < 10 {
		return append(b, pad, byte('0'+n))
	}
	return append(b, byte('0'+n/10), byte('0'+n%10))
}

// clean adds s to b without what drives a terminal: the control characters, and
// those from U+0080 to U+009F whether they are written as UTF-8 or as one byte.
func clean(b []byte, s string) []byte {
	for s != "" {
		r, n := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && n == 1 {
			r = rune(s[0])
		}
		if r < ' ' || 0x7f <= r && r < 0xa0 {
			b = append(b, '?')
		} else {
			b = append(b, s[:n]...)
		}
		s = s[n:]
	}
	return b
}
