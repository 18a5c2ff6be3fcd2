# What our tools do and Debian's do not. The format is told in tools_test.go.

case match-brackets
cmd tcpdmatch -d -i inetd.conf cat joe@[2001:db8::1]
file hosts.allow
|cat: joe@[2001:db8::]/32
file hosts.deny
|ALL: ALL
file inetd.conf
rc 0
1 warning: cat: no such process name in inetd.conf
1 client:   address  2001:db8::1
1 client:   username joe
1 server:   process  cat
1 matched:  hosts.allow line 1
1 access:   granted

case match-user-keeps-identity
note the C tool changes its own identity, and fails at the second change
cmd tcpdmatch -d -i inetd.conf cat 10.0.0.1
file hosts.allow
|cat: ALL: user nobody: group daemon: user root
file hosts.deny
file inetd.conf
rc 0
1 warning: cat: no such process name in inetd.conf
1 client:   address  10.0.0.1
1 server:   process  cat
1 matched:  hosts.allow line 1
1 option:   user nobody
1 option:   group daemon
1 option:   user root
1 access:   granted

case match-twist
cmd tcpdmatch -d -i inetd.conf cat 10.0.0.1
file hosts.allow
|cat: ALL: twist /bin/echo %a
file inetd.conf
rc 0
1 warning: cat: no such process name in inetd.conf
1 client:   address  10.0.0.1
1 server:   process  cat
1 matched:  hosts.allow line 1
1 option:   twist /bin/echo 10.0.0.1
1 access:   delegated

case match-aclexec-not-run
cmd tcpdmatch -d -i inetd.conf cat 10.0.0.1
file hosts.allow
|cat: ALL: aclexec exit 1
file hosts.deny
|ALL: ALL
file inetd.conf
rc 0
1 warning: cat: no such process name in inetd.conf
1 client:   address  10.0.0.1
1 server:   process  cat
1 matched:  hosts.allow line 1
1 option:   aclexec exit 1
1 access:   granted

case match-options-anywhere
cmd tcpdmatch cat -d 10.0.0.1 -iinetd.conf
file hosts.allow
file inetd.conf
rc 0
1 warning: cat: no such process name in inetd.conf
1 client:   address  10.0.0.1
1 server:   process  cat
1 access:   granted

case match-missing-argument
cmd tcpdmatch cat 10.0.0.1 -i
rc 1
2 @TOOL@: option requires an argument -- 'i'
2 usage: @TOOL@ [-d] [-i inet_conf] daemon[@host] [user@]host
2 	-d: use allow/deny files in current directory
2 	-i: location of inetd.conf file

case match-host-not-found
cmd tcpdmatch -d -i inetd.conf cat nosuch.invalid
file inetd.conf
rc 1
1 warning: cat: no such process name in inetd.conf
1 warning: nosuch.invalid: host not found

case match-empty-host
cmd tcpdmatch -d -i inetd.conf cat joe@
file inetd.conf
rc 1
1 warning: cat: no such process name in inetd.conf
1 warning: : host not found

case chk-quiet
cmd tcpdchk -d -i inetd.conf -q
file hosts.allow
|cat: 10.1.2.3/8
file inetd.conf
rc 1

case chk-quiet-fine
cmd tcpdchk -q -d -i inetd.conf
file hosts.allow
|sshd: 10.0.0.0/8
file inetd.conf
rc 0

case chk-operand
cmd tcpdchk x
rc 1
2 usage: @TOOL@ [-a] [-d] [-i inet_conf] [-v]
2 	-a: report rules with implicit "ALLOW" at end
2 	-d: use allow/deny files in current directory
2 	-i: location of inetd.conf file
2 	-v: list all rules
