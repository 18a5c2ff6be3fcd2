package main

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"

	"inetd/libwrap"
	"inetd/tcpd/tool"
)

// obsolete warns of a word that the first versions of tcpd knew.
func (c *checker) obsolete() {
	c.Warnf("FAIL is no longer recognized")
	c.Warnf("(use EXCEPT or DENY instead)")
}

// daemon criticizes a daemon pattern.
func (c *checker) daemon(t libwrap.Token) {
	name := t.Text
	switch word := strings.ToUpper(name); {
	case name == "":
	case name[0] == '@':
		c.Warnf("%s: daemon name begins with \"@\"", name)
	case name[0] == '/':
		c.Warnf("%s: daemon name begins with \"/\"", name)
	case name[0] == '.':
		c.Warnf("%s: daemon name begins with dot", name)
	case name[len(name)-1] == '.':
		c.Warnf("%s: daemon name ends in dot", name)
	case word == "ALL":
	case word == "UNKNOWN":
		c.Atf(t.Pos, "%s: a reserved word for clients; as a daemon it is an ordinary name", name)
	case word == "FAIL":
		c.obsolete()
	case word == "KNOWN":
		c.Warnf("%s: daemon name may be reserved word", name)
		c.Atf(t.Pos, "%s: a reserved word for clients; as a daemon it is as good as ALL", name)
	case word == "PARANOID", word == "LOCAL":
		c.Warnf("%s: daemon name may be reserved word", name)
		c.Atf(t.Pos, "%s: a reserved word for clients; as a daemon it is an ordinary name", name)
	default:
		switch c.daemons.Get(name) {
		case tool.Unheard:
			c.Warnf("%s: no such process name in %s", name, c.inetconf)
			c.daemons.Set(name, tool.Wrapped) // once is enough
		case tool.Not:
			c.Warnf("%s: service possibly not wrapped", name)
			c.daemons.Set(name, tool.Wrapped)
		}
	}
}

// user criticizes the user part of a client pattern.
func (c *checker) user(t libwrap.Token) {
	name := t.Text
	switch word := strings.ToUpper(name); {
	case name == "":
	case name[0] == '@':
		c.Warnf("%s: user name begins with \"@\"", name)
	case name[0] == '/':
		c.Warnf("%s: user name begins with \"/\"", name)
	case name[0] == '.':
		c.Warnf("%s: user name begins with dot", name)
	case name[len(name)-1] == '.':
		c.Warnf("%s: user name ends in dot", name)
	case word == "ALL", word == "UNKNOWN", word == "KNOWN":
	case word == "FAIL":
		c.obsolete()
	case word == "PARANOID", word == "LOCAL":
		c.Warnf("%s: user name may be reserved word", name)
		c.Atf(t.Pos, "%s: a reserved word for hosts; as a user it is an ordinary name", name)
	}
}

// host criticizes a host pattern and returns how many addresses it stands for,
// 1 if that cannot be counted.
func (c *checker) host(ctx context.Context, t libwrap.Token) int {
	if c.piece(t.Pos) {
		return 1
	}
	pat := t.Text
	word := strings.ToUpper(pat)
	addrs := 1
	why := libwrap.ExplainHost(pat)
	_, _, isNet := tool.SplitAt(pat, '/')
	ip6, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(pat, "["), "]"))
	switch {
	case pat == "": // after daemon@ or user@
		addrs = c.CheckHost(ctx, pat)
	case pat[0] == '@':
		if !netgroup(ctx, pat[1:]) {
			c.Warnf("%s: unknown or empty netgroup", pat[1:])
		}
	case pat[0] == '/':
		c.hostFile(ctx, t)
	case isNet:
		if strings.HasPrefix(why, "bad net/mask pattern") || strings.HasPrefix(why, "IPv6 nets need brackets") {
			c.Warnf("%s: bad net/mask pattern", pat)
		}
	case word == "FAIL":
		c.obsolete()
	case word == "ALL", word == "UNKNOWN", word == "KNOWN", word == "PARANOID", word == "LOCAL":
	case pat[0] == '[' && pat[len(pat)-1] == ']' && err == nil && ip6.Is6():
	case tool.NotAddress(pat):
		if pat[len(pat)-1] == '.' {
			c.Warnf("%s: domain or host name ends in dot", pat)
		} else if pat[0] != '.' {
			addrs = c.CheckHost(ctx, pat)
		}
	case pat[0] == '.':
		c.Warnf("%s: network number begins with dot", pat)
	}
	if why != "" {
		c.Atf(t.Pos, "%s: %s", pat, why)
	}
	return addrs
}

// hostFile looks at every pattern of a file.
func (c *checker) hostFile(ctx context.Context, t libwrap.Token) {
	path := t.Text
	if slices.Contains(c.hostFiles, path) {
		c.Atf(t.Pos, "%s: the file names itself: %s", path, denies)
		return
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, syscall.EISDIR) {
		err = nil
	}
	if err != nil {
		if !errors.Is(err, syscall.ENOENT) {
			c.Warnf("open %s: %s", path, libwrap.Strerror(err))
		}
		return
	}
	if bytes.IndexByte(text, 0) >= 0 {
		c.Atf(t.Pos, "%s: the file is not text", path)
		return
	}
	file, line := c.File, c.Line
	c.hostFiles = append(c.hostFiles, path)
	c.File = path
	for i, l := range strings.SplitAfter(string(text), "\n") {
		c.Line = i + 1
		for j := 0; j < len(l); {
			n := strings.IndexAny(l[j:], " \t\r\n\v\f")
			if n < 0 {
				n = len(l) - j
			}
			if n > 0 {
				c.host(ctx, libwrap.Token{Pos: libwrap.Pos{File: path, Line: c.Line, Col: j + 1}, Text: l[j : j+n]})
			}
			j += n + 1
		}
	}
	c.File, c.Line = file, line
	c.hostFiles = c.hostFiles[:len(c.hostFiles)-1]
}

// netgroup reports whether a netgroup has members.
func netgroup(ctx context.Context, name string) bool {
	out, err := exec.CommandContext(ctx, "getent", "netgroup", "--", name).Output()
	return err == nil && strings.Contains(string(out), "(")
}

// findIPv6 finds an IPv6 address, or net, that has no brackets in a word of a
// rule, after "name@" or the "name:" of the field before. A colon may follow it.
func findIPv6(word string) (off int, addr string, ok bool) {
	if i := strings.IndexByte(word, '@'); i >= 0 {
		off = i + 1
	}
	for {
		for _, addr := range []string{strings.TrimSuffix(word[off:], ":"), word[off:]} {
			s, _, net := strings.Cut(addr, "/")
			if ip, err := netip.ParseAddr(s); err == nil && ip.Is6() && (net || ip != netip.IPv6Unspecified()) {
				return off, addr, true
			}
		}
		i := strings.IndexByte(word[off:], ':')
		if i < 0 || off > 0 {
			return 0, "", false
		}
		off = i + 1
	}
}
