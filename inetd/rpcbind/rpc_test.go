package rpcbind

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"inetd/inetd/conf"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// What libtirpc 1.3.3 writes for rpcb_unset and rpcb_set as root, seen with
// strace.
const (
	tirpcUnset = `80000044 7eb1bab3 00000000 00000002 000186a0 00000003 00000002
		00000000 00000000 00000000 00000000
		20000001 00000001 00000004 74637036 00000000 00000001 30000000`
	tirpcSet = `80000050 7eb1bb4e 00000000 00000002 000186a0 00000003 00000001
		00000000 00000000 00000000 00000000
		20000001 00000001 00000004 74637036 00000009 3a3a2e31 382e3130 33000000 00000001 30000000`
	tirpcSetUDP = `80000054 7eb142f4 00000000 00000002 000186a0 00000003 00000001
		00000000 00000000 00000000 00000000
		20000001 00000002 00000003 75647000 0000000e 302e302e 302e302e 31382e31 30340000 00000001 30000000`
)

func TestCallBytes(t *testing.T) {
	port := func(p uint16) netip.AddrPort { return netip.AddrPortFrom(netip.Addr{}, p) }
	for _, tt := range []struct {
		xid, proc, vers uint32
		m               Mapping
		addr            bool
		want            string
	}{
		{0x7eb1bab3, procUnset, 1, Mapping{Program: 0x20000001, Netid: "tcp6"}, false, tirpcUnset},
		{0x7eb1bb4e, procSet, 1, Mapping{Program: 0x20000001, Netid: "tcp6", Addr: port(4711)}, true, tirpcSet},
		{0x7eb142f4, procSet, 2, Mapping{Program: 0x20000001, Netid: "udp", Addr: port(4712)}, true, tirpcSetUDP},
	} {
		addr := ""
		if tt.addr {
			addr = tt.m.uaddr()
		}
		got := appendCall(nil, tt.xid, rpcbVers, tt.proc,
			appendRPCB(nil, tt.m.Program, tt.vers, tt.m.Netid, addr, "0"))
		if want := unhex(t, tt.want); !bytes.Equal(got, want) {
			t.Errorf("call %v =\n%x, want\n%x", tt.m, got, want)
		}
	}
}

func TestUaddr(t *testing.T) {
	for _, tt := range []struct{ netid, addr, want string }{
		{"tcp", "127.0.0.1:2049", "127.0.0.1.8.1"},
		{"udp", "0.0.0.0:65535", "0.0.0.0.255.255"},
		{"tcp", "[::ffff:10.1.2.3]:256", "10.1.2.3.1.0"},
		{"tcp6", "[::]:1", "::.0.1"},
		{"udp6", "[fe80::1%eth0]:111", "fe80::1.0.111"},
	} {
		m := Mapping{Netid: tt.netid, Addr: netip.MustParseAddrPort(tt.addr)}
		if got := m.uaddr(); got != tt.want {
			t.Errorf("uaddr(%s, %s) = %s, want %s", tt.netid, tt.addr, got, tt.want)
		}
	}
}

func TestCheck(t *testing.T) {
	addr := netip.MustParseAddrPort
	for _, tt := range []struct {
		m    Mapping
		want string // of Set's error; nothing is dialled
	}{
		{Mapping{7, 1, 1, "sctp", addr("0.0.0.0:1")}, "7/1 sctp: netid is not"},
		{Mapping{7, 1, 1, "", addr("0.0.0.0:1")}, "netid is not"},
		{Mapping{7, 3, 1, "tcp", addr("0.0.0.0:1")}, "7/3-1 tcp: versions"},
		{Mapping{7, 0, conf.MaxVersions, "tcp", addr("0.0.0.0:1")}, "versions"},
		{Mapping{7, 0, 1<<32 - 1, "tcp", addr("0.0.0.0:1")}, "versions"},
		{Mapping{7, 1, 3, "tcp", addr("0.0.0.0:0")}, "7/1-3 tcp: no port"},
		{Mapping{7, 1, 1, "tcp", netip.AddrPort{}}, "no port"},
		{Mapping{7, 1, 1, "tcp", addr("[::]:1")}, ":: is not an address of tcp"},
		{Mapping{7, 1, 1, "udp6", addr("[::ffff:1.2.3.4]:1")}, "1.2.3.4 is not an address of udp6"},
		{Mapping{7, 1<<32 - 1, 1<<32 - 1, "tcp", addr("0.0.0.0:1")}, errNoPortMapper.Error()},
		{Mapping{7, 0, conf.MaxVersions - 1, "tcp", addr("0.0.0.0:1")}, errNoPortMapper.Error()},
	} {
		err := apply(context.Background(), nil, tt.m, true, false)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Set(%+v) = %v, want %q", tt.m, err, tt.want)
		}
	}
}

