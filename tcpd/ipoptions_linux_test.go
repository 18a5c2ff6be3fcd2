//go:build !386 && !s390x

package main

import (
	"syscall"
	"testing"
)

func TestSourceRouted(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		opts string
		want bool
	}{
		{"", false},
		{"\x01\x01\x01\x01", false},
		{"\x83\x07\x04\x7f\x00\x00\x02\x00", true},
		{"\x89\x07\x04\x7f\x00\x00\x02\x00", true},
		{"\x01\x01\x83\x07\x04\x7f\x00\x00\x02", true},
		{"\x07\x07\x04\x00\x00\x00\x00\x83\x03\x04", true}, // after a recorded route
		{"\x07\x0b\x04\x83\x83\x83\x83\x00\x00\x00\x00", false},
		{"\x00\x83\x07\x04", false}, // after the end
		{"\x07", false},
		{"\x07\x00\x83", false},
		{"\x07\x28\x83", false}, // longer than there is
	} {
		if got := sourceRouted([]byte(tt.opts)); got != tt.want {
			t.Errorf("sourceRouted(%x) = %v, want %v", tt.opts, got, tt.want)
		}
	}
}

// TestIPOptions sets options on the server's side, where those of a client
// stand too.
func TestIPOptions(t *testing.T) {
	t.Parallel()
	needLive(t)
	for _, tt := range []struct {
		name, opts string
		daemon     string // is the socket as it expects?
		log        []string
		stay       bool
	}{
		{"none", "", "exit 0\n", nil, false},
		{"record route", "\x01\x07\x07\x04\x00\x00\x00\x00", "exit 0\n", []string{
			"+ <85>svc[PID] connect from 127.0.0.1 with IP options (ignored): 01 07 07 04 00 00 00 00",
		}, false},
		// Who asked for a route gets nothing: the connection is shut.
		{"loose source route", "\x83\x07\x04\x7f\x00\x00\x02\x01", "read x; exit $((1-$?))\n", []string{
			"+ <84>svc[PID] refused connect from 127.0.0.1 with IP source routing options",
		}, true},
		{"strict source route", "\x01\x89\x07\x04\x7f\x00\x00\x02", "read x; exit $((1-$?))\n", []string{
			"+ <84>svc[PID] refused connect from 127.0.0.1 with IP source routing options",
		}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			client, server := endpoints(t, "tcp4")
			fd := int(server.Fd())
			if err := syscall.SetsockoptString(fd, syscall.IPPROTO_IP, syscall.IP_OPTIONS, tt.opts); err != nil {
				t.Skipf("cannot set IP options: %v", err)
			}
			after, err := syscall.Dup(fd)
			if err != nil {
				t.Fatal(err)
			}
			defer syscall.Close(after)
			c := &liveCase{stdin: "tcp4", argv: []string{"@D@"}, files: map[string]string{"allow": "", "deny": "", "svc": tt.daemon}}
			r := c.startOn(t, program(t, "tcpd"), client, server)
			want := append([]string{"= status=0", "<"}, tt.log...)
			want = append(want, "+ <86>svc[PID] connect from 127.0.0.1 (127.0.0.1)")
			diff(t, r.finish(t, "listen"), want) // a routed FIN may not arrive
			var buf [64]byte
			if got := len(ipOptions(after, buf[:])) > 0; got != tt.stay {
				t.Errorf("%s: options are still there: %v, want %v", tt.name, got, tt.stay)
			}
		})
	}
}
