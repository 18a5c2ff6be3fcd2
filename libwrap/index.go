package libwrap

import (
	"slices"
	"sync"
)

// The index exists for speed alone. It names, in order, the rules that could
// match or whose evaluation could have an effect, a lookup or a warning; each
// of these is then evaluated in full by the same code that reads tables
// straight. All it claims is that the rules it leaves out neither match nor do
// anything.

// A ruleSet is a compiled table.
type ruleSet struct {
	rules    []ruleText
	problems []tableProblem
	broken   bool // the table ends in error

	hosts, ports bool // some daemon token has a host, is a port

	mu     sync.Mutex
	views  map[viewKey]*view
	shared map[uint64]*view // by hash of what is in it
}

// A tableProblem is a warning given when reading passes it.
type tableProblem struct {
	before int // index of the rule that follows it
	line   int
	text   string
}

func compileRules(data string) *ruleSet {
	rs := &ruleSet{views: make(map[viewKey]*view), shared: make(map[uint64]*view)}
	lr := lineReader{fd: -1, buf: []byte(data), end: len(data), eof: true}
	problem := func(text string) {
		rs.problems = append(rs.problems, tableProblem{len(rs.rules), lr.line, text})
	}
	for {
		line, complete, ok := lr.next()
		if !ok {
			break
		}
		if !complete {
			problem(noNewline)
			problem(noRules)
			rs.broken = true
			break
		}
		if blank(line) {
			continue
		}
		r, ok := splitRule(string(line))
		if !ok {
			problem(noColon)
			continue
		}
		r.line = lr.line
		rs.rules = append(rs.rules, r)
		for list := r.daemons; ; {
			var tok string
			if tok, list = nextToken(list); tok == "" {
				break
			}
			name, _, at := splitHost(tok)
			_, port := portPattern(name)
			rs.hosts = rs.hosts || at
			rs.ports = rs.ports || port
		}
	}
	return rs
}

// search is scan on a compiled table.
func (d *decision) search(rs *ruleSet, rule *ruleText) match {
	problems := rs.problems
	pass := func(upto int) {
		for len(problems) > 0 && problems[0].before <= upto {
			d.at.Line = problems[0].line
			d.warn(problems[0].text)
			problems = problems[1:]
		}
	}
	i := rs.view(d.r).index.first(d, &d.r.Client, func(i int32) bool {
		pass(int(i))
		d.at.Line = rs.rules[i].line
		return d.ruleMatches(&rs.rules[i])
	})
	switch {
	case d.stop():
		return matchNo
	case i >= 0:
		*rule = rs.rules[i]
		return matchYes
	}
	pass(len(rs.rules))
	if rs.broken {
		return matchErr
	}
	return matchNo
}

// A view is a table as one daemon sees it: only the rules whose daemon list
// matches, or may.
type view struct {
	entries []viewEntry
	index   hostIndex
}

type viewEntry struct {
	rule int32
	sure bool // the daemon list matches; else it must be evaluated
}

// viewKey is all that the daemon lists of a table can depend on without a
// lookup.
type viewKey struct {
	daemon string
	addr   string // of the server, if the table has daemon@host
	port   int    // of the server, if the table has port numbers; -1 if not known
}

// maxViews bounds the views of a table. There are as many as there are
// daemons, which is not a number a peer can drive up.
const maxViews = 1024

func (rs *ruleSet) view(r *Request) *view {
	key := viewKey{daemon: foldASCII(r.Daemon), port: -1}
	if rs.hosts {
		key.addr = *r.Server.addr()
	}
	if rs.ports && r.Server.HasPort {
		key.port = r.Server.Port
	}
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if v := rs.views[key]; v != nil {
		return v
	}
	var entries []viewEntry
	hash := uint64(14695981039346656037) // FNV-1a
	for i := range rs.rules {
		m := key.listMatches(rs.rules[i].daemons)
		if m == no {
			continue
		}
		entries = append(entries, viewEntry{int32(i), m == yes})
		hash = (hash ^ uint64(i)<<1 ^ uint64(m&1)) * 1099511628211
		if m == yes && matchesAll(rs.rules[i].clients) {
			break // nothing after it is ever reached
		}
	}
	if len(rs.views) >= maxViews {
		clear(rs.views)
		clear(rs.shared)
	}
	v := rs.shared[hash]
	if v == nil || !slices.Equal(v.entries, entries) {
		v = &view{entries: entries}
		for _, e := range entries {
			if e.sure {
				v.index.addClients(e.rule, rs.rules[e.rule].clients)
			} else {
				v.index.always(e.rule)
			}
		}
		rs.shared[hash] = v
	}
	rs.views[key] = v
	return v
}

