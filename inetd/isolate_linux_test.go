package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"inetd/libwrap/syslog"
)

// isolatedEnv names the test that runs in namespaces of its own.
const isolatedEnv = "INETD_TEST_ISOLATED"

// isolated runs body in a process of its own, as root in new network, mount
// and process namespaces:
//
//   - every port is free, and all of 127.0.0.0/8 and ::1 are there;
//   - /etc, /dev, /run and /usr/sbin look as they are outside, and what the
//     test writes there, nobody else sees;
//   - whatever the test leaves running ends with it.
//
// isolated must be all that a top-level test does.
func isolated(t *testing.T, body func(t *testing.T)) {
	if os.Getenv(isolatedEnv) == t.Name() {
		isolate(t)
		body(t)
		return
	}
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root for a network of its own")
	}
	cmd := exec.Command(self, "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=2m")
	cmd.Env = append(cmd.Environ(), isolatedEnv+"="+t.Name(), builtEnv+"="+built(t))
	cmd.SysProcAttr = &unix.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWPID}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, fs.ErrPermission) {
		t.Skipf("may not make namespaces: %v", err)
	}
	if m := skipped.FindSubmatch(out); m != nil {
		t.Skipf("%s", m[1])
	}
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	} else if testing.Verbose() {
		t.Logf("%s", out)
	}
}

var skipped = regexp.MustCompile(`(?m)^\s*\S+\.go:\d+: (.*)\n--- SKIP`)

// isolate makes what isolated promises of new namespaces.
func isolate(t *testing.T) {
	t.Helper()
	must := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Skipf("mounts cannot be made private here: %v", err) // in a chroot
	}
	must("/proc", unix.Mount("proc", "/proc", "proc", 0, ""))
	must("/run", unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=755"))
	for _, dir := range []string{"/etc", "/dev", "/usr/sbin"} {
		must(dir, shadow(dir))
	}
	must("/dev/pts", func() error {
		if err := os.Remove("/dev/pts"); err != nil {
			return err
		}
		if err := os.Mkdir("/dev/pts", 0o755); err != nil {
			return err
		}
		return unix.Mount("/run/shadow/dev/pts", "/dev/pts", "", unix.MS_BIND, "")
	}())
	os.Remove("/dev/log")
	must("loopback", loopbackUp())
}

// shadow puts a directory of links over dir, each to what is there, so that
// names can be replaced.
func shadow(dir string) error {
	old := "/run/shadow/" + strings.ReplaceAll(strings.Trim(dir, "/"), "/", "-")
	if err := os.MkdirAll(old, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(dir, old, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=755"); err != nil {
		return err
	}
	names, err := os.ReadDir(old)
	if err != nil {
		return err
	}
	for _, n := range names {
		to := filepath.Join(old, n.Name())
		// A relative link means the same only where it was.
		if text, err := os.Readlink(to); err == nil {
			to = text
		}
		if err := os.Symlink(to, filepath.Join(dir, n.Name())); err != nil {
			return err
		}
	}
	return nil
}

func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	ifr, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	ifr.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, ifr)
}

// private makes the directory of name, and fails the test if it is one that
// all the machine has: a shadowed directory has links in it to those.
func private(t testing.TB, name string) {
	t.Helper()
	dir := filepath.Dir(name)
	if strings.HasPrefix(dir, "/run/") {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		t.Fatal(err)
	}
	if st.Type != unix.TMPFS_MAGIC || os.Getenv(isolatedEnv) == "" {
		t.Fatalf("%s is not the test's own: shadow it", dir)
	}
}

// put writes a file in a shadowed directory, in place of the link there.
func put(t testing.TB, name, text string, mode fs.FileMode) {
	t.Helper()
	private(t, name)
	os.Remove(name)
	if err := os.WriteFile(name, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(name, mode); err != nil {
		t.Fatal(err)
	}
}

// hostsOnly has names come from files, these hosts and localhost, and nothing else.
func hostsOnly(t testing.TB, hosts string) {
	t.Helper()
	put(t, "/etc/hosts", "127.0.0.1 localhost\n"+hosts, 0o644)
	put(t, "/etc/resolv.conf", "", 0o644)
	put(t, "/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n", 0o644)
}

// link puts a symbolic link in a shadowed directory.
func link(t testing.TB, to, name string) {
	t.Helper()
	private(t, name)
	os.Remove(name)
	if err := os.Symlink(to, name); err != nil {
		t.Fatal(err)
	}
}

// appendTo adds a text to a file of a shadowed directory.
func appendTo(t testing.TB, name, text string) {
	t.Helper()
	old, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	mode := fs.FileMode(0o644)
	if fi, err := os.Stat(name); err == nil {
		mode = fi.Mode().Perm()
	}
	put(t, name, string(old)+text, mode)
}

// syslogd collects what is sent to /dev/log, as "authpriv.info in.ftpd[7]: text".
func syslogd(t testing.TB) *journal {
	t.Helper()
	j := newJournal()
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: "/dev/log", Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod("/dev/log", 0o666); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		l.Close()
		if t.Failed() {
			t.Logf("syslog:\n%s", j)
		}
	})
	go func() {
		buf := make([]byte, 65536)
		for {
			n, err := l.Read(buf)
			if err != nil {
				j.end()
				return
			}
			j.add(decodeSyslog(string(buf[:n])))
		}
	}()
	return j
}

var rfc3164 = regexp.MustCompile(`(?s)^<(\d+)>(?:[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d )?(.*)$`)

func decodeSyslog(msg string) string {
	m := rfc3164.FindStringSubmatch(strings.TrimRight(msg, "\x00\n"))
	if m == nil {
		return "not RFC 3164: " + strconv.Quote(msg)
	}
	pri, _ := strconv.Atoi(m[1])
	return fmt.Sprintf("%s %s", syslog.Priority(pri), m[2])
}
