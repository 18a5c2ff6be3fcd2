package services

import (
	"encoding/binary"
	"time"
)

// Seconds from 1900-01-01 00:00:00 UTC, where RFC 868 begins to count, to 1970.
const epoch1900 = 2208988800

// machineTime is RFC 868: 32 bits, big-endian, which start again from zero on
// 2036-02-07 06:28:16 UTC. What daytime says about empty requests holds for its
// 4 bytes too.
func machineTime(dst []byte, now time.Time) []byte {
	return binary.BigEndian.AppendUint32(dst, uint32(now.Unix()+epoch1900))
}
