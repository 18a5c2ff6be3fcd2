package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"inetd/inetd/admit"
	"inetd/inetd/conf"
	"inetd/inetd/conf/xinetdconf"
	"inetd/inetd/sock"
)

// One reload with a client connected: its connection lives on, the added
// service answers, the removed one refuses, the changed one is changed.
func TestReload(t *testing.T) {
	t.Parallel()
	kept, removed, added, changed := freePort(t), freePort(t), freePort(t), freePort(t)
	keep := in("%d stream tcp nowait $me /bin/cat cat\n", kept)
	d := start(t, keep+
		in("%d stream tcp nowait $me /bin/cat cat\n", removed)+
		in("%d stream tcp nowait $me $self srv.say before\n", changed))
	open := dial(t, "tcp", local(removed))
	wantEcho(t, open, "before\n")
	other := dial(t, "tcp", local(kept))
	wantAnswer(t, "tcp", local(changed), "", "before\n")
	wantRefused(t, "tcp", local(added))

	mark := d.log.mark()
	if got, want := d.reload(keep+
		in("%d stream tcp nowait $me $self srv.say hello\n", added)+
		in("%d stream tcp nowait $me $self srv.say after\n", changed)), "reload: 1 added, 1 changed, 1 removed, 1 kept"; !strings.Contains(got, want) {
		t.Errorf("reload = %q, want %q", got, want)
	}
	d.log.wait(t, mark, fmt.Sprintf(`reload: added: %d/tcp$`, added))
	d.log.wait(t, mark, fmt.Sprintf(`reload: changed: %d/tcp$`, changed))
	d.log.wait(t, mark, fmt.Sprintf(`reload: removed: %d/tcp$`, removed))
	wantEcho(t, open, "after\n")
	wantEcho(t, other, "after\n")
	wantAnswer(t, "tcp", local(kept), "hello\n", "hello\n")
	wantAnswer(t, "tcp", local(added), "", "hello\n")
	wantAnswer(t, "tcp", local(changed), "", "after\n")
	wantRefused(t, "tcp", local(removed))

	// Again, and back again.
	d.reload(keep)
	wantRefused(t, "tcp", local(added))
	d.reload(keep + in("%d stream tcp nowait $me $self srv.say hello\n", added))
	wantAnswer(t, "tcp", local(added), "", "hello\n")
}

// A client that says nothing is served as soon as nothing has to be said.
func TestReloadFilter(t *testing.T) {
	t.Parallel()
	p := freePort(t)
	const conf = "%d stream%s tcp4 nowait $me $self srv.say hello\n"
	d := start(t, in(conf, p, ":dataready"))
	d.reload(in(conf, p, ""))
	got, err := io.ReadAll(dial(t, "tcp4", local(p)))
	if string(got) != "hello\n" || err != nil {
		t.Errorf("client without a word = %q, %v", got, err)
	}
}

// Who says the + of tcpmux is something that changes.
func TestReloadMux(t *testing.T) {
	t.Parallel()
	d := start(t, in("tcpmux/x stream tcp nowait $me /bin/cat cat\n"))
	if got, want := d.reload(in("tcpmux/+x stream tcp nowait $me /bin/cat cat\n")), "reload: 0 added, 1 changed, 0 removed, 0 kept"; !strings.Contains(got, want) {
		t.Errorf("reload = %q, want %q", got, want)
	}
}

// From all addresses to one and back takes one reload each way.
func TestReloadAddress(t *testing.T) {
	t.Parallel()
	needIPv6(t)
	p := freePort(t)
	everywhere := in("%d stream tcp nowait $me /bin/cat cat\n", p)
	somewhere := in("127.0.0.1:%d stream tcp nowait $me /bin/cat cat\n", p)
	d := start(t, everywhere)
	open := dial(t, "tcp", local(p))
	for range 3 {
		mark := d.log.mark()
		d.reload(somewhere)
		wantAnswer(t, "tcp", local(p), "one\n", "one\n")
		wantRefused(t, "tcp", local6(p))
		d.reload(everywhere)
		wantAnswer(t, "tcp", local(p), "all\n", "all\n")
		wantAnswer(t, "tcp", local6(p), "all\n", "all\n")
		if n := d.log.count(mark, "bind"); n > 0 {
			t.Fatalf("a bind failed:\n%s", d.log)
		}
	}
	wantEcho(t, open, "still here\n")
}

