package inetdconf

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"inetd/inetd/conf"
)

// FuzzParse: no panic, every place is inside the file, what is a service prints
// as a line that is the same service, and errors and services of a file do not
// depend on how often it is read.
func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/*.conf", "testdata/netbsd.d/*.conf", "../../../examples/inetd.conf"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			f.Fatalf("no seeds in %s: %v", pattern, err)
		}
		for _, name := range files {
			text, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(text)
			// The lines that are comments in the files as they are shipped.
			f.Add(bytes.ReplaceAll(text, []byte("\n#"), []byte("\n")))
			for line := range bytes.Lines(text) {
				f.Add(line)
			}
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		// One level of .include brings the file itself, as an include loop, and
		// another.
		src := Source{
			Glob: func(string) ([]string, error) { return []string{"f", "g"}, nil },
			ReadFile: func(name string) ([]byte, error) {
				if name == "g" {
					return []byte("echo stream tcp nowait root internal\n.include f\n"), nil
				}
				return nil, os.ErrNotExist
			},
		}
		services, errs := Parse("f", text, env, src)
		lines := strings.Split(string(text), "\n")
		inside := func(p conf.Pos, what any) {
			t.Helper()
			switch {
			case p.File == "g":
			case p.File != "f", p.Line < 0, p.Line > len(lines), p.Col < 0, p.Col > 0 && p.Line == 0,
				p.Line > 0 && p.Col > len(lines[p.Line-1])+1:
				t.Fatalf("%v of %v is not in the file %q", p, what, text)
			}
		}
		for _, e := range errs {
			inside(e.Pos, e)
			if strings.TrimSpace(e.Err.Error()) == "" {
				t.Errorf("%v: an error without a reason", e.Pos)
			}
		}
		for _, s := range services {
			inside(s.Pos, s.Label())
			if s.Pos.Line == 0 {
				t.Errorf("%s has no line", s.Label())
			}
			if s.Off && s.Socktype == 0 { // it could not be read
				continue
			}
			line := Format(s)
			again, errs := Parse("f", []byte(line), env, Source{})
			if errs.Errors() > 0 || len(again) != 1 {
				t.Fatalf("Parse(Format(%+v)) = %d services, %v, from %q", s, len(again), errs, line)
			}
			want := *s
			want.Pos, again[0].Pos = conf.Pos{}, conf.Pos{}
			if !reflect.DeepEqual(*again[0], want) {
				t.Fatalf("Parse(Format(s)) = %+v, want %+v, from %q", *again[0], want, line)
			}
			if s.Key() != again[0].Key() || s.Label() != again[0].Label() {
				t.Fatalf("key %q and label %q became %q and %q", s.Key(), s.Label(), again[0].Key(), again[0].Label())
			}
		}
	})
}
