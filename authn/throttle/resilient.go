package throttle

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"
)

// resilient counts in memory while its store fails.
type resilient struct {
	store Store
	local *Memory
	log   *slog.Logger
	base  time.Time
	said  atomic.Int64 // when the failure was last logged, since base; 0: never
}

func newResilient(store Store, log *slog.Logger) *resilient {
	return &resilient{store: store, local: NewMemory(nil), log: log, base: time.Now().Add(-time.Hour)}
}

// take fails only with its context. from is where the units were taken.
func (s *resilient) take(ctx context.Context, now time.Time, plans [][]Bucket) (o Outcome, from Store, err error) {
	o, err = s.store.Take(ctx, now, plans)
	if err == nil {
		return o, s.store, nil
	}
	if ctx.Err() != nil {
		return Outcome{Plan: -1}, nil, ctx.Err()
	}
	s.complain(ctx, now, err)
	o, err = s.local.Take(ctx, now, plans)
	return o, s.local, err
}

// giveBack gives units back where they were taken. If that store fails now they stay counted,
// and come back with time.
func (s *resilient) giveBack(ctx context.Context, now time.Time, from Store, buckets []Bucket) {
	if err := from.Return(ctx, now, buckets); err != nil {
		s.complain(ctx, now, err)
	}
}

// mark keeps a mark in memory too, so that callers who logged in through this process stay
// known while the store fails.
func (s *resilient) mark(ctx context.Context, now time.Time, set Key, m Mark, keep int, ttl time.Duration) {
	if _, ok := s.store.(*Memory); !ok {
		_ = s.local.Mark(ctx, now, set, m, keep, ttl) // a Memory does not fail
	}
	if err := s.store.Mark(ctx, now, set, m, keep, ttl); err != nil {
		s.complain(ctx, now, err)
	}
}

// marks fails only with its context.
func (s *resilient) marks(ctx context.Context, now time.Time, sets []Key) ([][]Mark, error) {
	all, err := s.store.Marks(ctx, now, sets)
	if err == nil && len(all) == len(sets) {
		return all, nil
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	s.complain(ctx, now, err)
	return s.local.Marks(ctx, now, sets)
}

// complain logs a failure, at most once a minute.
func (s *resilient) complain(ctx context.Context, now time.Time, err error) {
	last, t := s.said.Load(), int64(now.Sub(s.base))
	if d := t - last; last != 0 && d > -int64(time.Minute) && d < int64(time.Minute) || !s.said.CompareAndSwap(last, t) {
		return
	}
	log := s.log
	if log == nil {
		log = slog.Default()
	}
	log.LogAttrs(ctx, slog.LevelError, "throttle store fails; counting in memory", slog.Any("error", err))
}
