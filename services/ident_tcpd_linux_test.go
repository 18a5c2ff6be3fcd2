package services

import (
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"inetd/libwrap"
)

// The original tcpd asks our auth who a client is, and so does our libwrap, in
// a network of its own where port 113 is free and with a hosts.allow of its own:
//
//	client (nobody, root) ──► listener ──► tcpd, libwrap ──► auth on port 113
func TestIdentTcpd(t *testing.T) {
	const tcpd, hostsAllow = "/usr/sbin/tcpd", "/etc/hosts.allow"
	if os.Getenv("IDENT_TEST_TCPD") != "" {
		identTcpd(t, tcpd, hostsAllow)
		return
	}
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root for a network namespace")
	}
	for _, path := range []string{tcpd, hostsAllow} {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			t.Skipf("needs %s (package tcpd)", path)
		}
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestIdentTcpd$", "-test.v")
	cmd.Env = append(os.Environ(), "IDENT_TEST_TCPD=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS}
	if out, err := cmd.CombinedOutput(); errors.Is(err, syscall.EPERM) {
		t.Skip("needs the right to make a network namespace")
	} else if err != nil {
		t.Errorf("in a namespace: %v\n%s", err, out)
	}
}

var identUsers = someUsers{{Name: "root"}, {Name: "nobody", UID: nobody}}

func identTcpd(t *testing.T, tcpd, hostsAllow string) {
	loopbackUp(t)
	rules := filepath.Join(t.TempDir(), "hosts.allow")
	if err := os.WriteFile(rules, []byte("ALL: nobody@ALL: allow\nALL: ALL: deny\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(rules, hostsAllow, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	auth, err := net.Listen("tcp4", "127.0.0.1:113")
	if err != nil {
		t.Fatal(err)
	}
	defer auth.Close()
	asked := make(chan error, 10)
	go func() {
		for {
			nc, err := auth.Accept()
			if err != nil {
				return
			}
			c := NewConn(dup(t, nc.(syscall.Conn)))
			nc.Close()
			c.Args = []string{"auth", "-r"}
			c.Users = identUsers
			asked <- <-serve("auth", c)
		}
	}()
	for uid, want := range map[int]string{nobody: "served\n", 0: ""} {
		ln, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		client := dialAs(t, ln.Addr().String(), uid)
		nc, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		sock, err := nc.(*net.TCPConn).File()
		if err != nil {
			t.Fatal(err)
		}
		defer sock.Close()
		syscall.SetNonblock(int(sock.Fd()), false)
		cmd := exec.Command(tcpd)
		cmd.Args = []string{"/bin/echo", "served"}
		cmd.Stdin = sock
		out, err := cmd.Output()
		if string(out) != want {
			t.Errorf("tcpd for a client of uid %d = %q, %v, want %q", uid, out, err, want)
		}
		served(t, "tcpd", asked)

		server := netip.MustParseAddrPort(ln.Addr().String())
		name, err := libwrap.System{}.LookupUser(t.Context(), endpoint(client), endpoint(server))
		acct, _ := identUsers.ByUID(uint32(uid), time.Time{})
		if name != acct.Name || err != nil {
			t.Errorf("libwrap's LookupUser of uid %d = %q, %v, want %q", uid, name, err, acct.Name)
		}
		served(t, "libwrap", asked)
	}
}

func served(t *testing.T, client string, asked <-chan error) {
	t.Helper()
	select {
	case err := <-asked:
		if err != nil {
			t.Errorf("auth asked by %s = %v, want nil", client, err)
		}
	case <-time.After(20 * time.Second):
		t.Errorf("%s did not ask", client)
	}
}

func endpoint(a netip.AddrPort) libwrap.Endpoint {
	return libwrap.Endpoint{Addr: a.Addr().String(), Port: int(a.Port()), HasPort: true}
}

// loopbackUp gives a new network namespace its loopback interface.
func loopbackUp(t *testing.T) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	ifr, err := unix.NewIfreq("lo")
	if err != nil {
		t.Fatal(err)
	}
	ifr.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, ifr); err != nil {
		t.Fatal(err)
	}
}
