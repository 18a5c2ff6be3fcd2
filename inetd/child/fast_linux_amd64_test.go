package child

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const fastStart = true

// A child that its user stops before it has executed the program, as can be
// done from setuid(2) on, holds nobody up, and goes on when it is let.
func TestStoppedBeforeExec(t *testing.T) {
	defer func(d time.Duration) { patience = d }(patience)
	patience = 100 * time.Millisecond
	p := &Plan{Path: "/bin/echo", Argv: []string{"echo", "late"}}
	l, err := newLaunch(p)
	if err != nil {
		t.Fatal(err)
	}
	// It stops itself, when it has no more of the daemon than others may have of
	// it: after setsid it is the only one of its group.
	after := l.dup + 4
	l.steps = slices.Insert(l.steps, after, step{unix.SYS_KILL, 0, uintptr(unix.SIGSTOP)})
	l.names = slices.Insert(l.names, after, "kill")
	p.launch = l
	began := time.Now()
	f, pid := begin(t, p)
	if took := time.Since(began); took < patience {
		t.Errorf("Start took %v: the child was not waited for", took)
	}
	if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err != nil || !strings.Contains(string(stat), ") T ") {
		t.Errorf("state of the child = %s, %v, want T, stopped", stat, err)
	}
	var open []string
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	for _, fd := range fds {
		open = append(open, fd.Name())
	}
	if !slices.Equal(open, []string{"0", "1", "2"}) {
		t.Errorf("descriptors of the child = %q, %v, want 0, 1 and 2", open, err)
	}
	for range 3 { // the plan goes on, with memory of its own
		f, pid := begin(t, p)
		if out, status := finish(t, f, pid); out != "late\n" || status != 0 {
			t.Errorf("start beside a stopped child = %q, status %#x", out, int(status))
		}
	}
	unix.Kill(pid, unix.SIGCONT)
	if out, status := finish(t, f, pid); out != "late\n" || status != 0 {
		t.Errorf("a child that was stopped = %q, status %#x, want its output", out, int(status))
	}
}
