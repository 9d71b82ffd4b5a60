//go:build linux

package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/vestibule-auth/vestibule/internal/faults/history"
)

// result is what a run found, of all parts of its history.
type result struct {
	options
	dir      string
	took     time.Duration
	parts    int
	report   history.Report            // sums and maxima
	calls    map[string]map[string]int // by operation and result
	bad      []string                  // violations that no history shows
	broken   []string                  // rules of the database
	commits  int                       // that were cut
	rss      []int                     // KiB of replica A, a sample after each fault
	storm    storm
	files    int // of output that were searched
	bypasses int
	longest  time.Duration  // that a cache was bypassed
	found    map[string]int // violations of the planted replica, by invariant
}

// defects are the invariants that the planted replica breaks.
var defects = []string{"I1", "I7", "I8", "I9", "I10", "I12"}

func newResult(o options, w *world) *result {
	return &result{options: o, dir: w.dir, report: history.Report{Faults: map[string]int{}}, calls: map[string]map[string]int{}, found: map[string]int{}}
}

func (r *result) invalid(invariant, format string, args ...any) {
	r.bad = append(r.bad, invariant+": "+fmt.Sprintf(format, args...))
}

// add adds a part of the history. Its violations are printed.
func (r *result) add(part history.Report, list []history.Event) {
	r.parts++
	sum := &r.report
	sum.Calls += part.Calls
	sum.Unknown += part.Unknown
	sum.Limited += part.Limited
	sum.Credentials += part.Credentials
	sum.Revocations += part.Revocations
	sum.Attempts += part.Attempts
	sum.Undecided += part.Undecided
	sum.Starved += part.Starved
	sum.WorstLag = max(sum.WorstLag, part.WorstLag)
	sum.WorstRecovery = max(sum.WorstRecovery, part.WorstRecovery)
	sum.Violations = append(sum.Violations, part.Violations...)
	for name, n := range part.Faults {
		sum.Faults[name] += n
	}
	for _, e := range list {
		if e.Op == history.Fault || e.Op == history.Lost || e.Op == history.Probe {
			continue
		}
		if r.calls[e.Op] == nil {
			r.calls[e.Op] = map[string]int{}
		}
		r.calls[e.Op][e.Res]++
	}
	if r.soak > 0 {
		fmt.Printf("part %d: calls %d, unknown %d, faults %d, violations %d, worst lag %v\n", r.parts, part.Calls, part.Unknown, len(part.Faults), len(part.Violations), part.WorstLag.Round(time.Millisecond))
	}
	for _, v := range part.Violations {
		fmt.Printf("VIOLATION of %s: %s\n", v.Invariant, v.Text)
		for _, e := range slices.SortedFunc(slices.Values(v.Events), func(a, b history.Event) int { return cmp.Compare(a.T0, b.T0) }) {
			fmt.Println("   ", e)
		}
	}
}

func (r *result) faults() (n int) {
	for _, k := range r.report.Faults {
		n += k
	}
	return n
}

// violations returns how many there are, of all kinds.
func (r *result) violations() int { return len(r.report.Violations) + len(r.bad) + len(r.broken) }

// print prints everything.
func (r *result) print() {
	for _, op := range slices.Sorted(maps.Keys(r.calls)) {
		fmt.Printf("  %-10s", op)
		for _, res := range []string{history.Yes, history.No, history.Unknown, history.Limited} {
			fmt.Printf(" %s %d", res, r.calls[op][res])
		}
		fmt.Println()
	}
	for _, name := range slices.Sorted(maps.Keys(r.report.Faults)) {
		fmt.Printf("  %2d x %s\n", r.report.Faults[name], name)
	}
	for _, line := range r.lines() {
		fmt.Printf("%s: %s\n", strings.ToLower(line[0][:1])+line[0][1:], line[1])
	}
	for _, text := range append(r.bad, r.broken...) {
		fmt.Println("VIOLATION:", text)
	}
	for _, name := range defects {
		fmt.Printf("planted violations of %s found: %d\n", name, r.found[name])
	}
	fmt.Printf("took %.0f s\n", r.took.Seconds())
}

// lines returns the figures, each with its name.
func (r *result) lines() [][2]string {
	p := &r.report
	ms := func(d time.Duration) string { return d.Round(time.Millisecond).String() }
	list := [][2]string{
		{"Duration", r.took.Round(time.Second).String()},
		{"Calls", fmt.Sprintf("%d (%.0f per second)", p.Calls, float64(p.Calls)/r.took.Seconds())},
		{"Unknown outcomes", fmt.Sprint(p.Unknown)},
		{"Credentials", fmt.Sprint(p.Credentials)},
		{"Acknowledged revocations", fmt.Sprint(p.Revocations)},
		{"Faults", fmt.Sprintf("%d of %d kinds", r.faults(), len(p.Faults))},
		{"Commits cut", fmt.Sprint(r.commits)},
		{"Violations", fmt.Sprint(r.violations())},
		{"Undecided credentials", fmt.Sprint(p.Undecided)},
		{"Worst revocation lag", fmt.Sprintf("%s (bound %v)", ms(p.WorstLag), bound)},
		{"Slowest recovery", fmt.Sprintf("%s (bound %v)", ms(p.WorstRecovery), recovered)},
		{"Recoveries not judged, because the database itself was slow", fmt.Sprint(p.Starved)},
		{"Times that a cache was bypassed", fmt.Sprint(r.bypasses)},
		{"Longest time that a cache was bypassed", ms(r.longest)},
		{"Device grants through the limit", fmt.Sprintf("%d of %d", p.Attempts, p.Attempts+r.calls[history.Attempt][history.Limited])},
		{"p99 of token checks, idle and during logins", fmt.Sprintf("%s, %s", ms(r.storm.idle), ms(r.storm.busy))},
	}
	if n := len(r.rss); n > 0 {
		list = append(list, [2]string{"Memory of replica A, after the first, the middle and the last fault", fmt.Sprintf("%d, %d, %d MiB", r.rss[0]>>10, r.rss[n/2]>>10, r.rss[n-1]>>10)})
	}
	return list
}

// verdict returns an error if an invariant does not hold, or if the run proves too little.
func (h *harness) verdict() error {
	r := h.result
	if n := r.violations(); n > 0 {
		return fmt.Errorf("%d violations (seed %d, history in %s)", n, r.seed, r.dir)
	}
	for _, name := range defects {
		if r.found[name] <= 0 {
			return fmt.Errorf("the planted violation of %s was not found: its check proves nothing", name)
		}
	}
	total := r.faults()
	switch {
	case r.report.Undecided > 0:
		return errors.New("the check of some credentials took too long")
	case r.only == "" && r.bypasses == 0:
		return errors.New("no cache was bypassed: the faults did not reach the couriers")
	case r.report.Attempts == 0 || r.calls[history.Attempt][history.Limited] == 0:
		return errors.New("no limit was reached")
	case r.report.Revocations == 0 || total == 0 || r.soak == 0 && r.only == "" && (total < core || r.commits == 0):
		return fmt.Errorf("too little was tested: %d revocations, %d faults, %d commits cut", r.report.Revocations, total, r.commits)
	}
	return nil
}
