// Package errtext words errors the way strerror(3) does, which is how the
// messages of the tcp wrappers have always ended.
package errtext

import (
	"errors"
	"syscall"
)

// Of returns the text of the system error in err, with the capital letter
// that the syscall package takes from it; the text of err if there is none.
func Of(err error) string {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return err.Error()
	}
	s := errno.Error()
	if s != "" && 'a' <= s[0] && s[0] <= 'z' {
		return string(s[0]-'a'+'A') + s[1:]
	}
	return s
}
