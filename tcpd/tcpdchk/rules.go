package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"

	"inetd/libwrap"
	"inetd/tcpd/tool"
)

type checker struct {
	*tool.Report
	tables   *libwrap.Tables
	daemons  tool.Daemons
	inetconf string
	verbose  int
	implicit bool // complain of rules that do not end in allow

	lines     layout          // of the table being read
	bare      []libwrap.Token // IPv6 addresses without brackets in the rule
	earlier   shadows         // rules seen so far
	hostFiles []string        // being read, outermost first
}

// table examines every rule of a table, and every line that is none.
func (c *checker) table(ctx context.Context, file string, allow bool) {
	table, err := libwrap.ReadTable(file)
	if errors.Is(err, syscall.ENOENT) {
		return
	}
	var text []byte
	if err == nil {
		text, err = os.ReadFile(file)
	}
	if err != nil && !errors.Is(err, syscall.EISDIR) {
		c.Warnf("cannot open %s: %s", file, libwrap.Strerror(err))
		return
	}
	c.lines = lay(file, text)
	c.File = file
	rules, problems := table.Rules, table.Problems
	for len(rules) > 0 || len(problems) > 0 {
		if len(problems) == 0 || len(rules) > 0 && rules[0].Pos.Line <= problems[0].Pos.Line {
			c.Line = rules[0].Pos.Line
			c.oddities(rules[0].First - 1)
			c.rule(ctx, rules[0], allow)
			rules = rules[1:]
		} else {
			c.Line = problems[0].Pos.Line
			c.oddities(c.Line - 1)
			c.Warnf("%s", problems[0].Text)
			if problems[0].Text != noColon {
				problems = problems[:1] // the rest says what follows from it
				c.ends(allow)
			} else {
				c.Atf(libwrap.Pos{File: file, Line: c.lines.first(c.Line), Col: 1}, "no rule: the line is ignored")
			}
			problems = problems[1:]
		}
		c.oddities(c.Line)
	}
	c.oddities(len(c.lines.text))
	c.File, c.Line = "", 0
}

const noColon = `missing ":" separator`

// ends explains why a table cannot be read to its end.
func (c *checker) ends(allow bool) {
	pos, what := c.lines.broken()
	then := "everybody who was not allowed before is denied"
	if allow {
		then = "this and all later rules are ignored"
	}
	c.Atf(pos, "%s: %s", what, then)
}

// oddities prints what is odd about the lines up to one, whatever they mean.
func (c *checker) oddities(upto int) {
	for len(c.lines.odd) > 0 && c.lines.odd[0].pos.Line <= upto {
		c.Atf(c.lines.odd[0].pos, "%s", c.lines.odd[0].text)
		c.lines.odd = c.lines.odd[1:]
	}
}

// rule examines one rule.
func (c *checker) rule(ctx context.Context, r *libwrap.Rule, allow bool) {
	if c.verbose > 0 {
		fmt.Fprintf(c.W, "\n>>> Rule %s line %d:\n", r.Pos.File, r.Pos.Line)
		c.list("daemons:  ", r.Daemons)
	}
	c.bare = c.lines.bareIPv6(r)
	if len(r.Options) > 0 && !c.piece(r.Options[0].Pos) { // in an option's value brackets do not help
		o := r.Options[0].Pos
		c.bare = slices.DeleteFunc(c.bare, func(t libwrap.Token) bool {
			return cmp.Or(cmp.Compare(o.Line, t.Pos.Line), cmp.Compare(o.Col, t.Pos.Col)) <= 0
		})
	}
	c.daemonList(ctx, r)
	if c.verbose > 0 {
		c.list("clients:  ", r.Clients)
	}
	c.clientList(ctx, r)
	c.brackets(r)
	granted := c.options(ctx, r, allow)
	if c.verbose > 0 {
		fmt.Fprintf(c.W, "access:   %s\n", map[bool]string{true: "granted", false: "denied"}[granted])
	}
	// A rule whose patterns are not what they seem is another one when they are right.
	if by := c.earlier.add(r, allow); by != nil && len(c.bare) == 0 && slices.ContainsFunc(r.Clients, sound) {
		c.Atf(start(r), "never reached: line %d of %s matches first", by.First, by.Pos.File)
	}
}

