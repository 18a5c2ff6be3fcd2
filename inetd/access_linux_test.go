package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"inetd/inetd/child"
	"inetd/libwrap"
)

func init() {
	for i := range 100 {
		programs[fmt.Sprintf("w%02d", i)] = serveWrapped
	}
}

// serveWrapped says how it was started, as far as a rule can change that.
func serveWrapped(args []string) int {
	runtime.LockOSThread() // the nice value is a thread's
	nice, _ := unix.Getpriority(unix.PRIO_PROCESS, 0)
	groups, _ := unix.Getgroups()
	cwd, _ := os.Getwd()
	fmt.Printf("%q %q umask %03o nice %d uid %d gid %d groups %d in %s %s\n",
		os.Args[0], args, unix.Umask(0), 20-nice, os.Getuid(), os.Getgid(), groups, cwd, os.Getenv("GREETING"))
	return 0
}

// wrappedHost makes the names and files of a host whose services are wrapped:
// w00, w01 and so on are daemons.
func wrappedHost(t *testing.T, allow, deny string) {
	t.Helper()
	put(t, "/etc/hosts", "127.0.0.1 localhost\n::1 localhost\n", 0o644)
	put(t, "/etc/resolv.conf", "nameserver 127.0.0.1\noptions timeout:30 attempts:1\n", 0o644)
	put(t, "/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\nservices: files\n", 0o644)
	put(t, "/etc/hosts.allow", allow, 0o644)
	put(t, "/etc/hosts.deny", deny, 0o644)
	// Anybody may execute it there.
	if err := copyFile(self, "/run/wrapped"); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		link(t, "/run/wrapped", fmt.Sprintf("/usr/sbin/w%02d", i))
	}
	if err := os.MkdirAll("/run/out", 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod("/run/out", 0o777); err != nil {
		t.Fatal(err)
	}
}

// A client is refused before anything is started for it, and is not counted.
func TestAccessBeforeStart(t *testing.T) {
	isolated(t, func(t *testing.T) {
		wrappedHost(t, "w01 w02: 127.0.0.2\n", "ALL: ALL\n")
		d := start(t, "7001 stream tcp4 nowait.1/1/1/1 root /usr/sbin/w01 w01\n7002 dgram udp4 nowait.1 root /usr/sbin/w02 w02\n", "-l")
		for range 50 {
			if got, err := ask("tcp4", "127.0.0.1:7001", ""); got != "" || err != nil && !errors.Is(err, syscall.ECONNRESET) {
				t.Fatalf("client that is denied = %q, %v", got, err)
			}
			c := dial(t, "udp4", "127.0.0.1:7002")
			c.Write([]byte("hello"))
		}
		d.hup() // and with it the log is complete
		if n := d.log.count(0, "started for"); n != 0 {
			t.Errorf("%d servers were started for clients that are denied", n)
		}
		if n := d.log.count(0, `refused connection from 127\.0\.0\.1, service 7001 \(tcp\)`); n != 50 {
			t.Errorf("%d lines tell of 50 clients that are denied", n)
		}
		got, err := askFrom("tcp4", "127.0.0.2", "127.0.0.1:7001", "")
		if !strings.HasPrefix(got, `"w01"`) {
			t.Errorf("client that is allowed = %q, %v", got, err)
		}
		d.log.wait(t, 0, `connection from 127\.0\.0\.2, service 7001 \(tcp\)`)
	})
}

// A nameServer answers from a table once it is let go, and nothing before.
type nameServer struct {
	asked chan struct{} // a question has come, at least
	hold  sync.RWMutex  // locked: no answers
	names map[string]string
	heard *journal // the questions: "name type"
}

func startNameServer(t *testing.T, names map[string]string) *nameServer {
	t.Helper()
	pc, err := net.ListenPacket("udp4", "127.0.0.1:53")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pc.Close() })
	ns := &nameServer{asked: make(chan struct{}, 1), names: names, heard: newJournal()}
	ns.hold.Lock()
	go func() {
		for {
			buf := make([]byte, 1500)
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			select {
			case ns.asked <- struct{}{}:
			default:
			}
			answer := ns.answer(buf[:n])
			go func() {
				ns.hold.RLock()
				defer ns.hold.RUnlock()
				if answer != nil {
					pc.WriteTo(answer, from)
				}
			}()
		}
	}()
	return ns
}

