package storage

import "time"

// When records of a short-lived kind are inserted, a store also removes expired records of the
// kind. So their number stays bounded even if you never call Prune. These kinds are authorization
// requests, codes, device grants, replay records, counters, access tokens, one-time tokens and
// sessions.
const (
	// SweepEvery is the number of inserts of a kind after which expired records of that kind are
	// removed.
	SweepEvery = 64
	// SweepMost is the maximum number of records per removal: two for each insert.
	SweepMost = 128
	// SweepAfter is the time for which an expired record is kept, because the clocks of replicas
	// differ.
	SweepAfter = time.Minute
)
