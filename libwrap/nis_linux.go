package libwrap

import "syscall"

// nisDomain is yp_get_default_domain(3), "" if there is none.
func nisDomain() string {
	var u syscall.Utsname
	if syscall.Uname(&u) != nil {
		return ""
	}
	b := make([]byte, 0, len(u.Domainname))
	for _, c := range u.Domainname {
		if c == 0 {
			break
		}
		b = append(b, byte(c))
	}
	if string(b) == "(none)" {
		return ""
	}
	return string(b)
}