// answer makes the answer to a message with one question, RFC 1035 section 4.
func (ns *nameServer) answer(q []byte) []byte {
	var labels []string
	i := 12
	for i < len(q) && q[i] != 0 {
		end := i + 1 + int(q[i])
		if end >= len(q) {
			return nil
		}
		labels = append(labels, strings.ToLower(string(q[i+1:end])))
		i = end
	}
	if i+5 > len(q) {
		return nil
	}
	const typeA, typePTR = 1, 12
	qtype := int(binary.BigEndian.Uint16(q[i+1:]))
	ns.heard.add(fmt.Sprintf("%s %d", strings.Join(labels, "."), qtype))
	a := append([]byte(nil), q[:i+5]...)
	a[2], a[3] = 0x84, 0x00 // an authoritative answer
	copy(a[4:12], []byte{0, 1, 0, 0, 0, 0, 0, 0})
	value, ok := ns.names[strings.Join(labels, ".")]
	var data []byte
	if ip, err := netip.ParseAddr(value); err == nil && qtype == typeA {
		data = ip.AsSlice()
	} else if err != nil && qtype == typePTR {
		for l := range strings.SplitSeq(value, ".") {
			data = append(append(data, byte(len(l))), l...)
		}
		data = append(data, 0)
	}
	switch {
	case !ok:
		a[3] = 3 // no such name
	case data != nil:
		a[7] = 1
		a = append(a, 0xc0, 12, byte(qtype>>8), byte(qtype), 0, 1, 0, 0, 0, 60, byte(len(data)>>8), byte(len(data)))
		a = append(a, data...)
	}
	return a
}

// A name server that does not answer keeps those waiting whom a rule asks for
// their names, and nobody else. Who turns out to have no name, or somebody
// else's, has none that is allowed.
func TestAccessName(t *testing.T) {
	isolated(t, func(t *testing.T) {
		ns := startNameServer(t, map[string]string{
			"2.0.0.127.in-addr.arpa": "friend.example.test",
			"friend.example.test":    "127.0.0.2",
			"4.0.0.127.in-addr.arpa": "friend.example.test", // says who lies
			"5.0.0.127.in-addr.arpa": "nowhere.example.test",
		})
		wrappedHost(t, "slow: .example.test\nfast: 127.0.0.1\n", "ALL: ALL\n")
		d := start(t, "7001 stream tcp4 nowait.0 root /bin/cat slow\n"+
			"7002 stream tcp4 nowait.0 root /bin/cat fast\n"+
			"7003 stream tcp4 nowait.0 root internal daytime\n"+
			"7004 dgram udp4 wait.0 root $self srv.datagrams\n", "-l")
		var waiting []net.Conn
		for i := range 20 {
			c, err := dialFrom("tcp4", fmt.Sprintf("127.0.0.%d", 2+i%4), "127.0.0.1:7001")
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			fmt.Fprintf(c, "hello %d\n", i)
			waiting = append(waiting, c)
		}
		<-ns.asked
		gone, err := dialFrom("tcp4", "127.0.0.2", "127.0.0.1:7001")
		if err != nil {
			t.Fatal(err)
		}
		gone.(*net.TCPConn).SetLinger(0)
		gone.Close()
		for range 20 {
			wantAnswer(t, "tcp4", "127.0.0.1:7002", "hello\n", "hello\n")
			if got, err := ask("tcp4", "127.0.0.1:7003", ""); len(got) != 26 {
				t.Errorf("daytime = %q, %v", got, err)
			}
		}
		d.hup()
		wantAnswer(t, "tcp4", "127.0.0.1:7002", "hello\n", "hello\n")
		if n := d.log.count(0, "7001/tcp: .*started for"); n != 0 {
			t.Errorf("%d servers were started for clients whose names nobody knows", n)
		}
		ns.hold.Unlock()
		for i, c := range waiting {
			if i%4 != 0 {
				got, err := io.ReadAll(c)
				if len(got) > 0 || err != nil && !errors.Is(err, syscall.ECONNRESET) {
					t.Errorf("client %v without the name = %q, %v, want it refused", c.LocalAddr(), got, err)
				}
				continue
			}
			want := fmt.Sprintf("hello %d\n", i)
			got := make([]byte, len(want))
			if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
				t.Errorf("client %v with the name = %q, %v", c.LocalAddr(), got, err)
			}
		}
		d.log.wait(t, 0, `connection from friend\.example\.test, service 7001 \(tcp\)`)
		for _, who := range []string{`127\.0\.0\.3`, `127\.0\.0\.4`, `127\.0\.0\.5`} {
			d.log.wait(t, 0, `refused connection from `+who+`, service 7001 \(tcp\)`)
		}
	})
}

