//go:build !linux

package services

func drain(fd int) (int, error) { return drainInto(fd) }

func wakeLate(fd int) {}
