// Package xinetdconf reads and prints xinetd.conf(5). What xinetd ignores, so
// that a service is open to more than its file says, is an error here and
// costs that service; xinetd.conf(5) lists the differences.
//
// A file is read in two steps: its lines become blocks, and when all files are
// read the blocks become services. So it does not matter where in the files
// the defaults stand.
package xinetdconf

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"inetd/inetd/conf"
)

// A Source gives the parser the files that include and includedir name.
type Source struct {
	// ReadFile reads a whole file.
	ReadFile func(name string) ([]byte, error)
	// ReadDir lists the names of the regular files in a directory.
	ReadDir func(name string) ([]string, error)
}

// RegularFiles lists the names of the regular files in a directory, sorted by
// their bytes. Symbolic links are followed.
func RegularFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if fi, err := os.Stat(filepath.Join(dir, e.Name())); err == nil && fi.Mode().IsRegular() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// Included says whether includedir reads a file of that name: those with a dot
// in it or a tilde at its end belong to editors and package managers.
func Included(name string) bool {
	return name != "" && !strings.Contains(name, ".") && !strings.HasSuffix(name, "~")
}

const (
	maxDepth = 16      // of files that include files
	maxFiles = 1 << 16 // in one reading
)

// Parse reads one file's text and the files it includes. Everything wrong is
// in the list, in order; the services are those without an error.
//
// compat are services of inetd.conf(5) besides, as for xinetd's -inetd_compat: the
// defaults hold for them, all but those of access and banners, and one whose port
// a service of the file has is not served.
func Parse(file string, text []byte, env *conf.Env, src Source, compat ...*conf.Service) ([]*conf.Service, conf.ErrorList) {
	file = filepath.Clean(file)
	p := &parser{env: env, src: src, seen: map[string]bool{file: true}}
	p.file(file, text)
	for _, s := range compat {
		p.blocks = append(p.blocks, &block{kind: service, name: s.Name, pos: s.Pos, compat: s})
	}
	services := p.services()
	p.errs.Sort()
	return services, p.errs
}

// Is says whether a file is xinetd.conf(5) rather than inetd.conf(5): by the
// first line that says something, or by the name xinetd.conf or a place in a
// directory xinetd.d.
func Is(name string, text []byte) bool {
	abs, err := filepath.Abs(name)
	if err != nil {
		abs = name
	}
	if filepath.Base(abs) == "xinetd.conf" || filepath.Base(filepath.Dir(abs)) == "xinetd.d" {
		return true
	}
	for l := range strings.SplitSeq(strings.TrimPrefix(string(text), bom), "\n") {
		ws := split(nil, l)
		if len(ws) == 0 || comment(ws[0].text) {
			continue
		}
		ws, _ = uncomment(ws)
		ws, _ = unbrace(ws)
		return keyword(ws)
	}
	return false
}

// keyword says whether the words are a line that stands outside of blocks.
func keyword(ws []word) bool {
	if len(ws) == 0 {
		return false
	}
	switch strings.ToLower(ws[0].text) {
	case "service", "include", "includedir":
		return len(ws) == 2
	case "defaults":
		return len(ws) == 1
	}
	return false
}

type parser struct {
	env    *conf.Env
	src    Source
	errs   conf.ErrorList
	blocks []*block

	name   string          // of the file being read
	chain  []string        // files that include this one
	seen   map[string]bool // files that have been read
	cur    *block
	brace  bool // the { of cur is yet to come
	stray  bool // the last line outside of blocks was none
	unread bool // there is a file that could not be read

	setting setting // at work
}

// A block is a service entry or the defaults, as read.
type block struct {
	kind     kind
	pos      conf.Pos
	name     string // of the service
	lines    []assignment
	unread   []word        // first words of lines that could not be read
	bad      bool          // it has an error in its form
	cut      bool          // the end of the file came first
	compat   *conf.Service // of inetd.conf(5); the block has no lines
	misnamed bool          // it may be meant for the defaults
}

