package services

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// auth is RFC 1413 with the options of FreeBSD's built-in.
const (
	identOptions    = "d:fFgino:rt:"
	identTimeout    = 10 * time.Second
	maxIdentLine    = 1000 // RFC 1413, section 6, bytes with the end of line
	maxIdentName    = 32   // longest name of an option or a file
	maxIdentAccount = 512  // longest of an account: RFC 1413, section 6
)

// The error tokens of RFC 1413, section 4.
const (
	identInvalid = "INVALID-PORT"
	identNoUser  = "NO-USER"
	identHidden  = "HIDDEN-USER"
	identUnknown = "UNKNOWN-ERROR"
)

// systemName is what uname(3) calls the system.
var systemName = func() string {
	switch runtime.GOOS {
	case "freebsd":
		return "FreeBSD"
	case "openbsd":
		return "OpenBSD"
	case "netbsd":
		return "NetBSD"
	case "dragonfly":
		return "DragonFly"
	}
	return strings.ToUpper(runtime.GOOS[:1]) + runtime.GOOS[1:]
}()

// An Account is what ident has to know about a user.
type Account struct {
	Name     string
	UID, GID uint32
	Home     string
}

// Users finds accounts, and gives up when until is there. The error is
// ErrNoAccount when there is none; with any other error the user is hidden.
type Users interface {
	ByUID(uid uint32, until time.Time) (Account, error)
	ByName(name string, until time.Time) (Account, error)
}

// ErrNoAccount is the error of Users for a uid or name nobody has.
var ErrNoAccount = errors.New("no such account")

// errNoOwner is the error of owner when there is no such connection here.
var errNoOwner = errors.New("no such connection")

// ident is RFC 1413 on a stream: one request is read and answered.
func ident(c *Conn) error {
	o, err := c.start(identOptions + limitOptions)
	if err != nil {
		return err
	}
	if o.real && !o.garbage && c.Users == nil {
		return errors.New("option -r: there is no Conn.Users to ask")
	}
	// The time for the request is a limit on the whole conversation, the look
	// at accounts and at the user's files included.
	if c.Life <= 0 || c.Life > o.timeout {
		c.Life = o.timeout
		if err := c.startClocks(); err != nil {
			return err
		}
	}
	line, err := c.readLine(maxIdentLine)
	if err != nil {
		return err
	}
	answer := identAnswer(c, &o, line)
	if err := c.startClocks(); err != nil { // finding it may have taken all the time
		return err
	}
	_, err = c.Write(answer)
	return err
}

// readLine reads up to and including LF, or until the peer closes its side, at
// most limit bytes; a longer line is returned as far as it goes. Whatever comes
// behind the line is lost.
func (c *Conn) readLine(limit int) ([]byte, error) {
	var line []byte
	for len(line) < limit {
		b, n, err := c.read()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		part := b.data[:n]
		if i := bytes.IndexByte(part, '\n'); i >= 0 {
			part = part[:i+1]
		}
		line = append(line, part[:min(len(part), limit-len(line))]...)
		done := line[len(line)-1] == '\n'
		b.give()
		if done {
			break
		}
	}
	return line, nil
}

// identAnswer returns the reply to a request line, CRLF included.
func identAnswer(c *Conn, o *options, line []byte) []byte {
	local, remote, ok := parseIdent(line)
	if !ok {
		return identError(0, 0, identInvalid)
	}
	name, token := identName(c, o, local, remote)
	if token != "" {
		return identError(local, remote, token)
	}
	return append(appendPorts(nil, local, remote), " : USERID : "+o.system+" : "+name+"\r\n"...)
}

func identError(local, remote uint16, token string) []byte {
	return append(appendPorts(nil, local, remote), " : ERROR : "+token+"\r\n"...)
}

func appendPorts(dst []byte, local, remote uint16) []byte {
	dst = strconv.AppendUint(dst, uint64(local), 10)
	dst = append(dst, " , "...)
	return strconv.AppendUint(dst, uint64(remote), 10)
}

// parseIdent reads "port-on-server , port-on-client CRLF". Blanks may stand
// anywhere but inside a number; a bare LF, or the end of what the client sends,
// ends the line as well.
func parseIdent(line []byte) (local, remote uint16, ok bool) {
	line = bytes.TrimSuffix(line, []byte("\n"))
	line = bytes.TrimSuffix(line, []byte("\r"))
	a, b, found := bytes.Cut(line, []byte(","))
	if !found {
		return 0, 0, false
	}
	local, ok1 := parsePort(a)
	remote, ok2 := parsePort(b)
	if !ok1 || !ok2 {
		return 0, 0, false
	}
	return local, remote, true
}

