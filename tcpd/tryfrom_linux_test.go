package main

import (
	"os/exec"
	"strings"
	"testing"
)

func TestTryFrom(t *testing.T) {
	t.Parallel()
	unknown := []string{
		"client address  (%a): unknown",
		"client hostname (%n): unknown",
		"client username (%u): unknown",
		"client info     (%c): unknown",
		"server address  (%A): unknown",
		"server hostname (%N): unknown",
		"server process  (%d): try-from",
		"server info     (%s): try-from",
	}
	for _, tt := range []struct {
		stdin string
		want  []string
	}{
		{"null", append([]string{"warning: can't get client address: Socket operation on non-socket"}, unknown...)},
		{"listen", append([]string{"warning: can't get client address: Transport endpoint is not connected"}, unknown...)},
		{"unix", []string{
			"client address  (%a): localhost",
			"client hostname (%n): unknown",
			"client username (%u): unknown",
			"client info     (%c): localhost",
			"server address  (%A): localhost",
			"server hostname (%N): unknown",
			"server process  (%d): try-from",
			"server info     (%s): try-from@localhost",
		}},
	} {
		t.Run(tt.stdin, func(t *testing.T) {
			t.Parallel()
			_, server := endpoints(t, tt.stdin)
			cmd := exec.Command(program(t, "try-from"))
			cmd.Stdin = server
			out, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			diff(t, strings.Split(strings.TrimSuffix(string(out), "\n"), "\n"), tt.want)
		})
	}
	// Names are those of this machine.
	for _, stdin := range []string{"tcp4", "tcp6", "udp"} {
		t.Run(stdin, func(t *testing.T) {
			t.Parallel()
			_, server := endpoints(t, stdin)
			cmd := exec.Command(program(t, "try-from"))
			cmd.Stdin = server
			out, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			ip := "127.0.0.1"
			if stdin == "tcp6" {
				ip = "::1"
			}
			for _, l := range []string{"client address  (%a): " + ip, "server address  (%A): " + ip, "server process  (%d): try-from"} {
				if !strings.Contains(string(out), l+"\n") {
					t.Errorf("try-from on %s printed %q, want a line %q", stdin, out, l)
				}
			}
			if n := strings.Count(string(out), "\n"); n != 8 {
				t.Errorf("try-from on %s printed %d lines, want 8:\n%s", stdin, n, out)
			}
		})
	}
}
