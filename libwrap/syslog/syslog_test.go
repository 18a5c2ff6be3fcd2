package syslog

import (
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var stamp = time.Date(2026, time.March, 4, 5, 6, 7, 0, time.UTC)

func listen(t *testing.T, path string) *net.UnixConn {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	return c
}

func read(t *testing.T, c net.Conn) string {
	t.Helper()
	b := make([]byte, 2*maxLen)
	n, err := c.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

func writer(path, ident string) *Writer {
	w := New(ident, Daemon)
	w.Path = path
	w.Now = func() time.Time { return stamp }
	return w
}

func TestPrint(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	c := listen(t, path)
	pid := strconv.Itoa(syscall.Getpid())
	w := writer(path, "in.x")
	defer w.Close()
	for _, tt := range []struct {
		p          Priority
		text, want string
	}{
		{Info, "connect from a", "<30>Mar  4 05:06:07 in.x[" + pid + "]: connect from a"},
		{Auth | Warning, "", "<36>Mar  4 05:06:07 in.x[" + pid + "]: "},
		{Authpriv | Info, "x", "<86>Mar  4 05:06:07 in.x[" + pid + "]: x"},
		{Local7 | Debug, "a\nb\x00\x1b\x7f\xc3\xa9", "<191>Mar  4 05:06:07 in.x[" + pid + "]: a?b???\xc3\xa9"},
		// C1 controls, as UTF-8 and as bytes, among letters that have such bytes.
		{Local7 | Debug, "\u009b2J \x9b2J \xc3\x80 \xe9 \xe0\x82\x9b \u00a0", "<191>Mar  4 05:06:07 in.x[" + pid + "]: ?2J ?2J \xc3\x80 \xe9 \xe0?? \u00a0"},
		{Kern | Emerg, "k", "<24>Mar  4 05:06:07 in.x[" + pid + "]: k"},
	} {
		if !w.Print(tt.p, tt.text) {
			t.Fatalf("Print(%v, %q) = false", tt.p, tt.text)
		}
		if got := read(t, c); got != tt.want {
			t.Errorf("Print(%v, %q) sent %q, want %q", tt.p, tt.text, got, tt.want)
		}
	}
	w.PrintAs("in.y", Authpriv|Info, "x")
	if got, want := read(t, c), "<86>Mar  4 05:06:07 in.y["+pid+"]: x"; got != want {
		t.Errorf("PrintAs sent %q, want %q", got, want)
	}
	if !w.Print(Info, strings.Repeat("y", 1<<20)) {
		t.Fatal("Print of 1 MiB = false")
	}
	if got := len(read(t, c)); got > maxLen {
		t.Errorf("Print of 1 MiB sent %d bytes, want at most %d", got, maxLen)
	}
}

func TestReopen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	w := writer(path, "x")
	defer w.Close()
	if w.Print(Info, "nobody there") {
		t.Error("Print without a daemon = true")
	}
	c := listen(t, path)
	if !w.Print(Info, "one") {
		t.Error("Print after the daemon came = false")
	}
	c.Close()
	syscall.Unlink(path)
	if w.Print(Info, "lost") {
		t.Error("Print after the daemon went = true")
	}
	c = listen(t, path)
	if !w.Print(Info, "two") {
		t.Error("Print after the restart = false")
	}
	if got := read(t, c); !strings.HasSuffix(got, "two") {
		t.Errorf("after the restart got %q, want ...two", got)
	}
	// A restart between two messages costs none of them.
	c.Close()
	syscall.Unlink(path)
	c = listen(t, path)
	if !w.Print(Info, "three") {
		t.Error("Print over a stale socket = false")
	}
	if got := read(t, c); !strings.HasSuffix(got, "three") {
		t.Errorf("over a stale socket got %q, want ...three", got)
	}
}

func TestFullNeverBlocks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	listen(t, path) // nobody reads
	w := writer(path, "x")
	defer w.Close()
	n := 0
	for w.Print(Info, strings.Repeat("z", 1000)) {
		if n++; n > 1_000_000 {
			t.Fatal("the queue never fills")
		}
	}
}

// Who is told to waits, but no longer than that.
func TestPatience(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	c := listen(t, path)
	w := writer(path, "x")
	defer w.Close()
	for w.Print(Info, "y") {
	}
	w.SetPatience(50 * time.Millisecond)
	began := time.Now()
	if w.Print(Info, "z") {
		t.Error("Print to a full queue = true")
	}
	if took := time.Since(began); took < 40*time.Millisecond {
		t.Errorf("Print that may wait 50 ms took %v", took)
	}
	// The time is used up, and who has none does not block.
	if flags, err := unix.FcntlInt(uintptr(w.fd), unix.F_GETFL, 0); w.patience != 0 || err != nil || flags&unix.O_NONBLOCK == 0 {
		t.Errorf("after that %v is left, flags %#x, %v", w.patience, flags, err)
	}
	if w.Print(Info, "z") {
		t.Error("Print to a full queue = true")
	}
	w.SetPatience(10 * time.Second)
	done := make(chan bool)
	go func() { done <- w.Print(Info, "last") }()
	for !strings.HasSuffix(read(t, c), "last") {
	}
	if !<-done {
		t.Error("Print that may wait = false")
	}
}

