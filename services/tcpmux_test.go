package services

import (
	"errors"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What the client sends behind the line must all be there for the service.
func TestReadMuxName(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", maxMuxName)
	for _, test := range []struct {
		in, name string
		err      error
		rest     string
	}{
		{"date\r\n", "date", nil, ""},
		{"DaTe\r\n", "date", nil, ""},
		{"HELP\n", "help", nil, ""},
		{"date\r\npayload\r\nmore", "date", nil, "payload\r\nmore"},
		{"date\n\r\n", "date", nil, "\r\n"},
		{"a/b+c_d-e.1\r\n", "a/b+c_d-e.1", nil, ""},
		{long + "\r\nrest", long, nil, "rest"},
		{long + "\n" + long, long, nil, long},
		{long + "x\r\n", "", errMuxName, "\n"}, // its end is not looked for
		{long + "x\n", "", errMuxName, ""},
		{strings.Repeat("x", 4000), "", errMuxName, strings.Repeat("x", 4000-258)},
		{"\r\n", "", errMuxName, ""},
		{"\n", "", errMuxName, ""},
		{"da te\r\n", "", errMuxName, ""},
		{"da\rte\n", "", errMuxName, ""},
		{"date\x00\r\n", "", errMuxName, ""},
		{"\x1b[2Jdate\r\n", "", errMuxName, ""},
		{"caf\xc3\xa9\r\n", "", errMuxName, ""},
		{"date", "", io.ErrUnexpectedEOF, ""},
		{"date\r", "", io.ErrUnexpectedEOF, ""},
		{"", "", io.ErrUnexpectedEOF, ""},
	} {
		c, peer := connect(t, "tcp4")
		if _, err := io.WriteString(peer, test.in); err != nil {
			t.Fatal(err)
		}
		peer.CloseWrite()
		name, err := ReadMuxName(c)
		if name != test.name || !errors.Is(err, test.err) {
			t.Errorf("ReadMuxName(%.30q) = %.30q, %v, want %.30q, %v", test.in, name, err, test.name, test.err)
		}
		if rest, err := io.ReadAll(c.File()); err != nil || string(rest) != test.rest {
			t.Errorf("after ReadMuxName(%.30q) there is %.30q, %v, want %.30q", test.in, rest, err, test.rest)
		}
	}
}

// The line arrives a byte at a time and the payload right behind it, seen from
// another descriptor of the socket as a server would have.
func TestReadMuxNameInPieces(t *testing.T) {
	t.Parallel()
	everyStream(t, func(t *testing.T, network string) {
		c, peer := connect(t, network)
		server := dup(t, c.File())
		defer server.Close()
		go func() {
			for _, b := range []byte("PhoneBook\r\npayload") {
				peer.Write([]byte{b})
			}
			peer.CloseWrite()
		}()
		if name, err := ReadMuxName(c); name != "phonebook" || err != nil {
			t.Errorf("ReadMuxName = %q, %v, want phonebook", name, err)
		}
		if rest, err := io.ReadAll(server); err != nil || string(rest) != "payload" {
			t.Errorf("the server finds %q, %v, want payload", rest, err)
		}
	})
}

func TestReadMuxNameTimeout(t *testing.T) {
	t.Parallel()
	c, peer := connect(t, "tcp4")
	c.Idle = time.Hour
	c.Life = 50 * time.Millisecond
	io.WriteString(peer, "slow")
	if _, err := ReadMuxName(c); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("ReadMuxName of half a line = %v, want %v", err, os.ErrDeadlineExceeded)
	}
	if c.Life != 50*time.Millisecond || c.Idle != time.Hour {
		t.Errorf("ReadMuxName left Life %v, Idle %v", c.Life, c.Idle)
	}
}

// A built-in may follow on the same Conn, with its own limits.
func TestMuxToBuiltin(t *testing.T) {
	t.Parallel()
	c, peer := connect(t, "tcp4")
	io.WriteString(peer, "echo\r\nhello")
	peer.CloseWrite()
	name, err := ReadMuxName(c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, MuxGo); err != nil {
		t.Fatal(err)
	}
	done := serve(name, c)
	if got, err := io.ReadAll(peer); err != nil || string(got) != "+Go\r\nhello" {
		t.Errorf("tcpmux to echo = %q, %v, want %q", got, err, "+Go\r\nhello")
	}
	if err := ended(t, done); err != nil {
		t.Errorf("echo = %v, want nil", err)
	}
}

func TestMuxReset(t *testing.T) {
	t.Parallel()
	c, peer := connect(t, "tcp4")
	io.WriteString(peer, "date")
	peer.(interface{ SetLinger(int) error }).SetLinger(0)
	peer.Close()
	if _, err := ReadMuxName(c); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("ReadMuxName after a reset = %v, want %v", err, syscall.ECONNRESET)
	}
}

func TestAppendMuxHelp(t *testing.T) {
	t.Parallel()
	if got := string(AppendMuxHelp(nil, []string{"date", "phonebook"})); got != "date\r\nphonebook\r\n" {
		t.Errorf("AppendMuxHelp = %q", got)
	}
	if got := AppendMuxHelp(nil, nil); len(got) != 0 {
		t.Errorf("AppendMuxHelp of nothing = %q", got)
	}
}

// A name that is taken has no byte that could harm a log, and reading it again
// gives itself.
func FuzzMuxName(f *testing.F) {
	for _, s := range []string{"date\r\n", "HELP\n", "\r\n", "\n", "a\rb\n", "a\x00b\r\n", "\x1b[2J\n", strings.Repeat("x", 300) + "\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		line := append(in, '\n')
		name, err := muxName(line)
		if err != nil {
			if name != "" || err != errMuxName {
				t.Fatalf("muxName(%q) = %q, %v", line, name, err)
			}
			return
		}
		if name == "" || len(name) > maxMuxName || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' || 'A' <= r && r <= 'Z' }) {
			t.Fatalf("muxName(%q) = %q", line, name)
		}
		if again, err := muxName([]byte(name + "\r\n")); again != name || err != nil {
			t.Fatalf("muxName(%q) = %q, %v", name, again, err)
		}
	})
}
