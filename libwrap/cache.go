package libwrap

import (
	"cmp"
	"math"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// A cached is a file and its compiled form. The zero value is ready for use.
type cached[T any] struct {
	max   int64 // largest file that is kept compiled, in bytes; 0 is maxCompiled
	state atomic.Pointer[cachedState[T]]
	mu    sync.Mutex // held while compiling
}

type cachedState[T any] struct {
	stamp    stamp
	settled  bool // any later change gives another stamp
	compiled bool
	data     string
	form     T
}

// maxCompiled is for tables, which root writes. The compiled form takes up to 75
// times as much as the file.
const maxCompiled = 256 << 20

// current says whether the compiled form is that of a file as it is now.
func (c *cached[T]) current(st stamp) bool {
	s := c.state.Load()
	return s != nil && s.compiled && s.settled && s.stamp == st
}

// get returns the compiled form of the file at path, or, the first time it is
// asked for, a descriptor to read it from: a program that decides once has no
// use for the compiled form. Enormous and special files are always read, and so is
// one that could not be. The caller closes the descriptor.
func (c *cached[T]) get(path string, compile func(data string) T) (form T, fd int, err error) {
	s := c.state.Load()
	if s == nil {
		fd, err := openFile(path)
		if err == nil {
			c.state.CompareAndSwap(nil, &cachedState[T]{})
		}
		return form, fd, err
	}
	st, err := statFile(path)
	if err != nil {
		return form, -1, err
	}
	if s.compiled && s.settled && s.stamp == st {
		return s.form, -1, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if s = c.state.Load(); s.compiled && s.settled && s.stamp == st {
		return s.form, -1, nil // another goroutine was faster
	}
	now := time.Now()
	if fd, err = openFile(path); err != nil {
		return form, -1, err
	}
	if st, err = statFD(fd); err == nil && (!st.regular || st.size > cmp.Or(c.max, maxCompiled)) {
		return form, fd, nil
	}
	var data []byte
	if err == nil {
		data, err = readAll(fd, st.size, math.MaxInt)
	}
	if err != nil {
		_, err = syscall.Seek(fd, 0, 0)
		return form, fd, err
	}
	syscall.Close(fd)
	n := &cachedState[T]{stamp: st, settled: st.settled(now), compiled: true}
	if s.compiled && s.data == string(data) {
		n.data, n.form = s.data, s.form
	} else {
		n.data = string(data)
		n.form = compile(n.data)
	}
	c.state.Store(n)
	return n.form, -1, nil
}
