package xinetdconf

import (
	"slices"
	"strings"

	"inetd/inetd/conf"
)

// A draft is a service, or the defaults, on its way from a block: what its
// attributes say so far, and which of them have said something.
type draft struct {
	block *block
	def   *draft              // nil for the defaults
	given set                 // attributes that have a value, here or from the defaults
	own   set                 // attributes that the block itself gave
	whole set                 // of those, the ones in which nothing of the defaults is left
	lost  map[string]conf.Pos // of the defaults: attributes that are not in force because of an error

	id       string
	types    types
	flags    flags
	disable  bool
	socktype conf.Socktype
	proto    string
	wait     bool
	user     string
	group    string
	server   string
	args     []string
	bind     string
	v6only   bool
	port     uint16
	rpcLow   uint32
	rpcHigh  uint32
	rpcProg  uint32
	libwrap  string
	limits   conf.Limits
	x        conf.Xinetd // what goes over as it is
	enabled  []word      // of the defaults
	disabled []word

	service *conf.Service // the result, nil if there is none
}

type types uint8

const (
	typeRPC types = 1 << iota
	typeInternal
	typeUnlisted
	typeMux
	typeMuxPlus
)

type flags uint16

const (
	flagIntercept flags = 1 << iota
	flagIDOnly
	flagNameInArgs
	flagNoDelay
	flagKeepAlive
	flagNoLibwrap
	flagSensor
	flagIPv4
	flagIPv6
	flagLabeled
	flagDisable
	flagNothing // accepted and without effect
)

// A set holds attributes by their place in the table.
type set uint64

func (s set) has(a *attribute) bool { return s&(1<<a.index) != 0 }
func (s *set) add(a *attribute)     { *s |= 1 << a.index }

func newDraft(b *block) *draft {
	return &draft{
		block: b,
		lost:  make(map[string]conf.Pos),
		limits: conf.Limits{
			Rate: conf.Unlimited, Children: conf.Unlimited, SourceRate: conf.Unlimited, SourceChildren: conf.Unlimited,
			Refuse: true, CPS: conf.DefaultCPS,
		},
	}
}

// derive makes a draft of a service that begins with what the defaults say.
func (def *draft) derive(b *block) *draft {
	d := *def
	d.block, d.def, d.id = b, def, b.name
	d.own, d.whole, d.lost = 0, 0, nil
	return &d
}

// has says whether an attribute has a value.
func (d *draft) has(attr string) bool { return d.given.has(lookup(attr)) }

// gives says whether the block itself has the attribute.
func (d *draft) gives(attr string) bool { return d.own.has(lookup(attr)) }

// pos is the place of an attribute's value, here or in the defaults, or the
// block's.
func (d *draft) pos(attr string) conf.Pos {
	row := lookup(attr)
	for from := d; row != nil && from != nil; from = from.def {
		for _, a := range from.block.lines {
			if lookup(a.name.text) != row {
				continue
			}
			if len(a.values) > 0 {
				return a.values[0].pos
			}
			return a.name.pos
		}
	}
	return d.block.pos
}

// defaults reads the defaults. An attribute that is wrong there is not in
// force, and what it would have kept out must stay out: it is lost, and the
// services that rely on it are not served.
func (p *parser) defaults() *draft {
	var def *draft
	for _, b := range p.blocks {
		if b.kind != defaults {
			continue
		}
		d := newDraft(b)
		if def != nil {
			p.errs.Errorf(b.pos, "", "a second defaults, which is not in force: the first one is %s", place(def.block.pos, b.pos))
			d = def
		}
		for _, a := range b.lines {
			n := p.errs.Errors()
			if d == def || b.misnamed {
				d.lose(a.name)
				continue
			}
			before := *d
			p.assign(d, a, true)
			if p.errs.Errors() > n {
				*d = before
				d.lose(a.name)
			}
		}
		for _, w := range b.unread {
			d.lose(w)
		}
		if b.cut {
			d.loseAll(b.pos)
		}
		def = d
	}
	if def == nil {
		def = newDraft(&block{kind: defaults})
		if p.unread {
			def.loseAll(p.firstError())
		}
	}
	return def
}

// lose marks an attribute of the defaults as not in force. A name that is none
// is taken for the one that was meant.
func (d *draft) lose(name word) {
	if a := lookup(name.text); a != nil {
		d.lost[a.name] = name.pos
	} else if a := meant(name.text); a != nil {
		d.lost[a.name] = name.pos
	}
}

func (d *draft) loseAll(pos conf.Pos) {
	for _, a := range attributes {
		d.lost[a.name] = pos
	}
}

