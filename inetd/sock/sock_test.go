package sock

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const patience = 20 * time.Second

var opts = Options{Backlog: 16, UID: -1, GID: -1, Mode: 0o666}

func addr(typ int, s string) Addr { return Addr{Type: typ, IP: netip.MustParseAddrPort(s)} }

// opened binds a and closes it when the test is over.
func opened(t *testing.T, a Addr, o Options) int {
	t.Helper()
	fd, err := Bind(a, o)
	if err != nil {
		t.Fatalf("Bind(%v): %v", a, err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// listening is opened, and takes connections.
func listening(t *testing.T, a Addr, o Options) int {
	t.Helper()
	fd := opened(t, a, o)
	if err := Listen(fd, a, o); err != nil {
		t.Fatal(err)
	}
	return fd
}

// at is a with the port that fd was given.
func at(a Addr, fd int) Addr {
	a.IP = netip.AddrPortFrom(a.IP.Addr(), Local(fd).Port())
	return a
}

func dial(t *testing.T, network, address string) net.Conn {
	t.Helper()
	c, err := net.DialTimeout(network, address, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c
}

func flags(t *testing.T, fd int) (closeOnExec, nonblocking bool) {
	t.Helper()
	a, err1 := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	b, err2 := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	return a&unix.FD_CLOEXEC != 0, b&unix.O_NONBLOCK != 0
}

func needIPv6(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Skipf("no IPv6 loopback: %v", err)
	}
	l.Close()
}

func TestAccept(t *testing.T) {
	for _, s := range []string{"127.0.0.1:0", "[::1]:0"} {
		if strings.HasPrefix(s, "[") {
			needIPv6(t)
		}
		a := addr(Stream, s)
		fd := listening(t, a, opts)
		SetNonblock(fd, true)
		if cloexec, _ := flags(t, fd); !cloexec {
			t.Errorf("%s: the listener is not close-on-exec", s)
		}
		if _, _, err := Accept(fd); !Gone(err) {
			t.Errorf("%s: Accept without a client = %v, want one that is Gone", s, err)
		}
		client := dial(t, "tcp", at(a, fd).String())
		conn, peer, err := Accept(fd)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(conn)
		if got := peer.String(); got != client.LocalAddr().String() {
			t.Errorf("%s: peer = %s, want %s", s, got, client.LocalAddr())
		}
		if got := Local(conn).String(); got != client.RemoteAddr().String() {
			t.Errorf("%s: Local = %s, want %s", s, got, client.RemoteAddr())
		}
		if cloexec, nonblocking := flags(t, conn); !cloexec || nonblocking {
			t.Errorf("%s: connection close-on-exec %v, non-blocking %v, want true, false", s, cloexec, nonblocking)
		}
	}
}

// One socket for both families sees IPv4 clients as what they are mapped to.
func TestMapped(t *testing.T) {
	needIPv6(t)
	a := addr(Stream, "[::]:0")
	a.Mapped = true
	fd := listening(t, a, opts)
	client := dial(t, "tcp", fmt.Sprintf("127.0.0.1:%d", Local(fd).Port()))
	conn, peer, err := Accept(fd)
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(conn)
	if got := netip.AddrPortFrom(peer.Addr().Unmap(), peer.Port()).String(); got != client.LocalAddr().String() {
		t.Errorf("peer = %s, want %s", peer, client.LocalAddr())
	}
}

// The same port for IPv4 and IPv6 is two sockets.
func TestBothFamilies(t *testing.T) {
	needIPv6(t)
	for _, typ := range []int{Stream, Dgram} {
		// A port that is free for IPv6 may be somebody's for IPv4.
		var err error
		for range 50 {
			fd := opened(t, addr(typ, "[::]:0"), opts)
			v4 := addr(typ, fmt.Sprintf("0.0.0.0:%d", Local(fd).Port()))
			var fd4 int
			if fd4, err = Bind(v4, opts); err == nil {
				unix.Close(fd4)
				break
			}
		}
		if err != nil {
			t.Errorf("the IPv4 half of a port whose IPv6 half is bound: %v", err)
		}
	}
}

func TestInUse(t *testing.T) {
	for _, tt := range []struct {
		typ           int
		first, second string
	}{
		{Stream, "127.0.0.1", "127.0.0.1"}, {Stream, "0.0.0.0", "127.0.0.1"}, {Stream, "127.0.0.1", "0.0.0.0"},
		{Dgram, "127.0.0.1", "127.0.0.1"}, {Dgram, "0.0.0.0", "127.0.0.1"}, {Dgram, "127.0.0.1", "0.0.0.0"},
	} {
		a := addr(tt.typ, tt.first+":0")
		fd := listening(t, a, opts)
		second := addr(tt.typ, fmt.Sprintf("%s:%d", tt.second, Local(fd).Port()))
		again, err := Bind(second, opts)
		if err == nil {
			err = Listen(again, second, opts)
			unix.Close(again)
		}
		if !errors.Is(err, unix.EADDRINUSE) {
			t.Errorf("Bind(%v) beside %v = %v, want %v", second, at(a, fd), err, unix.EADDRINUSE)
		}
	}
	a := addr(Stream, "192.0.2.1:0")
	if fd, err := Bind(a, opts); err == nil || err.Error() != "bind: cannot assign requested address" {
		t.Errorf("Bind(%v) = %d, %v", a, fd, err)
	}
}

// stolen says whether another program could bind a's port, by any means.
func stolen(t *testing.T, a Addr) bool {
	t.Helper()
	for _, reuse := range []bool{false, true} {
		fd, err := unix.Socket(a.domain(), a.Type, 0)
		if err != nil {
			t.Fatal(err)
		}
		if reuse {
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
		}
		err = unix.Bind(fd, a.sockaddr())
		unix.Close(fd)
		if err == nil {
			return true
		}
	}
	return false
}

// freePort adds the number of a port that was free a moment ago.
func freePort(t *testing.T, host string) string {
	t.Helper()
	l, err := net.Listen("tcp", host+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return fmt.Sprintf("%s:%d", host, l.Addr().(*net.TCPAddr).Port)
}

// anywhere is a socket at a, whose port may be 0, and where that is.
func anywhere(t *testing.T, a Addr) (Addr, int) {
	t.Helper()
	fd, err := Bind(a, opts)
	if err != nil {
		t.Fatal(err)
	}
	return at(a, fd), fd
}

// serves checks that what a client of a listening socket says arrives, and
// returns the accepted connection.
func serves(t *testing.T, fd int, a Addr) int {
	t.Helper()
	c := dial(t, "tcp", a.String())
	conn, _, err := Accept(fd)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(c, "hello")
	var b [16]byte
	if n, err := unix.Read(conn, b[:]); string(b[:max(n, 0)]) != "hello" {
		t.Errorf("%v: the server reads %q, %v", a, b[:max(n, 0)], err)
	}
	if _, err := unix.SendmsgN(conn, []byte("hello"), nil, nil, unix.MSG_NOSIGNAL); err != nil {
		t.Errorf("%v: the server's answer: %v", a, err)
	}
	return conn
}

// A listener that refuses keeps its port, and its queue is sent away.
func TestRefuse(t *testing.T) {
	// A port that the kernel chose, as for an RPC service, is kept as well.
	for _, s := range []string{"127.0.0.1:0", "[::1]:0", "127.0.0.1", "[::1]", "0.0.0.0"} {
		if strings.HasPrefix(s, "[") {
			needIPv6(t)
		}
		if !strings.HasSuffix(s, ":0") {
			s = freePort(t, s)
		}
		a, fd := anywhere(t, addr(Stream, s))
		// One that does not listen yet may be told to refuse too, and serves like
		// another when that is over.
		fd, err := Refuse(fd, a, opts)
		if err != nil {
			t.Fatal(err)
		}
		if stolen(t, a) {
			t.Errorf("%s: the port of a socket that never listened can be bound by others", s)
		}
		if err := Resume(fd, a, opts); err != nil {
			t.Fatal(err)
		}
		defer unix.Close(serves(t, fd, a))
		queued := dial(t, "tcp", a.String())
		for range 3 {
			var err error
			if fd, err = Refuse(fd, a, opts); err != nil {
				t.Fatal(err)
			}
			if _, err := queued.Read(make([]byte, 1)); err == nil {
				t.Errorf("%s: a client in the queue of a refusing listener is not sent away", s)
			}
			if c, err := net.Dial("tcp", a.String()); !errors.Is(err, unix.ECONNREFUSED) {
				if err == nil {
					c.Close()
				}
				t.Errorf("%s: dial of a refusing listener = %v, want %v", s, err, unix.ECONNREFUSED)
			}
			if stolen(t, a) {
				t.Errorf("%s: the port of a refusing listener can be bound by others", s)
			}
			// The connections of those who got in are in nobody's way, neither now
			// nor for the next daemon.
			if err := Resume(fd, a, opts); err != nil {
				t.Fatal(err)
			}
			defer unix.Close(serves(t, fd, a))
			queued = dial(t, "tcp", a.String())
		}
		unix.Close(fd)
		if again, err := Bind(a, opts); err != nil {
			t.Errorf("%s: Bind beside connections: %v", s, err)
		} else {
			unix.Close(again)
		}
	}
}

func TestBuffers(t *testing.T) {
	o := opts
	o.SndBuf, o.RcvBuf = 16384, 20000
	for _, typ := range []int{Stream, Dgram} {
		fd := opened(t, addr(typ, "127.0.0.1:0"), o)
		for _, b := range []struct{ opt, want int }{{unix.SO_SNDBUF, o.SndBuf}, {unix.SO_RCVBUF, o.RcvBuf}} {
			// Linux doubles what it is asked for.
			if got, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, b.opt); err != nil || got != b.want && got != 2*b.want {
				t.Errorf("buffer = %d, %v, want %d", got, err, b.want)
			}
		}
	}
}

func TestDatagrams(t *testing.T) {
	a := addr(Dgram, "127.0.0.1:0")
	fd := opened(t, a, opts)
	if _, ok := Peek(fd); ok {
		t.Error("Peek finds something in an empty queue")
	}
	if err := Drop(fd); !Gone(err) {
		t.Errorf("Drop of an empty queue = %v, want one that is Gone", err)
	}
	c := dial(t, "udp", at(a, fd).String())
	long := strings.Repeat("0123456789", 100)
	for _, s := range []string{"first", "", long} {
		c.Write([]byte(s))
	}
	for _, want := range []string{"first", "", long} {
		var d Datagram
		for range 2 { // it stays
			var ok bool
			if d, ok = Peek(fd); !ok {
				t.Fatalf("Peek does not find %.10q", want)
			}
		}
		if d.From.String() != c.LocalAddr().String() {
			t.Errorf("From = %v, want %v", d.From, c.LocalAddr())
		}
		if head := want[:min(len(want), len(d.Head))]; string(d.Head[:len(head)]) != head {
			t.Errorf("Head = %q, want %q", d.Head, head)
		}
		if d.Len != len(want) && d.Len != len(d.Head) {
			t.Errorf("Len = %d, want %d", d.Len, len(want))
		}
		if err := Drop(fd); err != nil {
			t.Fatal(err)
		}
	}
	if _, ok := Peek(fd); ok {
		t.Error("Peek finds something after all was dropped")
	}
}

// Split: each client gets a socket of its own, on which it is answered from
// the address that it asked; the port goes on and is nobody else's.
func TestSplit(t *testing.T) {
	for _, s := range []string{"127.0.0.1:0", "[::1]:0", "0.0.0.0:0"} {
		if strings.HasPrefix(s, "[") {
			needIPv6(t)
		}
		a := addr(Dgram, s)
		fd := opened(t, a, opts)
		a = at(a, fd)
		if _, _, _, err := Split(fd, a, opts); !Gone(err) {
			t.Errorf("%s: Split without a datagram = %v, want an error that is Gone", s, err)
		}
		host := a.IP.Addr()
		if host.IsUnspecified() {
			host = netip.MustParseAddr("127.0.0.1")
		}
		to := netip.AddrPortFrom(host, a.IP.Port()).String()
		var conns []int
		var clients []net.Conn
		for i := range 3 {
			c := dial(t, "udp", to)
			fmt.Fprintf(c, "hello %d", i)
			conn, fresh, peer, err := Split(fd, a, opts)
			if err != nil {
				t.Fatalf("%s: %v", s, err)
			}
			defer unix.Close(conn)
			defer unix.Close(fresh)
			if peer.String() != c.LocalAddr().String() {
				t.Errorf("%s: peer = %v, want %v", s, peer, c.LocalAddr())
			}
			if cloexec, nonblocking := flags(t, conn); !cloexec || nonblocking {
				t.Errorf("%s: connection close-on-exec %v, non-blocking %v, want true, false", s, cloexec, nonblocking)
			}
			conns, clients, fd = append(conns, conn), append(clients, c), fresh
		}
		if stolen(t, a) {
			t.Errorf("%s: another program can bind the port", s)
		}
		buf := make([]byte, 64)
		for round := range 2 {
			for i, c := range clients {
				if round > 0 {
					fmt.Fprintf(c, "hello %d", i)
				}
				n, err := unix.Read(conns[i], buf)
				if want := fmt.Sprintf("hello %d", i); err != nil || string(buf[:n]) != want {
					t.Errorf("%s: round %d, server of client %d reads %q, %v, want %q", s, round, i, buf[:max(n, 0)], err, want)
				}
				unix.Write(conns[i], []byte("answer"))
				if n, err := c.Read(buf); err != nil || string(buf[:n]) != "answer" {
					t.Errorf("%s: answer to client %d = %q, %v", s, i, buf[:n], err)
				}
			}
		}
		if _, ok := Peek(fd); ok {
			t.Errorf("%s: a datagram of a client with a server came to the port", s)
		}
	}
}

func TestUnix(t *testing.T) {
	for _, typ := range []int{Stream, Dgram, Seqpacket} {
		dir := t.TempDir()
		a := Addr{Type: typ, Path: filepath.Join(dir, "socket")}
		o := opts
		o.Mode = 0o620
		umask := unix.Umask(0o27)
		fd, err := Bind(a, o)
		if got := unix.Umask(umask); got != 0o27 {
			t.Errorf("umask after Bind = %#o, want it as before, 027", got)
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := Listen(fd, a, o); err != nil {
			t.Fatal(err)
		}
		fi, err := os.Lstat(a.Path)
		if err != nil || fi.Mode() != fs.ModeSocket|0o620 {
			t.Errorf("socket = %v, %v, want mode 620", fi, err)
		}
		// Somebody is there.
		if again, err := Bind(a, o); !errors.Is(err, unix.EADDRINUSE) {
			t.Errorf("Bind of a socket in use = %d, %v, want %v", again, err, unix.EADDRINUSE)
		}
		if _, err := os.Lstat(a.Path); err != nil {
			t.Errorf("socket in use: %v, want it left alone", err)
		}
		// Nobody is there any more.
		unix.Close(fd)
		if fd, err = Bind(a, o); err != nil {
			t.Errorf("Bind of a stale socket: %v", err)
		}
		Close(fd, a, Path(a))
		if _, err := os.Lstat(a.Path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("socket after Close: %v, want it gone", err)
		}
	}
}

// What is not a stale socket is left alone.
func TestUnixInTheWay(t *testing.T) {
	dir := t.TempDir()
	file, link, sub := filepath.Join(dir, "file"), filepath.Join(dir, "link"), filepath.Join(dir, "dir")
	if err := errors.Join(os.WriteFile(file, []byte("data"), 0o600), os.Symlink(file, link), os.Mkdir(sub, 0o700)); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, link, sub} {
		fd, err := Bind(Addr{Type: Stream, Path: path}, opts)
		if err == nil {
			unix.Close(fd)
		}
		if err == nil || !strings.HasSuffix(err.Error(), "exists and is not a socket") {
			t.Errorf("Bind(%s) = %v, want that it is not a socket", path, err)
		}
	}
	if text, err := os.ReadFile(link); string(text) != "data" {
		t.Errorf("file after Bind = %q, %v, want it as it was", text, err)
	}
	if fd, err := Bind(Addr{Type: Stream, Path: filepath.Join(dir, "none", "socket")}, opts); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Bind in a directory that is not there = %d, %v, want %v", fd, err, fs.ErrNotExist)
	}
}

// A port that the kernel chose stays, for it is registered.
func TestSplitPort(t *testing.T) {
	a := addr(Dgram, "127.0.0.1:0")
	fd := opened(t, a, opts)
	was := Local(fd)
	c := dial(t, "udp", was.String())
	fmt.Fprint(c, "hello")
	conn, fresh, _, err := Split(fd, a, opts)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(conn)
	defer unix.Close(fresh)
	if now := Local(fresh); now != was {
		t.Errorf("the listener moved from %v to %v", was, now)
	}
}

func TestUnixOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to give a file away")
	}
	a := Addr{Type: Stream, Path: filepath.Join(t.TempDir(), "socket")}
	o := opts
	o.UID, o.GID, o.Mode = 4711, 42, 0o600
	fd := opened(t, a, o)
	stat := func() string {
		var st unix.Stat_t
		if err := unix.Lstat(a.Path, &st); err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%d:%d %o", st.Uid, st.Gid, st.Mode&0o777)
	}
	if got, want := stat(), "4711:42 600"; got != want {
		t.Errorf("socket = %s, want %s", got, want)
	}
	o.UID, o.GID, o.Mode = -1, 43, 0o666
	if err := Own(a, o); err != nil {
		t.Fatal(err)
	}
	if got, want := stat(), "4711:43 666"; got != want {
		t.Errorf("socket after Own = %s, want %s", got, want)
	}
	// Whoever owns the directory has put something else there.
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	moved := a.Path + ".moved"
	if err := errors.Join(os.Rename(a.Path, moved), os.Symlink(secret, a.Path)); err != nil {
		t.Fatal(err)
	}
	if err := Own(a, o); err == nil {
		t.Error("Own of a link gives no error")
	}
	if fi, err := os.Stat(secret); err != nil || fi.Mode() != 0o600 {
		t.Errorf("what the link leads to is %v, %v", fi, err)
	}
	if err := os.Rename(moved, a.Path); err != nil {
		t.Fatal(err)
	}
	Close(fd, a, Path(a))
}