// The daemon ends, and reloads, with clients being looked up.
func TestAccessEndWhileAsking(t *testing.T) {
	isolated(t, func(t *testing.T) {
		ns := startNameServer(t, map[string]string{"2.0.0.127.in-addr.arpa": "friend.example.test", "friend.example.test": "127.0.0.2"})
		wrappedHost(t, "ALL: .example.test\n", "ALL: ALL\n")
		d := start(t, in("7001 stream tcp4 nowait.0 root /bin/cat cat\n7002 dgram udp4 wait.0 root $self srv.datagrams 1\n"), "-l")
		c, err := dialFrom("tcp4", "127.0.0.2", "127.0.0.1:7001")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		u, err := dialFrom("udp4", "127.0.0.2", "127.0.0.1:7002")
		if err != nil {
			t.Fatal(err)
		}
		defer u.Close()
		fmt.Fprint(u, "hello")
		<-ns.asked
		// Neither service is there any more when the name is.
		d.reload("7003 stream tcp4 nowait.0 root internal daytime\n")
		ns.hold.Unlock()
		c.SetReadDeadline(time.Now().Add(patience))
		fmt.Fprint(c, "hello\n")
		c.(*net.TCPConn).CloseWrite()
		if got, err := io.ReadAll(c); err != nil && !errors.Is(err, syscall.ECONNRESET) || len(got) > 0 {
			t.Errorf("client whose service is gone = %q, %v, want it closed", got, err)
		}
		wantRefused(t, "tcp4", "127.0.0.1:7001")
		ns.hold.Lock()
		d.reload(in("7001 stream tcp4 nowait.0 root /bin/cat cat\n"))
		c2, err := dialFrom("tcp4", "127.0.0.3", "127.0.0.1:7001")
		if err != nil {
			t.Fatal(err)
		}
		defer c2.Close()
		begin := time.Now()
		d.signal(syscall.SIGTERM)
		<-d.done
		if took := time.Since(begin); took > 10*time.Second {
			t.Errorf("the end took %v with a client being looked up", took)
		}
	})
}

// Clients who are being looked up have places among the servers, and others
// wait in the queue as for these.
func TestAccessLimit(t *testing.T) {
	isolated(t, func(t *testing.T) {
		ns := startNameServer(t, map[string]string{"2.0.0.127.in-addr.arpa": "friend.example.test", "friend.example.test": "127.0.0.2"})
		wrappedHost(t, "ALL: .example.test\n", "ALL: ALL\n")
		d := start(t, "tcpmux stream tcp4 nowait.0 root internal\ntcpmux/m stream tcp4 nowait/1 root /bin/cat cat\n"+
			"7001 stream tcp4 nowait/2 root /bin/cat cat\n", "-l", "-d")
		var all []net.Conn
		for range 12 {
			c, err := dialFrom("tcp4", "127.0.0.2", "127.0.0.1:7001")
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			all = append(all, c)
		}
		<-ns.asked
		ns.hold.Unlock()
		for i, c := range all {
			wantEcho(t, c, "hello\n")
			if n := d.log.count(0, "7001/tcp: .*started for"); n > i+2 {
				t.Fatalf("%d servers were started when %d clients had left", n, i)
			}
			c.Close()
		}
	})
}

// A wait service that becomes another while its client is looked up is then
// not served by what it was, and its socket stays.
func TestAccessChangeWhileAsking(t *testing.T) {
	isolated(t, func(t *testing.T) {
		ns := startNameServer(t, map[string]string{"2.0.0.127.in-addr.arpa": "friend.example.test", "friend.example.test": "127.0.0.2"})
		wrappedHost(t, "ALL: .example.test\n", "ALL: ALL\n")
		d := start(t, in("echo dgram udp4 wait.0 root $self srv.datagrams 1\n"), "-l")
		c, err := dialFrom("udp4", "127.0.0.2", "127.0.0.1:7")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprint(c, "hello")
		<-ns.asked
		d.reload("echo dgram udp4 wait root internal\n")
		ns.hold.Unlock()
		eventually(t, "an echo", func() bool {
			fmt.Fprint(c, "hello")
			c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
			buf := make([]byte, 10)
			n, _ := c.Read(buf)
			return string(buf[:n]) == "hello"
		})
		if n := d.log.count(0, "bad file descriptor"); n != 0 {
			t.Errorf("%d lines about a descriptor that is gone", n)
		}
	})
}

