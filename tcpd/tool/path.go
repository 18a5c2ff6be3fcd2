package tool

import (
	"io/fs"
	"os"
	"path/filepath"

	"inetd/libwrap"
)

// Path looks at a file, and warns if it or a directory above it may be
// changed by anybody.
func (r *Report) Path(path string) (fs.FileInfo, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if fi.Mode().Perm()&0o002 != 0 {
		r.Warnf("%s: world writable", path)
	}
	if filepath.IsAbs(path) && path != "/" {
		dir := path
		for dir[len(dir)-1] != '/' {
			dir = dir[:len(dir)-1]
		}
		if dir != "/" {
			dir = dir[:len(dir)-1]
		}
		r.Path(dir)
	}
	return fi, nil
}

// DaemonDir looks at the directory where tcpd finds daemons.
func (r *Report) DaemonDir(dir string) {
	fi, err := r.Path(dir)
	switch {
	case err != nil:
		r.Warnf("REAL_DAEMON_DIR %s: %s", dir, libwrap.Strerror(err))
	case !fi.IsDir():
		r.Warnf("REAL_DAEMON_DIR %s is not a directory", dir)
	}
}
