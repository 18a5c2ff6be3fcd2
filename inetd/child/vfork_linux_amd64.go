package child

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"inetd/inetd/child/nofile"
)

// A connection costs a fork and an exec whatever we do, and the rest should be
// next to nothing. syscall.ForkExec resets 56 signal handlers one by one in
// every child, makes a pipe to hear of errors and builds argv and environment
// anew, all while the daemon sleeps. Here the kernel resets the handlers
// (CLONE_CLEAR_SIGHAND, Linux 5.5), the child walks a table of system calls
// that the plan keeps, and leaves an error where the daemon looks when it wakes.
//
// With CLONE_FILES the table of descriptors is not copied until the first step
// unshares it, and then only as far as the connection: close_range(2) of what
// is above (Linux 5.9) leaves the listeners behind, so a start costs the same
// with ten services and with thousands.
//
// It is not quite vfork(2): with CLONE_VFORK the kernel wakes the parent when
// the child has called execve, and never if the child's user stops it before.
// So the daemon waits by itself (CLONE_CHILD_CLEARTID), and not for long.

// A step is a system call and its arguments.
type step [5]uintptr

// Added to the number of a system call: the kernel may deny it, or it has to return
// the last argument of the step, which it takes no notice of.
const (
	optional = 1 << 32
	returns  = 2 << 32
)

// A course is what the daemon sees of a child: how far it has come, and the
// error with which it has ended there.
type course struct {
	errno uintptr
	step  uintptr // its address
}

// cloneArgs is struct clone_args of clone3(2), as far as Linux 5.3 has it.
type cloneArgs struct {
	flags, pidfd, childTID, parentTID, exitSignal, stack, stackSize, tls uint64
}

// adrift are the launches of children that were not waited for any longer, because
// their user has stopped them or their disk is slow. They still use their memory.
var adrift struct {
	sync.Mutex
	launches []*launch
}

//go:noescape
func vfork(args *cloneArgs, size uintptr, steps *step, course *course) (pid int, errno uintptr)

// A launch is a plan in the form that vfork takes. Its memory is Go's, which
// does not move, and kept for as long as the plan.
type launch struct {
	steps  []step
	names  []string // of the steps, for errors
	dup    int      // where the connection becomes 0 to 2
	keep   []any
	args   cloneArgs
	pidfd  int32
	tid    uint32 // the kernel makes it 0 when the child needs the memory no more
	course course
}

func (l *launch) add(name string, s step) {
	l.steps = append(l.steps, s)
	l.names = append(l.names, name)
}

const cloneClearSighand = 0x100000000

func newLaunch(p *Plan) (*launch, error) {
	l := new(launch)
	l.add("close_range", step{unix.SYS_CLOSE_RANGE, 0, ^uintptr(0) >> 32, unix.CLOSE_RANGE_UNSHARE})
	l.add("setsid", step{unix.SYS_SETSID})
	if p.Umask != nil {
		l.add("umask", step{unix.SYS_UMASK, uintptr(*p.Umask)})
	}
	if p.Nice != 0 {
		now, err := syscall.Getpriority(syscall.PRIO_PROCESS, 0)
		if err != nil {
			return nil, fmt.Errorf("getpriority: %w", err)
		}
		// getpriority(2) gives 20 minus the nice value.
		l.add("setpriority", step{optional | unix.SYS_SETPRIORITY, unix.PRIO_PROCESS, 0, uintptr(20 - now + p.Nice)})
	}
	limits := p.Rlimits
	if nofile.Known {
		limits = append([]Rlimit{{syscall.RLIMIT_NOFILE, nofile.Soft, nofile.Hard}}, limits...)
	}
	for _, r := range limits {
		lim := &syscall.Rlimit{Cur: r.Soft, Max: r.Hard}
		l.keep = append(l.keep, lim)
		l.add("prlimit", step{optional | unix.SYS_PRLIMIT64, 0, uintptr(r.Resource), uintptr(unsafe.Pointer(lim)), 0})
	}
	// From setuid on the user can stop it, and then it must not keep anything of
	// the daemon's open.
	l.dup = len(l.steps)
	for to := range uintptr(3) {
		l.add("dup3", step{unix.SYS_DUP3, 0, to, 0})
	}
	l.add("close_range", step{unix.SYS_CLOSE_RANGE, 3, ^uintptr(0) >> 32, 0})
	if c := p.Credential; c != nil {
		groups := append([]uint32(nil), c.Groups...)
		var first uintptr
		if len(groups) > 0 {
			first = uintptr(unsafe.Pointer(&groups[0]))
		}
		l.keep = append(l.keep, groups)
		setgroups := uintptr(unix.SYS_SETGROUPS)
		if own(c) {
			setgroups |= optional
		}
		l.add("setgroups", step{setgroups, uintptr(len(groups)), first})
		l.add("setgid", step{unix.SYS_SETGID, uintptr(c.Gid)})
		l.add("setuid", step{unix.SYS_SETUID, uintptr(c.Uid)})
		// Some containers say that all this is done, and do nothing. Of groups the
		// number tells.
		if !own(c) {
			l.add("verifying setgroups", step{returns | unix.SYS_GETGROUPS, 0, 0, 0, uintptr(len(groups))})
		}
		l.add("verifying setgid", step{returns | unix.SYS_GETEGID, 0, 0, 0, uintptr(c.Gid)})
		l.add("verifying setuid", step{returns | unix.SYS_GETEUID, 0, 0, 0, uintptr(c.Uid)})
	}
	path, err1 := syscall.BytePtrFromString(p.Path)
	argv, err2 := syscall.SlicePtrFromStrings(p.Argv)
	envp, err3 := syscall.SlicePtrFromStrings(p.Env)
	if err1 != nil || err2 != nil || err3 != nil {
		return nil, fmt.Errorf("execv %s: %w", p.Path, syscall.EINVAL)
	}
	l.keep = append(l.keep, path, argv, envp)
	l.add("execv "+p.Path, step{unix.SYS_EXECVE, uintptr(unsafe.Pointer(path)), uintptr(unsafe.Pointer(&argv[0])), uintptr(unsafe.Pointer(&envp[0]))})
	l.args = cloneArgs{
		flags:      unix.CLONE_VM | unix.CLONE_CHILD_CLEARTID | unix.CLONE_FILES | unix.CLONE_PIDFD | cloneClearSighand,
		pidfd:      uint64(uintptr(unsafe.Pointer(&l.pidfd))),
		childTID:   uint64(uintptr(unsafe.Pointer(&l.tid))),
		exitSignal: uint64(unix.SIGCHLD),
	}
	return l, nil
}

