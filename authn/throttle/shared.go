package throttle

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vestibule-auth/vestibule/observe"
	"github.com/vestibule-auth/vestibule/storage"
)

// SharedOptions configure a [Shared]. nil means the defaults.
type SharedOptions struct {
	// Logger receives one message when the store fails and one when it works again. nil means
	// slog.Default().
	Logger *slog.Logger
	// Sink receives the beginning and the end of a failure, for metrics. nil means none.
	Sink *observe.Sink
}

// Shared is a [Store] for several processes: it counts in a storage.RateLimits, such as a
// redisstore.Store. Create one with [NewShared] and pass it to [NewLogin], [Anon], [User] and
// [Scoped]. Their options must have a NameKey, so that all processes use the same names.
//
// While the RateLimits fails, each process counts in its own memory, with every limit divided by the
// number of processes (rounded down, at least 1). So all processes together allow at most the
// limit, or one unit for each process if that is more. Counts are not transferred when an outage
// begins or ends, so each of these moments allows one more burst.
//
// It is safe for concurrent use.
type Shared struct {
	remote   backend
	local    *Memory
	replicas func() int
	log      *slog.Logger  // nil: slog.Default()
	sink     *observe.Sink // nil: none

	failing atomic.Bool
	mu      sync.Mutex
	last    time.Time    // the last failure
	divisor atomic.Int64 // of limits in memory; it stays the same while the store fails
}

var _ Store = (*Shared)(nil)

// Replicas returns a function for [NewShared] that always returns n.
func Replicas(n int) func() int { return func() int { return n } }

// NewShared returns a [Store] that keeps its counts in the given [storage.RateLimits]. The function replicas returns the number of
// processes that serve requests now. Use LiveReplicas of gormstore.Store, or [Replicas](3) for a
// fixed number. It is called when the RateLimits begins to fail, and must not wait; a result below
// 1 counts as 1. opts can be nil. NewShared returns an error if limits or replicas is nil.
func NewShared(limits storage.RateLimits, replicas func() int, opts *SharedOptions) (*Shared, error) {
	if limits == nil || replicas == nil {
		return nil, errors.New("throttle: NewShared: limits and replicas must be set")
	}
	s := &Shared{remote: counted{limits}, local: NewMemory(nil), replicas: replicas}
	if opts != nil {
		s.log, s.sink = opts.Logger, opts.Sink
	}
	return s, nil
}

// checkNames returns an error if processes that share a store would use different names, and so each
// have the whole limit.
func checkNames(store Store, nameKey []byte) error {
	if _, ok := store.(*Shared); ok && nameKey == nil {
		return errors.New("throttle: NameKey must be set for a Shared store")
	}
	return nil
}

// resilient returns a store that counts in memory while the store in it fails.
func resilient(store Store, log *slog.Logger, sink *observe.Sink) *Shared {
	switch s := store.(type) {
	case *Shared:
		return s
	case *Memory: // never fails
		return &Shared{remote: alone{s}, local: s, replicas: Replicas(1), log: log, sink: sink}
	}
	return &Shared{remote: alone{store}, local: NewMemory(nil), replicas: Replicas(1), log: log, sink: sink}
}

// settled is how long the store must work before an outage counts as over. A store that fails
// repeatedly therefore does not fill the log.
const settled = 5 * time.Second

// source is where the units of an attempt were counted.
type source struct {
	store   backend
	divisor int64 // of the limits
}

// take fails only if its context is canceled. Buckets that are ever taken together have the same
// group. from is where the units were counted.
func (s *Shared) take(ctx context.Context, now time.Time, group Key, plans [][]Bucket) (o Outcome, from source, err error) {
	o, err = s.remote.take(ctx, now, group, plans)
	if err == nil {
		s.worked(ctx, now)
		return o, source{s.remote, 1}, nil
	}
	if ctx.Err() != nil {
		return Outcome{Plan: -1}, source{}, ctx.Err()
	}
	from = source{alone{s.local}, s.failed(ctx, now, err)}
	less := make([][]Bucket, len(plans))
	for i, p := range plans {
		less[i] = divided(p, from.divisor)
	}
	o, err = from.store.take(ctx, now, group, less)
	return o, from, err
}

