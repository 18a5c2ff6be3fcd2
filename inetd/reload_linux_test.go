package main

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
)

// The socket of what does not change is the same before and after, by its
// inode, and so is that of an entry whose program, limits or user change.
func TestReloadKeepsSockets(t *testing.T) {
	t.Parallel()
	tcp, udp, changed := freePort(t), freePort(t), freePort(t)
	conf := func(i int) string {
		return in("%d stream tcp nowait $me /bin/cat cat\n", tcp) +
			in("%d dgram udp wait $me $self srv.datagrams 1\n", udp) +
			in("%d stream tcp nowait.%d $me $self srv.say %d\n", changed, 100+i, i)
	}
	all := func() (s []string) {
		for _, tt := range []struct {
			table string
			port  int
		}{{"tcp", tcp}, {"tcp6", tcp}, {"udp", udp}, {"udp6", udp}, {"tcp", changed}, {"tcp6", changed}} {
			for _, i := range inodes(t, tt.table, tt.port) {
				s = append(s, fmt.Sprint(tt, " ", i))
			}
		}
		return s
	}
	d := start(t, conf(0))
	before := all()
	if len(before) < 3 {
		t.Fatalf("sockets = %q, want one for each service at least", before)
	}
	for i := range 5 {
		d.reload(conf(i))
		if after := all(); !slices.Equal(after, before) {
			t.Errorf("sockets after reload %d = %q, want %q", i, after, before)
		}
		wantAnswer(t, "tcp", local(changed), "", fmt.Sprintln(i))
	}
}

// Under eight clients that connect as fast as they can, 200 reloads that add,
// change and remove other services fail no connection.
func TestReloadUnderLoad(t *testing.T) {
	t.Parallel()
	kept, other, third := freePort(t), freePort(t), freePort(t)
	keep := in("%d stream tcp nowait.0 $me /bin/cat cat\n", kept)
	confs := []string{
		keep,
		keep + in("%d stream tcp nowait $me $self srv.say one\n", other),
		in("%d stream tcp nowait $me $self srv.say two\n", other) + keep,
		in("127.0.0.1:%d stream tcp nowait $me $self srv.say two\n", other) + keep + in("%d dgram udp wait $me $self srv.datagrams 1\n", third),
	}
	d := start(t, confs[0])
	before := inodes(t, "tcp", kept)
	var stop atomic.Bool
	var served atomic.Int64
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			for i := 0; !stop.Load(); i++ {
				line := fmt.Sprintf("client %d, line %d\n", n, i)
				if got, err := ask("tcp", local(kept), line); err != nil || got != line {
					t.Errorf("ask(%q) = %q, %v", line, got, err)
					return
				}
				served.Add(1)
			}
		})
	}
	for i := range 200 {
		d.reload(confs[i%len(confs)])
	}
	stop.Store(true)
	wg.Wait()
	if after := inodes(t, "tcp", kept); !slices.Equal(after, before) {
		t.Errorf("socket of the kept service = %q, want %q", after, before)
	}
	if served.Load() == 0 {
		t.Error("no client was served")
	}
	t.Logf("%d connections during 200 reloads", served.Load())
}
