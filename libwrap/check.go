package libwrap

import (
	"context"
	"sync"
	"syscall"
	"time"

	"inetd/libwrap/syslog"
)

// Where the tables are unless the caller says otherwise.
const (
	DefaultAllow = "/etc/hosts.allow"
	DefaultDeny  = "/etc/hosts.deny"
)

const defaultIdentTimeout = 10 * time.Second

// Tables is a pair of access control files. They are read when a decision
// needs them, and again when they have changed: the first decision reads them
// line by line up to the rule that matches, later ones use a compiled form
// that is as fast for ten thousand rules as for ten. The zero value
// uses the default paths. Tables must not be copied or changed after first
// use and is safe for concurrent use.
type Tables struct {
	Allow string // hosts.allow; DefaultAllow if empty
	Deny  string // hosts.deny; DefaultDeny if empty

	allow, deny cached[*ruleSet]

	mu    sync.Mutex
	hosts map[string]*cached[*hostSet] // host files, by path
}

// Check decides whether the client of r may be served: by the first rule of
// the allow table that matches, else the first of the deny table, else yes.
// It returns what is to be done and logged as data; the only things done
// already are the lookups and aclexec commands the decision needed. ctx bounds
// these; when it ends, names and users are "unknown", and a command that did not
// end in time denies.
func (t *Tables) Check(ctx context.Context, r *Request) *Verdict {
	d := newDecision(ctx, t, r)
	d.decide()
	return d.v
}

// CheckNow is Check for callers that must not block. It returns false, and
// leaves r alone, if the decision needs a lookup or a command; the
// caller then calls Check where it may take its time.
func (t *Tables) CheckNow(r *Request) (*Verdict, bool) {
	c := *r
	d := newDecision(context.Background(), t, &c)
	d.now = true
	d.decide()
	if d.blocked {
		return nil, false
	}
	*r = c
	return d.v, true
}

// Apply returns the verdict if rule, of one of the tables, were the one that
// matched. Checkers use it to see what a rule's options would do.
func (t *Tables) Apply(ctx context.Context, r *Request, rule *Rule) *Verdict {
	d := newDecision(ctx, t, r)
	d.at = rule.Pos
	if yes := d.apply(&rule.text); !d.done {
		d.v.Allowed = yes == (rule.Pos.File == t.path(true))
	}
	return d.v
}

func (t *Tables) path(allow bool) string {
	switch {
	case allow && t.Allow != "":
		return t.Allow
	case allow:
		return DefaultAllow
	case t.Deny != "":
		return t.Deny
	}
	return DefaultDeny
}

// A decision is one run over the tables.
type decision struct {
	ctx context.Context
	t   *Tables
	r   *Request
	v   *Verdict
	at  Pos // the rule messages speak of

	done    bool // the verdict is final
	now     bool // nothing may block:
	blocked bool // something would have

	timeout   time.Duration // of ident
	env       []string      // added by setenv
	aclFailed bool          // the rule's last aclexec command failed

	reading   []string // host files being read, outermost first
	nested    int      // host files read from within another
	netgroups map[[2]string]bool
}

func newDecision(ctx context.Context, t *Tables, r *Request) *decision {
	r.clip()
	timeout := r.IdentTimeout
	if timeout <= 0 {
		timeout = defaultIdentTimeout
	}
	return &decision{
		ctx: ctx, t: t, r: r, timeout: timeout,
		v: &Verdict{AllowSeverity: syslog.Info, DenySeverity: syslog.Warning},
	}
}

// A match is how a table ended.
type match int

const (
	matchNo  match = iota
	matchYes       // a rule matched and left the decision to its table
	matchErr       // the table cannot be used, or not to its end
)

func (d *decision) decide() {
	m := d.table(d.t.path(true), &d.t.allow)
	if d.stop() {
		return
	}
	if m == matchYes {
		d.v.Allowed = true
		return
	}
	// An allow table in error allows nobody; a deny table in error denies
	// everybody.
	m = d.table(d.t.path(false), &d.t.deny)
	if !d.stop() {
		d.v.Allowed = m == matchNo
	}
}

// table looks for the first rule that matches and applies it.
func (d *decision) table(path string, c *cached[*ruleSet]) match {
	rs, fd, err := c.get(path, compileRules)
	if err != nil {
		if err == syscall.ENOENT {
			return matchNo
		}
		d.warn("cannot open " + path + ": " + strerror(err))
		return matchErr
	}
	d.at = Pos{File: path}
	var m match
	var rule ruleText
	if rs != nil {
		m = d.search(rs, &rule)
	} else {
		m = d.scan(fd, &rule)
		syscall.Close(fd)
	}
	if m == matchYes && !d.apply(&rule) {
		m = matchNo
	}
	d.at = Pos{}
	return m
}

