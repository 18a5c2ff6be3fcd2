package xinetdconf

import "inetd/inetd/conf"

// compatible gives a service of inetd.conf(5) what the defaults say. Its mistakes
// have been told where it was read.
func (d *draft) compatible() {
	s := *d.block.compat
	x := d.x
	// As in xinetd these are not for it, nor is v6only.
	x.Access, x.Times = conf.Access{}, nil
	x.Banner, x.BannerSuccess, x.BannerFail = "", "", ""
	x.Nice = 0
	x.ID, x.Groups, x.Unlisted = d.id, true, s.Mux != conf.NoMux || number(s.Name)
	if s.Internal != "" { // as in xinetd; a program is behind tcpd where it is to be asked for
		x.Libwrap = s.Name
	}
	l := s.Limits.Or(d.limits)
	l.Refuse, l.CPS = d.limits.Refuse, d.limits.CPS
	if s.Limits.Rate == conf.Unlimited {
		l.CPS = conf.CPS{}
	}
	s.Limits, s.Xinetd = l, &x
	switch {
	case len(s.Hosts) > 0 || s.Proto == "unix":
	case d.bind != "" && d.bind != "::": // which takes IPv4 too
		s.Hosts = []string{d.bind}
	case s.Wait && s.Family == conf.Both && s.RPC == nil:
		s.Family = conf.Mapped // there is one server, so there is one socket
	}
	d.inapplicable(&s)
	d.service = &s
}
