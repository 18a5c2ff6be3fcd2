//go:build linux

package main

import (
	"bytes"
	"compress/gzip"
	"embed"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

//go:embed testdata/*.c
var sources embed.FS

// programs are the paths of what takes part; "" is not there.
type programs struct {
	inetd, tcpd                       string // ours
	openbsd, xinetd, tcpserver, tcpdC string
	floor, refuse                     string
	hello, hold                       string
	strace                            string
	ourAccess                         bool   // our inetd takes -l
	server                            string // what the trivial server is made of
	versions                          map[string]string
}

// find looks for the contenders and compiles the C programs.
func (b *bench) find() error {
	p := &b.progs
	p.versions = make(map[string]string)
	for name, path := range map[string]*string{"inetd": &p.inetd, "tcpd": &p.tcpd} {
		if file := filepath.Join(b.bin, name); runnable(file) {
			*path = file
		}
	}
	if p.inetd == "" {
		return fmt.Errorf("no %s: make all first, or say -bin", filepath.Join(b.bin, "inetd"))
	}
	p.openbsd = b.peer("openbsd-inetd", "usr/sbin/inetd")
	p.xinetd = b.peer("xinetd", "usr/sbin/xinetd")
	p.tcpserver = b.peer("ucspi-tcp", "usr/bin/tcpserver")
	p.tcpdC = b.peer("tcpd", "usr/sbin/tcpd")
	p.strace, _ = exec.LookPath("strace")
	conf := filepath.Join(b.dir, "access.conf")
	if err := os.WriteFile(conf, nil, 0o644); err != nil {
		return err
	}
	p.ourAccess = exec.Command(p.inetd, "-l", "-t", conf).Run() == nil
	return b.compile()
}

// peer finds a program of a package, unpacked or installed.
func (b *bench) peer(pkg, file string) string {
	for _, root := range []string{b.peers, "/"} {
		path := filepath.Join(root, file)
		if root == "" || !runnable(path) {
			continue
		}
		v := packageVersion(root, pkg)
		if v == "" {
			continue // the same path from another package, such as another inetd
		}
		b.progs.versions[pkg] = v
		return path
	}
	return ""
}

func runnable(path string) bool {
	fi, err := os.Stat(path)
	return err == nil && fi.Mode().IsRegular() && fi.Mode()&0o111 != 0
}

// packageVersion is what the first line of a Debian changelog says, or else
// dpkg; "" is not that package.
func packageVersion(root, pkg string) string {
	if f, err := os.Open(filepath.Join(root, "usr/share/doc", pkg, "changelog.Debian.gz")); err == nil {
		defer f.Close()
		if z, err := gzip.NewReader(f); err == nil {
			head := make([]byte, 256)
			n, _ := io.ReadFull(z, head)
			_, rest, _ := strings.Cut(string(head[:n]), "(")
			if v, _, ok := strings.Cut(rest, ")"); ok {
				return v
			}
		}
	}
	if root != "/" {
		return ""
	}
	out, err := exec.Command("dpkg-query", "-W", "-f", "${db:Status-Status} ${Version}", pkg).Output()
	if v, ok := strings.CutPrefix(string(out), "installed "); err == nil && ok {
		return v
	}
	return ""
}

func (b *bench) compile() error {
	p := &b.progs
	cc, err := exec.LookPath("cc")
	if err != nil {
		if runtime.GOARCH != "amd64" {
			return errors.New("needs a C compiler (cc) for the servers to start")
		}
		p.server = "a few machine instructions (no C compiler, so no floor either)"
		p.hello, p.hold = filepath.Join(b.dir, "hello"), filepath.Join(b.dir, "hold")
		if err := os.WriteFile(p.hello, tinyHello(), 0o755); err != nil {
			return err
		}
		return os.WriteFile(p.hold, tinyHold(), 0o755)
	}
	p.server = "C, static"
	for name, path := range map[string]*string{"floor": &p.floor, "refuse": &p.refuse, "hello": &p.hello, "hold": &p.hold} {
		src, err := sources.ReadFile("testdata/" + name + ".c")
		if err != nil {
			return err
		}
		*path = filepath.Join(b.dir, name)
		if err := os.WriteFile(*path+".c", src, 0o644); err != nil {
			return err
		}
		if exec.Command(cc, "-O2", "-static", "-o", *path, *path+".c").Run() == nil {
			continue
		}
		if out, err := exec.Command(cc, "-O2", "-o", *path, *path+".c").CombinedOutput(); err != nil {
			return fmt.Errorf("cc %s.c: %w\n%s", name, err, out)
		}
		p.server = "C, not static: no static libc here"
	}
	return nil
}

// An entry is one service of a contender.
type entry struct {
	addr     netip.AddrPort
	proto    string // tcp or udp
	internal string // name of the built-in, else:
	argv     []string
}

func (e entry) name() string {
	if e.internal != "" {
		return e.internal
	}
	return fmt.Sprint(e.addr.Port())
}

// inetdConf is e as a line of inetd.conf(5).
func inetdConf(es []entry) string {
	var sb strings.Builder
	user := username()
	for _, e := range es {
		kind, what := "stream", "internal"
		if e.proto == "udp" {
			kind = "dgram"
		}
		if e.internal == "" {
			what = e.argv[0] + " " + strings.Join(e.argv[1:], " ")
		}
		wait := "nowait"
		if kind == "dgram" {
			wait = "wait"
		}
		fmt.Fprintf(&sb, "%s:%s %s %s4 %s %s %s\n", e.addr.Addr(), e.name(), kind, e.proto, wait, user, what)
	}
	return sb.String()
}

func xinetdConf(es []entry) string {
	var sb strings.Builder
	sb.WriteString("defaults\n{\n\tinstances = UNLIMITED\n\tcps = 0 0\n\tlog_type = SYSLOG daemon info\n}\n")
	for i, e := range es {
		kind, wait := "stream", "no"
		if e.proto == "udp" {
			kind, wait = "dgram", "yes"
		}
		fmt.Fprintf(&sb, "service %s\n{\n\tid = s%d\n\tsocket_type = %s\n\tprotocol = %s\n\tbind = %s\n\tport = %d\n\tuser = %s\n\twait = %s\n",
			e.name(), i, kind, e.proto, e.addr.Addr(), e.addr.Port(), username(), wait)
		if e.internal != "" {
			sb.WriteString("\ttype = INTERNAL UNLISTED\n")
		} else {
			fmt.Fprintf(&sb, "\ttype = UNLISTED\n\tflags = NOLIBWRAP NAMEINARGS\n\tserver = %s\n\tserver_args = %s\n", e.argv[0], strings.Join(e.argv[1:], " "))
		}
		sb.WriteString("}\n")
	}
	return sb.String()
}

func username() string {
	out, err := exec.Command("id", "-un").Output()
	if err != nil {
		return "root"
	}
	return strings.TrimSpace(string(out))
}

// ip returns a loopback address that no other daemon of this run has.
func (b *bench) ip() netip.Addr {
	b.ips++
	return netip.AddrFrom4([4]byte{127, 0, byte(b.ips / 200), byte(b.ips%200 + 1)})
}

// The ports of the contenders: below those that the kernel gives to clients.
const firstPort = 20000

// at returns n entries for program on consecutive ports of an address of its own.
func (b *bench) at(n int, argv ...string) []entry {
	ip := b.ip()
	es := make([]entry, n)
	for i := range es {
		es[i] = entry{addr: netip.AddrPortFrom(ip, uint16(firstPort+i)), proto: "tcp", argv: argv}
	}
	return es
}

// A daemon is a contender at work.
type daemon struct {
	pid    int
	target netip.AddrPort         // of its first entry
	udp    netip.AddrPort         // of its first datagram entry
	write  func(es []entry) error // a new configuration file
	cmd    *exec.Cmd
	done   chan struct{}
	output bytes.Buffer
}

// ours starts our inetd without limits; flags come before the configuration.
func (b *bench) ours(es []entry, flags ...string) (*daemon, error) {
	conf := b.file("ours")
	args := append([]string{"-i", "-R", "0", "-p", conf + ".pid"}, flags...)
	return b.configured(conf, inetdConf, es, b.progs.inetd, append(args, conf)...)
}

// oursXinetd is the same from xinetd.conf.
func (b *bench) oursXinetd(es []entry) (*daemon, error) {
	conf := b.file("ours-xinetd")
	return b.configured(conf, xinetdConf, es, b.progs.inetd, "-i", "-p", conf+".pid", conf)
}

// openbsd starts openbsd-inetd. Its limit is 65,535 starts a minute, which no
// run comes near; the pid file is always /run/inetd.pid.
func (b *bench) openbsd(es []entry, flags ...string) (*daemon, error) {
	conf := b.file("openbsd")
	args := append([]string{"-i", "-R", "65535"}, flags...)
	return b.configured(conf, inetdConf, es, b.progs.openbsd, append(args, conf)...)
}

func (b *bench) xinetd(es []entry) (*daemon, error) {
	conf := b.file("xinetd")
	return b.configured(conf, xinetdConf, es, b.progs.xinetd, "-dontfork", "-f", conf, "-pidfile", conf+".pid")
}

func (b *bench) tcpserver(es []entry) (*daemon, error) {
	a := es[0].addr
	args := []string{"-q", "-H", "-R", "-l", "0", "-c", "100000", "-b", "128", a.Addr().String(), fmt.Sprint(a.Port()), es[0].argv[0]}
	return b.listening(es, b.progs.tcpserver, append(args, es[0].argv[2:]...)...)
}

func (b *bench) floor(es []entry, flags ...string) (*daemon, error) {
	a := es[0].addr
	args := append(flags, a.Addr().String(), fmt.Sprint(a.Port()))
	return b.listening(es, b.progs.floor, append(args, es[0].argv...)...)
}

func (b *bench) refuser(es []entry) (*daemon, error) {
	a := es[0].addr
	return b.listening(es, b.progs.refuse, a.Addr().String(), fmt.Sprint(a.Port()))
}

// file is a new name in the run's directory.
func (b *bench) file(name string) string {
	b.ips++
	return filepath.Join(b.dir, fmt.Sprintf("%s.%d", name, b.ips))
}

func (b *bench) configured(conf string, format func([]entry) string, es []entry, prog string, args ...string) (*daemon, error) {
	write := func(es []entry) error { return os.WriteFile(conf, []byte(format(es)), 0o644) }
	if err := write(es); err != nil {
		return nil, err
	}
	d, err := b.listening(es, prog, args...)
	if err != nil {
		return nil, err
	}
	d.write = write
	return d, nil
}

// listening starts a daemon and waits until it serves.
func (b *bench) listening(es []entry, prog string, args ...string) (*daemon, error) {
	d, err := b.start(es[0].addr, prog, args...)
	if err != nil {
		return nil, err
	}
	for _, e := range es {
		if e.proto == "udp" {
			d.udp = e.addr
		}
	}
	return d, d.listens(es)
}

// start starts a daemon and does not wait for it.
func (b *bench) start(target netip.AddrPort, prog string, args ...string) (*daemon, error) {
	d := &daemon{target: target, done: make(chan struct{})}
	d.cmd = exec.Command(prog, args...)
	d.cmd.Dir = "/"
	d.cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	out, err := os.Create(b.file("output"))
	if err != nil {
		return nil, err
	}
	defer out.Close()
	d.cmd.Stdout, d.cmd.Stderr = out, out
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := d.cmd.Start(); err != nil {
		return nil, err
	}
	d.pid = d.cmd.Process.Pid
	b.daemons = append(b.daemons, d)
	go func() {
		d.cmd.Wait()
		text, _ := os.ReadFile(out.Name())
		d.output.Write(text)
		close(d.done)
	}()
	return d, nil
}

// startTimeout is long enough for 5,000 services on a busy machine.
const startTimeout = 20 * time.Second

// listens waits until the daemon takes connections for all of its entries: to
// be exact the first, the last and one between, for daemons that open their
// sockets in some order of their own.
func (d *daemon) listens(es []entry) error {
	for _, i := range []int{len(es) - 1, len(es) / 2, 0} {
		if es[i].proto == "udp" {
			continue
		}
		if err := d.answers(es[i].addr, startTimeout); err != nil {
			return err
		}
	}
	return nil
}

// answers waits until a connection to a comes about.
func (d *daemon) answers(a netip.AddrPort, timeout time.Duration) error {
	for end := time.Now().Add(timeout); ; {
		err := connectable(a)
		if err == nil {
			return nil
		}
		select {
		case <-d.done:
			return fmt.Errorf("%s ended: %s", filepath.Base(d.cmd.Path), bytes.TrimSpace(d.output.Bytes()))
		default:
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s does not listen at %s: %w", filepath.Base(d.cmd.Path), a, err)
		}
		time.Sleep(100 * time.Microsecond)
	}
}

// connectable connects and goes away again.
func connectable(a netip.AddrPort) error {
	fd, err := dial(a, netip.Addr{})
	if err != nil {
		return err
	}
	reset(fd)
	return nil
}

func (d *daemon) stop() {
	unix.Kill(d.pid, unix.SIGTERM)
	select {
	case <-d.done:
	case <-time.After(3 * time.Second):
		unix.Kill(-d.pid, unix.SIGKILL)
		<-d.done
	}
}

func (b *bench) stopAll() {
	for _, d := range b.daemons {
		d.stop()
	}
	b.daemons = nil
}

// end stops d before the others.
func (b *bench) end(d *daemon) {
	d.stop()
	for i := range b.daemons {
		if b.daemons[i] == d {
			b.daemons = append(b.daemons[:i], b.daemons[i+1:]...)
			return
		}
	}
}
