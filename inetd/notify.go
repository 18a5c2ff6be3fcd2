package main

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"time"
)

// A notifier tells a service manager how the daemon does, in the protocol of
// sd_notify(3): lines of NAME=value in a datagram. nil tells nobody.
type notifier struct {
	conn  net.Conn      // kept: a daemon out of descriptors still says that it lives
	every time.Duration // between signs of life; 0 is none
}

const notifyEnv = "NOTIFY_SOCKET"

// newNotifier takes what the service manager said out of the environment: it
// is for the daemon, and no server should speak in its name.
func newNotifier() (*notifier, error) {
	name := os.Getenv(notifyEnv)
	usec, err := strconv.ParseUint(os.Getenv("WATCHDOG_USEC"), 10, 53)
	if pid := os.Getenv("WATCHDOG_PID"); err != nil || pid != "" && pid != strconv.Itoa(os.Getpid()) {
		usec = 0
	}
	for _, name := range []string{notifyEnv, "WATCHDOG_USEC", "WATCHDOG_PID"} {
		os.Unsetenv(name)
	}
	if name == "" {
		return nil, nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", notifyEnv, err)
	}
	return &notifier{conn, time.Duration(usec) * time.Microsecond / 2}, nil
}

// send waits no longer than the loop can spare: a manager that stands still
// notices nothing anyway.
func (n *notifier) send(text string) {
	if n != nil {
		n.conn.SetWriteDeadline(time.Now().Add(time.Second))
		n.conn.Write([]byte(text))
	}
}

func (n *notifier) ready()    { n.send("READY=1") }
func (n *notifier) stopping() { n.send("STOPPING=1") }

// reloading is over with the next ready.
func (n *notifier) reloading() {
	n.send(fmt.Sprintf("RELOADING=1\nMONOTONIC_USEC=%d", monotonic()))
}

// sayAlive gives signs of life from inside the loop, so that they end when it
// is stuck.
func (s *server) sayAlive() {
	if s.notify == nil || s.notify.every == 0 {
		return
	}
	s.notify.send("WATCHDOG=1")
	s.after(s.notify.every, s.sayAlive)
}
