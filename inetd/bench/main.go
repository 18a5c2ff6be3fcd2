//go:build linux

// Bench measures our inetd and tcpd beside the others, in one run.
//
//	make bench
//	make bench BENCHFLAGS='-run nowait -rounds 9 -json nowait.json'
//	go run ./inetd/bench -bin bin -list
//
// Whatever is installed takes part: openbsd-inetd, xinetd, tcpserver (package
// ucspi-tcp), Debian's tcpd, and with a C compiler a floor: a loop of accept4,
// vfork and execve that does nothing else. openbsd-inetd and xinetd exclude
// each other as packages; one that is only unpacked will do:
//
//	apt-get download openbsd-inetd
//	dpkg -x openbsd-inetd_*.deb peers
//	make bench BENCHFLAGS='-peers peers'
//
// All contenders of a table run at the same time and are loaded in turn, round
// after round; a number is the median of the rounds, and a ratio the median of
// the rounds' ratios (those of waiting times are of all rounds together), so
// that a machine which is busy with other things disturbs all of them alike. As root it runs in namespaces of its own, with
// its own /etc/hosts.allow, /run, /dev/log and loopback interface, touches
// nothing of the system and leaves no process behind; otherwise what needs
// root is left out, and the output says so.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The program runs twice: the outer one makes the inner one's namespaces and
// cleans up behind it.
const (
	innerEnv   = "INETD_BENCH_DIR"
	privateEnv = "INETD_BENCH_PRIVATE"
)

type options struct {
	bin, peers string
	run        *regexp.Regexp
	rounds     int
	time       time.Duration
	cpus       int
	json       string
	idle       time.Duration
	list       bool
}

func parseArgs(args []string) (*options, error) {
	o := new(options)
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.StringVar(&o.bin, "bin", "bin", "where our inetd and tcpd are")
	fs.StringVar(&o.peers, "peers", "", "`directory` of unpacked packages: looked at before the system's")
	pattern := fs.String("run", "", "only the works whose name matches the `regexp`")
	fs.IntVar(&o.rounds, "rounds", 25, "how often each contender is measured")
	fs.DurationVar(&o.time, "time", 80*time.Millisecond, "how long one measurement takes")
	fs.IntVar(&o.cpus, "cpus", 2, "processors to use, daemons and clients together; 0 is all")
	fs.StringVar(&o.json, "json", "", "write the results to `file` too")
	fs.DurationVar(&o.idle, "idle", 0, "how long to count the wake-ups of an idle daemon; 0 leaves it out")
	fs.BoolVar(&o.list, "list", false, "print the names of the works and exit")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	var err error
	if o.run, err = regexp.Compile(*pattern); err != nil {
		return nil, err
	}
	if fs.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	if o.rounds < 1 || o.rounds > 1000 || o.time < time.Millisecond || o.time > time.Minute {
		return nil, errors.New("-rounds is from 1 to 1000, -time from 1ms to 1m")
	}
	return o, nil
}

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	o, err := parseArgs(args)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	switch {
	case err != nil:
	case o.list:
		for _, w := range works {
			fmt.Fprintf(stdout, "%-10s %s\n", w.name, w.what)
		}
		return 0
	case os.Getenv(innerEnv) == "":
		err = outer(o, args)
	default:
		err = inner(o, os.Getenv(innerEnv), stdout)
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return 1 // the inner one has said why
	}
	if err != nil {
		fmt.Fprintf(stderr, "bench: %v\n", err)
		return 1
	}
	return 0
}

// outer runs the inner program to its end.
func outer(o *options, args []string) error {
	dir, err := os.MkdirTemp("", "inetd-bench.")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	// Servers that do not run as root must get at the programs.
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)

	// Affinity and the parent's death signal belong to the thread.
	runtime.LockOSThread()
	if err := useCPUs(o.cpus); err != nil {
		return err
	}
	start := func(flags uintptr) (*exec.Cmd, error) {
		cmd := exec.Command("/proc/self/exe", args...)
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		// Clients sit in system calls that the scheduler does not know of, and
		// need no signals there.
		cmd.Env = append(os.Environ(), innerEnv+"="+dir, "GODEBUG=asyncpreemptoff=1")
		if flags != 0 {
			cmd.Env = append(cmd.Env, privateEnv+"=1")
		}
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags, Pdeathsig: syscall.SIGKILL}
		return cmd, cmd.Start()
	}
	var cmd *exec.Cmd
	if os.Geteuid() == 0 {
		cmd, err = start(unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWPID)
		if err != nil {
			fmt.Printf("no namespaces here (%v): what needs them is left out\n", err)
		}
	}
	if cmd == nil || err != nil {
		if cmd, err = start(0); err != nil {
			return err
		}
	}
	go func() {
		<-interrupted
		cmd.Process.Kill()
	}()
	return cmd.Wait()
}

