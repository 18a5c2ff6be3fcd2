package main

import (
	"strings"
	"testing"
)

// FuzzLayout looks at texts that need not be tables. Places lie in the file,
// in order.
func FuzzLayout(f *testing.F) {
	for _, s := range []string{"", "d: 10.\n", "# a\\\nd: [::1]\n", "\xef\xbb\xbf #x\r\n", "a\x00b", "d: u@2001:db8::1/32: allow\n", strings.Repeat("x \\\n", 1000)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		l := lay("f", []byte(s))
		if got := strings.Join(l.text, "\n"); got != strings.TrimSuffix(s, "\n") {
			t.Errorf("lay(%q) has the text %q", s, got)
		}
		at := 0
		for _, o := range l.odd {
			if o.pos.Line < at || o.pos.Line > len(l.text) || o.pos.Col < 1 || o.pos.Col > len(l.text[o.pos.Line-1])+1 {
				t.Errorf("lay(%q) found %q at %v", s, o.text, o.pos)
			}
			at = o.pos.Line
		}
		if pos, _ := l.broken(); pos.Line > len(l.text) {
			t.Errorf("broken of %q = %v", s, pos)
		}
		for n := range len(l.text) {
			if first := l.first(n + 1); first < 1 || first > n+1 {
				t.Errorf("first(%d) of %q = %d", n+1, s, first)
			}
		}
		for _, w := range strings.Fields(s) {
			if off, addr, ok := findIPv6(w); ok && (addr == "" || !strings.HasPrefix(w[off:], addr)) {
				t.Errorf("findIPv6(%q) = %d, %q", w, off, addr)
			}
		}
	})
}
