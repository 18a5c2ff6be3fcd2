package event

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const patience = 20 * time.Second

// flavour is how the set of this process hears of children: by a descriptor
// for each where the system has them, or by SIGCHLD. A process that has used
// the first cannot go back, so the other tests run in processes of their own.
var flavour = func() string {
	if f := os.Getenv(flavourEnv); f != "" {
		return f
	}
	return defaultFlavour
}()

const flavourEnv = "EVENT_TEST"

// onNew runs body on a new set.
func onNew(t *testing.T, body func(t *testing.T, b *bench)) {
	set, err := New()
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, set: set}
	timer := time.AfterFunc(patience, func() { panic(t.Name() + ": the set waits for ever") })
	defer timer.Stop()
	body(t, b)
	if err := set.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

type bench struct {
	t   *testing.T
	set Set
}

// wait returns the next events as text: "readable a", "exited b 3", and runs
// what was posted.
func (b *bench) wait() []string {
	b.t.Helper()
	evs, err := b.set.Wait()
	if err != nil {
		b.t.Fatal(err)
	}
	var got []string
	for _, ev := range evs {
		switch ev.Kind {
		case Readable:
			got = append(got, fmt.Sprint("readable ", ev.Tag))
		case Posted:
			ev.Run()
		default:
			b.t.Fatalf("event of kind %d", ev.Kind)
		}
	}
	for _, x := range b.set.Exits() {
		end := fmt.Sprint(x.Status.ExitStatus())
		if x.Status.Signaled() {
			end = x.Status.Signal().String()
		}
		got = append(got, fmt.Sprint("exited ", x.Tag, " ", end))
	}
	return got
}

// next waits until something other than a posted function happens.
func (b *bench) next() []string {
	b.t.Helper()
	for {
		if got := b.wait(); len(got) > 0 {
			slices.Sort(got)
			return got
		}
	}
}

func (b *bench) want(want ...string) {
	b.t.Helper()
	if got := b.next(); !slices.Equal(got, want) {
		b.t.Fatalf("Wait = %q, want %q", got, want)
	}
}

// quiet checks that nothing but a posted function happens.
func (b *bench) quiet() {
	b.t.Helper()
	ran := false
	b.set.Post(func() { ran = true })
	if got := b.wait(); len(got) > 0 || !ran {
		b.t.Fatalf("Wait = %q, want nothing but the posted function", got)
	}
}

// child starts a shell command as a child of the set.
func (b *bench) child(script, tag string) int {
	b.t.Helper()
	pid, pidfd := b.start(script)
	if err := b.set.Child(pid, pidfd, tag); err != nil {
		b.t.Fatal(err)
	}
	return pid
}

func (b *bench) start(script string) (pid, pidfd int) {
	b.t.Helper()
	pidfd = -1
	attr := &syscall.ProcAttr{Files: []uintptr{0, 1, 2}, Sys: &syscall.SysProcAttr{}}
	if flavour == "pidfd" {
		wantPidfd(attr.Sys, &pidfd)
	}
	pid, err := syscall.ForkExec("/bin/sh", []string{"sh", "-c", script}, attr)
	if err != nil {
		b.t.Fatal(err)
	}
	if flavour == "pidfd" && pidfd < 0 {
		b.t.Skip("this system has no pidfds")
	}
	return pid, pidfd
}

func (b *bench) pipe() (r, w int) {
	b.t.Helper()
	var p [2]int
	if err := unix.Pipe(p[:]); err != nil {
		b.t.Fatal(err)
	}
	for _, fd := range p {
		unix.CloseOnExec(fd)
	}
	b.t.Cleanup(func() { unix.Close(p[0]); unix.Close(p[1]) })
	return p[0], p[1]
}

func (b *bench) watch(fd int, tag string) {
	b.t.Helper()
	if err := b.set.Watch(fd, tag); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) unwatch(fd int) {
	b.t.Helper()
	if err := b.set.Unwatch(fd); err != nil {
		b.t.Fatal(err)
	}
}

