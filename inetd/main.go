// Inetd is the internet super-server: it waits for all the services of
// inetd.conf(5) in one loop and starts a server for each client.
//
// The files read in the order of a connection's path: main and daemon happen
// once, load and reload make listeners of the files, then a readable socket
// goes through accept, admit and launch, and its server ends in reap.
package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"inetd/inetd/child"
	"inetd/inetd/conf"
	"inetd/inetd/conf/inetdconf"
	"inetd/inetd/event"
	"inetd/libwrap/syslog"
	"inetd/services"
)

// Set by the linker.
var version = "devel"

func main() {
	switch {
	case child.IsHelper():
		os.Exit(child.Help())
	case len(os.Args) > 0 && os.Args[0] == services.IdentHelper:
		os.Exit(services.RunIdentHelper(os.Args, os.Stdout))
	}
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

const usage = `usage: inetd [-dEefiltVvWw] [-a address] [-C rate] [-c number] [-m number]
             [-o syntax] [-p file] [-q backlog] [-R rate] [-s number]
             [file | directory ...]
`

// options are the command line.
type options struct {
	debug      bool   // -d
	foreground bool   // -i, -f, -d
	stderr     bool   // -e, -d
	check      bool   // -t
	verbose    bool   // -v
	convert    string // -o: the syntax to print in
	keepEnv    bool   // -E

	wrapExternal, wrapInternal bool // -l, -w, -W

	backlog   int         // -q
	processes int         // -m, or -limit of xinetd; 0 is none
	hosts     []string    // -a: for entries that give none
	limits    conf.Limits // -R, -c, -C, -s: for entries that give none
	pidFile   string
	dir       string // where the program was started, if a file needs it: detaching reads the arguments again
	files     []string
	warnings  []string // of the command line, for the log

	// Only xinetd's command line has these.
	asXinetd bool
	compat   string // -inetd_compat: a file that need not be there
	facility string // -syslog
	logFile  string // -filelog
}

// defaultBacklog is the most that Linux allows unless it is told otherwise.
const defaultBacklog = 4096

func parseArgs(args []string) (*options, error) {
	o := &options{
		backlog: defaultBacklog,
		limits:  conf.Limits{Rate: 40, Children: conf.Unlimited, SourceRate: conf.Unlimited, SourceChildren: conf.Unlimited},
	}
	number := func(arg string) (int, error) {
		n, err := strconv.ParseUint(arg, 10, 31)
		if err != nil {
			return 0, fmt.Errorf("%q is not a number (0 is unlimited)", arg)
		}
		return int(n), nil
	}
	count := func(m *conf.Max, arg string) error {
		n, err := number(arg)
		*m = cmp.Or(conf.Max(n), conf.Unlimited)
		return err
	}
	files, err := getopt(args, "a:C:c:dEefilm:o:p:q:R:s:tVvWw", func(c byte, arg string) (err error) {
		switch c {
		case 'a':
			o.hosts, err = inetdconf.Hosts(arg)
		case 'C':
			err = count(&o.limits.SourceRate, arg)
		case 'c':
			err = count(&o.limits.Children, arg)
		case 'd':
			o.debug, o.foreground, o.stderr = true, true, true
		case 'E':
			o.keepEnv = true
		case 'e':
			o.stderr = true
		case 'f', 'i':
			o.foreground = true
		case 'l', 'w':
			o.wrapExternal = true
		case 'W':
			o.wrapInternal = true
		case 'm':
			o.processes, err = number(arg)
		case 'o':
			if o.convert = arg; arg != "inetd.conf" && arg != "xinetd.conf" {
				return fmt.Errorf("%q is neither inetd.conf nor xinetd.conf", arg)
			}
			o.check = true
		case 'p':
			o.pidFile = arg
		case 'q':
			n, err := strconv.ParseUint(arg, 10, 31)
			if err != nil {
				return fmt.Errorf("%q is not a queue length from 1 to 65535", arg)
			}
			// Debian's takes any; the kernel has a limit of its own.
			if o.backlog = int(min(max(n, 1), 65535)); o.backlog != int(n) {
				o.warn("option -q: %d is not a queue length from 1 to 65535 and taken for %d", n, o.backlog)
			}
		case 'R':
			err = count(&o.limits.Rate, arg)
		case 's':
			err = count(&o.limits.SourceChildren, arg)
		case 't':
			o.check = true
		case 'v':
			o.verbose = true
		case 'V':
			return errVersion
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		files = []string{"/etc/inetd.conf"}
	}
	if o.pidFile != "" {
		if o.pidFile, err = o.absolute(o.pidFile); err != nil {
			return nil, err
		}
	}
	for _, f := range files {
		if f, err = o.absolute(f); err != nil {
			return nil, err
		}
		o.files = append(o.files, f)
	}
	return o, nil
}

// warn keeps what is odd about the command line until there is a log.
func (o *options) warn(format string, args ...any) {
	o.warnings = append(o.warnings, fmt.Sprintf(format, args...))
}

// absolute is for files of the command line: the daemon's directory will be /.
// Without a relative one it does not matter whether there still is a directory
// to start in.
func (o *options) absolute(name string) (string, error) {
	if filepath.IsAbs(name) {
		return name, nil
	}
	if o.dir == "" {
		var err error
		if o.dir, err = os.Getwd(); err != nil {
			return "", fmt.Errorf("%s: %w", name, err)
		}
	}
	return filepath.Join(o.dir, name), nil
}

const fewestFiles = 20

var errVersion = errors.New("version asked for")

func run(args []string, stdout, stderr io.Writer) int {
	name, parse, help := "inetd", parseArgs, usage
	if filepath.Base(os.Args[0]) == "xinetd" {
		name, parse, help = "xinetd", parseXinetdArgs, xinetdUsage
	}
	o, err := parse(args)
	if errors.Is(err, errVersion) {
		fmt.Fprintln(stdout, "inetd", version)
		return 0
	}
	if err != nil {
		fmt.Fprintf(stderr, "%s: %v\n%s", name, err, help)
		return 2
	}
	if o.check {
		return check(o, stdout, stderr)
	}
	// With less the runtime ends with a trace, now or at the first client. Go has
	// raised the soft limit to the hard one.
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err == nil && files.Cur < fewestFiles {
		fmt.Fprintf(stderr, "%s: %d open files are too few: the limit must be %d or more\n", name, files.Cur, fewestFiles)
		return 1
	}
	// A service manager that is told when the daemon is ready watches the
	// process it started, and a container ends with its first process.
	first := os.Getpid() == 1
	if os.Getenv(notifyEnv) != "" || first {
		o.foreground = true
	}
	if first {
		status, err := asInit(o)
		if err != nil {
			fmt.Fprintf(stderr, "%s: %v\n", name, err)
		}
		return status
	}
	parent := inherited()
	if err := serve(o, parent, stderr); err != nil {
		if parent != nil {
			stderr = parent
		} else if !o.stderr { // nobody may read what a script's background says
			l := syslog.New(name, syslog.Daemon)
			l.Print(syslog.Err, printable(err.Error()))
			l.Close()
		}
		fmt.Fprintf(stderr, "%s: %v\n", name, err)
		return 1
	}
	return 0
}

// serve runs the daemon until it is told to end. parent is told when it
// listens.
func serve(o *options, parent *os.File, stderr io.Writer) error {
	if err := child.Clean(); err != nil {
		return err
	}
	nameProcess()
	zoneErr := setZone()
	notify, notifyErr := newNotifier()
	ld := &loader{opts: o, root: os.Geteuid() == 0, env: os.Environ(), ipv6: hasIPv6(), hasty: true}
	if !o.keepEnv {
		ld.env = child.Launder(ld.env)
	}
	if !o.foreground && parent == nil {
		return detach(ld, stderr)
	}
	pid, pidErr := lockPidFile(o, ld.root)
	if errors.Is(pidErr, errRunning) {
		return pidErr
	}
	defer pid.remove()

	set, err := event.New()
	if err != nil {
		return err
	}
	defer set.Close()
	log, err := newLogger(o, stderr)
	if err != nil {
		return err
	}
	defer log.flush()
	log.patience(time.Second)
	s := newServer(o, log, set)
	s.signals()
	s.load, s.again = ld.load, ld.again
	ld.waiting = func(hosts []string) {
		set.Post(func() { log.warn("waiting for the addresses of %s", strings.Join(hosts, ", ")) })
	}
	for _, w := range o.warnings {
		log.warn("%s", w)
	}
	s.notify = notify
	s.spare.fill()
	cfg, err := s.load()
	if err != nil {
		return err
	}
	ld.hasty = false
	if !ld.root {
		s.log.warn("not root: servers run as uid %d, the user field has no effect", os.Geteuid())
	}
	if zoneErr != nil {
		s.log.warn("TZ: %v: local time is universal time", zoneErr)
	}
	if notifyErr != nil {
		s.log.warn("%v", notifyErr)
	}
	s.report(cfg)
	s.apply(cfg)
	// Last, since whoever finds the number may send a signal.
	if err := cmp.Or(pidErr, pid.write()); err != nil {
		s.log.warn("pid file: %v", err)
	}
	started := s.log.info
	if len(s.entries) == 0 {
		started = s.log.warn
	}
	started("started with %d services", len(s.entries))
	if parent != nil {
		io.WriteString(parent, ready)
		parent.Close()
	}
	log.patience(0)
	s.notify.ready()
	s.sayAlive()
	spareThreads()          // not before: whoever started the daemon may be waiting
	go debug.FreeOSMemory() // of what only the start needed
	defer s.shutdown()
	return s.run()
}

func newLogger(o *options, stderr io.Writer) (*logger, error) {
	l := &logger{name: "inetd", wrap: facility(syslogFacility, syslog.Authpriv)}
	if o.asXinetd {
		l.name = "xinetd"
	}
	if o.foreground || o.stderr {
		fd := -1
		if f, ok := stderr.(*os.File); ok {
			fd = int(f.Fd())
		}
		l.lines = newLineWriter(stderr, fd, l.name)
	}
	if o.foreground {
		l.rescue = l.lines
	}
	switch {
	case o.stderr:
		l.w, l.debugs = l.lines, o.debug
	case o.logFile != "":
		f, err := openLog(o.logFile)
		if err != nil {
			return nil, err
		}
		l.lines = newLineWriter(f, -1, l.name)
		l.w, l.file = l.lines, true
		l.asked = syslog.New("xinetd", syslog.Daemon)
		l.name = fmt.Sprintf("xinetd[%d]", os.Getpid())
	case o.asXinetd:
		l.sys = syslog.New("xinetd", facility(o.facility, syslog.Daemon))
	default:
		l.sys = syslog.New("inetd", syslog.Daemon)
	}
	if l.sys != nil {
		l.sys.TellLost = l.rescue == nil
	}
	return l, nil
}

func facility(name string, otherwise syslog.Priority) syslog.Priority {
	if f, ok := syslog.ParseFacility(name); ok {
		return f
	}
	return otherwise
}
