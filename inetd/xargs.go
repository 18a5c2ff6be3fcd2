package main

import (
	"fmt"
	"os"
	"strconv"

	"inetd/inetd/conf"
	"inetd/libwrap/syslog"
)

const xinetdUsage = `usage: xinetd [-d] [-dontfork] [-stayalive] [-f file] [-pidfile file]
              [-limit number] [-syslog facility] [-filelog file]
              [-inetd_compat] [-cc seconds] [-version]
`

// parseXinetdArgs reads the command line of xinetd(8), which is what the
// program has when it is started under that name. Options are whole words.
func parseXinetdArgs(args []string) (*options, error) {
	o := &options{
		asXinetd: true,
		backlog:  128,
		limits:   conf.Limits{Rate: conf.Unlimited, Children: conf.Unlimited, SourceRate: conf.Unlimited, SourceChildren: conf.Unlimited},
	}
	file := "/etc/xinetd.conf"
	var err error
	if o.dir, err = os.Getwd(); err != nil {
		return nil, err
	}
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
		case "-stayalive": // it always does
		case "-inetd_compat":
			o.compat = "/etc/inetd.conf"
		case "-version":
			return nil, errVersion
		case "-f":
			file, err = value()
		case "-pidfile":
			if o.pidFile, err = value(); err == nil {
				o.pidFile = absolute(o.dir, o.pidFile)
			}
		case "-syslog":
			o.facility, err = value()
		case "-filelog":
			if o.logFile, err = value(); err == nil {
				o.logFile = absolute(o.dir, o.logFile)
			}
		case "-limit", "-cc", "-logprocs":
			var v string
			if v, err = value(); err != nil {
				break
			}
			n, nerr := strconv.ParseUint(v, 10, 31)
			if nerr != nil {
				return nil, fmt.Errorf("option %s: %q is not a number", opt, v)
			}
			if opt == "-limit" {
				o.processes = int(n) // the others tell xinetd to watch itself
			}
		default:
			return nil, fmt.Errorf("unknown option %s", opt)
		}
		if err != nil {
			return nil, err
		}
	}
	if _, ok := syslog.ParseFacility(o.facility); !ok && o.facility != "" {
		return nil, fmt.Errorf("option -syslog: %q is not a facility", o.facility)
	}
	o.files = []string{absolute(o.dir, file)}
	return o, nil
}
