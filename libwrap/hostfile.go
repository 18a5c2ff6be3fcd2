package libwrap

import (
	"bytes"
	"slices"
	"syscall"
)

const (
	// maxWord is the longest word of a host file; the C library overflows its
	// stack with longer ones.
	maxWord = 8191

	// maxNesting and maxNested bound host files that name host files: how
	// deep, and how many one decision reads.
	maxNesting = 64
	maxNested  = 10000

	// maxHostFile is the largest host file that is kept compiled, in bytes.
	maxHostFile = 16 << 20

	// maxAtOnce is the largest host file, in bytes, for which a decision that
	// must not take time is made. To read this much takes some 10 ms.
	maxAtOnce = 256 << 10
)

// inHostFile looks for the endpoint in a file of host patterns separated by
// space. A file that cannot be used as it stands is an error, which denies:
// ignoring it would open what a deny table closes.
func (d *decision) inHostFile(path string, e *Endpoint) bool {
	if slices.Contains(d.reading, path) {
		d.fail("host file " + path + " names itself")
		return false
	}
	if len(d.reading) > 0 {
		if d.nested++; len(d.reading) >= maxNesting || d.nested > maxNested {
			d.fail("host file " + path + ": host files are nested too deeply")
			return false
		}
	}
	if d.now {
		// Its owner need not be who wrote the table, and can have it read anew.
		if st, err := statFile(path); err == nil && (!st.regular || st.size > maxAtOnce) && !d.t.hostFile(path).current(st) && d.block() {
			return false
		}
	}
	hs, fd, err := d.t.hostFile(path).get(path, compileHosts)
	if err != nil {
		if err != syscall.ENOENT {
			d.warn("open " + path + ": " + strerror(err))
		}
		return false
	}
	d.reading = append(d.reading, path)
	found := false
	tooLong := false
	if hs != nil {
		found = hs.index.first(d, e, func(i int32) bool { return d.hostMatches(hs.words[i], e) && !d.stop() }) >= 0
		tooLong = !found && hs.tooLong
	} else {
		wr := wordReader{fd: fd, buf: make([]byte, maxWord+1)}
		for !found && !d.stop() {
			var w []byte
			if w, tooLong = wr.next(); w == nil {
				break
			}
			found = d.hostMatches(string(w), e)
		}
		syscall.Close(fd)
		if !found && wr.err != nil {
			d.fail("host file " + path + ": " + strerror(wr.err))
		}
	}
	d.reading = d.reading[:len(d.reading)-1]
	if tooLong {
		d.fail("host file " + path + ": word too long")
	}
	return found && !d.stop()
}

// hostFile returns the cache of a host file. Paths come from tables only, but
// may change with them, so there is a limit.
func (t *Tables) hostFile(path string) *cached[*hostSet] {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.hosts[path]
	if c == nil {
		if t.hosts == nil || len(t.hosts) >= 1024 {
			t.hosts = make(map[string]*cached[*hostSet])
		}
		c = &cached[*hostSet]{max: maxHostFile}
		t.hosts[path] = c
	}
	return c
}

// A wordReader yields the words of a file as fscanf("%s") does.
type wordReader struct {
	fd         int
	buf        []byte // of a size no word may reach
	start, end int
	eof        bool
	err        error // in place of the end
}

// next returns the next word, nil at the end or if a word is too long.
func (r *wordReader) next() (word []byte, tooLong bool) {
	for {
		for r.start < r.end && isspace(r.buf[r.start]) {
			r.start++
		}
		i := r.start
		for i < r.end && !isspace(r.buf[i]) {
			i++
		}
		switch {
		case i-r.start > maxWord:
			return nil, true
		case i < r.end || r.eof && r.err == nil && i > r.start:
			word = r.buf[r.start:i]
			r.start = i
			if j := bytes.IndexByte(word, 0); j >= 0 {
				word = word[:j] // the end of a word to C
			}
			return word, false
		case r.eof:
			return nil, false
		}
		if r.start > 0 {
			r.end = copy(r.buf, r.buf[r.start:r.end])
			r.start = 0
		}
		var n int
		n, r.err = readFD(r.fd, r.buf[r.end:])
		r.end += n
		r.eof = n == 0
	}
}

// A hostSet is a compiled host file.
type hostSet struct {
	words   []string
	index   hostIndex
	tooLong bool // it ends at a word that is too long
}

func compileHosts(data string) *hostSet {
	hs := &hostSet{}
	wr := wordReader{fd: -1, buf: []byte(data), end: len(data)}
	wr.eof = true
	for {
		w, tooLong := wr.next()
		if w == nil {
			hs.tooLong = tooLong
			break
		}
		hs.words = append(hs.words, string(w))
	}
	for i, w := range hs.words {
		hs.index.addHost(int32(i), w)
	}
	return hs
}