func TestReadable(t *testing.T) {
	onNew(t, func(t *testing.T, b *bench) {
		r1, w1 := b.pipe()
		r2, w2 := b.pipe()
		b.watch(r1, "one")
		b.watch(r2, "two")
		b.quiet()
		unix.Write(w2, []byte("x"))
		b.want("readable two")
		b.want("readable two") // level-triggered
		unix.Write(w1, []byte("x"))
		b.want("readable one", "readable two")
		unix.Read(r2, make([]byte, 1))
		b.want("readable one")
		b.unwatch(r1)
		b.quiet()
		b.watch(r1, "again")
		b.want("readable again")
		unix.Read(r1, make([]byte, 1))
		// The other end has gone: that can be read, too.
		unix.Close(w2)
		b.want("readable two")
		b.unwatch(r2)
		b.unwatch(r1)
		b.quiet()
	})
}

// Many descriptors, of which one in the middle leaves and comes back.
func TestMany(t *testing.T) {
	onNew(t, func(t *testing.T, b *bench) {
		const n = 100
		var rs, ws []int
		for i := range n {
			r, w := b.pipe()
			rs, ws = append(rs, r), append(ws, w)
			b.watch(r, fmt.Sprint(i))
		}
		for _, i := range []int{0, 50, n - 1} {
			b.unwatch(rs[i])
		}
		for _, w := range ws {
			unix.Write(w, []byte("x"))
		}
		// A set may report as many at a time as it likes, in any order.
		seen := make(map[string]bool)
		for len(seen) < n-3 {
			for _, ev := range b.next() {
				seen[ev] = true
				var i int
				fmt.Sscanf(ev, "readable %d", &i)
				unix.Read(rs[i], make([]byte, 1))
			}
		}
		for _, i := range []int{0, 50, n - 1} {
			if ev := fmt.Sprint("readable ", i); seen[ev] {
				t.Errorf("%s, which is not watched", ev)
			}
			b.watch(rs[i], "back")
		}
		b.want("readable back", "readable back", "readable back")
	})
}

func TestMisuse(t *testing.T) {
	onNew(t, func(t *testing.T, b *bench) {
		r, _ := b.pipe()
		b.watch(r, "one")
		if err := b.set.Watch(r, "twice"); err == nil {
			t.Error("Watch of a watched descriptor succeeds")
		}
		b.unwatch(r)
		if err := b.set.Unwatch(r); err == nil {
			t.Error("Unwatch of an unwatched descriptor succeeds")
		}
		b.quiet()
	})
}

// Posted functions run in their order, each once, whoever posts them, and may
// post others.
func TestPost(t *testing.T) {
	onNew(t, func(t *testing.T, b *bench) {
		const posters, each = 4, 500
		var got [posters][]int
		total := 0
		var wg sync.WaitGroup
		for p := range posters {
			wg.Go(func() {
				for i := range each {
					b.set.Post(func() {
						got[p] = append(got[p], i)
						b.set.Post(func() { total++ })
					})
				}
			})
		}
		for total < posters*each {
			b.wait()
		}
		wg.Wait()
		for p := range got {
			if !slices.IsSorted(got[p]) || len(got[p]) != each {
				t.Errorf("functions of poster %d ran as %v", p, got[p])
			}
		}
		b.quiet()
	})
}

// A function that is posted wakes a loop that waits, also when the loop has
// gone to sleep just then.
func TestPostWakes(t *testing.T) {
	onNew(t, func(t *testing.T, b *bench) {
		ran := make(chan struct{})
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range 2000 {
				b.set.Post(func() { ran <- struct{}{} })
				<-ran
			}
		}()
		for {
			select {
			case <-done:
				return
			default:
			}
			b.set.Post(func() {}) // so that the last Wait ends
			evs, err := b.set.Wait()
			if err != nil {
				t.Fatal(err)
			}
			for _, ev := range evs {
				ev.Run()
			}
		}
	})
}

