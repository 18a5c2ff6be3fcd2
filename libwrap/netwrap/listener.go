package netwrap

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"syscall"
	"time"

	"inetd/libwrap"
	"inetd/libwrap/syslog"
)

const (
	defaultTimeout = 30 * time.Second
	defaultPending = 256
)

// A Listener passes on the connections that the tables let in and closes the
// others. A decision that needs a name or a user does not hold up the
// connections behind it. Set its fields before the first Accept.
//
// With TLS, wrap the listener beneath it and give the wrapped one to
// tls.NewListener or http.Server.ServeTLS: clients that are refused then shake no
// hands, and keepalive and linger find their socket.
//
// Deadlines that the listener beneath has set on a connection are cleared.
//
// Options that concern a process of its own have no place in a server: twist
// is an error, which denies, and setenv, umask, nice, user and group are
// logged and left out.
type Listener struct {
	net.Listener

	Daemon string          // process name in the rules
	Tables *libwrap.Tables // nil is /etc/hosts.allow and /etc/hosts.deny
	Lookup libwrap.Lookup  // nil is Lookup{}

	// Log takes one line for each connection, and what is wrong with the
	// tables. It is called by several goroutines at a time, must not take long,
	// and must not call Close. With nil it goes to syslog as tcpd's does: facility
	// authpriv, under the name of the daemon.
	Log func(p syslog.Priority, text string)

	// Timeout bounds each decision with all its lookups, and then what its rule
	// does: commands of spawn, and banners. 30 seconds if zero.
	Timeout time.Duration

	// Pending bounds the decisions that take time at once, for lookups, commands
	// or banners; 256 if zero, and never more than a quarter of them for one
	// client (of IPv6 its /64). Over it a connection whose decision takes time is
	// refused. Where twice as many wait for Accept, further ones wait in the
	// kernel's queue.
	Pending int

	start  sync.Once
	stop   sync.Once
	ctx    context.Context
	cancel context.CancelFunc
	out    chan accepted
	conns  chan struct{} // connections that Accept has not taken yet
	wg     sync.WaitGroup
	syslog *syslog.Writer // nil with a Log of the user's

	mu      sync.Mutex
	pending int                // decisions that take time
	clients map[netip.Addr]int // of each client
}

type accepted struct {
	conn net.Conn
	err  error
}

// Wrap gives a server the access control files:
//
//	ln, err := net.Listen("tcp", ":2000")
//	...
//	ln = netwrap.Wrap(ln, "myserver")
func Wrap(ln net.Listener, daemon string) *Listener {
	return &Listener{Listener: ln, Daemon: daemon}
}

func (l *Listener) init() {
	l.start.Do(func() {
		if l.Tables == nil {
			l.Tables = &libwrap.Tables{}
		}
		if l.Lookup == nil {
			l.Lookup = Lookup{}
		}
		if l.Timeout <= 0 {
			l.Timeout = defaultTimeout
		}
		if l.Pending <= 0 {
			l.Pending = defaultPending
		}
		if l.Log == nil {
			l.syslog = syslog.New(l.Daemon, syslog.Authpriv)
			l.Log = func(p syslog.Priority, text string) { l.syslog.Print(p, text) }
		}
		l.ctx, l.cancel = context.WithCancel(context.Background())
		l.out = make(chan accepted)
		l.clients = make(map[netip.Addr]int)
		l.conns = make(chan struct{}, 2*l.Pending)
		l.wg.Add(1)
		go l.acceptAll()
	})
}

// Accept returns the next connection that is let in, or an error of the
// listener beneath.
func (l *Listener) Accept() (net.Conn, error) {
	l.init()
	select {
	case a := <-l.out:
		return a.conn, a.err
	case <-l.ctx.Done():
		return nil, &net.OpError{Op: "accept", Net: l.Addr().Network(), Addr: l.Addr(), Err: net.ErrClosed}
	}
}

// Close closes the listener beneath, ends decisions under way and waits for
// them. Connections that Accept has not returned are closed; that the listener
// beneath is closed has the same effect.
func (l *Listener) Close() error {
	l.init()
	l.cancel()
	var err error
	l.stop.Do(func() { err = l.Listener.Close() })
	l.wg.Wait()
	if l.syslog != nil {
		l.syslog.Close()
	}
	return err
}

