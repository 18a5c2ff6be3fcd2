package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"inetd/libwrap"
	"inetd/tcpd/tool"
)

// findings examines two tables and returns what there is to say about them,
// the directory shown as nothing.
func findings(t *testing.T, allow, deny string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"allow": allow, "deny": deny} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(strings.ReplaceAll(text, "@DIR@", dir)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	c := checker{
		Report:  &tool.Report{W: &out},
		tables:  &libwrap.Tables{Allow: dir + "/allow", Deny: dir + "/deny"},
		daemons: tool.Daemons{"d": tool.Wrapped, "e": tool.Wrapped},
	}
	c.table(t.Context(), c.tables.Allow, true)
	c.table(t.Context(), c.tables.Deny, false)
	if c.Found != (out.Len() > 0) {
		t.Errorf("Found = %v after %q", c.Found, out.String())
	}
	return strings.ReplaceAll(out.String(), dir+"/", "")
}

func TestFindings(t *testing.T) {
	t.Parallel()
	const denied = ": every client that the rule matches is denied\n"
	for _, tt := range []struct{ name, allow, deny, want string }{
		{"nothing", "# fine\n\nd: 10.0.0.0/8 [2001:db8::]/32 .example.com EXCEPT 10.1.\nALL: @DIR@/none : severity authpriv.info : allow\n", "ALL: ALL\n", ""},
		{"no tables", "", "", ""},

		// Lines.
		{"byte order mark", "\xef\xbb\xbfd: 10.\n", "", "warning: allow, line 1: \xef\xbb\xbfd: no such process name in \n" +
			"allow:1:1: byte order mark: it is part of the first word\n"},
		{"CR LF, once a file", "d: 10.\r\nd: 11.\r\n", "d: 12.\r\n", "allow:1:7: the line ends in CR LF: a backslash before that does not continue it\n" +
			"deny:1:7: the line ends in CR LF: a backslash before that does not continue it\n"},
		{"indented comment", "  # e: 10.\nd: 10.\n", "\t# only words\n", "" +
			"warning: allow, line 1: #: no such process name in \n" +
			"allow:1:3: a comment starts in the first column: this line is none\n" +
			"warning: deny, line 1: missing \":\" separator\n" +
			"deny:1:1: no rule: the line is ignored\n" +
			"deny:1:2: a comment starts in the first column: this line is none\n"},
		{"trailing comment", "d: 10. #.office #.here\n", "", "allow:1:8: a comment starts in the first column of a line: this one is made of patterns\n" +
			"warning: allow, line 1: #.office: host not found\n" +
			"warning: allow, line 1: #.here: host not found\n"},
		{"continued comment", "# old: \\\nd: 10.\ne: 10.\n", "", "allow:2:1: the line belongs to the comment above, which ends in a backslash\n"},
		{"comment over several lines", "# old \\\n# older\ne: 10.\n", "", ""},
		{"NUL", "d: 10.\x00x\n# y\n", "", "warning: allow, line 1: 10.#: host not found\nwarning: allow, line 1: y: host not found\n" +
			"allow:1:7: NUL byte: the rest of the line is lost, and the next line is joined to it\n"},
		{"no final newline", "d: 10.\nd: 11.", "d: 12.", "warning: allow, line 1: missing newline or line too long\n" +
			"allow:2:7: the last line does not end in a newline: this and all later rules are ignored\n" +
			"warning: deny, line 0: missing newline or line too long\n" +
			"deny:1:7: the last line does not end in a newline: everybody who was not allowed before is denied\n"},
		{"backslash at the end", "d: 10. \\\n", "", "warning: allow, line 1: missing newline or line too long\n" +
			"allow:1:9: the last line does not end in a newline: this and all later rules are ignored\n"},
		{"line too long", "d: 10.\nd: 1. \\\n" + strings.Repeat("2. ", 700) + "\nd: 3.\n", "", "warning: allow, line 2: missing newline or line too long\n" +
			"allow:2:1: rule of more than 2047 bytes: this and all later rules are ignored\n"},
		{"no colon in a continued line", "d \\\n10.\n", "", "warning: allow, line 2: missing \":\" separator\n" +
			"allow:1:1: no rule: the line is ignored\n"},

		// Patterns. What they are is told by libwrap, and tested there.
		{"host bits", "d: 10. \\\n 192.168.1.2/24\n", "", "allow:2:2: 192.168.1.2/24: host bits are set, so it never matches: the net is 192.168.1.0\n"},
		{"host bits of IPv6", "d: [2001:db8::1]/32\n", "", "allow:1:4: [2001:db8::1]/32: host bits are ignored\n"},
		{"net of the server", "d@10.0.0.1/8: ALL\n", "", "allow:1:3: 10.0.0.1/8: host bits are set, so it never matches: the net is 10.0.0.0\n"},
		{"addresses, which need no names", "d@192.0.2.1: 192.0.2.7 joe@192.0.2.8 255.255.255.255 1.2.3 10.0.0.256\n", "", "" +
			"allow:1:38: 255.255.255.255: is no address of a client\n" +
			"allow:1:54: 1.2.3: is no complete address: a net needs a trailing dot or a mask\n" +
			"allow:1:60: 10.0.0.256: is no complete address: a net needs a trailing dot or a mask\n"},
		{"length 0", "d: 0.0.0.0/0\n", "", "warning: allow, line 1: 0.0.0.0/0: bad net/mask pattern\n" +
			"allow:1:4: 0.0.0.0/0: bad net/mask pattern: never matches; 0.0.0.0/0.0.0.0 is every IPv4 client\n"},
		{"mask of ones", "d: 10.0.0.1/255.255.255.255\n", "", "warning: allow, line 1: 10.0.0.1/255.255.255.255: bad net/mask pattern\n" +
			"allow:1:4: 10.0.0.1/255.255.255.255: bad net/mask pattern: never matches; write the address alone, or /32\n"},
		{"reserved words as daemons", "KNOWN: 1.\nUNKNOWN: 2.\nlocal: 3.\nParanoid: 4.\n", "", "" +
			"warning: allow, line 1: KNOWN: daemon name may be reserved word\n" +
			"allow:1:1: KNOWN: a reserved word for clients; as a daemon it is as good as ALL\n" +
			"allow:2:1: UNKNOWN: a reserved word for clients; as a daemon it is an ordinary name\n" +
			"warning: allow, line 3: local: daemon name may be reserved word\n" +
			"allow:3:1: local: a reserved word for clients; as a daemon it is an ordinary name\n" +
			"warning: allow, line 4: Paranoid: daemon name may be reserved word\n" +
			"allow:4:1: Paranoid: a reserved word for clients; as a daemon it is an ordinary name\n"},
		{"reserved words as users", "d: LOCAL@1. KNOWN@2. unknown@3. ALL@4.\n", "", "warning: allow, line 1: LOCAL: user name may be reserved word\n" +
			"allow:1:4: LOCAL: a reserved word for hosts; as a user it is an ordinary name\n"},
		{"host file", "d: @DIR@/deny\n", "# 10.1.2.3/8 ALL\n#\t [zz]/1\n", "" +
			"warning: deny, line 1: #: host not found\n" +
			"deny:1:3: 10.1.2.3/8: host bits are set, so it never matches: the net is 10.0.0.0\n" +
			"warning: deny, line 2: #: host not found\n" +
			"warning: deny, line 2: [zz]/1: bad net/mask pattern\n" +
			"deny:2:4: [zz]/1: bad net/mask pattern\n"},
		{"host file that names itself", "d: @DIR@/deny\n", "# 10.\n# @DIR@/deny\n", "" +
			"warning: deny, line 1: #: host not found\n" +
			"warning: deny, line 2: #: host not found\n" +
			"deny:2:3: deny: the file names itself: every client that the rule matches is denied\n"},
		{"host file of bytes", "d: @DIR@/deny\n", "#\x00\n#\n", "allow:1:4: deny: the file is not text\n" +
			"deny:1:2: NUL byte: the rest of the line is lost, and the next line is joined to it\n"},
		{"no host file", "d: @DIR@/none\n", "", ""},

		// Bare IPv6.
		{"bare IPv6", "d: 2001:db8::1 : allow\n", "", "" +
			"allow:1:4: 2001:db8::1: IPv6 addresses need brackets, or the first colon ends them: [2001:db8::1]\n" +
			"allow:1:4: the rule matches no client\n"},
		{"bare IPv6 that ends in colons", "d: 2001:db8::\nd: ALL EXCEPT x@2001:db8::\n", "", "" +
			"allow:1:4: 2001:db8::: IPv6 addresses need brackets, or the first colon ends them: [2001:db8::]\n" +
			"allow:1:4: the rule matches no client\n" +
			"allow:2:17: 2001:db8::: IPv6 addresses need brackets, or the first colon ends them: [2001:db8::]\n" +
			"allow:2:17: every client that the rule matches is denied\n"},
		{"bare IPv6 nets", "d: ::/0\nALL:2405:8100::/32\nALL: joe@2405:8101::/32\nALL: 2405:8102::/32: severity loud\n", "", "" +
			"allow:1:4: ::/0: IPv6 addresses need brackets, or the first colon ends them: [::]/0\n" +
			"allow:1:4: the rule matches no client\n" +
			"allow:2:5: 2405:8100::/32: IPv6 addresses need brackets, or the first colon ends them: [2405:8100::]/32\n" +
			"allow:2:5: the rule matches no client\n" +
			"allow:3:10: 2405:8101::/32: IPv6 addresses need brackets, or the first colon ends them: [2405:8101::]/32\n" +
			"allow:3:10: the rule matches no client\n" +
			"allow:4:6: 2405:8102::/32: IPv6 addresses need brackets, or the first colon ends them: [2405:8102::]/32\n" +
			"allow:4:6: the rule matches no client\n" +
			"allow:4:22: bad syslog facility or severity: \"loud\"" + denied},
		// The first of fe80::1 is a host's name.
		{"bare IPv6 among others", "d: 10. 2001:db8::1, 2001:db8::2\ne: fe80::1\n", "", "" +
			"allow:1:8: 2001:db8::1: IPv6 addresses need brackets, or the first colon ends them: [2001:db8::1]\n" +
			"allow:1:21: 2001:db8::2: IPv6 addresses need brackets, or the first colon ends them: [2001:db8::2]\n" +
			"allow:1:8" + denied +
			"allow:2:4: fe80::1: IPv6 addresses need brackets, or the first colon ends them: [fe80::1]\n" +
			"allow:2:4" + denied},
		{"IPv6 in an option", "d: 10.0.0.1: setenv ADDR fe80::2\n", "", "" +
			"error: allow, line 1: missing option name\n" +
			"allow:1:31: missing option name" + denied +
			"allow:1:32: bad option name: \"2\"" + denied},

		// Options.
		{"option errors", "d: ALL: bogus: umask 8: severity loud\nd: 10.: linger: allow\n", "", "" +
			"error: allow, line 1: bad option name: \"bogus\"\n" +
			"allow:1:9: bad option name: \"bogus\"" + denied +
			"allow:1:16: bad umask value: \"8\"" + denied +
			"allow:1:25: bad syslog facility or severity: \"loud\"" + denied +
			"error: allow, line 2: option \"linger\" requires value\n" +
			"allow:2:9: option \"linger\" requires value" + denied +
			"allow:2:1: never reached: line 1 of allow matches first\n"},
		{"colon at the end", "d: 10.:\n", "", "error: allow, line 1: missing option name\n" +
			"allow:1:8: missing option name" + denied},
		{"unknown user", "d: 10.: keepalive: user no-such-user-xyz: allow\n", "", "error: allow, line 1: unknown user: \"no-such-user-xyz\"\n" +
			"allow:1:20: unknown user: \"no-such-user-xyz\"" + denied},
		{"setenv", "d: 10.: setenv A=b\n", "", "allow:1:9: setenv: \"A=b\" is no name of a variable" + denied},
		{"unrecognized", "d: 10.: setenv A %a: spawn echo %z\n", "", "warning: allow, line 1: unrecognized %z\n" +
			"allow:1:22: unrecognized %z\n"},
		{"banners", "d: 10.: nice: banners /nonexistent/dir\n", "", "warning: allow, line 1: /nonexistent/dir: No such file or directory\n" +
			"allow:1:15: /nonexistent/dir: No such file or directory\n"},
		{"twist is no complaint", "d: 10.: twist echo %a\n", "", ""},

		// Shadows.
		{"same rule", "d: 10.\ne: 10.\nd: 10.\n", "", "allow:3:1: never reached: line 1 of allow matches first\n"},
		{"wider rule", "ALL: 10.\nd: [2001:db8::]/32\nd: 10.0.0.0/24\nd: [2001:db8:1::]/48\n", "", "" +
			"allow:3:1: never reached: line 1 of allow matches first\n" +
			"allow:4:1: never reached: line 2 of allow matches first\n"},
		{"several clients", "d: 10. .example.com\nd: 10.1. .www.example.com\nd: 10.1. 11.\n", "", "allow:2:1: never reached: line 1 of allow matches first\n"},
		{"exceptions hide nothing", "d: 10. EXCEPT 10.1.\nd: 10.1.\n", "", ""},
		{"the other table", "ALL: ALL\n", "d: 10.\n", "deny:1:1: never reached: line 1 of allow matches first\n"},
		{"aclexec lets through", "d: ALL: aclexec true\n", "d: 10.\n", ""},
		{"aclexec before lets through", "d: ALL: aclexec true\nALL: ALL\n", "d: 10.\n", ""},
		{"aclexec behind does not", "ALL: ALL\nd: ALL: aclexec true\n", "d: 10.\n", "allow:2:1: never reached: line 1 of allow matches first\n" +
			"deny:1:1: never reached: line 1 of allow matches first\n"},
		{"case of hosts", "d@127.0.0.1: ROOT@localhost EXCEPT 10.\nd@127.0.0.1: root@LOCALHOST EXCEPT 10.\n", "", "allow:2:1: never reached: line 1 of allow matches first\n"},
		{"case of file names", "d: ALL@/nonexistent/A\nd: ALL@/nonexistent/a\ne@/nonexistent/A: ALL\ne@/nonexistent/a: ALL\n", "", ""},
		{"matches nothing", "d: 10.0.0.1/8\nd: 10.0.0.1/8\n", "", "" +
			"allow:1:4: 10.0.0.1/8: host bits are set, so it never matches: the net is 10.0.0.0\n" +
			"allow:2:4: 10.0.0.1/8: host bits are set, so it never matches: the net is 10.0.0.0\n"},
		{"narrower first", "d: 10.0.0.0/24\nd: 10.0.0.0/8\nALL: 10.\n", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := findings(t, tt.allow, tt.deny); got != tt.want {
				t.Errorf("findings(%q, %q) =\n%s\nwant\n%s", tt.allow, tt.deny, got, tt.want)
			}
		})
	}
}

