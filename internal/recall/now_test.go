package recall

import (
	"context"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/elapsed"
	"github.com/vestibule-auth/vestibule/storage"
)

// timed is a lease that shares a reading of the clock.
type timed struct {
	lease
	clock *elapsed.Clock
	ends  time.Duration
	at    int
}

func (l *timed) HoldsAt(_ context.Context, now elapsed.Instant) bool {
	l.at++
	return l.clock.At(now) < l.ends
}

// The time for the expiry is the caller's clock or the system's, and the lease holds by a clock of
// its own, however the caller's is set.
func Test_edge_A15_GetNow(t *testing.T) {
	wrong := time.Unix(1_000_000, 0)
	for name, clock := range map[string]func() time.Time{"system": nil, "own": func() time.Time { return wrong }} {
		for kind, l := range map[string]storage.Lease{"plain": new(lease), "timed": &timed{clock: elapsed.New(nil), ends: time.Hour}} {
			var table Table[string]
			d, value := storage.DigestOf("x"), "x"
			if v, now := table.GetNow(t.Context(), &d, clock); v != nil || !now.IsZero() {
				t.Errorf("%s, %s: %v at %v of an empty table", name, kind, v, now)
			}
			table.Put(&d, l, &value)
			v, now := table.GetNow(t.Context(), &d, clock)
			if v != &value || clock == nil && time.Since(now).Abs() > time.Minute || clock != nil && now != wrong {
				t.Errorf("%s, %s: %v at %v", name, kind, v, now)
			}
			switch l := l.(type) {
			case *lease:
				l.ended.Store(true)
			case *timed:
				if (l.at > 0) != (clock == nil) || l.at+int(l.asked.Load()) != 1 {
					t.Errorf("%s: asked %d times, and %d times with a reading", name, l.asked.Load(), l.at)
				}
				l.ends = 0
				l.ended.Store(true)
			}
			if v, now := table.GetNow(t.Context(), &d, clock); v != nil || !now.IsZero() {
				t.Errorf("%s, %s: %v at %v after the lease", name, kind, v, now)
			}
			if table.places.Load()[index(&d)].Load() != nil {
				t.Errorf("%s, %s: it is still there", name, kind)
			}
		}
	}
}