func TestReadRecord(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want string
		err  error
	}{
		{"80000004 01020304", "01020304", nil},
		{"00000002 0102 00000000 80000001 03", "010203", nil},
		{"80000000", "", nil},
		{"", "", io.EOF},
		{"800000", "", io.ErrUnexpectedEOF},
		{"80000004 0102", "", io.ErrUnexpectedEOF},
		{"00000002 0102", "", io.EOF}, // the last fragment never comes
		{"ffffffff 01", "", errMalformed},
		{"80010000 01", "", errMalformed},
		{"0000fff8 " + strings.Repeat("00", 0xfff8) + "80000001 00", "", errMalformed},
		{strings.Repeat("00000000", 1<<14+1), "", errMalformed},
	} {
		got, err := readRecord(bytes.NewReader(unhex(t, tt.in)))
		if !errors.Is(err, tt.err) || err == nil && !bytes.Equal(got, unhex(t, tt.want)) {
			t.Errorf("readRecord(%.40s) = %x, %v, want %s, %v", tt.in, got, err, tt.want, tt.err)
		}
	}
}

// replies are reply messages to xid 1, without the record mark.
var replies = []struct {
	in   string
	want string // results
	err  string
}{
	{"00000001 00000001 00000000 00000000 00000000 00000000 00000001", "00000001", ""},
	{"00000001 00000001 00000000 00000000 00000000 00000000", "", ""},
	{"00000001 00000001 00000000 00000001 00000005 aabbccddee000000 00000000 00000001", "00000001", ""},
	{"00000001 00000001 00000000 00000000 00000000 00000002 00000003 00000004", "", "speaks versions 3 to 4"},
	{"00000001 00000001 00000000 00000000 00000000 00000002 00000003", "", "malformed"},
	{"00000001 00000001 00000000 00000000 00000000 00000001", "", "accept status 1"},
	{"00000001 00000001 00000000 00000000 00000000 00000003", "", "accept status 3"},
	{"00000001 00000001 00000001 00000001 00000005", "", "permission denied (authentication status 5)"},
	{"00000001 00000001 00000001 00000000 00000003 00000003", "", "another version of RPC"},
	{"00000001 00000001 00000001 00000002", "", "malformed"},
	{"00000001 00000001 00000001", "", "malformed"},
	{"00000001 00000001 00000002 00000000 00000000 00000000", "", "malformed"},
	{"00000002 00000001 00000000 00000000 00000000 00000000", "", "malformed"}, // of another call
	{"00000001 00000000 00000000 00000000 00000000 00000000", "", "malformed"}, // a call
	{"00000001 00000001 00000000 00000000 00000191 " + strings.Repeat("00", 404) + "00000000", "", "malformed"},
	{"00000001 00000001 00000000 00000000 ffffffff 00000000", "", "malformed"},
	{"00000001 00000001 00000000 00000000 00000005 aabbccddee", "", "malformed"},
	{"00000001 00000001 00000000", "", "malformed"},
	{"", "", "malformed"},
}

func TestParseReply(t *testing.T) {
	for _, tt := range replies {
		got, err := parseReply(unhex(t, tt.in), 1)
		if tt.err == "" {
			if err != nil || !bytes.Equal(got, unhex(t, tt.want)) {
				t.Errorf("parseReply(%.90s) = %x, %v, want %s", tt.in, got, err, tt.want)
			}
		} else if err == nil || !strings.Contains(err.Error(), tt.err) {
			t.Errorf("parseReply(%.90s) = %x, %v, want %q", tt.in, got, err, tt.err)
		}
	}
}

