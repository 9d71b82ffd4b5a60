package memory

import (
	"context"
	"slices"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

// epochOf returns the epoch of a subject. The caller holds the lock.
func (s *Store) epochOf(subject string) int64 {
	if !storage.BelongsTo(s.space, subject) {
		return s.epochs[subject]
	}
	return max(s.epochs[subject], s.least)
}

// BumpEpochs implements storage.EpochBatches. It sorts all accounts at each call.
func (s *Store) BumpEpochs(ctx context.Context, after string, before time.Time, limit int) (last string, n int, err error) {
	last = after
	err = s.write(ctx, func(t *tx) error {
		if after == "" && (before.IsZero() || s.least == 0 || s.raised.Before(before)) {
			s.raise(t)
		}
		future := storage.LatestEpoch(s.least, s.now())
		var ids []string
		for id := range s.users {
			epoch := s.epochs[id]
			if id > after && (before.IsZero() || epoch <= s.least || epoch > future) {
				ids = append(ids, id)
			}
		}
		slices.Sort(ids)
		for _, id := range ids[:min(max(limit, 0), len(ids))] {
			s.bumpTo(t, id, storage.ScatterEpoch(max(s.least, s.now().UnixMicro())), false)
			last = id
			n++
		}
		return nil
	})
	if err != nil {
		return "", 0, err
	}
	return last, n, nil
}

// raise moves the least epoch above that of every account, so that it also holds for accounts that
// are created later, perhaps with the ID of an earlier one.
func (s *Store) raise(t *tx) {
	least, raised := s.least, s.raised
	t.undo = append(t.undo, func() { s.least, s.raised = least, raised })
	now := s.now()
	next, future := max(least+1, now.UnixMicro()), storage.LatestEpoch(least, now)
	for _, epoch := range s.epochs {
		if epoch <= future { // not one of a wrong clock
			next = max(next, epoch+1)
		}
	}
	s.least, s.raised = next, now
}
