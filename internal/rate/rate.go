// Package rate counts by the generic cell rate algorithm (GCRA), for the limits of logins,
// requests and OAuth 2.0 endpoints.
package rate

import "time"

// Cell is one count: Limit units immediately, and one more each Window/Limit. Limit and Window are
// above 0. They are part of what is counted, so that a changed rate begins anew.
type Cell struct {
	// Key names what is counted.
	Key    [16]byte
	Limit  int
	Window time.Duration
	// Shared marks one of the few cells that all callers share. It is never evicted.
	Shared bool
}

// interval is what one unit takes to come back, rounded up to a nanosecond. capacity is what an
// empty cell takes: Limit intervals, so that a full one holds exactly Limit units.
func (x *Cell) interval() int64 { return (int64(x.Window) + int64(x.Limit) - 1) / int64(x.Limit) }
func (x *Cell) capacity() int64 { return x.interval() * int64(x.Limit) }

// Cells counts in memory. Times are nanoseconds since any moment, the same for all calls. It is
// not safe for concurrent use: its owner has a lock.
type Cells struct {
	max          int
	full, shared map[name]int64 // when the cell has recovered
}

// name is a cell without Shared.
type name struct {
	key    [16]byte
	limit  int
	window time.Duration
}

// New returns counts that keep at most so many cells that are not shared, at about 130 bytes each.
func New(most int) *Cells {
	return &Cells{most, make(map[name]int64), make(map[name]int64)}
}

// Len returns how many cells are kept.
func (c *Cells) Len() int { return len(c.full) + len(c.shared) }

func (c *Cells) of(x *Cell) (map[name]int64, name) {
	n := name{x.Key, x.Limit, x.Window}
	if x.Shared {
		return c.shared, n
	}
	return c.full, n
}

// Wait returns how long until a unit can be taken; 0 or less is now.
func (c *Cells) Wait(now int64, x *Cell) time.Duration {
	cells, n := c.of(x)
	full, had := cells[n]
	if !had {
		full = now
	}
	return time.Duration(x.after(full, now) - now - x.capacity())
}

// TakeAll takes a unit of each cell, or none. It returns how long until it could, or 0, and which
// cell has the longest wait.
func (c *Cells) TakeAll(now int64, cells []Cell) (wait time.Duration, last int) {
	for i := range cells {
		if w := c.Wait(now, &cells[i]); w > wait {
			wait, last = w, i
		}
	}
	if wait == 0 {
		for i := range cells {
			c.take(now, &cells[i])
		}
	}
	return wait, last
}

// take takes a unit of a cell whose Wait is 0 or less.
func (c *Cells) take(now int64, x *Cell) {
	cells, n := c.of(x)
	full, had := cells[n]
	if !had {
		full = now // which may be below 0
		if !x.Shared {
			c.makeRoom(now)
		}
	}
	cells[n] = x.after(full, now)
}

// after is the time of recovery once another unit is taken. A time further ahead than that of a
// used-up cell comes from a clock that was set back. It counts as a cell with one unit left: a
// refusal stores nothing, so the cell would refuse until the clock has caught up.
func (x *Cell) after(full, now int64) int64 {
	if usedUp := now + x.capacity(); full > usedUp {
		full = usedUp - x.interval()
	}
	return max(full, now) + x.interval()
}

// Return returns a unit, at most what is missing.
func (c *Cells) Return(now int64, x *Cell) {
	cells, n := c.of(x)
	full, ok := cells[n]
	if !ok {
		return
	}
	if full -= x.interval(); full <= now {
		delete(cells, n)
	} else {
		cells[n] = full
	}
}

// makeRoom looks at a few cells, in the map's random order, and drops those that have recovered,
// or else the one that lacks the fewest units: what is forgotten then loosens the limits least,
// and a caller cannot push out a used-up cell with fresh names.
func (c *Cells) makeRoom(now int64) {
	if len(c.full) < c.max {
		return
	}
	const look = 16
	seen, dropped := 0, false
	var least name
	var missing int64
	for n, full := range c.full {
		x := Cell{Limit: n.limit, Window: n.window}
		if full <= now {
			delete(c.full, n)
			dropped = true
		} else if units := (full - now) / x.interval(); least == (name{}) || units < missing {
			least, missing = n, units
		}
		if seen++; seen == look {
			break
		}
	}
	if !dropped {
		delete(c.full, least)
	}
}
