package tool

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"inetd/libwrap"
)

// DefaultConf is read when no other file is named.
const DefaultConf = "/etc/inetd.conf"

// A Wrapping says whether tcpd stands in front of a daemon.
type Wrapping uint8

const (
	Unheard Wrapping = iota // no entry starts it
	Not                     // started without tcpd
	Maybe                   // started by what may be tcpd under another name
	Wrapped                 // started by tcpd, or known to use libwrap itself
)

// Daemons are the process names found in inetd.conf, in lower case.
type Daemons map[string]Wrapping

// Get returns what is known of a name.
func (d Daemons) Get(name string) Wrapping { return d[strings.ToLower(name)] }

// Set notes what is known of a name.
func (d Daemons) Set(name string, w Wrapping) { d[strings.ToLower(name)] = w }

// Inetd reads an inetd.conf and warns of entries that tcpd cannot work with.
// An empty name stands for the default file, which may be missing. The error
// is worded like that of the C programs.
func (r *Report) Inetd(file, daemonDir string) (Daemons, error) {
	name := file
	if name == "" {
		name = DefaultConf
	}
	text, err := os.ReadFile(name)
	if err != nil {
		if file == "" {
			return Daemons{}, nil
		}
		return nil, fmt.Errorf("open %s: %s", name, libwrap.Strerror(err))
	}
	if file == "" {
		r.Path(name)
	}
	c := inetcf{Report: r, daemons: make(Daemons), dir: daemonDir, files: []string{name}}
	r.File, r.Line = name, 0
	c.classic(string(text))
	r.File, r.Line = "", 0
	return c.daemons, nil
}

type inetcf struct {
	*Report
	daemons Daemons
	dir     string   // where tcpd finds daemons
	files   []string // read so far
}

// classic reads the file the way the C programs do, which know a dozen old
// dialects and take nothing for an error. The line they report is the number
// of newlines before the end of the entry.
func (c *inetcf) classic(text string) {
	for text != "" {
		var entry string
		for {
			line, rest, newline := strings.Cut(text, "\n")
			text = rest
			if newline {
				c.Line++
			}
			joined := false
			if newline {
				line, joined = strings.CutSuffix(line, `\`)
			}
			entry += line
			if !joined || text == "" {
				break
			}
		}
		c.entry(strings.FieldsFunc(entry, func(r rune) bool { return strings.ContainsRune(" \t\r", r) }))
	}
}

func (c *inetcf) entry(f []string) {
	next := func() string {
		if len(f) == 0 {
			return ""
		}
		w := f[0]
		f = f[1:]
		return w
	}
	service := next()
	if service == "" || service[0] == '#' {
		return
	}
	if service == ".include" && len(f) == 1 {
		c.include(f[0])
		return
	}
	if !strings.EqualFold(service, "stream") && !strings.EqualFold(service, "dgram") {
		next() // the socket type; without a service name in front it came first
	}
	proto := next()
	next() // wait
	path := next()
	if path == "" {
		return
	}
	if path[0] != '/' { // that was the user
		if path = next(); path == "" {
			return
		}
	}
	path = strings.TrimPrefix(path, "?") // optional service of IRIX
	if strings.EqualFold(path, "internal") {
		return
	}
	if strings.Trim(path, "-0123456789") == "" { // RPC versions of ConvexOS
		if path = next(); path == "" {
			return
		}
	}
	arg0 := next()
	if arg0 != "" && strings.Trim(arg0, "0123456789") == "" { // number of arguments, in a tlid.conf
		arg0 = next()
	}
	if arg0 == "" {
		c.Warnf("incomplete line")
		return
	}
	c.daemon(proto, path, arg0, next())
}

// daemon looks at the program of an entry.
func (c *inetcf) daemon(proto, path, arg0, arg1 string) {
	name := arg0
	if arg0[0] == '/' {
		name = base(arg0)
	}
	fi, err := c.Path(path)
	if err != nil {
		c.Warnf("%s: not found: %s", path, libwrap.Strerror(err))
	} else if fi.Mode()&0o100 == 0 {
		c.Warnf("%s: not executable", path)
	}
	if strings.EqualFold(base(path), "miscd") {
		c.daemons.Set(arg0, Wrapped)
		return
	}
	if strings.EqualFold(name, "rexd") || strings.EqualFold(name, "rpc.rexd") {
		c.Warnf("%s may be an insecure service", name)
	}
	if !strings.EqualFold(base(path), "tcpd") {
		c.daemons.Set(name, c.direct(path, arg0))
		return
	}

	if strings.EqualFold(name, "tcpd") {
		c.Warnf("%s is recursively calling itself", name)
	}
	if err == nil && fi.Mode()&(fs.ModeSetuid|fs.ModeSetgid) != 0 {
		c.Warnf("%s: file is set-uid or set-gid", path)
	}
	if arg0[0] == '/' && strings.EqualFold(name, base(arg1)) {
		c.Warnf("%s inserted before %s", path, arg0)
	}
	real := arg0
	if arg0[0] != '/' {
		real = c.dir + "/" + arg0
	}
	fi, err = c.Path(real)
	switch {
	case err != nil && real == arg0:
		c.Warnf("%s: not found: %s", arg0, libwrap.Strerror(err))
	case err != nil:
		c.Warnf("%s: not found in %s: %s", arg0, c.dir, libwrap.Strerror(err))
	case fi.Mode()&0o100 == 0:
		c.Warnf("%s: not executable", real)
	}
	if strings.EqualFold(proto, "rpc/tcp") {
		c.Warnf("%s: cannot wrap rpc/tcp services", name)
	}
	c.daemons.Set(name, Wrapped)
}

// direct is about a program that is not called tcpd. It may be tcpd all the
// same, where the real daemons were moved to a directory of their own.
func (c *inetcf) direct(path, arg0 string) Wrapping {
	real := c.dir + "/" + arg0
	if strings.EqualFold(path, real) {
		return Not
	}
	_, err := c.Path(real)
	switch {
	case err == nil:
		return Maybe
	case errors.Is(err, syscall.ENOENT):
		return Not
	}
	c.Warnf("%s: file lookup: %s", real, libwrap.Strerror(err))
	return Maybe
}

// include reads the files that match a pattern, which the C programs do not
// know of.
func (c *inetcf) include(pattern string) {
	if !filepath.IsAbs(pattern) {
		pattern = filepath.Join(filepath.Dir(c.File), pattern)
	}
	file, line := c.File, c.Line
	names, _ := filepath.Glob(pattern)
	for _, name := range names {
		if slices.Contains(c.files, name) {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			c.Warnf("open %s: %s", name, libwrap.Strerror(err))
			continue
		}
		c.files = append(c.files, name)
		c.File, c.Line = name, 0
		c.classic(string(text))
		c.File, c.Line = file, line
	}
}

func base(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }
