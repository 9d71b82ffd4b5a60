package server

import (
	"sync"
	"time"

	"github.com/vestibule-auth/vestibule/internal/rate"
)

// maxCounts is the maximum number of cells in memory, about 130 bytes each.
const maxCounts = 100_000

// counts is a Limiter in memory. The zero value is ready to use.
type counts struct {
	mu    sync.Mutex
	cells *rate.Cells
}

// take takes one unit of every cell, or none. If it takes none, it returns the time until it would.
func (c *counts) take(now time.Time, cells []Cell) (wait time.Duration) {
	t := now.UnixNano()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cells == nil {
		c.cells = rate.New(maxCounts)
	}
	all := make([]rate.Cell, len(cells))
	for i, x := range cells {
		all[i] = rate.Cell(x)
	}
	wait, _ = c.cells.TakeAll(t, all)
	return wait
}