// forClients prepares the runtime for clients that sit in system calls it does
// not know of: it must have threads enough for all, and no collection may wait
// for them.
func forClients() {
	runtime.GOMAXPROCS(64)
	debug.SetGCPercent(-1)
}

// useCPUs binds the calling thread, and what it starts, to the first n of its
// processors.
func useCPUs(n int) error {
	var all, some unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return fmt.Errorf("sched_getaffinity: %w", err)
	}
	for cpu := 0; n > 0 && cpu < 1024; cpu++ {
		if all.IsSet(cpu) {
			some.Set(cpu)
			n--
		}
	}
	if some.Count() == 0 {
		return nil
	}
	return unix.SchedSetaffinity(0, &some)
}

// A bench is one run.
type bench struct {
	*options
	dir     string // for configurations, C programs and logs
	private bool   // in namespaces of our own
	out     io.Writer

	progs   programs
	tables  []*table
	daemons []*daemon // alive
	ips     int       // loopback addresses given out
}

func inner(o *options, dir string, stdout io.Writer) error {
	forClients()
	var limit unix.Rlimit
	unix.Getrlimit(unix.RLIMIT_NOFILE, &limit)
	limit.Cur = max(limit.Max, 65536)
	limit.Max = limit.Cur
	if unix.Setrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		unix.Getrlimit(unix.RLIMIT_NOFILE, &limit)
		limit.Cur = limit.Max
		unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
	}
	b := &bench{options: o, dir: dir, private: os.Getenv(privateEnv) != "", out: stdout}
	for _, p := range []*string{&b.bin, &b.peers} {
		if *p != "" {
			abs, err := filepath.Abs(*p)
			if err != nil {
				return err
			}
			*p = abs
		}
	}
	if b.private {
		if err := isolate(dir); err != nil {
			return err
		}
	}
	if err := b.find(); err != nil {
		return err
	}
	m := describe(b)
	m.print(b.out)
	began := time.Now()
	var failed []string
	for _, w := range works {
		if !b.options.run.MatchString(w.name) {
			continue
		}
		if w.root && !b.private {
			fmt.Fprintf(b.out, "\n%s: left out: needs root\n", w.name)
			continue
		}
		err := w.run(b)
		b.stopAll()
		var skip skipped
		if errors.As(err, &skip) {
			fmt.Fprintf(b.out, "\n%s: left out: %s\n", w.name, skip)
		} else if err != nil {
			fmt.Fprintf(b.out, "\n%s: ended: %v\n", w.name, err)
			failed = append(failed, w.name)
		}
	}
	m.Seconds = time.Since(began).Seconds()
	fmt.Fprintf(b.out, "\n%.0f seconds\n", m.Seconds)
	if b.json != "" {
		if err := writeJSON(b.json, m, b.tables); err != nil {
			return err
		}
	}
	if failed != nil {
		return fmt.Errorf("not measured to the end: %s", strings.Join(failed, ", "))
	}
	return nil
}

// skipped is why a work does not run.
type skipped string

func (s skipped) Error() string { return string(s) }

// A work is one thing to compare.
type work struct {
	name, what string
	root       bool // needs the private namespaces
	run        func(*bench) error
}

var works []work

func init() {
	works = []work{
		{"nowait", "a trivial static server, 1 and 8 clients at a time", false, nowait},
		{"tcpd", "the same behind tcpd", true, behindTcpd},
		{"access", "the same with inetd -l and 1, 1,000 and 10,000 rules", true, access},
		{"services", "10, 1,000 and 5,000 services: latency, reload, start-up, memory", false, manyServices},
		{"held", "10,000 idle connections to echo", true, held},
		{"children", "500 servers alive", false, children},
		{"idle", "wake-ups of a daemon with nothing to do (with -idle 1m)", false, idle},
		{"refuse", "a flood of clients over a per-source limit, from one and from 100,000 sources", false, refuse},
		{"builtins", "echo, discard, chargen, daytime", true, builtins},
		{"syscalls", "system calls (needs strace) and context switches a connection", false, syscalls},
	}
}

func words(s string) []string { return strings.Fields(s) }