func TestParseDump(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want []pmap
		ok   bool
	}{
		{"00000000", nil, true},
		{"00000001 000186a0 00000002 00000006 0000006f 00000000", []pmap{{100000, 2, 6, 111}}, true},
		{"", nil, false},
		{"00000001 000186a0 00000002 00000006", nil, false},
		{"00000001 000186a0 00000002 00000006 0000006f", nil, false},
		{"00000002 00000000", nil, false},
		{"00000000 00000000", nil, false},
	} {
		got, err := parseDump(unhex(t, tt.in))
		if tt.ok != (err == nil) || tt.ok && !slices.Equal(got, tt.want) {
			t.Errorf("parseDump(%s) = %v, %v, want %v, ok %v", tt.in, got, err, tt.want, tt.ok)
		}
	}
}

// FuzzReply reads what it is given as the stream of a port mapper. What is
// taken for results must lie in the stream, and a list must print back.
func FuzzReply(f *testing.F) {
	for _, r := range replies {
		b := unhex(f, r.in)
		f.Add(append(appendUint32s(nil, 1<<31|uint32(len(b))), b...), uint32(1))
	}
	// A list in two fragments, as servers with small buffers send it.
	f.Add(unhex(f, `00000018 00000001 00000001 00000000 00000000 00000000 00000000
		80000018 00000001 000186a0 00000002 00000006 0000006f 00000000`), uint32(1))
	f.Fuzz(func(t *testing.T, stream []byte, xid uint32) {
		rec, err := readRecord(bytes.NewReader(stream))
		if err != nil {
			return
		}
		if len(rec)+4 > maxReply {
			t.Fatalf("readRecord returned %d bytes", len(rec))
		}
		body, err := parseReply(rec, xid)
		if err != nil {
			if body != nil {
				t.Fatalf("parseReply = %x and %v", body, err)
			}
			return
		}
		if !bytes.HasSuffix(rec, body) || len(rec)-len(body) < 24 {
			t.Fatalf("parseReply(%x) = %x", rec, body)
		}
		list, err := parseDump(body)
		if err != nil {
			return
		}
		var back []byte
		for _, e := range list {
			back = e.append(appendUint32s(back, 1))
		}
		if back = appendUint32s(back, 0); !bytes.Equal(back, body) {
			t.Fatalf("parseDump(%x) = %v", body, list)
		}
	})
}

// A turn is one call a port mapper is to get and what it answers.
type turn struct{ call, reply string }

// serve plays the turns to one connection and reports what does not fit.
func serve(t *testing.T, turns []turn) []place {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		for i, turn := range turns {
			// The xid is the number of the call; the frame is always the same.
			xid := fmt.Sprintf("%08x", i+1)
			args := unhex(t, turn.call)
			vers, proc, args := args[:4], args[4:8], args[8:]
			want := append(appendUint32s(nil, 1<<31|uint32(40+len(args))), unhex(t, xid+"00000000 00000002 000186a0")...)
			want = slices.Concat(want, vers, proc, make([]byte, 16), args)
			got := make([]byte, len(want))
			if _, err := io.ReadFull(conn, got); err != nil || !bytes.Equal(got, want) {
				t.Errorf("call %d = %x, %v, want %x", i+1, got, err, want)
				return
			}
			reply := unhex(t, xid+"00000001 00000000 00000000 00000000"+turn.reply)
			conn.Write(append(appendUint32s(nil, 1<<31|uint32(len(reply))), reply...))
		}
		if n, err := conn.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("after the last call: %d bytes, %v, want EOF", n, err)
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return []place{{"unix", path}}
}

