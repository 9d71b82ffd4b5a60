package storage

import "time"

// A store removes expired records of short-lived kinds (authorization requests, codes, device
// grants, notes of uses, counters, access tokens, one-time tokens, sessions) when new ones are
// inserted, so that they stay bounded without anybody who calls Prune.
const (
	// SweepEvery is how many inserts of a kind go by until one of them removes expired records.
	SweepEvery = 64
	// SweepMost is how many records it removes: two for each insert.
	SweepMost = 128
	// SweepAfter is how long a record has expired then. The clocks of replicas differ.
	SweepAfter = time.Minute
)
