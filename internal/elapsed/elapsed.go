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

// Instant is a reading of the process's monotonic clock. Only Read and ReadWall make one, so it
// never comes from the wall clock of a caller.
type Instant struct{ since time.Duration }

var origin = time.Now()

// Read reads the monotonic clock.
func Read() Instant { return Instant{time.Since(origin)} }

// Sub returns the time from an earlier reading to i.
func (i Instant) Sub(earlier Instant) time.Duration { return i.since - earlier.since }

// ReadWall reads the monotonic clock and the wall clock, in one call of the system.
func ReadWall() (Instant, time.Time) {
	now := time.Now()
	return Instant{now.Sub(origin)}, now // both have a monotonic reading, which Sub uses
}

// Clock counts the time since New. It is safe for concurrent use.
type Clock struct {
	begun Instant
	wall  func() time.Time // nil: the process's monotonic clock

	checked atomic.Int64 // nanoseconds since origin of the last reading of both clocks
	slept   atomic.Int64 // nanoseconds that only the wall clock has counted

	tickets atomic.Uint64 // one for each reading, in order

	mu     sync.Mutex
	ahead  int64  // nanoseconds since 1970 at origin, by the wall clock
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
	begun, now := ReadWall()
	c := &Clock{begun: begun, wall: wall, ahead: now.UnixNano() - int64(begun.since)}
	c.checked.Store(int64(begun.since))
	if wall != nil {
		c.last, c.read = wall(), now
	}
	return c
}

// Wall tells the time of day for many readers, and reads the system's clock at most once in wallAge:
// between two readings it adds what the monotonic clock has counted. If the wall clock is set, that
// is noticed within wallAge. The zero value is ready, and safe for concurrent use.
type Wall struct {
	ahead atomic.Int64 // nanoseconds since 1970 at origin, by the last reading
	read  atomic.Int64 // when that was, in nanoseconds since origin; 0 before the first
}

// wallAge is how old a reading of the wall clock can be.
const wallAge = time.Millisecond

// At returns the nanoseconds since 1970 at an instant.
func (w *Wall) At(i Instant) int64 {
	if read := w.read.Load(); read != 0 && i.since < time.Duration(read)+wallAge {
		return w.ahead.Load() + int64(i.since)
	}
	return w.set(ReadWall())
}

// set takes a reading of both clocks, and returns the nanoseconds since 1970 by it.
func (w *Wall) set(now Instant, wall time.Time) int64 {
	w.ahead.Store(wall.UnixNano() - int64(now.since))
	w.read.Store(int64(now.since)) // after ahead: who sees this sees that
	return wall.UnixNano()
}

// stall is how far wall may stay behind the monotonic clock between two readings before
// the latter counts instead: wall was set back and nobody read it meanwhile.
const stall = 10 * time.Second

// At returns what Now would have returned at an instant, so that several clocks share one
// reading. A clock that counts wall reads it now.
func (c *Clock) At(i Instant) time.Duration {
	if c.wall == nil {
		if i.since >= time.Duration(c.checked.Load())+wallAge {
			c.compare(ReadWall())
		}
		return i.since - c.begun.since + time.Duration(c.slept.Load())
	}
	return c.Now()
}

// compare adds the time that only the wall clock has counted since the last call. On Linux the
// monotonic clock stands still while the machine is suspended, or its virtual machine is paused. A
// wall clock that is set forward only shortens lifetimes.
func (c *Clock) compare(now Instant, wall time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if int64(now.since) <= c.checked.Load() {
		return // a later reading was faster
	}
	ahead := wall.UnixNano() - int64(now.since)
	switch drift := ahead - c.ahead; {
	case drift > int64(maxDrift):
		c.slept.Add(drift)
		c.ahead = ahead
	case drift < 0: // set back
		c.ahead = ahead
	}
	c.checked.Store(int64(now.since))
}

// Now returns the time since New. It never decreases.
func (c *Clock) Now() time.Duration {
	if c.wall == nil {
		return c.At(Read())
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
