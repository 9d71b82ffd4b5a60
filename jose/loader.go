package jose

import (
	"context"
	"sync"
	"time"
)

// loader keeps a set that is loaded from elsewhere: it loads at first use, when the
// set is old, and when somebody misses something in it, and goes on with the last
// good one for a while where loading fails. Of many at once that want it loaded one
// does it, on its own goroutine; who has a set does not wait for that.
type loader[T any] struct {
	load                          func(context.Context) (T, error)
	maxAge, minInterval, maxStale time.Duration
	clock                         func() time.Time

	mu      sync.Mutex
	set     T
	loaded  time.Time // zero: there is no set
	tried   time.Time
	err     error         // of the last try
	running chan struct{} // closed when the load that is running ends
}

// get returns the set. missed says that the caller looked into the present one and
// did not find what there may be by now.
func (l *loader[T]) get(ctx context.Context, missed bool) (T, error) {
	l.mu.Lock()
	for {
		now := l.clock()
		age := now.Sub(l.loaded)
		have := !l.loaded.IsZero() && age < l.maxAge+l.maxStale
		// A clock that went back does not stop loading for ever.
		recent := !l.tried.IsZero() && now.Sub(l.tried) < l.minInterval && now.Sub(l.tried) >= 0
		wanted := !have || age >= l.maxAge || missed
		if !wanted || recent {
			defer l.mu.Unlock()
			if have {
				return l.set, nil
			}
			return l.set, l.err
		}
		if l.running == nil {
			return l.run(ctx, have)
		}
		if have && !missed {
			defer l.mu.Unlock()
			return l.set, nil
		}
		running := l.running
		l.mu.Unlock()
		select {
		case <-running:
		case <-ctx.Done():
			var none T
			return none, ctx.Err()
		}
		l.mu.Lock()
	}
}

// run loads. It is called with the lock and returns without it.
func (l *loader[T]) run(ctx context.Context, have bool) (T, error) {
	l.running = make(chan struct{})
	l.mu.Unlock()
	set, err := l.load(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.running)
	l.running = nil
	if err != nil && ctx.Err() != nil && !have {
		var none T
		return none, err // the caller went away: that says nothing of the source
	}
	l.tried, l.err = l.clock(), err
	if err == nil {
		l.set, l.loaded = set, l.tried
	}
	if err != nil && have {
		return l.set, nil
	}
	return l.set, err
}
