package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// setZone has the local time be that of TZ where it is no file's name but a
// rule, as CET-1CEST,M3.5.0,M10.5.0/3 or UTC+5. Go takes that for UTC.
func setZone() error {
	tz := strings.TrimPrefix(os.Getenv("TZ"), ":")
	if tz == "" {
		return nil
	}
	if filepath.IsAbs(tz) {
		_, err := os.Stat(tz)
		return err
	}
	if _, err := time.LoadLocation(tz); err == nil {
		return nil // Go has found it
	}
	loc, err := parseZone(tz)
	if err == nil {
		time.Local = loc
	}
	return err
}

// parseZone reads a rule by the only way there is into package time's parser:
// as the last line of a zone file of RFC 8536, which says how it goes on after
// all that the file has. There is nothing else in this one but a zone without
// a name, since a file must have one; it shows when the line was not
// understood.
func parseZone(rule string) (*time.Location, error) {
	const (
		counts = "\x00\x00\x00\x00" + "\x00\x00\x00\x00" + "\x00\x00\x00\x00" + "\x00\x00\x00\x00" + "\x00\x00\x00\x01" + "\x00\x00\x00\x01" // of zones and bytes of names 1, else 0
		zone   = "\x00\x00\x00\x00" + "\x00" + "\x00" + "\x00"                                                                               // offset, not summer, index of the name; the name
	)
	part := "TZif2" + strings.Repeat("\x00", 15) + counts + zone // with times of 32 bits, and again of 64
	loc, err := time.LoadLocationFromTZData("Local", []byte(part+part+"\n"+rule+"\n"))
	if err == nil {
		if name, _ := time.Unix(0, 0).In(loc).Zone(); name != "" {
			return loc, nil
		}
	}
	return nil, fmt.Errorf("%q is neither a zone's name nor a rule", rule)
}
