package inetdconf

// keyValue reads an entry in NetBSD's second notation.
func (p *parser) keyValue(ls []line) int {
	p.errs.Errorf(p.pos(ls[0].n, 1), "", "the service on/off notation is not read yet")
	return 1
}
