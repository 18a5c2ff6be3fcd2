package services

import (
	"io"
	"testing"
	"time"
)

// RFC 863.
func TestDiscard(t *testing.T) {
	t.Parallel()
	everyStream(t, func(t *testing.T, network string) {
		c, peer := connect(t, network)
		done := serve("discard", c)
		const size = 5<<20 + 1
		if _, err := peer.Write(make([]byte, size)); err != nil {
			t.Fatal(err)
		}
		peer.CloseWrite()
		if got, err := io.ReadAll(peer); err != nil || len(got) != 0 {
			t.Errorf("discard answered %d bytes, %v", len(got), err)
		}
		if err := ended(t, done); err != nil || c.In != size || c.Out != 0 {
			t.Errorf("discard = %v with In, Out = %d, %d, want nil, %d, 0", err, c.In, c.Out, size)
		}
	})
}

func TestDiscardDatagram(t *testing.T) {
	t.Parallel()
	if got := Lookup("discard").Answer(make([]byte, 0, 9), []byte("x"), time.Now()); got != nil {
		t.Errorf("discard = %q, want no answer", got)
	}
}
