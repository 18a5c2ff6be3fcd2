package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"inetd/inetd/child"
	"inetd/inetd/conf"
	"inetd/inetd/conf/inetdconf"
	"inetd/inetd/conf/xinetdconf"
	"inetd/inetd/names"
	"inetd/inetd/sock"
	"inetd/libwrap"
	"inetd/services"
)

// A config is one reading of the files.
type config struct {
	services []*conf.Service // in the order of the files, those that are switched off as well
	specs    []*spec
	problems conf.ErrorList
	read     map[string]bool                   // files, whether they could be
	lists    map[string]func(name string) bool // of directories that were read: which files are
}

// A loader reads the files. It blocks on disks and name servers, so once the
// loop runs it is called from other goroutines; one call at a time.
type loader struct {
	opts  *options
	root  bool
	env   []string // for servers
	ipv6  bool     // the kernel has it
	hasty bool     // at the start: name servers are left for later

	waiting func(hosts []string) // is told of names that take long
}

// load reads everything anew. An error says that a file could not be read and
// that there is no config; what is wrong inside the files is in the config.
func (ld *loader) load() (*config, error) {
	files, err := expand(ld.opts.files)
	if err != nil {
		return nil, err
	}
	db := names.New()
	env := environment(db)
	cfg := &config{read: make(map[string]bool), lists: make(map[string]func(string) bool)}
	var all, compat []*conf.Service
	inetdSource := inetdconf.Source{ReadFile: cfg.readFile, Glob: filepath.Glob}
	xinetdSource := xinetdconf.Source{ReadFile: cfg.readFile, ReadDir: cfg.readDir}
	for _, a := range ld.opts.files {
		cfg.lists[filepath.Clean(a)] = listed(a) // where it is a directory; expand has read it
	}
	if name := ld.opts.compat; name != "" {
		text, err := cfg.readFile(name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		var list []*conf.Service
		list, cfg.problems = inetdconf.Parse(name, text, env, inetdSource)
		for _, svc := range list {
			if svc.Off {
				all = append(all, svc)
			} else {
				compat = append(compat, svc)
			}
		}
	}
	for _, name := range files {
		text, err := cfg.readFile(name)
		if err != nil {
			return nil, err
		}
		var list []*conf.Service
		var problems conf.ErrorList
		// xinetd's own file is xinetd.conf whatever it begins with.
		if ld.opts.asXinetd || xinetdconf.Is(name, text) {
			list, problems = xinetdconf.Parse(name, text, env, xinetdSource, compat...)
			compat = nil
		} else {
			list, problems = inetdconf.Parse(name, text, env, inetdSource)
		}
		all = append(all, list...)
		cfg.problems = append(cfg.problems, problems...)
	}
	for _, svc := range all {
		if len(svc.Hosts) == 0 && svc.Proto != "unix" {
			svc.Hosts = ld.opts.hosts
		}
	}
	all = conf.Clashes(all, &cfg.problems)
	conf.Muxless(conf.On(all), &cfg.problems)
	for _, svc := range all {
		if svc.Off {
			cfg.services = append(cfg.services, svc)
			continue
		}
		sp, err := ld.prepare(svc, &cfg.problems)
		if err != nil {
			cfg.problems.Errorf(svc.Pos, conf.FieldAccess, "%s: %w", svc.Label(), err)
			continue
		}
		if sp.unusable = ld.identify(sp, db); sp.unusable != nil && sp.builtin != nil { // of others the checks have told
			cfg.problems.Warnf(svc.Pos, conf.FieldUser, "%w: not served with -W until there is", sp.unusable)
		}
		cfg.services = append(cfg.services, svc)
		cfg.specs = append(cfg.specs, sp)
	}
	found := ld.lookUp(cfg.specs, ld.waiting)
	for _, sp := range cfg.specs {
		sp.unusable = cmp.Or(sp.unusable, ld.resolve(sp, db, found))
		if sp.later = ld.hasty && (sp.unresolved != nil || sp.unknown != nil); !sp.later {
			sp.warnUnresolved(&cfg.problems)
		}
	}
	warnShared(cfg.specs, &cfg.problems)
	cfg.problems.Sort()
	return cfg, nil
}

func (cfg *config) readFile(name string) ([]byte, error) {
	text, err := os.ReadFile(name)
	cfg.read[filepath.Clean(name)] = err == nil
	return text, err
}

func (cfg *config) readDir(name string) ([]string, error) {
	names, err := xinetdconf.RegularFiles(name)
	if err == nil {
		cfg.lists[filepath.Clean(name)] = xinetdconf.Included
	}
	return names, err
}

// listed says which files of a directory are read.
func listed(dir string) func(name string) bool {
	if filepath.Base(dir) == "xinetd.d" {
		return xinetdconf.Included
	}
	return func(name string) bool { return strings.HasSuffix(name, ".conf") && name[0] != '.' }
}

// expand turns the directories among the arguments into files: *.conf, or by
// xinetd's rule for names those of an xinetd.d.
func expand(args []string) ([]string, error) {
	var files []string
	for _, a := range args {
		fi, err := os.Stat(a)
		if err != nil {
			return nil, err
		}
		if !fi.IsDir() {
			files = append(files, a)
			continue
		}
		in, err := xinetdconf.RegularFiles(a)
		if err != nil {
			return nil, err
		}
		slices.Sort(in)
		included := listed(a)
		for _, name := range in {
			if included(name) {
				files = append(files, filepath.Join(a, name))
			}
		}
	}
	return files, nil
}

// readableAgain fails for a pipe, which is empty the second time.
func readableAgain(files []string) error {
	for _, name := range files {
		// What is not there is said when it is read.
		if fi, err := os.Stat(name); err == nil && fi.Mode()&(fs.ModeNamedPipe|fs.ModeSocket) != 0 {
			return onlyOnce(name)
		}
	}
	return nil
}

// readableElsewhere fails for a pipe too, and for what another process finds
// under the name of a descriptor: to detach is to start another.
func readableElsewhere(files []string) error {
	for _, name := range files {
		if name == "/dev/stdin" || strings.HasPrefix(name, "/dev/fd/") || strings.HasPrefix(name, "/proc/self/fd/") {
			return onlyOnce(name)
		}
	}
	return readableAgain(files)
}

func onlyOnce(name string) error { return fmt.Errorf("%s can be read only once", name) }

// environment tells the checks about this machine.
func environment(db *names.DB) *conf.Env {
	programs := make(map[string]error) // few files name many
	return &conf.Env{
		Port:     db.Port,
		PortName: db.PortName,
		RPC:      db.RPC,
		Network:  db.Network,
		User:     func(name string) error { _, err := db.UserID(name); return err },
		Group:    func(name string) error { _, err := db.GroupID(name); return err },
		Identity: func(user, group string) error { _, err := db.Identity(user, group); return err },
		Proto:    func(name string) bool { _, ok := db.Proto(name); return ok },
		Program: func(path string) error {
			err, ok := programs[path]
			if !ok {
				err = executable(path)
				programs[path] = err
			}
			return err
		},
		Path:       []string{"/usr/sbin", "/usr/bin", "/sbin", "/bin"}, // not who started the daemon says
		FilterNote: sock.FilterNote,
		DaemonDir:  realDaemonDir,
		Internal: func(name string, t conf.Socktype) bool {
			b := services.Lookup(name)
			return b != nil && (t == conf.Stream && b.HasStream() || t == conf.Dgram && b.HasDatagram())
		},
		InternalArgs: func(name string, args []string) error { return services.Lookup(name).CheckArgs(args) },
	}
}

func executable(path string) error {
	fi, err := os.Stat(path)
	if err != nil {
		return err
	}
	if fi.IsDir() {
		return errors.New("is a directory")
	}
	if fi.Mode()&0o111 == 0 {
		return errors.New("permission denied: it is not executable (chmod +x)")
	}
	if !fi.Mode().IsRegular() {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil // to be executed it need not be readable
	}
	defer f.Close()
	return interpreted(f)
}

// interpreted says what keeps the kernel from executing a script. It is told as
// if the script itself were missing.
func interpreted(f io.Reader) error {
	var head [256]byte
	n, _ := io.ReadFull(f, head[:])
	line, _, _ := strings.Cut(string(head[:n]), "\n")
	line, script := strings.CutPrefix(line, "#!")
	if !script {
		if !strings.Contains(string(head[:n]), "\x00") {
			return errors.New("is no program: the first line of a script is #! and its interpreter")
		}
		return nil
	}
	words := strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '\t' })
	if len(words) == 0 {
		return errors.New("no interpreter is behind its #!")
	}
	if _, err := os.Stat(words[0]); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("its interpreter %q does not exist", words[0])
	}
	return nil
}

