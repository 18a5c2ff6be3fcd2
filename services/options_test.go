package services

import (
	"strings"
	"testing"
	"time"
)

func TestParseOptions(t *testing.T) {
	t.Parallel()
	all := identOptions + limitOptions
	none := options{idle: -1, life: -1, system: systemName, timeout: identTimeout}
	with := func(f func(*options)) options { o := none; f(&o); return o }
	for _, test := range []struct {
		letters, args string
		want          options
		err           string
	}{
		{all, "", none, ""},
		{all, "auth", none, ""},
		{"", "daytime", none, ""},
		{all, "auth -r -f -n -o UNKNOWN -t 30", with(func(o *options) {
			o.real, o.fakeid, o.noident, o.system, o.timeout = true, true, true, "UNKNOWN", 30*time.Second
		}), ""},
		{all, "-rFidnobody -t1.5", with(func(o *options) {
			o.real, o.fakeid, o.anyname, o.uid, o.fallback, o.timeout = true, true, true, true, "nobody", 1500*time.Millisecond
		}), ""},
		{limitOptions, "echo -I 600 -L0", with(func(o *options) { o.idle, o.life = 10*time.Minute, 0 }), ""},
		{all, "auth -g --", with(func(o *options) { o.garbage = true }), ""},
		{limitOptions, "echo -r", none, "unknown option \"-r\""},
		{all, "auth -x", none, "unknown option \"-x\""},
		{all, "auth -:", none, "unknown option \"-:\""},
		{all, "auth -t", none, "option -t needs a value"},
		{all, "auth -t soon", none, `option -t: "soon" is not a number of seconds`},
		{all, "auth -t -1", none, `option -t: "-1" is not a number of seconds`},
		{all, "auth -t 1e9", none, `option -t: "1e9" is not a number of seconds`},
		{all, "auth -t 99999999999", none, `option -t: "99999999999" is not a number of seconds`},
		{all, "auth -t 0", none, `option -t: "0" is no time to wait`},
		{all, "auth -o a:b", none, `option -o: "a:b" holds a colon`},
		{all, "auth -d a\rb", none, `option -d: "a\rb" holds a byte that is not printable ASCII`},
		{all, "auth -d " + strings.Repeat("x", 33), none, "is not 1 to 32 bytes long"},
		{all, "auth extra", none, `unexpected argument "extra"`},
		{all, "auth -- extra", none, `unexpected argument "extra"`},
		{"", "daytime -I 5", none, "unknown option \"-I\""},
	} {
		got, err := parseOptions(test.letters, strings.FieldsFunc(test.args, func(r rune) bool { return r == ' ' }))
		switch {
		case test.err == "" && (err != nil || got != test.want):
			t.Errorf("parseOptions(%q, %q) = %+v, %v, want %+v", test.letters, test.args, got, err, test.want)
		case test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)):
			t.Errorf("parseOptions(%q, %q) = %v, want %q", test.letters, test.args, err, test.err)
		}
	}
	if err := Lookup("auth").CheckArgs([]string{"auth", "-r", "-I", "5"}); err != nil {
		t.Errorf("CheckArgs = %v", err)
	}
	if err := Lookup("daytime").CheckArgs([]string{"-r"}); err == nil {
		t.Error("CheckArgs(daytime -r) = nil")
	}
}
