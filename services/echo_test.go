package services

import (
	"bytes"
	"io"
	"math/rand/v2"
	"testing"
	"time"
)

// RFC 862. The client closes its side while most of its data is still under
// way, and gets all of it back.
func TestEchoHalfClose(t *testing.T) {
	t.Parallel()
	everyStream(t, func(t *testing.T, network string) {
		c, peer := connect(t, network)
		done := serve("echo", c)
		want := make([]byte, 8<<20)
		rnd := rand.NewChaCha8([32]byte{})
		rnd.Read(want)
		go func() {
			for rest := want; len(rest) > 0; {
				n := min(len(rest), 1+rand.IntN(300_000))
				if _, err := peer.Write(rest[:n]); err != nil {
					t.Error(err)
					return
				}
				rest = rest[n:]
			}
			peer.CloseWrite()
		}()
		got, err := io.ReadAll(peer)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("echo of %d bytes = %d bytes, %v", len(want), len(got), err)
		}
		if err := ended(t, done); err != nil {
			t.Errorf("echo = %v, want nil", err)
		}
		if n := int64(len(want)); c.In != n || c.Out != n {
			t.Errorf("In, Out = %d, %d, want %d", c.In, c.Out, n)
		}
	})
}

func TestEchoDatagram(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, 64, 65507} {
		msg := bytes.Repeat([]byte{'x'}, size)
		got := Lookup("echo").Answer(nil, msg, time.Now())
		if got == nil || !bytes.Equal(got, msg) {
			t.Errorf("echo of %d bytes = %d bytes, nil %v", size, len(got), got == nil)
		}
	}
}

// Stalled peers hold big buffers up to a fixed number, then small ones.
func TestBuffersBounded(t *testing.T) {
	var held []*buffer
	total := 0
	for range 1000 {
		b := takeBuffer()
		held = append(held, b)
		total += len(b.data)
	}
	if most := maxBig*bigBuffer + 1000*smallBuffer; total > most {
		t.Errorf("1000 buffers = %d bytes, want at most %d", total, most)
	}
	for _, b := range held {
		b.give()
	}
	if b := takeBuffer(); len(b.data) != bigBuffer {
		t.Errorf("buffer after all are back = %d bytes, want %d", len(b.data), bigBuffer)
	} else {
		b.give()
	}
	if n := bigsUsed.Load(); n != 0 {
		t.Errorf("%d big buffers are missing", n)
	}
}
