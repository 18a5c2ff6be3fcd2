package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// childEnv makes the test binary become the tcpd of a live case: child is then
// called and does not return.
const childEnv = "TCPD_TEST_DIR"

var child = func() {}

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		child()
	}
	status := m.Run()
	if bin.dir != "" {
		os.RemoveAll(bin.dir)
	}
	os.Exit(status)
}

// bin holds the programs, built once the way make does.
var bin struct {
	once sync.Once
	dir  string
	err  error
}

// program returns the path of tcpd or of one of its tools. The tcpd called
// patient waits an hour where the real one waits five seconds. The one called
// lean is built by lean.sh, and is missing where that knows no way.
func program(t testing.TB, name string) string {
	t.Helper()
	bin.once.Do(func() {
		if bin.dir, bin.err = os.MkdirTemp("", "tcpd"); bin.err != nil {
			return
		}
		os.Chmod(bin.dir, 0o755)
		builds := []struct{ name, pkg, ldflags, flag string }{
			{"tcpd", ".", "", ""},
			{"patient", ".", " -X main.patience=3600", ""},
			{"tcpdchk", "./tcpdchk", "", ""},
			{"tcpdmatch", "./tcpdmatch", "", ""},
			{"try-from", "./try-from", "", ""},
		}
		lean, err := exec.Command("sh", "lean.sh", "tcpd", filepath.Join(bin.dir, "overlay")).Output()
		if flag := strings.TrimSpace(string(lean)); err == nil && flag != "" {
			builds = append(builds, builds[0])
			builds[len(builds)-1].name, builds[len(builds)-1].flag = "lean", flag
		}
		for _, b := range builds {
			cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w"+b.ldflags, "-o", filepath.Join(bin.dir, b.name))
			if b.flag != "" {
				cmd.Args = append(cmd.Args, b.flag)
			}
			cmd.Args = append(cmd.Args, b.pkg)
			cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
			if out, err := cmd.CombinedOutput(); err != nil {
				bin.err = fmt.Errorf("go build %s: %v\n%s", b.pkg, err, out)
				return
			}
		}
	})
	if bin.err != nil {
		if errors.Is(bin.err, exec.ErrNotFound) {
			t.Skip("no go command to build with")
		}
		t.Fatal(bin.err)
	}
	return filepath.Join(bin.dir, name)
}

// TestImports keeps out what makes a Go program slow to start. Each of these
// costs tcpd more than its own work.
func TestImports(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Skip("no go command to ask")
	}
	for _, dep := range strings.Fields(string(out)) {
		switch dep {
		case "os", "fmt", "net", "os/exec", "net/netip", "log", "flag", "regexp":
			t.Errorf("tcpd imports %s", dep)
		}
	}
}

func TestProgram(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ argv0, path, name string }{
		{"/usr/sbin/in.ftpd", "/usr/sbin/in.ftpd", "in.ftpd"},
		{"in.ftpd", "/usr/sbin/in.ftpd", "in.ftpd"},
		{"a/b", "/usr/sbin/a/b", "a/b"},
		{"../x", "/usr/sbin/../x", "../x"},
		{"/", "/", ""},
		{"", "/usr/sbin/", ""},
	} {
		path, name := daemon(tt.argv0)
		if path != tt.path || name != tt.name {
			t.Errorf("daemon(%q) = %q, %q, want %q, %q", tt.argv0, path, name, tt.path, tt.name)
		}
	}
}

// TestLean wants lean.sh to know the runtime: otherwise the programs do the same,
// later, and the daemon wakes up for nothing.
func TestLean(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"inetd", "tcpd"} {
		dir := t.TempDir()
		cmd := exec.Command("sh", "lean.sh", program, dir)
		var stderr strings.Builder
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if strings.Contains(stderr.String(), "is not as expected") {
			t.Skip(stderr.String())
		}
		if want := "-overlay=" + dir + "/overlay.json\n"; err != nil || string(out) != want {
			t.Errorf("lean.sh %s = %q, %v, want %q\n%s", program, out, err, want, &stderr)
		}
	}
}

// TestLeanUnknown gives lean.sh a runtime that it has not seen.
func TestLeanUnknown(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fake := filepath.Join(dir, "go")
	if err := os.WriteFile(fake, []byte("#!/bin/sh\necho "+dir+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, program := range []string{"inetd", "tcpd"} {
		cmd := exec.Command("sh", "lean.sh", program, filepath.Join(dir, "lean"))
		cmd.Env = append(os.Environ(), "GO="+fake)
		out, err := cmd.Output()
		if err != nil || len(out) > 0 {
			t.Errorf("lean.sh %s with no runtime = %q, %v, want nothing", program, out, err)
		}
	}
}
