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
