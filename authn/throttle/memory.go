package throttle

import (
	"context"
	"sync"
	"time"
)

// MemoryOptions change a Memory; nil is fine.
type MemoryOptions struct {
	// MaxEntries bounds the memory: the counts of all buckets that are not shared,
	// one for each rate. 0 or less is 100,000, about 13 MB. Where more is counted,
	// buckets that have nearly recovered make room, so a flood of names loosens the
	// limit of single ones and never the shared one.
	MaxEntries int
}

// Memory is a Store in the memory of one process.
type Memory struct {
	max int

	mu     sync.Mutex
	full   map[cell]int64 // when the bucket has recovered, in nanoseconds since 1970
	shared map[cell]int64 // those that are never evicted
}

// cell is a bucket under one of its rates. The rate is part of it, so that a
// bucket of another rate is never read or cut down as if it were of this one.
type cell struct {
	key  Key
	rate Rate
}

// NewMemory returns an empty store.
func NewMemory(opts *MemoryOptions) *Memory {
	m := &Memory{max: 100_000, full: make(map[cell]int64), shared: make(map[cell]int64)}
	if opts != nil && opts.MaxEntries > 0 {
		m.max = opts.MaxEntries
	}
	return m
}

// Len returns how many counts are kept.
func (m *Memory) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.full) + len(m.shared)
}

// Take implements Store.
func (m *Memory) Take(_ context.Context, now time.Time, buckets []Bucket) (time.Duration, error) {
	t := now.UnixNano()
	m.mu.Lock()
	defer m.mu.Unlock()
	var wait int64
	for _, b := range buckets {
		cells := m.cells(b)
		for _, r := range b.Rates {
			if w := after(cells[cell{b.Key, r}], t, r) - t - int64(r.capacity()); w > wait {
				wait = w
			}
		}
	}
	if wait > 0 {
		return time.Duration(wait), nil
	}
	for _, b := range buckets {
		cells := m.cells(b)
		for _, r := range b.Rates {
			c := cell{b.Key, r}
			old, had := cells[c]
			if !had && !b.Shared {
				m.makeRoom(t)
			}
			cells[c] = after(old, t, r)
		}
	}
	return 0, nil
}

// after is the time of recovery once another unit is taken. A time further ahead
// than that of an empty bucket comes from a clock that stepped back: it counts as
// empty, so that nobody is locked for longer than a window.
func after(full, now int64, r Rate) int64 {
	full = min(max(full, now), now+int64(r.capacity()))
	return full + int64(r.interval())
}

// GiveBack implements Store.
func (m *Memory) GiveBack(_ context.Context, now time.Time, buckets []Bucket) error {
	t := now.UnixNano()
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, b := range buckets {
		cells := m.cells(b)
		for _, r := range b.Rates {
			c := cell{b.Key, r}
			full, ok := cells[c]
			if !ok {
				continue
			}
			if full -= int64(r.interval()); full <= t {
				delete(cells, c)
			} else {
				cells[c] = full
			}
		}
	}
	return nil
}

func (m *Memory) cells(b Bucket) map[cell]int64 {
	if b.Shared {
		return m.shared
	}
	return m.full
}

// makeRoom looks at a few entries, in the map's random order, and drops those that
// have recovered, or else the one that is nearest to it.
func (m *Memory) makeRoom(now int64) {
	if len(m.full) < m.max {
		return
	}
	const look = 16
	n, nearest, at := 0, cell{}, int64(0)
	dropped := false
	for c, full := range m.full {
		if full <= now {
			delete(m.full, c)
			dropped = true
		} else if n == 0 || full < at {
			nearest, at = c, full
		}
		if n++; n == look {
			break
		}
	}
	if !dropped {
		delete(m.full, nearest)
	}
}
