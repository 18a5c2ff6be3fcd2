package services

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A user may hide behind ~/.noident and be called what ~/.fakeid says. The
// files are the user's and so is everything on the way to them: links, FIFOs,
// dead NFS servers. They are read with the rights of that user and no others.
//
// That cannot happen inside the daemon. A thread can take a user's identity,
// but then the user may send signals to that thread, and a signal that kills
// one thread kills the whole process. So the daemon starts its own binary again,
// which becomes the user, with no group but the user's own and no descriptor but
// a pipe, and believes nothing it hears but one short line of printable bytes.
// Not before the exec, which the daemon waits for: a user's process can be
// stopped by that user.

// IdentHelper is argv[0] of the helper. A program that serves auth with -n, -f
// or -F begins its main with
//
//	if os.Args[0] == services.IdentHelper {
//		os.Exit(services.RunIdentHelper(os.Args, os.Stdout))
//	}
const IdentHelper = "inetd-ident-files"

// RunIdentHelper becomes a user and reads the user's files. args are argv[0],
// the uid and gid (gid "-": the uid must be its own already, since a parent that
// is not root can give none), letters n and f, and the home directory. It
// returns an exit status.
func RunIdentHelper(args []string, stdout io.Writer) int {
	if len(args) != 5 || drop(args[1], args[2]) != nil || checkDropped(args[1], args[2]) != nil {
		return 1
	}
	hidden, fake := false, ""
	if strings.Contains(args[3], "n") {
		hidden = hasNoident(args[4])
	}
	if strings.Contains(args[3], "f") && !hidden {
		fake = readFakeid(args[4])
	}
	if _, err := fmt.Fprintf(stdout, "ident %t %s\n", hidden, fake); err != nil {
		return 1
	}
	return 0
}

func drop(uid, gid string) error {
	if gid == "-" {
		return nil
	}
	u, err := strconv.ParseUint(uid, 10, 32)
	if err != nil {
		return err
	}
	g, err := strconv.ParseUint(gid, 10, 32)
	if err != nil {
		return err
	}
	if err := syscall.Setgroups(nil); err != nil {
		return err
	}
	if err := syscall.Setgid(int(g)); err != nil {
		return err
	}
	return syscall.Setuid(int(u))
}

// checkDropped fails unless the process is uid and gid through and through.
func checkDropped(uid, gid string) error {
	if id := strconv.Itoa(os.Getuid()); id != uid || strconv.Itoa(os.Geteuid()) != uid {
		return fmt.Errorf("uid is %s", id)
	}
	if gid == "-" {
		return nil
	}
	if uid != "0" && syscall.Setuid(0) == nil {
		return errors.New("can be root again")
	}
	groups, err := os.Getgroups()
	if err != nil {
		return err
	}
	for _, g := range append(groups, os.Getgid(), os.Getegid()) {
		if strconv.Itoa(g) != gid {
			return fmt.Errorf("still in group %d", g)
		}
	}
	return nil
}

// hasNoident reports whether home/.noident exists. What cannot be looked at
// counts as there.
func hasNoident(home string) bool {
	_, err := os.Lstat(home + "/.noident")
	return !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR)
}

// readFakeid returns the first word of home/.fakeid, "" if there is none.
func readFakeid(home string) string {
	// Without O_NONBLOCK a FIFO would hold the open for ever.
	f, err := os.OpenFile(home+"/.fakeid", os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		return ""
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return ""
	}
	var buf [1024]byte
	n, _ := io.ReadFull(f, buf[:])
	line, _, _ := strings.Cut(string(buf[:n]), "\n")
	words := strings.Fields(line)
	if len(words) == 0 {
		return ""
	}
	name := words[0][:min(len(words[0]), maxIdentName)]
	if printable(name, maxIdentName) != nil {
		return ""
	}
	return name
}

var errHelper = errors.New("ident helper gave no answer")

// askFiles has a helper look at the files of acct, at most until deadline. An
// error means that nothing is known and the user must be taken as hidden.
func askFiles(acct Account, o *options, deadline time.Time) (hidden bool, fake string, err error) {
	root := os.Geteuid() == 0
	if !root && uint32(os.Geteuid()) != acct.UID {
		return true, "", os.ErrPermission
	}
	exe, err := executable()
	if err != nil {
		return true, "", err
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return true, "", err
	}
	defer null.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return true, "", err
	}
	defer r.Close()
	gid := "-"
	if root {
		gid = strconv.FormatUint(uint64(acct.GID), 10)
	}
	letters := "-"
	if o.noident {
		letters += "n"
	}
	if o.fakeid {
		letters += "f"
	}
	p, err := os.StartProcess(exe, []string{
		IdentHelper, strconv.FormatUint(uint64(acct.UID), 10), gid, letters, acct.Home,
	}, &os.ProcAttr{
		Dir:   "/",
		Env:   []string{},
		Files: []*os.File{null, w, null},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	w.Close()
	if err != nil {
		return true, "", err
	}
	// A helper stuck in the kernel dies when it can; nobody waits for it here.
	defer func() {
		p.Kill()
		go p.Wait()
	}()
	if err := r.SetReadDeadline(deadline); err != nil {
		return true, "", err
	}
	var buf [64]byte
	n, err := io.ReadFull(r, buf[:])
	if err != io.ErrUnexpectedEOF {
		return true, "", errors.Join(errHelper, err)
	}
	return parseHelper(buf[:n])
}

// parseHelper reads the helper's one line. The user owns the process and may
// have written it, so it is read like anything from outside.
func parseHelper(b []byte) (hidden bool, fake string, err error) {
	line, ok := bytes.CutSuffix(b, []byte("\n"))
	if name, found := bytes.CutPrefix(line, []byte("ident false ")); ok && found {
		if len(name) == 0 {
			return false, "", nil
		}
		fake = string(name)
		if printable(fake, maxIdentName) == nil && !strings.Contains(fake, " ") {
			return false, fake, nil
		}
	}
	if ok && string(line) == "ident true " {
		return true, "", nil
	}
	return true, "", errHelper
}
