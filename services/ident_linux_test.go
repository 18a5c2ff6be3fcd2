package services

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// nobody is an identity only root can give to others.
const nobody = 65534

// TestDial is not a test: it is the process that owns a connection in the
// tests below. It connects, says so, and holds on until its input ends.
func TestDial(t *testing.T) {
	at := os.Getenv("IDENT_TEST_DIAL")
	if at == "" {
		t.Skip("only as a child of other tests")
	}
	c, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Printf("%v\n", c.LocalAddr())
	io.Copy(io.Discard, os.Stdin)
}

// dialAs connects to at in a process that runs as uid and returns the address
// it connects from.
func dialAs(t testing.TB, at string, uid int) netip.AddrPort {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestDial$")
	cmd.Env = []string{"IDENT_TEST_DIAL=" + at}
	cmd.Dir = "/"
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return netip.MustParseAddrPort(strings.TrimSpace(line))
}

// owned makes a connection whose client end belongs to uid, or to whoever runs
// the tests when that is not root, and returns its ends seen from the client.
func owned(t testing.TB, listen, dial string, uid int) (local, remote netip.AddrPort) {
	t.Helper()
	ln, err := net.Listen("tcp", listen)
	if err != nil {
		t.Skipf("cannot listen on %s: %v", listen, err)
	}
	port := ln.Addr().(*net.TCPAddr).AddrPort().Port()
	remote = netip.AddrPortFrom(netip.MustParseAddr(dial), port)
	accepted := make(chan net.Conn, 1)
	go func() {
		c, err := ln.Accept()
		if err == nil {
			accepted <- c
		}
	}()
	local = dialAs(t, remote.String(), uid)
	c := <-accepted
	t.Cleanup(func() { c.Close(); ln.Close() })
	return local, remote
}

func expectUID(uid int) uint32 {
	if os.Geteuid() != 0 {
		uid = os.Geteuid()
	}
	return uint32(uid)
}

func TestOwner(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, listen, dial string }{
		{"v4", "127.0.0.1:0", "127.0.0.1"},
		{"v4 other address", "127.0.0.9:0", "127.0.0.9"},
		{"v6", "[::1]:0", "::1"},
		{"v4 on a v6 socket", "[::]:0", "127.0.0.1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			local, remote := owned(t, test.listen, test.dial, nobody)
			if uid, err := owner(local, remote); uid != expectUID(nobody) || err != nil {
				t.Errorf("owner(%v, %v) = %d, %v, want %d", local, remote, uid, err, expectUID(nobody))
			}
			// The other end is ours.
			if uid, err := owner(remote, local); uid != uint32(os.Geteuid()) || err != nil {
				t.Errorf("owner(%v, %v) = %d, %v, want %d", remote, local, uid, err, os.Geteuid())
			}
			// A listener is nobody's connection, and neither is a pair of
			// ports that exist but not together.
			for _, pair := range [][2]netip.AddrPort{
				{remote, netip.AddrPortFrom(local.Addr(), 1)},
				{local, netip.AddrPortFrom(remote.Addr(), 1)},
				{netip.AddrPortFrom(local.Addr(), 1), remote},
			} {
				if uid, err := owner(pair[0], pair[1]); !errors.Is(err, errNoOwner) {
					t.Errorf("owner(%v, %v) = %d, %v, want %v", pair[0], pair[1], uid, err, errNoOwner)
				}
			}
		})
	}
}