// The same of a client's ident server.
func TestAccessIdent(t *testing.T) {
	isolated(t, func(t *testing.T) {
		wrappedHost(t, "user: ann@ALL\nfast: 127.0.0.1\n", "ALL: ALL\n")
		d := start(t, "7001 stream tcp4 nowait.0 root /bin/cat user\n7002 stream tcp4 nowait.0 root /bin/cat fast\n", "-l")
		l, err := net.Listen("tcp4", "127.0.0.2:113")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		c, err := dialFrom("tcp4", "127.0.0.2", "127.0.0.1:7001")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprint(c, "hello\n")
		ident, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer ident.Close()
		ident.SetDeadline(time.Now().Add(patience))
		var theirs, ours int
		if _, err := fmt.Fscanf(ident, "%d,%d\r\n", &theirs, &ours); err != nil || ours != 7001 {
			t.Fatalf("question to the ident server = %d,%d, %v", theirs, ours, err)
		}
		for range 20 {
			wantAnswer(t, "tcp4", "127.0.0.1:7002", "hello\n", "hello\n")
		}
		if n := d.log.count(0, "7001/tcp: .*started for"); n != 0 {
			t.Error("a server was started for a client whom nobody knows")
		}
		fmt.Fprintf(ident, "%d , %d : USERID : UNIX : ann\r\n", theirs, ours)
		got := make([]byte, 6)
		if _, err := io.ReadFull(c, got); err != nil || string(got) != "hello\n" {
			t.Errorf("client that is ann = %q, %v", got, err)
		}
		d.log.wait(t, 0, `connection from ann@127\.0\.0\.2, service 7001 \(tcp\)`)

		// Lies and garbage are no name.
		for i, answer := range []string{
			"%[1]d , %[2]d : ERROR : NO-USER\r\n",
			"%[2]d , %[1]d : USERID : UNIX : ann\r\n",
			"%[1]d , %[2]d : USERID : UNIX : annette\r\n",
			"\r\n",
			strings.Repeat("ann", 10000) + "\r\n",
			"%[1]d , %[2]d : USERID : UNIX : ann\x00\x1b[2J",
			"",
		} {
			c, err := dialFrom("tcp4", "127.0.0.2", "127.0.0.1:7001")
			if err != nil {
				t.Fatal(err)
			}
			ident, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fscanf(ident, "%d,%d\r\n", &theirs, &ours)
			if strings.Contains(answer, "%[") {
				fmt.Fprintf(ident, answer, theirs, ours)
			} else {
				io.WriteString(ident, answer)
			}
			ident.Close()
			if got, err := io.ReadAll(c); len(got) > 0 || err != nil && !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("client with ident answer %d = %q, %v, want it refused", i, got, err)
			}
			c.Close()
		}
	})
}

// Clients to be looked up are so many at a time; one that opens more has the
// rest of them refused, and those who need no name notice nothing.
func TestAccessManyAsking(t *testing.T) {
	isolated(t, func(t *testing.T) {
		ns := startNameServer(t, nil)
		wrappedHost(t, "slow: .example.test\nfast: 127.0.0.1\n", "ALL: ALL\n")
		d := start(t, "7001 stream tcp4 nowait.0 root /bin/cat slow\n7002 stream tcp4 nowait.0 root /bin/cat fast\n", "-l")
		var all []net.Conn
		for range 400 {
			c, err := dialFrom("tcp4", "127.0.0.7", "127.0.0.1:7001")
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			all = append(all, c)
		}
		d.log.wait(t, 0, "7001/tcp: refused .*too many access checks under way")
		for range 20 {
			wantAnswer(t, "tcp4", "127.0.0.1:7002", "hello\n", "hello\n")
		}
		if n := d.log.count(0, "too many access checks"); n != 1 {
			t.Errorf("%d lines about too many clients, want one for the episode", n)
		}
		ns.hold.Unlock()
		for _, c := range all {
			if got, err := io.ReadAll(c); len(got) > 0 || err != nil && !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("client without a name = %q, %v, want it refused", got, err)
			}
		}
		eventually(t, "an end of all checks", func() bool {
			mark := d.log.mark()
			askFrom("tcp4", "127.0.0.7", "127.0.0.1:7001", "")
			return d.log.count(mark, `refused connection from`) > 0
		})
	})
}