// matchesAll reports whether a client list matches every client at once.
func matchesAll(list string) bool {
	tok, rest := nextToken(list)
	if !equalFold(tok, "ALL") {
		return false
	}
	for tok, rest = nextToken(rest); tok != ""; tok, rest = nextToken(rest) {
		if isExcept(tok) {
			return false
		}
	}
	return true
}

// A tri is an answer that may need a lookup.
type tri int

const (
	no tri = iota
	yes
	maybe
)

// listMatches is decision.listMatches for daemons, as far as it goes without
// lookups.
func (k *viewKey) listMatches(list string) tri {
	for {
		var tok string
		tok, list = nextToken(list)
		if tok == "" || isExcept(tok) {
			return no
		}
		switch k.daemonMatches(tok) {
		case maybe:
			return maybe
		case yes:
			for !isExcept(tok) {
				if tok, list = nextToken(list); tok == "" {
					return yes
				}
			}
			switch k.listMatches(list) {
			case yes:
				return no
			case no:
				return yes
			}
			return maybe
		}
	}
}

func (k *viewKey) daemonMatches(tok string) tri {
	name, host, at := splitHost(tok)
	if p, ok := portPattern(name); ok && k.port != p || !ok && !matchString(name, k.daemon) {
		return no
	}
	if !at {
		return yes
	}
	switch {
	case host == "":
		return no
	case host[0] == '@', host[0] == '/', equalFold(host, "KNOWN"), equalFold(host, "LOCAL"):
		return maybe
	}
	if net, mask, ok := splitAt(host, '/'); ok {
		if matchMask(net, mask, k.addr) {
			return yes
		}
		return no
	}
	switch {
	case matchString(host, k.addr):
		return yes
	case addressOnly(host):
		return no
	}
	return maybe
}

// A hostIndex finds numbered host patterns by what they could match. Numbers
// are added in ascending order.
type hostIndex struct {
	every  []int32            // to be evaluated for any host
	named  []int32            // those that may ask for the name
	exact  map[string][]int32 // by the whole text
	prefix map[string][]int32 // by how the text begins, through a dot or colon
	suffix map[string][]int32 // by how it ends, from a dot or colon
	nets4  []nets4            // by the address, one for each mask
	nets6  []nets6            // one for each length
	exact6 map[[16]byte][]int32
}

type nets4 struct {
	mask uint32
	nets map[uint32][]int32
}

type nets6 struct {
	len6 int
	nets map[[16]byte][]int32
}

// maxMasks bounds how many masks are tried one by one; only tables full of
// masks with holes have more.
const maxMasks = 64

func add(list []int32, n int32) []int32 {
	if len(list) > 0 && list[len(list)-1] == n {
		return list
	}
	return append(list, n)
}

func addKey[K comparable](m map[K][]int32, k K, n int32) map[K][]int32 {
	if m == nil {
		m = make(map[K][]int32)
	}
	m[k] = add(m[k], n)
	return m
}

func (x *hostIndex) always(n int32) { x.every = add(x.every, n) }

// addClients adds a client list. Only what comes before the first EXCEPT can
// make it match.
func (x *hostIndex) addClients(n int32, list string) {
	for {
		var tok string
		tok, list = nextToken(list)
		if tok == "" || isExcept(tok) {
			return
		}
		if _, host, at := splitHost(tok); at {
			tok = host
		}
		x.addHost(n, tok)
	}
}

// addHost adds one host pattern. It mirrors decision.hostMatches.
func (x *hostIndex) addHost(n int32, tok string) {
	switch {
	case tok == "":
		return
	case tok[0] == '@', tok[0] == '/', equalFold(tok, "ALL"), equalFold(tok, "KNOWN"), equalFold(tok, "LOCAL"):
		x.always(n)
		return
	}
	if net, mask, ok := splitAt(tok, '/'); ok {
		x.addNet(n, parseNet(net, mask))
		return
	}
	if !addressOnly(tok) {
		x.named = add(x.named, n)
	}
	key := foldASCII(tok)
	switch last := tok[len(tok)-1]; {
	case isGlob(tok):
		if head, tail := globEnds(key); len(head) > len(tail) {
			x.prefix = addKey(x.prefix, head, n)
		} else if tail != "" {
			x.suffix = addKey(x.suffix, tail, n)
		} else {
			x.always(n)
		}
	case tok[0] == '.':
		x.suffix = addKey(x.suffix, key, n)
	case last == '.':
		x.prefix = addKey(x.prefix, key, n)
	case tok[0] == '[' && last == ']':
		if a, ok := parse6(tok[1 : len(tok)-1]); ok {
			x.exact6 = addKey(x.exact6, a, n)
		}
	default:
		x.exact = addKey(x.exact, key, n)
	}
}

