package libwrap

import (
	"strings"
	"syscall"
)

// interfaceExists reports whether zone names a network interface.
func interfaceExists(zone string) bool {
	zone, ok := interfaceName(zone)
	if !ok {
		return false
	}
	if syscall.Access("/sys/class/net/"+zone, 0) == nil {
		return true
	}
	return syscall.Access("/sys/class/net", 0) != nil // no sysfs: believe it
}

// interfaceIndex returns the number of an interface, 0 if it is not known.
func interfaceIndex(zone string) uint32 {
	zone, ok := interfaceName(zone)
	if !ok {
		return 0
	}
	b, err := readPath("/sys/class/net/"+zone+"/ifindex", 32)
	if err != nil {
		return 0
	}
	n, _ := scanUint(trim(string(b)), 10)
	return n
}

// interfaceName returns the interface that if_nametoindex(3) would look for:
// to the kernel "eth0:1" is an alias of eth0.
func interfaceName(zone string) (string, bool) {
	name, _, _ := strings.Cut(zone, ":")
	return name, len(zone) <= 15 && name != "" && name != "." && name != ".." && strings.IndexByte(name, '/') < 0
}
