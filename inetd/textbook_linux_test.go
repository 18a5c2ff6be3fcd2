package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The chapter of the textbook, with its files in their places, its daemons and
// its clients.

// install puts our programs where the textbook has them, and its services.
func install(t *testing.T) {
	t.Helper()
	if err := shadow("/usr/local/sbin"); err != nil {
		t.Fatal(err)
	}
	dir := built(t)
	link(t, filepath.Join(dir, "tcpd"), "/usr/sbin/tcpd")
	for _, p := range []string{"tcpd", "myecho_service", "udpechoserver"} {
		link(t, filepath.Join(dir, p), "/usr/local/sbin/"+p)
	}
	put(t, "/etc/services", "ftp 21/tcp\ntelnet 23/tcp\ntftp 69/udp\nrsync 873/tcp\ngit 9418/tcp\n", 0o644)
	put(t, "/etc/hosts", "127.0.0.1 localhost\n::1 localhost\n", 0o644)
	put(t, "/etc/resolv.conf", "", 0o644)
	put(t, "/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\nservices: files\n", 0o644)
	put(t, "/etc/hosts.allow", "", 0o644)
	put(t, "/etc/hosts.deny", "", 0o644)
	appendTo(t, "/etc/passwd", "student:x:4242:4242:Student:/run/student:/bin/sh\n")
	appendTo(t, "/etc/group", "student:x:4242:\n")
	put(t, "/run/student/lesson", "inetd is a super-server\n", 0o644)
}

// inetd starts the daemon as the textbook does: by its name alone.
func inetd(t *testing.T, conf string) {
	t.Helper()
	put(t, "/etc/inetd.conf", conf, 0o644)
	pid := detached(t, command(), "/run/inetd.pid")
	t.Cleanup(func() {
		unix.Kill(pid, unix.SIGTERM)
		if err := waitOrphan(pid); err != nil {
			t.Errorf("exit of inetd = %v, want success", err)
		}
	})
}

// hup is: kill -HUP $(cat /run/inetd.pid)
func hup(t *testing.T, log *journal, conf string) {
	t.Helper()
	put(t, "/etc/inetd.conf", conf, 0o644)
	mark := log.mark()
	if err := unix.Kill(readPid(t, "/run/inetd.pid"), unix.SIGHUP); err != nil {
		t.Fatal(err)
	}
	log.wait(t, mark, `daemon\.info inetd\[\d+\]: reload: \d+ added`)
}

// sh runs a client and returns what it prints.
func sh(t *testing.T, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "HOME="+cmd.Dir, "LC_ALL=C")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%s %q: %w\n%s", name, args, err, stderr.Bytes())
	}
	return string(out), err
}

const (
	friend   = "127.0.0.2"
	stranger = "127.0.0.3"
)

// The line of the textbook, with each ftp daemon that Debian has.
func TestFTP(t *testing.T) {
	isolated(t, func(t *testing.T) {
		curl := needProgram(t, "curl")
		install(t)
		if err := shadow("/etc/pam.d"); err != nil {
			t.Fatal(err)
		}
		put(t, "/etc/pam.d/vsftpd", "auth required pam_unix.so\naccount required pam_unix.so\nsession required pam_permit.so\n", 0o644)
		put(t, "/etc/pam.d/ftp", "auth sufficient pam_ftp.so\n"+ // asks for the password in a way that fits FTP
			"auth required pam_unix.so use_first_pass\naccount required pam_unix.so\nsession required pam_permit.so\n", 0o644)
		// The password is "secret".
		appendTo(t, "/etc/shadow", "student:$6$textbook$tXeA5kcNcPq5pgF4xB.bwZnbLob5Mtm6dtVEkcszSjLqn8bVqFO212SONYuslGB4Dv9n.Z6IB/xS3FulUDGqK0:19000:0:99999:7:::\n")
		put(t, "/etc/ftpusers", "root\n", 0o644)
		put(t, "/etc/ftpchroot", "", 0o644)
		put(t, "/etc/vsftpd.conf", "listen=NO\nlisten_ipv6=NO\nlocal_enable=YES\nxferlog_enable=NO\nseccomp_sandbox=NO\nsecure_chroot_dir=/run/empty\n", 0o644)
		if err := os.Mkdir("/run/empty", 0o755); err != nil {
			t.Fatal(err)
		}
		put(t, "/etc/hosts.allow", "in.ftpd: "+friend+"\n", 0o644)
		put(t, "/etc/hosts.deny", "ALL: ALL\n", 0o644)
		log := syslogd(t)
		inetd(t, "ftp stream tcp nowait root /usr/sbin/tcpd in.ftpd -l -a\n")

		// The daemon of netkit is in.ftpd by name and passes over the -a of the
		// textbook's, as it says; inetutils' wants a word with its -a, and
		// vsftpd takes no options at all.
		found := false
		for _, daemon := range []struct{ program, script string }{
			{"in.ftpd", ""},
			{"ftpd", "#!/bin/sh\nexec %s \"$@\" pam\n"},
			{"vsftpd", "#!/bin/sh\nexec %s /etc/vsftpd.conf\n"},
		} {
			program := findProgram(daemon.program)
			if program == "" {
				t.Logf("%s is not installed", daemon.program)
				continue
			}
			found = true
			if daemon.script != "" {
				put(t, "/usr/sbin/in.ftpd", fmt.Sprintf(daemon.script, program), 0o755)
			} else if program != "/usr/sbin/in.ftpd" {
				link(t, program, "/usr/sbin/in.ftpd")
			}
			mark := log.mark()
			args := []string{"-sS", "--noproxy", "*", "-u", "student:secret", "ftp://127.0.0.1/lesson"}
			out, err := sh(t, curl, append(args, "--interface", friend)...)
			if err != nil || out != "inetd is a super-server\n" {
				t.Errorf("%s: get from %s = %q, %v", daemon.program, friend, out, err)
			}
			log.wait(t, mark, `^authpriv\.info in\.ftpd\[\d+\]: connect from `+friend)
			if out, err := sh(t, curl, append(args, "--interface", stranger)...); err == nil {
				t.Errorf("%s: get from %s = %q, want it refused", daemon.program, stranger, out)
			}
			log.wait(t, mark, `^authpriv\.warning in\.ftpd\[\d+\]: refused connect from `+stranger)
			if n := log.count(mark, `connect from `); n != 2 {
				t.Errorf("%s: %d lines tell of two connections", daemon.program, n)
			}
		}
		if !found {
			t.Skip("no ftp daemon is installed")
		}
	})
}

