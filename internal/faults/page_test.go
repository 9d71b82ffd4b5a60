//go:build linux

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/faults/history"
)

// The page has the figures of both couriers side by side, and what one has not is 0.
func TestPage(t *testing.T) {
	o := options{seed: 7, soak: 30 * time.Minute, every: time.Minute, page: filepath.Join(t.TempDir(), "soak.md")}
	var results []*result
	for _, courier := range []string{"notify", "outbox"} {
		o.courier = courier
		r := newResult(o, &world{})
		r.took = 30 * time.Minute
		r.add(history.Report{Calls: 1000, Faults: map[string]int{"disk full": 2}, WorstLag: 20 * time.Millisecond}, nil)
		r.add(history.Report{Calls: 500, Faults: map[string]int{courier: 1}, WorstLag: 10 * time.Millisecond}, nil)
		r.found["I7"] = 3
		results = append(results, r)
	}
	if err := writePage(o, newMachine(), results); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(o.page)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"title: Result of a long run", "`make soak DURATION=1h0m0s COURIER=both FAULTFLAGS=\"-seed 7 -every 1m0s\"` |",
		"|  | notify | outbox |", "| Calls | 1500 (1 per second) | 1500 (1 per second) |", "| Worst revocation lag | 20ms (bound 250ms) | 20ms (bound 250ms) |",
		"| disk full | 2 | 2 |", "| notify | 1 | 0 |", "| outbox | 0 | 1 |", "| I7 | 3 | 3 |", "| I12 | 0 | 0 |", "| Faults | 3 of 2 kinds | 3 of 2 kinds |",
	} {
		if !strings.Contains(string(text), want+"\n") {
			t.Errorf("the page has no line %q", want)
		}
	}
	if t.Failed() {
		t.Logf("%s", text)
	}
}

// A run proves something only if every check finds its planted defect.
func TestVerdict(t *testing.T) {
	good := func() *harness {
		r := newResult(options{}, &world{})
		r.report.Revocations, r.report.Attempts, r.bypasses, r.commits = 1, 1, 1, 1
		r.report.Faults["cut"] = core
		r.calls[history.Attempt] = map[string]int{history.Limited: 1}
		for _, name := range defects {
			r.found[name] = 1
		}
		return &harness{result: r}
	}
	if err := good().verdict(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*result){
		"a violation":            func(r *result) { r.report.Violations = make([]history.Violation, 1) },
		"a leak":                 func(r *result) { r.invalid("I9", "a leak") },
		"rows that contradict":   func(r *result) { r.broken = []string{"x"} },
		"a defect not found":     func(r *result) { delete(r.found, "I12") },
		"undecided":              func(r *result) { r.report.Undecided = 1 },
		"no cache bypassed":      func(r *result) { r.bypasses = 0 },
		"no limit reached":       func(r *result) { r.calls[history.Attempt][history.Limited] = 0 },
		"nothing revoked":        func(r *result) { r.report.Revocations = 0 },
		"too few faults":         func(r *result) { r.report.Faults["cut"] = core - 1 },
		"no commit cut":          func(r *result) { r.commits = 0 },
		"a soak without a fault": func(r *result) { r.soak, r.report.Faults = time.Hour, nil },
	} {
		h := good()
		if change(h.result); h.verdict() == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestStorm(t *testing.T) {
	const ms = time.Millisecond
	for s, want := range map[storm]bool{
		{1 * ms, 3 * ms}: true, {1 * ms, 100 * ms}: true, {1 * ms, 101 * ms}: false, {40 * ms, 160 * ms}: true, {40 * ms, 161 * ms}: false,
	} {
		if s.holds() != want {
			t.Errorf("%v: %t", s, s.holds())
		}
	}
}
