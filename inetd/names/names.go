// Package names asks the system's databases: services(5), rpc(5),
// protocols(5), passwd(5) and group(5). It reads the files, and where they do
// not have a name asks getent(1), so that a static binary knows the users of
// LDAP and SSSD too. A DB holds what it has read and is used by one goroutine;
// make a new one to see changes.
package names

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A DB is one reading of the databases.
type DB struct {
	Dir    string    // of the files
	Getent string    // the path of getent(1); without one only the files are asked
	Until  time.Time // it is not waited for any longer, if set, and never for more than 10 seconds

	files  map[string][][]string // split lines
	memo   map[string][]string   // answers of getent, nil for none
	broken error                 // of a file that is there and could not be read, or of getent
	ports  map[portKey]*portEntry
	named  map[namedKey]string
	users  map[string][]string // found
	ids    map[idKey]syscall.Credential
}

type idKey struct{ user, group string }

type portKey struct{ name, proto string }

type portEntry struct {
	port     uint16
	official string
}

type namedKey struct {
	port  uint16
	proto string
}

// New returns an empty DB of this system.
func New() *DB { return &DB{Dir: "/etc", Getent: getentPath()} }

// lines reads a file of the databases once: comments gone, cut by sep, or at
// blanks where sep is empty.
func (d *DB) lines(name, sep string) [][]string {
	if ls, ok := d.files[name]; ok {
		return ls
	}
	var ls [][]string
	text, err := os.ReadFile(d.Dir + "/" + name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		d.broken = err
	}
	if err == nil {
		for l := range strings.SplitSeq(string(text), "\n") {
			if sep == "" { // passwd(5) and group(5) have no comments
				l, _, _ = strings.Cut(l, "#")
			}
			if f := cut(l, sep); len(f) > 1 {
				ls = append(ls, f)
			}
		}
	}
	if d.files == nil {
		d.files = make(map[string][][]string)
	}
	d.files[name] = ls
	return ls
}

func cut(l, sep string) []string {
	if sep == "" {
		return strings.Fields(l)
	}
	return strings.Split(strings.TrimRight(l, "\r"), sep)
}

// getent asks the name service switch for one key.
func (d *DB) getent(database, key, sep string) []string {
	if key == "" || key[0] == '-' || d.Getent == "" {
		return nil
	}
	memo := database + " " + key
	if f, ok := d.memo[memo]; ok {
		return f
	}
	until := time.Now().Add(10 * time.Second)
	if !d.Until.IsZero() && d.Until.Before(until) {
		until = d.Until
	}
	ctx, cancel := context.WithDeadline(context.Background(), until)
	defer cancel()
	var f []string
	cmd := exec.CommandContext(ctx, d.Getent, database, "--", key)
	cmd.WaitDelay = 100 * time.Millisecond // what it has started may hold its output open
	cmd.Env = []string{"PATH=/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL=C"}
	if out, err := cmd.Output(); err == nil {
		l, _, _ := bytes.Cut(out, []byte("\n"))
		if g := cut(string(l), sep); len(g) > 1 {
			f = g
		}
	} else if ctx.Err() != nil {
		d.broken = fmt.Errorf("getent %s: %w", database, ctx.Err())
	}
	if d.memo == nil {
		d.memo = make(map[string][]string)
	}
	d.memo[memo] = f
	return f
}

// getentPath does not ask the PATH that the daemon was started with.
func getentPath() string {
	for _, p := range []string{"/usr/bin/getent", "/bin/getent", "/usr/local/bin/getent"} {
		if _, err := os.Stat(p); err == nil {
			return p
		}
	}
	return "/usr/bin/getent"
}

// Port finds a service by its name or an alias.
func (d *DB) Port(name, proto string) (port uint16, official string, ok bool) {
	d.readServices()
	e := d.ports[portKey{name, proto}]
	if e == nil {
		f := d.getent("services", name+"/"+proto, "")
		if e = parsePort(f, proto); e == nil {
			return 0, "", false
		}
	}
	return e.port, e.official, true
}