func TestChildren(t *testing.T) {
	onNew(t, func(t *testing.T, b *bench) {
		b.child("exit 0", "true")
		b.want("exited true 0")
		b.child("exit 7", "seven")
		b.want("exited seven 7")
		b.child("kill -9 $$", "killed")
		b.want("exited killed killed")

		// Each end is told once, reaped before or not, whatever else happens.
		r, w := b.pipe()
		b.watch(r, "pipe")
		for _, reap := range []func(){func() {}, b.set.Reap} {
			unix.Write(w, []byte("x"))
			waitEnded(t, b.child("exit 4", "beside"))
			seen := 0
			for seen == 0 {
				if _, err := b.set.Wait(); err != nil {
					t.Fatal(err)
				}
				reap()
				reap()
				for range 2 {
					for _, x := range b.set.Exits() {
						if seen++; x.Tag != "beside" || x.Status.ExitStatus() != 4 {
							t.Errorf("Exits has %v", x)
						}
					}
				}
			}
			if seen != 1 {
				t.Errorf("the end of a child is told %d times", seen)
			}
			unix.Read(r, make([]byte, 1))
			b.quiet()
		}
		b.unwatch(r)

		// It has ended before the set hears of it.
		pid, pidfd := b.start("exit 3")
		waitEnded(t, pid)
		if err := b.set.Child(pid, pidfd, "early"); err != nil {
			t.Fatal(err)
		}
		b.want("exited early 3")

		// Many, which end as they like.
		const n = 50
		left := make(map[string]bool)
		for i := range n {
			b.child(fmt.Sprintf("exit %d", i), fmt.Sprint("c", i))
			left[fmt.Sprintf("exited c%d %d", i, i)] = true
		}
		for len(left) > 0 {
			for _, ev := range b.next() {
				if !left[ev] {
					t.Fatalf("Wait = %q, which was not expected", ev)
				}
				delete(left, ev)
			}
		}
		b.quiet()
		// All are reaped.
		if got, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); err != unix.ECHILD {
			t.Errorf("wait4 = %d, %v, want %v", got, err, unix.ECHILD)
		}
	})
}

// waitEnded waits until a child is a zombie, and leaves it one.
func waitEnded(t *testing.T, pid int) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		out, _ := exec.Command("ps", "-o", "state=", "-p", fmt.Sprint(pid)).Output()
		if len(out) > 0 && out[0] == 'Z' {
			return
		}
	}
	t.Fatal("the child does not end")
}

// Children and descriptors together, and a child that ends while the loop does
// something else.
func TestMixed(t *testing.T) {
	onNew(t, func(t *testing.T, b *bench) {
		r, w := b.pipe()
		b.watch(r, "pipe")
		slow := b.child("exec sleep 60", "slow")
		b.child("exit 1", "quick")
		b.want("exited quick 1")
		unix.Write(w, []byte("x"))
		b.want("readable pipe")
		unix.Read(r, make([]byte, 1))
		unix.Kill(slow, unix.SIGTERM)
		b.want("exited slow terminated")
		b.unwatch(r)
	})
}

// The set reaps its own children only: those of os/exec belong to who started
// them, before, while and after a child of the set runs.
func TestOthersChildren(t *testing.T) {
	onNew(t, func(t *testing.T, b *bench) {
		run := func() {
			t.Helper()
			err := exec.Command("/bin/sh", "-c", "exit 5").Run()
			if ee, ok := err.(*exec.ExitError); !ok || ee.ExitCode() != 5 {
				t.Errorf("exec.Command(exit 5) = %v, want exit status 5", err)
			}
		}
		run()
		pid := b.child("exec sleep 60", "own")
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range 10 {
				run()
			}
			unix.Kill(pid, unix.SIGKILL)
		}()
		b.want("exited own killed")
		<-done
		run()
		b.quiet()
	})
}

// A set that has come and gone leaves no descriptor behind.
func TestClose(t *testing.T) {
	count := func() int {
		names, err := os.ReadDir("/dev/fd")
		if err != nil {
			t.Skipf("no /dev/fd: %v", err)
		}
		return len(names)
	}
	cycle := func() {
		set, err := New()
		if err != nil {
			t.Fatal(err)
		}
		b := &bench{t: t, set: set}
		pid := b.child("exec sleep 60", "left")
		set.Close()
		unix.Kill(pid, unix.SIGKILL)
		unix.Wait4(pid, nil, 0, nil)
	}
	cycle()
	before := count()
	for range 10 {
		cycle()
	}
	if after := count(); after != before {
		t.Errorf("%d descriptors after ten sets, want %d as before", after, before)
	}
}

func BenchmarkPost(b *testing.B) {
	set, err := New()
	if err != nil {
		b.Fatal(err)
	}
	defer set.Close()
	b.ReportAllocs()
	f := func() {}
	for b.Loop() {
		set.Post(f)
		set.Wait()
	}
}
