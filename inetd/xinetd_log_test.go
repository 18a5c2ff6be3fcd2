package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// logging is a service that says nothing and logs to a file.
func logging(port int, file string, lines ...string) string {
	return block(fmt.Sprintf("l%d", port), append([]string{
		"type = UNLISTED", fmt.Sprintf("port = %d", port), "socket_type = stream", "wait = no", "user = " + me, "cps = 0 0",
		"server = /bin/cat", "log_type = FILE " + file, "log_on_success = HOST",
	}, lines...)...)
}

func size(t testing.TB, file string) int64 {
	t.Helper()
	fi, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	return fi.Size()
}

// A log file is written to up to its limits, each of which is told of once,
// and again when it has become shorter or another.
func TestLogLimits(t *testing.T) {
	t.Parallel()
	p := freePort(t)
	file := filepath.Join(t.TempDir(), "log")
	d := start(t, logging(p, file+" 200 400"))
	line := len(fmt.Sprintf("26/11/20@10:00:00: START: l%d from=127.0.0.1\n", p))
	client := func() { wantAnswer(t, "tcp4", local(p), "x", "x") }
	soft, hard := regexp.QuoteMeta(file)+` is over its soft limit of 200 bytes$`, regexp.QuoteMeta(file)+` has its hard limit of 400 bytes: logging there stops until it is smaller$`
	fill := func() {
		t.Helper()
		mark := d.log.mark()
		for range 400/line + 5 {
			client()
		}
		d.log.wait(t, mark, soft)
		d.log.wait(t, mark, hard)
		// The lines are written one after the other.
		if got := size(t, file); got > 400 || got < int64(400-line-10) {
			t.Errorf("size of a log with a hard limit of 400 = %d", got)
		}
		for _, re := range []string{soft, hard} {
			if n := d.log.count(mark, re); n != 1 {
				t.Errorf("%d lines like %q, want 1", n, re)
			}
		}
	}
	fill()
	// Rotation, as logrotate does it: another file, or the same made empty.
	if err := os.Rename(file, file+".1"); err != nil {
		t.Fatal(err)
	}
	client()
	eventually(t, "a new log", func() bool { fi, err := os.Stat(file); return err == nil && fi.Size() > 0 })
	fill()
	if err := os.Truncate(file, 0); err != nil {
		t.Fatal(err)
	}
	fill()
	for name := range map[string]bool{file: true, file + ".1": true} {
		for _, l := range strings.SplitAfter(readAll(t, name), "\n") {
			if !regexp.MustCompile(fmt.Sprintf(`^(\d\d/\d+/\d+@\d\d:\d\d:\d\d: START: l%d from=127\.0\.0\.1\n)?$`, p)).MatchString(l) {
				t.Errorf("line of %s = %q", name, l)
			}
		}
	}
}