// PortName is the official name of a port, "" if it has none.
func (d *DB) PortName(port uint16, proto string) string {
	d.readServices()
	return d.named[namedKey{port, proto}]
}

func (d *DB) readServices() {
	if d.ports != nil {
		return
	}
	d.ports = make(map[portKey]*portEntry)
	d.named = make(map[namedKey]string)
	for _, f := range d.lines("services", "") {
		_, proto, _ := strings.Cut(f[1], "/")
		e := parsePort(f, proto)
		if e == nil {
			continue
		}
		// The first line with a name holds, as in getservbyname(3).
		for i, name := range f {
			if k := (portKey{name, proto}); i != 1 && d.ports[k] == nil {
				d.ports[k] = e
			}
		}
		if k := (namedKey{e.port, proto}); d.named[k] == "" {
			d.named[k] = e.official
		}
	}
}

// parsePort reads the fields "name port/proto alias…".
func parsePort(f []string, proto string) *portEntry {
	if len(f) < 2 {
		return nil
	}
	num, p, _ := strings.Cut(f[1], "/")
	n, err := strconv.ParseUint(num, 10, 16)
	if err != nil || p != proto || n == 0 {
		return nil
	}
	return &portEntry{uint16(n), f[0]}
}

// RPC finds a program of rpc(5) by its name or an alias.
func (d *DB) RPC(name string) (program uint32, ok bool) {
	f := d.find("rpc", "", func(f []string) bool { return hasName(f, name) })
	if f == nil {
		f = d.getent("rpc", name, "")
	}
	if f == nil {
		return 0, false
	}
	n, err := strconv.ParseUint(f[1], 10, 32)
	return uint32(n), err == nil
}

// Proto finds the number of a protocols(5) name.
func (d *DB) Proto(name string) (number int, ok bool) {
	f := d.find("protocols", "", func(f []string) bool { return hasName(f, name) })
	if f == nil {
		f = d.getent("protocols", name, "")
	}
	if f == nil {
		return 0, false
	}
	n, err := strconv.ParseUint(f[1], 10, 8)
	return int(n), err == nil
}

// Network finds a network of networks(5). Its length is that of the octets that
// are not zeros at the end, as xinetd has it.
func (d *DB) Network(name string) (netip.Prefix, bool) {
	f := d.find("networks", "", func(f []string) bool { return hasName(f, name) })
	if f == nil {
		f = d.getent("networks", name, "")
	}
	if f == nil {
		return netip.Prefix{}, false
	}
	var a [4]byte
	octets := strings.Split(f[1], ".")
	if len(octets) > len(a) {
		return netip.Prefix{}, false
	}
	bits := 0
	for i, o := range octets {
		n, err := strconv.ParseUint(o, 10, 8)
		if err != nil {
			return netip.Prefix{}, false
		}
		if a[i] = byte(n); n != 0 {
			bits = 8 * (i + 1)
		}
	}
	return netip.PrefixFrom(netip.AddrFrom4(a), bits), true
}

// hasName looks at the official name and the aliases, around the number.
func hasName(f []string, name string) bool {
	for i, n := range f {
		if i != 1 && n == name {
			return true
		}
	}
	return false
}

func (d *DB) find(file, sep string, match func([]string) bool) []string {
	for _, f := range d.lines(file, sep) {
		if match(f) {
			return f
		}
	}
	return nil
}

// ErrNoUser is in the chain of errors for a user whom nobody knows.
var ErrNoUser = errors.New("unknown user")

// user is passwd(5): name, password, uid, gid, …
func (d *DB) user(name string) ([]string, error) {
	if f := d.users[name]; f != nil {
		return f, nil
	}
	f := d.find("passwd", ":", func(f []string) bool { return len(f) >= 4 && f[0] == name })
	if f == nil {
		f = d.find("passwd", ":", func(f []string) bool { return len(f) >= 4 && f[2] == name })
	}
	if f == nil {
		f = d.getent("passwd", name, ":")
	}
	if len(f) < 4 {
		if d.broken != nil {
			return nil, d.broken
		}
		return nil, fmt.Errorf("%w %q", ErrNoUser, name)
	}
	if d.users == nil {
		d.users = make(map[string][]string)
	}
	d.users[name] = f
	return f, nil
}

