// Package elapsed measures how much time has passed, for leases, cache lifetimes and
// windows. Setting the wall clock back never makes a duration longer.
//
// A credential's own expiry is a point in time, so it is compared with the wall clock
// instead.
package elapsed

import (
	"sync"
	"sync/atomic"
	"time"
)

// Clock counts the time since New. It is safe for concurrent use.
type Clock struct {
	start time.Time
	wall  func() time.Time // nil: the process's monotonic clock

	tickets atomic.Uint64 // one for each reading, in order

	mu     sync.Mutex
	ticket uint64 // of the last reading that counted
	passed time.Duration
	last   time.Time // of wall
	read   time.Time // when, by the monotonic clock
}

// New returns a Clock that reads the process's monotonic clock, or counts the forward
// movements of wall if it is not nil. Tests set wall; an application that sets it (to a
// clock disciplined by NTP, say) gets no longer lifetimes when that clock is set back, and
// shorter ones when it is set forward.
func New(wall func() time.Time) *Clock {
	c := &Clock{start: time.Now(), wall: wall}
	if wall != nil {
		c.last, c.read = wall(), c.start
	}
	return c
}

// stall is how far wall may stay behind the monotonic clock between two readings before
// the latter counts instead: wall was set back and nobody read it meanwhile.
const stall = 10 * time.Second

// Now returns the time since New. It never decreases.
func (c *Clock) Now() time.Duration {
	if c.wall == nil {
		return time.Since(c.start)
	}
	ticket := c.tickets.Add(1)
	at, read := c.wall(), time.Now() // without the lock: wall is somebody else's code
	c.mu.Lock()
	defer c.mu.Unlock()
	if ticket < c.ticket {
		return c.passed // a later reading was faster
	}
	c.ticket = ticket
	step := max(at.Sub(c.last), 0)
	if real := read.Sub(c.read); real > step+stall {
		step = real
	}
	c.last, c.read = at, read
	c.passed += step
	return c.passed
}
