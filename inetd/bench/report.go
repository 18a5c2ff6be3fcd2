//go:build linux

package main

import (
	"bufio"
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A table compares contenders in one work. The first row is ours.
type table struct {
	Work     string    `json:"work"`
	Title    string    `json:"title"`
	Measures []measure `json:"measures"`
	Rows     []*row    `json:"rows"`
	Notes    []string  `json:"notes,omitempty"`
	times    int       // how often to measure, if not as often as asked for
}

type measure struct {
	Name  string `json:"name"`
	Unit  string `json:"unit"`
	Ratio bool   `json:"-"` // print ours divided by the row's
}

// A row has a value for each measure, NaN where it has none.
type row struct {
	Name   string   `json:"name"`
	Values []number `json:"values"` // medians
	Ratios []number `json:"ratios"` // medians of ours divided by this row's, round by round
	Low    []number `json:"low"`
	High   []number `json:"high"`
	rounds [][]float64
	pool   []time.Duration // what clients of all rounds waited
}

// A number is null in JSON where there is none.
type number float64

func (n number) MarshalJSON() ([]byte, error) {
	if f := float64(n); math.IsNaN(f) || math.IsInf(f, 0) {
		return []byte("null"), nil
	}
	return json.Marshal(float64(n))
}

// A contender is measured in each round. It returns a value for each measure
// of its table.
type contender struct {
	name    string
	measure func() ([]float64, error)
	pool    *[]time.Duration // filled by measure, or nil
}

// percentiles are the measures that come from the pool where there is one: a
// round has too few clients for them.
var percentiles = map[string]float64{"p50": 0.50, "p99": 0.99}

// percentile sorts ds.
func percentile(ds []time.Duration, p float64) float64 {
	if len(ds) == 0 {
		return none
	}
	slices.Sort(ds)
	return us(ds[int(float64(len(ds))*p)])
}

var none = math.NaN()

// rounds measures the contenders in turn and prints their table. One that
// fails is left out with a note; ours, the first, may not.
func (b *bench) rounds(t *table, cs []contender) error {
	failed := make(map[int]bool)
	for _, c := range cs {
		t.Rows = append(t.Rows, &row{Name: c.name})
	}
	times := t.times
	if times == 0 {
		times = b.options.rounds
	}
	for r := range times {
		for k := range cs {
			// Who comes first changes from round to round.
			i := (k + r) % len(cs)
			if failed[i] {
				continue
			}
			v, err := cs[i].measure()
			if err != nil && i == 0 {
				return fmt.Errorf("%s: %w", cs[i].name, err)
			}
			if err != nil {
				failed[i] = true
				t.note("%s left out: %v", cs[i].name, err)
				continue
			}
			t.Rows[i].rounds = append(t.Rows[i].rounds, v)
		}
	}
	rows := t.Rows[:0]
	for i, w := range t.Rows {
		if !failed[i] {
			if cs[i].pool != nil {
				w.pool = *cs[i].pool
			}
			rows = append(rows, w)
		}
	}
	t.Rows = rows
	t.settle()
	b.tables = append(b.tables, t)
	t.print(b.out)
	return nil
}

func (t *table) note(format string, args ...any) {
	t.Notes = append(t.Notes, fmt.Sprintf(format, args...))
}

// settle makes medians of the rounds.
func (t *table) settle() {
	for _, w := range t.Rows {
		for m := range t.Measures {
			var vs, ratios []float64
			for r := range w.rounds {
				v := w.rounds[r][m]
				vs = append(vs, v)
				ratios = append(ratios, t.Rows[0].rounds[r][m]/v)
			}
			w.Values = append(w.Values, number(median(vs)))
			w.Ratios = append(w.Ratios, number(median(ratios)))
			w.Low = append(w.Low, number(slices.Min(vs)))
			w.High = append(w.High, number(slices.Max(vs)))
			if p, ok := percentiles[t.Measures[m].Name]; ok && len(w.pool) > 0 {
				w.Values[m] = number(percentile(w.pool, p))
				w.Ratios[m] = t.Rows[0].Values[m] / w.Values[m]
			}
		}
	}
}

// median leaves out what is no number.
func median(vs []float64) float64 {
	vs = slices.DeleteFunc(slices.Clone(vs), math.IsNaN)
	if len(vs) == 0 {
		return none
	}
	slices.Sort(vs)
	mid := len(vs) / 2
	if len(vs)%2 == 0 {
		return (vs[mid-1] + vs[mid]) / 2
	}
	return vs[mid]
}

// print writes the table in columns: a value, and beside it ours divided by it.
func (t *table) print(w io.Writer) {
	lines := [][]string{{""}}
	for _, m := range t.Measures {
		head := m.Name
		if m.Unit != "" {
			head += " " + m.Unit
		}
		lines[0] = append(lines[0], head)
		if m.Ratio {
			lines[0] = append(lines[0], "ours/it")
		}
	}
	for _, r := range t.Rows {
		line := []string{r.Name}
		for m := range t.Measures {
			line = append(line, human(float64(r.Values[m])))
			if t.Measures[m].Ratio {
				ratio := "-"
				if f := float64(r.Ratios[m]); !math.IsNaN(f) && !math.IsInf(f, 0) {
					ratio = fmt.Sprintf("%.2f", f)
				}
				line = append(line, ratio)
			}
		}
		lines = append(lines, line)
	}
	widths := make([]int, len(lines[0]))
	for _, line := range lines {
		for i, cell := range line {
			widths[i] = max(widths[i], len(cell))
		}
	}
	fmt.Fprintf(w, "\n%s: %s\n", t.Work, t.Title)
	for _, line := range lines {
		var sb strings.Builder
		fmt.Fprintf(&sb, "  %-*s", widths[0], line[0])
		for i, cell := range line[1:] {
			fmt.Fprintf(&sb, "  %*s", widths[i+1], cell)
		}
		fmt.Fprintln(w, strings.TrimRight(sb.String(), " "))
	}
	for _, n := range t.Notes {
		fmt.Fprintf(w, "  %s\n", n)
	}
}

// human writes a number with three digits, or whole with commas.
func human(f float64) string {
	switch {
	case math.IsNaN(f) || math.IsInf(f, 0):
		return "-"
	case f == math.Trunc(f):
	case math.Abs(f) < 10:
		return strconv.FormatFloat(f, 'f', 2, 64)
	case math.Abs(f) < 100:
		return strconv.FormatFloat(f, 'f', 1, 64)
	}
	s := strconv.FormatFloat(math.Abs(f), 'f', 0, 64)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	if f < 0 {
		return "-" + s
	}
	return s
}

// A machine is where the numbers are from.
type machine struct {
	Date     string            `json:"date"`
	CPU      string            `json:"cpu"`
	CPUs     int               `json:"cpus"`
	Used     int               `json:"cpus_used"`
	MemoryMB int               `json:"memory_mb"`
	Kernel   string            `json:"kernel"`
	Virtual  bool              `json:"virtual"`
	System   string            `json:"system"`
	Go       string            `json:"go"`
	CC       string            `json:"cc,omitempty"`
	Server   string            `json:"server"`
	Private  bool              `json:"private_namespaces"`
	Load     string            `json:"load_before"`
	Peers    map[string]string `json:"peers"`
	Rounds   int               `json:"rounds"`
	RoundMS  int64             `json:"round_ms"`
	Seconds  float64           `json:"seconds"`
}

func describe(b *bench) *machine {
	m := &machine{
		Date: time.Now().UTC().Format(time.DateOnly), CPU: "unknown", System: "unknown", Go: "unknown",
		Server: b.progs.server, Private: b.private, Peers: b.progs.versions,
		Rounds: b.options.rounds, RoundMS: b.options.time.Milliseconds(),
	}
	if f, err := os.Open("/proc/cpuinfo"); err == nil {
		defer f.Close()
		for sc := bufio.NewScanner(f); sc.Scan(); {
			name, value, _ := strings.Cut(sc.Text(), ":")
			switch value = strings.TrimSpace(value); strings.TrimSpace(name) {
			case "model name":
				m.CPU = value
			case "processor":
				m.CPUs++
			case "flags":
				m.Virtual = slices.Contains(words(value), "hypervisor")
			}
		}
	}
	var used unix.CPUSet
	unix.SchedGetaffinity(0, &used)
	m.Used = used.Count()
	kb, _ := field("/proc/meminfo", "MemTotal")
	m.MemoryMB = kb >> 10
	var u unix.Utsname
	unix.Uname(&u)
	m.Kernel = unix.ByteSliceToString(u.Sysname[:]) + " " + unix.ByteSliceToString(u.Release[:]) + " " + runtime.GOARCH
	if text, err := os.ReadFile("/etc/os-release"); err == nil {
		_, rest, _ := strings.Cut(string(text), `PRETTY_NAME="`)
		m.System, _, _ = strings.Cut(rest, `"`)
	}
	if info, err := buildinfo.ReadFile(b.progs.inetd); err == nil {
		m.Go = info.GoVersion
	}
	if out, err := exec.Command("cc", "--version").Output(); err == nil {
		m.CC, _, _ = strings.Cut(string(out), "\n")
	}
	text, _ := os.ReadFile("/proc/loadavg")
	if f := words(string(text)); len(f) > 3 {
		m.Load = strings.Join(f[:3], " ")
	}
	return m
}

func (m *machine) print(w io.Writer) {
	virtual := ""
	if m.Virtual {
		virtual = ", virtual machine"
	}
	fmt.Fprintf(w, "%s, %s, %d of %d processors, %d MB%s\n", m.Date, m.CPU, m.Used, m.CPUs, m.MemoryMB, virtual)
	fmt.Fprintf(w, "%s, %s, our programs by %s\n", m.System, m.Kernel, m.Go)
	if m.CC != "" {
		fmt.Fprintf(w, "trivial server: %s, by %s\n", m.Server, m.CC)
	} else {
		fmt.Fprintf(w, "trivial server: %s\n", m.Server)
	}
	for _, pkg := range []string{"openbsd-inetd", "xinetd", "ucspi-tcp", "tcpd"} {
		v := m.Peers[pkg]
		if v == "" {
			v = "not installed"
		}
		fmt.Fprintf(w, "%s: %s\n", pkg, v)
	}
	busy := ""
	if load, err := strconv.ParseFloat(strings.SplitN(m.Load, " ", 2)[0], 64); err == nil && load > float64(m.CPUs)/2 {
		busy = " (other work goes on: expect noise)"
	}
	fmt.Fprintf(w, "medians of %d rounds of %d ms; load average before: %s%s\n", m.Rounds, m.RoundMS, m.Load, busy)
	fmt.Fprintln(w, "ours/it is our number divided by that of the line: more is better for rates, less for times and memory")
}

func writeJSON(file string, m *machine, ts []*table) error {
	data, err := json.MarshalIndent(struct {
		Machine *machine `json:"machine"`
		Tables  []*table `json:"tables"`
	}{m, ts}, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
		return err
	}
	return os.WriteFile(file, append(data, '\n'), 0o666)
}