// prepare makes a service ready as far as the file tells.
func (ld *loader) prepare(svc *conf.Service, l *conf.ErrorList) (*spec, error) {
	sp := &spec{Service: svc, label: svc.Label(), limits: svc.Limits.Or(ld.opts.limits), records: newRecords(svc)}
	sp.opts = sock.Options{Backlog: ld.opts.backlog, SndBuf: svc.SndBuf, RcvBuf: svc.RcvBuf, Filter: svc.Filter, UID: -1, GID: -1}
	var err error
	if sp.gate, err = newGate(svc, l); err != nil {
		return nil, err
	}
	switch {
	case svc.Internal != "":
		sp.builtin = services.Lookup(svc.Internal)
		// What is answered at once starts nothing that could loop, and in no
		// inetd has it counted; a limit that the file gives holds.
		if sp.builtin.Reply != nil {
			sp.limits.Rate = svc.Limits.Rate.Or(conf.Unlimited)
		}
	case svc.Xinetd == nil:
		sp.plan = &child.Plan{Path: svc.Program, Argv: svc.Args, Env: ld.env}
	case svc.Xinetd.Redirect == nil:
		sp.plan = ld.xinetdPlan(svc, l)
	}
	sp.wrap(ld.opts, l)
	if sp.wrapped.daemon != "" {
		sp.shell = &libwrap.Shell{Env: ld.env, Start: sp.startCommand}
	}
	return sp, nil
}

