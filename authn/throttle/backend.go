package throttle

import (
	"context"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

// backend is what a [Shared] counts in.
type backend interface {
	take(ctx context.Context, now time.Time, group Key, plans [][]Bucket) (Outcome, error)
	giveBack(ctx context.Context, now time.Time, group Key, buckets []Bucket) error
	mark(ctx context.Context, now time.Time, set Key, m Mark, keep int, ttl time.Duration) error
	marks(ctx context.Context, now time.Time, sets []Key) ([][]Mark, error)
}

// alone is a Store as a backend. It needs no groups.
type alone struct{ Store }

func (b alone) take(ctx context.Context, now time.Time, _ Key, plans [][]Bucket) (Outcome, error) {
	return b.Take(ctx, now, plans)
}

func (b alone) giveBack(ctx context.Context, now time.Time, _ Key, buckets []Bucket) error {
	return b.Return(ctx, now, buckets)
}

func (b alone) mark(ctx context.Context, now time.Time, set Key, m Mark, keep int, ttl time.Duration) error {
	return b.Mark(ctx, now, set, m, keep, ttl)
}

func (b alone) marks(ctx context.Context, now time.Time, sets []Key) ([][]Mark, error) {
	return b.Marks(ctx, now, sets)
}

// counted is a storage.RateLimits as a backend.
type counted struct{ limits storage.RateLimits }

func (b counted) take(ctx context.Context, _ time.Time, group Key, plans [][]Bucket) (Outcome, error) {
	all := make([][]storage.LimitCell, len(plans))
	for i, p := range plans {
		all[i] = limitCells(p)
	}
	o, err := b.limits.TakeUnits(ctx, storage.LimitKey(group), all)
	return Outcome{Plan: o.Plan, Wait: o.Wait, Key: Key(o.Key)}, err
}

func (b counted) giveBack(ctx context.Context, _ time.Time, group Key, buckets []Bucket) error {
	return b.limits.ReturnUnits(ctx, storage.LimitKey(group), limitCells(buckets))
}

func limitCells(buckets []Bucket) []storage.LimitCell {
	cells := make([]storage.LimitCell, 0, 2*len(buckets))
	for _, b := range buckets {
		for _, r := range b.Rates {
			cells = append(cells, storage.LimitCell{Key: storage.LimitKey(b.Key), Limit: r.Limit, Window: r.Window})
		}
	}
	return cells
}

func (b counted) mark(ctx context.Context, now time.Time, set Key, m Mark, keep int, ttl time.Duration) error {
	mark := storage.LimitMark{Member: storage.LimitKey(m.Member), Stamp: storage.LimitKey(m.Stamp), Seen: m.Seen}
	return b.limits.PutMark(ctx, now, storage.LimitKey(set), mark, keep, ttl)
}

func (b counted) marks(ctx context.Context, now time.Time, sets []Key) ([][]Mark, error) {
	keys := make([]storage.LimitKey, len(sets))
	for i, k := range sets {
		keys[i] = storage.LimitKey(k)
	}
	found, err := b.limits.MarksOf(ctx, now, keys)
	if err != nil {
		return nil, err
	}
	all := make([][]Mark, len(found))
	for i, set := range found {
		for _, m := range set {
			all[i] = append(all[i], Mark{Member: Key(m.Member), Stamp: Key(m.Stamp), Seen: m.Seen})
		}
	}
	return all, nil
}
