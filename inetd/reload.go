package main

import (
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"inetd/inetd/conf"
	"inetd/inetd/sock"
)

// reload ends all rests at once, reads the configuration again, away from the
// loop, and applies it when it is there. Requests that come meanwhile make one
// more reading.
func (s *server) reload() {
	s.lift()
	if s.loading {
		s.reloads++
		return
	}
	s.read()
}

func (s *server) read() {
	s.loading = true
	s.spare.release()
	s.notify.reloading()
	go func() {
		var cfg *config
		err := readableAgain(s.opts.files)
		if err == nil {
			cfg, err = s.load()
		}
		s.set.Post(func() {
			s.loading = false
			s.spare.fill()
			s.log.patience(pause)
			defer s.log.patience(0)
			if want := scarce(cfg, err); want != nil {
				s.readLater(want)
			} else if err != nil {
				s.log.err("%v: nothing is changed", err)
			} else {
				s.unread = false
				s.report(cfg)
				d := s.apply(cfg)
				d.log(s.log)
			}
			s.notify.ready()
			if s.reloads > 0 {
				s.reloads = 0
				s.read()
				return
			}
			go debug.FreeOSMemory() // the old files, and what reading took
		})
	}()
}

// scarce is the error of a file that there was no descriptor for.
func scarce(cfg *config, err error) error {
	if sock.Scarce(err) {
		return err
	}
	if cfg != nil {
		for _, p := range cfg.problems {
			if !p.Warning && sock.Scarce(p.Err) {
				return p
			}
		}
	}
	return nil
}

// readLater reads the files again until there are descriptors for it.
func (s *server) readLater(err error) {
	if !s.unread {
		s.unread = true
		s.log.err("%v: nothing is changed, and the files are read as soon as descriptors are free", err)
	}
	if s.reread == nil {
		s.reread = s.after(firstRetry, func() {
			s.reread = nil
			if s.unread && !s.loading {
				s.read()
			}
		})
	}
}

// report logs what is wrong in the files.
func (s *server) report(cfg *config) {
	for _, p := range cfg.problems {
		if p.Warning {
			s.log.warn("%v", p)
		} else {
			s.log.err("%v", p)
		}
	}
}

// apply puts cfg in force and says what changed. A descriptor whose address is
// still asked for is kept, with its queue and whoever holds it. A file with errors
// removes nothing: a line that went bad looks like one that is gone.
func (s *server) apply(cfg *config) diff {
	var d diff
	var added []*spec
	old := make(map[string]*entry, len(s.entries))
	for _, e := range s.entries {
		old[e.Key()] = e
	}
	was := s.entries
	s.pair(old, cfg)
	s.entries = make([]*entry, 0, len(cfg.specs))
	s.unready = nil
	for _, sp := range cfg.specs {
		e := old[sp.Key()]
		delete(old, sp.Key())
		if e != nil && sp.unknown != nil && !e.shut(sp) {
			d.removed = append(d.removed, e.label)
			e.retire()
			e = nil
		}
		if e != nil {
			sp.keep(e.spec)
		}
		if sp.unusable != nil {
			s.unready = append(s.unready, sp)
			if sp.until = e; e == nil {
				added = append(added, sp)
				continue
			}
			d.waiting = append(d.waiting, e.label)
			s.entries = append(s.entries, e)
			continue
		}
		switch {
		case e == nil:
			e = new(entry)
			added = append(added, sp)
			d.added = append(d.added, sp.label)
		case !e.spec.same(sp):
			d.changed = append(d.changed, sp.label)
		default:
			d.kept++
		}
		e.spec = sp
		s.rename(e)
		s.adjust(e)
		s.entries = append(s.entries, e)
		if sp.unresolved != nil {
			s.unready = append(s.unready, sp.copy())
		}
	}
	var held []*entry
	for _, e := range was {
		if old[e.Key()] != e {
			continue
		}
		if s.mayHave(cfg, e.spec) && !slices.ContainsFunc(added, func(n *spec) bool { return n.replaces(e.spec) }) {
			d.held = append(d.held, e.label)
			held = append(held, e)
			continue
		}
		d.removed = append(d.removed, e.label)
		e.retire()
	}
	s.off = nil
	for _, svc := range cfg.services {
		if svc.Off {
			s.off = append(s.off, svc)
		}
	}
	// Behind, so that an address which both want goes to the newer.
	s.entries = append(s.entries, held...)
	s.settle()
	wait := firstRetry
	if slices.ContainsFunc(s.unready, func(sp *spec) bool { return sp.later }) {
		wait = 0
	}
	s.retryLater(s.unready, wait)
	return d
}

