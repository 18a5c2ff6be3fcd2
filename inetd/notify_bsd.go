//go:build unix && !linux

package main

// monotonic: no service manager of these systems asks.
func monotonic() int64 { return 0 }