// scan reads a table up to the first rule that matches.
func (d *decision) scan(fd int, rule *ruleText) match {
	lr := lineReader{fd: fd, buf: make([]byte, 2*(maxLine+1))}
	for {
		line, complete, ok := lr.next()
		if lr.err != nil {
			path := d.at.File
			d.at = Pos{}
			d.fail("cannot read " + path + ": " + strerror(lr.err))
			return matchErr
		}
		if !ok {
			return matchNo
		}
		d.at.Line = lr.line
		if !complete {
			d.warn(noNewline)
			d.warn(noRules)
			return matchErr
		}
		if blank(line) {
			continue
		}
		r, ok := splitRule(string(line))
		if !ok {
			d.warn(noColon)
			continue
		}
		if d.ruleMatches(&r) {
			*rule = r
			return matchYes
		}
		if d.stop() {
			return matchNo
		}
	}
}

// apply runs the options of a rule that matched. It returns false if the rule
// is to count as not matching after all.
func (d *decision) apply(rule *ruleText) bool {
	d.v.Rule = d.at
	d.event(Event{Kind: Matched})
	d.options(rule.options)
	if d.stop() {
		return false
	}
	if d.aclFailed {
		// C keeps the failure beyond the rule, where it lets clients in; here
		// it ends with the rule.
		d.aclFailed = false
		d.event(Event{Kind: Log, Priority: syslog.Info, Text: "aclexec returned 1"})
		return false
	}
	return true
}

// stop reports whether the decision is over.
func (d *decision) stop() bool { return d.done || d.blocked }

// block notes that going on would block. It returns true if that is not
// allowed.
func (d *decision) block() bool {
	if d.now {
		d.blocked = true
	}
	return d.now
}

func (d *decision) event(e Event) {
	e.Pos = d.at
	d.v.Events = append(d.v.Events, e)
}

// where is what messages say about the rule.
func (d *decision) where() string { return where(d.at) }

func where(p Pos) string {
	if !p.IsValid() {
		return ""
	}
	return p.File + ", line " + itoa(p.Line) + ": "
}

// warn logs a complaint that decides nothing.
func (d *decision) warn(text string) {
	d.event(Event{Kind: Log, Priority: syslog.Err, Text: "warning: " + d.where() + text})
}

// fail ends the decision: an error in a rule denies at once.
func (d *decision) fail(text string) {
	if d.stop() {
		return
	}
	d.event(Event{Kind: Log, Priority: syslog.Err, Text: "error: " + d.where() + text})
	d.finish(false)
}

func (d *decision) finish(allowed bool) {
	d.done = true
	d.v.Allowed = allowed
}

// ruleMatches compares both lists. The clients are looked at only if the
// daemon matches.
func (d *decision) ruleMatches(r *ruleText) bool {
	return d.listMatches(r.daemons, (*decision).daemonMatches) &&
		d.listMatches(r.clients, (*decision).clientMatches) && !d.stop()
}

// listMatches walks a list. The first match decides, unless an EXCEPT list
// after it, which is a list like any other, matches too.
func (d *decision) listMatches(list string, matches func(*decision, string) bool) bool {
	for {
		var tok string
		tok, list = nextToken(list)
		if tok == "" || isExcept(tok) {
			return false
		}
		if matches(d, tok) {
			for !isExcept(tok) {
				if tok, list = nextToken(list); tok == "" {
					return true
				}
			}
			return !d.listMatches(list, matches)
		}
		if d.stop() {
			return false
		}
	}
}

// daemonMatches compares daemon, port, daemon@host or port@host.
func (d *decision) daemonMatches(tok string) bool {
	name, host, at := splitHost(tok)
	if !d.daemonOrPort(name) {
		return false
	}
	return !at || d.hostMatches(host, &d.r.Server)
}

func (d *decision) daemonOrPort(name string) bool {
	if p, ok := portPattern(name); ok {
		return d.r.Server.HasPort && d.r.Server.Port == p
	}
	return matchString(name, d.r.Daemon)
}

// clientMatches compares host or user@host, the host first: it is cheaper to
// know.
func (d *decision) clientMatches(tok string) bool {
	user, host, at := splitHost(tok)
	if !at {
		return d.hostMatches(tok, &d.r.Client)
	}
	return d.hostMatches(host, &d.r.Client) && !d.stop() && matchString(user, d.user())
}

// hostMatches compares a host pattern with an endpoint, asking for its name
// only if the pattern cannot be decided without.
func (d *decision) hostMatches(tok string, e *Endpoint) bool {
	switch {
	case tok == "":
		return false
	case tok[0] == '@':
		return d.inNetgroup(tok[1:], d.hostName(e))
	case tok[0] == '/':
		return d.inHostFile(tok, e)
	case equalFold(tok, "KNOWN"):
		name := d.hostName(e)
		return !equalFold(*e.addr(), unknown) && known(name)
	case equalFold(tok, "LOCAL"):
		name := d.hostName(e)
		for i := range len(name) {
			if name[i] == '.' {
				return false
			}
		}
		return known(name)
	}
	if net, mask, ok := splitAt(tok, '/'); ok {
		return matchMask(net, mask, *e.addr())
	}
	return matchString(tok, *e.addr()) || !addressOnly(tok) && matchString(tok, d.hostName(e))
}
