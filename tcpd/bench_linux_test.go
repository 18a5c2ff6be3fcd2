package main

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// BenchmarkConnections measures connections a second through tcpd to a server
// that does next to nothing, one after the other, with one rule that looks at
// addresses only and a syslog daemon that listens. Debian's tcpd takes turns
// with ours if it is there. The medians of the rounds count.
//
//	go test ./tcpd -run '^$' -bench Connections -benchtime 1x
func BenchmarkConnections(b *testing.B) {
	if os.Getuid() != 0 {
		b.Skip("needs root, for a mount namespace with rules and a log of its own")
	}
	dir, err := os.MkdirTemp("/tmp", "bench")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { os.RemoveAll(dir) })
	os.Chmod(dir, 0o755)
	for _, c := range []struct{ name, flags string }{{"daemon", "-static -nostdlib"}, {"launch", ""}} {
		args := append(strings.Fields(c.flags), "-O2", "-o", filepath.Join(dir, c.name), "testdata/bench/"+c.name+".c")
		if out, err := exec.Command("cc", args...).CombinedOutput(); err != nil {
			b.Skipf("cc: %v\n%s", err, out)
		}
	}
	log, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: dir + "/log", Net: "unixgram"})
	if err != nil {
		b.Fatal(err)
	}
	defer log.Close()
	os.Chmod(dir+"/log", 0o666)
	go func() {
		var buf [9000]byte
		for {
			if _, err := log.Read(buf[:]); err != nil {
				return
			}
		}
	}()
	os.WriteFile(dir+"/allow", []byte("ALL: 127.0.0.0/255.0.0.0\n"), 0o644)
	os.WriteFile(dir+"/deny", []byte("ALL: ALL\n"), 0o644)

	programs := []struct{ name, path string }{{"floor", dir + "/daemon"}, {"tcpd", program(b, "tcpd")}}
	if lean := program(b, "lean"); exists(lean) {
		programs = append(programs, struct{ name, path string }{"lean", lean})
	}
	if exists("/usr/sbin/tcpd") {
		programs = append(programs, struct{ name, path string }{"debian", "/usr/sbin/tcpd"})
	}
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	took := make([][]float64, len(programs))
	for range b.N {
		cmd := exec.Command(self, "launch", "15", "40", dir+"/daemon")
		for _, p := range programs {
			cmd.Args = append(cmd.Args, p.path)
		}
		cmd.Env = []string{childEnv + "=" + dir, "TCPD_TEST_PROGRAM=" + dir + "/launch"}
		cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			why, _ := os.ReadFile(dir + "/harness")
			b.Fatalf("launch: %v %s%s", err, stderr.String(), why)
		}
		os.RemoveAll(dir + "/dev")
		for i, line := range strings.Split(strings.TrimSpace(string(out)), "\n") {
			for _, f := range strings.Fields(line)[1:] {
				us, err := strconv.ParseFloat(f, 64)
				if err != nil {
					b.Fatal(err)
				}
				took[i] = append(took[i], us)
			}
		}
	}
	b.ReportMetric(0, "ns/op")
	median := make(map[string]float64)
	for i, p := range programs {
		slices.Sort(took[i])
		median[p.name] = took[i][len(took[i])/2]
		b.ReportMetric(1e6/median[p.name], p.name+"/s")
		b.Logf("%-7s %6.0f us a connection (median of %d rounds of 40; best %.0f), %5.0f/s", p.name, median[p.name], len(took[i]), took[i][0], 1e6/median[p.name])
	}
	if median["debian"] == 0 {
		b.Log("Debian's tcpd is not installed: nothing to compare with")
		return
	}
	b.ReportMetric(median["debian"]/median["tcpd"], "tcpd/debian")
	if median["lean"] != 0 {
		b.ReportMetric(median["debian"]/median["lean"], "lean/debian")
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
