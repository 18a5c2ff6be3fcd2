package tool

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"inetd/libwrap"
)

func TestGetopt(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args     string
		opts     []Option
		operands []string
		err      string
	}{
		{"", nil, nil, ""},
		{"-a -b", []Option{{'a', ""}, {'b', ""}}, nil, ""},
		{"-abix y", []Option{{'a', ""}, {'b', ""}, {'i', "x"}}, []string{"y"}, ""},
		{"x -i y -a z", []Option{{'i', "y"}, {'a', ""}}, []string{"x", "z"}, ""},
		{"-a -- -b", []Option{{'a', ""}}, []string{"-b"}, ""},
		{"x -- y", nil, []string{"x", "y"}, ""},
		{"- -a", []Option{{'a', ""}}, []string{"-"}, ""},
		{"-i --", []Option{{'i', "--"}}, nil, ""},
		{"-ac", nil, nil, "invalid option -- 'c'"},
		{"-:", nil, nil, "invalid option -- ':'"},
		{"-ai", nil, nil, "option requires an argument -- 'i'"},
	} {
		opts, operands, err := Getopt(strings.Fields(tt.args), "abi:")
		text := ""
		if err != nil {
			text = err.Error()
		}
		if !reflect.DeepEqual(opts, tt.opts) || !reflect.DeepEqual(operands, tt.operands) || text != tt.err {
			t.Errorf("Getopt(%q) = %v, %q, %v, want %v, %q, %v", tt.args, opts, operands, err, tt.opts, tt.operands, tt.err)
		}
	}
}

func TestNumeric(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"10.0.0.1": "10.0.0.1", "10.1": "10.0.0.1", "1": "0.0.0.1", "012.0.0.1": "10.0.0.1", "0xa.0.0.1": "10.0.0.1", "10.0.0.01": "10.0.0.1", "167772161": "10.0.0.1", "1.2.65535": "1.2.255.255",
		"255.255.255.255": "255.255.255.255", "2001:DB8::1": "2001:db8::1", "::ffff:10.0.0.1": "::ffff:10.0.0.1", "0": "0.0.0.0",
		"": "", "10.": "", ".1": "", "10.0.0.256": "", "1.2.3.4.5": "", "4294967296": "", "08.0.0.1": "", "0x": "", "a": "", "1.2.3.-4": "", "+1": "", "1_0": "", "0x_1": "",
	} {
		if got, _ := numeric(in); got != want {
			t.Errorf("numeric(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestInetd(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(strings.ReplaceAll(text, "@", dir)), mode); err != nil {
			t.Fatal(err)
		}
	}
	write("tcpd", "", 0o755)
	write("in.ftpd", "", 0o755)
	write("plain", "", 0o644)
	write("more.conf", "c stream tcp nowait root @/tcpd in.ftpd\nd stream tcp nowait root @/tcpd in.dd\n.include more.conf\n", 0o644)
	for _, tt := range []struct {
		text, want string
		daemons    Daemons
	}{
		{"ftp stream tcp nowait root @/tcpd in.ftpd -l\n", "", Daemons{"in.ftpd": Wrapped}},
		{"ftp stream tcp nowait root @/in.ftpd in.FTPD\n", "", Daemons{"in.ftpd": Not}},
		{"ftp stream tcp nowait root @/tcpd @/in.ftpd\n", "", Daemons{"in.ftpd": Wrapped}},
		{"ftp stream tcp nowait root @/tcpd @/in.ftpd in.ftpd\n", "warning: conf, line 1: @/tcpd inserted before @/in.ftpd\n", Daemons{"in.ftpd": Wrapped}},
		{"ftp stream tcp nowait root /nonexistent/x in.ftpd\n", "warning: conf, line 1: /nonexistent/x: not found: No such file or directory\n", Daemons{"in.ftpd": Maybe}},
		{"a stream tcp nowait root @/plain xd\n", "warning: conf, line 1: @/plain: not executable\n", Daemons{"xd": Not}},
		{"\n# x\na stream tcp \\\nnowait root @/tcpd none", "warning: conf, line 3: none: not found in @: No such file or directory\n", Daemons{"none": Wrapped}},
		{"a stream rpc/tcp wait root @/tcpd in.ftpd\n", "warning: conf, line 1: in.ftpd: cannot wrap rpc/tcp services\n", Daemons{"in.ftpd": Wrapped}},
		{"a stream tcp nowait root @/in.ftpd\n", "warning: conf, line 1: incomplete line\n", Daemons{}},
		{"a stream tcp nowait root internal\nb stream\n", "", Daemons{}},
		{".include more.conf\n", "warning: more.conf, line 2: in.dd: not found in @: No such file or directory\n", Daemons{"in.ftpd": Wrapped, "in.dd": Wrapped}},
		{".include none.conf\n", "", Daemons{}},
	} {
		write("conf", tt.text, 0o644)
		var out bytes.Buffer
		r := Report{W: &out}
		got, err := r.Inetd(filepath.Join(dir, "conf"), dir)
		if err != nil {
			t.Fatal(err)
		}
		var lines strings.Builder
		for l := range strings.Lines(out.String()) {
			if !strings.HasSuffix(l, ": world writable\n") { // where temporary files are
				l = strings.NewReplacer(dir+"/conf", "conf", dir+"/more", "more").Replace(l)
				lines.WriteString(strings.ReplaceAll(l, dir, "@"))
			}
		}
		if lines.String() != tt.want || !reflect.DeepEqual(got, tt.daemons) {
			t.Errorf("Inetd(%q) = %v, %q, want %v, %q", tt.text, got, lines.String(), tt.daemons, tt.want)
		}
	}
}

func TestExpand(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	r := Report{W: &out}
	req := &libwrap.Request{Daemon: "d", User: "joe", Client: libwrap.Endpoint{Addr: "10.0.0.1", Name: "a b"}}
	if got, want := r.Expand(t.Context(), req, "%u: %n  (%%n): %z.%d"), "joe: a_b  (%n): .d"; got != want {
		t.Errorf("Expand = %q, want %q", got, want)
	}
	if got, want := out.String(), "warning: unrecognized %z\n"; got != want {
		t.Errorf("Expand printed %q, want %q", got, want)
	}
}
