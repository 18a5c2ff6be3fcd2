package main

import "golang.org/x/sys/unix"

// readLink says where a symbolic link leads and whose it is, both of one link,
// whatever is put in its place meanwhile.
func readLink(name string) (to string, owner uint32, err error) {
	fd, err := unix.Open(name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", 0, err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return "", 0, err
	}
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(fd, "", buf)
	return string(buf[:max(n, 0)]), st.Uid, err
}
