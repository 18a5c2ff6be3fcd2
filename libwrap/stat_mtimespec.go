//go:build darwin || freebsd || netbsd

package libwrap

import "syscall"

func makeStamp(st *syscall.Stat_t) stamp {
	return stamp{
		regular: st.Mode&syscall.S_IFMT == syscall.S_IFREG,
		dev:     uint64(st.Dev), ino: uint64(st.Ino), size: st.Size,
		mtime: [2]int64{int64(st.Mtimespec.Sec), int64(st.Mtimespec.Nsec)},
		ctime: [2]int64{int64(st.Ctimespec.Sec), int64(st.Ctimespec.Nsec)},
	}
}
