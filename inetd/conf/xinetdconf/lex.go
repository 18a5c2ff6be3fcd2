package xinetdconf

import (
	"strings"

	"inetd/inetd/conf"
)

// A word is one field of a line.
type word struct {
	text string
	pos  conf.Pos
}

// right is the place n bytes further on.
func right(pos conf.Pos, n int) conf.Pos {
	pos.Col += n
	return pos
}

// split cuts a line at blanks and adds its words to ws. There are no quotes,
// escapes or comments behind other words. The positions have columns only.
func split(ws []word, l string) []word {
	for i := 0; i < len(l); {
		if blank(l[i]) {
			i++
			continue
		}
		start := i
		for i < len(l) && !blank(l[i]) {
			i++
		}
		ws = append(ws, word{l[start:i], conf.Pos{Col: start + 1}})
	}
	return ws
}

// blank is isspace(3) within a line.
func blank(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' }

// comment says whether a word looks like the start of a comment, in this
// syntax or another.
func comment(s string) bool {
	return s[0] == '#' || strings.HasPrefix(s, "//") || strings.HasPrefix(s, "/*")
}

// hint says what to do about what looks like a comment.
func hint(ws []word) string {
	for _, w := range ws {
		switch {
		case strings.HasPrefix(w.text, "//"), strings.HasPrefix(w.text, "/*"):
			return " (xinetd.conf has no // comments: a comment is a line that starts with #)"
		case w.text[0] == '#':
			return " (a comment stands on a line of its own)"
		}
	}
	return ""
}

// near says whether a is b with a letter or two wrong, missing or added.
func near(a, b string) bool {
	most := 2
	if len(b) < 6 {
		most = 1
	}
	if d := len(a) - len(b); d < -most || d > most {
		return false
	}
	// Edit distance, one row at a time.
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diag := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := diag
			if a[i-1] != b[j-1] {
				cost++
			}
			diag = row[j]
			row[j] = min(cost, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)] <= most
}
