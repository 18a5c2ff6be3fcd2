package libwrap

import (
	"strings"
	"syscall"
)

// interfaceExists reports whether zone names a network interface.
func interfaceExists(zone string) bool {
	if !interfaceName(zone) {
		return false
	}
	if syscall.Access("/sys/class/net/"+zone, 0) == nil {
		return true
	}
	return syscall.Access("/sys/class/net", 0) != nil // no sysfs: believe it
}

// interfaceIndex returns the number of an interface, 0 if it is not known.
func interfaceIndex(zone string) uint32 {
	if !interfaceName(zone) {
		return 0
	}
	b, err := readPath("/sys/class/net/"+zone+"/ifindex", 32)
	if err != nil {
		return 0
	}
	n, _ := scanUint(trim(string(b)), 10)
	return n
}

func interfaceName(zone string) bool {
	return zone != "" && len(zone) <= 15 && zone != "." && zone != ".." && strings.IndexByte(zone, '/') < 0
}
