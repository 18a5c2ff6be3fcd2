package main

import (
	"fmt"
	"strings"
)

// getopt reads POSIX options: letters may be joined (-di), an argument may
// follow its letter at once (-R40), -- ends them. spec has a colon after each
// letter that takes an argument.
func getopt(args []string, spec string, set func(letter byte, arg string) error) (rest []string, err error) {
	takesArg := make(map[byte]bool)
	for i := range len(spec) {
		if spec[i] != ':' {
			takesArg[spec[i]] = i+1 < len(spec) && spec[i+1] == ':'
		}
	}
	for len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' {
		letters := args[0][1:]
		args = args[1:]
		if letters == "-" {
			break
		}
		if word, long := strings.CutPrefix(letters, "-"); long {
			return nil, longOption(word)
		}
		for len(letters) > 0 {
			c := letters[0]
			letters = letters[1:]
			wants, known := takesArg[c]
			if !known {
				return nil, fmt.Errorf("unknown option -%c", c)
			}
			var arg string
			if wants {
				if arg = letters; arg == "" {
					if len(args) == 0 {
						return nil, fmt.Errorf("option -%c takes an argument", c)
					}
					arg, args = args[0], args[1:]
				}
				letters = ""
			}
			if err := set(c, arg); err != nil {
				return nil, fmt.Errorf("option -%c: %w", c, err)
			}
		}
	}
	return args, nil
}

// longOption is the error of an option of inetutils: it says which of ours is
// meant.
func longOption(word string) error {
	word, _, _ = strings.Cut(word, "=")
	for _, o := range []struct{ long, short string }{{"rate", "-R"}, {"pidfile", "-p"}, {"debug", "-d"}, {"version", "-V"}, {"environment", ""}, {"resolve", ""}} {
		switch {
		case word == "" || !strings.HasPrefix(o.long, word):
		case o.short == "":
			return fmt.Errorf("option --%s of inetutils is not known here", o.long)
		default:
			return fmt.Errorf("there are no long options: --%s is %s here", o.long, o.short)
		}
	}
	return fmt.Errorf("there are no long options: --%s", word)
}
