//go:build !(linux && amd64)

package child

const fastStart = false