func TestShed(t *testing.T) {
	a := addr(Stream, "127.0.0.1:0")
	fd := listening(t, a, opts)
	Shed(fd) // nobody is there, and it does not wait
	first, second := dial(t, "tcp", at(a, fd).String()), dial(t, "tcp", at(a, fd).String())
	Shed(fd)
	if n, err := first.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("client that was shed reads %d, %v, want the end", n, err)
	}
	if _, nonblocking := flags(t, fd); nonblocking {
		t.Error("the listener is non-blocking afterwards")
	}
	conn, peer, err := Accept(fd)
	if err != nil || peer.String() != second.LocalAddr().String() {
		t.Errorf("next client = %v, %v, want %v", peer, err, second.LocalAddr())
	}
	unix.Close(conn)
}

func TestErrors(t *testing.T) {
	for _, tt := range []struct {
		err          error
		gone, scarce bool
	}{
		{unix.EAGAIN, true, true}, {unix.EINTR, true, false}, {unix.ECONNABORTED, true, false}, {unix.EPROTO, true, false},
		{unix.ENETDOWN, true, false}, {unix.EHOSTUNREACH, true, false}, {unix.EPERM, false, false},
		{unix.EMFILE, false, true}, {unix.ENFILE, false, true}, {unix.ENOMEM, false, true}, {unix.ENOBUFS, false, true},
		{unix.EBADF, false, false}, {unix.EINVAL, false, false}, {nil, false, false},
		{fmt.Errorf("fork: %w", unix.EMFILE), false, true},
	} {
		if Gone(tt.err) != tt.gone || Scarce(tt.err) != tt.scarce {
			t.Errorf("Gone(%v), Scarce = %v, %v, want %v, %v", tt.err, Gone(tt.err), Scarce(tt.err), tt.gone, tt.scarce)
		}
	}
}

