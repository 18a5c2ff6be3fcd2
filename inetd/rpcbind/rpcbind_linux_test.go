package rpcbind

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The real rpcbind runs where it can reach nothing: the test starts itself
// again in mount, network and process namespaces of its own, with an empty
// /run and only a loopback interface. When that process, which is number 1
// there, ends, rpcbind ends with it.
//
//	TestRpcbind ──namespaces──► inside ──┬────────────► rpcbind
//	                                     └─uid 65534──► nobody

// partVar tells a process which part it plays.
const partVar = "RPCBIND_TEST_PART"

// prog is of the range RFC 5531 section 13 gives to users.
const prog = 0x20000001

func play(t *testing.T, part string, attr *syscall.SysProcAttr) ([]byte, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/proc/self/exe", "-test.run=^TestRpcbind$", "-test.v", "-test.count=1")
	cmd.Env = append(os.Environ(), partVar+"="+part)
	cmd.SysProcAttr = attr
	cmd.WaitDelay = 5 * time.Second
	return cmd.CombinedOutput()
}

func TestRpcbind(t *testing.T) {
	switch os.Getenv(partVar) {
	case "inside":
		inside(t)
		return
	case "nobody sets":
		t.Log(Set(t.Context(), nobodys))
		return
	case "nobody unsets":
		t.Log(Unset(t.Context(), nobodys))
		return
	}
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root: rpcbind gives up its uid, and port 111 is reserved")
	}
	for _, program := range []string{"rpcbind", "rpcinfo"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is not installed", program)
		}
	}
	out, err := play(t, "inside", &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWPID,
		Pdeathsig:  unix.SIGKILL,
	})
	switch {
	case errors.Is(err, unix.EPERM):
		t.Skip("this root may not make namespaces")
	case err != nil:
		t.Fatalf("in its namespaces: %v\n%s", err, out)
	case !strings.Contains(string(out), "--- PASS: TestRpcbind"):
		t.Fatalf("in its namespaces it passed nothing:\n%s", out)
	}
}

// isolate makes the namespaces empty.
func isolate(t *testing.T) {
	t.Helper()
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Fatalf("make mounts private: %v", err)
	}
	if err := unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=755"); err != nil {
		t.Fatalf("mount /run: %v", err)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		t.Fatal(err)
	}
	lo.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo); err != nil {
		t.Fatalf("loopback up: %v", err)
	}
}

