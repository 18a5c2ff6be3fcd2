package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"inetd/inetd/conf"
	"inetd/libwrap/syslog"
)

// What xinetd.conf(5) has a service log of its clients: START, EXIT, FAIL,
// USERID, NOID and TRAFFIC lines, in xinetd's own format, to syslog or to a
// file. Services of inetd.conf have none of it.

// records is where a spec's lines go.
type records struct {
	conf.Log
	id       string
	priority syslog.Priority
}

func newRecords(svc *conf.Service) *records {
	x := svc.Xinetd
	if x == nil || x.Log.OnSuccess == 0 && x.Log.OnError == 0 {
		return nil
	}
	r := &records{Log: x.Log, id: x.ID, priority: syslog.Info}
	if sev, ok := syslog.ParseSeverity(x.Log.Level); ok {
		r.priority = sev
	}
	if fac, ok := syslog.ParseFacility(x.Log.Facility); ok {
		r.priority |= fac
	}
	return r
}

func (s *server) recordStart(c conn, pid int) {
	r := c.e.records
	if r == nil || r.OnSuccess == 0 {
		return
	}
	b := "START: " + r.id
	if r.OnSuccess&conf.LogPID != 0 {
		b += " pid=" + strconv.Itoa(pid)
	}
	if r.OnSuccess&conf.LogHost != 0 {
		b += " from=" + c.address()
	}
	s.record(r, b)
}

func (s *server) recordExit(j *job, status unix.WaitStatus) {
	r := j.e.records
	if r == nil || r.OnSuccess&(conf.LogExit|conf.LogDuration) == 0 {
		return
	}
	b := "EXIT: " + r.id
	if r.OnSuccess&conf.LogExit != 0 {
		if status.Signaled() {
			b += " signal=" + strconv.Itoa(int(status.Signal()))
		} else {
			b += " status=" + strconv.Itoa(status.ExitStatus())
		}
	}
	if r.OnSuccess&conf.LogPID != 0 {
		b += " pid=" + strconv.Itoa(j.pid)
	}
	if r.OnSuccess&conf.LogDuration != 0 {
		b += fmt.Sprintf(" duration=%d(sec)", int(s.now().Sub(j.began).Seconds()))
	}
	s.record(r, b)
}

func (s *server) recordFail(c conn, reason string) {
	r := c.e.records
	if r == nil || r.OnError == 0 {
		return
	}
	b := "FAIL: " + r.id + " " + reason
	if r.OnError&conf.LogHost != 0 {
		b += " from=" + c.address()
	}
	s.record(r, b)
}

func (s *server) recordTraffic(e *entry, in, out int64) {
	if r := e.records; r != nil && r.OnSuccess&conf.LogTraffic != 0 {
		s.record(r, fmt.Sprintf("TRAFFIC: %s in=%d(bytes) out=%d(bytes)", r.id, in, out))
	}
}

// recordUser logs what ident says of a client that got in.
func (s *server) recordUser(c conn, says string) {
	if r := c.e.records; r != nil && r.OnSuccess&conf.LogUserID != 0 {
		s.record(r, "USERID: "+r.id+" "+says)
	}
}

// recordNoID logs why a client that had to have a user was refused.
func (s *server) recordNoID(c conn, err error) {
	if r := c.e.records; r != nil && (r.OnSuccess|r.OnError)&conf.LogUserID != 0 {
		s.record(r, fmt.Sprintf("NOID: %s %s %v", r.id, c.address(), conf.Innermost(err)))
	}
}

// address is the client's, as the lines show it.
func (c conn) address() string {
	if !c.peer.IsValid() {
		return "<no address>"
	}
	return c.peer.Addr().Unmap().String()
}

func (s *server) record(r *records, line string) {
	switch {
	case r.File != "":
		s.files.add(r, line, s.now())
	case r.Facility != "":
		s.log.asks(r.priority, line)
	default:
		s.log.print(r.priority, line)
	}
}

// files writes lines to log files away from the loop: a disk may block. The
// file is opened for each line, so it may be moved away at any time.
type files struct {
	once  sync.Once
	queue chan fileLine
	lost  int // lines, as far as not said
	done  chan struct{}
	warn  func(format string, args ...any) // from any goroutine
	full  map[string]int                   // which limit a file is over, so that it is said once
}

type fileLine struct {
	r    *records
	text string
}

