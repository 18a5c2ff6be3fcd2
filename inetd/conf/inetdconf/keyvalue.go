package inetdconf

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"inetd/inetd/conf"
)

// NetBSD's second notation: service on|off key = value…, key = value…;
// Blanks, newlines and comments may stand anywhere between, and another entry
// may follow on the line that the semicolon is on.

// isKeyValue looks at the second word of a line.
func isKeyValue(l line) bool {
	f := bytes.Fields(l.text)
	return len(f) >= 2 && f[0][0] != '#' && (string(f[1]) == "on" || string(f[1]) == "off")
}

// A scanner cuts the lines of one key-values entry into words and the marks
// = , ; which are words of their own and never quoted.
type scanner struct {
	p  *parser
	ls []line
	i  int // line
	at int // byte in it
}

func (sc *scanner) pos() conf.Pos { return sc.p.pos(sc.ls[sc.i], sc.at) }

func isMark(c byte) bool { return c == '=' || c == ',' || c == ';' }

// next returns the next word; ok is false at the end of the file.
func (sc *scanner) next() (w word, ok bool, err error) {
	for sc.i < len(sc.ls) {
		t := sc.ls[sc.i].text
		for sc.at < len(t) && blank(t[sc.at]) {
			sc.at++
		}
		if sc.at >= len(t) || t[sc.at] == '#' {
			sc.i, sc.at = sc.i+1, 0
			continue
		}
		w.pos = sc.pos()
		if isMark(t[sc.at]) {
			w.text = string(t[sc.at])
			sc.at++
			return w, true, nil
		}
		var b []byte
		for sc.at < len(t) && !blank(t[sc.at]) && !isMark(t[sc.at]) && t[sc.at] != '#' {
			if c := t[sc.at]; c != '"' && c != '\'' {
				b = append(b, c)
				sc.at++
				continue
			}
			w.quoted = true
			if b, err = sc.quote(b); err != nil {
				return w, true, err
			}
		}
		w.text = string(b)
		if strings.IndexByte(w.text, 0) >= 0 {
			return w, true, fmt.Errorf("a word has a NUL byte in it")
		}
		return w, true, nil
	}
	return w, false, nil
}

// quote appends what is between quotes, with its escapes undone.
func (sc *scanner) quote(b []byte) ([]byte, error) {
	t := sc.ls[sc.i].text
	q := t[sc.at]
	for i := sc.at + 1; i < len(t); i++ {
		switch c := t[i]; {
		case c == q:
			sc.at = i + 1
			return b, nil
		case c != '\\':
			b = append(b, c)
		default:
			n, c, err := escape(t[i+1:])
			if err != nil {
				sc.at = i
				return b, err
			}
			b = append(b, c)
			i += n
		}
	}
	return b, fmt.Errorf("the quote %c has no end on this line", q)
}

// escape reads what follows a backslash and says how long it is.
func escape(t []byte) (n int, c byte, err error) {
	if len(t) > 0 {
		if i := strings.IndexByte(`\ntr'"`, t[0]); i >= 0 {
			return 1, "\\\n\t\r'\""[i], nil
		}
		if t[0] == 'x' && len(t) >= 3 {
			if v, err := strconv.ParseUint(string(t[1:3]), 16, 8); err == nil {
				return 3, byte(v), nil
			}
		}
	}
	return 0, 0, fmt.Errorf(`bad escape: expected one of \\ \n \t \r \' \" \xHH`)
}

// An option is one key of the notation with how many values it takes.
type option struct {
	min, max int
	set      func(p *parser, d *draft, v []word)
}

const many = 1 << 30