func inside(t *testing.T) {
	isolate(t)
	tcp := Mapping{prog, 1, 3, "tcp", netip.MustParseAddrPort("0.0.0.0:701")}

	if err := Set(t.Context(), tcp); !errors.Is(err, errNoPortMapper) {
		t.Errorf("Set without rpcbind = %v, want %v", err, errNoPortMapper)
	}
	if err := Unset(t.Context(), tcp); !errors.Is(err, errNoPortMapper) {
		t.Errorf("Unset without rpcbind = %v, want %v", err, errNoPortMapper)
	}
	// It goes into the background when it listens.
	if out, err := exec.Command("rpcbind").CombinedOutput(); err != nil {
		t.Fatalf("rpcbind: %v\n%s", err, out)
	}

	t.Run("all netids", func(t *testing.T) {
		udp := Mapping{prog, 1, 1, "udp", netip.MustParseAddrPort("127.0.0.1:702")}
		tcp6 := Mapping{prog, 2, 3, "tcp6", netip.MustParseAddrPort("[::]:703")}
		udp6 := Mapping{prog, 3, 3, "udp6", netip.MustParseAddrPort("[::1]:704")}
		for _, m := range []Mapping{tcp, udp, tcp6, udp6} {
			set(t, m)
		}
		want(t, "all set",
			"1 tcp 0.0.0.0.2.189 superuser", "1 udp 127.0.0.1.2.190 superuser",
			"2 tcp 0.0.0.0.2.189 superuser", "2 tcp6 ::.2.191 superuser",
			"3 tcp 0.0.0.0.2.189 superuser", "3 tcp6 ::.2.191 superuser", "3 udp6 ::1.2.192 superuser")
		wantV2(t, "all set", "1 tcp 701", "1 udp 702", "2 tcp 701", "3 tcp 701")

		tcp.Addr = netip.MustParseAddrPort("0.0.0.0:705") // as after a crash
		set(t, tcp)
		unset(t, tcp6)
		want(t, "tcp moved, tcp6 gone",
			"1 tcp 0.0.0.0.2.193 superuser", "1 udp 127.0.0.1.2.190 superuser",
			"2 tcp 0.0.0.0.2.193 superuser",
			"3 tcp 0.0.0.0.2.193 superuser", "3 udp6 ::1.2.192 superuser")

		for _, m := range []Mapping{udp, tcp, udp6, tcp6} {
			unset(t, m)
		}
		want(t, "all unset")
		wantV2(t, "all unset")
	})

	t.Run("owners", func(t *testing.T) {
		one := Mapping{prog, 1, 1, "tcp", netip.MustParseAddrPort("0.0.0.0:801")}
		set(t, one)
		const refused = "536870913/1-2 tcp: refused for version 1:"
		nobody(t, "sets", refused)
		want(t, "nobody set", "1 tcp 0.0.0.0.3.33 superuser", "2 tcp 0.0.0.0.35.40 65534")
		nobody(t, "unsets", refused)
		want(t, "nobody unset", "1 tcp 0.0.0.0.3.33 superuser")
		nobody(t, "sets", refused)
		both := one
		both.High = 2
		set(t, both) // root may remove what is not its own
		want(t, "root set", "1 tcp 0.0.0.0.3.33 superuser", "2 tcp 0.0.0.0.3.33 superuser")
		unset(t, both)
		want(t, "root unset")
	})

	// Without the socket, loopback does, and the reserved port makes the entry
	// root's. Often, because every call uses one up for a minute.
	for _, p := range places[2:] {
		t.Run(p.addr, func(t *testing.T) {
			if p.addr == "[::1]:111" && !haveIPv6() {
				t.Skip("no IPv6 here")
			}
			for range 20 {
				if err := apply(t.Context(), []place{p}, tcp, true, false); err != nil {
					t.Fatalf("Set(%v) by %s = %v", tcp, p.addr, err)
				}
				want(t, "set by "+p.addr, "1 tcp 0.0.0.0.2.193 superuser",
					"2 tcp 0.0.0.0.2.193 superuser", "3 tcp 0.0.0.0.2.193 superuser")
				if err := apply(t.Context(), []place{p}, tcp, false, false); err != nil {
					t.Fatalf("Unset(%v) by %s = %v", tcp, p.addr, err)
				}
				want(t, "unset by "+p.addr)
			}
		})
	}

	// rpcbind speaks version 2 as well, over loopback.
	t.Run("version 2", func(t *testing.T) {
		conn, err := dial(t.Context(), places[2:])
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		c := &client{conn: conn, old: true}
		do := func(netid string, port uint16, set bool) {
			t.Helper()
			m := Mapping{prog, 1, 1, netid, netip.AddrPortFrom(netip.Addr{}, port)}
			if ok, err := c.change(m, 1, set); !ok || err != nil {
				t.Fatalf("change(%v, set %v) = %v, %v", m, set, ok, err)
			}
		}
		do("tcp", 901, true)
		do("udp", 902, true)
		want(t, "both set", "1 tcp 0.0.0.0.3.133 superuser", "1 udp 0.0.0.0.3.134 superuser")
		do("tcp", 903, true)
		want(t, "tcp moved", "1 tcp 0.0.0.0.3.135 superuser", "1 udp 0.0.0.0.3.134 superuser")
		do("udp", 902, false)
		want(t, "udp gone", "1 tcp 0.0.0.0.3.135 superuser")
		do("udp", 902, false)
		do("udp6", 902, false)
		do("tcp", 903, false)
		want(t, "both gone")
	})

	t.Run("a version it lacks", func(t *testing.T) {
		conn, err := dial(t.Context(), places)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if got := conn.RemoteAddr().String(); got != "/run/rpcbind.sock" {
			t.Errorf("dial = %s, want the socket", got)
		}
		_, err = (&client{conn: conn}).call(9, 0, nil)
		if want := (mismatch{2, 4}); err != want {
			t.Errorf("version 9 = %v, want %v", err, want)
		}
	})
}

func haveIPv6() bool {
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	return unix.Bind(fd, &unix.SockaddrInet6{Addr: [16]byte{15: 1}}) == nil
}

// nobodys is what uid 65534 asks for: versions 1 and 2.
var nobodys = Mapping{prog, 1, 2, "tcp", netip.MustParseAddrPort("0.0.0.0:9000")}

func nobody(t *testing.T, does, wantErr string) {
	t.Helper()
	out, err := play(t, "nobody "+does, &syscall.SysProcAttr{
		Credential: &syscall.Credential{Uid: 65534, Gid: 65534},
	})
	if err != nil || !strings.Contains(string(out), wantErr) {
		t.Errorf("nobody %s: %v, want %q in\n%s", does, err, wantErr, out)
	}
}

func set(t *testing.T, m Mapping) {
	t.Helper()
	if err := Set(t.Context(), m); err != nil {
		t.Errorf("Set(%v) = %v", m, err)
	}
}

func unset(t *testing.T, m Mapping) {
	t.Helper()
	if err := Unset(t.Context(), m); err != nil {
		t.Errorf("Unset(%v) = %v", m, err)
	}
}

// want compares what rpcinfo tells of prog: version, netid, address, owner.
func want(t *testing.T, when string, want ...string) {
	t.Helper()
	check(t, when, want, func(f []string) string { // prog vers netid addr service owner
		return strings.Join([]string{f[1], f[2], f[3], f[5]}, " ")
	})
}

// wantV2 is want for the older view: version, protocol, port.
func wantV2(t *testing.T, when string, want ...string) {
	t.Helper()
	check(t, when, want, func(f []string) string { // prog vers proto port service
		return strings.Join(f[1:4], " ")
	}, "-p")
}

func check(t *testing.T, when string, want []string, line func([]string) string, args ...string) {
	t.Helper()
	out, err := exec.Command("rpcinfo", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("rpcinfo: %v\n%s", err, out)
	}
	var got []string
	for l := range strings.Lines(string(out)) {
		if f := strings.Fields(l); len(f) > 3 && f[0] == strconv.Itoa(prog) {
			got = append(got, line(f))
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("%s: rpcinfo %v = %q, want %q", when, args, got, want)
	}
}
