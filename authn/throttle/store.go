package throttle

import (
	"context"
	"time"
)

// Key identifies a bucket or a set of marks. It is a MAC of the counted name or address, so that a
// store does not contain these, and all keys have the same size.
type Key [16]byte

// Bucket is a limit of one caller, network or account, with all its rates. Each pair of key and
// rate is a separate count. So the short-term and long-term limits of one caller do not affect each
// other, and a changed rate starts a new count. Two buckets of a plan MUST NOT share a pair, and a
// bucket MUST NOT contain a rate twice.
type Bucket struct {
	Key   Key
	Rates []Rate
	// Shared is true for the few buckets that all callers share. A store that drops counts never
	// drops the counts of shared buckets.
	Shared bool
}

// Outcome is the result of [Store].Take.
type Outcome struct {
	// Plan is the index of the plan that was taken, or -1 if none was.
	Plan int
	// Wait is the time until a plan can be taken, or 0 if one was.
	Wait time.Duration
	// Key identifies the bucket that prevented the plan with the shortest wait.
	Key Key
}

// Mark is an entry of a set, such as an address from which an account logged in.
type Mark struct {
	// Member identifies the entry. A set contains each member once.
	Member Key
	// Stamp is a value that the caller stores with the member.
	Stamp Key
	// Seen orders the members. The members with the oldest Seen leave a full set first.
	Seen time.Time
}

// Store counts units and keeps small sets of marks. It must be safe for concurrent use. now is the
// time of the caller's clock. For a store that several processes share, implement
// storage.RateLimits instead and call [NewShared]. Such a store uses its own clock.
//
// Counts use the generic cell rate algorithm (GCRA). A full bucket allows Limit units immediately,
// and then one unit for each Window/Limit. So a window that begins with a full bucket allows up to
// twice the limit, and no window allows more.
//
// For each count, a store keeps only one time, whatever the limit, and makes one comparison. A log
// of attempts, as in Django REST Framework, grows with the limit. Counters of fixed windows forget
// all attempts at once when a window ends.
type Store interface {
	// Take takes one unit for each rate of each bucket of one plan: the first plan for which all
	// these units are available. If there is no such plan, it takes nothing. The whole call is
	// atomic.
	Take(ctx context.Context, now time.Time, plans [][]Bucket) (Outcome, error)
	// Return gives back one unit to each bucket. A full bucket stays full.
	Return(ctx context.Context, now time.Time, buckets []Bucket) error
	// Mark adds m to the set. If the member is already in the set, Mark replaces its stamp and
	// keeps the later Seen. Then it removes the marks with the oldest Seen until the number of
	// marks is at most keep. A mark expires ttl after its Seen.
	Mark(ctx context.Context, now time.Time, set Key, m Mark, keep int, ttl time.Duration) error
	// Marks returns the unexpired marks of each set, in any order.
	Marks(ctx context.Context, now time.Time, sets []Key) ([][]Mark, error)
}
