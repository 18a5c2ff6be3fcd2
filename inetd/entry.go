package main

import (
	"inetd/inetd/admit"
	"inetd/inetd/child"
	"inetd/inetd/conf"
	"inetd/inetd/sock"
	"inetd/libwrap"
	"inetd/services"
)

// A spec is a Service made ready: everything about it that does not depend on
// a client is worked out once, when the files are read. It is not changed
// after.
type spec struct {
	*conf.Service
	label    string
	addrs    []sock.Addr
	opts     sock.Options
	plan     *child.Plan       // nil for a built-in
	builtin  *services.Builtin // nil for a program
	wrapped  wrapping
	shell    *libwrap.Shell // as whom commands of hosts.allow and hosts.deny run, where these are asked
	records  *records       // nil: no lines about clients
	gate     *gate          // nil: what xinetd.conf asks of clients is not asked
	limits   conf.Limits    // with the daemon's defaults
	unusable error          // why no server could be started, such as an unknown user

	unresolved error         // a host without an address: what others there are is served
	found      [][]sock.Addr // then, by host: what there is
	unknown    error         // a host among the clients without an address
	until      *entry        // what is served as long as it is unusable
	later      bool          // name servers have not been asked yet
	shared     bool          // an address is another entry's, as was told
}

// An entry is a spec in service. A new reading of the files replaces the spec;
// the rest lives on.
type entry struct {
	*spec
	listeners []*listener
	tally     admit.State
	cps       admit.CPS
	resting   bool    // started too often
	gone      bool    // no more asked for; clients that are still being asked about end
	wake      stopper // ends the rest
	refusals  refusals
	failures  refusals // of a redirect
}

// retire ends an entry that is no more asked for. Its listeners are closed, or
// another's by now.
func (e *entry) retire() {
	e.gone = true
	e.listeners = nil
	if e.resting {
		e.resting = false
		e.wake.Stop()
	}
}

// adjust puts the limits of a new spec in force.
func (s *server) adjust(e *entry) {
	if e.tally.SetLimits(e.limits) {
		for j := range s.jobs {
			if j.e == e {
				e.tally.Count(j.src)
			}
		}
	}
}