func TestSockaddr(t *testing.T) {
	for _, s := range []string{"127.0.0.1:80", "0.0.0.0:0", "[::1]:65535", "[2001:db8::1]:7", "[fe80::1%1]:9"} {
		a := netip.MustParseAddrPort(s)
		if got := addrPort(sockaddr(a)); got != a {
			t.Errorf("addrPort(sockaddr(%v)) = %v", a, got)
		}
	}
	if got := addrPort(&unix.SockaddrUnix{Name: "/x"}); got.IsValid() {
		t.Errorf("AddrPort of a unix socket = %v, want none", got)
	}
	if got := zoneID("lo"); got == 0 {
		t.Skip("no interface lo")
	} else if got := addrPort(sockaddr(netip.MustParseAddrPort("[fe80::1%lo]:9"))); got.Addr().Zone() == "" {
		t.Errorf("zone of an address with an interface's name is lost: %v", got)
	}
	if got := zoneID("no-such-interface"); got != 0 {
		t.Errorf("zoneID of no interface = %d, want 0", got)
	}
}

func TestAddrString(t *testing.T) {
	for _, tt := range []struct {
		a    Addr
		want string
	}{
		{addr(Stream, "127.0.0.1:80"), "127.0.0.1:80"}, {addr(Dgram, "[::]:7"), "[::]:7"}, {Addr{Type: Stream, Path: "/run/x"}, "/run/x"},
	} {
		if got := tt.a.String(); got != tt.want {
			t.Errorf("String = %q, want %q", got, tt.want)
		}
	}
}

