package libwrap

import (
	"context"
	"strings"
	"syscall"
)

// maxGetent bounds what is read of getent's answer, in bytes.
const maxGetent = 1 << 20

// getent asks the system's databases. A key that is not there is not an
// error: the answer is then empty.
func getent(ctx context.Context, database string, keys ...string) (string, error) {
	err := error(syscall.ENOENT)
	for _, path := range [...]string{"/usr/bin/getent", "/bin/getent", "/usr/local/bin/getent"} {
		if syscall.Access(path, 1) != nil {
			continue
		}
		argv := append([]string{"getent", database}, keys...)
		var out []byte
		if _, out, err = new(Shell).run(ctx, path, argv, baseEnv(), true); err == nil {
			return string(out), nil
		}
	}
	return "", err
}

// baseEnv is for programs that need none of our environment.
func baseEnv() []string { return []string{"PATH=/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL=C"} }

// getentNetgroup reports whether a host is a member of a netgroup: whether a
// triple (host,user,domain) of it has this host and this host's NIS domain, or
// none, which stands for all.
func getentNetgroup(ctx context.Context, group, host string) bool {
	if !entryName(group) {
		return false
	}
	out, err := getent(ctx, "netgroup", group)
	if err != nil {
		return false
	}
	domain := nisDomain()
	for {
		_, rest, ok := strings.Cut(out, "(")
		if !ok {
			return false
		}
		triple, rest, ok := strings.Cut(rest, ")")
		if !ok {
			return false
		}
		out = rest
		h, rest, _ := strings.Cut(triple, ",")
		_, dom, _ := strings.Cut(rest, ",")
		if dom = trim(dom); dom != "" && domain != "" && !equalFold(dom, domain) {
			continue
		}
		if h = trim(h); h == "" || equalFold(h, host) {
			return true
		}
	}
}

// System looks up names with getent(1), as the C library's resolver would
// answer, and users over a socket of its own. It needs neither package net nor
// cgo, so a program that lives for one connection starts faster with it.
// Servers that live on should use netwrap.Lookup.
type System struct{}

// LookupName implements Lookup.
func (System) LookupName(ctx context.Context, addr string) (string, error) {
	addr, _, _ = strings.Cut(addr, "%") // getent(1) knows no zones
	out, err := getent(ctx, "hosts", addr)
	if err != nil {
		return "", err
	}
	// "address name alias ..."
	if f := strings.Fields(firstLine(out)); len(f) >= 2 {
		return f[1], nil
	}
	return "", nil
}

// LookupAddrs implements Lookup.
func (System) LookupAddrs(ctx context.Context, name string, v6 bool) (canonical string, addrs []string, err error) {
	if v6 {
		return ahosts(ctx, "ahostsv6", name)
	}
	return ahosts(ctx, "ahostsv4", name)
}

// LookupHost finds the addresses of both families in one. Asked for IPv4 alone
// the C library makes 127.0.0.1 of the ::1 in /etc/hosts.
func (System) LookupHost(ctx context.Context, name string) (canonical string, addrs []string, err error) {
	return ahosts(ctx, "ahosts", name)
}

func ahosts(ctx context.Context, database, name string) (canonical string, addrs []string, err error) {
	if !entryName(name) {
		return "", nil, syscall.EINVAL
	}
	// With -A (glibc 2.36) the addresses do not depend on which families this
	// host has an address of itself, as in a container without a network.
	out, err := getent(ctx, "-A", database, name)
	if err == nil && out == "" {
		out, err = getent(ctx, database, name)
	}
	if err != nil {
		return "", nil, err
	}
	// "address STREAM canonical", then further lines without the name. Lines
	// of other socket types repeat the addresses.
	for out != "" {
		var line string
		line, out, _ = strings.Cut(out, "\n")
		f := strings.Fields(line)
		if len(f) < 2 || f[1] != "STREAM" || database == "ahostsv6" && strings.HasPrefix(f[0], "::ffff:") {
			continue // the IPv4 addresses of a host are not asked for
		}
		if len(f) > 2 && canonical == "" {
			canonical = f[2]
		}
		addrs = append(addrs, f[0])
	}
	return canonical, addrs, nil
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