// xinetdPlan is the plan of a service of xinetd.conf, which says more of its
// servers' process.
func (ld *loader) xinetdPlan(svc *conf.Service, l *conf.ErrorList) *child.Plan {
	x := svc.Xinetd
	p := &child.Plan{Path: svc.Program, Argv: svc.Args, Env: ld.env}
	if x.PassEnv != nil {
		p.Env = nil
		for _, kv := range os.Environ() {
			if name, _, _ := strings.Cut(kv, "="); slices.Contains(x.PassEnv, name) {
				p.Env = append(p.Env, kv)
			}
		}
	}
	for _, kv := range x.Env {
		p.Env = setenv(p.Env, kv)
	}
	// As in xinetd, no file of a server gets more rights than those of whoever
	// started the daemon.
	umask := child.Umask | 0o022
	if x.Umask != nil {
		umask = int(*x.Umask)
	}
	if umask != 0o022 {
		p.Umask = &umask
	}
	p.Nice = x.Nice
	for _, r := range x.Rlimits {
		if r.Resource == conf.RlimitFiles && r.Max == conf.RlimInfinity {
			continue // no kernel grants that: the limit is that of the daemon's start, as with xinetd
		}
		res, ok := rlimits[r.Resource]
		if !ok {
			l.Warnf(svc.Pos, "rlimit", "%s: this system has no rlimit_%s", x.ID, r.Resource)
			continue
		}
		if r.Max < tcpdNeeds[r.Resource] && path.Base(svc.Program) == "tcpd" {
			l.Warnf(svc.Pos, "rlimit", "%s: tcpd may not start with rlimit_%s below %dM: leave the limit out, or name the server itself, since hosts.allow and hosts.deny are asked without tcpd too",
				x.ID, r.Resource, tcpdNeeds[r.Resource]>>20)
		}
		p.Rlimits = append(p.Rlimits, child.Rlimit{Resource: res, Soft: r.Max, Hard: r.Max})
	}
	return p
}

