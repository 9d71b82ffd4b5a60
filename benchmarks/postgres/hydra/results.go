//go:build linux

package hydra

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Results are everything that a run measured.
type Results struct {
	Time                               time.Time
	Commit, Machine, Go                string
	PostgreSQL, Hydra, Load, LoadAfter string
	Rounds                             int
	Slot                               string
	Servers                            []Server
	Samples                            []*Sample
}

// Server is a server that was measured.
type Server struct {
	Name, Note string
	// Memory is the resident memory after the run, in bytes.
	Memory int64
}

// Sample is one work of one server.
type Sample struct {
	Work, Server string
	Slots        []Slot
	// Statements per request in PostgreSQL, with BEGIN and COMMIT.
	Statements float64
	// Waits counts what PostgreSQL's sessions were seen doing: wait events, or running a statement,
	// or waiting for the server's next statement in a transaction.
	Waits map[string]int
}

// The names of the results and of the page, in the folder of the benchmarks.
const (
	resultsFile = "hydra.json"
	pageFile    = "hydra.md"
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
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no results in %s: %w", dir, err)
	}
	if err != nil {
		return nil, err
	}
	r := new(Results)
	return r, json.Unmarshal(text, r)
}

func (r *Results) sample(work, server string) *Sample {
	for _, s := range r.Samples {
		if s.Work == work && s.Server == server {
			return s
		}
	}
	return &Sample{}
}

// median returns the median of one value of all turns.
func (s *Sample) median(of func(Slot) float64) float64 {
	var list []float64
	for _, slot := range s.Slots {
		list = append(list, of(slot))
	}
	return median(list)
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

func perSecond(s Slot) float64 { return s.PerSecond }

// ratio returns how many times as many requests per second s served as other: the median over the
// rounds, the minimum and the maximum.
func (s *Sample) ratio(other *Sample) (mid, least, most float64) {
	var list []float64
	for i := range min(len(s.Slots), len(other.Slots)) {
		if other.Slots[i].PerSecond > 0 {
			list = append(list, s.Slots[i].PerSecond/other.Slots[i].PerSecond)
		}
	}
	if len(list) == 0 {
		return 0, 0, 0
	}
	return median(list), slices.Min(list), slices.Max(list)
}

// target is a goal of the project.
type target struct {
	text     string
	measured string
	met      bool
}

// targets compares with Hydra both the uncached server, which queries PostgreSQL for each request as
// Hydra does, and the cached one, which several replicas are meant to use.
func (r *Results) targets() []target {
	var list []target
	for _, work := range []string{ClientCredentials, Introspection} {
		for _, server := range []string{"vestibule", "vestibule, cached"} {
			mid, least, most := r.sample(work, server).ratio(r.sample(work, "hydra"))
			list = append(list, target{fmt.Sprintf("%s, %s: at least 8 × Hydra", work, server), fmt.Sprintf("%.1f (%.1f–%.1f)", mid, least, most), cmp.Compare(mid, 8) >= 0})
		}
	}
	for _, x := range []struct {
		work, server string
		least        float64
	}{{ClientCredentials, "vestibule", 2000}, {ClientCredentials, "vestibule, cached", 2000}, {Introspection, "vestibule", 5000}, {Introspection, "vestibule, cached", 5000}} {
		n := r.sample(x.work, x.server).median(perSecond)
		list = append(list, target{fmt.Sprintf("%s, %s: %.0f per second", x.work, x.server, x.least), fmt.Sprintf("%.0f", n), n >= x.least})
	}
	return list
}
