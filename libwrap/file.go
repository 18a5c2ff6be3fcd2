package libwrap

import (
	"errors"
	"syscall"
	"time"
)

// A stamp tells one state of a file from another. An edit that keeps size and
// modification time still shows in the change time, which cannot be set.
type stamp struct {
	regular      bool
	dev, ino     uint64
	size         int64
	mtime, ctime [2]int64 // seconds, nanoseconds
}

// A file system stamps changes with a clock that ticks every few
// milliseconds, so a file read within the tick of its last change may change
// again and keep its stamp. coarse is for file systems that only know whole
// seconds.
const (
	tick   = 20 * time.Millisecond
	coarse = 2100 * time.Millisecond
)

// settled reports whether any change after now gives another stamp.
func (s *stamp) settled(now time.Time) bool {
	wait := tick
	if s.ctime[1] == 0 {
		wait = coarse
	}
	return now.Sub(time.Unix(s.ctime[0], s.ctime[1])) > wait
}

// openFile opens a file for reading. Opening never waits, not even for a fifo.
func openFile(path string) (int, error) {
	for {
		fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
		if err != syscall.EINTR {
			return fd, err
		}
	}
}

func statFile(path string) (stamp, error) {
	var st syscall.Stat_t
	for {
		err := syscall.Stat(path, &st)
		if err == nil {
			return makeStamp(&st), nil
		}
		if err != syscall.EINTR {
			return stamp{}, err
		}
	}
}

func statFD(fd int) (stamp, error) {
	var st syscall.Stat_t
	if err := syscall.Fstat(fd, &st); err != nil {
		return stamp{}, err
	}
	return makeStamp(&st), nil
}

// readFD is read(2) to which a directory is an empty file. Any other error is one,
// while the C library takes it for the end: it would let in whom the rest refuses.
func readFD(fd int, b []byte) (int, error) {
	for {
		n, err := syscall.Read(fd, b)
		switch err {
		case nil:
			return n, nil
		case syscall.EINTR:
			continue
		case syscall.EISDIR:
			return 0, nil
		}
		return 0, err
	}
}

// readAll reads a file to its end, or up to max bytes.
func readAll(fd int, size int64, max int) ([]byte, error) {
	if size < 0 || size > min(int64(max), 1<<30) {
		size = 0
	}
	b := make([]byte, 0, size+512)
	for len(b) < max {
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		n, err := readFD(fd, b[len(b):min(cap(b), max)])
		if err != nil {
			return nil, err
		}
		if n == 0 {
			break
		}
		b = b[:len(b)+n]
	}
	return b, nil
}

// readPath reads a small file.
func readPath(path string, max int) ([]byte, error) {
	fd, err := openFile(path)
	if err != nil {
		return nil, err
	}
	defer syscall.Close(fd)
	return readAll(fd, 0, max)
}

// Strerror words an error as strerror(3) does, which is how the messages of
// tcp_wrappers have always ended: the system's error in it, if there is one, with
// the capital letter that package syscall takes away.
func Strerror(err error) string {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		err = errno
	}
	return strerror(err)
}

func strerror(err error) string {
	s := err.Error()
	if s != "" && 'a' <= s[0] && s[0] <= 'z' {
		s = string(s[0]-'a'+'A') + s[1:]
	}
	return s
}