// tcpdNeeds is what Go's runtime reserves before tcpd's first line, and some
// more. Where it does not get that it dies, and says why to the client.
var tcpdNeeds = map[conf.Resource]uint64{conf.RlimitAS: 3 << 29, conf.RlimitData: 64 << 20}

// setenv returns env with kv in it, in place of what had its name.
func setenv(env []string, kv string) []string {
	name, _, _ := strings.Cut(kv, "=")
	env = slices.DeleteFunc(slices.Clone(env), func(old string) bool { return strings.HasPrefix(old, name+"=") })
	return append(env, kv)
}

// identify and resolve find what the machine has to say: who the server runs
// as and which addresses there are. They may fail now and succeed later, when
// a user or an address has come.
func (ld *loader) identify(sp *spec, db *names.DB) error {
	if sp.Unix != nil {
		sp.owner(db)
	}
	if !ld.root || sp.plan == nil && sp.wrapped.daemon == "" {
		return nil
	}
	id, err := db.Identity(cmp.Or(sp.User, "root"), sp.Group)
	if err != nil {
		sp.runAs(&syscall.Credential{Uid: math.MaxUint32, Gid: math.MaxUint32}) // nobody, by setuid(2)
		return err
	}
	switch {
	case sp.Xinetd != nil && !sp.Xinetd.Groups:
		id.Groups = nil
	case sp.Xinetd != nil && sp.Group != "":
		// As in xinetd the user's own group is among them whatever group is.
		if own, err := db.Identity(sp.User, ""); err == nil {
			id.Groups = own.Groups
		}
	}
	sp.runAs(&id)
	return nil
}

func (sp *spec) runAs(id *syscall.Credential) {
	if sp.shell != nil {
		sp.shell.Credential = id
	}
	if sp.plan != nil {
		sp.plan.Credential = id
	}
}

// again asks for specs that were not ready, with the databases as they are now.
func (ld *loader) again(specs []*spec) {
	db, found := names.New(), ld.lookUp(specs, nil)
	for _, sp := range specs {
		if sp.unusable == nil { // and served; this is a copy
			ld.resolve(sp, db, found)
			continue
		}
		sp.unusable = cmp.Or(ld.identify(sp, db), ld.resolve(sp, db, found))
	}
}

func (sp *spec) owner(db *names.DB) {
	sp.opts.Mode = sp.Unix.Mode
	if sp.Unix.User != "" {
		if id, err := db.UserID(sp.Unix.User); err == nil {
			sp.opts.UID = int(id)
		}
	}
	if sp.Unix.Group != "" {
		if id, err := db.GroupID(sp.Unix.Group); err == nil {
			sp.opts.GID = int(id)
		}
	}
}

