//go:build !linux

package services

import "time"

func drain(fd int) (int, error) { return drainInto(fd) }

func wakeLate(fd int) {}

func sinceData(fd int) time.Duration { return 0 }

func queued(fd int) int { return 0 } // nobody knows
