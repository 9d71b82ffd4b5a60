package server

import (
	"testing"
	"time"
)

// TestCountsWithClockSetBack checks that a clock that is set back locks nobody out until it has
// caught up, and opens no limit either.
func TestCountsWithClockSetBack(t *testing.T) {
	t.Run("attack_283", func(t *testing.T) {
		cell := []Cell{{Key: [16]byte{1}, Limit: 5, Window: time.Minute}}
		start := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
		for _, step := range []time.Duration{-time.Hour, -24 * 365 * time.Hour} {
			var c counts
			for range 5 {
				if wait := c.take(start, cell); wait != 0 {
					t.Fatalf("within the limit: %v", wait)
				}
			}
			for try := range 3 { // one unit an interval, as from a used-up cell
				at := start.Add(step + time.Duration(try)*12*time.Second)
				if wait := c.take(at, cell); wait != 0 {
					t.Errorf("clock %v back, interval %d: refused for %v", step, try, wait)
				}
				if wait := c.take(at, cell); wait <= 0 || wait > 12*time.Second {
					t.Errorf("clock %v back, interval %d: the next one is %v away", step, try, wait)
				}
			}
		}
	})
}
