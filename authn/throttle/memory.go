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
	for i, plan := range plans {
		wait, key := m.wait(t, plan)
		if wait <= 0 {
			m.take(t, plan)
			return Outcome{Plan: i}, nil
		}
		if none.Wait == 0 || wait < none.Wait {
			none.Wait, none.Key = wait, key
		}
	}
	return none, nil
}

// wait returns how long until a plan can be taken, and the bucket that decides it.
func (m *Memory) wait(t int64, plan []Bucket) (wait time.Duration, key Key) {
	for i := range plan {
		b := &plan[i]
		for _, r := range b.Rates {
			x := cellOf(b, r)
			if w := m.cells.Wait(t, &x); w > wait {
				wait, key = w, b.Key
			}
		}
	}
	return wait, key
}

func (m *Memory) take(t int64, plan []Bucket) {
	for i := range plan {
		b := &plan[i]
		for _, r := range b.Rates {
			x := cellOf(b, r)
			m.cells.Take(t, &x)
		}
	}
}

// cellOf is a bucket under one of its rates.
func cellOf(b *Bucket, r Rate) rate.Cell {
	return rate.Cell{Key: b.Key, Limit: r.Limit, Window: r.Window, Shared: b.Shared}
}

// Return implements Store.
func (m *Memory) Return(_ context.Context, now time.Time, buckets []Bucket) error {
	t := m.since(now)
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range buckets {
		b := &buckets[i]
		for _, r := range b.Rates {
			x := cellOf(b, r)
			m.cells.Return(t, &x)
		}
	}
	return nil
}