func (l *Listener) acceptAll() {
	defer l.wg.Done()
	for l.ctx.Err() == nil {
		select {
		case l.conns <- struct{}{}:
		case <-l.ctx.Done():
			return
		}
		c, err := l.Listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			l.cancel()
			return
		}
		if err != nil {
			l.deliver(accepted{err: err})
			continue
		}
		r := NewRequest(l.Daemon, c)
		r.Lookup = l.Lookup
		v, decided := l.Tables.CheckNow(r)
		if decided && quick(v) {
			l.deliver(l.finish(c, r, v))
			continue
		}
		who := client(r.Client.Addr)
		if !l.enter(who) {
			l.Log(syslog.Warning, "refused connect from "+l.name(r)+": too many undecided")
			c.Close()
			l.deliver(accepted{})
			continue
		}
		l.wg.Add(1)
		go func() {
			defer l.wg.Done()
			if !decided {
				ctx, cancel := context.WithTimeout(l.ctx, l.Timeout)
				v = l.Tables.Check(ctx, r)
				cancel()
			}
			a := l.finish(c, r, v)
			l.leave(who)
			l.deliver(a)
		}()
	}
}

// client is whom an address counts for; what is no IP address is nobody in particular.
func client(addr string) netip.Addr {
	ip, _ := netip.ParseAddr(addr)
	if ip = ip.Unmap(); ip.Is6() {
		p, _ := ip.Prefix(64)
		return p.Addr()
	}
	return ip
}

// enter takes a place among the decisions that take time, if there is one for who.
func (l *Listener) enter(who netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pending >= l.Pending || who.IsValid() && l.clients[who] >= max(l.Pending/4, 1) {
		return false
	}
	l.pending++
	l.clients[who]++
	return true
}

func (l *Listener) leave(who netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pending--
	if l.clients[who]--; l.clients[who] == 0 {
		delete(l.clients, who)
	}
}

// notTCP is a connection without TCP's options.
type notTCP struct{ net.Conn }

func (notTCP) SetLinger(int) error     { return syscall.EOPNOTSUPP }
func (notTCP) SetKeepAlive(bool) error { return syscall.EOPNOTSUPP }

// quick reports whether a verdict has no action that could take time.
func quick(v *libwrap.Verdict) bool {
	for i := range v.Events {
		switch v.Events[i].Kind {
		case libwrap.Spawn, libwrap.Banner:
			return false
		}
	}
	return true
}

// finish does what the verdict says, and closes the connection if that is not to
// let it in.
func (l *Listener) finish(c net.Conn, r *libwrap.Request, v *libwrap.Verdict) accepted {
	if l.ctx.Err() != nil { // no rule refuses it
		c.Close()
		return accepted{}
	}
	// Time of its own: what took all of the lookups' must not keep a rule from
	// raising its alarm.
	ctx := l.ctx
	if !quick(v) {
		var cancel func()
		ctx, cancel = context.WithTimeout(ctx, l.Timeout)
		defer cancel()
	}
	p := libwrap.Performer{Log: l.Log}
	var ok bool
	if p.Conn, ok = c.(libwrap.Conn); !ok {
		p.Conn = notTCP{c}
	}
	// For reading too: the first write on a connection with TLS shakes hands.
	c.SetDeadline(time.Now().Add(l.Timeout))
	stop := context.AfterFunc(l.ctx, func() { c.SetDeadline(time.Unix(1, 0)) })
	err := p.Perform(ctx, v)
	if stop() { // else the listener is closed, and the connection will be
		c.SetDeadline(time.Time{})
	}
	for i := range v.Events {
		switch e := &v.Events[i]; e.Kind {
		case libwrap.Setenv, libwrap.Umask, libwrap.Nice, libwrap.SetUser, libwrap.SetGroup:
			l.Log(syslog.Warning, "warning: "+e.Pos.File+", line "+strconv.Itoa(e.Pos.Line)+": option has no effect in a resident process: "+optionName(e.Kind))
		}
	}
	if err != nil || !v.Allowed {
		l.Log(v.DenySeverity, "refused connect from "+l.name(r))
		c.Close()
		return accepted{}
	}
	l.Log(v.AllowSeverity, "connect from "+l.name(r))
	return accepted{conn: c}
}

func (l *Listener) name(r *libwrap.Request) string {
	return r.ClientInfo() + " (" + r.Client.Addr + ")"
}

func optionName(k libwrap.EventKind) string {
	switch k {
	case libwrap.Setenv:
		return "setenv"
	case libwrap.Umask:
		return "umask"
	case libwrap.Nice:
		return "nice"
	case libwrap.SetUser:
		return "user"
	}
	return "group"
}

// deliver waits until Accept takes a, if there is anything in it, or the listener
// is closed.
func (l *Listener) deliver(a accepted) {
	defer func() { <-l.conns }()
	if a == (accepted{}) {
		return
	}
	select {
	case l.out <- a:
	case <-l.ctx.Done():
		if a.conn != nil {
			a.conn.Close()
		}
	}
}
