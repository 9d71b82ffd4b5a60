package throttle

import (
	"context"
	"sync"
	"time"

	"github.com/vestibule-auth/vestibule/internal/rate"
)

// MemoryOptions change a Memory; nil is fine.
type MemoryOptions struct {
	// MaxEntries bounds the counts of buckets that are not shared, one for each rate; 0 or
	// less is 200,000, about 26 MB. If more is counted, the counts with the fewest units
	// missing make room. A flood of new names therefore evicts its own counts first, and
	// never the shared ones.
	MaxEntries int
	// MaxSets bounds the sets of marks, three for each account and address that logs in; 0 or
	// less is 100,000, about 20 MB. Beyond it, sets that were not used for long make room.
	MaxSets int
}

// Memory is a Store in the memory of one process. It measures time by the monotonic clock,
// so a step of the wall clock neither locks callers out nor forgets what was counted.
type Memory struct {
	maxSets int
	base    time.Time // times are kept as durations since then

	mu    sync.Mutex
	cells *rate.Cells
	sets  map[Key]*set
}

// NewMemory returns an empty store.
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

// Len returns how many counts are kept.
func (m *Memory) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.cells.Len()
}

// since is the time of now: by the monotonic clock where both readings have it.
func (m *Memory) since(now time.Time) int64 { return int64(now.Sub(m.base)) }

// Take implements Store.
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

// cellsOf appends the buckets under each of their rates.
func cellsOf(cells []rate.Cell, buckets []Bucket) []rate.Cell {
	for _, b := range buckets {
		for _, r := range b.Rates {
			cells = append(cells, rate.Cell{Key: b.Key, Limit: r.Limit, Window: r.Window, Shared: b.Shared})
		}
	}
	return cells
}

// Return implements Store.
func (m *Memory) Return(_ context.Context, now time.Time, buckets []Bucket) error {
	t := m.since(now)
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, x := range cellsOf(nil, buckets) {
		m.cells.Return(t, &x)
	}
	return nil
}
