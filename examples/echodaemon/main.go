// Echodaemon is echoserver as a daemon: it gives the shell its prompt back and
// goes on serving with no terminal, whatever becomes of the session it was
// started from.
//
//	echodaemon [address]
//
// In C a daemon detaches like this:
//
//	fork, the parent exits     the shell has its prompt back, and the child
//	                           is sure not to lead a process group
//	setsid                     new session, new group, no terminal
//	fork, the parent exits     only the leader of a session can be given a
//	                           terminal when it opens one; the leader is gone,
//	                           so nobody here can, ever
//	chdir "/"                  no file system is kept from being unmounted
//	umask 022                  files get known modes
//	0, 1, 2 on /dev/null       a stray printf cannot hit a socket or a file
//
// Go has no fork: a Go program has many threads, and fork copies only one of
// them. So each stage starts this program anew and tells it by an environment
// variable how far things have come; setsid, chdir and the descriptors are set
// by the system between fork and exec.
package main

import (
	"errors"
	"fmt"
	"io"
	"log"
	"log/syslog"
	"net"
	"os"
	"os/exec"
	"syscall"
	"time"
)

const stage = "ECHODAEMON_STAGE"

func main() {
	log.SetFlags(0)
	log.SetPrefix("echodaemon: ")
	var err error
	switch os.Getenv(stage) {
	case "":
		err = start()
	case "leader":
		err = leader()
	case "daemon":
		err = daemon()
	default:
		err = errors.New("unknown " + stage)
	}
	if err != nil {
		log.Fatal(err)
	}
}

// start is what the user runs. It opens the socket while there still is a
// terminal, so that "address already in use" reaches somebody.
func start() error {
	address := "localhost:5000"
	switch len(os.Args) {
	case 1:
	case 2:
		address = os.Args[1]
	default:
		return errors.New("usage: echodaemon [address]")
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		return err
	}

	// The shell, or make, may have left us files the daemon must not keep
	// open. Go's own are close-on-exec already.
	for fd := 3; fd < 1024; fd++ {
		syscall.CloseOnExec(fd)
	}
	cmd, err := self("leader", f)
	if err != nil {
		return err
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Stderr = os.Stderr
	pid, err := cmd.Output() // returns when the leader has exited
	if err != nil {
		return err
	}
	fmt.Printf("pid %s, listening on %v\n", pid, l.Addr())
	return nil
}

// leader leads the new session. It lives just long enough to start a process
// that does not.
func leader() error {
	cmd, err := self("daemon", os.NewFile(3, "listener"))
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	fmt.Print(cmd.Process.Pid)
	return nil
}

// daemon is what remains.
func daemon() error {
	os.Unsetenv(stage)
	syscall.Umask(0o022)
	log.SetOutput(io.Discard)
	if w, err := syslog.New(syslog.LOG_DAEMON|syslog.LOG_NOTICE, "echodaemon"); err == nil {
		log.SetOutput(w)
		log.SetPrefix("")
	}
	f := os.NewFile(3, "listener")
	l, err := net.FileListener(f)
	if err != nil {
		return err
	}
	f.Close() // l has its own copy
	log.Printf("listening on %v", l.Addr())
	return serve(l)
}

// self prepares this program to run again in "/", with the listening socket as
// descriptor 3 and, as long as the caller says nothing else, /dev/null as 0, 1
// and 2.
func self(next string, listener *os.File) (*exec.Cmd, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(path)
	cmd.Env = append(os.Environ(), stage+"="+next)
	cmd.Dir = "/"
	cmd.ExtraFiles = []*os.File{listener}
	return cmd, nil
}

// serve and echo are those of echoserver.
func serve(l net.Listener) error {
	for {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return err
		}
		if err != nil {
			log.Print(err)
			time.Sleep(100 * time.Millisecond)
			continue
		}
		go echo(conn)
	}
}

func echo(conn net.Conn) {
	defer conn.Close()
	if _, err := io.Copy(conn, conn); err != nil {
		log.Printf("%v: %v", conn.RemoteAddr(), err)
	}
}
