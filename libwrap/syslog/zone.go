package syslog

import "syscall"

// A process that logs one line spends more on package time's reading of the
// local zone than on the line. zoneOffset is the short way to the one number
// needed; what it cannot tell is left to package time.

// zoneOffset returns how far local time is ahead of UTC at a moment, in
// seconds, from the text of a zoneinfo file: RFC 8536, section 3. It knows
// moments between or after the listed transitions, but follows no rule for
// the time after them.
func zoneOffset(b []byte, unix int64) (offset int, ok bool) {
	h, ok := zoneHeader(b)
	if !ok || b[4] < '2' {
		return 0, false
	}
	// The first block is the same in 32 bits.
	skip := 44 + h.times*5 + h.types*6 + h.chars + h.leaps*8 + h.std + h.ut
	if skip > len(b) {
		return 0, false
	}
	b = b[skip:]
	if h, ok = zoneHeader(b); !ok {
		return 0, false
	}
	b = b[44:]
	end := h.times*9 + h.types*6 + h.chars + h.leaps*12 + h.std + h.ut
	if end >= len(b) || h.types == 0 {
		return 0, false
	}
	footer := b[end:]
	n := 0 // transitions up to the moment
	for n < h.times && int64(be32(b[8*n:]))<<32|int64(be32(b[8*n+4:])) <= unix {
		n++
	}
	if n == h.times {
		for _, c := range footer {
			if c == ',' { // summer time goes on by a rule
				return 0, false
			}
		}
	}
	typ := 0
	if n > 0 {
		typ = int(b[h.times*8+n-1])
	}
	if typ >= h.types {
		return 0, false
	}
	return int(int32(be32(b[h.times*9+typ*6:]))), true
}

type zoneCounts struct{ ut, std, leaps, times, types, chars int }

func zoneHeader(b []byte) (h zoneCounts, ok bool) {
	if len(b) < 44 || string(b[:4]) != "TZif" {
		return h, false
	}
	for i, n := range [...]*int{&h.ut, &h.std, &h.leaps, &h.times, &h.types, &h.chars} {
		v := be32(b[20+4*i:])
		if v > 1<<16 {
			return h, false
		}
		*n = int(v)
	}
	return h, true
}

func be32(b []byte) uint32 {
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
}

// localOffset is zoneOffset for the system's zone, unless the environment
// names another.
func localOffset(unix int64) (offset int, ok bool) {
	if _, set := syscall.Getenv("TZ"); set {
		return 0, false
	}
	fd, err := syscall.Open("/etc/localtime", syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return 0, false
	}
	defer syscall.Close(fd)
	var b [4096]byte
	n, err := syscall.Read(fd, b[:])
	if err != nil || n == len(b) {
		return 0, false
	}
	return zoneOffset(b[:n], unix)
}
