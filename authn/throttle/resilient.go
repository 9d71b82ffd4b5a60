package throttle

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"
)

// resilient is a store that counts in memory while the store in it fails.
type resilient struct {
	store Store
	local *Memory
	log   *slog.Logger
	base  time.Time
	said  atomic.Int64 // time of the last log message, since base; 0: never
}

func newResilient(store Store, log *slog.Logger) *resilient {
	return &resilient{store: store, local: NewMemory(nil), log: log, base: time.Now().Add(-time.Hour)}
}

// take fails only if its context is canceled. from is the store that counted the units.
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

// giveBack gives units back to the store that counted them. If that store fails, they stay counted
// and return with time.
func (s *resilient) giveBack(ctx context.Context, now time.Time, from Store, buckets []Bucket) {
	if err := from.Return(ctx, now, buckets); err != nil {
		s.complain(ctx, now, err)
	}
}

// mark keeps the mark in memory too, so that callers that logged in through this process stay known
// while the store fails.
func (s *resilient) mark(ctx context.Context, now time.Time, set Key, m Mark, keep int, ttl time.Duration) {
	if _, ok := s.store.(*Memory); !ok {
		_ = s.local.Mark(ctx, now, set, m, keep, ttl) // a Memory returns no error
	}
	if err := s.store.Mark(ctx, now, set, m, keep, ttl); err != nil {
		s.complain(ctx, now, err)
	}
}

// marks fails only if its context is canceled.
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

// complain logs a failure of the store, at most once a minute.
func (s *resilient) complain(ctx context.Context, now time.Time, err error) {
	last, t := s.said.Load(), int64(now.Sub(s.base))
	if d := t - last; last != 0 && d > -int64(time.Minute) && d < int64(time.Minute) || !s.said.CompareAndSwap(last, t) {
		return
	}
	log := s.log
	if log == nil {
		log = slog.Default()
	}
	log.LogAttrs(ctx, slog.LevelError, "throttle store failed; counting in memory", slog.Any("error", err))
}
