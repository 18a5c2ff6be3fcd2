// Package nofile knows the limit on descriptors that the program was started
// with. Package syscall raises the soft one while it is initialised, and only
// its own ForkExec gives servers back what it was. This package imports nothing
// and its path sorts before "syscall", so it is initialised first (Go
// specification, Package initialization).
package nofile

// Soft and Hard are RLIMIT_NOFILE at the start. Known is false where it was not
// asked for.
var (
	Soft, Hard uint64
	Known      bool
)