func (f *files) add(r *records, line string, now time.Time) {
	f.once.Do(func() {
		f.queue = make(chan fileLine, 1024)
		f.full = make(map[string]int)
		f.done = make(chan struct{})
		go func() {
			defer close(f.done)
			for l := range f.queue {
				f.write(l)
			}
		}()
	})
	stamp := strings.TrimSuffix(xinetdStamp(now), " ") + ": "
	select {
	case f.queue <- fileLine{r, stamp + printable(line) + "\n"}:
		if f.lost > 0 {
			f.warn("%d log lines are lost: they were not taken in time", f.lost)
			f.lost = 0
		}
	default: // a disk that stands still loses lines, not services
		f.lost++
	}
}

// xinetdStamp has two digits of the year, and month and day as they are.
func xinetdStamp(t time.Time) string {
	return fmt.Sprintf("%02d/%d/%d@%s ", t.Year()%100, t.Month(), t.Day(), t.Format("15:04:05"))
}

// close waits until what is in the queue is written, a second at most: a disk
// may stand still.
func (f *files) close() {
	if f.queue == nil {
		return
	}
	close(f.queue)
	select {
	case <-f.done:
	case <-time.After(time.Second):
	}
}

const (
	underLimits = iota
	overSoft
	overHard
)

// write appends a line, unless the file has its hard size. A file that was
// rotated or shortened is written to again.
func (f *files) write(l fileLine) {
	file, err := openLog(l.r.File)
	if err != nil {
		f.note(l.r.File, overHard, "%v", err)
		return
	}
	defer file.Close()
	fi, err := file.Stat()
	if err != nil {
		f.note(l.r.File, overHard, "%v", err)
		return
	}
	size := uint64(fi.Size()) + uint64(len(l.text))
	over := l.r.Soft != 0 && size > l.r.Soft
	switch {
	case l.r.Hard != 0 && size > l.r.Hard:
		f.note(l.r.File, overHard, "%s has its hard limit of %d bytes: logging there stops until it is smaller", l.r.File, l.r.Hard)
		return
	case over:
		f.note(l.r.File, overSoft, "%s is over its soft limit of %d bytes", l.r.File, l.r.Soft)
	}
	if err := writeNow(file, l.text); err != nil {
		f.note(l.r.File, overHard, "%v", &os.PathError{Op: "write", Path: l.r.File, Err: err})
	} else if !over {
		delete(f.full, l.r.File)
	}
}

// openLog opens a file to add lines to. Only links of root and of the daemon's
// own user are followed: another's may lead to any file.
func openLog(name string) (*os.File, error) {
	const flags = os.O_WRONLY | os.O_APPEND | os.O_CREATE | unix.O_NONBLOCK
	for range 16 {
		// The links of /proc, where /dev/stderr and /dev/fd lead, are the kernel's, and
		// what they say is no path.
		if strings.HasPrefix(name, "/proc/") || strings.HasPrefix(name, "/dev/fd/") {
			return os.OpenFile(name, flags, 0o644)
		}
		f, err := os.OpenFile(name, flags|unix.O_NOFOLLOW, 0o644)
		if err == nil {
			return f, nil
		}
		to, owner, lerr := readLink(name)
		switch {
		case lerr != nil: // it is no link
			return nil, err
		case owner != 0 && int(owner) != os.Geteuid():
			return nil, fmt.Errorf("%s is a symbolic link of uid %d, neither root's nor the daemon's", name, owner)
		case !filepath.IsAbs(to):
			to = name[:strings.LastIndexByte(name, '/')+1] + to // not Join, as a directory may be a link too
		}
		name = to
	}
	return nil, &os.PathError{Op: "open", Path: name, Err: unix.ELOOP}
}

// writeNow does not wait for a FIFO that nobody reads, as File.Write does: the
// lines of all services would wait with it.
func writeNow(f *os.File, text string) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	n := 0
	if e := conn.Control(func(fd uintptr) { n, err = unix.Write(int(fd), []byte(text)) }); e != nil {
		err = e
	}
	if err == nil && n < len(text) {
		err = io.ErrShortWrite
	}
	return err
}

// note says once that a file got into a state.
func (f *files) note(name string, state int, format string, args ...any) {
	if f.full[name] < state {
		f.full[name] = state
		f.warn(format, args...)
	}
}