// giveBack gives units back to where they were counted. If that store fails, they stay counted and
// return with time.
func (s *Shared) giveBack(ctx context.Context, now time.Time, group Key, from source, buckets []Bucket) {
	if err := from.store.giveBack(ctx, now, group, divided(buckets, from.divisor)); err != nil {
		s.failed(ctx, now, err)
	}
}

// divided returns buckets with their limits divided by n.
func divided(buckets []Bucket, n int64) []Bucket {
	if n <= 1 {
		return buckets
	}
	less := make([]Bucket, len(buckets))
	for i, b := range buckets {
		less[i] = Bucket{b.Key, make([]Rate, len(b.Rates)), b.Shared}
		for j, r := range b.Rates {
			less[i].Rates[j] = Rate{int(max(int64(r.Limit)/n, 1)), r.Window}
		}
	}
	return less
}

// mark keeps the mark in memory too, so that callers that logged in through this process stay known
// while the store fails.
func (s *Shared) mark(ctx context.Context, now time.Time, set Key, m Mark, keep int, ttl time.Duration) {
	_ = s.local.Mark(ctx, now, set, m, keep, ttl) // a Memory returns no error
	if s.remote == (alone{s.local}) {
		return
	}
	if err := s.remote.mark(ctx, now, set, m, keep, ttl); err != nil {
		s.failed(ctx, now, err)
	}
}

// marks fails only if its context is canceled.
func (s *Shared) marks(ctx context.Context, now time.Time, sets []Key) ([][]Mark, error) {
	all, err := s.remote.marks(ctx, now, sets)
	if err == nil && len(all) == len(sets) {
		return all, nil
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	s.failed(ctx, now, err)
	return s.local.Marks(ctx, now, sets)
}

// failed records a failure of the store, and returns the divisor of limits in memory.
func (s *Shared) failed(ctx context.Context, now time.Time, err error) int64 {
	s.mu.Lock()
	if now.After(s.last) {
		s.last = now
	}
	began := s.failing.CompareAndSwap(false, true)
	if began {
		s.divisor.Store(int64(max(s.replicas(), 1)))
	}
	n := s.divisor.Load()
	s.mu.Unlock()
	if began {
		s.fallback(true)
		s.logger().LogAttrs(ctx, slog.LevelError, "throttle store failed; counting in memory", slog.Int64("replicas", n), slog.Any("error", err))
	}
	return n
}

// worked ends an outage if the last failure was some time ago.
func (s *Shared) worked(ctx context.Context, now time.Time) {
	if !s.failing.Load() {
		return
	}
	s.mu.Lock()
	ended := now.Sub(s.last) >= settled && s.failing.CompareAndSwap(true, false)
	s.mu.Unlock()
	if ended {
		s.fallback(false)
		s.logger().LogAttrs(ctx, slog.LevelInfo, "throttle store works again")
	}
}

func (s *Shared) logger() *slog.Logger {
	if s.log == nil {
		return slog.Default()
	}
	return s.log
}

// Degraded reports whether the store fails, so that this process counts in its own memory. Use it
// in a health check.
func (s *Shared) Degraded() bool { return s.failing.Load() }

func (s *Shared) fallback(on bool) {
	if s.sink != nil && s.sink.Fallback != nil {
		s.sink.Fallback(on)
	}
}

// Take implements [Store].
func (s *Shared) Take(ctx context.Context, now time.Time, plans [][]Bucket) (Outcome, error) {
	o, _, err := s.take(ctx, now, Key{}, plans)
	return o, err
}

// Return implements [Store]. It gives units back to the RateLimits, even if they were counted in
// memory.
func (s *Shared) Return(ctx context.Context, now time.Time, buckets []Bucket) error {
	return s.remote.giveBack(ctx, now, Key{}, buckets)
}

// Mark implements [Store].
func (s *Shared) Mark(ctx context.Context, now time.Time, set Key, m Mark, keep int, ttl time.Duration) error {
	s.mark(ctx, now, set, m, keep, ttl)
	return nil
}

// Marks implements [Store].
func (s *Shared) Marks(ctx context.Context, now time.Time, sets []Key) ([][]Mark, error) {
	return s.marks(ctx, now, sets)
}