// An unreadable file changes nothing, and a file with errors removes nothing:
// what is good in it is added or updated.
func TestReloadWithErrors(t *testing.T) {
	t.Parallel()
	a, b, c := freePort(t), freePort(t), freePort(t)
	d := start(t, in("%d stream tcp nowait $me $self srv.say a\n", a)+in("%d stream tcp nowait $me $self srv.say b\n", b))

	if err := os.Remove(d.file); err != nil {
		t.Fatal(err)
	}
	if got, want := d.hup(), d.file+": no such file or directory: nothing is changed"; !strings.HasSuffix(got, want) {
		t.Errorf("reload without a file = %q, want %q", got, want)
	}
	wantAnswer(t, "tcp", local(a), "", "a\n")

	mark := d.log.mark()
	d.reload(in("%d stream tcp maybe $me $self srv.say bad\n", a) + in("%d stream tcp nowait $me $self srv.say c\n", c))
	d.log.wait(t, mark, `inetd\.conf:1:\d+: wait/nowait: "maybe" is neither`)
	d.log.wait(t, mark, fmt.Sprintf(`reload: kept for the errors in the file: %d/tcp %d/tcp$`, min(a, b), max(a, b)))
	wantAnswer(t, "tcp", local(a), "", "a\n")
	wantAnswer(t, "tcp", local(b), "", "b\n")
	wantAnswer(t, "tcp", local(c), "", "c\n")

	// When the error is gone, so is what the file does not have.
	d.reload(in("%d stream tcp nowait $me $self srv.say good\n", a))
	wantAnswer(t, "tcp", local(a), "", "good\n")
	wantRefused(t, "tcp", local(b))
	wantRefused(t, "tcp", local(c))
}

