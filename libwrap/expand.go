package libwrap

import "context"

// maxExpansion is the longest an expanded option value may be, in bytes.
const maxExpansion = 8190

// safe reports whether a byte of an expansion may be given to a shell. This
// is the one place where what a client supplies is made harmless.
func safe(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	}
	switch c {
	case '!', '@', '%', '-', '_', '=', '+', ':', ',', '.', '/':
		return true
	}
	return false
}

// makeSafe replaces every other byte by an underscore, in place: the C
// library cleans the string it holds, so later patterns and log lines see it
// cleaned too.
func makeSafe(s *string) string {
	for i := range len(*s) {
		if !safe((*s)[i]) {
			b := []byte(*s)
			for ; i < len(b); i++ {
				if !safe(b[i]) {
					b[i] = '_'
				}
			}
			*s = string(b)
			break
		}
	}
	return *s
}

// Expand replaces the %-sequences of text by what is known of r, cleaned as for
// a shell, and looks up what is not known yet: %n, %N and %u. The events are
// the messages. It is what tools show of a request with.
func (r *Request) Expand(ctx context.Context, text string) (string, []Event) {
	d := newDecision(ctx, new(Tables), r)
	out := d.expand(text, maxExpansion)
	return out, d.v.Events
}

// expand replaces the % sequences of hosts_access(5). A result of more than
// max bytes ends the decision with a denial.
func (d *decision) expand(s string, max int) string {
	var out []byte
	r := d.r
	for i := 0; i < len(s); i++ {
		var x string
		if s[i] != '%' || i+1 == len(s) {
			x = s[i : i+1]
		} else {
			i++
			switch s[i] {
			case 'a':
				x = makeSafe(r.Client.addr())
			case 'A':
				x = makeSafe(r.Server.addr())
			case 'c':
				x = d.clientInfo()
			case 'd':
				x = makeSafe(&r.Daemon)
			case 'h':
				x = makeSafe(r.Client.info())
			case 'H':
				x = makeSafe(r.Server.info())
			case 'n':
				d.hostName(&r.Client)
				x = makeSafe(&r.Client.Name)
			case 'N':
				d.hostName(&r.Server)
				x = makeSafe(&r.Server.Name)
			case 'p':
				x = itoa(r.PID)
			case 'r':
				x = r.Client.port()
			case 'R':
				x = r.Server.port()
			case 's':
				x = d.serverInfo()
			case 'u':
				d.user()
				x = makeSafe(&r.User)
			case '%':
				x = "%"
			default:
				d.warn("unrecognized %" + s[i:i+1])
			}
		}
		if d.stop() {
			return ""
		}
		if len(out)+len(x) > max {
			d.warn("percent_x: expansion too long: " + string(out[:min(30, len(out))]) + "...")
			d.finish(false)
			return ""
		}
		out = append(out, x...)
	}
	return string(out)
}

// clientInfo is ClientInfo, cleaned. A bare host is cleaned where it is kept.
func (d *decision) clientInfo() string {
	if s := d.r.ClientInfo(); s != *d.r.Client.info() {
		return makeSafe(&s)
	}
	return makeSafe(d.r.Client.info())
}

// serverInfo is ServerInfo, cleaned likewise.
func (d *decision) serverInfo() string {
	if s := d.r.ServerInfo(); s != d.r.Daemon {
		return makeSafe(&s)
	}
	return makeSafe(&d.r.Daemon)
}

// port returns the port for %r and %R.
func (e *Endpoint) port() string {
	if !e.HasPort {
		return "0"
	}
	return itoa(e.Port)
}
