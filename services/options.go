package services

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// options is the argument field of an internal service, read. What the field
// does not say keeps the value it had.
type options struct {
	idle, life time.Duration // -I, -L

	// auth
	real     bool          // -r: look the owner up
	uid      bool          // -i: answer with the number
	noident  bool          // -n: ~/.noident hides
	fakeid   bool          // -f: ~/.fakeid names
	anyname  bool          // -F: even the name of another user
	garbage  bool          // -g: random names
	fallback string        // -d: the name when there is none
	system   string        // -o: the operating system field
	timeout  time.Duration // -t
}

// parseOptions reads args as getopt(3) would: letters may be joined, a value
// may follow its letter directly or as the next word, "--" ends the options.
func parseOptions(letters string, args []string) (options, error) {
	o := options{idle: -1, life: -1, system: systemName, timeout: identTimeout}
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		args = args[1:] // argv[0]
	}
	for len(args) > 0 {
		word := args[0]
		args = args[1:]
		if word == "--" {
			break
		}
		if len(word) < 2 || word[0] != '-' {
			return o, fmt.Errorf("unexpected argument %q", word)
		}
		for i := 1; i < len(word); i++ {
			at := strings.IndexByte(letters, word[i])
			if word[i] == ':' || at < 0 {
				return o, fmt.Errorf("unknown option %q", "-"+word[i:i+1])
			}
			value := ""
			if strings.HasPrefix(letters[at+1:], ":") {
				if value = word[i+1:]; value == "" {
					if len(args) == 0 {
						return o, fmt.Errorf("option -%c needs a value", word[i])
					}
					value, args = args[0], args[1:]
				}
			}
			if err := o.set(word[i], value); err != nil {
				return o, fmt.Errorf("option -%c: %w", word[i], err)
			}
			if value != "" {
				break
			}
		}
	}
	if len(args) > 0 {
		return o, fmt.Errorf("unexpected argument %q", args[0])
	}
	return o, nil
}

func (o *options) set(letter byte, value string) (err error) {
	switch letter {
	case 'I':
		o.idle, err = seconds(value)
	case 'L':
		o.life, err = seconds(value)
	case 't':
		if o.timeout, err = seconds(value); err == nil && o.timeout == 0 {
			err = fmt.Errorf("%q is no time to wait", value)
		}
	case 'd':
		o.fallback, err = value, printable(value, maxIdentName)
	case 'o':
		o.system, err = value, printable(value, maxIdentName)
		if err == nil && strings.Contains(value, ":") {
			err = fmt.Errorf("%q holds a colon", value)
		}
	case 'r':
		o.real = true
	case 'i':
		o.uid = true
	case 'n':
		o.noident = true
	case 'f':
		o.fakeid = true
	case 'F':
		o.fakeid, o.anyname = true, true
	case 'g':
		o.garbage = true
	}
	return err
}

// seconds reads a decimal number of seconds, at most a year.
func seconds(s string) (time.Duration, error) {
	if strings.Trim(s, "0123456789.") != "" {
		return 0, fmt.Errorf("%q is not a number of seconds", s)
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f > 366*24*3600 {
		return 0, fmt.Errorf("%q is not a number of seconds", s)
	}
	return time.Duration(f * float64(time.Second)), nil
}

// printable refuses what could break a reply's line or the reader's terminal.
func printable(s string, most int) error {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return fmt.Errorf("%q holds a byte that is not printable ASCII", s)
		}
	}
	if s == "" || len(s) > most {
		return fmt.Errorf("%q is not 1 to %d bytes long", s, most)
	}
	return nil
}
