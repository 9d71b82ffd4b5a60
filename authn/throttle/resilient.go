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
	said  atomic.Int64 // when the log was last told, in nanoseconds since 1970
}

func newResilient(store Store, log *slog.Logger) *resilient {
	return &resilient{store: store, local: NewMemory(nil), log: log}
}

// take fails only with its context. from is where the units were taken.
func (s *resilient) take(ctx context.Context, now time.Time, buckets []Bucket) (wait time.Duration, from Store, err error) {
	wait, err = s.store.Take(ctx, now, buckets)
	if err == nil {
		return wait, s.store, nil
	}
	if ctx.Err() != nil {
		return 0, nil, ctx.Err()
	}
	s.complain(ctx, now, err)
	wait, err = s.local.Take(ctx, now, buckets)
	return wait, s.local, err
}

// giveBack gives units back where they were taken. Where that store fails now they
// stay counted, and come back with time.
func (s *resilient) giveBack(ctx context.Context, now time.Time, from Store, buckets []Bucket) {
	if err := from.GiveBack(ctx, now, buckets); err != nil {
		s.complain(ctx, now, err)
	}
}

func (s *resilient) complain(ctx context.Context, now time.Time, err error) {
	last := s.said.Load()
	if t := now.UnixNano(); t-last >= int64(time.Minute) && s.said.CompareAndSwap(last, t) {
		log := s.log
		if log == nil {
			log = slog.Default()
		}
		log.LogAttrs(ctx, slog.LevelError, "throttle store fails; counting in memory", slog.Any("error", err))
	}
}