func TestTelnet(t *testing.T) {
	isolated(t, func(t *testing.T) {
		telnetd, client := needProgram(t, "telnetd"), needProgram(t, "telnet")
		install(t)
		link(t, telnetd, "/usr/sbin/in.telnetd")
		put(t, "/etc/issue.net", "Welcome\n", 0o644)
		put(t, "/etc/hosts.allow", "in.telnetd: 127.0.0.1 "+friend+"\n", 0o644)
		put(t, "/etc/hosts.deny", "ALL: ALL\n", 0o644)
		log := syslogd(t)
		inetd(t, "telnet stream tcp nowait root /usr/sbin/tcpd in.telnetd\n")

		// A client of our own, from an address of our choice.
		mark := log.mark()
		if got, err := loginPrompt(friend, "127.0.0.1:23"); err != nil {
			t.Errorf("telnet from %s = %q, %v, want a login prompt", friend, got, err)
		}
		log.wait(t, mark, `^authpriv\.info in\.telnetd\[\d+\]: connect from `+friend)
		if got, err := loginPrompt(stranger, "127.0.0.1:23"); err == nil || got != "" {
			t.Errorf("telnet from %s = %q, %v, want it refused", stranger, got, err)
		}
		log.wait(t, mark, `^authpriv\.warning in\.telnetd\[\d+\]: refused connect from `+stranger)

		// The real one.
		cmd := exec.Command(client, "127.0.0.1")
		cmd.Env = append(os.Environ(), "TERM=dumb")
		keyboard, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		screen, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		timer := time.AfterFunc(patience, func() { cmd.Process.Kill() })
		defer timer.Stop()
		got, err := readUntil(screen, "login: ")
		if err != nil {
			t.Errorf("telnet = %q, %v, want a login prompt", got, err)
		}
		keyboard.Close()
		cmd.Process.Kill()
		cmd.Wait()
		log.wait(t, mark, `^authpriv\.info in\.telnetd\[\d+\]: connect from 127\.0\.0\.1`)
	})
}

func readUntil(r io.Reader, end string) (string, error) {
	var got []byte
	b := make([]byte, 1)
	for !bytes.HasSuffix(got, []byte(end)) {
		if _, err := r.Read(b); err != nil {
			return string(got), err
		}
		got = append(got, b[0])
	}
	return string(got), nil
}

// loginPrompt is a telnet client that refuses every option and waits for the
// prompt.
func loginPrompt(from, addr string) (string, error) {
	c, err := dialFrom("tcp", from, addr)
	if err != nil {
		return "", err
	}
	defer c.Close()
	return readUntil(&telnetReader{c}, "login: ")
}

// A telnetReader takes the commands of RFC 854 out of what a server sends.
type telnetReader struct{ net.Conn }

