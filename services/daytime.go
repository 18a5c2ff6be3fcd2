package services

import "time"

// daytime is RFC 867 in the form of ctime(3), which every BSD sends: 26 bytes
// with the CRLF, in the time zone of now.
//
// In answer to a datagram it is longer than an empty request. The RFC's clients
// send just that, and 26 bytes behind 28 of headers amplify nothing, so the
// RFC's answer stands.
func daytime(dst []byte, now time.Time) []byte {
	return append(now.AppendFormat(dst, time.ANSIC), "\r\n"...)
}
