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
	until    atomic.Int64 // nanoseconds since origin; 0 is none
	ahead    atomic.Int64 // of the moment
	compared atomic.Int64 // when the clocks were last compared, in nanoseconds since origin
}

const (
	maxDrift = 50 * time.Millisecond
	// compareAge is how long a comparison of the clocks counts. To read the wall clock costs as much
	// as the rest of a lookup in memory.
	compareAge = time.Millisecond
)

// Grant lets the lease hold for a duration after a moment.
func (l *Lease) Grant(from Moment, d time.Duration) {
	l.ahead.Store(from.ahead)
	l.compared.Store(int64(from.at.since))
	l.until.Store(int64(from.at.since + d)) // last: who sees this sees the others
}

// Drop ends the lease until the next Grant.
func (l *Lease) Drop() { l.until.Store(0) }

// Holds reports whether the lease holds at an instant.
func (l *Lease) Holds(now Instant) bool {
	until := l.until.Load()
	if until == 0 || int64(now.since) >= until {
		return false
	}
	if int64(now.since) < l.compared.Load()+int64(compareAge) {
		return true
	}
	return l.compare(until, Now())
}

// compare drops the lease until if the clocks have moved apart.
func (l *Lease) compare(until int64, now Moment) bool {
	if drift := time.Duration(now.ahead - l.ahead.Load()).Abs(); drift > maxDrift {
		l.until.CompareAndSwap(until, 0) // not one that was granted meanwhile
		return false
	}
	l.compared.Store(int64(now.at.since))
	return true
}
