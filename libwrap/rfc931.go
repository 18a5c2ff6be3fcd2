package libwrap

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"syscall"
)

// Ident, RFC 1413, once RFC 931: the client's own host says who owns the
// connection. What it says is worth as much as that host.

const (
	identPort  = 113
	maxReply   = 511 // bytes of a reply line that are looked at
	maxUserID  = 255
	identField = "USERID"
)

var errIdent = errors.New("no usable ident reply")

// AskIdent asks an ident server over an open connection which user owns the
// connection between its port rport and our port lport. It reads at most one
// line; whoever opened conn sets the deadline.
func AskIdent(conn io.ReadWriter, rport, lport int) (user string, err error) {
	user, _, err = AskIdentText(conn, rport, lport)
	return user, err
}

// AskIdentText is AskIdent that also returns what stands behind "USERID :" in
// the reply, as it came: the operating system and the name.
func AskIdentText(conn io.ReadWriter, rport, lport int) (user, text string, err error) {
	if _, err := io.WriteString(conn, itoa(rport)+","+itoa(lport)+"\r\n"); err != nil {
		return "", "", err
	}
	buf := make([]byte, 0, maxReply)
	for {
		n, err := conn.Read(buf[len(buf):cap(buf)])
		if n < 0 || n > cap(buf)-len(buf) {
			return "", "", errIdent
		}
		buf = buf[:len(buf)+n]
		if i := strings.IndexByte(string(buf), '\n'); i >= 0 {
			buf = buf[:i]
			break
		}
		if len(buf) == cap(buf) {
			break
		}
		if err != nil {
			return "", "", err
		}
	}
	user, ok := parseIdent(string(buf), rport, lport)
	if !ok {
		return "", "", errIdent
	}
	_, text, _ = strings.Cut(string(buf), identField)
	_, text, _ = strings.Cut(text, ":")
	return user, trim(text), nil
}

// parseIdent reads a reply as the C library's
// sscanf("%u , %u : USERID :%*[^:]:%255s") does. The name ends at the first
// blank.
func parseIdent(s string, rport, lport int) (user string, ok bool) {
	if i := strings.IndexByte(s, 0); i >= 0 {
		s = s[:i]
	}
	for _, f := range [...]struct {
		port int
		end  byte
	}{{rport, ','}, {lport, ':'}} {
		neg, n, over, rest, ok := strtonum(s, 10)
		if neg {
			n = -n
		}
		rest = skipSpace(rest)
		if !ok || over || uint32(n) != uint32(f.port) || rest == "" || rest[0] != f.end {
			return "", false
		}
		s = rest[1:]
	}
	s, ok = strings.CutPrefix(skipSpace(s), identField)
	if !ok {
		return "", false
	}
	if s, ok = strings.CutPrefix(skipSpace(s), ":"); !ok {
		return "", false
	}
	system, s, ok := strings.Cut(s, ":")
	if !ok || system == "" {
		return "", false
	}
	s = skipSpace(s)
	i := 0
	for i < len(s) && i < maxUserID && !isspace(s[i]) {
		i++
	}
	return s[:i], i > 0
}

func skipSpace(s string) string {
	for s != "" && isspace(s[0]) {
		s = s[1:]
	}
	return s
}

// LookupUser implements Lookup.
func (System) LookupUser(ctx context.Context, client, server Endpoint) (string, error) {
	remote, err := sockaddr(client.Addr, identPort)
	if err != nil {
		return "", err
	}
	// Ask from the address the client connected to: its host knows the
	// connection by it.
	local, err := sockaddr(server.Addr, 0)
	if err != nil {
		return "", err
	}
	family := syscall.AF_INET
	if _, ok := remote.(*syscall.SockaddrInet6); ok {
		family = syscall.AF_INET6
	}
	syscall.ForkLock.RLock()
	fd, err := syscall.Socket(family, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return "", err
	}

	type answer struct {
		user string
		err  error
	}
	done := make(chan answer, 1)
	var mu sync.Mutex
	closed := false
	stop := context.AfterFunc(ctx, func() {
		mu.Lock()
		defer mu.Unlock()
		if !closed { // else it is somebody else's by now
			syscall.Shutdown(fd, syscall.SHUT_RDWR)
		}
	})
	go func() {
		var a answer
		if a.err = syscall.Bind(fd, local); a.err == nil {
			if a.err = syscall.Connect(fd, remote); a.err == nil {
				a.user, a.err = AskIdent(FD(fd), client.Port, server.Port)
			}
		}
		stop()
		mu.Lock()
		closed = true
		syscall.Close(fd)
		mu.Unlock()
		done <- a
	}()
	select {
	case a := <-done:
		return a.user, a.err
	case <-ctx.Done():
		// The system may take longer to give up on connecting than we do.
		return "", ctx.Err()
	}
}

// sockaddr makes a socket address of a numeric one.
func sockaddr(addr string, port int) (syscall.Sockaddr, error) {
	addr = unmap(addr)
	if a, ok := inet4(addr); ok {
		return &syscall.SockaddrInet4{Port: port, Addr: [4]byte{byte(a >> 24), byte(a >> 16), byte(a >> 8), byte(a)}}, nil
	}
	a, ok := parse6(addr)
	if !ok {
		return nil, syscall.EAFNOSUPPORT
	}
	return &syscall.SockaddrInet6{Port: port, Addr: a, ZoneId: zoneID(zone(addr))}, nil
}

// zoneID returns the number of a zone, 0 if there is none.
func zoneID(zone string) uint32 {
	if zone == "" {
		return 0
	}
	if n, ok := scanUint(zone, 10); ok {
		return n
	}
	return interfaceIndex(zone)
}
