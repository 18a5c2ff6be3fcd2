package tool

// SplitAt cuts s at the first sep that is not in brackets. As in libwrap, an
// unbalanced bracket of either kind hides every later one.
func SplitAt(s string, sep byte) (before, after string, found bool) {
	depth := 0
	for i := range len(s) {
		switch c := s[i]; {
		case c == '[':
			depth++
		case c == ']':
			depth--
		case c == sep && depth == 0:
			return s[:i], s[i+1:], true
		}
	}
	return s, "", false
}

// SplitHost cuts "name@host" at the first @ after the first byte, so that a
// netgroup stays whole.
func SplitHost(s string) (name, host string, found bool) {
	if s == "" {
		return "", "", false
	}
	name, host, found = SplitAt(s[1:], '@')
	return s[:1+len(name)], host, found
}