type kind uint8

const (
	service kind = iota
	defaults
	orphan // a block that nothing names
)

// String is the block as messages name it.
func (b *block) String() string {
	switch b.kind {
	case service:
		return "service " + b.name
	case defaults:
		return "defaults"
	}
	return "the block"
}

// An assignment is one line of a block.
type assignment struct {
	name   word
	op     op
	values []word
}

type op uint8

const (
	assign op = 1 << iota
	add
	remove
)

func (o op) String() string { return map[op]string{assign: "=", add: "+=", remove: "-="}[o] }

func (p *parser) pos(line, col int) conf.Pos { return conf.Pos{File: p.name, Line: line, Col: col} }

const bom = "\xef\xbb\xbf"

// file reads the blocks of one file.
func (p *parser) file(name string, text []byte) {
	defer func(name string) { p.name = name }(p.name)
	p.name = name
	rest, marked := strings.CutPrefix(string(text), bom)
	if marked {
		p.errs.Warnf(p.pos(1, 0), "", "the file starts with a byte order mark, which is ignored")
	}
	crlf := false
	n := 0
	var words []word
	for l := range strings.SplitSeq(rest, "\n") {
		n++
		if cut, ok := strings.CutSuffix(l, "\r"); ok {
			if l = cut; !crlf {
				crlf = true
				p.errs.Warnf(p.pos(n, 0), "", "lines end in CR LF; the CR is ignored")
			}
		}
		words = split(words[:0], l)
		ws := words
		if len(ws) == 0 || ws[0].text[0] == '#' {
			continue
		}
		for i := range ws {
			ws[i].pos.File, ws[i].pos.Line = name, n
		}
		if i := strings.IndexByte(l, 0); i >= 0 {
			p.fail(p.pos(n, i+1), "a NUL byte: this is no text")
			p.lose(ws[0])
			continue
		}
		p.line(ws)
	}
	if b := p.cur; b != nil {
		p.errs.Errorf(b.pos, "", "%s: there is no } before the end of the file", b)
		b.bad, b.cut = true, true
		p.cur = nil
	}
}

// fail reports an error and costs the block that is being read, if there is
// one.
func (p *parser) fail(pos conf.Pos, format string, args ...any) {
	p.errs.Errorf(pos, "", format, args...)
	if p.cur != nil {
		p.cur.bad = true
	}
}

// lose keeps what may be the name of an attribute that is not in force because
// its line could not be read.
func (p *parser) lose(w word) {
	if p.cur != nil {
		p.cur.unread = append(p.cur.unread, w)
	}
}

// line takes a line to where it belongs. A line that is wrong is reported and
// costs no more than the block it is in.
func (p *parser) line(ws []word) {
	switch {
	case p.cur == nil:
		p.outside(ws)
	case p.brace:
		p.opening(ws)
	default:
		p.inside(ws)
	}
}

func (p *parser) outside(ws []word) {
	first := ws[0]
	stray := p.stray
	p.stray = false
	ws, rest := uncomment(ws)
	ws, braced := unbrace(ws)
	word := strings.ToLower(first.text)
	switch word {
	case "service":
		b := p.open(service, first.pos, braced)
		if len(ws) < 2 {
			p.fail(first.pos, "service: its name is missing")
			break
		}
		if b.name = ws[1].text; strings.ContainsAny(b.name, "{}") {
			p.fail(ws[1].pos, "service %q: a name has no braces", b.name)
		}
		p.trailing(ws[1:], rest)
	case "defaults":
		p.open(defaults, first.pos, braced)
		p.trailing(ws, rest)
	case "include", "includedir":
		if len(ws) < 2 || braced {
			p.errs.Errorf(first.pos, "", "%s takes one name", word)
			break
		}
		p.trailing(ws[1:], rest)
		p.include(word, ws[1])
	case "{":
		p.open(orphan, first.pos, true)
		if !stray {
			p.fail(first.pos, "a block without service NAME or defaults before it")
		}
	case "}":
		p.errs.Errorf(first.pos, "", "a } without a {")
	default:
		p.errs.Errorf(first.pos, "", "%q: expected service NAME, defaults, include FILE or includedir DIRECTORY%s", first.text, hint(ws[:1]))
		switch {
		case near(word, "defaults") && len(ws) == 1:
			p.open(defaults, first.pos, braced).misnamed = true
		case braced:
			p.open(orphan, first.pos, true)
		default:
			p.stray = true
		}
		return
	}
	if braced && p.cur != nil {
		p.errs.Warnf(first.pos, "", "xinetd wants the { on a line of its own")
	}
	if len(rest) > 0 && (word == "{" || word == "}") {
		p.fail(rest[0].pos, "%q: nothing stands here%s", rest[0].text, hint(rest))
	}
}