// TestShadowsAgree holds the index against a comparison of every rule with
// every earlier one.
func TestShadowsAgree(t *testing.T) {
	t.Parallel()
	words := []string{"ALL", "10.", "10.1.", "10.0.0.0/8", "10.1.0.0/16", "10.1.0.0/255.255.0.0", "10.1.2.3", "10.0.0.0/255.0.255.0", "[::1]", "[2001:db8::]/32", "[2001:db8:1::]/48", "[2001:db8:1::5]",
		".example.com", ".b.example.com", "a.b.example.com", "*.example.com", "u@10.", "ALL@10.1.", "KNOWN", "LOCAL", "/f", "@g", "10.1.2.0/24 11.", "12. 10.1.", "10. EXCEPT 10.1."}
	daemons := []string{"ALL", "d", "e", "d e", "d*", "22", "d@10."}
	file := filepath.Join(t.TempDir(), "table")
	seed := uint32(1)
	pick := func(list []string) string {
		seed = seed*1664525 + 1013904223
		return list[int(seed>>8)%len(list)]
	}
	for range 200 {
		var text strings.Builder
		for range 30 {
			text.WriteString(pick(daemons) + ": " + pick(words) + "\n")
		}
		if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		table, err := libwrap.ReadTable(file)
		if err != nil {
			t.Fatal(err)
		}
		var s shadows
		for i, r := range table.Rules {
			want := 0
			for _, e := range table.Rules[:i] {
				if e.Hides(r) {
					want = e.First
					break
				}
			}
			got := 0
			if by := s.add(r, true); by != nil {
				got = by.First
			}
			if got != want {
				t.Fatalf("line %d is hidden by %d, want %d, in\n%s", r.First, got, want, text.String())
			}
		}
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	conf := filepath.Join(dir, "inetd.conf")
	if err := os.WriteFile(conf, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args   []string
		status int
		stderr string
	}{
		{[]string{"-i", dir + "/none"}, 1, "open " + dir + "/none: No such file or directory\n"},
		{[]string{"-x"}, 1, "tcpdchk: invalid option -- 'x'\nusage: tcpdchk [-a]"},
		{[]string{"-i"}, 1, "tcpdchk: option requires an argument -- 'i'\nusage: tcpdchk [-a]"},
	} {
		var stdout, stderr bytes.Buffer
		got := run(append([]string{"tcpdchk"}, tt.args...), &stdout, &stderr)
		if got != tt.status || !strings.HasPrefix(stderr.String(), tt.stderr) {
			t.Errorf("run(%q) = %d, %q, want %d, %q", tt.args, got, stderr.String(), tt.status, tt.stderr)
		}
	}
}
