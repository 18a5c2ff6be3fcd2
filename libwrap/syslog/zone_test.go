package syslog

import (
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestZoneOffset(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	known, all := 0, 0
	filepath.WalkDir("/usr/share/zoneinfo", func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil || len(b) < 4 || string(b[:4]) != "TZif" {
			return nil
		}
		loc, err := time.LoadLocationFromTZData(path, b)
		if err != nil {
			return nil
		}
		if rel, _ := filepath.Rel("/usr/share/zoneinfo", path); strings.HasPrefix(rel, "right/") {
			return nil // counts leap seconds
		}
		for range 200 {
			unix := r.Int64N(4e9) - 1e8
			all++
			got, ok := zoneOffset(b, unix)
			if !ok {
				continue
			}
			known++
			if _, want := time.Unix(unix, 0).In(loc).Zone(); got != want {
				t.Errorf("%s at %d: offset %d, want %d", path, unix, got, want)
				return nil
			}
		}
		return nil
	})
	if all == 0 {
		t.Skip("no /usr/share/zoneinfo")
	}
	if known < all/2 {
		t.Errorf("%d of %d moments were known", known, all)
	}
}

func FuzzZone(f *testing.F) {
	if b, err := os.ReadFile("/usr/share/zoneinfo/Europe/Berlin"); err == nil {
		f.Add(b, int64(1.7e9))
	}
	f.Fuzz(func(t *testing.T, b []byte, unix int64) { zoneOffset(b, unix) })
}
