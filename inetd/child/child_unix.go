//go:build unix

package child

import (
	"io/fs"
	"strconv"

	"golang.org/x/sys/unix"
)

// markCloseOnExec takes the entries of a directory of descriptors.
func markCloseOnExec(fds []fs.DirEntry) error {
	for _, e := range fds {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
	return nil
}
