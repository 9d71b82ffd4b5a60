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

// Take fails only with its context.
func (s *resilient) Take(ctx context.Context, now time.Time, buckets []Bucket) (time.Duration, error) {
	wait, err := s.store.Take(ctx, now, buckets)
	if err == nil {
		return wait, nil
	}
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	s.complain(ctx, now, err)
	return s.local.Take(ctx, now, buckets)
}

// GiveBack gives back where the units may have been taken.
func (s *resilient) GiveBack(ctx context.Context, now time.Time, buckets []Bucket) {
	if err := s.store.GiveBack(ctx, now, buckets); err != nil {
		s.complain(ctx, now, err)
		_ = s.local.GiveBack(ctx, now, buckets) // a Memory does not fail
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
