package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"inetd/inetd/child"
)

// The test binary is every program that a test needs: argv[0] says which.
// Without the right name it is the tests.
var programs = map[string]func(args []string) int{
	"inetd": func(args []string) int { return run(args, os.Stdout, os.Stderr) },
}

func TestMain(m *testing.M) {
	if child.IsHelper() {
		os.Exit(child.Help())
	}
	if f := programs[filepath.Base(os.Args[0])]; f != nil {
		os.Exit(f(os.Args[1:]))
	}
	status := m.Run()
	if builtDir != "" {
		os.RemoveAll(builtDir)
	}
	os.Exit(status)
}

// patience is how long a test waits for what must happen. Nothing waits that
// long on a machine that works.
const patience = 30 * time.Second

// self is the path of the test binary.
var self = func() string {
	path, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return path
}()

// me is the name for the user field of an entry that needs no other.
var me = func() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return strconv.Itoa(os.Getuid())
}()

// A journal holds the lines of a log and wakes those who wait for one.
type journal struct {
	mu    sync.Mutex
	lines []string
	more  chan struct{} // closed when a line comes
	ended bool
}

func newJournal() *journal { return &journal{more: make(chan struct{})} }

func (j *journal) add(line string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, line)
	close(j.more)
	j.more = make(chan struct{})
}

// end says that no more lines will come.
func (j *journal) end() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.ended = true
	close(j.more)
	j.more = make(chan struct{})
}

// readFrom fills the journal until r ends.
func (j *journal) readFrom(r io.Reader) {
	in := bufio.NewScanner(r)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		j.add(in.Text())
	}
	j.end()
}

// mark is a place in the log: what comes after it.
func (j *journal) mark() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.lines)
}

// wait returns the first line after mark that matches re.
func (j *journal) wait(t testing.TB, mark int, re string) string {
	t.Helper()
	want := regexp.MustCompile(re)
	timeout := time.After(patience)
	for at := mark; ; {
		j.mu.Lock()
		lines, more, ended := j.lines, j.more, j.ended
		j.mu.Unlock()
		for ; at < len(lines); at++ {
			if want.MatchString(lines[at]) {
				return lines[at]
			}
		}
		if ended {
			t.Fatalf("log ends without a line like %q:\n%s", re, j)
		}
		select {
		case <-more:
		case <-timeout:
			t.Fatalf("no line like %q in the log:\n%s", re, j)
		}
	}
}

// count says how many lines after mark match re.
func (j *journal) count(mark int, re string) int {
	want := regexp.MustCompile(re)
	j.mu.Lock()
	defer j.mu.Unlock()
	n := 0
	for _, l := range j.lines[mark:] {
		if want.MatchString(l) {
			n++
		}
	}
	return n
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Join(j.lines, "\n")
}

// A daemon is inetd under test.
type daemon struct {
	t    testing.TB
	cmd  *exec.Cmd
	dir  string
	file string   // its configuration
	log  *journal // its standard error, where -d makes it log
	done chan struct{}
	err  error // how it ended, once done is closed
}

// command is this test binary as inetd.
func command(args ...string) *exec.Cmd {
	cmd := exec.Command(self)
	cmd.Args = append([]string{"inetd"}, args...)
	return cmd
}

// output runs an inetd that ends by itself. One that does not is killed.
func output(cmd *exec.Cmd) (text string, status int) {
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = patience
	if err := cmd.Start(); err != nil {
		return err.Error(), -1
	}
	timer := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	defer timer.Stop()
	cmd.Wait()
	return out.String(), cmd.ProcessState.ExitCode()
}

// start runs inetd -d with a configuration until the test ends, and returns
// when it listens.
func start(t testing.TB, conf string, args ...string) *daemon {
	t.Helper()
	dir := t.TempDir()
	return startIn(t, dir, conf, command(append([]string{"-d", "-p", filepath.Join(dir, "inetd.pid")}, args...)...))
}

