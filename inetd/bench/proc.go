//go:build linux

package main

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// cpuTime is what all threads of a process have used so far.
func cpuTime(pid int) (time.Duration, error) {
	// The clock of another process, as clock_getcpuclockid(3) makes it.
	const cpuclockSched = 2
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|cpuclockSched), &ts); err != nil {
		return 0, fmt.Errorf("cpu clock of %d: %w", pid, err)
	}
	return time.Duration(ts.Nano()), nil
}

// field finds "name: N" in a file of /proc.
func field(file, name string) (int, error) {
	f, err := os.Open(file)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for sc := bufio.NewScanner(f); sc.Scan(); {
		if rest, ok := strings.CutPrefix(sc.Text(), name+":"); ok {
			return strconv.Atoi(words(rest)[0])
		}
	}
	return 0, fmt.Errorf("%s: no %s", file, name)
}

// pss is a process's share of memory in kB: its own pages, and of the pages it
// shares with others its part.
func pss(pid int) (int, error) { return field(fmt.Sprintf("/proc/%d/smaps_rollup", pid), "Pss") }

// threads is how many a process has.
func threads(pid int) (int, error) { return field(fmt.Sprintf("/proc/%d/status", pid), "Threads") }

// switches is how often threads of the process have gone to sleep or were sent
// there.
func switches(pid int) (int, error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil || len(files) == 0 {
		return 0, fmt.Errorf("no threads of %d", pid)
	}
	sum := 0
	for _, f := range files {
		for _, name := range []string{"voluntary_ctxt_switches", "nonvoluntary_ctxt_switches"} {
			n, err := field(f, name)
			if err != nil {
				return 0, err
			}
			sum += n
		}
	}
	return sum, nil
}

// descendants are the processes below pid, and it.
func descendants(pid int) []int {
	parents := make(map[int][]int)
	stats, _ := filepath.Glob("/proc/[0-9]*/status")
	for _, f := range stats {
		parent, err := field(f, "PPid")
		if err != nil {
			continue
		}
		id, _ := strconv.Atoi(filepath.Base(filepath.Dir(f)))
		parents[parent] = append(parents[parent], id)
	}
	all := []int{pid}
	for i := 0; i < len(all); i++ {
		all = append(all, parents[all[i]]...)
	}
	return all
}

// pssTree is the memory of a process and of all below it, in kB.
func pssTree(pid int) int {
	sum := 0
	for _, p := range descendants(pid) {
		n, _ := pss(p) // one may just have ended
		sum += n
	}
	return sum
}