// start is where a rule begins.
func start(r *libwrap.Rule) libwrap.Pos {
	if len(r.Daemons) > 0 {
		return r.Daemons[0].Pos
	}
	return libwrap.Pos{File: r.Pos.File, Line: r.First, Col: 1}
}

func (c *checker) list(title string, tokens []libwrap.Token) {
	words := make([]string, len(tokens))
	for i, t := range tokens {
		words[i] = t.Text
	}
	fmt.Fprintf(c.W, "%s%s\n", title, strings.Join(words, " "))
}

func isExcept(t libwrap.Token) bool { return strings.EqualFold(t.Text, "EXCEPT") }

func (c *checker) daemonList(ctx context.Context, r *libwrap.Rule) {
	n := 0
	for _, t := range r.Daemons {
		if isExcept(t) {
			n = 0
			continue
		}
		n++
		name, host, at := tool.SplitHost(t.Text)
		if at && c.host(ctx, shift(t, len(name)+1)) > 1 {
			c.Warnf("host %s has more than one address", host)
			c.Warnf("(consider using an address instead)")
		}
		c.daemon(libwrap.Token{Pos: t.Pos, Text: name})
	}
	if n == 0 {
		c.Warnf("daemon list is empty or ends in EXCEPT")
	}
}

func (c *checker) clientList(ctx context.Context, r *libwrap.Rule) {
	n := 0
	comment := c.lines.indented(r.First)
	for _, t := range r.Clients {
		if t.Text[0] == '#' && !comment {
			c.Atf(t.Pos, "a comment starts in the first column of a line: this one is made of patterns")
			comment = true
		}
		if isExcept(t) {
			n = 0
			continue
		}
		n++
		if name, _, at := tool.SplitHost(t.Text); at {
			c.user(libwrap.Token{Pos: t.Pos, Text: name})
			t = shift(t, len(name)+1)
		}
		c.host(ctx, t)
	}
	if n == 0 && len(c.bare) == 0 {
		c.Warnf("client list is empty or ends in EXCEPT")
	}
}

// shift drops the first n bytes of a token.
func shift(t libwrap.Token, n int) libwrap.Token {
	t.Pos.Col += n
	t.Text = t.Text[n:]
	return t
}

// sound reports whether a client pattern matches what it seems to.
func sound(t libwrap.Token) bool { return libwrap.ExplainHost(host(t.Text)) == "" }

// bareIPv6 finds addresses without brackets, which the colons in them cut to
// pieces long before anybody sees that they are addresses.
func (l *layout) bareIPv6(r *libwrap.Rule) (bare []libwrap.Token) {
	for n := r.First; n <= r.Pos.Line && n <= len(l.text); n++ {
		line := l.text[n-1]
		for i := 0; i < len(line); {
			j := i
			for j < len(line) && strings.IndexByte(", \t\r\n=", line[j]) < 0 {
				j++
			}
			if off, addr, ok := findIPv6(line[i:j]); ok {
				bare = append(bare, libwrap.Token{Pos: libwrap.Pos{File: r.Pos.File, Line: n, Col: i + off + 1}, Text: addr})
			}
			i = j + 1
		}
	}
	return bare
}

// piece reports whether what stands at a place is a part of an address without
// brackets, and no client, pattern or option that anybody meant.
func (c *checker) piece(p libwrap.Pos) bool {
	return slices.ContainsFunc(c.bare, func(t libwrap.Token) bool {
		return p.File == t.Pos.File && p.Line == t.Pos.Line && t.Pos.Col <= p.Col && p.Col <= t.Pos.Col+len(t.Text)
	})
}

