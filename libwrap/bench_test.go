package libwrap

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var speed = flag.Duration("speed", 0, "measure decisions a second for this long at each point, side by side with the C library")

// kinds are tables of rules that do not match but the last, one kind of rule
// each.
var kinds = []struct {
	name string
	rule func(i int) string
	addr string
	last string
}{
	{"other daemon", func(i int) string { return fmt.Sprintf("ftpd%d: ALL", i) }, "10.0.0.1", "sshd: 10.0.0.1"},
	{"exact IPv4", func(i int) string { return fmt.Sprintf("sshd: 192.%d.%d.7", i>>8&255, i&255) }, "10.0.0.1", "sshd: 10.0.0.1"},
	{".domain suffix", func(i int) string { return fmt.Sprintf("sshd: .d%d.example.com", i) }, "10.0.0.1", "sshd: 10.0.0.1"},
	{"exact name", func(i int) string { return fmt.Sprintf("sshd: h%d.example.com", i) }, "10.0.0.1", "sshd: 10.0.0.1"},
	{"IPv4 prefix", func(i int) string { return fmt.Sprintf("sshd: 192.%d.%d.", i>>8&255, i&255) }, "10.0.0.1", "sshd: 10.0.0.1"},
	{"IPv4 CIDR", func(i int) string { return fmt.Sprintf("sshd: 192.%d.%d.0/24", i>>8&255, i&255) }, "10.0.0.1", "sshd: 10.0.0.1"},
	{"IPv6 client vs IPv4 CIDR", func(i int) string { return fmt.Sprintf("sshd: 192.%d.%d.0/24", i>>8&255, i&255) }, "2001:db9::1", "sshd: [2001:db9::]/32"},
	{"[IPv6]/len", func(i int) string { return fmt.Sprintf("sshd: [2001:db8:%x::]/48", i&0xffff) }, "2001:db9::1", "sshd: [2001:db9::]/32"},
	{"wildcard name", func(i int) string { return fmt.Sprintf("sshd: *.d%d.example.com", i) }, "10.0.0.1", "sshd: 10.0.0.1"},
	{"daemon@address", func(i int) string { return fmt.Sprintf("sshd@192.%d.%d.7: ALL", i>>8&255, i&255) }, "10.0.0.1", "sshd: 10.0.0.1"},
	{"one long host file", nil, "10.0.0.1", "sshd: 10.0.0.1"},
}

// write makes the table of a kind with n lines and returns it with the text.
func writeKind(tb testing.TB, k, n int, dir string) (*Tables, []string) {
	kind := kinds[k]
	var lines []string
	if kind.rule == nil {
		var b strings.Builder
		for i := range n - 1 {
			fmt.Fprintf(&b, "192.%d.%d.7\n", i>>8&255, i&255)
		}
		b.WriteString(kind.addr + "\n")
		list := filepath.Join(dir, "list")
		if err := os.WriteFile(list, []byte(b.String()), 0o644); err != nil {
			tb.Fatal(err)
		}
		lines = []string{"sshd: " + list}
	} else {
		for i := range n - 1 {
			lines = append(lines, kind.rule(i))
		}
		lines = append(lines, kind.last)
	}
	t := &Tables{Allow: filepath.Join(dir, "allow"), Deny: filepath.Join(dir, "deny")}
	for path, text := range map[string]string{t.Allow: strings.Join(lines, "\n") + "\n", t.Deny: "ALL: ALL\n"} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			tb.Fatal(err)
		}
	}
	return t, lines
}

func (k kindQuery) request() *Request {
	return &Request{Daemon: "sshd", Client: Endpoint{Addr: string(k), Name: "h.example.net"}}
}

type kindQuery string

