package main

import (
	"os"
	"strings"
	"testing"
	"time"
)

func TestParseZone(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ rule, utc, want string }{
		{"CET-1CEST,M3.5.0,M10.5.0/3", "2026-01-15T12:00:00Z", "2026-01-15 13:00:00 CET"},
		{"CET-1CEST,M3.5.0,M10.5.0/3", "2026-07-15T12:00:00Z", "2026-07-15 14:00:00 CEST"},
		{"CET-1CEST,M3.5.0,M10.5.0/3", "2026-03-29T00:59:59Z", "2026-03-29 01:59:59 CET"},
		{"CET-1CEST,M3.5.0,M10.5.0/3", "2026-03-29T01:00:00Z", "2026-03-29 03:00:00 CEST"},
		{"CET-1CEST,M3.5.0,M10.5.0/3", "2026-10-25T01:00:00Z", "2026-10-25 02:00:00 CET"},
		{"AEST-10AEDT,M10.1.0,M4.1.0/3", "2026-01-15T12:00:00Z", "2026-01-15 23:00:00 AEDT"},
		{"EST5EDT", "2026-07-15T12:00:00Z", "2026-07-15 08:00:00 EDT"},
		{"UTC+5", "2026-01-15T12:00:00Z", "2026-01-15 07:00:00 UTC"},
		{"UTC0", "2026-01-15T12:00:00Z", "2026-01-15 12:00:00 UTC"},
		{"<+0330>-3:30", "2026-01-15T12:00:00Z", "2026-01-15 15:30:00 +0330"},
		{"KST-9", "2050-01-15T12:00:00Z", "2050-01-15 21:00:00 KST"},
		{"Nowhere/City", "", ""},
		{"CET", "", ""},
		{"X-1", "", ""},
		{"5", "", ""},
		{"", "", ""},
	} {
		loc, err := parseZone(tt.rule)
		if tt.want == "" || err != nil {
			if tt.want != "" || err == nil {
				t.Errorf("parseZone(%q) = %v, %v", tt.rule, loc, err)
			}
			continue
		}
		at, err := time.Parse(time.RFC3339, tt.utc)
		if err != nil {
			t.Fatal(err)
		}
		if got := at.In(loc).Format("2006-01-02 15:04:05 MST"); got != tt.want {
			t.Errorf("%s in %q = %s, want %s", tt.utc, tt.rule, got, tt.want)
		}
	}
}

// daytime says the time of the rule in TZ.
func TestZoneRule(t *testing.T) {
	t.Parallel()
	p := freePort(t)
	dir := t.TempDir()
	cmd := command("-d", "-p", dir+"/pid")
	cmd.Env = append(os.Environ(), "TZ=<+1130>-11:30")
	startIn(t, dir, in("%d stream tcp nowait $me internal daytime\n", p), cmd)
	said, err := ask("tcp", local(p), "")
	if err != nil {
		t.Fatal(err)
	}
	got, err := time.Parse(time.ANSIC, strings.TrimRight(said, "\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	if d := time.Until(got) - (11*time.Hour + 30*time.Minute); d.Abs() > patience {
		t.Errorf("daytime with TZ eleven and a half hours east is %v from that", d)
	}

	dir = t.TempDir()
	cmd = command("-d", "-p", dir+"/pid")
	cmd.Env = append(os.Environ(), "TZ=Nowhere/City")
	d := startIn(t, dir, "", cmd)
	d.log.wait(t, 0, `TZ: "Nowhere/City" is neither a zone's name nor a rule`)
}