// The port mapper of OpenBSD has only version 2, where UNSET takes tcp and udp
// away together.
func TestVersion2Only(t *testing.T) {
	const (
		mismatch2 = "00000002 00000002 00000002"
		yes, no   = "00000000 00000001", "00000000 00000000"
		dump      = "00000002 00000004"
		set       = "00000002 00000001"
		unset     = "00000002 00000002"
	)
	first := turn{"", mismatch2} // version 3 is tried first; its call is filled in below
	tests := []struct {
		name  string
		m     Mapping
		set   bool
		turns []turn
		err   string
	}{
		{"set afresh", Mapping{7, 1, 1, "tcp", netip.MustParseAddrPort("0.0.0.0:700")}, true, []turn{first,
			{dump, "00000000 00000001 00000007 00000002 00000006 00000001 00000000"}, // another version
			{set + "00000007 00000001 00000006 000002bc", yes}}, ""},
		{"set over a stale entry, udp stays", Mapping{7, 1, 1, "tcp", netip.MustParseAddrPort("0.0.0.0:700")}, true, []turn{first,
			{dump, `00000000 00000001 00000007 00000001 00000006 00000001
				00000001 00000007 00000001 00000011 00000002 00000000`},
			{unset + "00000007 00000001 00000006 000002bc", yes},
			{set + "00000007 00000001 00000011 00000002", yes},
			{set + "00000007 00000001 00000006 000002bc", yes}}, ""},
		{"set what is so already", Mapping{7, 1, 1, "udp", netip.MustParseAddrPort("0.0.0.0:700")}, true, []turn{first,
			{dump, "00000000 00000001 00000007 00000001 00000011 000002bc 00000000"}}, ""},
		{"unset two versions, one there", Mapping{7, 1, 2, "udp", netip.AddrPort{}}, false, []turn{first,
			{dump, "00000000 00000001 00000007 00000002 00000011 000002bc 00000000"},
			{dump, "00000000 00000001 00000007 00000002 00000011 000002bc 00000000"},
			{unset + "00000007 00000002 00000011 00000000", yes}}, ""},
		{"refused", Mapping{7, 1, 1, "tcp", netip.MustParseAddrPort("0.0.0.0:700")}, true, []turn{first,
			{dump, yes[:8] + "00000000"},
			{set + "00000007 00000001 00000006 000002bc", no}}, "7/1 tcp: refused for version 1"},
		{"no tcp6", Mapping{7, 1, 2, "tcp6", netip.MustParseAddrPort("[::]:700")}, true, []turn{first}, errors.ErrUnsupported.Error()},
		{"no udp6 to unset", Mapping{7, 1, 2, "udp6", netip.AddrPort{}}, false, []turn{first}, ""},
		{"not a boolean", Mapping{7, 1, 1, "tcp", netip.MustParseAddrPort("0.0.0.0:700")}, true, []turn{first,
			{dump, "00000000 00000000"},
			{set + "00000007 00000001 00000006 000002bc", "00000000 00000002"}}, errMalformed.Error()},
		{"more than a boolean", Mapping{7, 1, 1, "tcp", netip.MustParseAddrPort("0.0.0.0:700")}, true, []turn{first,
			{dump, "00000000 00000000"},
			{set + "00000007 00000001 00000006 000002bc", yes + "00000000"}}, errMalformed.Error()},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.turns[0].call = hex.EncodeToString(appendRPCB(appendUint32s(nil, rpcbVers, procUnset),
				tt.m.Program, tt.m.Low, tt.m.Netid, "", owner()))
			err := apply(context.Background(), serve(t, tt.turns), tt.m, tt.set, false)
			if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
				t.Errorf("apply(%v, set %v) = %v, want %q", tt.m, tt.set, err, tt.err)
			}
		})
	}
}

// Every version is asked for, and the refused ones are named together.
func TestSomeRefused(t *testing.T) {
	m := Mapping{7, 3, 5, "udp", netip.MustParseAddrPort("0.0.0.0:700")}
	var turns []turn
	for _, v := range []struct {
		vers uint32
		ok   string
	}{{3, "00000000"}, {4, "00000001"}, {5, "00000000"}} {
		turns = append(turns,
			turn{hex.EncodeToString(appendRPCB(appendUint32s(nil, 3, 2), 7, v.vers, "udp", "", owner())), "00000000" + v.ok},
			turn{hex.EncodeToString(appendRPCB(appendUint32s(nil, 3, 1), 7, v.vers, "udp", "0.0.0.0.2.188", owner())), "00000000" + v.ok})
	}
	err := apply(context.Background(), serve(t, turns), m, true, false)
	if err == nil || !strings.HasPrefix(err.Error(), "7/3-5 udp: refused for version 3, 5:") {
		t.Errorf("Set(%v) = %v, want versions 3 and 5 refused", m, err)
	}
}

