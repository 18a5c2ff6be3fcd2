package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// caught returns the log after mark when everything that was sent before is in
// it, without process numbers.
func caught(t *testing.T, log *journal, mark int) []string {
	t.Helper()
	c, err := net.Dial("unixgram", "/dev/log")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	end := fmt.Sprintf("mark %d", markers.Add(1))
	fmt.Fprintf(c, "<15>%s", end)
	log.wait(t, mark, end+"$")
	log.mu.Lock()
	defer log.mu.Unlock()
	var lines []string
	for _, l := range log.lines[mark:] {
		lines = append(lines, pidInLog.ReplaceAllString(l, ""))
	}
	return lines
}

var (
	markers  atomic.Int64
	pidInLog = regexp.MustCompile(`\[\d+\]`)
)

// identServer says that every connection is ann's.
func identServer(t *testing.T, addr string) {
	t.Helper()
	l, err := net.Listen("tcp4", net.JoinHostPort(addr, "113"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				var lport, rport int
				if _, err := fmt.Fscanf(c, "%d,%d\r\n", &lport, &rport); err == nil {
					fmt.Fprintf(c, "%d , %d : USERID : UNIX : ann\r\n", lport, rport)
				}
			}()
		}
	}()
}

// Rules with what tcpd does for them. Service wNN is at port 7000+NN.
var wrappedCases = []struct {
	rule string // of hosts.allow; hosts.deny has ALL: ALL
	want string // what the client gets, as a regular expression
	log  string // the line that tells of the client
	file string // what the rule has written to /run/out/wNN
	ours bool   // Debian's does otherwise
}{
	0:  {rule: "", want: `^$`, log: "authpriv.warning w00: refused connect from 127.0.0.1 (127.0.0.1)"},
	1:  {rule: "w01: 127.0.0.1", want: `^"w01" \["one" "two words"\] umask 022 nice 0 uid 0 `, log: "authpriv.info w01: connect from 127.0.0.1 (127.0.0.1)"},
	2:  {rule: "w02: localhost", want: `^"w02" `, log: "authpriv.info w02: connect from localhost (127.0.0.1)"},
	3:  {rule: "w03: 10.0.0.0/8", want: `^$`, log: "authpriv.warning w03: refused connect from 127.0.0.1 (127.0.0.1)"},
	4:  {rule: "w04: ann@127.0.0.1", want: `^"w04" `, log: "authpriv.info w04: connect from ann@127.0.0.1 (127.0.0.1)"},
	5:  {rule: "w05: ALL: severity local3.notice", want: `^"w05" `, log: "local3.notice w05: connect from 127.0.0.1 (127.0.0.1)"},
	6:  {rule: "w06: ALL: twist /bin/echo twisted %u %d %a %c %s", want: `^twisted ann w06 127\.0\.0\.1 ann@127\.0\.0\.1 w06@127\.0\.0\.1\n$`, log: "authpriv.warning w06: twist ann@127.0.0.1 to /bin/echo twisted ann w06 127.0.0.1 ann@127.0.0.1 w06@127.0.0.1"},
	7:  {rule: "w07: ALL: setenv GREETING hello %a", want: `^"w07" .* hello 127\.0\.0\.1\n$`, log: "authpriv.info w07: connect from 127.0.0.1 (127.0.0.1)"},
	8:  {rule: "w08: ALL: umask 027", want: ` umask 027 `, log: "authpriv.info w08: connect from 127.0.0.1 (127.0.0.1)"},
	9:  {rule: "w09: ALL: nice 5", want: ` nice 5 `, log: "authpriv.info w09: connect from 127.0.0.1 (127.0.0.1)"},
	10: {rule: "w10: ALL: user nobody", want: ` uid 65534 gid 65534 groups \[65534\] `, log: "authpriv.info w10: connect from 127.0.0.1 (127.0.0.1)", ours: true},
	11: {rule: "w11: ALL: group nogroup", want: ` uid 0 gid 65534 groups \[65534\] `, log: "authpriv.info w11: connect from 127.0.0.1 (127.0.0.1)", ours: true},
	12: {rule: "w12: ALL: spawn (echo %d %a %u; id -u; umask; pwd; env | sort) >/run/out/w12 2>&1", want: `^"w12" `, log: "authpriv.info w12: connect from ann@127.0.0.1 (127.0.0.1)", file: "w12 127.0.0.1 ann\n0\n0022\n/\n"},
	13: {rule: "w13: ALL: deny", want: `^$`, log: "authpriv.warning w13: refused connect from 127.0.0.1 (127.0.0.1)"},
	14: {rule: "w14: ALL: nosuchoption", want: `^$`, log: "authpriv.warning w14: refused connect from 127.0.0.1 (127.0.0.1)"},
	15: {rule: "w15: ALL: keepalive: linger 5: allow", want: `^"w15" `, log: "authpriv.info w15: connect from 127.0.0.1 (127.0.0.1)"},
	16: {rule: "w16: ALL: aclexec /bin/false", want: `^$`, log: "authpriv.warning w16: refused connect from 127.0.0.1 (127.0.0.1)", ours: true},
	17: {rule: "w17: ALL: aclexec /bin/true", want: `^"w17" `, log: "authpriv.info w17: connect from 127.0.0.1 (127.0.0.1)"},
	18: {rule: "w18: ALL: rfc931 5", want: `^"w18" `, log: "authpriv.info w18: connect from ann@127.0.0.1 (127.0.0.1)"},
	19: {rule: "w19: ALL: banners /run/banners", want: `(?s)^Welcome to w19, 127\.0\.0\.1\r?\n"w19" `, log: "authpriv.info w19: connect from 127.0.0.1 (127.0.0.1)"},
	20: {rule: "w20: ALL: banners /run/banners: severity local3.notice: deny", want: `^Go away\r?\n$`, log: "local3.notice w20: refused connect from 127.0.0.1 (127.0.0.1)"},
	21: {rule: "w21: ALL: severity mail.info: twist /bin/echo no", want: `^no\n$`, log: "mail.info w21: twist 127.0.0.1 to /bin/echo no"},
	22: {rule: "w22: ALL", want: `^"w22" \["one" "two words"\]`, log: "authpriv.info w22: connect from 127.0.0.1 (127.0.0.1)"},
	23: {rule: "w23: UNKNOWN@ALL", want: `^$`, log: "authpriv.warning w23: refused connect from ann@127.0.0.1 (127.0.0.1)"},
	24: {rule: "w24: LOCAL", want: `^"w24" `, log: "authpriv.info w24: connect from localhost (127.0.0.1)"},
	25: {rule: "w25: ALL EXCEPT localhost", want: `^$`, log: "authpriv.warning w25: refused connect from localhost (127.0.0.1)"},
	26: {rule: "w26@127.0.0.1: ALL", want: `^"w26" `, log: "authpriv.info w26: connect from 127.0.0.1 (127.0.0.1)"},
	27: {rule: "7027: ALL", want: `^"w27" `, log: "authpriv.info w27: connect from 127.0.0.1 (127.0.0.1)"},
	28: {rule: "w28: ALL: umask 077: nice 3: setenv GREETING all of it", want: `^"w28" .* umask 077 nice 3 uid 0 .* all of it\n$`, log: "authpriv.info w28: connect from 127.0.0.1 (127.0.0.1)"},
	29: {rule: "w29: ALL: twist /bin/echo $(id -u) $(umask) $(pwd)", want: `^65534 0022 /\n$`, log: "authpriv.warning w29: twist 127.0.0.1 to /bin/echo $(id -u) $(umask) $(pwd)"},
	30: {rule: "w30: ALL: spawn (id -u; id -g; id -G) >/run/out/w30", want: ` uid 65534 `, log: "authpriv.info w30: connect from 127.0.0.1 (127.0.0.1)", file: "65534\n65534\n65534\n"},
	31: {rule: "w31: ALL: aclexec id -u >/run/out/w31", want: ` uid 65534 `, log: "authpriv.info w31: connect from 127.0.0.1 (127.0.0.1)", file: "65534\n"},
}