// pair finds the entries that are asked for at other addresses only, or those of RPC
// in other versions. They are no others: their servers and starts count, and clients
// of RPC know their ports. Which of several it is is told by an address that stays.
func (s *server) pair(old map[string]*entry, cfg *config) {
	fresh := make(map[string][]*spec)
	for _, sp := range cfg.specs {
		if old[sp.Key()] == nil && (sp.RPC != nil || sp.unusable == nil) {
			fresh[sp.work()] = append(fresh[sp.work()], sp)
		}
	}
	if len(fresh) == 0 {
		return
	}
	asked := make(map[string]bool, len(cfg.specs))
	for _, sp := range cfg.specs {
		asked[sp.Key()] = true
	}
	gone := make(map[string][]*entry)
	for _, e := range s.entries {
		if asked[e.Key()] {
			continue
		}
		if w := e.work(); fresh[w] != nil && !s.mayHave(cfg, e.spec) {
			gone[w] = append(gone[w], e)
		}
	}
	for w, es := range gone {
		sps := fresh[w]
		if sps[0].RPC == nil && len(sps) != len(es) {
			continue
		}
		for _, sp := range sps {
			i := slices.IndexFunc(es, func(e *entry) bool { return sp.RPC != nil || len(sps) == 1 || sp.meets(e.spec) })
			if i >= 0 {
				delete(old, es[i].Key())
				old[sp.Key()] = es[i]
				es = slices.Delete(es, i, i+1)
			}
		}
	}
}

// work is what a service is and does, wherever; of RPC, whatever its versions.
func (sp *spec) work() string {
	svc := *sp.Service
	if sp.RPC != nil {
		svc.RPC = new(conf.RPC)
		return svc.Key()
	}
	svc.Hosts, svc.Family = nil, conf.Both
	return strings.Join(append([]string{svc.Key(), svc.Internal, svc.Program}, svc.Args...), "\x00")
}

// rename has the listeners of an RPC entry go by its new name.
func (s *server) rename(e *entry) {
	for _, l := range e.listeners {
		if l.addr.Name != "" {
			delete(s.listeners, l.addr)
			l.addr.Name = e.Key()
			s.listeners[l.addr] = l
		}
	}
}

// retryLater tries to get specs ready that were not, until a reload replaces
// them.
func (s *server) retryLater(specs []*spec, wait time.Duration) {
	if len(specs) == 0 {
		return
	}
	current := func() bool { return len(s.unready) > 0 && &s.unready[0] == &specs[0] }
	s.after(wait, func() {
		if !current() {
			return
		}
		go func() {
			s.again(specs)
			s.set.Post(func() {
				if current() {
					s.adopt(specs)
					s.retryLater(s.unready, min(max(2*wait, firstRetry), lastRetry))
				}
			})
		}()
	})
}

// adopt serves the specs that have become usable, and those of several hosts
// at the ones that have got an address.
func (s *server) adopt(specs []*spec) {
	s.unready = nil
	changed := false
	var ready []*spec
	var l conf.ErrorList
	var partly []*spec
	for _, sp := range specs {
		if sp.later {
			sp.later = false
			sp.warnUnresolved(&l)
		}
		i := slices.IndexFunc(s.entries, func(e *entry) bool { return e == sp.until || e.Key() == sp.Key() })
		if i >= 0 {
			sp.keep(s.entries[i].spec)
		}
		served := i >= 0 && s.entries[i].Service == sp.Service // this is a copy
		if sp.unusable != nil || sp.unresolved != nil && served && slices.Equal(s.entries[i].addrs, sp.addrs) {
			s.unready = append(s.unready, sp)
			continue
		}
		changed = true
		if i >= 0 {
			s.entries[i].spec, sp.until = sp, nil
			s.rename(s.entries[i])
			s.adjust(s.entries[i])
		} else {
			e := &entry{spec: sp}
			s.adjust(e)
			s.entries = append(s.entries, e)
		}
		if sp.unresolved != nil {
			partly = append(partly, sp)
		} else {
			ready = append(ready, sp)
		}
	}
	if changed {
		s.settle()
		all := make([]*spec, len(s.entries))
		for i, e := range s.entries {
			all[i] = e.spec
		}
		warnShared(all, &l)
	}
	for _, sp := range partly {
		s.unready = append(s.unready, sp.copy())
	}
	for _, p := range l {
		s.log.warn("%v", p)
	}
	for _, sp := range ready {
		s.log.info("%s: can be served now (%s)", sp.label, sp.Pos)
	}
}

