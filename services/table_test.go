package services

import "testing"

func TestLookup(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]struct {
		official         string
		stream, datagram bool
	}{
		"echo": {"echo", true, true}, "discard": {"discard", true, true}, "sink": {"discard", true, true},
		"null": {"discard", true, true}, "chargen": {"chargen", true, true}, "ttytst": {"chargen", true, true},
		"source": {"chargen", true, true}, "daytime": {"daytime", true, true}, "time": {"time", true, true},
		"timserver": {"time", true, true}, "tcpmux": {"tcpmux", true, false}, "auth": {"auth", true, false},
		"ident": {"auth", true, false},
	} {
		b := Lookup(name)
		if b == nil || b.Name != want.official || b.HasStream() != want.stream || b.HasDatagram() != want.datagram {
			t.Errorf("Lookup(%q) = %v, want %+v", name, b, want)
		}
	}
	for _, name := range []string{"", "ECHO", "ftp", "7"} {
		if b := Lookup(name); b != nil {
			t.Errorf("Lookup(%q) = %v, want nil", name, b.Name)
		}
	}
}