// trailing warns of what follows the last word that a keyword takes and does
// not read it, as xinetd does not: nothing hangs on it.
func (p *parser) trailing(ws, rest []word) {
	if rest = append(ws[1:len(ws):len(ws)], rest...); len(rest) > 0 {
		p.errs.Warnf(rest[0].pos, "", "%q and what follows is ignored%s", rest[0].text, hint(rest))
	}
}

// uncomment cuts off what looks like a comment behind other words.
func uncomment(ws []word) (line, rest []word) {
	for i, w := range ws {
		if i > 0 && comment(w.text) {
			return ws[:i], ws[i:]
		}
	}
	return ws, nil
}

// unbrace cuts off a { at the end of a line that has more.
func unbrace(ws []word) ([]word, bool) {
	last := &ws[len(ws)-1]
	switch {
	case last.text == "{" && len(ws) > 1:
		return ws[:len(ws)-1], true
	case last.text != "{" && strings.HasSuffix(last.text, "{"):
		last.text = strings.TrimSuffix(last.text, "{")
		return ws, true
	}
	return ws, false
}

// single reports what follows the one word that a line should have.
func (p *parser) single(ws []word) {
	if len(ws) > 1 {
		p.fail(ws[1].pos, "%q: nothing stands after %q%s", ws[1].text, ws[0].text, hint(ws[1:]))
	}
}

// open begins a block.
func (p *parser) open(k kind, pos conf.Pos, braced bool) *block {
	p.cur, p.brace = &block{kind: k, pos: pos}, !braced
	p.blocks = append(p.blocks, p.cur)
	return p.cur
}

// opening reads the line that should be {.
func (p *parser) opening(ws []word) {
	b := p.cur
	if ws[0].text == "{" {
		p.brace = false
		p.single(ws)
		return
	}
	if b.misnamed && !attributeLine(ws) {
		p.cur = nil
		p.outside(ws)
		return
	}
	if comment(ws[0].text) {
		p.fail(ws[0].pos, "%q: expected { after %s%s", ws[0].text, b, hint(ws[:1]))
		return
	}
	p.fail(ws[0].pos, "%q: expected { on a line of its own after %s of line %d", ws[0].text, b, b.pos.Line)
	p.brace = false
	if ws[0].text == "}" || attributeLine(ws) {
		p.inside(ws)
		return
	}
	p.cur = nil
	p.outside(ws)
}

func (p *parser) inside(ws []word) {
	b := p.cur
	first := ws[0]
	switch {
	case first.text == "}":
		p.single(ws)
		p.cur = nil
	case first.text == "{":
		p.fail(first.pos, "a second { in %s", b)
	case keywordIn(ws):
		p.fail(first.pos, "there is no } before this line: %s of line %d is not closed", b, b.pos.Line)
		p.cur = nil
		p.outside(ws)
	default:
		row := lookup(first.text)
		if last := ws[len(ws)-1]; len(ws) > 1 && last.text == "}" && (row == nil || !row.free || row.max == 1) {
			p.fail(last.pos, "the } stands on a line of its own")
			p.attribute(ws[:len(ws)-1])
			p.cur = nil
			return
		}
		p.attribute(ws)
	}
}

