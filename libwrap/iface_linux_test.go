package libwrap

import (
	"net"
	"os"
	"syscall"
	"testing"
)

// Which addresses may have an interface for a zone is glibc's choice.
func TestParse6Interface(t *testing.T) {
	if _, err := os.Stat("/sys/class/net/lo"); err != nil {
		t.Skip("no loopback interface in sysfs")
	}
	for s, want := range map[string]bool{
		"fe80::1%lo": true, "febf::1%lo": true, "ff01::1%lo": true, "ff02::1%lo": true, "ff11::1%lo": true, "ff12::1%lo": true,
		"ff03::1%lo": false, "ff05::1%lo": false, "fec0::1%lo": false, "2001:db8::1%lo": false, "::1%lo": false,
		"fe80::1%nosuch-q": false, "fe80::1%LO": false, "fe80::1%lo ": false, "fe80::1%..": false, "fe80::1%../net/lo": false,
		"fe80::1%lo:": true, "fe80::1%lo:7": true, "fe80::1%:lo": false, "fe80::1%lo:xxxxxxxxxxxx": true, "fe80::1%lo:xxxxxxxxxxxxx": false,
	} {
		if _, ok := parse6(s); ok != want {
			t.Errorf("parse6(%q) = %v, want %v", s, ok, want)
		}
	}
}

// A client whose address has a zone is asked through that interface.
func TestSockaddrInterface(t *testing.T) {
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		t.Skip(err)
	}
	sa, err := sockaddr("fe80::1%lo", 113)
	if a, ok := sa.(*syscall.SockaddrInet6); !ok || int(a.ZoneId) != lo.Index {
		t.Errorf("sockaddr of an address on lo = %+v, %v, want zone %d", sa, err, lo.Index)
	}
}
