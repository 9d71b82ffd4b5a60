package memory

import (
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

// sweepLook is how many records an insert looks at, in the map's random order, to find some
// that have expired.
const sweepLook = 1024

// sweep is called at each insert; n counts those of the map.
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

// sweeps count the inserts of the maps that are swept.
type sweeps struct{ requests, devices, replays, tries, codes, access, onetimes, sessions uint32 }
