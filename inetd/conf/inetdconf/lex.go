package inetdconf

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"

	"inetd/inetd/conf"
)

// A word is one field of an entry.
type word struct {
	text   string
	pos    conf.Pos
	quoted bool
}

// A line is one physical line without its line end.
type line struct {
	text []byte
	n    int // from 1
	col  int // bytes of the line before text
}

// lines cuts text at newlines. A carriage return before one is dropped; the
// second result is the first line that had one, 0 if none.
func lines(text []byte) (ls []line, crlf int) {
	for n := 1; len(text) > 0; n++ {
		l, rest, _ := bytes.Cut(text, []byte{'\n'})
		if c := bytes.TrimSuffix(l, []byte{'\r'}); len(c) < len(l) {
			l = c
			if crlf == 0 {
				crlf = n
			}
		}
		ls = append(ls, line{text: l, n: n})
		text = rest
	}
	return ls, crlf
}

func trimLeft(b []byte) []byte { return bytes.TrimLeft(b, " \t") }

func blank(c byte) bool { return c == ' ' || c == '\t' }

// misleading is true for what looks like a blank or a quote and is neither.
func misleading(r rune) bool { return r >= 0x80 && (unicode.IsSpace(r) || r == '“' || r == '”') }

// typeset finds what comes from a page with a text and is not what it looks
// like. It is false where that spoils the entry.
func (p *parser) typeset(w word, n int) bool {
	i := strings.IndexFunc(w.text, misleading)
	if i < 0 {
		return true
	}
	r, _ := utf8.DecodeRuneInString(w.text[i:])
	if unicode.IsSpace(r) && n < len(positions) {
		p.bad = true
		w.pos.Col += i
		p.errs.Errorf(w.pos, "", "%U is no blank: fields stand between spaces or tabs", r)
		return false
	}
	p.errs.Warnf(w.pos, "", "%q has %U in it, which is no blank and no quote", w.text, r)
	return true
}

// split cuts a line into words at blanks. Quotes, single or double, that a word
// begins with keep blanks together and are removed; there is no escape (FreeBSD's
// rule). Behind the second another pair may follow, so that a word can have quotes
// of both kinds in it. A quote within a word, as in don't, is an ordinary character,
// and so is one that has no second on its line, as all are in Debian.
func (p *parser) split(l line) []word {
	words := make([]word, 0, 8)
	var text []byte
	t := l.text
	for i := 0; i < len(t); {
		if blank(t[i]) {
			i++
			continue
		}
		w := word{pos: p.pos(l, i)}
		text = text[:0]
		for i < len(t) && (t[i] == '"' || t[i] == '\'') {
			end := bytes.IndexByte(t[i+1:], t[i])
			if end < 0 {
				p.errs.Warnf(p.pos(l, i), "", "the quote %c has no end on this line: it is taken as it stands", t[i])
				break
			}
			text = append(text, t[i+1:i+1+end]...)
			i += end + 2
			w.quoted = true
		}
		rest := i
		for i < len(t) && !blank(t[i]) {
			i++
		}
		text = append(text, t[rest:i]...)
		if q := min(rest+1, i); bytes.ContainsAny(t[q:i], `"'`) {
			q += bytes.IndexAny(t[q:i], `"'`)
			p.errs.Warnf(p.pos(l, q), "", "the quote %c within a word is taken as it stands: NetBSD and GNU take it for one", t[q])
		}
		if n := bytes.IndexByte(text, 0); n >= 0 {
			p.bad = true
			p.errs.Errorf(w.pos, "", "a word has a NUL byte in it")
			return nil
		}
		w.text = string(text)
		if !w.quoted && !p.typeset(w, len(words)) {
			return nil
		}
		words = append(words, w)
	}
	return words
}