// settle waits until a change of the files would show, and warms the cache.
func settle(tb testing.TB, t *Tables, r *Request) {
	time.Sleep(2 * tick)
	for range 3 {
		if v := t.Check(context.Background(), r); !v.Allowed {
			tb.Fatal("not allowed")
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	for k, kind := range kinds {
		for _, n := range []int{10, 100, 1000, 10000} {
			b.Run(fmt.Sprintf("%s/%d", strings.ReplaceAll(kind.name, " ", "-"), n), func(b *testing.B) {
				t, _ := writeKind(b, k, n, b.TempDir())
				settle(b, t, kindQuery(kind.addr).request())
				b.ReportAllocs()
				for b.Loop() {
					t.Check(context.Background(), kindQuery(kind.addr).request())
				}
			})
		}
	}
}

// BenchmarkOnce is the decision of a process that makes only one.
func BenchmarkOnce(b *testing.B) {
	for _, n := range []int{1, 10, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			t, _ := writeKind(b, 1, n, b.TempDir())
			b.ReportAllocs()
			for b.Loop() {
				once := &Tables{Allow: t.Allow, Deny: t.Deny}
				once.Check(context.Background(), kindQuery("10.0.0.1").request())
			}
		})
	}
}

// TestSpeed holds decisions a second against the C library's, measured in the
// same run, and against our own with ten lines:
//
//	go test ./libwrap -run TestSpeed -speed 300ms -v
func TestSpeed(t *testing.T) {
	if *speed == 0 {
		t.Skip("only with -speed")
	}
	bin := ""
	if _, err := exec.LookPath("cc"); err == nil {
		path := filepath.Join(t.TempDir(), "wrapquery")
		if exec.Command("cc", "-O2", "-w", "-o", path, "testdata/oracle/wrapquery.c", "-lwrap").Run() == nil {
			bin = path
		}
	}
	if bin == "" {
		fmt.Println("the C library is not measured: needs cc and libwrap0-dev")
	}
	fmt.Printf("%-26s %8s %14s %14s %8s %10s\n", "rules of the kind", "lines", "ours/s", "C/s", "ratio", "slow-down")
	for k, kind := range kinds {
		var ten float64
		for _, n := range []int{10, 100, 1000, 10000} {
			tables, lines := writeKind(t, k, n, t.TempDir())
			settle(t, tables, kindQuery(kind.addr).request())
			var rates []float64
			for range 3 {
				count, start := 0, time.Now()
				for time.Since(start) < *speed/3 {
					for range 100 {
						tables.Check(context.Background(), kindQuery(kind.addr).request())
					}
					count += 100
				}
				rates = append(rates, float64(count)/time.Since(start).Seconds())
			}
			ours := max(rates[0], rates[1], rates[2])
			if n == 10 {
				ten = ours
			}
			if ten > 3*ours {
				t.Errorf("%s: %d lines cost %.1f times what 10 do, want at most 3", kind.name, n, ten/ours)
			}
			c, ratio := "-", "-"
			if bin != "" {
				cmd := exec.Command(bin, "-t", fmt.Sprintf("%.2f", speed.Seconds()))
				cmd.Stdin = strings.NewReader("case x\nallow\n|" + strings.Join(lines, "\n|") + "\ndeny\n|ALL: ALL\nq daemon=sshd addr=" + kind.addr + " host=h.example.net\n")
				out, err := cmd.Output()
				f := strings.Split(string(out), "\t")
				var rate float64
				if err != nil || len(f) < 3 {
					t.Fatalf("wrapquery -t: %v %q", err, out)
				}
				fmt.Sscan(f[2], &rate)
				c, ratio = fmt.Sprintf("%.0f", rate), fmt.Sprintf("%.1f", ours/rate)
				if ours < rate {
					t.Errorf("%s, %d lines: %.0f decisions a second, the C library %.0f", kind.name, n, ours, rate)
				}
			}
			fmt.Printf("%-26s %8d %14.0f %14s %8s %9.1fx\n", kind.name, n, ours, c, ratio, ten/ours)
		}
	}
}
