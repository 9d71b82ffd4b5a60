package jose

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vestibule-auth/vestibule/internal/elapsed"
	"github.com/vestibule-auth/vestibule/internal/flight"
)

// loadTimeout bounds a load: it serves all callers, so that one's deadline does not.
const loadTimeout = 5 * time.Second

// loader keeps a set that is loaded from elsewhere: it loads at first use, when the
// set is old, and when somebody misses something in it, and goes on with the last
// good one for a while where loading fails. Of many at once that want it loaded one
// does it, on its own goroutine; who has a set does not wait for that. That one's
// client may go away: the load goes on, for the others, and counts.
type loader[T any] struct {
	load                                   func(context.Context) (T, error)
	same                                   func(a, b T) bool
	maxAge, minInterval, maxStale, timeout time.Duration
	time                                   *elapsed.Clock

	mu      sync.Mutex
	set     T
	version uint64 // of the set: grows when one that is not the same is loaded
	has     bool
	loaded  time.Duration // when, by time, if has
	did     bool
	tried   time.Duration // when, by time, if did
	err     error         // of the last try
	loads   flight.Group[struct{}, struct{}]
}

// have reports whether there is a set that may serve. The lock is held.
func (l *loader[T]) have(now time.Duration) bool {
	return l.has && now-l.loaded < l.maxAge+l.maxStale
}

// get returns the set and its version. missed says that the caller looked into the
// present one and did not find what there may be by now.
func (l *loader[T]) get(ctx context.Context, missed bool) (set T, version uint64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		now := l.time.Now()
		have := l.have(now)
		recent := l.did && now-l.tried < l.minInterval
		wanted := !have || now-l.loaded >= l.maxAge || missed
		switch {
		case have && (!wanted || recent || l.running() != nil && !missed || ctx.Err() != nil):
			return l.set, l.version, nil
		case ctx.Err() != nil:
			return set, 0, ctx.Err()
		case recent:
			return set, 0, l.err
		case l.running() == nil:
			l.run(ctx)
			if l.err != nil && !l.have(l.time.Now()) {
				return set, 0, l.err
			}
			return l.set, l.version, nil
		}
		l.wait(ctx)
	}
}

// failing returns the error of the last try, nil where it succeeded: what is not in the
// set may be in a newer one.
func (l *loader[T]) failing() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// wait waits for the load that is running. The lock is held but for that time.
func (l *loader[T]) wait(ctx context.Context) {
	running := l.running()
	l.mu.Unlock()
	defer l.mu.Lock()
	_ = running.Wait(ctx)
}

// running is the load that is under way, or nil. The lock is held.
func (l *loader[T]) running() *flight.Call[struct{}] { return l.loads.Get(struct{}{}) }

var errPanicked = errors.New("jose: loading the keys panicked")

// run loads. The lock is held but for the time of the load itself.
func (l *loader[T]) run(ctx context.Context) {
	load := l.loads.Begin(struct{}{}, l.time.Now())
	err := errPanicked
	var set T
	defer func() {
		l.loads.End(struct{}{}, load)
		l.did, l.tried, l.err = true, l.time.Now(), err
		if err != nil {
			return
		}
		if !l.has || !l.same(l.set, set) {
			l.version++
		}
		l.set, l.has, l.loaded = set, true, l.tried
	}()
	l.mu.Unlock()
	defer l.mu.Lock() // before the above
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.timeout)
	defer cancel()
	set, err = l.load(ctx)
}

// peek returns the set and its version without loading or waiting. It returns false if the
// next get would load: there is no set that may serve, or it is old and may be loaded again.
func (l *loader[T]) peek() (set T, version uint64, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.time.Now()
	recent := l.did && now-l.tried < l.minInterval
	if !l.have(now) || now-l.loaded >= l.maxAge && !recent && l.running() == nil {
		return set, 0, false
	}
	return l.set, l.version, true
}

// generations are even numbers that say which set there is. While none may be used without a
// load, each call returns another odd number: no two are equal, so nothing is taken from a cache
// and whoever asks goes to get, which loads within the time of its request.
type generations struct{ without atomic.Uint64 }

func (g *generations) of(version uint64) uint64 { return 2 * version }

func (g *generations) none() uint64 { return 2*g.without.Add(1) + 1 }