var options = map[string]option{
	"bind":         {1, 1, func(p *parser, d *draft, v []word) { d.Hosts, _ = p.hostList(v[0].text, v[0].pos) }},
	"socktype":     {1, 1, func(p *parser, d *draft, v []word) { p.socktype(d, v[0]) }},
	"acceptfilter": {1, 1, func(p *parser, d *draft, v []word) { p.filter(d, v[0]) }},
	"protocol":     {1, 1, func(p *parser, d *draft, v []word) { p.protocol(d, v[0]) }},
	"sndbuf":       {1, 1, func(p *parser, d *draft, v []word) { p.buffer(&d.SndBuf, "sndbuf", v[0]) }},
	"recvbuf":      {1, 1, func(p *parser, d *draft, v []word) { p.buffer(&d.RcvBuf, "recvbuf", v[0]) }},
	"wait":         {1, 1, (*parser).yesNo},
	"service_max":  {1, 1, func(p *parser, d *draft, v []word) { p.strictMax(&d.Limits.Rate, "service_max", v[0]) }},
	"ip_max":       {1, 1, func(p *parser, d *draft, v []word) { p.strictMax(&d.Limits.SourceRate, "ip_max", v[0]) }},
	"accept_max":   {1, 1, func(p *parser, d *draft, v []word) { p.strictMax(&d.Limits.Children, "accept_max", v[0]) }},
	"user":         {1, 1, (*parser).userOption},
	"group":        {1, 1, func(p *parser, d *draft, v []word) { d.Group = v[0].text }},
	"exec":         {1, 1, func(p *parser, d *draft, v []word) { p.program(d, v[0], nil) }},
	"args":         {0, many, nil}, // after exec, wherever it stands
	"ipsec": {0, 1, func(p *parser, d *draft, v []word) {
		if len(v) > 0 {
			p.errs.Warnf(v[0].pos, "ipsec", "IPsec policies are not supported here")
		}
	}},
}

func (p *parser) yesNo(d *draft, v []word) {
	switch v[0].text {
	case "yes":
		d.Wait = true
	case "no":
	default:
		p.errs.Errorf(v[0].pos, conf.FieldWait, "%q: expected yes or no", v[0].text)
	}
}

// userOption reads the user as the positional notation has it; an option group
// has the last word.
func (p *parser) userOption(d *draft, v []word) {
	group := d.Group
	p.user(d, v[0])
	d.Group = cmp.Or(group, d.Group)
}

// strictMax reads a limit of this notation, where 0 admits nothing.
func (p *parser) strictMax(m *conf.Max, key string, v word) {
	n, err := number(v.text, maxCount)
	if err != nil {
		p.errs.Errorf(v.pos, key, "%w", err)
		return
	}
	if *m = conf.Max(n); n == 0 {
		*m = conf.Never
	}
}

func (p *parser) buffer(size *int, key string, v word) {
	n, err := bufferSize(v.text)
	if err != nil {
		p.errs.Errorf(v.pos, key, "%w", err)
	}
	*size = n
}

// fieldOf says which field of the positional notation a key stands for.
var fieldOf = map[string]string{
	"bind": conf.FieldHost, "socktype": conf.FieldSocktype, "protocol": conf.FieldProto, "wait": conf.FieldWait,
	"user": conf.FieldUser, "group": conf.FieldUser, "exec": conf.FieldProgram, "args": conf.FieldArgs,
}

// keyValue reads the entry that starts at ls[0] and says how many lines it
// took. What follows its semicolon is left in the last of them.
func (p *parser) keyValue(ls []line) int {
	sc := &scanner{p: p, ls: ls}
	n := p.errs.Errors()
	name, _, err := sc.next()
	var state word
	if err == nil {
		state, _, err = sc.next()
	}
	read := func() {
		d := p.newDraft(name)
		d.at[conf.FieldService] = name.pos
		values := make(map[string][]word)
		if err == nil {
			err = p.keys(sc, d, values)
		}
		if err != nil {
			if sc.i < len(ls) {
				p.errs.Errorf(sc.pos(), "", "%w", err)
			} else {
				p.errs.Errorf(d.Pos, "", "%w", err)
			}
			return
		}
		for _, key := range slices.Sorted(maps.Keys(values)) {
			if o := options[key]; o.set != nil {
				o.set(p, d, values[key])
			}
		}
		p.complete(d, name, values)
		p.finish(d, n)
	}
	if state.text == "off" {
		p.asOff(name, read)
	} else {
		read()
	}
	if err != nil {
		return sc.resync()
	}
	return sc.rest()
}

