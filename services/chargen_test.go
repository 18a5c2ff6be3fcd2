package services

import (
	"bytes"
	"errors"
	"io"
	"syscall"
	"testing"
	"time"
)

// The example of RFC 864, which repeats after 95 lines. RFC 864 shows the lines
// from '!' on; every implementation begins at the blank, so its first line here
// is our second.
var rfc864 = []string{
	"!\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefgh",
	"\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghi",
	"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghij",
}

// The lines around the end of the ring: 23 and 24 are the last whose characters
// do not wrap, 94 begins with the last character, 95 is the first again.
var wrapping = map[int]string{
	0:  " !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefg",
	23: "789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~",
	24: "89:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~ ",
	94: "~ !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdef",
	95: " !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefg",
}

func TestChargenLines(t *testing.T) {
	t.Parallel()
	for i, want := range wrapping {
		if got := string(appendLine(nil, i)); got != want+"\r\n" {
			t.Errorf("line %d = %q, want %q", i, got, want+"\r\n")
		}
	}
	for i, want := range rfc864 {
		if got := string(appendLine(nil, i+1)); got != want+"\r\n" {
			t.Errorf("line %d = %q, want %q", i+1, got, want+"\r\n")
		}
	}
}

// The stream over many times the precomputed block, read in awkward pieces so
// that writes end anywhere. The peer also sends, and that changes nothing.
func TestChargenStream(t *testing.T) {
	t.Parallel()
	everyStream(t, func(t *testing.T, network string) {
		c, peer := connect(t, network)
		done := serve("chargen", c)
		if _, err := peer.Write([]byte("ignored")); err != nil {
			t.Fatal(err)
		}
		peer.CloseWrite()
		buf := make([]byte, 31_013)
		at := 0
		for range 200 {
			n, err := io.ReadFull(peer, buf)
			if err != nil {
				t.Fatal(err)
			}
			for _, got := range buf[:n] {
				line, col := at/lineLen, at%lineLen
				want := ' ' + byte((line+col)%ringChars)
				switch col {
				case lineChars:
					want = '\r'
				case lineChars + 1:
					want = '\n'
				}
				if got != want {
					t.Fatalf("byte %d = %q, want %q", at, got, want)
				}
				at++
			}
		}
		peer.Close()
		if err := ended(t, done); !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("chargen to a peer that has gone = %v, want EPIPE or ECONNRESET", err)
		}
		if c.Out < int64(at) {
			t.Errorf("Out = %d, want at least %d", c.Out, at)
		}
	})
}

func TestChargenDatagram(t *testing.T) {
	b := Lookup("chargen")
	seen := map[byte]bool{}
	for range ringChars {
		got := b.Answer(nil, nil, time.Now())
		if len(got) != lineLen || !bytes.Equal(got, appendLine(nil, int(got[0]-' '))) {
			t.Fatalf("chargen = %q, want a line of %d bytes", got, lineLen)
		}
		seen[got[0]] = true
	}
	if len(seen) != ringChars {
		t.Errorf("%d answers begin in %d ways", ringChars, len(seen))
	}
}
