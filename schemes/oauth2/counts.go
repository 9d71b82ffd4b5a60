package oauth2

import (
	"sync"
	"time"
)

// maxCounts bounds the cells that are kept, about 100 bytes each.
const maxCounts = 100_000

// counts is a Limiter in memory. The zero value is ready.
type counts struct {
	mu     sync.Mutex
	full   map[count]int64 // when the cell is full again, in nanoseconds since 1970
	shared map[count]int64
}

// count is a cell with its rate: a changed rate begins anew.
type count struct {
	key    [16]byte
	limit  int
	window time.Duration
}

func (c *counts) take(now time.Time, cells []Cell) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.full == nil {
		c.full, c.shared = make(map[count]int64), make(map[count]int64)
	}
	t := now.UnixNano()
	var wait int64
	for _, x := range cells {
		if w := x.after(c.of(x)[x.count()], t) - t - x.capacity(); w > wait {
			wait = w
		}
	}
	if wait > 0 {
		return time.Duration(wait)
	}
	for _, x := range cells {
		m, k := c.of(x), x.count()
		if _, had := m[k]; !had && !x.Shared {
			c.makeRoom(t)
		}
		m[k] = x.after(m[k], t)
	}
	return 0
}

func (c *counts) of(x Cell) map[count]int64 {
	if x.Shared {
		return c.shared
	}
	return c.full
}

// makeRoom drops a few cells that are full again, or else the one that is nearest to it.
func (c *counts) makeRoom(now int64) {
	if len(c.full) < maxCounts {
		return
	}
	const look = 16
	n, dropped, nearest, at := 0, false, count{}, int64(0)
	for k, full := range c.full {
		if full <= now {
			delete(c.full, k)
			dropped = true
		} else if n == 0 || full < at {
			nearest, at = k, full
		}
		if n++; n == look {
			break
		}
	}
	if !dropped {
		delete(c.full, nearest)
	}
}

func (x Cell) count() count { return count{x.Key, x.Limit, x.Window} }

// interval is what one unit takes to come back, capacity what an empty cell takes.
func (x Cell) interval() int64 { return (int64(x.Window) + int64(x.Limit) - 1) / int64(x.Limit) }
func (x Cell) capacity() int64 { return x.interval() * int64(x.Limit) }

// after is when the cell is full again once a unit is taken. A time further ahead than that of
// a used-up cell comes from a clock that was set back. It counts as a cell with one unit left:
// a refusal stores nothing, so the cell would refuse until the clock has caught up.
func (x Cell) after(full, now int64) int64 {
	usedUp := now + x.capacity()
	if full > usedUp {
		full = usedUp - x.interval()
	}
	return max(full, now) + x.interval()
}