// An error keeps nothing in service but what may have gone with it: not what is
// switched off, has moved or is gone from another file.
func TestReloadNarrows(t *testing.T) {
	t.Parallel()
	needIPv6(t)
	p := make([]int, 10)
	for i := range p {
		p[i] = freePort(t)
	}
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	say := func(port int, word string) string {
		return in("%d stream tcp nowait $me $self srv.say %s\n", port, word)
	}
	t.Run("inetd.conf", func(t *testing.T) {
		d := start(t, say(p[0], "moved")+say(p[1], "off")+say(p[2], "bad")+say(p[3], "gone")+say(p[5], "off")+say(p[6], "off")+".include other\n")
		other := filepath.Join(d.dir, "other")
		write(other, say(p[4], "elsewhere"))
		d.hup()
		wantAnswer(t, "tcp", local(p[4]), "", "elsewhere\n")
		write(other, "")
		mark := d.log.mark()
		d.reload("127.0.0.1:" + say(p[0], "here") + "#<off># " + say(p[1], "off") + in("%d off bogus = 3;\n#<off># %d on protocol = tcp;\n", p[5], p[6]) + in("%d stream tcp maybe $me /bin/cat cat\n", p[2]) + ".include other\n")
		d.log.wait(t, mark, fmt.Sprintf(`reload: kept for the errors in the file: %d/tcp %d/tcp$`, min(p[2], p[3]), max(p[2], p[3])))
		wantAnswer(t, "tcp", local(p[0]), "", "here\n")
		wantRefused(t, "tcp", local6(p[0]))
		for _, port := range []int{p[1], p[5], p[6]} {
			wantRefused(t, "tcp", local(port))
		}
		wantAnswer(t, "tcp", local(p[2]), "", "bad\n")
		wantAnswer(t, "tcp", local(p[3]), "", "gone\n")
		wantRefused(t, "tcp", local(p[4]))
	})
	t.Run("xinetd.conf", func(t *testing.T) {
		block := func(id string, port int, more string) string {
			return in("service %s\n{\n\ttype = UNLISTED\n\tport = %d\n\tsocket_type = stream\n\tprotocol = tcp\n\twait = no\n\tuser = $me\n\tserver = $self\n\tserver_args = srv.say %s\n\tflags = NAMEINARGS\n\t%s\n}\n", id, port, id, more)
		}
		d := start(t, block("a", p[0], "")+block("b", p[1], "")+block("c", p[2], "")+block("d", p[3], "")+block("e", p[4], "")+block("h", p[8], "")+"includedir more\n")
		more := filepath.Join(d.dir, "more")
		if err := os.Mkdir(more, 0o755); err != nil {
			t.Fatal(err)
		}
		write(filepath.Join(more, "f"), block("f", p[5], ""))
		write(filepath.Join(more, "g"), block("g", p[6], ""))
		text := func(s string) string { return s + "includedir " + more + "\n" }
		d.reload(text(block("a", p[0], "") + block("b", p[1], "") + block("c", p[2], "") + block("d", p[3], "") + block("e", p[4], "") + block("h", p[8], "")))
		wantAnswer(t, "tcp", local(p[6]), "", "g\n")

		write(filepath.Join(more, "f"), "")
		if err := os.Remove(filepath.Join(more, "g")); err != nil {
			t.Fatal(err)
		}
		mark := d.log.mark()
		d.reload(text("defaults\n{\n\tdisabled = b\n}\n" + block("a", p[0], "disable = yes") + block("b", p[1], "") + block("c", p[2], "bind = 127.0.0.1") +
			"service h\n{\n\tdisable = yes\n\tbogus = 3\n}\n" + block("d", p[7], "") + strings.Replace(block("e", p[4], ""), "wait = no", "wait = maybe", 1)))
		d.log.wait(t, mark, `reload: kept for the errors in the file: e/tcp$`)
		for _, port := range []int{p[0], p[1], p[3], p[5], p[6], p[8]} {
			wantRefused(t, "tcp", local(port))
		}
		wantAnswer(t, "tcp", local(p[2]), "", "c\n")
		wantRefused(t, "tcp", local6(p[2]))
		wantAnswer(t, "tcp", local(p[7]), "", "d\n")
		wantAnswer(t, "tcp", local(p[4]), "", "e\n")
	})
}

