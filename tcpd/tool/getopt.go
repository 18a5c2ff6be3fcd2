package tool

import (
	"fmt"
	"strings"
)

// An Option is one letter of the command line, with its argument if it takes
// one.
type Option struct {
	Letter byte
	Arg    string
}

// Getopt is getopt(3) as GNU has it: operands may stand among the options, and
// "--" ends them. letters are the options known, a colon after each that takes
// an argument. The error is worded like getopt's, without the program's name.
func Getopt(args []string, letters string) (opts []Option, operands []string, err error) {
	for len(args) > 0 {
		a := args[0]
		args = args[1:]
		if a == "--" {
			break
		}
		if len(a) < 2 || a[0] != '-' {
			operands = append(operands, a)
			continue
		}
		for a = a[1:]; a != ""; {
			o := Option{Letter: a[0]}
			a = a[1:]
			i := strings.IndexByte(letters, o.Letter)
			if i < 0 || o.Letter == ':' {
				return nil, nil, fmt.Errorf("invalid option -- '%c'", o.Letter)
			}
			if i+1 < len(letters) && letters[i+1] == ':' {
				switch {
				case a != "":
					o.Arg, a = a, ""
				case len(args) > 0:
					o.Arg, args = args[0], args[1:]
				default:
					return nil, nil, fmt.Errorf("option requires an argument -- '%c'", o.Letter)
				}
			}
			opts = append(opts, o)
		}
	}
	return opts, append(operands, args...), nil
}