// What is written to the tables is in force for the next connection, also when
// a file is as long and as old as before.
func TestAccessEdit(t *testing.T) {
	isolated(t, func(t *testing.T) {
		wrappedHost(t, "", "")
		d := start(t, "7001 stream tcp4 nowait.0 root /bin/cat cat\n7002 stream tcp4 nowait.0 root /usr/sbin/tcpd w02\n", "-l")
		served := func(port int) bool {
			got, _ := ask("tcp4", fmt.Sprintf("127.0.0.1:%d", port), "hello\n")
			return got != ""
		}
		for i := range 60 {
			deny := i%2 == 0
			rule := "ALL: 127.0.0.9\n"
			if deny {
				rule = "ALL: 127.0.0.1\n"
			}
			switch i % 6 {
			case 0, 1, 2: // in place
				f, err := os.OpenFile("/etc/hosts.deny", os.O_WRONLY, 0)
				if err != nil {
					t.Fatal(err)
				}
				f.WriteAt([]byte(rule), 0)
				f.Truncate(int64(len(rule)))
				f.Close()
			case 3, 4: // another file
				if err := os.WriteFile("/etc/hosts.deny.new", []byte(rule), 0o644); err != nil {
					t.Fatal(err)
				}
				if err := os.Rename("/etc/hosts.deny.new", "/etc/hosts.deny"); err != nil {
					t.Fatal(err)
				}
			case 5: // none
				os.Remove("/etc/hosts.deny")
			}
			for _, port := range []int{7001, 7002} {
				if got := served(port); got == deny {
					t.Fatalf("edit %d, hosts.deny %q: port %d is served: %v\n%s", i, rule, port, got, d.log)
				}
			}
			if i%6 == 5 {
				put(t, "/etc/hosts.deny", "", 0o644)
			}
		}
		put(t, "/etc/hosts.deny", "ALL: ALL\n", 0o644)
		put(t, "/etc/hosts.allow", "cat: ALL\n", 0o644)
		if !served(7001) || served(7002) {
			t.Error("the first rule of hosts.allow is not in force")
		}
		// A table that cannot be read denies.
		os.Remove("/etc/hosts.deny")
		os.Remove("/etc/hosts.allow")
		link(t, "/etc/hosts.deny", "/etc/hosts.deny")
		if served(7001) || served(7002) {
			t.Error("a hosts.deny that cannot be read lets clients in")
		}
	})
}

// Datagrams, built-ins and tcpmux know rules too.
func TestAccessOfOthers(t *testing.T) {
	isolated(t, func(t *testing.T) {
		// The banners are for nobody: clients of tcpmux wait for + or -.
		wrappedHost(t, "cat: 127.0.0.2: banners /run/banners\nALL: 127.0.0.2\ntcpmux: ALL: banners /run/banners\nw05: ALL: twist /bin/echo twisted\n", "cat: ALL: banners /run/banners\nALL: ALL\n")
		put(t, "/run/banners/cat", "Hello\n", 0o644)
		put(t, "/run/banners/tcpmux", "Hello\n", 0o644)
		d := start(t, in("7001 dgram udp4 wait.0 root $self srv.datagrams 1\n"+
			"7002 dgram udp4 nowait.0 root $self srv.datagrams 1\n"+
			"echo stream tcp4 nowait.0 root internal\necho dgram udp4 wait root internal\n"+
			"tcpmux stream tcp4 nowait.0 root internal\n"+
			"tcpmux/+cat stream tcp nowait root /bin/cat cat\ntcpmux/+five stream tcp nowait root /usr/sbin/w05 w05\n"), "-l", "-W")
		for _, tt := range []struct{ network, addr, send string }{
			{"udp4", "127.0.0.1:7001", "hello"},
			{"udp4", "127.0.0.1:7002", "hello"},
			{"udp4", "127.0.0.1:7", "hello"},
			{"tcp4", "127.0.0.1:7", "hello"},
		} {
			try := func(from string, want bool) {
				t.Helper()
				c, err := dialFrom(tt.network, from, tt.addr)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				io.WriteString(c, tt.send)
				if !want {
					c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
				}
				buf := make([]byte, 64)
				n, err := c.Read(buf)
				if got := strings.HasSuffix(string(buf[:n]), tt.send) && n > 0; got != want {
					t.Errorf("%s %s from %s = %q, %v, want it served: %v", tt.network, tt.addr, from, buf[:n], err, want)
				}
			}
			// Who is denied is not found in front of the next.
			try("127.0.0.3", false)
			try("127.0.0.2", true)
			try("127.0.0.3", false)
			try("127.0.0.2", true)
		}
		d.log.wait(t, 0, `refused connection from 127\.0\.0\.3, service 7001 \(udp\)`)
		for _, tt := range []struct{ from, send, want string }{
			{"127.0.0.2", "cat\r\nhello", "+Go\r\nhello"},
			{"127.0.0.3", "cat\r\nhello", muxRefused},
			{"127.0.0.3", "help\r\n", "cat\r\nfive\r\n"},
			{"127.0.0.3", "five\r\n", "+Go\r\ntwisted\n"},
		} {
			got, err := askFrom("tcp4", tt.from, "127.0.0.1:1", tt.send)
			if got != tt.want || err != nil {
				t.Errorf("tcpmux, %q from %s = %q, %v, want %q", tt.send, tt.from, got, err, tt.want)
			}
		}
		eventually(t, "a line for each", func() bool { return d.log.count(0, `connection from .*, service tcpmux`) >= 4 })
		if n := d.log.count(0, `connection from .*, service tcpmux`); n != 4 {
			t.Errorf("%d lines about four clients of tcpmux", n)
		}
	})
}