// The count of what is lost is not lost where there is room for one message and
// not for two.
func TestTellLost(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	c := listen(t, path)
	w := writer(path, "in.x")
	w.TellLost = true
	defer w.Close()
	lost := 0
	for range 5 {
		for w.Print(Info, "x") {
		}
		lost++
		read(t, c) // room for one
	}
	read(t, c)
	w.Print(Info, "x")
	sent := read(t, c)
	for strings.HasSuffix(sent, ": x") {
		sent = read(t, c)
	}
	if want := fmt.Sprintf("]: %d log lines are lost: they were not taken in time", lost); !strings.HasSuffix(sent, want) {
		t.Errorf("sent %q, want it to end in %q", sent, want)
	}
	for _, text := range []string{"y", "z"} { // once is enough
		w.Print(Info, text)
		if sent = read(t, c); !strings.HasSuffix(sent, ": "+text) {
			t.Errorf("after that sent %q, want %q", sent, text)
		}
	}
}

// After Close the descriptor may be somebody else's.
func TestClose(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	c := listen(t, path)
	w := writer(path, "x")
	defer w.Close()
	w.Print(Info, "one")
	w.Close()
	if err := syscall.Close(w.fd); err != syscall.EBADF {
		t.Errorf("the descriptor was still open: %v", err)
	}
	p, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_DGRAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(p[0])
	defer syscall.Close(p[1])
	w.fd = p[0]
	w.Print(Info, "two")
	for _, text := range []string{"one", "two"} {
		if got := read(t, c); !strings.HasSuffix(got, text) {
			t.Errorf("sent %q, want %q", got, text)
		}
	}
}

func TestStream(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	w := writer(path, "x")
	if !w.Print(Info, "one") || !w.Print(Info, "two") {
		t.Fatal("Print on a stream socket = false")
	}
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	w.Close()
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	var all string
	for !strings.HasSuffix(all, "two\x00") {
		all += read(t, c)
	}
	if strings.Count(all, "\x00") != 2 {
		t.Errorf("stream got %q, want two messages ended by NUL", all)
	}
}

func TestConcurrent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	c := listen(t, path)
	w := writer(path, "x")
	defer w.Close()
	var wg sync.WaitGroup
	done := make(chan int)
	go func() {
		n := 0
		b := make([]byte, 1000)
		for {
			m, err := c.Read(b)
			if err != nil || strings.HasSuffix(string(b[:m]), "end") {
				break
			}
			if strings.HasSuffix(string(b[:m]), "]: m") {
				n++
			}
		}
		done <- n
	}()
	sent := make([]int, 8)
	for g := range sent {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range 100 {
				if w.Print(Info, "m") {
					sent[g]++
				}
			}
		}()
	}
	wg.Wait()
	for !w.Print(Info, "end") {
	}
	want := 0
	for _, n := range sent {
		want += n
	}
	if got := <-done; got != want {
		t.Errorf("%d messages arrived whole, want %d", got, want)
	}
}

func TestPriority(t *testing.T) {
	for in, want := range map[string]Priority{"info": Info, "WARN": Warning, "panic": Emerg, "error": Err, "Debug": Debug} {
		if got, ok := ParseSeverity(in); !ok || got != want {
			t.Errorf("ParseSeverity(%q) = %v, %v, want %v", in, got, ok, want)
		}
	}
	for in, want := range map[string]Priority{"auth": Auth, "AuthPriv": Authpriv, "local0": Local0, "local7": Local7, "security": Auth, "ftp": Ftp, "kern": Kern} {
		if got, ok := ParseFacility(in); !ok || got != want {
			t.Errorf("ParseFacility(%q) = %v, %v, want %v", in, got, ok, want)
		}
	}
	for _, in := range []string{"", "mail", "local8", "info.mail", "none"} {
		if got, ok := ParseSeverity(in); ok {
			t.Errorf("ParseSeverity(%q) = %v", in, got)
		}
	}
	for p, want := range map[Priority]string{Info: "info", Auth | Notice: "auth.notice", Local7 | Emerg: "local7.emerg", 12<<3 | Err: "?.err"} {
		if got := p.String(); got != want {
			t.Errorf("String of %d = %q, want %q", int(p), got, want)
		}
	}
	if Local0 != 16<<3 || Authpriv != 10<<3 || Ftp != 11<<3 || Cron != 9<<3 {
		t.Error("facility numbers differ from syslog(3)")
	}
}

func BenchmarkPrint(b *testing.B) {
	path := filepath.Join(b.TempDir(), "log")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	go func() {
		buf := make([]byte, 1000)
		for {
			if _, err := c.Read(buf); err != nil {
				return
			}
		}
	}()
	w := New("x", Daemon)
	w.Path = path
	defer w.Close()
	b.ReportAllocs()
	for b.Loop() {
		w.Print(Info, "connect from 10.0.0.1 (10.0.0.1)")
	}
}

// The zero value has no descriptor, least of all 0.
func TestZero(t *testing.T) {
	var w Writer
	w.Path = t.TempDir() + "/none"
	if w.Print(Info, "hello") {
		t.Error("Print = true without a daemon")
	}
	w.Close()
	var st syscall.Stat_t
	if err := syscall.Fstat(0, &st); err != nil {
		t.Errorf("descriptor 0: %v", err)
	}
}
