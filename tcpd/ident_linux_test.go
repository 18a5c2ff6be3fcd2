package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"runtime"
	"syscall"
	"testing"
	"unsafe"
)

// TestIdent asks an ident server on its own port, in a network of its own:
//
//	client 127.0.0.1 ---------> 127.0.0.1 tcpd
//	ident  127.0.0.1:113 <----- asks, for a second at most
//
// One that says nothing takes no longer than the rule allows. That needs a
// timer while everything else waits in system calls, so it is tried with the
// runtime of lean.sh too.
func TestIdent(t *testing.T) {
	t.Parallel()
	needLive(t)
	for _, prog := range []string{"tcpd", "lean"} {
		for _, tt := range []struct {
			name   string
			answer string
			from   string
		}{
			{"answers", "%s : USERID : UNIX : joe\r\n", "joe@127.0.0.1"},
			{"error", "%s : ERROR : NO-USER\r\n", "127.0.0.1"},
			{"silent", "", "127.0.0.1"},
		} {
			t.Run(prog+" "+tt.name, func(t *testing.T) {
				t.Parallel()
				path := program(t, prog)
				if !exists(path) {
					t.Skip("lean.sh does not know this runtime")
				}
				// Not unlocked: the thread ends with this goroutine, and its
				// network with the sockets.
				runtime.LockOSThread()
				if err := ownNetwork(); err != nil {
					t.Skipf("no network namespace: %v", err)
				}
				ln, err := net.Listen("tcp4", "127.0.0.1:113")
				if err != nil {
					t.Fatal(err)
				}
				defer ln.Close()
				go func() {
					c, err := ln.Accept()
					if err != nil {
						return
					}
					defer c.Close()
					query, _ := bufio.NewReader(c).ReadString('\n')
					if tt.answer != "" {
						fmt.Fprintf(c, tt.answer, query[:max(0, len(query)-2)])
						return
					}
					c.Read(make([]byte, 1)) // until tcpd gives up
				}()
				client, server := endpoints(t, "tcp4")
				c := &liveCase{argv: []string{"@D@"}, files: map[string]string{"allow": "ALL: ALL: rfc931 1\n", "deny": "", "svc": "exit 4\n"}}
				got := c.startOn(t, path, client, server).finish(t, "tcp4")
				diff(t, got, []string{"= status=4", "<", "+ <86>svc[PID] connect from " + tt.from + " (127.0.0.1)"})
			})
		}
	}
}

// ownNetwork gives this thread a network that has only a loopback.
func ownNetwork() error {
	if err := syscall.Unshare(syscall.CLONE_NEWNET); err != nil {
		return err
	}
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	req := struct { // struct ifreq
		name  [syscall.IFNAMSIZ]byte
		flags uint16
		_     [22]byte
	}{flags: syscall.IFF_UP | syscall.IFF_LOOPBACK | syscall.IFF_RUNNING}
	copy(req.name[:], "lo")
	if _, _, e := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), syscall.SIOCSIFFLAGS, uintptr(unsafe.Pointer(&req))); e != 0 {
		return os.NewSyscallError("SIOCSIFFLAGS", e)
	}
	return nil
}