// A connection in TIME_WAIT belongs to nobody; the kernel would say uid 0.
func TestOwnerOfClosed(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c, err := net.Dial("tcp4", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	local := c.LocalAddr().(*net.TCPAddr).AddrPort()
	remote := c.RemoteAddr().(*net.TCPAddr).AddrPort()
	c.Close()
	io.Copy(io.Discard, s) // until the FIN is here
	if uid, err := owner(local, remote); !errors.Is(err, errNoOwner) {
		t.Errorf("owner of a closed socket in FIN_WAIT = %d, %v, want %v", uid, err, errNoOwner)
	}
	s.Close()
	if uid, err := owner(local, remote); !errors.Is(err, errNoOwner) {
		t.Errorf("owner of a closed socket = %d, %v, want %v", uid, err, errNoOwner)
	}
}

func FuzzDiagReply(f *testing.F) {
	local, remote := netip.MustParseAddrPort("127.0.0.1:6191"), netip.MustParseAddrPort("127.0.0.1:23")
	f.Add([]byte{})
	f.Add(diagRequest(local, remote))
	f.Add(make([]byte, unix.SizeofNlMsghdr+diagReplyLen))
	f.Fuzz(func(t *testing.T, b []byte) { parseDiag(b, local, remote) })
}

// identFor asks auth about a connection from its other end, as RFC 1413 has it.
func identFor(t testing.TB, local, remote netip.AddrPort, users Users, args ...string) string {
	t.Helper()
	network := "tcp4"
	if local.Addr().Is6() {
		network = "tcp6"
	}
	c, peer := connect(t, network)
	c.Args, c.Users = args, users
	return query(t, c, peer, fmt.Sprintf("%d , %d\r\n", local.Port(), remote.Port()))
}

func TestIdentReal(t *testing.T) {
	t.Parallel()
	uid := expectUID(nobody)
	for _, at := range []string{"127.0.0.1", "::1"} {
		local, remote := owned(t, net.JoinHostPort(at, "0"), at, nobody)
		ports := fmt.Sprintf("%d , %d : ", local.Port(), remote.Port())
		users := func(home string) someUsers {
			return someUsers{{Name: "alice", UID: uid, GID: uid, Home: home}, {Name: "bob", UID: 7}}
		}
		plain := users("/nonexistent")
		fake := func(text string) someUsers {
			return users(files(t, int(uid), map[string]string{".fakeid": text}))
		}
		hidden := users(files(t, int(uid), map[string]string{".noident": ""}))
		userid := "USERID : " + systemName + " : "
		for _, test := range []struct {
			args  string
			users Users
			want  string
		}{
			{"auth -r", plain, userid + "alice"},
			{"auth -r -o OTHER", plain, "USERID : OTHER : alice"},
			{"auth -ri", plain, userid + fmt.Sprint(uid)},
			{"auth -r -d bob", plain, userid + "alice"},
			{"auth -r", someUsers{}, "ERROR : NO-USER"},
			{"auth -ri", someUsers{}, userid + fmt.Sprint(uid)},
			{"auth -rin", someUsers{}, userid + fmt.Sprint(uid)},
			{"auth -r -d bob", someUsers{}, userid + "bob"},
			{"auth -r", someUsers{{Name: strings.Repeat("alice", 100), UID: uid}}, userid + strings.Repeat("alice", 100)},
			{"auth -r", someUsers{{Name: strings.Repeat("alice", 103), UID: uid}}, "ERROR : UNKNOWN-ERROR"},
			{"auth -r", brokenUsers{}, "ERROR : UNKNOWN-ERROR"},
			{"auth -r", someUsers{{Name: "al\nice", UID: uid}}, "ERROR : UNKNOWN-ERROR"},
			{"auth -rnf", plain, userid + "alice"},
			{"auth -r", hidden, userid + "alice"},
			{"auth -rn", hidden, "ERROR : HIDDEN-USER"},
			{"auth -rni", hidden, "ERROR : HIDDEN-USER"},
			{"auth -r", fake("mallory\n"), userid + "alice"},
			{"auth -rf", fake("mallory\n"), userid + "mallory"},
			{"auth -rf", fake("bob\n"), userid + "alice"},
			{"auth -rF", fake("bob\n"), userid + "bob"},
			{"auth -rfi", fake("7\n"), userid + fmt.Sprint(uid)},
			{"auth -rFi", fake("7\n"), userid + "7"},
			{"auth -rfi", fake("bob\n"), userid + "bob"},
		} {
			got := identFor(t, local, remote, test.users, strings.Fields(test.args)...)
			if got != ports+test.want+"\r\n" {
				t.Errorf("%s %s = %q, want %q", at, test.args, got, ports+test.want)
			}
		}
		none := netip.AddrPortFrom(remote.Addr(), 1)
		for args, want := range map[string]string{"auth -r": "ERROR : NO-USER", "auth -r -d bob": userid + "bob"} {
			got := identFor(t, local, none, plain, strings.Fields(args)...)
			if want := fmt.Sprintf("%d , 1 : %s\r\n", local.Port(), want); got != want {
				t.Errorf("%s about no connection = %q, want %q", args, got, want)
			}
		}
	}
}

// The helper has the user's rights and not root's or any group's: FreeBSD-SA-01:11
// was a .fakeid that led to a file of group wheel.
func TestIdentDropsEverything(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	secret := files(t, 0, map[string]string{"root": "stolen\n", "group": "stolen\n"})
	if err := os.Chmod(secret, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(secret+"/group", 0o640); err != nil {
		t.Fatal(err)
	}
	o := options{noident: true, fakeid: true}
	acct := Account{Name: "nobody", UID: nobody, GID: nobody}
	for _, to := range []string{"root", "group"} {
		acct.Home = files(t, nobody, map[string]string{".fakeid": "->" + secret + "/" + to})
		if hidden, fake, err := askFiles(acct, &o, deadline()); hidden || fake != "" || err != nil {
			t.Errorf(".fakeid to a file of %s = %v, %q, %v, want nothing", to, hidden, fake, err)
		}
	}
	// A home its user cannot look into hides the user.
	acct.Home = secret
	if err := os.Chmod(secret, 0o700); err != nil {
		t.Fatal(err)
	}
	if hidden, _, err := askFiles(acct, &o, deadline()); !hidden || err != nil {
		t.Errorf("a home out of reach = %v, %v, want hidden", hidden, err)
	}
}
