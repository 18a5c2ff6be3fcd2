// Package examples holds what an administrator copies and a student reads; only
// its tests are Go.
package examples

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestSyntax reads the scripts with every POSIX shell that is here.
func TestSyntax(t *testing.T) {
	t.Parallel()
	for _, shell := range [][]string{{"sh"}, {"dash"}, {"bash", "--posix"}, {"busybox", "sh"}} {
		for _, script := range []string{"run", "inetd.init"} {
			t.Run(shell[0]+" "+script, func(t *testing.T) {
				t.Parallel()
				if _, err := exec.LookPath(shell[0]); err != nil {
					t.Skipf("no %s here", shell[0])
				}
				args := append(shell[1:len(shell):len(shell)], "-n", script)
				if out, err := exec.Command(shell[0], args...).CombinedOutput(); err != nil || len(out) > 0 {
					t.Errorf("%s %s = %q, %v, want silence", shell[0], strings.Join(args, " "), out, err)
				}
			})
		}
	}
}

func TestScriptsAreExecutable(t *testing.T) {
	t.Parallel()
	for _, script := range []string{"run", "inetd.init"} {
		fi, err := os.Stat(script)
		if err != nil || fi.Mode()&0o100 == 0 {
			t.Errorf("Stat(%q) = %v, %v, want it executable", script, fi.Mode(), err)
		}
	}
}

func TestRunWithoutPrograms(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("./run", t.TempDir()).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "inetd is missing: use make run") {
		t.Errorf("run in an empty directory = %q, %v, want what is missing", out, err)
	}
	out, err = exec.Command("./run").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "usage:") {
		t.Errorf("run = %q, %v, want the usage", out, err)
	}
}

// TestUnit has systemd read the unit, with a program that exists in place of
// the one that is installed.
func TestUnit(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("no systemd-analyze here")
	}
	text, err := os.ReadFile("inetd.service")
	if err != nil {
		t.Fatal(err)
	}
	unit := filepath.Join(t.TempDir(), "inetd.service")
	const installed = "/usr/local/sbin/inetd"
	if n := strings.Count(string(text), installed); n < 2 {
		t.Fatalf("inetd.service names %s %d times, want it to start and to reload", installed, n)
	}
	if err := os.WriteFile(unit, []byte(strings.ReplaceAll(string(text), installed, "/bin/true")), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("systemd-analyze", "verify", "--man=no", unit)
	if out, err := cmd.CombinedOutput(); err != nil || strings.Contains(string(out), "inetd.service") {
		t.Errorf("systemd-analyze verify inetd.service = %q, %v", out, err)
	}
}