// A server that a rule has changed is as clean as others.
func TestAccessChild(t *testing.T) {
	isolated(t, func(t *testing.T) {
		wrappedHost(t, "", "")
		for _, rule := range []string{"cat: ALL: umask 022", "cat: ALL: nice 1", "cat: ALL: setenv GREETING hello", "cat: ALL: user nobody", "sh: ALL: twist exec /bin/cat"} {
			put(t, "/etc/hosts.allow", rule+"\n", 0o644)
			program := "/bin/cat cat"
			if strings.HasPrefix(rule, "sh") {
				program = "/bin/sh sh"
			}
			d := start(t, "7001 stream tcp4 nowait.0 root "+program+"\n", "-l")
			c := dial(t, "tcp4", "127.0.0.1:7001")
			wantEcho(t, c, "hello\n")
			wantChild(t, d.onlyChild("cat"))
			c.Close()
			d.signal(syscall.SIGTERM)
			<-d.done
			if t.Failed() {
				t.Fatalf("with %q", rule)
			}
		}
	})
}

// What a rule does not change of the server's process stays as the entry has it: a
// rule with a group alone gives nobody's server no other user.
func TestAccessPlan(t *testing.T) {
	entry := func() *child.Plan {
		p := &child.Plan{Path: "/bin/cat", Argv: []string{"cat"}, Env: []string{"A=1", "B=2"}, Credential: &syscall.Credential{Uid: 1, Gid: 2, Groups: []uint32{3}}}
		p.Nice = 3
		return p
	}
	none := libwrap.Child{Umask: -1}
	for name, change := range map[string]func(w *libwrap.Child, want *child.Plan){
		"nothing": func(*libwrap.Child, *child.Plan) {},
		"twist": func(w *libwrap.Child, want *child.Plan) {
			w.Command, want.Path, want.Argv = "x", "/bin/sh", []string{"sh", "-c", "x"}
		},
		"setenv": func(w *libwrap.Child, want *child.Plan) {
			w.Env, want.Env = []string{"A=4"}, []string{"B=2", "A=4"}
		},
		"umask": func(w *libwrap.Child, want *child.Plan) { w.Umask, want.Umask = 0, new(int) },
		"nice":  func(w *libwrap.Child, want *child.Plan) { w.Nice, want.Nice = 4, 7 },
		"group": func(w *libwrap.Child, want *child.Plan) {
			w.ID, want.Credential = &libwrap.Identity{UID: -1, GID: 0, Groups: []int{5, 6}}, &syscall.Credential{Uid: 1, Gid: 0, Groups: []uint32{5, 6}}
		},
		"user": func(w *libwrap.Child, want *child.Plan) {
			w.ID, want.Credential = &libwrap.Identity{UID: 0, GID: -1}, &syscall.Credential{Uid: 0, Gid: 2}
		},
	} {
		w, p, want := none, entry(), entry()
		change(&w, want)
		if got := planFor(p, w); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: plan = %+v of %+v, want %+v of %+v", name, got, got.Credential, want, want.Credential)
		}
		if !reflect.DeepEqual(p, entry()) {
			t.Errorf("%s changes the entry's own plan", name)
		}
	}
}

