package nofile

// getrlimit is getrlimit(2) of RLIMIT_NOFILE.
//
//go:noescape
func getrlimit(limit *[2]uint64) (errno uintptr)

func init() {
	var l [2]uint64
	if getrlimit(&l) == 0 {
		Soft, Hard, Known = l[0], l[1], true
	}
}