// service makes a service of a block, none of one that has an error. Errors of
// one that is switched off are warnings: xinetd does not read on, and nobody wants
// to serve it.
func (p *parser) service(b *block, def *draft) *draft {
	d := def.derive(b)
	start := len(p.errs)
	before := p.errs.Errors()
	for _, a := range b.lines {
		p.assign(d, a, false)
	}
	if d.off(def) {
		bad := b.bad || p.errs.Errors() > before
		for _, e := range p.errs[start:] {
			e.Warning = true
		}
		switch n := len(p.errs); {
		case b.compat != nil:
			d.compatible()
		case !bad:
			p.finish(d)
			p.errs = p.errs[:n]
		}
		if d.service == nil {
			d.service = &conf.Service{Pos: b.pos, Name: b.name, Xinetd: &conf.Xinetd{ID: d.id}}
		}
		d.service.Off = true
		return d
	}
	for i := range attributes {
		a := &attributes[i]
		pos, lost := def.lost[a.name]
		if lost && a.guard && !d.whole.has(a) {
			p.errs.Errorf(b.pos, a.name, "service %s is not served: the defaults' value (%s) is in error, and the service has none of its own", b.name, place(pos, b.pos))
			break
		}
	}
	switch {
	case b.bad || p.errs.Errors() > before:
	case b.compat != nil:
		d.compatible()
	default:
		p.finish(d)
	}
	return d
}

// off says whether the service is not to be served.
func (d *draft) off(def *draft) bool {
	named := func(list []word) bool {
		return slices.ContainsFunc(list, func(w word) bool { return strings.EqualFold(w.text, d.id) })
	}
	return d.disable || d.flags&flagDisable != 0 || def.has("enabled") && !named(def.enabled) || named(def.disabled)
}

// assign puts one line into a draft.
func (p *parser) assign(d *draft, a assignment, inDefaults bool) {
	name := a.name.text
	row := lookup(name)
	if row == nil {
		guess := ""
		if m := meant(name); m != nil {
			guess = ": is it " + m.name + "?"
		}
		p.errs.Errorf(a.name.pos, name, "there is no such attribute%s%s", guess, hint([]word{a.name}))
		return
	}
	first := 0
	if row.free { // the first may begin like a comment: a path does with two slashes
		first = 1
	}
	for i := first; i < len(a.values); i++ {
		v := a.values[i]
		switch {
		case !comment(v.text):
			continue
		case row.free && row.max != 1:
			p.errs.Warnf(v.pos, name, "%q is a value, not a comment", v.text)
		case v.text[0] == '#':
			p.errs.Warnf(v.pos, name, "%q and what follows is ignored%s", v.text, hint([]word{v}))
			a.values = a.values[:i]
		default:
			p.errs.Errorf(v.pos, name, "%q is not a value%s", v.text, hint([]word{v}))
			return
		}
		break
	}
	switch {
	case inDefaults && row.where == inService && refuses(row, a.values):
		p.errs.Errorf(a.name.pos, name, "not an attribute of the defaults")
		return
	case inDefaults && row.where == inService:
		p.errs.Warnf(a.name.pos, name, "not an attribute of the defaults: it is ignored")
		return
	case !inDefaults && row.where == inDefault:
		p.errs.Errorf(a.name.pos, name, "an attribute of the defaults only")
		return
	case row.ops&a.op == 0:
		p.errs.Errorf(a.name.pos, name, "%s is not possible here, only =", a.op)
		return
	}
	if inDefaults && row.list() && a.op == assign {
		a.op = add
	}
	if !row.list() && d.own.has(row) {
		p.errs.Warnf(a.name.pos, name, "given twice; the value of %s stands", place(d.pos(name), a.name.pos))
		return
	}
	if n := len(a.values); n < row.min || row.max >= 0 && n > row.max {
		at := a.name.pos
		if row.max >= 0 && n > row.max {
			at = a.values[row.max].pos
		}
		p.errs.Errorf(at, name, "takes %s, not %d%s", row.count(), n, hint(a.values))
		return
	}
	d.own.add(row)
	d.given.add(row)
	if a.op == assign {
		d.whole.add(row)
	}
	p.setting = setting{p: p, d: d, attr: name, assignment: a}
	row.set(&p.setting)
}

// refuses says whether an attribute that has no place in the defaults, and in
// xinetd no effect there, was meant to keep clients out. Without it the
// services would be open to more.
func refuses(row *attribute, values []word) bool {
	is := func(words ...string) func(word) bool {
		return func(w word) bool {
			return slices.ContainsFunc(words, func(s string) bool { return strings.EqualFold(s, w.text) })
		}
	}
	switch row.name {
	case "disable":
		return !slices.ContainsFunc(values, is("no"))
	case "flags":
		return slices.ContainsFunc(values, is("IDONLY", "SENSOR", "INTERCEPT", "DISABLE"))
	}
	return false
}

// firstError is the place of the first error.
func (p *parser) firstError() conf.Pos {
	for _, e := range p.errs {
		if !e.Warning {
			return e.Pos
		}
	}
	return conf.Pos{}
}