// keywordIn recognises the start of the next block inside of one that was not
// closed.
func keywordIn(ws []word) bool {
	switch strings.TrimSuffix(strings.ToLower(ws[0].text), "{") {
	case "service", "defaults", "include", "includedir":
	default:
		return false
	}
	line, _ := uncomment(slices.Clone(ws))
	line, _ = unbrace(line)
	return keyword(line) && !attributeLine(line)
}

// attributeLine says whether the words are NAME OP VALUE…, if with mistakes.
func attributeLine(ws []word) bool {
	if strings.Contains(ws[0].text, "=") {
		return true
	}
	return len(ws) > 1 && (strings.HasPrefix(ws[1].text, "=") || strings.HasPrefix(ws[1].text, "+=") || strings.HasPrefix(ws[1].text, "-="))
}

// attribute reads NAME OP VALUE…
func (p *parser) attribute(ws []word) {
	// The words are those of the line; they last until the next one.
	a := assignment{name: ws[0], values: slices.Clone(ws[1:])}
	if i := strings.IndexByte(a.name.text, '='); i > 0 && !comment(a.name.text) {
		if c := a.name.text[i-1]; i > 1 && (c == '+' || c == '-') {
			i--
		}
		p.errs.Warnf(right(a.name.pos, i), "", "xinetd wants a blank before the operator")
		a.values = append([]word{{a.name.text[i:], right(a.name.pos, i)}}, a.values...)
		a.name.text = a.name.text[:i]
	}
	if len(a.values) > 0 && !comment(a.name.text) {
		v := a.values[0]
		for _, o := range []op{assign, add, remove} {
			rest, ok := strings.CutPrefix(v.text, o.String())
			if !ok {
				continue
			}
			a.op = o
			a.values = a.values[1:]
			if rest != "" {
				a.values = append([]word{{rest, right(v.pos, len(o.String()))}}, a.values...)
			}
			p.cur.lines = append(p.cur.lines, a)
			return
		}
	}
	if p.cur.kind != orphan {
		p.fail(a.name.pos, "%q: expected NAME = VALUE or }%s", a.name.text, hint(ws[:1]))
	}
	p.lose(a.name)
}

// include reads a file, or the files of a directory, in place. A relative name
// starts at the directory of the file it is in.
func (p *parser) include(what string, w word) {
	if len(p.chain) >= maxDepth {
		p.errs.Errorf(w.pos, what, "more than %d files that include each other", maxDepth)
		p.unread = true
		return
	}
	name := w.text
	if !filepath.IsAbs(name) {
		name = filepath.Join(filepath.Dir(p.name), name)
	}
	if what == "include" {
		p.read(what, w, name)
		return
	}
	names, err := p.src.ReadDir(name)
	if err != nil {
		p.unreadable(what, w, err)
		return
	}
	slices.Sort(names)
	for _, n := range names {
		if Included(n) {
			p.read(what, w, filepath.Join(name, n))
		}
	}
}

func (p *parser) read(what string, w word, name string) {
	name = filepath.Clean(name)
	switch {
	case slices.Contains(p.chain, name) || name == p.name:
		p.errs.Errorf(w.pos, what, "%s includes itself", name)
		return
	case p.seen[name]:
		p.errs.Warnf(w.pos, what, "%s has been read already", name)
		return
	case len(p.seen) >= maxFiles:
		p.errs.Errorf(w.pos, what, "more than %d files", maxFiles)
		p.unread = true
		return
	}
	p.seen[name] = true
	p.chain = append(p.chain, p.name)
	defer func() { p.chain = p.chain[:len(p.chain)-1] }()
	text, err := p.src.ReadFile(name)
	if err != nil {
		p.unreadable(what, w, err)
		return
	}
	p.file(name, text)
}

// unreadable is a file that is there and cannot be read: it may hold the
// defaults. One that is not there holds nothing.
func (p *parser) unreadable(what string, w word, err error) {
	p.errs.Errorf(w.pos, what, "%w", err)
	if !errors.Is(err, fs.ErrNotExist) {
		p.unread = true
	}
}