func parsePort(s []byte) (uint16, bool) {
	s = bytes.Trim(s, " \t")
	if len(s) > 5 {
		return 0, false
	}
	n := 0
	for _, b := range s {
		if b < '0' || b > '9' {
			return 0, false
		}
		n = n*10 + int(b-'0')
	}
	return uint16(n), 0 < n && n <= 65535
}

// identName decides what name belongs to a connection, or which error token to
// send instead. The order of the questions is FreeBSD's.
func identName(c *Conn, o *options, local, remote uint16) (name, token string) {
	switch {
	case o.garbage:
		return randomName(), ""
	case !o.real && o.fallback == "":
		return "", identHidden
	case !o.real:
		return o.fallback, ""
	}
	here, there, err := c.addrs()
	var uid uint32
	if err == nil {
		uid, err = owner(netip.AddrPortFrom(here.Addr(), local), netip.AddrPortFrom(there.Addr(), remote))
	}
	switch {
	case err == nil:
	case o.fallback != "":
		return o.fallback, ""
	case errors.Is(err, errNoOwner):
		return "", identNoUser
	default:
		return "", identUnknown
	}

	acct, err := c.Users.ByUID(uid, c.end)
	switch {
	case err == nil:
	case !errors.Is(err, ErrNoAccount):
		return "", identUnknown
	case o.uid: // and no home to hide in
		return strconv.FormatUint(uint64(uid), 10), ""
	case o.fallback != "":
		return o.fallback, ""
	default:
		return "", identNoUser
	}
	if name = acct.Name; o.uid {
		name = strconv.FormatUint(uint64(uid), 10)
	}
	if o.noident || o.fakeid {
		hidden, fake, err := askFiles(acct, o, c.end)
		if err != nil || hidden {
			return "", identHidden
		}
		if fake != "" && (o.anyname || !taken(c.Users, fake, o.uid, c.end)) {
			name = fake
		}
	}
	if printable(name, maxIdentAccount) != nil {
		return "", identUnknown
	}
	return name, ""
}

// taken reports whether name is somebody's name, or somebody's number where
// numbers are given out. When it cannot be found out, it is.
func taken(users Users, name string, numbers bool, until time.Time) bool {
	if numbers {
		uid, err := strconv.ParseUint(name, 10, 32)
		if err != nil {
			return !errors.Is(err, strconv.ErrSyntax)
		}
		_, err = users.ByUID(uint32(uid), until)
		return !errors.Is(err, ErrNoAccount)
	}
	_, err := users.ByName(name, until)
	return !errors.Is(err, ErrNoAccount)
}

func randomName() string {
	const base36 = "0123456789abcdefghijklmnopqrstuvwxyz"
	name := make([]byte, 16)
	for i := range name {
		name[i] = base36[rand.IntN(len(base36))]
	}
	return string(name)
}

// addrs returns both ends of the connection, IPv4 as IPv4, the zone of a
// link-local address as its interface number.
func (c *Conn) addrs() (local, remote netip.AddrPort, err error) {
	var lsa, rsa syscall.Sockaddr
	cerr := c.rc.Control(func(fd uintptr) {
		if lsa, err = syscall.Getsockname(int(fd)); err == nil {
			rsa, err = syscall.Getpeername(int(fd))
		}
	})
	if err = errors.Join(cerr, err); err != nil {
		return local, remote, err
	}
	local, remote = addrPort(lsa), addrPort(rsa)
	if !local.IsValid() || !remote.IsValid() {
		return local, remote, syscall.EAFNOSUPPORT
	}
	return local, remote, nil
}

func addrPort(sa syscall.Sockaddr) netip.AddrPort {
	switch sa := sa.(type) {
	case *syscall.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *syscall.SockaddrInet6:
		a := netip.AddrFrom16(sa.Addr).Unmap()
		if sa.ZoneId != 0 {
			a = a.WithZone(strconv.FormatUint(uint64(sa.ZoneId), 10))
		}
		return netip.AddrPortFrom(a, uint16(sa.Port))
	}
	return netip.AddrPort{}
}
