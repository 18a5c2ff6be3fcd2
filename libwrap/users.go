package libwrap

import (
	"context"
	"slices"
	"strconv"
	"strings"
)

// Accounts come from /etc/passwd and /etc/group, and then from getent(1),
// which knows every source that nsswitch.conf(5) names. So a static program
// finds the users of a directory service, and needs no cgo.

type account struct{ uid, gid int }

// maxAccounts bounds what is read of the account files, in bytes.
const maxAccounts = 16 << 20

// findUser looks up a user by name; numbers are not taken for ids.
func findUser(ctx context.Context, name string) (account, bool) {
	if !entryName(name) {
		return account{}, false
	}
	f := findEntry(ctx, "/etc/passwd", "passwd", name)
	if len(f) < 4 {
		return account{}, false
	}
	uid, ok1 := id(f[2])
	gid, ok2 := id(f[3])
	return account{uid, gid}, ok1 && ok2
}

// findGroup looks up a group by name.
func findGroup(ctx context.Context, name string) (int, bool) {
	if !entryName(name) {
		return 0, false
	}
	f := findEntry(ctx, "/etc/group", "group", name)
	if len(f) < 3 {
		return 0, false
	}
	return id(f[2])
}

// userGroups returns all groups of a user, gid first.
func userGroups(ctx context.Context, user string, gid int) []int {
	groups := []int{gid}
	if text, err := readPath("/etc/group", maxAccounts); err == nil {
		for _, line := range strings.Split(string(text), "\n") {
			f := strings.Split(line, ":")
			if len(f) < 4 {
				continue
			}
			for _, m := range strings.Split(f[3], ",") {
				if g, ok := id(f[2]); m == user && ok && !slices.Contains(groups, g) {
					groups = append(groups, g)
				}
			}
		}
	}
	// "user gid gid ..."
	if out, err := getent(ctx, "initgroups", user); err == nil {
		if f := strings.Fields(out); len(f) > 0 && f[0] == user {
			for _, w := range f[1:] {
				if g, ok := id(w); ok && !slices.Contains(groups, g) {
					groups = append(groups, g)
				}
			}
		}
	}
	return groups
}

// findEntry returns the fields of the entry called name.
func findEntry(ctx context.Context, file, database, name string) []string {
	if text, err := readPath(file, maxAccounts); err == nil {
		if f := entry(string(text), name); f != nil {
			return f
		}
	}
	out, err := getent(ctx, database, name)
	if err != nil {
		return nil
	}
	return entry(out, name)
}

func entry(text, name string) []string {
	for text != "" {
		var line string
		line, text, _ = strings.Cut(text, "\n")
		if strings.HasPrefix(line, name) && len(line) > len(name) && line[len(name)] == ':' {
			return strings.Split(line, ":")
		}
	}
	return nil
}

// entryName reports whether name can be that of an entry, which also keeps it
// from being an option of getent.
func entryName(name string) bool {
	if name == "" || name[0] == '-' || name[0] == '+' || len(name) > 256 {
		return false
	}
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c == ':' || c == 0x7f {
			return false
		}
	}
	return true
}

// id reads a user or group id. The largest one means "leave it alone" to the
// kernel, so it is none.
func id(s string) (int, bool) {
	n, err := strconv.ParseUint(s, 10, 32)
	return int(n), err == nil && n != 1<<32-1
}
