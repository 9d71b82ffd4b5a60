package throttle

import (
	"context"
	"sync"
	"time"
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
	max, maxSets int
	base         time.Time // times are kept as durations since then

	mu     sync.Mutex
	full   map[cell]int64 // when the bucket has recovered
	shared map[cell]int64 // those that are never evicted
	sets   map[Key]*set
}

// cell is a bucket under one of its rates. The rate is part of it, so that a bucket of
// another rate is never read or cut down as if it were of this one.
type cell struct {
	key  Key
	rate Rate
}

// NewMemory returns an empty store.
func NewMemory(opts *MemoryOptions) *Memory {
	m := &Memory{max: 200_000, maxSets: 100_000, base: time.Now(), full: make(map[cell]int64), shared: make(map[cell]int64), sets: make(map[Key]*set)}
	if opts != nil && opts.MaxEntries > 0 {
		m.max = opts.MaxEntries
	}
	if opts != nil && opts.MaxSets > 0 {
		m.maxSets = opts.MaxSets
	}
	return m
}

// Len returns how many counts are kept.
func (m *Memory) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.full) + len(m.shared)
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
		cells := m.cells(b)
		for _, r := range b.Rates {
			if w := time.Duration(after(cells, cell{b.Key, r}, t) - t - int64(r.capacity())); w > wait {
				wait, key = w, b.Key
			}
		}
	}
	return wait, key
}

func (m *Memory) take(t int64, plan []Bucket) {
	for i := range plan {
		b := &plan[i]
		cells := m.cells(b)
		for _, r := range b.Rates {
			c := cell{b.Key, r}
			if _, had := cells[c]; !had && !b.Shared {
				m.makeRoom(t)
			}
			cells[c] = after(cells, c, t)
		}
	}
}

// after is the time of recovery once another unit is taken. A time further ahead than that of
// a used-up bucket comes from a clock that was set back. It counts as a bucket with one unit
// left: a refusal stores nothing, so the bucket would refuse until the clock has caught up.
func after(cells map[cell]int64, c cell, now int64) int64 {
	full, ok := cells[c]
	if !ok || full < now {
		full = now
	}
	interval, usedUp := int64(c.rate.interval()), now+int64(c.rate.capacity())
	if full > usedUp {
		full = usedUp - interval
	}
	return full + interval
}

// GiveBack implements Store.
func (m *Memory) GiveBack(_ context.Context, now time.Time, buckets []Bucket) error {
	t := m.since(now)
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range buckets {
		b := &buckets[i]
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

func (m *Memory) cells(b *Bucket) map[cell]int64 {
	if b.Shared {
		return m.shared
	}
	return m.full
}

// makeRoom looks at a few entries, in the map's random order, and drops those that have
// recovered, or else the one that lacks the fewest units: what is forgotten then loosens the
// limits least, and a caller cannot push out a used-up bucket with fresh names.
func (m *Memory) makeRoom(now int64) {
	if len(m.full) < m.max {
		return
	}
	const look = 16
	n, least, missing := 0, cell{}, int64(0)
	dropped := false
	for c, full := range m.full {
		if full <= now {
			delete(m.full, c)
			dropped = true
		} else if units := (full - now) / int64(c.rate.interval()); n == 0 || units < missing {
			least, missing = c, units
		}
		if n++; n == look {
			break
		}
	}
	if !dropped {
		delete(m.full, least)
	}
}
