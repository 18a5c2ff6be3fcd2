package libwrap

import (
	"bytes"
	"context"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A banner goes to whoever reads it, whatever room there is at once, and to
// others for as long as there is time.
func TestBannerRoom(t *testing.T) {
	pair := func() (FD, net.Conn) {
		fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { syscall.Close(fds[0]) })
		f := os.NewFile(uintptr(fds[1]), "")
		defer f.Close()
		c, err := net.FileConn(f)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return FD(fds[0]), c
	}
	text := strings.Repeat("welcome\n", 1<<17)
	v := &Verdict{Events: []Event{{Kind: Banner, Text: text}}}

	fd, c := pair()
	got := make(chan []byte)
	go func() {
		b := new(bytes.Buffer)
		b.ReadFrom(c)
		got <- b.Bytes()
	}()
	if err := (&Performer{Conn: fd}).Perform(t.Context(), v); err != nil {
		t.Errorf("Perform = %v", err)
	}
	syscall.Shutdown(int(fd), syscall.SHUT_WR)
	if b := <-got; string(b) != text {
		t.Errorf("a client that reads got %d bytes of %d", len(b), len(text))
	}

	fd, _ = pair()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	done := make(chan error)
	go func() { done <- (&Performer{Conn: fd}).Perform(ctx, v) }()
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("Perform = %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("a client that does not read holds Perform")
	}
}
