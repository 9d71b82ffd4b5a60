package throttle

import (
	"context"
	"time"
)

// Key names a bucket or a set of marks: a MAC of what is counted, so that a store sees
// neither names nor addresses, and every key has one size.
type Key [16]byte

// Bucket is something that is counted, with every rate that holds for it. Each pair of key
// and rate is one count: a key under two rates is two of them, so that a burst and a
// sustained limit of one caller do not disturb each other, and a changed rate begins anew.
// Two buckets of one plan never share a pair, nor does a bucket name one rate twice.
type Bucket struct {
	Key   Key
	Rates []Rate
	// Shared marks one of the few buckets that all callers share. A store that makes room
	// never evicts it.
	Shared bool
}

// Outcome is the answer of Take.
type Outcome struct {
	// Plan is the index of the plan that was taken, or -1 if none was.
	Plan int
	// Wait is how long until a plan could be taken; 0 if one was.
	Wait time.Duration
	// Key names the bucket that the plan with the shortest wait is waiting for.
	Key Key
}

// Mark is a member of a set, such as an address where an account logged in.
type Mark struct {
	// Member is what the set holds once.
	Member Key
	// Stamp is the caller's note on the member.
	Stamp Key
	// Seen orders the members: those seen longest ago leave a full set first.
	Seen time.Time
}

// Store counts, and keeps small sets of marks. It is safe for concurrent use. now is the
// caller's clock; a store that several processes share uses its own instead.
//
// The count is the generic cell rate algorithm (GCRA), one time for each bucket and rate: a
// full bucket allows Limit units immediately, then one for each Window/Limit. A window that
// begins with a full bucket therefore sees up to twice the limit, and no window sees more.
// One time is all that a bucket needs, whatever its limit, and one comparison decides. A log
// of attempts, as Django REST Framework keeps it, grows with the limit, and counters of fixed
// windows forget everything at once.
type Store interface {
	// Take takes one unit of every bucket of the first plan that has a unit in each of them,
	// for each rate. If no plan has, it takes nothing. The whole call is atomic.
	Take(ctx context.Context, now time.Time, plans [][]Bucket) (Outcome, error)
	// Return returns one unit to each bucket, at most what is missing.
	Return(ctx context.Context, now time.Time, buckets []Bucket) error
	// Mark puts m into the set, or renews it there: its stamp is replaced, and the later Seen
	// remains. Then the marks seen longest ago leave until at most keep are in the set.
	// Marks expire ttl after they were seen.
	Mark(ctx context.Context, now time.Time, set Key, m Mark, keep int, ttl time.Duration) error
	// Marks returns the unexpired marks of each set, in any order.
	Marks(ctx context.Context, now time.Time, sets []Key) ([][]Mark, error)
}
