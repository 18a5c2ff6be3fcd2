//go:build linux || openbsd || dragonfly || solaris || aix

package libwrap

import "syscall"

func makeStamp(st *syscall.Stat_t) stamp {
	return stamp{
		regular: st.Mode&syscall.S_IFMT == syscall.S_IFREG,
		dev:     uint64(st.Dev), ino: uint64(st.Ino), size: st.Size,
		mtime: [2]int64{int64(st.Mtim.Sec), int64(st.Mtim.Nsec)},
		ctime: [2]int64{int64(st.Ctim.Sec), int64(st.Ctim.Nsec)},
	}
}
