//go:build unix && !(linux && amd64)

package child

// A launch is what only Linux on amd64 has.
type launch struct{}

func startFast(*Plan, int, func()) (pid, pidfd int, err error, known bool) { return 0, -1, nil, false }