func TestAt(t *testing.T) {
	mapped := Addr{Type: Stream, IP: netip.MustParseAddrPort("[::]:80"), Mapped: true}
	for _, tt := range []struct {
		a    Addr
		ip   string
		want bool
	}{
		{addr(Stream, "127.0.0.1:80"), "127.0.0.1", true},
		{addr(Stream, "127.0.0.1:80"), "127.0.0.2", false},
		{addr(Stream, "127.0.0.1:80"), "::1", false},
		{addr(Stream, "0.0.0.0:80"), "127.0.0.1", true},
		{addr(Stream, "0.0.0.0:80"), "::1", false},
		{addr(Stream, "[::]:80"), "::1", true},
		{addr(Stream, "[::]:80"), "127.0.0.1", false},
		{mapped, "127.0.0.1", true},
		{mapped, "::1", true},
		{addr(Stream, "[fe80::1%1]:80"), "fe80::1%1", true},
		{addr(Stream, "[fe80::1%1]:80"), "fe80::1%2", false},
		{addr(Stream, "[fe80::1%1]:80"), "fe80::1", false},
	} {
		if got := tt.a.At(netip.MustParseAddr(tt.ip)); got != tt.want {
			t.Errorf("%v at %s = %v, want %v", tt.a, tt.ip, got, tt.want)
		}
	}
	for _, a := range []Addr{addr(Stream, "[::]:80"), addr(Stream, "0.0.0.0:80"), mapped} {
		if a.At(netip.Addr{}) { // of a unix-domain socket
			t.Errorf("%v at no address = true", a)
		}
	}
}
