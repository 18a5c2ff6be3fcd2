package main

import (
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// askAs is a client that belongs to a user.
func askAs(t testing.TB, uid uint32, port int) string {
	t.Helper()
	bash := needProgram(t, "bash")
	cmd := exec.Command(bash, "-c", fmt.Sprintf("exec 3<>/dev/tcp/127.0.0.1/%d && echo hello >&3 && read line <&3 && echo $line", port))
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	out, _ := cmd.Output()
	return string(out)
}

// USERID and IDONLY with a real ident server, which is our own: the daemon asks
// itself whose connections its clients are.
func TestXinetdIdent(t *testing.T) {
	isolated(t, func(t *testing.T) {
		log := machine(t)
		auth := block("auth", "type = INTERNAL", "socket_type = stream", "wait = no", "server_args = auth -r", "log_type = FILE $dir/auth")
		services := defaults("log_type = FILE $dir/log", "log_on_success = HOST USERID", "log_on_failure = HOST USERID") +
			unlisted(5001, "/bin/cat") + unlisted(5002, "/bin/cat", "flags = IDONLY") + unlisted(5003, "/bin/cat", "flags = IDONLY", "log_on_success = HOST", "log_on_failure = HOST") +
			unlisted(5004, "/bin/cat", "flags = IDONLY", "log_on_failure = HOST")
		x := ours.run(t, log, services+auth)
		n := 0
		says := func(what string, lines ...string) {
			t.Helper()
			all := x.logged("log", n+len(lines))
			for i, want := range lines {
				if got := logFields(all[n+i]); got != want+"\n" {
					t.Errorf("%s: line %d = %q, want %q", what, i, got, want)
				}
			}
			n += len(lines)
		}
		for _, tt := range []struct {
			uid  uint32
			name string
		}{{4242, "student"}, {0, "root"}} {
			for _, port := range []int{5001, 5002} {
				if got := askAs(t, tt.uid, port); got != "hello\n" {
					t.Errorf("answer of %d to %s = %q", port, tt.name, got)
				}
				says(tt.name, fmt.Sprintf("USERID: s%d Linux : %s", port, tt.name), fmt.Sprintf("START: s%d from=127.0.0.1", port))
			}
		}
		if got := askAs(t, 4242, 5003); got != "hello\n" {
			t.Errorf("answer of 5003 = %q", got)
		}
		says("without USERID", "START: s5003 from=127.0.0.1")
		// IPv6 clients too.
		wantAnswer(t, "tcp6", local6(5002), "hello", "hello")
		says("over IPv6", "USERID: s5002 Linux : root", "START: s5002 from=::1")

		// The clients of auth are not asked for themselves, or it would never end.
		if lines := strings.Join(x.logged("auth", 6), ""); strings.Count(lines, "\n") != 6 || strings.Count(lines, ": START: auth from=") != 6 {
			t.Errorf("6 questions to auth are logged as\n%s", lines)
		}

		// No ident server: served without a name, but not where one is a must.
		x.reload(services)
		if got := askAs(t, 4242, 5001); got != "hello\n" {
			t.Errorf("answer of 5001 without ident = %q", got)
		}
		says("no ident", "START: s5001 from=127.0.0.1")
		if got := askAs(t, 4242, 5002); got != "" {
			t.Errorf("answer of 5002 without ident = %q", got)
		}
		says("no ident, IDONLY", "NOID: s5002 127.0.0.1 connection refused", "FAIL: s5002 ident from=127.0.0.1")
		if got := askAs(t, 4242, 5003); got != "" {
			t.Errorf("answer of 5003 without ident = %q", got)
		}
		says("no ident, IDONLY, no USERID", "FAIL: s5003 ident from=127.0.0.1")
		if got := askAs(t, 4242, 5004); got != "" {
			t.Errorf("answer of 5004 without ident = %q", got)
		}
		says("no ident, IDONLY, USERID for those who get in", "NOID: s5004 127.0.0.1 connection refused", "FAIL: s5004 ident from=127.0.0.1")

		// One that hides its users, or talks nonsense, says no name.
		for _, answer := range []string{"ERROR : HIDDEN-USER", "USERID : UNIX : ", "USERID", "USERID : UNIX : a\x1b[2Jb"} {
			done := identd(t, answer)
			got := askAs(t, 4242, 5002)
			done()
			if answer[len(answer)-1] == 'b' {
				if got != "hello\n" {
					t.Errorf("answer of 5002 with ident %q = %q", answer, got)
				}
				says(answer, "USERID: s5002 UNIX : a?[2Jb", "START: s5002 from=127.0.0.1")
				continue
			}
			if got != "" {
				t.Errorf("answer of 5002 with ident %q = %q", answer, got)
			}
			says(answer, "NOID: s5002 127.0.0.1 no usable ident reply", "FAIL: s5002 ident from=127.0.0.1")
		}
	})
}

// A sensor: whoever touches it is served by no service of xinetd.conf any more,
// also after a reload; those of inetd.conf do not know of it.
func TestXinetdSensor(t *testing.T) {
	t.Parallel()
	trap, trap1, watch, echo := freePort(t), freePort(t), freePort(t), freePort(t)
	sensor := func(port int, kind, deny string) string {
		return block(fmt.Sprintf("trap%d", port), "type = UNLISTED", fmt.Sprintf("port = %d", port), "socket_type = "+kind, "wait = no", "flags = SENSOR", "deny_time = "+deny)
	}
	conf := sensor(trap, "stream", "FOREVER") + sensor(trap1, "stream", "1") + sensor(watch, "dgram", "FOREVER") +
		block("e", "type = UNLISTED", fmt.Sprintf("port = %d", echo), "socket_type = stream", "wait = no", "user = "+me, "server = /bin/cat")
	d := start(t, conf)
	serves := func(when, from string, want bool) {
		t.Helper()
		if got, _ := askFrom("tcp4", from, local(echo), "hello"); (got == "hello") != want {
			t.Errorf("%s: %s is served = %v, want %v", when, from, got == "hello", want)
		}
	}
	touch := func(from string, port int) {
		t.Helper()
		if got, _ := askFrom("tcp4", from, local(port), "hello"); got != "" {
			t.Errorf("answer of a sensor to %s = %q", from, got)
		}
	}
	for _, from := range []string{"127.0.0.2", "127.0.0.3", "127.0.0.4"} {
		serves("before", from, true)
	}
	touch("127.0.0.2", trap)
	touch("127.0.0.3", trap1)
	d.log.wait(t, 0, `127\.0\.0\.2 ran into the sensor: no service of xinetd\.conf takes it for as long as inetd runs`)
	d.log.wait(t, 0, `127\.0\.0\.3 ran into the sensor: no service of xinetd\.conf takes it for 1m0s`)
	serves("after", "127.0.0.2", false)
	serves("after", "127.0.0.3", false)
	serves("after", "127.0.0.4", true)
	// The sender of a datagram may be forged.
	if got := replies(t, "127.0.0.4", local(watch), "hello", 0); got != "" {
		t.Errorf("answer of a sensor = %q", got)
	}
	d.log.wait(t, 0, `refused 127\.0\.0\.4:\d+: sensor`)
	serves("after a datagram", "127.0.0.4", true)
	d.log.wait(t, 0, `deny_time: senders of datagrams can be forged: they are logged and not kept out`)
	d.reload(conf)
	serves("after a reload", "127.0.0.2", false)
	d.reload(in("%d stream tcp nowait $me /bin/cat cat\n", echo))
	serves("inetd.conf", "127.0.0.2", true)
}