// wait returns true when the child has executed its program or ended. The
// kernel's wake-up is not of the private kind.
func (l *launch) wait() bool {
	for n := 0; atomic.LoadUint32(&l.tid) != 0; {
		// A child that still shares the table of descriptors, as only root can
		// have it, would take what comes to be under its connection's number.
		if time.Duration(n)*10*time.Millisecond >= patience && atomic.LoadUintptr(&l.course.step) > uintptr(unsafe.Pointer(&l.steps[0])) {
			adrift.Lock()
			defer adrift.Unlock()
			adrift.launches = append(slices.DeleteFunc(adrift.launches, func(l *launch) bool { return atomic.LoadUint32(&l.tid) == 0 }), l)
			return false
		}
		_, _, e := unix.RawSyscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&l.tid)), 0 /* FUTEX_WAIT */, 1, uintptr(unsafe.Pointer(&tenMs)), 0, 0)
		if e == unix.ETIMEDOUT {
			n++
		}
	}
	return true
}

var tenMs = unix.Timespec{Nsec: 10e6}

// old says that the kernel lacks something of this.
var old atomic.Bool

// startFast starts a plan by its launch; known is false if the kernel cannot. EPERM
// of its new system calls is how some containers say ENOSYS.
func startFast(p *Plan, fd int, meanwhile func()) (pid, pidfd int, err error, known bool) {
	if old.Load() {
		return 0, -1, nil, false
	}
	if p.launch == nil {
		if p.launch, err = newLaunch(p); err != nil {
			return 0, -1, err, true
		}
	}
	l := p.launch
	l.steps[0][1] = uintptr(fd + 1)
	for i := range 3 {
		l.steps[l.dup+i][1] = uintptr(fd)
	}
	l.course, l.tid = course{}, 1
	pid, errno := vfork(&l.args, unsafe.Sizeof(l.args), &l.steps[0], &l.course)
	switch e := syscall.Errno(errno); e {
	case 0:
	case syscall.ENOSYS, syscall.EINVAL, syscall.EPERM:
		old.Store(true)
		return 0, -1, nil, false
	default:
		return 0, -1, fmt.Errorf("fork: %w", e), true
	}
	if meanwhile != nil {
		meanwhile()
	}
	if !l.wait() {
		p.launch = nil
		return pid, int(l.pidfd), nil, true
	}
	if l.course.errno == 0 {
		return pid, int(l.pidfd), nil, true
	}
	for {
		if _, err := unix.Wait4(pid, nil, 0, nil); err != unix.EINTR {
			break
		}
	}
	unix.Close(int(l.pidfd))
	at := (l.course.step - uintptr(unsafe.Pointer(&l.steps[0]))) / unsafe.Sizeof(step{})
	e := syscall.Errno(l.course.errno)
	if at == 0 && (e == syscall.ENOSYS || e == syscall.EINVAL || e == syscall.EPERM) { // no close_range(2), or none that unshares
		old.Store(true)
		return 0, -1, nil, false
	}
	return 0, -1, fmt.Errorf("%s: %w", l.names[at], e), true
}
