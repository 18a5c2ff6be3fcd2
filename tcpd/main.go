// Tcpd stands between inetd and a server: it asks hosts.allow and hosts.deny
// whether the client may come in, logs the answer, and becomes the server.
//
// It runs once for every connection, so all that it imports is weighed: with
// package os alone it takes noticeably longer to start. See TestImports.
package main

import (
	"context"
	"strconv"
	"strings"
	"syscall"
	"time"
	_ "unsafe" // for go:linkname

	"inetd/libwrap"
	"inetd/libwrap/syslog"
	"inetd/tcpd/peer"
)

// Set by the linker; see the Makefile.
var (
	hostsAllow     = libwrap.DefaultAllow
	hostsDeny      = libwrap.DefaultDeny
	realDaemonDir  = "/usr/sbin"
	syslogFacility = "authpriv"

	// patience is how long, in seconds, tcpd stays when it serves nobody on a
	// socket that inetd goes on reading: inetd would start it again at once.
	patience = "5"
)

// maxAsking bounds what a client's name servers can have this process wait for.
const maxAsking = time.Minute

// The socket that inetd hands over.
const stdin = 0

// args is what os.Args is made from. Package os sets up much else.
//
//go:linkname args os.runtime_args
func args() []string

func main() { run(args()) }

// run returns when the client got no server. The exit status is 0 even then:
// everything has been logged, and inetd has nothing to add.
func run(argv []string) {
	syscall.Umask(0o022)
	path, name := daemon(argv[0])
	facility, ok := syslog.ParseFacility(syslogFacility)
	if !ok {
		facility = syslog.Authpriv
	}
	log := syslog.New(name, facility)

	sock, err := peer.Of(stdin)
	if err != nil {
		log.Print(syslog.Err, "warning: "+err.Error())
	}
	if sock.Server.Addr == "" { // no socket at all
		if _, err := syscall.Getsockname(stdin); err != nil {
			log.Print(syslog.Err, "getpeername: "+libwrap.Strerror(err))
			leave(&sock)
			return
		}
	}
	req := sock.Request(name)
	if sock.IPv4 {
		fixOptions(stdin, req.ClientInfo(), log)
	}

	tables := libwrap.Tables{Allow: hostsAllow, Deny: hostsDeny}
	ctx, cancel := context.WithTimeout(context.Background(), maxAsking)
	defer cancel()
	v := tables.Check(ctx, req)
	p := libwrap.Performer{Conn: libwrap.FD(stdin), Log: func(pri syslog.Priority, text string) { log.Print(pri, text) }, Self: true}
	err = p.Perform(context.Background(), v)
	who := req.ClientInfo() + " (" + addr(&req.Client) + ")"
	if err != nil || !v.Allowed {
		log.Print(v.DenySeverity, "refused connect from "+who)
		refuse(&sock)
		return
	}
	log.Print(v.AllowSeverity, "connect from "+who)
	if isSelf(path) {
		log.Print(syslog.Err, "error: "+path+" would start itself: name the server behind it")
		leave(&sock)
		return
	}
	argv[0] = name
	err = syscall.Exec(path, argv, syscall.Environ())
	log.Print(syslog.Err, "error: cannot execute "+path+": "+libwrap.Strerror(err))
	leave(&sock)
}

// daemon says what argv[0] asks for: an absolute path is taken as it is and
// loses its directory, a name is looked for in one directory only.
func daemon(argv0 string) (path, name string) {
	if strings.HasPrefix(argv0, "/") {
		return argv0, argv0[strings.LastIndexByte(argv0, '/')+1:]
	}
	return realDaemonDir + "/" + argv0, argv0
}

// isSelf says whether path is this program, which would go round for ever. Other
// systems than Linux do not tell.
func isSelf(path string) bool {
	var there, here syscall.Stat_t
	return syscall.Stat(path, &there) == nil && syscall.Stat("/proc/self/exe", &here) == nil &&
		there.Dev == here.Dev && there.Ino == here.Ino
}

func addr(e *libwrap.Endpoint) string {
	if e.Addr == "" {
		return "unknown"
	}
	return e.Addr
}

// refuse ends a request that was not granted. A connection is simply closed, one
// that the client has reset and that has no peer any more as well: to wait
// would let strangers fill the process table.
func refuse(sock *peer.Socket) {
	option := func(name int) int {
		v, err := syscall.GetsockoptInt(stdin, syscall.SOL_SOCKET, name)
		if err != nil {
			return -1
		}
		return v
	}
	switch option(syscall.SO_TYPE) {
	case syscall.SOCK_STREAM, syscall.SOCK_SEQPACKET:
		if option(syscall.SO_ACCEPTCONN) == 0 {
			return
		}
	}
	leave(sock)
}

// leave takes away the datagram that nobody served, or inetd would find it
// again, and waits.
func leave(sock *peer.Socket) {
	if sock.Unread {
		peer.Drop(stdin)
	}
	sec, err := strconv.Atoi(patience)
	if err != nil {
		sec = 5
	}
	time.Sleep(time.Duration(sec) * time.Second)
}