// The commands of rules leave nothing open in the daemon.
func TestAccessSpawnFiles(t *testing.T) {
	isolated(t, func(t *testing.T) {
		wrappedHost(t, "cat: ALL: spawn true\n", "")
		d := start(t, "7001 stream tcp4 nowait.0 root /bin/cat cat\n", "-l")
		for range 2 {
			wantAnswer(t, "tcp4", "127.0.0.1:7001", "hello\n", "hello\n")
		}
		files := func() int { return len(proc(d.cmd.Process.Pid).fds()) }
		before := files()
		for range 5 {
			wantAnswer(t, "tcp4", "127.0.0.1:7001", "hello\n", "hello\n")
		}
		eventually(t, "no more descriptors than before", func() bool { return files() <= before })
	})
}

// A rule that cannot be carried out lets nobody in.
func TestAccessImpossible(t *testing.T) {
	isolated(t, func(t *testing.T) {
		wrappedHost(t, "cat: ALL: setenv A=B c\n", "")
		d := start(t, "7001 stream tcp4 nowait.0 root /bin/cat cat\n", "-l")
		if got, err := ask("tcp4", "127.0.0.1:7001", "hello\n"); got != "" || err != nil && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("answer = %q, %v, want none", got, err)
		}
		d.log.wait(t, 0, `setenv A=B: Invalid argument`)
	})
}

// Rules hold for datagrams of built-ins too, which are answered without a
// lookup: what would take one is refused, whatever the answer would be.
func TestAccessDatagram(t *testing.T) {
	isolated(t, func(t *testing.T) {
		wrappedHost(t, "", "")
		put(t, "/run/xinetd.conf", "service echo\n{\ntype = INTERNAL UNLISTED\nport = 7007\nsocket_type = dgram\nprotocol = udp\nwait = yes\nlibwrap = echo\n}\n"+
			"service echo\n{\ntype = INTERNAL UNLISTED\nid = open\nport = 7008\nsocket_type = dgram\nprotocol = udp\nwait = yes\nflags = NOLIBWRAP\n}\n", 0o644)
		start(t, "echo dgram udp4 wait root internal\n", "-W", "/run/xinetd.conf")
		for _, tt := range []struct {
			allow, deny string
			served      bool
		}{
			{"", "echo: localhost", false},
			{"", "echo: KNOWN", false},
			{"", "echo: LOCAL", false},
			{"", "echo: ann@ALL", false},
			{"", "echo@127.0.0.1: ALL", false},
			{"", "7 7007: ALL", false},
			{"", "echo: 127.0.0.1", false},
			{"", "echo@127.0.0.2: ALL", true},
			{"", "8: ALL", true},
			{"", "echo: 127.0.0.2", true},
			{"echo: 127.", "ALL: ALL", true},
			{"echo@127.0.0.1: 127.", "ALL: ALL", true},
			{"7 7007: ALL", "ALL: ALL", true},
			{"echo: 127.0.0.1", "echo: KNOWN", true},
		} {
			put(t, "/etc/hosts.allow", "echo: 127.0.0.5\n"+tt.allow+"\n", 0o644)
			put(t, "/etc/hosts.deny", tt.deny+"\n", 0o644)
			wantEcho(t, dial(t, "udp4", "127.0.0.1:7008"), "not asked for")
			for _, addr := range []string{"127.0.0.1:7", "127.0.0.1:7007"} {
				c := dial(t, "udp4", addr)
				io.WriteString(c, "hello")
				// When this one has its answer the other has had its own.
				next, err := dialFrom("udp4", "127.0.0.5", addr)
				if err != nil {
					t.Fatal(err)
				}
				wantEcho(t, next, "hello")
				next.Close()
				raw, err := c.(*net.UDPConn).SyscallConn()
				if err != nil {
					t.Fatal(err)
				}
				served := false
				raw.Control(func(fd uintptr) {
					n, _, _ := syscall.Recvfrom(int(fd), make([]byte, 64), syscall.MSG_DONTWAIT)
					served = n == len("hello")
				})
				if served != tt.served {
					t.Errorf("allow %q, deny %q: %s is served: %v, want %v", tt.allow, tt.deny, addr, served, tt.served)
				}
				c.Close()
			}
		}
	})
}