func readAll(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A log file is nobody's way to others' files, and one that cannot be written
// costs no service.
func TestLogTrouble(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	precious := filepath.Join(dir, "precious")
	if err := os.WriteFile(precious, []byte("data"), 0o644); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(precious, link); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(dir, "no", "log")
	trouble := map[string]string{
		missing: "open " + missing + ": no such file or directory",
		dir:     "open " + dir + ": is a directory",
	}
	if os.Lchown(link, 4242, -1) == nil {
		trouble[link] = link + " is a symbolic link of uid 4242, neither root's nor the daemon's"
	}
	conf, ports := "", make(map[string]int)
	for file := range trouble {
		ports[file] = freePort(t)
		conf += logging(ports[file], file)
	}
	d := start(t, conf)
	for range 5 {
		for _, p := range ports {
			wantAnswer(t, "tcp4", local(p), "x", "x")
		}
	}
	for _, text := range trouble {
		d.log.wait(t, 0, regexp.QuoteMeta(text)+"$")
		if n := d.log.count(0, regexp.QuoteMeta(text)); n != 1 {
			t.Errorf("%d lines like %q, want 1", n, text)
		}
	}
	if text := readAll(t, precious); text != "data" {
		t.Errorf("file that the link names = %q, want it unchanged", text)
	}
	// When it can be written, it is.
	if err := os.Mkdir(filepath.Dir(missing), 0o755); err != nil {
		t.Fatal(err)
	}
	wantAnswer(t, "tcp4", local(ports[missing]), "x", "x")
	eventually(t, "a line in the log", func() bool { text, _ := os.ReadFile(missing); return strings.Contains(string(text), "START") })
}

// Links of the daemon's user lead to log files, wherever they are.
func TestLogLink(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"data/log", "data/real"} {
		if err := os.MkdirAll(at(name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{"log": "data/log", "data/log/a": at("data/log/b"), "data/log/b": "../real/file", "round": "round"} {
		if err := os.Symlink(to, at(link)); err != nil {
			t.Fatal(err)
		}
	}
	if fi, err := os.Stat("/dev/stderr"); err != nil || fi.IsDir() {
		t.Skip("no /dev/stderr")
	}
	p, console, round := freePort(t), freePort(t), freePort(t)
	d := start(t, logging(p, at("log/a"))+logging(console, "/dev/stderr")+logging(round, at("round")))
	for _, port := range []int{p, console, round} {
		wantAnswer(t, "tcp4", local(port), "x", "x")
	}
	d.log.wait(t, 0, fmt.Sprintf(`: START: l%d from=127\.0\.0\.1$`, console))
	d.log.wait(t, 0, regexp.QuoteMeta("open "+at("round")+": too many levels of symbolic links"))
	if text := readAll(t, at("data/real/file")); !strings.Contains(text, fmt.Sprintf(": START: l%d ", p)) {
		t.Errorf("file behind two links = %q, want the line of a START", text)
	}
	f, err := openLog(at("log/b")) // as for -filelog
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		return
	}
	// What a link of /proc says is no path, though there may be such a file.
	gone, err := os.Create(at("gone"))
	if err != nil {
		t.Fatal(err)
	}
	defer gone.Close()
	if err := os.Remove(gone.Name()); err != nil {
		t.Fatal(err)
	}
	if f, err := openLog(fmt.Sprintf("/proc/self/fd/%d", gone.Fd())); err != nil {
		t.Error(err)
	} else {
		f.Close()
	}
	if entries, err := filepath.Glob(at("gone*")); err != nil || len(entries) > 0 {
		t.Errorf("files %q, %v, want none", entries, err)
	}
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(pair[0])
	defer syscall.Close(pair[1])
	if _, err := openLog(fmt.Sprintf("/proc/self/fd/%d", pair[0])); !errors.Is(err, syscall.ENXIO) {
		t.Errorf("log to a socket = %v, want %v", err, syscall.ENXIO)
	}
}

// What is logged is in the file when the daemon has ended.
func TestLogAtTheEnd(t *testing.T) {
	t.Parallel()
	p := freePort(t)
	file := filepath.Join(t.TempDir(), "log")
	d := start(t, strings.Replace(logging(p, file), "server = /bin/cat", "access_times = 0:00-24:00\n\tserver = /bin/cat\n\tlog_on_failure = HOST\n\tno_access = 127.0.0.0", 1))
	const clients = 200
	for range clients {
		if got, _ := ask("tcp4", local(p), ""); got != "" {
			t.Fatalf("answer to a client that is refused = %q", got)
		}
	}
	d.signal(os.Interrupt)
	<-d.done
	if n := strings.Count(readAll(t, file), "FAIL: "); n != clients {
		t.Errorf("%d lines for %d refused clients", n, clients)
	}
}

// An IPv4 client is one in every line, also where one socket has both families,
// and a name in another encoding than UTF-8 stays what it is.
func TestLogAddressAndName(t *testing.T) {
	t.Parallel()
	p, trap := freePort(t), freePort(t)
	file := filepath.Join(t.TempDir(), "log")
	const id = "\xb0\xa1\xb3\xaa"
	d := start(t, logging(p, file, "id = "+id, "flags = IPv6", "no_access = 127.0.0.1", "log_on_failure = HOST")+
		logging(trap, file, "flags = IPv6 SENSOR", "deny_time = 1"))
	for _, port := range []int{p, trap} {
		if got, err := ask("tcp4", local(port), ""); got != "" {
			t.Errorf("answer to a client that is refused = %q, %v", got, err)
		}
	}
	d.log.wait(t, 0, `refused 127\.0\.0\.1:\d+: no_access 127\.0\.0\.1`)
	d.log.wait(t, 0, `: 127\.0\.0\.1 ran into the sensor`)
	d.signal(os.Interrupt)
	<-d.done
	if text := readAll(t, file); !strings.Contains(text, ": FAIL: "+id+" address from=127.0.0.1\n") {
		t.Errorf("log = %q, want the id %q in it", text, id)
	}
}
