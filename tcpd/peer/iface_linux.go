package peer

import (
	"syscall"
	"unsafe"
)

// interfaceName is if_indextoname(3), "" if there is none.
func interfaceName(index uint32) string {
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return ""
	}
	defer syscall.Close(fd)
	var req struct { // struct ifreq
		name  [syscall.IFNAMSIZ]byte
		index int32
		_     [20]byte
	}
	req.index = int32(index)
	_, _, e := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), syscall.SIOCGIFNAME, uintptr(unsafe.Pointer(&req)))
	if e != 0 {
		return ""
	}
	for i, c := range req.name {
		if c == 0 {
			return string(req.name[:i])
		}
	}
	return string(req.name[:])
}