// A client is served by what it was asked for: one that a reload overtakes is
// asked about again, if the answer may be another.
func TestAccessReload(t *testing.T) {
	isolated(t, func(t *testing.T) {
		wrappedHost(t, "open: ALL: spawn (echo >> /run/first; until test -e /run/off; do sleep 0.01; done)\nALL: ALL: DENY\n", "")
		conf := "7777 stream tcp4 nowait root /bin/echo %s %[1]s\n"
		d := start(t, fmt.Sprintf(conf, "open"), "-l")
		c := dial(t, "tcp4", "127.0.0.1:7777")
		eventually(t, "the client is being asked about", func() bool { _, err := os.Stat("/run/first"); return err == nil })
		d.write(fmt.Sprintf(conf, "open more"))
		d.hup()
		put(t, "/run/off", "", 0o644)
		if got, _ := io.ReadAll(c); string(got) != "more open more\n" {
			t.Errorf("the client gets %q", got)
		}
		if asked, _ := os.ReadFile("/run/first"); len(asked) != 1 {
			t.Errorf("the rule's command ran %d times for one client", len(asked))
		}

		put(t, "/etc/hosts.allow", "open: ALL: spawn (touch /run/asked; until test -e /run/go; do sleep 0.01; done)\nALL: ALL: DENY\n", 0o644)
		d.write(fmt.Sprintf(conf, "open"))
		d.hup()
		c = dial(t, "tcp4", "127.0.0.1:7777")
		eventually(t, "the client is being asked about", func() bool { _, err := os.Stat("/run/asked"); return err == nil })
		d.write(fmt.Sprintf(conf, "secret"))
		d.hup()
		put(t, "/run/go", "", 0o644)
		if got, _ := io.ReadAll(c); len(got) > 0 {
			t.Errorf("a client that may have open gets %q", got)
		}
		d.log.wait(t, 0, "refused connection from 127.0.0.1")

		// And is no client of a server that is to accept its own.
		put(t, "/etc/hosts.allow", "open: ALL: spawn (touch /run/again; until test -e /run/on; do sleep 0.01; done)\nALL: ALL\n", 0o644)
		d.write(fmt.Sprintf(conf, "open"))
		d.hup()
		c = dial(t, "tcp4", "127.0.0.1:7777")
		eventually(t, "the client is being asked about", func() bool { _, err := os.Stat("/run/again"); return err == nil })
		d.write("7777 stream tcp4 wait root /bin/cat cat\n")
		d.hup()
		put(t, "/run/on", "", 0o644)
		io.WriteString(c, "hello\n")
		if got, _ := io.ReadAll(c); len(got) > 0 {
			t.Errorf("a client of a service that came to wait gets %q", got)
		}

		// Nor is one served where the service is no more, or another is.
		put(t, "/etc/services", "open 7777/tcp\nanother 7777/tcp\n", 0o644)
		at := func(host, name string) string {
			return fmt.Sprintf("%s:%s stream tcp4 nowait root /bin/echo %[2]s %[2]s\n", host, name)
		}
		for i, there := range []string{"", at("127.0.0.1", "another")} {
			up := fmt.Sprint("/run/up", i)
			put(t, "/etc/hosts.allow", "open: ALL: spawn (touch "+up+".asked; until test -e "+up+"; do sleep 0.01; done)\nALL: ALL\n", 0o644)
			d.write(at("127.0.0.1", "open"))
			d.hup()
			c = dial(t, "tcp4", "127.0.0.1:7777")
			eventually(t, "the client is being asked about", func() bool { _, err := os.Stat(up + ".asked"); return err == nil })
			d.write(at("127.0.0.2", "open") + there)
			d.hup()
			put(t, up, "", 0o644)
			if got, _ := io.ReadAll(c); len(got) > 0 {
				t.Errorf("a client at an address that was given up gets %q", got)
			}
			wantAnswer(t, "tcp4", "127.0.0.2:7777", "", "open\n")
		}
	})
}

// Who sent a datagram is not asked who it was, since it may be anybody.
func TestAccessDatagramIdent(t *testing.T) {
	isolated(t, func(t *testing.T) {
		wrappedHost(t, "ALL: ann@ALL: DENY\nALL: ALL: rfc931 10\n", "ALL: ALL\n")
		ident, err := net.Listen("tcp4", "127.0.0.1:113")
		if err != nil {
			t.Fatal(err)
		}
		defer ident.Close()
		asked := make(chan bool, 1)
		go func() {
			_, err := ident.Accept()
			asked <- err == nil
		}()
		start(t, in("7777 dgram udp4 wait root $self srv.datagrams 1\n"), "-l")
		c := dial(t, "udp4", "127.0.0.1:7777")
		io.WriteString(c, "hello")
		var b [64]byte
		c.SetReadDeadline(time.Now().Add(patience))
		if n, err := c.Read(b[:]); !strings.HasSuffix(string(b[:n]), " hello") {
			t.Errorf("answer = %q, %v", b[:n], err)
		}
		ident.Close()
		if <-asked {
			t.Error("the sender of a datagram was asked for its user")
		}
	})
}
