//go:build !linux

package peer

import "net"

// interfaceName is if_indextoname(3), "" if there is none.
func interfaceName(index uint32) string {
	i, err := net.InterfaceByIndex(int(index))
	if err != nil {
		return ""
	}
	return i.Name
}