// A port mapper that takes the connection and says nothing must not hold the
// caller.
func TestSilence(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	called := make(chan net.Conn, 1)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.Read(make([]byte, 1))
			called <- conn
		}
	}()
	m := Mapping{7, 1, 1, "tcp", netip.MustParseAddrPort("0.0.0.0:1")}

	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if err := apply(ctx, []place{{"unix", path}}, m, true, false); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Set with a deadline = %v, want %v", err, context.DeadlineExceeded)
	}
	(<-called).Close()

	ctx, cancel = context.WithCancel(context.Background())
	defer cancel()
	got := make(chan error, 1)
	go func() { got <- apply(ctx, []place{{"unix", path}}, m, true, false) }()
	conn := <-called
	cancel()
	if err := <-got; !errors.Is(err, context.Canceled) {
		t.Errorf("Set cancelled = %v, want %v", err, context.Canceled)
	}
	conn.Close()
}

func TestNoPortMapper(t *testing.T) {
	dir := t.TempDir()
	// A port that is bound and not listened on refuses, and nobody else can
	// have it meanwhile.
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	closed := fmt.Sprintf("127.0.0.1:%d", sa.(*unix.SockaddrInet4).Port)
	at := []place{{"unix", dir + "/none"}, {"tcp", closed}}
	m := Mapping{7, 1, 1, "tcp", netip.MustParseAddrPort("0.0.0.0:1")}
	err = apply(context.Background(), at, m, true, false)
	want := fmt.Sprintf("no port mapper answers: %s/none: no such file or directory; %s: connection refused", dir, closed)
	if !errors.Is(err, errNoPortMapper) || err.Error() != want {
		t.Errorf("Set = %v, want %v", err, want)
	}
}

func TestWithout(t *testing.T) {
	m := func(program, low, high uint32, netid string) Mapping {
		return Mapping{Program: program, Low: low, High: high, Netid: netid}
	}
	for _, tt := range []struct {
		m, n Mapping
		want string
	}{
		{m(7, 1, 3, "tcp"), m(7, 1, 3, "tcp"), "[]"},
		{m(7, 1, 3, "tcp"), m(7, 1, 4, "tcp"), "[]"},
		{m(7, 1, 3, "tcp"), m(7, 2, 4, "tcp"), "[7/1 tcp]"},
		{m(7, 2, 5, "tcp"), m(7, 1, 3, "tcp"), "[7/4-5 tcp]"},
		{m(7, 1, 5, "tcp"), m(7, 2, 4, "tcp"), "[7/1 tcp 7/5 tcp]"},
		{m(7, 1, 2, "tcp"), m(7, 2, 3, "tcp"), "[7/1 tcp]"},
		{m(7, 2, 3, "tcp"), m(7, 1, 2, "tcp"), "[7/3 tcp]"},
		{m(7, 1, 2, "tcp"), m(7, 3, 4, "tcp"), "[7/1-2 tcp]"},
		{m(7, 3, 4, "tcp"), m(7, 1, 2, "tcp"), "[7/3-4 tcp]"},
		{m(7, 1, 2, "tcp"), m(7, 5, 6, "tcp"), "[7/1-2 tcp]"},
		{m(7, 5, 6, "tcp"), m(7, 1, 2, "tcp"), "[7/5-6 tcp]"},
		{m(7, 1, 2, "tcp"), m(8, 1, 2, "tcp"), "[7/1-2 tcp]"},
		{m(7, 1, 2, "tcp"), m(7, 1, 2, "udp"), "[7/1-2 tcp]"},
	} {
		if got := fmt.Sprint(tt.m.Without(tt.n)); got != tt.want {
			t.Errorf("%v without %v = %s, want %s", tt.m, tt.n, got, tt.want)
		}
	}
}
