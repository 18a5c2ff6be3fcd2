package libwrap

import (
	"context"
	"testing"
)

// What a tool shows of a request is what a rule would make of it.
func TestRequestExpand(t *testing.T) {
	r := &Request{Daemon: "in.ftpd", Client: Endpoint{Addr: "10.0.0.1", Port: 7, HasPort: true}, User: "jo$e", PID: 42}
	const text = "%d %a %h %u %c %r %p %% %z"
	got, events := r.Expand(context.Background(), text)
	if want := "in.ftpd 10.0.0.1 10.0.0.1 jo_e jo_e@10.0.0.1 7 42 % "; got != want {
		t.Errorf("Expand(%q) = %q, want %q", text, got, want)
	}
	if len(events) != 1 || events[0].Kind != Log || events[0].Text != "warning: unrecognized %z" {
		t.Errorf("Expand(%q) has events %+v, want one warning of %%z", text, events)
	}
}