// brackets says what the addresses without them should be, and what becomes of
// the rule.
func (c *checker) brackets(r *libwrap.Rule) {
	if len(c.bare) == 0 {
		return
	}
	for _, t := range c.bare {
		addr, _, _ := strings.Cut(t.Text, "/")
		c.Atf(t.Pos, "%s: IPv6 addresses need brackets, or the first colon ends them: [%s]%s", t.Text, addr, t.Text[len(addr):])
	}
	effect := "the rule matches no client"
	if slices.ContainsFunc(r.Clients, func(t libwrap.Token) bool { return sound(t) || !c.piece(shift(t, len(t.Text)-1).Pos) }) {
		effect = denies // what is behind the first colon is no option
	}
	c.Atf(c.bare[0].Pos, "%s", effect)
}

// options prints what the options of a rule come to, and returns whether they
// grant access.
func (c *checker) options(ctx context.Context, r *libwrap.Rule, allow bool) (granted bool) {
	v := c.tables.Apply(ctx, &libwrap.Request{
		Daemon: "daemon_name",
		User:   "user_name",
		Server: libwrap.Endpoint{Name: "server_hostname", Addr: "server_addr"},
		Client: libwrap.Endpoint{Name: "client_hostname", Addr: "client_addr"},
		Run:    func(context.Context, string, []string) (libwrap.Status, error) { return libwrap.Status{}, nil },
	}, r)
	wrong := func(o libwrap.OptionText) bool { return o.Err != "" }
	told := v.Events
	if i := slices.IndexFunc(r.Options, wrong); i >= 0 && c.piece(r.Options[i].Pos) {
		told = slices.DeleteFunc(slices.Clone(told), func(e libwrap.Event) bool {
			return e.Kind == libwrap.Log && strings.HasSuffix(e.Text, r.Options[i].Err)
		})
	}
	c.Events(told, c.verbose)
	for _, o := range r.Options {
		if wrong(o) && !c.piece(o.Pos) {
			c.Atf(o.Pos, "%s: %s", o.Err, denies)
		}
	}
	failed := false
	n := 0 // options that took effect so far
	for i, e := range v.Events {
		switch e.Kind {
		case libwrap.Option:
			n++
		case libwrap.Log:
			if i+1 < len(v.Events) && v.Events[i+1].Kind == libwrap.Twist {
				continue
			}
			failed = strings.HasPrefix(e.Text, "error: ") || failed
			c.optionEvent(r, e.Text, n)
		case libwrap.Setenv:
			if e.Invalid() {
				failed, v.Allowed = true, false
				c.optionEvent(r, fmt.Sprintf("error: setenv: %q is no name of a variable", e.Key), n)
			}
		}
	}

	if v.Delegated {
		return allow // to the command
	}
	last := ""
	if len(r.Options) > 0 {
		last = strings.ToLower(r.Options[len(r.Options)-1].Key)
	}
	if c.implicit && allow && !failed && last != "allow" && last != "deny" {
		c.Warnf("implicit \"allow\" at end of rule")
	}
	return v.Allowed
}

const denies = "every client that the rule matches is denied"

// optionEvent says where the option stands that a message is about. n options
// have taken effect by then; values are expanded before that.
func (c *checker) optionEvent(r *libwrap.Rule, text string, n int) {
	where := fmt.Sprintf("%s, line %d: ", r.Pos.File, r.Pos.Line)
	text, isError := strings.CutPrefix(strings.TrimPrefix(text, "warning: "), "error: ")
	text = strings.TrimPrefix(text, where)
	i := max(n-1, 0)
	switch what, unrecognized := strings.CutPrefix(text, "unrecognized "); {
	case unrecognized:
		for j := i; j < len(r.Options); j++ {
			if strings.Contains(r.Options[j].Value, what) {
				i = j
				break
			}
		}
	case strings.HasPrefix(text, "percent_x: "):
		i, isError = n, true
	}
	if i >= len(r.Options) || r.Options[i].Err == text || n < len(r.Options) && r.Options[n].Err == text {
		return
	}
	if isError {
		text += ": " + denies
	}
	c.Atf(r.Options[i].Pos, "%s", text)
}
