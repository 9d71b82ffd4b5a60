package memory

import (
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

// sweepLook is the maximum number of records, in the map's random order, that an insert checks for
// expiry.
const sweepLook = 1024

// sweep removes some expired records of a map at every storage.SweepEvery-th call. Each insert
// calls it; n counts the calls.
func sweep[K comparable, V any](n *uint32, m map[K]V, now time.Time, until func(V) time.Time, drop func(K)) {
	if *n++; *n%storage.SweepEvery != 0 {
		return
	}
	looked, removed := 0, 0
	before := now.Add(-storage.SweepAfter)
	for k, v := range m {
		if !before.Before(until(v)) {
			drop(k)
			removed++
		}
		if looked++; looked == sweepLook || removed == storage.SweepMost {
			return
		}
	}
}

// sweeps holds the insert counters for sweep, one for each map.
type sweeps struct{ requests, devices, replays, tries, codes, access, onetimes, sessions uint32 }