// keys reads "key = value…" up to the semicolon.
func (p *parser) keys(sc *scanner, d *draft, values map[string][]word) error {
	for {
		key, ok, err := sc.next()
		if err != nil {
			return err
		}
		if !ok {
			return errNoEnd
		}
		if key.text == ";" && !key.quoted {
			return nil
		}
		o, known := options[key.text]
		if !known {
			sc.at = max(0, sc.at-len(key.text))
			return fmt.Errorf("unknown option %q", key.text)
		}
		if _, twice := values[key.text]; twice {
			return fmt.Errorf("option %s is already given", key.text)
		}
		eq, _, err := sc.next()
		if err != nil {
			return err
		}
		if eq.text != "=" || eq.quoted {
			return fmt.Errorf("expected = after %s", key.text)
		}
		if f := fieldOf[key.text]; f != "" {
			d.at[f] = key.pos
		}
		vs, end, err := sc.values()
		if err != nil {
			return err
		}
		if len(vs) < o.min {
			return fmt.Errorf("option %s has no value", key.text)
		}
		if len(vs) > o.max {
			return fmt.Errorf("option %s has more than one value", key.text)
		}
		values[key.text] = vs
		if len(vs) > 0 && fieldOf[key.text] != "" {
			d.at[fieldOf[key.text]] = vs[0].pos
		}
		if end == ";" {
			return nil
		}
	}
}

var errNoEnd = errors.New("the entry has no ; before the end of the file")

// values reads words up to a comma or semicolon.
func (sc *scanner) values() (vs []word, end string, err error) {
	for {
		w, ok, err := sc.next()
		switch {
		case err != nil:
			return nil, "", err
		case !ok:
			return nil, "", errNoEnd
		case !w.quoted && (w.text == "," || w.text == ";"):
			return vs, w.text, nil
		case !w.quoted && w.text == "=":
			return nil, "", fmt.Errorf("= where a value, a comma or a semicolon is expected")
		}
		vs = append(vs, w)
	}
}

// complete checks that the required options are there and derives the rest as
// NetBSD does.
func (p *parser) complete(d *draft, name word, values map[string][]word) {
	need := func(key string) {
		if len(values[key]) == 0 {
			p.errs.Errorf(d.Pos, key, "required, and not given")
		}
	}
	if d.Program == "" {
		d.Internal = "internal"
	} else {
		need("wait")
		need("user")
		d.Args = nil
	}
	if d.User == "" {
		d.User = "root"
	}
	need("protocol")
	if d.Socktype == 0 {
		switch d.Proto {
		case "tcp":
			d.Socktype = conf.Stream
		case "udp":
			d.Socktype = conf.Dgram
		default:
			need("socktype")
		}
	}
	for _, a := range values["args"] {
		d.Args = append(d.Args, a.text)
	}
	if d.Program != "" && len(d.Args) == 0 {
		d.Args = []string{filepath.Base(d.Program)}
	}
	if len(values["protocol"]) > 0 && d.Socktype != 0 {
		hosts := d.Hosts
		p.service(d, name)
		if len(values["bind"]) > 0 {
			d.Hosts = hosts
		}
	}
}

// rest leaves what follows the semicolon to be read as a line of its own.
func (sc *scanner) rest() int {
	if sc.i >= len(sc.ls) {
		return len(sc.ls)
	}
	l := &sc.ls[sc.i]
	after := l.text[sc.at:]
	skip := sc.at + len(after) - len(trimLeft(after))
	if skip >= len(l.text) {
		return sc.i + 1
	}
	l.text, l.col = l.text[skip:], l.col+skip
	return sc.i
}

// resync finds where reading can go on after an error: at a line that looks
// like the start of an entry, since a semicolon may have been forgotten, or
// behind the next semicolon, whichever is first.
func (sc *scanner) resync() int {
	for i := range sc.ls {
		if i > 0 && looksLikeEntry(sc.ls[i]) {
			return i
		}
		if i < sc.i {
			continue
		}
		if i > sc.i {
			sc.i, sc.at = i, 0
		}
		code, _, _ := bytes.Cut(sc.ls[i].text[sc.at:], []byte("#"))
		if semi := bytes.IndexByte(code, ';'); semi >= 0 {
			sc.at += semi + 1
			return sc.rest()
		}
	}
	return len(sc.ls)
}

// looksLikeEntry is true for the first line of an entry in either notation.
func looksLikeEntry(l line) bool {
	f := strings.Fields(string(l.text))
	return len(f) > 0 && !blank(l.text[0]) && (isKeyValue(l) || len(f) >= len(positions) && conf.ParseSocktype(f[1]) != 0)
}
