package elapsed

import (
	"sync/atomic"
	"time"
)

// Moment is a reading of the monotonic clock and of the wall clock at the same time.
type Moment struct {
	at    Instant
	ahead int64 // the wall clock in nanoseconds since 1970, minus the monotonic clock
}

// Now reads both clocks.
func Now() Moment {
	at, wall := ReadWall()
	return Moment{at, wall.UnixNano() - int64(at.since)}
}

// Lease is the permission to use what is known, for a while after a moment at which that was up to
// date. The zero Lease does not hold. It is safe for concurrent use.
//
// The monotonic clock stands still while the machine is suspended, and the wall clock may not. So a
// lease does not hold either once the two have moved apart by more than maxDrift since that moment.
type Lease struct {
	// held is the instant until which the lease holds without another look at the clocks, in
	// nanoseconds since origin; 0 is none. A use reads nothing else.
	held  atomic.Int64
	until atomic.Int64 // the end of the lease, likewise
	ahead atomic.Int64 // of the moment

	drifted atomic.Bool // the clocks ended the last lease
}

const (
	maxDrift = 50 * time.Millisecond
	// compareAge is how long a comparison of the clocks counts. To read the wall clock costs as much
	// as the rest of a lookup in memory.
	compareAge = time.Millisecond
)

// Grant lets the lease hold for a duration after a moment.
func (l *Lease) Grant(from Moment, d time.Duration) {
	l.drifted.Store(false)
	l.ahead.Store(from.ahead)
	l.until.Store(int64(from.at.since + d)) // after ahead: who sees this sees that
	l.held.Store(int64(from.at.since + min(d, compareAge)))
}

// Drop ends the lease until the next Grant. A use at the same moment may extend it by compareAge, but
// not beyond its end.
func (l *Lease) Drop() {
	l.until.Store(0)
	l.held.Store(0)
}

// Drifted reports that the lease ended because the clocks moved apart, for metrics.
func (l *Lease) Drifted() bool { return l.drifted.Load() }

// Holds reports whether the lease holds at an instant.
func (l *Lease) Holds(now Instant) bool {
	held := l.held.Load()
	return held != 0 && int64(now.since) < held || l.look(now)
}

// look is Holds when the last comparison of the clocks is too old.
func (l *Lease) look(now Instant) bool {
	until := l.until.Load()
	return until != 0 && int64(now.since) < until && l.compare(until, Now())
}

// compare drops the lease until if the clocks have moved apart.
func (l *Lease) compare(until int64, now Moment) bool {
	if drift := time.Duration(now.ahead - l.ahead.Load()).Abs(); drift > maxDrift {
		if l.until.CompareAndSwap(until, 0) { // not one that was granted meanwhile
			l.drifted.Store(true)
			l.held.Store(0)
		}
		return false
	}
	l.held.Store(min(until, int64(now.at.since+compareAge)))
	return true
}
