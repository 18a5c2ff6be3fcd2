package main

import (
	"bufio"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// On a terminal the line of a problem is shown with a mark under the spot, and
// what is in a file does not drive the terminal.
func TestCheckCaret(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "inetd.conf")
	lines := []string{
		"ftp\tstream tcp mabye root /bin/cat",
		"# good",
		"ftp stream tcp \x1b[31mred root /bin/cat",
	}
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	screen, user := terminal(t)
	cmd := command("-t", file)
	cmd.Stdout = user
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	want := []string{
		file + `:1:16: wait/nowait: "mabye" is neither`,
		"  ftp\tstream tcp mabye root /bin/cat",
		"     \t           ^",
		file + `:3:16: wait/nowait: "\x1b[31mred" is neither`,
		"  ftp stream tcp ?[31mred root /bin/cat",
		"                 ^",
	}
	in := bufio.NewReader(screen)
	for i, w := range want {
		// A terminal puts a CR before each newline, and may have tabs as blanks.
		got, err := in.ReadString('\n')
		if got = strings.TrimRight(got, "\r\n"); got != w {
			t.Errorf("line %d on the terminal = %q, %v, want %q", i, got, err, w)
			break
		}
	}
	cmd.Wait()
	if got := cmd.ProcessState.ExitCode(); got != 1 {
		t.Errorf("exit status = %d, want 1", got)
	}
}

// What could not be written is not in the file that was to be made.
func TestCheckDiskFull(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "inetd.conf")
	if err := os.WriteFile(file, []byte("7001 stream tcp nowait root /bin/cat cat\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	for _, args := range [][]string{{"-t", "-v"}, {"-o", "xinetd.conf"}, {"-o", "inetd.conf"}} {
		var stderr strings.Builder
		if status := run(append(args, file), full, &stderr); status != 1 || !strings.Contains(stderr.String(), "no space left on device") {
			t.Errorf("inetd %q > /dev/full = %d, %q, want 1 and the reason", args, status, stderr.String())
		}
	}
}
