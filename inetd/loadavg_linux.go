package main

import (
	"os"
	"strconv"
	"strings"
)

// loadavg is the load average of the last minute. The file is the kernel's, so
// reading it does not wait for a disk.
func loadavg() (float64, error) {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0, err
	}
	one, _, _ := strings.Cut(string(text), " ")
	return strconv.ParseFloat(one, 64)
}