// copy is for asking again while the original serves.
func (sp *spec) copy() *spec {
	c := *sp
	return &c
}

// settle makes the listeners those of the entries: first it closes what nobody
// wants, since a specific address cannot be bound beside all addresses, then
// it updates what stays and opens what is new. Of entries that want the same
// address the first has it, as where the second fails to bind.
func (s *server) settle() {
	want := make(map[sock.Addr]*entry, len(s.listeners))
	clear(s.mux)
	s.answering = make(map[uint16]bool)
	for _, e := range s.entries {
		e.listeners = nil
		if e.Mux != conf.NoMux {
			s.mux[strings.ToLower(e.Name)] = e
			continue
		}
		for _, a := range e.addrs {
			if want[a] != nil {
				continue
			}
			want[a] = e
			if e.builtin != nil && a.Type == sock.Dgram {
				s.answering[a.IP.Port()] = true
			}
		}
	}
	if len(want) > len(s.listeners) {
		sock.Reserve(len(want))
	}
	for a, l := range s.listeners {
		if want[a] == nil {
			s.close(l)
			delete(s.listeners, a)
		}
	}
	var rpc []*listener // take what ports are left
	for _, e := range s.entries {
		for _, a := range e.addrs {
			if want[a] != e {
				continue
			}
			l := s.listeners[a]
			if l != nil {
				e.listeners = append(e.listeners, l)
				s.update(l, e)
				continue
			}
			l = &listener{entry: e, addr: a, fd: -1}
			s.listeners[a] = l
			e.listeners = append(e.listeners, l)
			if e.RPC != nil {
				rpc = append(rpc, l)
				continue
			}
			s.open(l)
		}
	}
	for _, l := range rpc {
		s.open(l)
	}
}

// update gives a listener that stays its entry as it is now.
func (s *server) update(l *listener, e *entry) {
	changed := l.opts != e.opts
	l.entry = e
	if l.fd < 0 {
		if l.refusing && !e.resting {
			s.readmit(l)
		} else {
			s.openAgain(l)
		}
		return
	}
	if changed {
		if err := s.reset(l); err != nil {
			s.log.err("%s: %v (%s)", e.label, err, e.Pos)
		}
	}
	if err := l.fence(l.fd); err != nil {
		s.log.err("%s: %v (%s)", e.label, err, e.Pos)
		s.close(l)
		s.open(l)
		return
	}
	switch { // it may have been another entry's
	case l.refusing && !e.resting:
		s.readmit(l)
	case e.resting && !l.refusing:
		s.refuse(l)
	}
	s.setMode(l)
	s.renew(l)
	s.watch(l)
}

// reset applies changed socket options to an open socket.
func (s *server) reset(l *listener) error {
	o := l.entry.opts
	if l.opts.Filter != "" && o.Filter == "" {
		sock.Unfilter(l.fd)
	}
	if l.opts.SndBuf != 0 && o.SndBuf == 0 || l.opts.RcvBuf != 0 && o.RcvBuf == 0 {
		s.log.warn("%s: a buffer keeps its size until the daemon is started anew", l.entry.label)
	}
	if err := sock.Set(l.fd, l.addr, o); err != nil {
		return err
	}
	if l.addr.Path != "" {
		own := o
		if own.UID < 0 && l.opts.UID >= 0 {
			own.UID = os.Geteuid()
		}
		if own.GID < 0 && l.opts.GID >= 0 {
			own.GID = os.Getegid()
		}
		if err := sock.Own(l.addr, own); err != nil {
			return err
		}
	}
	if !l.refusing {
		if err := sock.Listen(l.fd, l.addr, o); err != nil {
			return err
		}
	}
	l.opts = o
	return nil
}