// startIn completes and runs cmd, a foreground inetd that lacks its file.
func startIn(t testing.TB, dir, conf string, cmd *exec.Cmd) *daemon {
	t.Helper()
	d := &daemon{t: t, cmd: cmd, dir: dir, file: filepath.Join(dir, "inetd.conf"), log: newJournal(), done: make(chan struct{})}
	d.write(conf)
	cmd.Args = append(cmd.Args, d.file)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	// The pipe on which a detached daemon tells its parent that it listens
	// works in the foreground too.
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd.Env = append(cmd.Environ(), detachEnv+"=1", "GORACE=atexit_sleep_ms=0")
	cmd.ExtraFiles = []*os.File{w}
	err = cmd.Start()
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		d.log.readFrom(stderr)
		d.err = cmd.Wait()
		close(d.done)
	}()
	t.Cleanup(d.end)
	r.SetReadDeadline(time.Now().Add(patience))
	if said, err := io.ReadAll(r); string(said) != ready {
		t.Fatalf("inetd said %q, %v, want %q\n%s", said, err, ready, d.log)
	}
	return d
}

// end makes sure that no daemon outlives its test, and that it ends as it
// should.
func (d *daemon) end() {
	if d.t.Failed() {
		defer func() { d.t.Logf("log of inetd:\n%s", d.log) }()
	}
	select {
	case <-d.done:
	default:
		d.signal(syscall.SIGTERM)
		select {
		case <-d.done:
		case <-time.After(patience):
			d.cmd.Process.Kill()
			<-d.done
			d.t.Errorf("inetd does not end on SIGTERM")
		}
	}
	if d.err != nil {
		d.t.Errorf("exit of inetd = %v, want success", d.err)
	}
	if strings.Contains(d.log.String(), "DATA RACE") {
		d.t.Errorf("inetd has a data race")
	}
}

func (d *daemon) signal(sig os.Signal) {
	d.t.Helper()
	if err := d.cmd.Process.Signal(sig); err != nil {
		d.t.Fatal(err)
	}
}

func (d *daemon) write(conf string) {
	d.t.Helper()
	if err := os.WriteFile(d.file, []byte(conf), 0o644); err != nil {
		d.t.Fatal(err)
	}
}

// reload gives the daemon a new configuration and returns when it is in force,
// with the line that says so.
func (d *daemon) reload(conf string) string {
	d.t.Helper()
	d.write(conf)
	return d.hup()
}

func (d *daemon) hup() string {
	d.t.Helper()
	mark := d.log.mark()
	d.signal(syscall.SIGHUP)
	return d.log.wait(d.t, mark, `reload: \d+ added|nothing is changed`)
}

// in turns $self and $me into what an entry needs to have this test binary as
// its program.
func in(format string, args ...any) string {
	return strings.NewReplacer("$self", self, "$me", me).Replace(fmt.Sprintf(format, args...))
}

// ports hands out ports below those that the kernel gives to clients, so that
// no connection of another test takes one between freePort and the daemon.
var ports = func() *atomic.Int32 {
	n := new(atomic.Int32)
	n.Store(int32(os.Getpid() * 61 % 20000))
	return n
}()