func (r *telnetReader) Read(p []byte) (int, error) {
	const se, sb, will, wont, do, dont, iac = 240, 250, 251, 252, 253, 254, 255
	next := func() byte {
		var b [1]byte
		if _, err := io.ReadFull(r.Conn, b[:]); err != nil {
			return 0
		}
		return b[0]
	}
	for {
		n, err := r.Conn.Read(p[:1])
		if n == 0 || err != nil || p[0] != iac {
			return n, err
		}
		switch cmd := next(); cmd {
		case do:
			r.Conn.Write([]byte{iac, wont, next()})
		case will:
			r.Conn.Write([]byte{iac, dont, next()})
		case wont, dont:
			next()
		case sb:
			for last := byte(0); ; {
				b := next()
				if last == iac && b == se || b == 0 && last == 0 {
					break
				}
				last = b
			}
		}
	}
}

// tftpd is "dgram udp wait", straight and with tcpd in front.
func TestTFTP(t *testing.T) {
	isolated(t, func(t *testing.T) {
		needProgram(t, "in.tftpd")
		install(t)
		put(t, "/run/tftp/lesson", "trivial\n", 0o644)
		put(t, "/etc/hosts.allow", "in.tftpd: "+friend+"\n", 0o644)
		put(t, "/etc/hosts.deny", "ALL: ALL\n", 0o644)
		log := syslogd(t)
		inetd(t, "tftp dgram udp4 wait root /usr/sbin/tcpd in.tftpd -s /run/tftp -t 1\n")
		clients := []struct {
			name string
			args func(from, file string) []string
		}{
			{"curl", func(from, file string) []string {
				return []string{"-sS", "--interface", from, "-m", "20", "-o", file, "tftp://127.0.0.1/lesson"}
			}},
			{"tftp", func(from, file string) []string {
				return []string{"-m", "binary", "127.0.0.1", "-c", "get", "lesson", file}
			}},
		}
		for i, conf := range []string{
			"tftp dgram udp4 wait root /usr/sbin/tcpd in.tftpd -s /run/tftp -t 1\n",
			"tftp dgram udp4 wait root /usr/sbin/in.tftpd in.tftpd -s /run/tftp -t 1\n",
		} {
			hup(t, log, conf)
			for _, client := range clients {
				if client.name == "tftp" {
					put(t, "/etc/hosts.allow", "in.tftpd: 127.0.0.1 "+friend+"\n", 0o644)
				}
				program := needProgram(t, client.name)
				for range 2 {
					file := filepath.Join(t.TempDir(), "lesson")
					_, err := sh(t, program, client.args(friend, file)...)
					if got, _ := os.ReadFile(file); err != nil || string(got) != "trivial\n" {
						t.Errorf("%s with %q = %q, %v", client.name, conf, got, err)
					}
				}
			}
			if i == 0 {
				log.wait(t, 0, `^authpriv\.info in\.tftpd\[\d+\]: connect from `+friend)
			}
		}
	})
}

func TestRsync(t *testing.T) {
	isolated(t, func(t *testing.T) {
		rsync := needProgram(t, "rsync")
		install(t)
		put(t, "/etc/rsyncd.conf", "use chroot = yes\n[lessons]\npath = /run/student\nuid = nobody\ngid = nogroup\n", 0o644)
		syslogd(t)
		inetd(t, "rsync stream tcp nowait root "+rsync+" rsync --daemon\n")
		for _, host := range []string{"127.0.0.1", "[::1]"} {
			dir := t.TempDir()
			_, err := sh(t, rsync, "-a", "rsync://"+host+"/lessons/", dir)
			if got, _ := os.ReadFile(filepath.Join(dir, "lesson")); err != nil || string(got) != "inetd is a super-server\n" {
				t.Errorf("rsync from %s = %q, %v", host, got, err)
			}
		}
	})
}

func TestGit(t *testing.T) {
	isolated(t, func(t *testing.T) {
		git := needProgram(t, "git")
		install(t)
		repo := "/run/git/lesson"
		for _, args := range [][]string{
			{"init", "-q", repo},
			{"-C", repo, "-c", "user.name=Ann", "-c", "user.email=ann@example.org", "commit", "-q", "--allow-empty", "-m", "first lesson"},
			{"-C", repo, "gc", "-q"},
		} {
			if _, err := sh(t, git, args...); err != nil {
				t.Fatal(err)
			}
		}
		if out, err := exec.Command("chown", "-R", "nobody", repo).CombinedOutput(); err != nil {
			t.Fatalf("chown: %s", out)
		}
		syslogd(t)
		inetd(t, "git stream tcp nowait nobody "+git+" git daemon --inetd --export-all --base-path=/run/git\n")
		dir := filepath.Join(t.TempDir(), "copy")
		if _, err := sh(t, git, "clone", "-q", "git://127.0.0.1/lesson", dir); err != nil {
			t.Fatal(err)
		}
		if got, err := sh(t, git, "-C", dir, "log", "--format=%s"); err != nil || got != "first lesson\n" {
			t.Errorf("log of the clone = %q, %v, want %q", got, err, "first lesson\n")
		}
	})
}

