//go:build linux

package growth

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Results are everything that a run measured.
type Results struct {
	Time                      time.Time
	Commit, Machine, Go       string
	PostgreSQL, SharedBuffers string
	// The load averages before the run, after the connections were warmed, and at the end.
	Load, LoadWarm, LoadAfter string
	Warm, Slot                string
	Rounds                    int
	Samples                   []*Sample
}

// Sample is one table size.
type Sample struct {
	Tokens int
	// Bytes is the size of the tokens and their accounts, with indexes. Filled is how long the
	// table took to fill.
	Bytes  float64
	Filled string
	// P50 and P99 of each round, in microseconds.
	P50, P99 []float64
}

const (
	resultsFile = "growth.json"
	pageFile    = "growth.md"
	// gate is how many times as long a lookup may take in the largest table.
	gate = 1.3
)

// Write writes the results and the page.
func (r *Results) Write(dir string) error {
	text, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(dir, resultsFile), append(text, '\n'), 0o644),
		os.WriteFile(filepath.Join(dir, pageFile), []byte(r.markdown()), 0o644),
	)
}

// Read reads the results of an earlier run.
func Read(dir string) (*Results, error) {
	text, err := os.ReadFile(filepath.Join(dir, resultsFile))
	if err != nil {
		return nil, err
	}
	r := new(Results)
	return r, json.Unmarshal(text, r)
}

func median(list []float64) float64 {
	list = slices.Sorted(slices.Values(list))
	n := len(list)
	switch {
	case n == 0:
		return 0
	case n%2 == 0:
		return (list[n/2-1] + list[n/2]) / 2
	}
	return list[n/2]
}

// ratio returns how many times as long a lookup takes as in the first table: the median over the
// rounds, the minimum and the maximum.
func ratio(a, b []float64) (mid, least, most float64) {
	var list []float64
	for i := range min(len(a), len(b)) {
		list = append(list, a[i]/b[i])
	}
	if len(list) == 0 {
		return 0, 0, 0
	}
	return median(list), slices.Min(list), slices.Max(list)
}

// grouped writes a number with commas.
func grouped(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func (r *Results) markdown() string {
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	p("---\ntitle: Lookups in large tables\ndescription: How long PostgreSQL takes to look up a device token in tables of different sizes, measured by make bench-growth.\nkind: reference\naudience: developer, operator\n---\n")
	p("# Lookups in large tables\n")
	p("`make bench-growth` writes this page; the raw values are in [%s](%s). A lookup is `CredentialByDigest` of the store,", resultsFile, resultsFile)
	p("without a cache: one query for the token, its account and its epoch, over one connection. The tokens are chosen at")
	p("random, and each user has %d. The tables take turns of %s in %d rounds.\n", tokensPerUser, r.Slot, r.Rounds)
	p("PostgreSQL has `shared_buffers=%s`, which is more than all tables, and the tables are read into it first. Each", r.SharedBuffers)
	p("connection then looks tokens up for %s before the measurement. A new connection is slower: it must map each page", r.Warm)
	p("of shared memory on its first use. So keep connections open. If other programs load the machine, this time is too")
	p("short for the largest table, whose figures then show a new connection.\n")
	p("%s; commit %s; %s; %s; PostgreSQL %s; load average before the run %s, before the", r.Time.Format("2 January 2006, 15:04 UTC"), r.Commit, r.Machine, r.Go, r.PostgreSQL, r.Load)
	p("measurement %s, at the end %s. If the load was high, other programs ran at the same time, and only the ratios mean", r.LoadWarm, r.LoadAfter)
	p("something.\n")
	if len(r.Samples) == 0 {
		return b.String()
	}
	first, last := r.Samples[0], r.Samples[len(r.Samples)-1]
	mid, _, _ := ratio(last.P50, first.P50)
	state := "missed"
	if mid <= gate {
		state = "met"
	}
	p("Target: the median with %s tokens is at most %.1f times the median with %s. Measured: %.2f (%s).\n", grouped(last.Tokens), gate, grouped(first.Tokens), mid, state)
	p("| Tokens | p50 | p99 | p50 of the fastest round | × p50 of %s | Size with accounts and indexes | Bytes per token |\n|---|---|---|---|---|---|---|", grouped(first.Tokens))
	for _, s := range r.Samples {
		mid, least, most := ratio(s.P50, first.P50)
		p("| %s | %.0f µs | %.0f µs | %.0f µs | %.2f (%.2f–%.2f) | %.0f MB | %.0f |", grouped(s.Tokens), median(s.P50), median(s.P99), slices.Min(s.P50), mid, least, most, s.Bytes/1e6, s.Bytes/float64(s.Tokens))
	}
	return b.String()
}
