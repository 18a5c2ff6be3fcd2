package xinetdconf

import (
	"bytes"
	"cmp"

	"inetd/inetd/conf"
)

// compat reads a service of inetd.conf(5) as the block that says the same. Its
// mistakes have been told where it was read.
func (p *parser) compat(s *conf.Service) {
	var text bytes.Buffer
	n := len(p.blocks)
	if field, _ := unsayable(s); field == "" {
		Format(&text, []*conf.Service{s})
		p.file(s.Pos.File, text.Bytes())
	} else {
		p.blocks = append(p.blocks, &block{kind: service, name: s.Name})
	}
	for _, b := range p.blocks[n:] {
		b.pos, b.compat = s.Pos, s
		for i := range b.lines {
			b.lines[i].name.pos = s.Pos
			for j := range b.lines[i].values {
				b.lines[i].values[j].pos = s.Pos
			}
		}
	}
}

// compatible makes the service of such a block.
func (p *parser) compatible(d *draft) {
	s := d.block.compat
	if field, why := unsayable(s); field != "" {
		// xinetd has no such service, so the defaults are not for it either, but
		// for where it may be reached.
		if d.has("bind") && len(s.Hosts) == 0 && s.Proto != "unix" {
			s.Hosts = []string{d.bind}
		}
		p.errs.Warnf(s.Pos, field, "the defaults do not hold for it: %s", why)
		d.service = s
		return
	}
	// As in xinetd these are not for it.
	d.x.Access, d.x.Times = conf.Access{}, nil
	d.x.Banner, d.x.BannerSuccess, d.x.BannerFail = "", "", ""
	d.x.Nice, d.v6only = 0, d.v6only && d.gives("v6only")
	n := len(p.errs)
	p.finish(d)
	if d.service != nil { // what the block could not say
		d.service.Group, d.service.SndBuf, d.service.RcvBuf, d.service.Filter, d.service.FilterArg = s.Group, s.SndBuf, s.RcvBuf, s.Filter, s.FilterArg
		d.service.Limits.Rate = cmp.Or(s.Limits.Rate, d.service.Limits.Rate)
		d.service.Limits.SourceRate = cmp.Or(s.Limits.SourceRate, d.service.Limits.SourceRate)
	}
	errs := p.errs[:n]
	for _, e := range p.errs[n:] {
		if !e.Warning {
			errs = append(errs, e)
		}
	}
	p.errs = errs
}