// freePort is a port that no socket of any kind has.
func freePort(t testing.TB) int {
	t.Helper()
	for range 1000 {
		port := 10000 + int(ports.Add(1))%20000
		if portFree(port) {
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

func portFree(port int) bool {
	// A process on its way from fork to exec would have the sockets for a
	// moment longer.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	addr := net.JoinHostPort("", strconv.Itoa(port))
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return false
	}
	defer l.Close()
	p, err := net.ListenPacket("udp", addr)
	if err != nil {
		return false
	}
	p.Close()
	return true
}

func local(port int) string  { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
func local6(port int) string { return net.JoinHostPort("::1", strconv.Itoa(port)) }

func needIPv6(t testing.TB) {
	t.Helper()
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Skipf("no IPv6 loopback: %v", err)
	}
	l.Close()
}

// dial connects a client whose every wait has an end.
func dial(t testing.TB, network, addr string) net.Conn {
	t.Helper()
	c, err := dialFrom(network, "", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// dialFrom connects from an address of this host.
func dialFrom(network, from, addr string) (net.Conn, error) {
	d := net.Dialer{Timeout: patience}
	if ip := net.ParseIP(from); ip != nil && strings.HasPrefix(network, "tcp") {
		d.LocalAddr = &net.TCPAddr{IP: ip}
	} else if ip != nil {
		d.LocalAddr = &net.UDPAddr{IP: ip}
	}
	c, err := d.Dial(network, addr)
	if err != nil {
		return nil, err
	}
	return c, c.SetDeadline(time.Now().Add(patience))
}

// ask sends a line to a stream service and returns all that comes back, with
// the error that ended it; nil is the end of the stream.
func ask(network, addr, line string) (string, error) {
	return askFrom(network, "", addr, line)
}

func askFrom(network, from, addr, line string) (string, error) {
	c, err := dialFrom(network, from, addr)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if line != "" {
		if _, err := io.WriteString(c, line); err != nil {
			return "", err
		}
	}
	c.(interface{ CloseWrite() error }).CloseWrite()
	got, err := io.ReadAll(c)
	return string(got), err
}

// wantAnswer checks what a stream service answers.
func wantAnswer(t testing.TB, network, addr, line, want string) {
	t.Helper()
	if got, err := ask(network, addr, line); err != nil || got != want {
		t.Errorf("ask(%s %s, %q) = %q, %v, want %q", network, addr, line, got, err, want)
	}
}

// wantRefused checks that nobody listens.
func wantRefused(t testing.TB, network, addr string) {
	t.Helper()
	c, err := dialFrom(network, "", addr)
	if err == nil {
		c.Close()
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dial(%s %s) = %v, want %v", network, addr, err, syscall.ECONNREFUSED)
	}
}

// wantEcho sends one message on an open connection and wants it back.
func wantEcho(t testing.TB, c net.Conn, msg string) {
	t.Helper()
	if _, err := io.WriteString(c, msg); err != nil {
		t.Fatalf("send %q: %v", msg, err)
	}
	got := make([]byte, len(msg))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != msg {
		t.Fatalf("echo of %q = %q, %v", msg, got, err)
	}
}

// eventually waits for something that announces itself nowhere.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

var (
	buildOnce sync.Once
	builtDir  string // made by this process
	buildErr  error
)

// builtEnv hands the directory on to tests in namespaces.
const builtEnv = "INETD_TEST_PROGRAMS"

// built is a directory with tcpd and the programs of examples/, built once.
// Anybody may execute them.
func built(t testing.TB) string {
	t.Helper()
	if dir := os.Getenv(builtEnv); dir != "" {
		return dir
	}
	buildOnce.Do(func() {
		if builtDir, buildErr = os.MkdirTemp("", "inetd-test"); buildErr != nil {
			return
		}
		if buildErr = os.Chmod(builtDir, 0o755); buildErr != nil {
			return
		}
		cmd := exec.Command("go", "build", "-o", builtDir+"/", "inetd/tcpd", "inetd/examples/myecho_service", "inetd/examples/udpechoserver")
		cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
		if out, err := cmd.CombinedOutput(); err != nil {
			buildErr = fmt.Errorf("%w\n%s", err, out)
		}
	})
	if buildErr != nil {
		t.Fatalf("go build: %v", buildErr)
	}
	return builtDir
}

// findProgram finds a program of another package, "" if there is none.
func findProgram(name string) string {
	for _, dir := range append(filepath.SplitList(os.Getenv("PATH")), "/usr/local/sbin", "/usr/sbin", "/sbin") {
		path := filepath.Join(dir, name)
		if executable(path) == nil {
			return path
		}
	}
	return ""
}

// needProgram finds a program of another package, or skips the test.
func needProgram(t testing.TB, name string) string {
	t.Helper()
	path := findProgram(name)
	if path == "" {
		t.Skipf("%s is not installed", name)
	}
	return path
}