// resolve fails if there is no address at all. Those of an entry of tcpmux are
// the ones that its clients may have asked.
func (ld *loader) resolve(sp *spec, db *names.DB, names map[string]answer) error {
	if sp.unknown = sp.know(names); sp.unknown != nil {
		return sp.unknown
	}
	if sp.Mux != conf.NoMux && len(sp.Hosts) == 0 {
		return nil
	}
	a := sock.Addr{Type: socktypes[sp.Socktype]}
	if sp.Proto == "unix" {
		a.Path = sp.Name
		sp.addrs = []sock.Addr{a}
		return nil
	}
	if sp.Proto != "tcp" && sp.Proto != "udp" {
		a.Proto, _ = db.Proto(sp.Proto)
	}
	hosts := sp.Hosts
	if len(hosts) == 0 {
		hosts = []string{"*"}
	}
	sp.unresolved = nil
	found := make([][]sock.Addr, len(hosts))
	for i, h := range hosts {
		ips, err := ld.addresses(h, sp.Family, names)
		if err != nil {
			sp.unresolved = cmp.Or(sp.unresolved, err)
			continue
		}
		for _, ip := range ips {
			a.IP = netip.AddrPortFrom(ip, sp.Port)
			a.Mapped = sp.Family == conf.Mapped && ip.Is6()
			found[i] = append(found[i], a)
		}
	}
	sp.serve(found)
	if len(sp.addrs) > 0 {
		return nil
	}
	return sp.unresolved
}

// serve makes what was found by host the addresses.
func (sp *spec) serve(found [][]sock.Addr) {
	sp.addrs, sp.found = nil, nil
	for _, as := range found {
		for _, a := range as {
			if sp.RPC != nil {
				a.Name = sp.Key()
			}
			if !slices.Contains(sp.addrs, a) {
				sp.addrs = append(sp.addrs, a)
			}
		}
	}
	if sp.unresolved != nil {
		sp.found = found
	}
}

// keep leaves the hosts without an address those that they had: a name server
// that fails takes nothing away, and what else the file says of the service holds.
func (sp *spec) keep(old *spec) {
	if sp.unresolved == nil || sp.Port != old.Port || sp.Family != old.Family || !slices.Equal(sp.Hosts, old.Hosts) {
		return
	}
	nowhere := sp.unusable == sp.unresolved
	if old.unresolved == nil {
		sp.unresolved = nil
		sp.serve([][]sock.Addr{old.addrs})
	} else {
		for i, as := range sp.found {
			if len(as) == 0 {
				sp.found[i] = old.found[i]
			}
		}
		sp.serve(sp.found)
	}
	if nowhere && len(sp.addrs) > 0 {
		sp.unusable = nil
	}
}

func (sp *spec) warnUnresolved(l *conf.ErrorList) {
	field := conf.FieldHost
	if sp.Xinetd != nil {
		field = "bind"
	}
	switch {
	case sp.unknown != nil:
		l.Warnf(sp.Pos, "", "%w: not served until it is known who may come", sp.unknown)
	case sp.unresolved == nil:
	case len(sp.addrs) == 0:
		l.Warnf(sp.Pos, field, "%w: not served until there is", sp.unresolved)
	default:
		l.Warnf(sp.Pos, field, "%w: served at the other hosts, and there as soon as there is", sp.unresolved)
	}
}

// warnShared tells, once, of hosts that are other words for an address that an
// earlier entry has: conf.Clashes compares the words.
func warnShared(specs []*spec, l *conf.ErrorList) {
	first := make(map[sock.Addr]*spec)
	for _, sp := range specs {
		if len(sp.Hosts) == 0 || sp.Port == 0 || sp.Mux != conf.NoMux || sp.unusable != nil {
			continue
		}
		for _, a := range sp.addrs {
			old := first[a]
			if old == nil {
				first[a] = sp
			} else if !sp.shared && !slices.ContainsFunc(sp.Hosts, func(h string) bool { return slices.Contains(old.Hosts, h) }) {
				sp.shared = true
				conf.Clash(old.Service, sp.Service, l)
			}
		}
	}
}

var socktypes = map[conf.Socktype]int{conf.Stream: sock.Stream, conf.Dgram: sock.Dgram, conf.Raw: sock.Raw, conf.RDM: sock.RDM, conf.Seqpacket: sock.Seqpacket}

// hasIPv6 says whether the kernel does: where it was built or started without,
// the IPv6 half of an entry is no error.
func hasIPv6() bool {
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM, 0)
	if err != nil {
		return false
	}
	unix.Close(fd)
	return true
}
