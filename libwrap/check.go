package libwrap

import "context"

// Where the tables are unless the caller says otherwise.
const (
	DefaultAllow = "/etc/hosts.allow"
	DefaultDeny  = "/etc/hosts.deny"
)

// Tables is a pair of access control files. They are read when a decision
// needs them, and again when they have changed. The zero value
// uses the default paths. Tables must not be copied after first use and is
// safe for concurrent use.
type Tables struct {
	Allow string // hosts.allow; DefaultAllow if empty
	Deny  string // hosts.deny; DefaultDeny if empty
}

// Check decides whether the client of r may be served: by the first rule of
// the allow table that matches, else the first of the deny table, else yes.
// It returns what is to be done and logged as data; the only things done
// already are the lookups and aclexec commands the decision needed. ctx bounds
// these; when it ends, names and users are "unknown" and commands have failed.
func (t *Tables) Check(ctx context.Context, r *Request) *Verdict { return nil }

// CheckNow is Check for callers that must not block. It returns false, and
// leaves r alone, if the decision needs a lookup or a command; the
// caller then calls Check where it may take its time.
func (t *Tables) CheckNow(r *Request) (*Verdict, bool) { return nil, false }

// Apply returns the verdict if rule, of one of the tables, were the one that
// matched. Checkers use it to see what a rule's options would do.
func (t *Tables) Apply(ctx context.Context, r *Request, rule *Rule) *Verdict { return nil }