// GroupID finds a group by its name or number.
func (d *DB) GroupID(name string) (uint32, error) {
	f := d.find("group", ":", func(f []string) bool { return len(f) >= 3 && f[0] == name })
	if f == nil {
		f = d.getent("group", name, ":")
	}
	if len(f) >= 3 {
		return id(f[2])
	}
	if n, err := id(name); err == nil {
		return n, nil
	}
	return 0, fmt.Errorf("unknown group %q", name)
}

// UserID finds a user by its name or number.
func (d *DB) UserID(name string) (uint32, error) {
	f, err := d.user(name)
	if err != nil {
		if n, err := id(name); err == nil {
			return n, nil
		}
		return 0, err
	}
	return id(f[2])
}

// id reads a uid or gid. The highest is -1, which system calls take for "no
// change".
func id(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || uint32(n) == ^uint32(0) {
		return 0, fmt.Errorf("%q is not a user or group number", s)
	}
	return uint32(n), nil
}

// An Account is an entry of passwd(5).
type Account struct {
	Name     string
	UID, GID uint32
	Home     string
}

// Account finds a user by its name or number.
func (d *DB) Account(key string) (Account, error) {
	f, err := d.user(key)
	if err != nil {
		return Account{}, err
	}
	a := Account{Name: f[0]}
	if a.UID, err = id(f[2]); err == nil {
		a.GID, err = id(f[3])
	}
	if len(f) > 5 {
		a.Home = f[5]
	}
	return a, err
}

// Identity is what a server runs as: the user with its groups, its primary one
// replaced by group if that is given. A number that no user has is a uid
// without groups; its gid must then be given. Identities share their groups.
func (d *DB) Identity(user, group string) (syscall.Credential, error) {
	key := idKey{user, group}
	if i, ok := d.ids[key]; ok {
		return i, nil
	}
	var i syscall.Credential
	f, err := d.user(user)
	if err != nil {
		n, nerr := id(user)
		if nerr != nil {
			return i, err
		}
		if group == "" {
			return i, fmt.Errorf("user %s has no passwd entry: give a group too", user)
		}
		f = []string{"", "", user, group}
		i.Uid = n
	} else if i.Uid, err = id(f[2]); err != nil {
		return i, err
	}
	if group == "" {
		i.Gid, err = id(f[3])
	} else {
		i.Gid, err = d.GroupID(group)
	}
	if err != nil {
		return i, err
	}
	i.Groups = d.groups(f[0], i.Gid)
	if d.ids == nil {
		d.ids = make(map[idKey]syscall.Credential)
	}
	d.ids[key] = i
	return i, nil
}

// groups is getgrouplist(3): gid first, then every group that lists the user.
func (d *DB) groups(user string, gid uint32) []uint32 {
	gids := []uint32{gid}
	add := func(n uint32) {
		if !slices.Contains(gids, n) {
			gids = append(gids, n)
		}
	}
	if user == "" {
		return gids
	}
	for _, f := range d.lines("group", ":") {
		if len(f) < 4 {
			continue
		}
		for m := range strings.SplitSeq(f[3], ",") {
			if n, err := id(f[2]); m == user && err == nil {
				add(n)
			}
		}
	}
	// "name gid gid…" of the name service switch, for users it knows more of.
	if !d.local(user) {
		if f := d.getent("initgroups", user, ""); f != nil {
			for _, s := range f[1:] {
				if n, err := id(s); err == nil {
					add(n)
				}
			}
		}
	}
	return gids
}

func (d *DB) local(user string) bool {
	return d.find("passwd", ":", func(f []string) bool { return f[0] == user }) != nil
}