// What may have gone with an error, and what has not.
func TestMayHave(t *testing.T) {
	t.Parallel()
	service := func(file, name string) *conf.Service {
		return &conf.Service{Pos: conf.Pos{File: file, Line: 1}, Name: name, Socktype: conf.Stream, Proto: "tcp"}
	}
	off := func(s *conf.Service) *conf.Service { s.Off = true; return s }
	unread := &conf.Service{Name: "ftp", Off: true}
	bad := &conf.Error{Pos: conf.Pos{File: "/d/a.conf", Line: 2}, Err: errors.New("bad")}
	lists := map[string]func(string) bool{"/d": listed("/d"), "/x": xinetdconf.Included}
	for _, tt := range []struct {
		name     string
		file     string // of ftp
		was, now []*conf.Service
		read     map[string]bool
		want     bool
	}{
		{name: "its file has an error", file: "/d/a.conf", read: map[string]bool{"/d/a.conf": true}, want: true},
		{name: "another has one", file: "/d/b.conf", read: map[string]bool{"/d/a.conf": true, "/d/b.conf": true}},
		{name: "switched off now", file: "/d/a.conf", now: []*conf.Service{off(service("/d/a.conf", "ftp"))}, read: map[string]bool{"/d/a.conf": true}},
		{name: "switched off, who knows how", file: "/d/a.conf", now: []*conf.Service{unread}, read: map[string]bool{"/d/a.conf": true}},
		{name: "one was always off", file: "/d/a.conf", was: []*conf.Service{off(service("/d/a.conf", "ftp"))}, now: []*conf.Service{off(service("/d/a.conf", "ftp"))},
			read: map[string]bool{"/d/a.conf": true}, want: true},
		{name: "its file is gone", file: "/d/c.conf", read: map[string]bool{"/d/a.conf": true}},
		{name: "gone from xinetd.d", file: "/x/ftp", read: map[string]bool{"/d/a.conf": true}},
		{name: "its file cannot be read", file: "/d/c.conf", read: map[string]bool{"/d/a.conf": true, "/d/c.conf": false}, want: true},
		{name: "an include that is not there", file: "/d/included", read: map[string]bool{"/d/a.conf": true}, want: true},
		{name: "of another directory", file: "/e/c.conf", read: map[string]bool{"/d/a.conf": true}, want: true},
	} {
		s := &server{off: tt.was}
		cfg := &config{services: tt.now, read: tt.read, lists: lists, problems: conf.ErrorList{bad}}
		if got := s.mayHave(cfg, &spec{Service: service(tt.file, "ftp")}); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

// Which new services stand in place of an old one.
func TestReplaces(t *testing.T) {
	t.Parallel()
	at := func(hosts ...string) *spec {
		sp := &spec{Service: &conf.Service{Name: "ftp", Port: 21, Proto: "tcp", Socktype: conf.Stream}}
		for _, h := range hosts {
			sp.addrs = append(sp.addrs, sock.Addr{Type: sock.Stream, IP: netip.AddrPortFrom(netip.MustParseAddr(h), 21)})
		}
		return sp
	}
	mux := at("127.0.0.1")
	mux.Mux = conf.MuxSelf
	id := at("127.0.0.1")
	id.Xinetd, id.addrs[0].IP = &conf.Xinetd{ID: "f"}, netip.AddrPortFrom(netip.IPv6Loopback(), 2121)
	other := at("0.0.0.0")
	other.Xinetd = &conf.Xinetd{ID: "F"}
	for _, tt := range []struct {
		name     string
		new, old *spec
		want     bool
	}{
		{"one of all", at("127.0.0.1"), at("0.0.0.0", "::"), true},
		{"all of one", at("0.0.0.0", "::"), at("::1"), true},
		{"the other family", at("127.0.0.1"), at("::"), false},
		{"another address", at("127.0.0.1"), at("127.0.0.2"), false},
		{"no address yet", at(), at("0.0.0.0"), true},
		{"a name of tcpmux", mux, at("0.0.0.0"), false},
		{"the same id", id, other, true},
	} {
		if got := tt.new.replaces(tt.old); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

// An empty file is what it is: nothing to serve.
func TestReloadEmpty(t *testing.T) {
	t.Parallel()
	p := freePort(t)
	d := start(t, in("%d stream tcp nowait $me /bin/cat cat\n", p))
	d.reload("")
	wantRefused(t, "tcp", local(p))
	d.reload(in("%d stream tcp nowait $me /bin/cat cat\n", p))
	wantAnswer(t, "tcp", local(p), "hello\n", "hello\n")
}

// A running wait server keeps its socket, and after it the entry as it is then.
func TestReloadWhileHeld(t *testing.T) {
	t.Parallel()
	p := freePort(t)
	conf := func(n int) string { return in("%d dgram udp4 wait $me $self srv.datagrams %d\n", p, n) }
	d := start(t, conf(2))
	c := dial(t, "udp", local(p))
	first := wantDatagram(t, c, "one")
	d.reload(conf(1))
	if second := wantDatagram(t, c, "two"); second != first {
		t.Errorf("server after a reload = pid %s, want %s as before", second, first)
	}
	third := wantDatagram(t, c, "three")
	fourth := wantDatagram(t, c, "four")
	if third == first || fourth == third {
		t.Errorf("servers after a reload = pids %s, %s, want one for each datagram", third, fourth)
	}
	// A change of address while a server has the socket comes into force.
	d.reload(conf(2))
	first = wantDatagram(t, c, "five")
	mark := d.log.mark()
	d.reload(in("127.0.0.1:%d dgram udp4 wait $me $self srv.datagrams 1\n", p))
	if second := wantDatagram(t, c, "six"); second != first {
		t.Errorf("server after a reload = pid %s, want %s as before", second, first)
	}
	d.log.wait(t, mark, "listening now")
	wantDatagram(t, c, "seven")
}

// wantDatagram sends text to a srv.datagrams and returns the pid in its answer.
func wantDatagram(t testing.TB, c net.Conn, text string) (pid string) {
	t.Helper()
	buf := make([]byte, 65536)
	for {
		if _, err := c.Write([]byte(text)); errors.Is(err, syscall.ECONNREFUSED) {
			continue // from the last datagram
		} else if err != nil {
			t.Fatalf("send %q: %v", text, err)
		}
		n, err := c.Read(buf)
		if errors.Is(err, syscall.ECONNREFUSED) {
			continue
		}
		if err != nil {
			t.Fatalf("answer to %q: %v", text, err)
		}
		pid, got, _ := strings.Cut(string(buf[:n]), " ")
		if got != text {
			t.Fatalf("answer to %q = %q", text, buf[:n])
		}
		return pid
	}
}

// Of two entries for one port the first has it, whatever they are called and
// whichever was there before.
func TestFirstKeepsThePort(t *testing.T) {
	t.Parallel()
	needIPv6(t)
	p := freePort(t)
	four := in("%d stream tcp4 nowait $me $self srv.say four\n", p)
	both := in("%d stream tcp nowait $me $self srv.say both\n", p)
	other := in("0%d stream tcp nowait $me $self srv.say other\n", p)
	d := start(t, four+both+other)
	for _, tt := range []struct{ conf, v4, v6 string }{
		{"", "four", "both"},
		{both + four + other, "both", "both"},
		{other + both + four, "other", "other"},
		{four + other + both, "four", "other"},
		{four + both + strings.Replace(four, "four", "more", 1), "both", "both"}, // a duplicate: the last one is in force
	} {
		if tt.conf != "" {
			d.reload(tt.conf)
		}
		wantAnswer(t, "tcp", local(p), "", tt.v4+"\n")
		wantAnswer(t, "tcp", local6(p), "", tt.v6+"\n")
	}
	// An entry that only an error keeps gives way.
	d.reload(both + "oops\n")
	wantAnswer(t, "tcp", local(p), "", "both\n")
}

// A host whose name server fails keeps its address, and others of the line come
// and move meanwhile.
func TestHostFails(t *testing.T) {
	t.Parallel()
	p := freePort(t)
	r := newRig(t, nil, in("%d stream tcp4 nowait $me /bin/cat cat\n", p), nil)
	at := func(ips ...string) (as []sock.Addr) {
		for _, ip := range ips {
			as = append(as, sock.Addr{Type: sock.Stream, IP: netip.AddrPortFrom(netip.MustParseAddr(ip), uint16(p))})
		}
		return as
	}
	found := [][]sock.Addr{at("127.0.0.1"), at("127.0.0.2"), nil}
	load := r.s.load
	r.s.load = func() (*config, error) {
		cfg, err := load()
		for _, sp := range cfg.specs {
			sp.Hosts, sp.unresolved = []string{"one", "two", "three"}, errors.New("no answer")
			sp.serve(slices.Clone(found))
		}
		return cfg, err
	}
	r.s.again = func([]*spec) {}
	r.run()
	served := func(when string, want ...bool) {
		t.Helper()
		for i, want := range want {
			addr := fmt.Sprintf("127.0.0.%d:%d", i+1, p)
			c, err := net.Dial("tcp4", addr)
			if err == nil {
				c.Close()
			}
			if (err == nil) != want {
				t.Errorf("%s, dial %s: %v", when, addr, err)
			}
		}
	}
	again := func() { r.do(func() { cfg, _ := r.s.load(); r.s.apply(cfg) }) }
	again()
	served("at the start", true, true, false)
	found = [][]sock.Addr{at("127.0.0.1"), nil, at("127.0.0.3")}
	again()
	served("when two fails and three comes", true, true, true)
	found = [][]sock.Addr{at("127.0.0.4"), nil, at("127.0.0.3")}
	again()
	served("when one moves", false, true, true, true)
}

// A listener that changes hands refuses if its new entry rests, and only then.
func TestReloadRest(t *testing.T) {
	t.Parallel()
	p := freePort(t)
	conf := func(host string) string { return in("%s:%d stream tcp4 nowait.1 $me /bin/cat cat\n", host, p) }
	r := newRig(t, nil, unlisted(p, "/bin/cat", "bind = 127.0.0.1", in("user = $me")), nil)
	r.run()
	apply := func(change func(*config)) {
		t.Helper()
		r.do(func() {
			cfg, err := r.s.load()
			if err != nil {
				t.Error(err)
				return
			}
			change(cfg)
			r.s.rest(r.s.entries[0], time.Hour)
			r.s.apply(cfg)
		})
	}
	// A client that comes while the files are read has the old entry rest.
	r.write(conf("127.0.0.1"))
	apply(func(*config) {})
	wantAnswer(t, "tcp4", local(p), "hello\n", "hello\n")

	// The address of the second is the first's, which rests, since that has it now.
	r.write(conf("first") + conf("second"))
	at := func(n byte) []sock.Addr {
		return []sock.Addr{{Type: sock.Stream, IP: netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, n}), uint16(p))}}
	}
	found := func(first, second byte) func(*config) {
		return func(cfg *config) {
			for i, n := range []byte{first, second} {
				cfg.specs[i].unresolved, cfg.specs[i].unusable, cfg.specs[i].addrs = nil, nil, at(n)
			}
		}
	}
	r.s.again = func([]*spec) {}
	apply(found(1, 2))
	second := fmt.Sprintf("127.0.0.2:%d", p)
	wantAnswer(t, "tcp4", second, "hello\n", "hello\n")
	apply(found(2, 3))
	wantRefused(t, "tcp4", second)
	r.do(func() { r.s.resume(r.s.entries[0]) })
	wantAnswer(t, "tcp4", second, "hello\n", "hello\n")
}

// An RPC service goes on at the port it has while its name is looked up in vain,
// by what it is called now.
func TestKeepRenamed(t *testing.T) {
	spec := func(low, high uint32) *spec {
		return &spec{Service: &conf.Service{Name: "1", Proto: "tcp", Socktype: conf.Stream, Hosts: []string{"here", "there"}, RPC: &conf.RPC{Program: 1, Low: low, High: high}}}
	}
	at := [][]sock.Addr{{addrOf("127.0.0.1")}, {addrOf("127.0.0.2")}}
	for _, known := range []int{0, 1, 2} {
		old, sp := spec(1, 2), spec(1, 3)
		if known < 2 {
			old.unresolved = errors.New("no answer")
		}
		old.serve([][]sock.Addr{at[0], at[1][:known/2]})
		sp.unresolved = errors.New("no answer")
		sp.serve([][]sock.Addr{at[0][:min(known, 1)], nil})
		sp.keep(old)
		for i, a := range sp.addrs {
			if a.Name != sp.Key() || a.IP != at[i][0].IP {
				t.Errorf("%d known: address %d is %v of %q, want %v of %q", known, i, a, a.Name, at[i][0], sp.Key())
			}
		}
		if want := max(known, 1); len(sp.addrs) != want {
			t.Errorf("%d known: %d addresses, want %d", known, len(sp.addrs), want)
		}
	}
}

// That a service may go on at its addresses when its name is looked up in vain is no
// reason to serve it without its user.
func TestKeepUser(t *testing.T) {
	file := filepath.Join(t.TempDir(), "inetd.conf")
	if err := os.WriteFile(file, []byte(in("gone.example:7777 stream tcp4 nowait nobody-is-called-that /bin/cat cat\ngone.example:7778 stream tcp4 nowait $me /bin/cat cat\ngone.example:7779 stream tcp6 nowait $me /bin/cat cat\n")), 0o644); err != nil {
		t.Fatal(err)
	}
	opts, err := parseArgs([]string{file})
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := (&loader{opts: opts, root: true, hasty: true}).load()
	if err != nil || len(cfg.specs) != 3 {
		t.Fatalf("load = %+v, %v", cfg, err)
	}
	for i, known := range []bool{false, true, false} {
		sp := cfg.specs[i]
		if sp.unusable == nil {
			t.Errorf("%s has no address, and can be served", sp.label)
		}
		old := *sp
		svc := *sp.Service
		svc.Family = conf.V4 // of the third, no longer
		old.Service, old.unresolved, old.unusable = &svc, nil, nil
		old.serve([][]sock.Addr{{addrOf("127.0.0.1")}})
		sp.keep(&old)
		if served := sp.unusable == nil && len(sp.addrs) == 1; served != known {
			t.Errorf("%s goes on: %v, want %v", sp.label, served, known)
		}
	}
	sp := cfg.specs[0]
	if c := sp.plan.Credential; c == nil || c.Uid != 1<<32-1 {
		t.Errorf("its server would run as %+v", c)
	}
}

// Who may come is what the hosts' addresses are now, and nobody where they are not
// known.
func TestKnow(t *testing.T) {
	svc := &conf.Service{Name: "x", Proto: "udp", Socktype: conf.Dgram, Internal: "echo", Xinetd: &conf.Xinetd{ID: "x", Access: conf.Access{
		OnlyGiven: true,
		Only:      []conf.Pattern{{Name: "a.example"}, {Prefix: netip.MustParsePrefix("10.0.0.0/8")}},
		No:        []conf.Pattern{{Name: "b.example"}},
	}}}
	gate, err := newGate(svc, new(conf.ErrorList))
	if err != nil {
		t.Fatal(err)
	}
	sp := &spec{Service: svc, gate: gate}
	check := func(when string, want ...bool) {
		t.Helper()
		for i, ip := range []string{"127.0.0.1", "10.0.0.1", "10.0.0.2", "::1"} {
			if got := sp.gate.access.Check(netip.MustParseAddr(ip)).Answer == admit.Allowed; got != want[i] {
				t.Errorf("%s: %s is let in: %v, want %v", when, ip, got, want[i])
			}
		}
	}
	one := func(ips ...string) (a answer) {
		for _, ip := range ips {
			a.ips = append(a.ips, netip.MustParseAddr(ip))
		}
		return a
	}
	check("nothing known", false, false, false, false)
	for _, names := range []map[string]answer{
		nil,
		{"a.example": one("127.0.0.1")},
		{"a.example": one("127.0.0.1"), "b.example": {err: errors.New("no answer")}},
		{"b.example": one("127.0.0.1"), "a.example": one()},
	} {
		if err := sp.know(names); err == nil {
			t.Errorf("know(%v) = nil", names)
		}
		check(fmt.Sprint(names), false, false, false, false)
	}
	for _, tt := range []struct {
		a, b answer
		want []bool
	}{
		{one("127.0.0.1", "::1"), one("10.0.0.2"), []bool{true, true, false, true}},
		{one("::ffff:127.0.0.1"), one("10.0.0.1"), []bool{true, false, true, false}},
	} {
		before := sp.gate
		if err := sp.know(map[string]answer{"a.example": tt.a, "b.example": tt.b}); err != nil {
			t.Error(err)
		}
		if sp.gate == before {
			t.Error("the gate in use is changed")
		}
		check(fmt.Sprint(tt.a, tt.b), tt.want...)
	}
}

// Of an entry whose next clients are not known nobody is let in, but where they are
// to be those that it has.
func TestShut(t *testing.T) {
	only := func(pattern conf.Pattern, wait bool) *spec {
		svc := &conf.Service{Name: "x", Proto: "udp", Socktype: conf.Dgram, Wait: wait, Xinetd: &conf.Xinetd{ID: "x", Access: conf.Access{OnlyGiven: true, Only: []conf.Pattern{pattern}}}}
		gate, err := newGate(svc, new(conf.ErrorList))
		if err != nil {
			t.Fatal(err)
		}
		return &spec{Service: svc, gate: gate}
	}
	known, unknown := conf.Pattern{Prefix: netip.MustParsePrefix("127.0.0.0/8")}, conf.Pattern{Name: "gone.example"}
	for _, wait := range []bool{false, true} {
		for _, next := range []conf.Pattern{known, unknown} {
			to := only(next, wait)
			e := &entry{spec: only(known, wait)}
			if !e.shut(to) {
				t.Errorf("wait %v: an entry cannot be shut", wait)
			}
			if let := e.gate.access.Check(netip.MustParseAddr("127.0.0.1")).Answer == admit.Allowed; let != (next == known) {
				t.Errorf("wait %v, next %v: a client is let in: %v", wait, next, let)
			}
			if !slices.Equal(e.gate.filter, to.gate.filter) { // nobody, as long as a name in it is not known
				t.Errorf("wait %v, next %v: the kernel's filter is %v, want %v", wait, next, e.gate.filter, to.gate.filter)
			}
		}
	}
	if e := (&entry{spec: &spec{Service: new(conf.Service)}}); e.shut(only(unknown, false)) {
		t.Error("an entry of inetd.conf, which has no gate, is shut")
	}
}

// What was asked about a client holds for an entry whose answers could not be others.
func TestAsksLike(t *testing.T) {
	of := func(change func(*spec)) *spec {
		sp := &spec{
			Service: &conf.Service{Internal: "echo", User: "a", Group: "b", Class: "c", Xinetd: &conf.Xinetd{ID: "x"}},
			wrapped: wrapping{daemon: "d"},
		}
		change(sp)
		return sp
	}
	one := of(func(*spec) {})
	if !one.asksLike(of(func(sp *spec) { sp.Name, sp.Args, sp.limits.Children = "other", []string{"other"}, 7 })) {
		t.Error("a new limit has clients asked again")
	}
	for i, change := range []func(*spec){
		func(sp *spec) { sp.Wait = true },
		func(sp *spec) { sp.Mux = conf.MuxPlus },
		func(sp *spec) { sp.wrapped.daemon = "other" },
		func(sp *spec) { sp.wrapped.tcpd = true },
		func(sp *spec) { sp.Xinetd = nil },
		func(sp *spec) { sp.Xinetd = &conf.Xinetd{ID: "x", Access: conf.Access{OnlyGiven: true}} },
		func(sp *spec) { sp.Internal = "" },
		func(sp *spec) { sp.User = "root" },
		func(sp *spec) { sp.Group = "" },
		func(sp *spec) { sp.Class = "" },
	} {
		if one.asksLike(of(change)) {
			t.Errorf("change %d: an answer for another service holds", i)
		}
	}
}

func addrOf(ip string) sock.Addr {
	return sock.Addr{Type: sock.Stream, IP: netip.AddrPortFrom(netip.MustParseAddr(ip), 0)}
}

// An address that comes while its service rests serves when that is over.
func TestLateInRest(t *testing.T) {
	t.Parallel()
	p := freePort(t)
	other, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.2:%d", p))
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, nil, in("127.0.0.1,127.0.0.2:%d stream tcp4 nowait.1 $me /bin/cat cat\n", p), nil)
	r.run()
	label := ""
	r.do(func() { label = r.s.entries[0].label })
	r.want("resting", func() bool {
		if c, err := net.Dial("tcp4", local(p)); err == nil {
			c.Close()
		}
		return r.entry(label).resting
	})
	other.Close()
	r.do(func() { r.s.openAgain(r.entry(label).listeners[1]) })
	r.do(func() { r.s.resume(r.entry(label)) })
	wantAnswer(t, "tcp4", fmt.Sprintf("127.0.0.2:%d", p), "hello\n", "hello\n")
}
