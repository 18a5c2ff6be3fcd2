package services

import (
	"io"
	"testing"
)

// The client ends here are plain loops with a large buffer, so the numbers say
// what the service makes possible, on as many processors as both ends share.

func BenchmarkEcho(b *testing.B) {
	c, peer := connect(b, "tcp4")
	done := serve("echo", c)
	const chunk = 1 << 20
	b.SetBytes(chunk)
	go func() {
		buf := make([]byte, 256<<10)
		for range b.N * (chunk / len(buf)) {
			peer.Write(buf)
		}
		peer.CloseWrite()
	}()
	if n, err := io.CopyBuffer(onlyWriter{}, onlyReader{peer}, make([]byte, 256<<10)); err != nil || n != int64(b.N)*chunk {
		b.Fatalf("echo of %d bytes = %d bytes, %v", b.N*chunk, n, err)
	}
	ended(b, done)
}

func BenchmarkDiscard(b *testing.B) {
	c, peer := connect(b, "tcp4")
	done := serve("discard", c)
	buf := make([]byte, 1<<20)
	b.SetBytes(int64(len(buf)))
	for range b.N {
		if _, err := peer.Write(buf); err != nil {
			b.Fatal(err)
		}
	}
	peer.CloseWrite()
	ended(b, done)
}

func BenchmarkChargen(b *testing.B) {
	c, peer := connect(b, "tcp4")
	done := serve("chargen", c)
	buf := make([]byte, 1<<20)
	b.SetBytes(int64(len(buf)))
	for range b.N {
		if _, err := io.ReadFull(peer, buf); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	peer.Close()
	ended(b, done)
}

// A question and its answer, for which the connection waits each time.
func BenchmarkEchoTurn(b *testing.B) {
	c, peer := connect(b, "tcp4")
	c.Idle = DefaultIdle
	done := serve("echo", c)
	buf := make([]byte, 64)
	b.ReportAllocs()
	for range b.N {
		if _, err := peer.Write(buf); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(peer, buf); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	peer.Close()
	ended(b, done)
}

type onlyReader struct{ io.Reader }

type onlyWriter struct{}

func (onlyWriter) Write(p []byte) (int, error) { return len(p), nil }
