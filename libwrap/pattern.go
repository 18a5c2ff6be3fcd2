package libwrap

import "strconv"

func itoa(n int) string { return strconv.Itoa(n) }

// lower folds one ASCII letter, as tolower(3) does in the C locale.
func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

// equalFold is strcasecmp(3) in the C locale.
func equalFold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

// ExplainHost says why a host pattern never matches, or not what it seems to,
// as a phrase that follows "PATTERN: ". It returns "" if nothing is odd.
func ExplainHost(pattern string) string { return "" }
