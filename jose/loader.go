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

// loadTimeout limits a load. The load serves all callers, so the deadline of a single request does
// not limit it.
const loadTimeout = 5 * time.Second

// loader caches a set of keys that is loaded from elsewhere. It loads on first use, when the set is
// older than maxAge, and when a caller misses a key in it. If loading fails, the last set stays
// usable for maxStale.
//
// One caller at a time loads, in its own goroutine. Callers that have a usable set do not wait for
// it. The load continues if the request of the loading caller is canceled, because other callers
// use the result.
type loader[T any] struct {
	load                                   func(context.Context) (T, error)
	same                                   func(a, b T) bool
	maxAge, minInterval, maxStale, timeout time.Duration
	time                                   *elapsed.Clock

	mu      sync.Mutex
	set     T
	version uint64 // of the set: increases when a different set is loaded
	has     bool
	loaded  time.Duration // time of the last success, by l.time, if has
	did     bool
	tried   time.Duration // time of the last attempt, by l.time, if did
	err     error         // of the last attempt
	loads   flight.Group[struct{}, struct{}]
}

// have reports whether there is a usable set. The caller holds the lock.
func (l *loader[T]) have(now time.Duration) bool {
	return l.has && now-l.loaded < l.maxAge+l.maxStale
}

// get returns the set and its version. missed means that the caller did not find a key in the
// current set, so a newer set may have it.
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

// failing returns the error of the last attempt, or nil if it succeeded. After an error, a key that
// is not in the set may be in a newer one.
func (l *loader[T]) failing() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// wait waits for the running load. The caller holds the lock; wait releases it meanwhile.
func (l *loader[T]) wait(ctx context.Context) {
	running := l.running()
	l.mu.Unlock()
	defer l.mu.Lock()
	_ = running.Wait(ctx)
}

// running returns the running load, or nil. The caller holds the lock.
func (l *loader[T]) running() *flight.Call[struct{}] { return l.loads.Get(struct{}{}) }

var errPanicked = errors.New("jose: load keys: the function panicked")

// run loads the set. The caller holds the lock; run releases it during the load.
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
	defer l.mu.Lock() // runs before the deferred function above
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.timeout)
	defer cancel()
	set, err = l.load(ctx)
}

// peek returns the set and its version without loading or waiting. It returns false if the next get
// would load: there is no usable set, or it is old and due to be loaded again.
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

// generations numbers the sets for caches of verified tokens. A set has an even number. While no
// set is usable without a load, each call of none returns a new odd number. Because no two are
// equal, a cache has no match, and the caller goes on to get, which loads within the time limit of
// its request.
type generations struct{ without atomic.Uint64 }

func (g *generations) numberFor(version uint64) uint64 { return 2 * version }

func (g *generations) none() uint64 { return 2*g.without.Add(1) + 1 }