func (x *hostIndex) addNet(n int32, p netPattern) {
	if p.ok4 {
		i := 0
		for i < len(x.nets4) && x.nets4[i].mask != p.mask {
			i++
		}
		switch {
		case i == maxMasks:
			x.always(n)
		case i == len(x.nets4):
			x.nets4 = append(x.nets4, nets4{mask: p.mask})
			fallthrough
		default:
			x.nets4[i].nets = addKey(x.nets4[i].nets, p.net, n)
		}
	}
	if p.ok6 {
		i := 0
		for i < len(x.nets6) && x.nets6[i].len6 != p.len6 {
			i++
		}
		if i == len(x.nets6) {
			x.nets6 = append(x.nets6, nets6{len6: p.len6})
		}
		x.nets6[i].nets = addKey(x.nets6[i].nets, p.net6, n)
	}
}

func isBoundary(c byte) bool { return c == '.' || c == ':' }

// globEnds returns how any text that the pattern matches begins, through its
// last boundary, and ends, from its first.
func globEnds(pat string) (head, tail string) {
	for i := 0; pat[i] != '*' && pat[i] != '?'; i++ {
		if isBoundary(pat[i]) {
			head = pat[:i+1]
		}
	}
	for i := len(pat) - 1; pat[i] != '*' && pat[i] != '?'; i-- {
		if isBoundary(pat[i]) {
			tail = pat[i:]
		}
	}
	return head, tail
}

// first evaluates the candidates for an endpoint in ascending order and
// returns the first that matches, or -1.
func (x *hostIndex) first(d *decision, e *Endpoint, matches func(int32) bool) int32 {
	var buf [24][]int32
	lists := x.byAddr(buf[:0], *e.addr())
	if len(x.every) > 0 {
		lists = append(lists, x.every)
	}
	named := e.Name != ""
	if named {
		lists = x.byText(lists, e.Name)
	}
	for last := int32(-1); ; {
		next := int32(-1)
		for i := range lists {
			for len(lists[i]) > 0 && lists[i][0] <= last {
				lists[i] = lists[i][1:]
			}
			if len(lists[i]) > 0 && (next < 0 || lists[i][0] < next) {
				next = lists[i][0]
			}
		}
		if !named {
			// Evaluate the next pattern that may ask for the name; when it
			// did, the name is known and the rest can be looked up by it.
			if i := above(x.named, last); i < len(x.named) && (next < 0 || x.named[i] < next) {
				next = x.named[i]
			}
		}
		if next < 0 || matches(next) || d.stop() {
			return next
		}
		last = next
		if !named && e.Name != "" {
			named = true
			lists = x.byText(lists, e.Name)
		}
	}
}

// above returns the index of the first element greater than n.
func above(list []int32, n int32) int {
	lo, hi := 0, len(list)
	for lo < hi {
		if m := int(uint(lo+hi) >> 1); list[m] > n {
			hi = m
		} else {
			lo = m + 1
		}
	}
	return lo
}

func (x *hostIndex) byAddr(lists [][]int32, addr string) [][]int32 {
	lists = x.byText(lists, addr)
	text := unmap(addr)
	if len(x.nets4) > 0 {
		if a, ok := dotQuad(text); ok {
			for i := range x.nets4 {
				if l := x.nets4[i].nets[a&x.nets4[i].mask]; l != nil {
					lists = append(lists, l)
				}
			}
		}
	}
	if len(x.nets6) > 0 && len(text) == len(addr) {
		if a, ok := parse6(addr); ok {
			for i := range x.nets6 {
				if l := x.nets6[i].nets[mask6(a, x.nets6[i].len6)]; l != nil {
					lists = append(lists, l)
				}
			}
		}
	}
	return lists
}

// byText appends the lists of patterns that an address or name could match as
// text, or as the text of an IPv6 address.
func (x *hostIndex) byText(lists [][]int32, text string) [][]int32 {
	text = foldASCII(unmap(text))
	if l := x.exact[text]; l != nil {
		lists = append(lists, l)
	}
	if x.prefix != nil || x.suffix != nil {
		for i := range len(text) {
			if !isBoundary(text[i]) {
				continue
			}
			if l := x.prefix[text[:i+1]]; l != nil {
				lists = append(lists, l)
			}
			if l := x.suffix[text[i:]]; l != nil {
				lists = append(lists, l)
			}
		}
	}
	if x.exact6 != nil {
		if a, ok := parse6(text); ok {
			if l := x.exact6[a]; l != nil {
				lists = append(lists, l)
			}
		}
	}
	return lists
}