// These run as nobody.
func wrappedUser(i int) string {
	if i >= 29 && i <= 31 {
		return "nobody"
	}
	return "root"
}

// With -l an entry that names tcpd behaves as if tcpd had been executed, and it
// is not: what clients get, what is logged and what rules have done is the same
// from the daemon, from our tcpd, and from Debian's where that is installed.
func TestAccessAsTcpd(t *testing.T) {
	isolated(t, func(t *testing.T) {
		var allow strings.Builder
		for _, c := range wrappedCases {
			fmt.Fprintln(&allow, c.rule)
		}
		wrappedHost(t, allow.String(), "ALL: ALL\n")
		put(t, "/run/banners/w19", "Welcome to %d, %a\n", 0o644)
		put(t, "/run/banners/w20", "Go away\n", 0o644)
		identServer(t, "127.0.0.1")
		log := syslogd(t)

		theirs, err := filepath.EvalSymlinks("/usr/sbin/tcpd")
		if err == nil {
			put(t, "/run/theirs/here", "", 0o644)
			link(t, theirs, "/run/theirs/tcpd")
		}
		put(t, "/run/ours/here", "", 0o644)
		link(t, filepath.Join(built(t), "tcpd"), "/run/ours/tcpd")
		put(t, "/usr/sbin/tcpd", "#!/bin/sh\ntouch /run/out/executed\n", 0o755)
		for _, way := range []struct {
			name, tcpd string
			args       []string
		}{
			{"in the daemon", "/usr/sbin/tcpd", []string{"-l"}},
			{"our tcpd", "/run/ours/tcpd", nil},
			{"Debian's tcpd", "/run/theirs/tcpd", nil},
		} {
			if way.tcpd == "/run/theirs/tcpd" && err != nil {
				t.Logf("no tcpd is installed: %v", err)
				continue
			}
			var conf strings.Builder
			for i := range wrappedCases {
				argv0 := fmt.Sprintf("w%02d", i)
				if i == 22 {
					argv0 = "/usr/sbin/w22"
				}
				fmt.Fprintf(&conf, "%d stream tcp4 nowait.0 %s %s %s one 'two words'\n", 7000+i, wrappedUser(i), way.tcpd, argv0)
			}
			dir := t.TempDir()
			cmd := command(append([]string{"-i", "-p", filepath.Join(dir, "pid")}, way.args...)...)
			cmd.Env = append(os.Environ(), "IFS=x", "LD_LIBRARY_PATH=/tmp", "PATH=/home/student/bin:/bin", "FAVOURITE=teal")
			d := startIn(t, dir, conf.String(), cmd)
			mark := log.mark()
			got := make([]string, len(wrappedCases))
			var wg sync.WaitGroup
			for i := range wrappedCases {
				wg.Go(func() { got[i], _ = ask("tcp4", fmt.Sprintf("127.0.0.1:%d", 7000+i), "") })
			}
			wg.Wait()
			lines := caught(t, log, mark)
			for i, c := range wrappedCases {
				if c.ours && way.name == "Debian's tcpd" {
					continue
				}
				if !regexp.MustCompile(c.want).MatchString(got[i]) {
					t.Errorf("%s: %q: the client gets %q, want %s", way.name, c.rule, got[i], c.want)
				}
				want := c.log
				if way.name == "Debian's tcpd" {
					want = strings.Replace(want, "authpriv.", "daemon.", 1)
				}
				if !slices.Contains(lines, want) {
					t.Errorf("%s: %q: no line %q in the log", way.name, c.rule, want)
				}
				n := 0
				for _, l := range lines {
					if strings.Contains(l, fmt.Sprintf(" w%02d: ", i)) {
						n++
					}
				}
				// A rule that is wrong, or fails, says so as well.
				wantLines := 1
				if i == 14 || i == 16 {
					wantLines = 2
				}
				if n != wantLines {
					t.Errorf("%s: %q: %d lines in the log, want %d", way.name, c.rule, n, wantLines)
				}
				if c.file == "" {
					continue
				}
				name := fmt.Sprintf("/run/out/w%02d", i)
				text, err := os.ReadFile(name)
				if err != nil || !strings.HasPrefix(string(text), c.file) {
					t.Errorf("%s: %q: wrote %q, %v, want %q", way.name, c.rule, text, err, c.file)
				}
				for _, kv := range []string{"IFS=", "LD_LIBRARY_PATH=", "student"} {
					if i == 12 && strings.Contains(string(text), kv) {
						t.Errorf("%s: environment of a command has %s", way.name, kv)
					}
				}
				if i == 12 && !strings.Contains(string(text), "FAVOURITE=teal") {
					t.Errorf("%s: environment of a command = %q, want FAVOURITE=teal in it", way.name, text)
				}
				os.Remove(name)
			}
			d.signal(syscall.SIGTERM)
			<-d.done
		}
		if _, err := os.Lstat("/run/out/executed"); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("with -l tcpd was executed (%v)", err)
		}
	})
}