// services turns the blocks into services.
func (p *parser) services() []*conf.Service {
	def := p.defaults()
	ids := make(map[string]bool)
	taken := make(map[string][]*conf.Service)
	var list, added []*conf.Service
	for _, b := range p.blocks {
		if b.kind != service {
			continue
		}
		d := p.service(b, def)
		ids[strings.ToLower(d.id)] = true
		s := d.service
		if s == nil {
			continue
		}
		if s.Off {
			list = append(list, s)
			continue
		}
		if b.compat != nil {
			if i := slices.IndexFunc(list, func(o *conf.Service) bool { return !o.Off && samePort(o, s) }); i >= 0 {
				p.errs.Warnf(s.Pos, "", "service %s: service %s of %s has its port, and stands", b.name, list[i].Name, place(list[i].Pos, s.Pos))
				continue
			}
			added = append(added, s)
			continue
		}
		k := address(s)
		if old := twin(taken[k], s); old != nil {
			if p.missing(old) && !p.missing(s) {
				p.errs.Warnf(old.Pos, "server", "service %s is not served: there is no such program, and service %s of %s has the same address", old.Name, s.Name, place(s.Pos, old.Pos))
				*old = *s
				continue
			}
			p.errs.Errorf(b.pos, "", "service %s: service %s of %s has the same address, and stands", b.name, old.Name, place(old.Pos, b.pos))
			continue
		}
		taken[k] = append(taken[k], s)
		list = append(list, s)
	}
	for _, l := range []struct {
		name string
		ids  []word
	}{{"enabled", def.enabled}, {"disabled", def.disabled}} {
		for _, w := range l.ids {
			if !ids[strings.ToLower(w.text)] {
				p.errs.Warnf(w.pos, l.name, "no service has the id %q", w.text)
			}
		}
	}
	if len(added) > 0 {
		for _, attr := range []string{"only_from", "no_access", "access_times", "banner", "banner_success", "banner_fail"} {
			if def.has(attr) {
				p.errs.Warnf(def.pos(attr), attr, "does not hold for the services of %s, as in xinetd", added[0].Pos.File)
			}
		}
	}
	return append(list, added...)
}

// missing says whether the program of a service is not there, as where a package
// was removed and its file stayed.
func (p *parser) missing(s *conf.Service) bool {
	return s.Program != "" && p.env.Program(s.Program) != nil
}

// samePort says whether two services are reached in one way, at whatever
// addresses.
func samePort(a, b *conf.Service) bool {
	switch {
	case a.Proto != b.Proto || (a.RPC == nil) != (b.RPC == nil) || (a.Mux == conf.NoMux) != (b.Mux == conf.NoMux):
		return false
	case a.RPC != nil:
		return a.RPC.Program == b.RPC.Program
	case a.Mux != conf.NoMux || a.Proto == "unix":
		return a.Name == b.Name
	}
	return a.Port == b.Port
}

// address is what only one service can have.
func address(s *conf.Service) string {
	if s.Mux != conf.NoMux {
		return s.Key()
	}
	k := fmt.Sprintf("%s:%d/%s/%s", s.HostList(), s.Port, s.Socktype, s.ProtoField())
	if s.RPC != nil {
		k += fmt.Sprintf("/%d", s.RPC.Program)
	}
	return k
}

// twin finds the service that has the address of s already: the first one
// keeps it, as in xinetd, where the second fails to bind.
func twin(same []*conf.Service, s *conf.Service) *conf.Service {
	for _, o := range same {
		if s.RPC == nil || s.RPC.Low <= o.RPC.High && o.RPC.Low <= s.RPC.High {
			return o
		}
	}
	return nil
}

func place(p, from conf.Pos) string {
	if p.File == from.File {
		return fmt.Sprintf("line %d", p.Line)
	}
	return fmt.Sprintf("line %d of %s", p.Line, p.File)
}
