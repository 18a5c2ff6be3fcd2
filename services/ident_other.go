//go:build !linux

package services

import (
	"errors"
	"net/netip"
	"os"
)

func executable() (string, error) { return os.Executable() }

// owner is not known here, so -r answers with the name of -d or UNKNOWN-ERROR.
func owner(local, remote netip.AddrPort) (uint32, error) { return 0, errors.ErrUnsupported }
