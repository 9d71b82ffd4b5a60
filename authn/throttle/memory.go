package throttle

import (
	"context"
	"sync"
	"time"

	"github.com/vestibule-auth/vestibule/internal/rate"
)

// MemoryOptions configure a [Memory]. nil means the defaults.
type MemoryOptions struct {
	// MaxEntries is the largest number of counts, one for each bucket and rate. Shared buckets are
	// not included. 0 means 200,000, about 26 MB; so does a negative value. If there are more, the
	// counts closest to a full bucket are dropped. So if a flood of new names needs more, the counts
	// of these names are dropped first. Counts of shared buckets are never dropped.
	MaxEntries int
	// MaxSets is the largest number of sets of marks (see [Mark]). Each account and address that
	// logs in has three. 0 means 100,000, about 20 MB; so does a negative value. If there are more,
	// sets that were unused for a long time are dropped.
	MaxSets int
}

// Memory is a [Store] in the memory of one process. It measures time with the monotonic clock, so
// changes of the wall clock neither lock out callers nor reset counts. It is safe for concurrent
// use.
type Memory struct {
	maxSets int
	base    time.Time // times are kept as durations since then

	mu    sync.Mutex
	cells *rate.Cells
	sets  map[Key]*set
}

// NewMemory returns an empty store. opts can be nil.
func NewMemory(opts *MemoryOptions) *Memory {
	m := &Memory{maxSets: 100_000, base: time.Now(), sets: make(map[Key]*set)}
	most := 200_000
	if opts != nil && opts.MaxEntries > 0 {
		most = opts.MaxEntries
	}
	m.cells = rate.New(most)
	if opts != nil && opts.MaxSets > 0 {
		m.maxSets = opts.MaxSets
	}
	return m
}

// Len returns the number of counts.
func (m *Memory) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.cells.Len()
}

// since returns now as a duration, measured with the monotonic clock if both times have a reading
// of it.
func (m *Memory) since(now time.Time) int64 { return int64(now.Sub(m.base)) }

// Take implements [Store].
func (m *Memory) Take(_ context.Context, now time.Time, plans [][]Bucket) (Outcome, error) {
	t := m.since(now)
	m.mu.Lock()
	defer m.mu.Unlock()
	none := Outcome{Plan: -1}
	var room [16]rate.Cell
	cells := room[:0]
	for i, plan := range plans {
		cells = cellsOf(cells[:0], plan)
		wait, last := m.cells.TakeAll(t, cells)
		if wait == 0 {
			return Outcome{Plan: i}, nil
		}
		if none.Wait == 0 || wait < none.Wait {
			none.Wait, none.Key = wait, cells[last].Key
		}
	}
	return none, nil
}

// cellsOf appends a cell for each bucket and rate.
func cellsOf(cells []rate.Cell, buckets []Bucket) []rate.Cell {
	for _, b := range buckets {
		for _, r := range b.Rates {
			cells = append(cells, rate.Cell{Key: b.Key, Limit: r.Limit, Window: r.Window, Shared: b.Shared})
		}
	}
	return cells
}

// Return implements [Store].
func (m *Memory) Return(_ context.Context, now time.Time, buckets []Bucket) error {
	t := m.since(now)
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, x := range cellsOf(nil, buckets) {
		m.cells.Return(t, &x)
	}
	return nil
}
