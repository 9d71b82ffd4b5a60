//go:build linux

package main

import (
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// machine is where a run takes place, and when.
type machine struct {
	began time.Time
	load  string // at the begin
}

func newMachine() machine { return machine{time.Now(), load()} }

// load returns the load averages of 1, 5 and 15 minutes.
func load() string {
	text, _ := os.ReadFile("/proc/loadavg")
	fields := strings.Fields(string(text))
	return strings.Join(fields[:min(3, len(fields))], ", ")
}

// first returns the value of the first line of a file with that name, such as "model name: …".
func first(path, name string) string {
	text, _ := os.ReadFile(path)
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

// writePage writes the results of a run as a page of the documentation.
func writePage(o options, m machine, results []*result) error {
	var b strings.Builder
	b.WriteString(`---
title: Result of a long run
description: Figures of the last recorded run of make soak, with its seed, faults and violations.
kind: reference
audience: operator, security
---

# Result of a long run

` + "`make soak`" + ` wrote this page. [Fault tests](faults.md) explains what runs and what is checked.

`)
	names := make([]string, len(results))
	for i, r := range results {
		names[i] = r.courier
	}
	courier := both
	if len(names) == 1 {
		courier = names[0]
	}
	total := o.soak * time.Duration(len(results))
	fmt.Fprintf(&b, "| | |\n|---|---|\n")
	fmt.Fprintf(&b, "| Command | `make soak DURATION=%v COURIER=%s FAULTFLAGS=\"-seed %d -every %v\"` |\n", total, courier, o.seed, o.every)
	fmt.Fprintf(&b, "| Seed | %d |\n", o.seed)
	fmt.Fprintf(&b, "| Date | %s to %s UTC |\n", m.began.UTC().Format("2006-01-02 15:04"), time.Now().UTC().Format("15:04"))
	fmt.Fprintf(&b, "| Machine | %d cores, %s, %s of memory, %s |\n", runtime.NumCPU(), first("/proc/cpuinfo", "model name"), first("/proc/meminfo", "MemTotal"), runtime.Version())
	fmt.Fprintf(&b, "| Load of the machine (1, 5, 15 minutes) | %s at the start, %s at the end |\n\n", m.load, load())
	b.WriteString("Rates and times depend on what else the machine does. The seed repeats the choice of faults, not\ntheir exact times.\n\n## Figures\n\n")
	row(&b, "", names)
	row(&b, "---", slices.Repeat([]string{"---"}, len(names)))
	for i, line := range results[0].lines() {
		values := make([]string, len(results))
		for k, r := range results {
			values[k] = r.lines()[i][1]
		}
		row(&b, line[0], values)
	}
	b.WriteString("\n## Faults\n\n")
	row(&b, "Fault", names)
	row(&b, "---", slices.Repeat([]string{"---"}, len(names)))
	kinds := map[string]bool{}
	for _, r := range results {
		for name := range r.report.Faults {
			kinds[name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(kinds)) {
		values := make([]string, len(results))
		for k, r := range results {
			values[k] = fmt.Sprint(r.report.Faults[name])
		}
		row(&b, name, values)
	}
	b.WriteString("\n## Planted violations\n\nA replica with defects joined at the end. Each check must find its defect, or the run fails.\n\n")
	row(&b, "Invariant", names)
	row(&b, "---", slices.Repeat([]string{"---"}, len(names)))
	for _, name := range defects {
		values := make([]string, len(results))
		for k, r := range results {
			values[k] = fmt.Sprint(r.found[name])
		}
		row(&b, name, values)
	}
	return os.WriteFile(o.page, []byte(b.String()), 0o644)
}

func row(b *strings.Builder, name string, values []string) {
	fmt.Fprintf(b, "| %s | %s |\n", name, strings.Join(values, " | "))
}