// The walk through the chapter, step by step.
func TestChapter(t *testing.T) {
	isolated(t, func(t *testing.T) {
		install(t)
		log := syslogd(t)
		if err := addAddress("lo:1", [4]byte{192, 168, 10, 5}); err != nil {
			t.Fatal(err)
		}
		inetd(t, "# nothing yet\n")
		wantRefused(t, "tcp", "127.0.0.1:5000")

		// A name for the port, and what to start.
		services, err := os.ReadFile("../examples/services")
		if err != nil {
			t.Fatal(err)
		}
		appendTo(t, "/etc/services", string(services))
		line := "myecho stream tcp nowait root /usr/local/sbin/myecho_service myecho_service\n"
		hup(t, log, line)
		c := dial(t, "tcp", "127.0.0.1:5000")
		for n, s := range []string{"hello", "is anybody there"} {
			fmt.Fprintf(c, "%s\n", s)
			want := fmt.Sprintf("%d: %s\n", n+1, s)
			got := make([]byte, len(want))
			if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
				t.Errorf("answer to %q = %q, %v, want %q", s, got, err, want)
			}
		}
		wantAnswer(t, "tcp", "[::1]:5000", "hello\r\n", "1: hello\n")

		// tcpd in front.
		hup(t, log, "myecho stream tcp nowait root /usr/local/sbin/tcpd /usr/local/sbin/myecho_service\n")
		mark := log.mark()
		wantAnswer(t, "tcp", "127.0.0.1:5000", "hello\n", "1: hello\n")
		log.wait(t, mark, `^authpriv\.info myecho_service\[\d+\]: connect from 127\.0\.0\.1`)
		// The connection of before goes on.
		fmt.Fprintf(c, "still here\n")
		if got, err := readUntil(c, "\n"); err != nil || got != "3: still here\n" {
			t.Errorf("answer on the old connection = %q, %v", got, err)
		}

		// The door is locked.
		put(t, "/etc/hosts.deny", "ALL: ALL\n", 0o644)
		for _, from := range []string{"127.0.0.1", "192.168.10.5"} {
			mark := log.mark()
			if got, _ := askFrom("tcp", from, "127.0.0.1:5000", "hello\n"); got != "" {
				t.Errorf("answer to %s with ALL: ALL in hosts.deny = %q", from, got)
			}
			log.wait(t, mark, `^authpriv\.warning myecho_service\[\d+\]: refused connect from `+from)
		}

		// And opened for the own network.
		put(t, "/etc/hosts.allow", "ALL: 192.168.10.0/255.255.255.0\n", 0o644)
		mark = log.mark()
		if got, err := askFrom("tcp", "192.168.10.5", "192.168.10.5:5000", "hello\n"); err != nil || got != "1: hello\n" {
			t.Errorf("answer to 192.168.10.5 = %q, %v", got, err)
		}
		log.wait(t, mark, `^authpriv\.info myecho_service\[\d+\]: connect from 192\.168\.10\.5`)
		if got, _ := askFrom("tcp", "127.0.0.1", "127.0.0.1:5000", "hello\n"); got != "" {
			t.Errorf("answer to 127.0.0.1 = %q", got)
		}
		log.wait(t, mark, `^authpriv\.warning myecho_service\[\d+\]: refused connect from 127\.0\.0\.1`)

		// UDP: one server for many datagrams of many clients.
		hup(t, log, "myecho_udp dgram udp wait root /usr/local/sbin/udpechoserver udpechoserver\n")
		for _, host := range []string{"127.0.0.1", "::1"} {
			for n := range 3 {
				c := dial(t, "udp", net.JoinHostPort(host, "9300"))
				for i := range 100 {
					wantEcho(t, c, fmt.Sprintf("client %d, datagram %d", n, i))
				}
			}
		}
		wantRefused(t, "tcp", "127.0.0.1:5000")
	})
}

// addAddress gives an interface one address more, by the old name for it.
func addAddress(ifname string, ip [4]byte) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	ifr, err := unix.NewIfreq(ifname)
	if err != nil {
		return err
	}
	if err := ifr.SetInet4Addr(ip[:]); err != nil {
		return err
	}
	return unix.IoctlIfreq(fd, unix.SIOCSIFADDR, ifr)
}
