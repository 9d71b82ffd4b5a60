package server

import (
	"context"
	"time"

	"github.com/vestibule-auth/vestibule/authn/throttle"
)

// SharedLimiter returns a limiter that counts in store. Use it with a [throttle.Shared], so that
// several processes share the limits; Options.Keys must then be the same ring in all of them. While
// the shared store fails, a throttle.Shared counts in memory, with each limit divided by the number
// of processes.
func SharedLimiter(store throttle.Store) Limiter { return sharedLimiter{store} }

type sharedLimiter struct{ store throttle.Store }

// Take implements Limiter.
func (l sharedLimiter) Take(ctx context.Context, now time.Time, cells []Cell) (time.Duration, error) {
	plan := make([]throttle.Bucket, len(cells))
	for i, c := range cells {
		plan[i] = throttle.Bucket{Key: c.Key, Rates: []throttle.Rate{{Limit: c.Limit, Window: c.Window}}, Shared: c.Shared}
	}
	o, err := l.store.Take(ctx, now, [][]throttle.Bucket{plan})
	if err != nil || o.Plan == 0 {
		return 0, err
	}
	return max(o.Wait, 1), nil // 0 would mean that the units were taken
}
