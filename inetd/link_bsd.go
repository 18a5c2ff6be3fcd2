//go:build unix && !linux

package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// readLink says where a symbolic link leads and whose it is.
func readLink(name string) (to string, owner uint32, err error) {
	var st unix.Stat_t
	if err := unix.Lstat(name, &st); err != nil {
		return "", 0, err
	}
	to, err = os.Readlink(name)
	return to, st.Uid, err
}