// mayHave says whether a service without a good line may have a bad one: it was
// not switched off now, and the file where it was has errors or could not be read.
func (s *server) mayHave(cfg *config, sp *spec) bool {
	if cfg.problems.Errors() == 0 || sp.timesOff(cfg.services) > sp.timesOff(s.off) {
		return false
	}
	file := filepath.Clean(sp.Pos.File)
	read, asked := cfg.read[file]
	if lists := cfg.lists[filepath.Dir(file)]; !asked && lists != nil && lists(filepath.Base(file)) {
		return false // it is gone
	}
	return !read || slices.ContainsFunc(cfg.problems, func(p *conf.Error) bool { return !p.Warning && p.Pos.File == sp.Pos.File })
}

// timesOff is how often a service is written and switched off: there may be
// another for the same, which has always been.
func (sp *spec) timesOff(services []*conf.Service) (n int) {
	for _, s := range services {
		unread := s.Socktype == 0 && s.Xinetd == nil && sp.Xinetd == nil
		if s.Off && (s.Key() == sp.Key() || sp.named(s) || unread && s.Name == sp.Name) {
			n++
		}
	}
	return n
}

// named says whether a service of xinetd.conf has the id of another.
func (sp *spec) named(s *conf.Service) bool {
	return sp.Xinetd != nil && s.Xinetd != nil && strings.EqualFold(sp.Xinetd.ID, s.Xinetd.ID)
}

// replaces says whether a new service is an old one at another place: it has the
// id, or wants an address that the old one has in its way. One that has none yet
// may get any.
func (sp *spec) replaces(old *spec) bool {
	switch {
	case sp.named(old.Service):
		return true
	case sp.Mux != conf.NoMux || old.Mux != conf.NoMux:
		return false
	case len(sp.addrs) == 0:
		return sp.Port != 0 && sp.Port == old.Port && sp.Proto == old.Proto
	}
	return sp.meets(old)
}

func (sp *spec) meets(b *spec) bool {
	return slices.ContainsFunc(sp.addrs, func(a sock.Addr) bool { return slices.ContainsFunc(b.addrs, a.Meets) })
}

// same says whether two readings ask for the same.
func (sp *spec) same(b *spec) bool {
	return sp.asksLike(b) && sp.limits == b.limits && sp.opts == b.opts && sp.Program == b.Program && slices.Equal(sp.Args, b.Args) && slices.Equal(sp.addrs, b.addrs)
}

// asksLike says whether what a client was asked for one holds for the other.
func (sp *spec) asksLike(b *spec) bool {
	return sp.Wait == b.Wait && sp.Mux == b.Mux && sp.wrapped == b.wrapped && sp.Xinetd.Equal(b.Xinetd) && sp.Internal == b.Internal &&
		sp.User == b.User && sp.Group == b.Group && sp.Class == b.Class
}

// lift ends every rest and tries every bind again at once.
func (s *server) lift() {
	for _, e := range s.entries {
		if e.resting {
			s.resume(e)
		}
	}
	for _, l := range s.listeners {
		if l.retry != nil {
			s.openAgain(l)
		}
	}
}

// A diff is what one reload changed.
type diff struct {
	added, changed, removed []string
	held                    []string // kept because the files have errors
	waiting                 []string // as they were until they can be what the files say
	kept                    int
}

func (d *diff) log(l *logger) {
	list := func(what string, labels []string) {
		if len(labels) > 0 {
			slices.Sort(labels)
			l.info("reload: %s: %s", what, strings.Join(labels, " "))
		}
	}
	list("added", d.added)
	list("changed", d.changed)
	list("removed", d.removed)
	list("kept for the errors in the file", d.held)
	list("not changed yet", d.waiting)
	l.info("reload: %d added, %d changed, %d removed, %d kept", len(d.added), len(d.changed), len(d.removed), d.kept+len(d.held)+len(d.waiting))
}
