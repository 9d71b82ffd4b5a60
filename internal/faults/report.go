//go:build linux

package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/vestibule-auth/vestibule/internal/faults/history"
)

// report checks the history and prints the result. It returns an error if an invariant does not
// hold, or if the planted fault was not found.
func (h *harness) report(took time.Duration) error {
	if err := h.settled(); err != nil {
		return err
	}
	began := time.Now()
	list, err := h.rec.Take()
	if err != nil {
		return err
	}
	bounds := history.Bounds{Revoked: bound, Recovered: recovered}
	rest := split(list, h.broken.name)
	r := history.Check(rest, bounds)
	found := len(history.Check(list, bounds).Violations) - len(r.Violations)
	leaks, files, err := h.secrets.search(h.dir, "*.log")
	if err != nil {
		return err
	}
	if files < len(h.w.all) {
		return fmt.Errorf("only %d files of output were found", files)
	}
	bypasses, longest, err := blind(h.dir)
	if err != nil {
		return err
	}
	h.calls(rest)
	fmt.Printf("calls %d (%.0f a second), unknown %d, credentials %d, acknowledged revocations %d\n", r.Calls, float64(r.Calls)/took.Seconds(), r.Unknown, r.Credentials, r.Revocations)
	total := 0
	for _, name := range slices.Sorted(maps.Keys(r.Faults)) {
		fmt.Printf("  %2d x %s\n", r.Faults[name], name)
		total += r.Faults[name]
	}
	cuts := 0
	for _, x := range h.w.replicas {
		cuts += x.db.Commits()
	}
	for _, v := range r.Violations {
		fmt.Printf("VIOLATION of %s: %s\n", v.Invariant, v.Text)
		for _, e := range slices.SortedFunc(slices.Values(v.Events), func(a, b history.Event) int { return cmp.Compare(a.T0, b.T0) }) {
			fmt.Println("   ", e)
		}
	}
	if len(h.rss) > 0 {
		fmt.Printf("memory of replica A after each fault, MiB:")
		for _, kib := range h.rss {
			fmt.Printf(" %d", kib>>10)
		}
		fmt.Println()
	}
	fmt.Printf("faults %d, commits cut %d\n", total, cuts)
	fmt.Printf("violations %d, undecided %d, secrets in %d files of output %d\n", len(r.Violations), r.Undecided, files, len(leaks))
	fmt.Printf("worst revocation lag %v (%s, bound %v)\n", r.WorstLag.Round(time.Millisecond), h.courier, bound)
	fmt.Printf("worst recovery %v (bound %v)\n", r.WorstRecovery.Round(time.Millisecond), recovered)
	fmt.Printf("caches bypassed %d times, at most for %v\n", bypasses, longest.Round(time.Millisecond))
	fmt.Printf("planted fault: %d violations found\n", found)
	fmt.Printf("took %.0f s, of it %.1f s for the check\n", took.Seconds(), time.Since(began).Seconds())
	switch {
	case len(r.Violations) > 0 || len(leaks) > 0:
		return fmt.Errorf("%d violations (seed %d, history in %s) %v", len(r.Violations), h.seed, h.dir, leaks)
	case r.Undecided > 0:
		return errors.New("the check of some credentials took too long")
	case found == 0:
		return errors.New("the planted fault was not found: the check proves nothing")
	case h.only == "" && bypasses == 0:
		return errors.New("no cache was bypassed: the faults did not reach the couriers")
	case r.Revocations == 0 || total == 0 || h.soak == 0 && h.only == "" && (total < core || cuts == 0):
		return fmt.Errorf("too little was tested: %d revocations, %d faults, %d commits cut", r.Revocations, total, cuts)
	}
	return nil
}

// settled waits until every replica has about as many open files as before the first fault. What
// stays open is a leak.
func (h *harness) settled() error {
	return wait(30*time.Second, func() error {
		for _, r := range h.w.replicas {
			was, is := h.before[r.name], r.p.resources()
			if limit := was.Files + was.Files/10 + 10; is.Files > limit {
				return fmt.Errorf("replica %s has %d open files, before the faults %d", r.name, is.Files, was.Files)
			}
		}
		return nil
	})
}

// calls prints how often each operation had each result.
func (h *harness) calls(list []history.Event) {
	results := map[string]map[string]int{}
	for _, e := range list {
		if e.Op == history.Fault || e.Op == history.Lost {
			continue
		}
		if results[e.Op] == nil {
			results[e.Op] = map[string]int{}
		}
		results[e.Op][e.Res]++
	}
	for _, op := range slices.Sorted(maps.Keys(results)) {
		fmt.Printf("  %-10s", op)
		for _, res := range []string{history.Yes, history.No, history.Unknown, history.Limited} {
			fmt.Printf(" %s %d", res, results[op][res])
		}
		fmt.Println()
	}
}
