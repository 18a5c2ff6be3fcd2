package main

import (
	"errors"
	"fmt"
	"math"
	"strconv"

	"inetd/inetd/conf"
	"inetd/libwrap/syslog"
)

const xinetdUsage = `usage: xinetd [-d] [-dontfork] [-stayalive] [-f file] [-pidfile file]
              [-limit number] [-syslog facility | -filelog file]
              [-inetd_compat] [-inetd_ipv6] [-cc seconds] [-version]
              [-logprocs number] [-shutdownprocs number] [-reuse]
`

// parseXinetdArgs reads the command line of xinetd(8), which is what the
// program has when it is started under that name. Options are whole words. As
// in xinetd, one that is none stops nobody: init scripts have those of every
// release there was.
func parseXinetdArgs(args []string) (*options, error) {
	o := &options{
		asXinetd: true,
		backlog:  defaultBacklog,
		limits:   conf.Limits{Rate: conf.Unlimited, Children: conf.Unlimited, SourceRate: conf.Unlimited, SourceChildren: conf.Unlimited},
	}
	file := "/etc/xinetd.conf"
	var err error
	for len(args) > 0 {
		opt := args[0]
		args = args[1:]
		value := func() (string, error) {
			if len(args) == 0 {
				return "", fmt.Errorf("option %s takes an argument", opt)
			}
			v := args[0]
			args = args[1:]
			return v, nil
		}
		switch opt {
		case "-d":
			o.debug, o.foreground, o.stderr = true, true, true
		case "-dontfork":
			o.foreground = true
		case "-stayalive", "-reuse": // it always does
		case "-inetd_ipv6": // tcp and udp mean both families anyway
		case "-inetd_compat":
			o.compat = "/etc/inetd.conf"
		case "-version":
			return nil, errVersion
		case "-f":
			file, err = value()
		case "-pidfile":
			if o.pidFile, err = value(); err == nil {
				o.pidFile, err = o.absolute(o.pidFile)
			}
		case "-syslog":
			o.facility, err = value()
		case "-filelog":
			if o.logFile, err = value(); err == nil {
				o.logFile, err = o.absolute(o.logFile)
			}
		case "-shutdownprocs":
			_, err = value()
			o.warn("option %s has no effect", opt)
		case "-limit", "-cc", "-logprocs":
			var v string
			if v, err = value(); err != nil {
				break
			}
			n, nerr := strconv.ParseInt(v, 10, 64)
			if nerr != nil || n < 0 && opt == "-cc" {
				return nil, fmt.Errorf("option %s: %q is not a number", opt, v)
			}
			if opt == "-limit" { // the others tell xinetd to watch itself
				o.processes = int(min(max(n, 0), math.MaxInt32)) // -1 is none
			}
		default:
			if len(opt) < 2 || opt[0] != '-' {
				return nil, fmt.Errorf("%q: expected an option", opt)
			}
			o.warn("unknown option %s is ignored", opt)
		}
		if err != nil {
			return nil, err
		}
	}
	if o.facility != "" && o.logFile != "" {
		return nil, errors.New("-syslog and -filelog exclude each other")
	}
	if _, ok := syslog.ParseFacility(o.facility); !ok && o.facility != "" {
		o.warn("option -syslog: %q is not a facility: daemon is used", o.facility)
		o.facility = ""
	}
	if file, err = o.absolute(file); err != nil {
		return nil, err
	}
	o.files = []string{file}
	return o, nil
}
