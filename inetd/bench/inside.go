//go:build linux

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// isolate fits out the new namespaces. Nothing of it is seen outside, and it
// ends with the last process inside.
func isolate(dir string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("mount / private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	if err := unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("mount /run: %w", err)
	}
	if err := privateEtc(filepath.Join(dir, "etc")); err != nil {
		return err
	}
	if err := privateDev(filepath.Join(dir, "dev")); err != nil {
		return err
	}
	return loopback()
}

// privateEtc puts a copy over /etc that may be written to and has empty
// hosts.allow and hosts.deny. Its subdirectories are links to the real ones.
func privateEtc(dir string) error {
	orig := dir + ".orig"
	for _, d := range []string{dir, orig} {
		if err := os.Mkdir(d, 0o755); err != nil {
			return err
		}
	}
	if err := unix.Mount("/etc", orig, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind /etc: %w", err)
	}
	entries, err := os.ReadDir("/etc")
	if err != nil {
		return err
	}
	for _, e := range entries {
		from, to := filepath.Join("/etc", e.Name()), filepath.Join(dir, e.Name())
		var target string
		switch {
		case e.Type().IsRegular():
			err = copyFile(from, to)
		case e.Type() == fs.ModeSymlink:
			if target, err = os.Readlink(from); err == nil {
				err = os.Symlink(target, to)
			}
		default:
			err = os.Symlink(filepath.Join(orig, e.Name()), to)
		}
		if err != nil {
			return err
		}
	}
	for _, f := range []string{"hosts.allow", "hosts.deny"} {
		if err := os.WriteFile(filepath.Join(dir, f), nil, 0o644); err != nil {
			return err
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "services")); errors.Is(err, fs.ErrNotExist) {
		const trivial = "echo 7/tcp\necho 7/udp\ndiscard 9/tcp\ndaytime 13/tcp\nchargen 19/tcp\n"
		if err := os.WriteFile(filepath.Join(dir, "services"), []byte(trivial), 0o644); err != nil {
			return err
		}
	}
	if err := unix.Mount(dir, "/etc", "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind %s: %w", dir, err)
	}
	return nil
}

func copyFile(from, to string) error {
	fi, err := os.Stat(from)
	if err != nil {
		return err
	}
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, fi.Mode().Perm())
}

// privateDev puts a small /dev over the real one, with a /dev/log that throws
// away what it is sent: the daemons log as they would, and the system's log
// stays clean.
func privateDev(dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("mount %s: %w", dir, err)
	}
	for _, name := range []string{"null", "zero", "full", "random", "urandom", "tty"} {
		to := filepath.Join(dir, name)
		if err := os.WriteFile(to, nil, 0o666); err != nil {
			return err
		}
		if err := unix.Mount("/dev/"+name, to, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("bind /dev/%s: %w", name, err)
		}
	}
	if err := unix.Mount(dir, "/dev", "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("bind %s: %w", dir, err)
	}
	log, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: "/dev/log", Net: "unixgram"})
	if err != nil {
		return err
	}
	if err := os.Chmod("/dev/log", 0o666); err != nil {
		return err
	}
	go func() {
		buf := make([]byte, 8192)
		for {
			if _, err := log.Read(buf); err != nil {
				return
			}
		}
	}()
	return nil
}

// otherNet is an address of lo outside of 127/8. openbsd-inetd does not answer
// datagrams from 127/8; ours answers only so many a second to anybody else.
var otherNet = netip.AddrFrom4([4]byte{10, 9, 9, 1})

// loopback brings up the interface lo, with otherNet as a second address.
func loopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	defer unix.Close(fd)
	up, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	up.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, up); err != nil {
		return fmt.Errorf("lo up: %w", err)
	}
	addr, err := unix.NewIfreq("lo:1")
	if err != nil {
		return err
	}
	if err := addr.SetInet4Addr(otherNet.AsSlice()); err != nil {
		return err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFADDR, addr); err != nil {
		return fmt.Errorf("address of lo: %w", err)
	}
	return nil
}
