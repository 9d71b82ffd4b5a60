package gormstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

// BumpEpochs implements storage.EpochBatches.
func (s *Store) BumpEpochs(ctx context.Context, after string, before time.Time, limit int) (last string, n int, err error) {
	if after != "" && !storage.BelongsTo(s.users.space, after) {
		return "", 0, fmt.Errorf("%w: subject is not in the space %q", storage.ErrInvalid, s.users.space)
	}
	if err := s.bound(ctx); err != nil {
		return "", 0, err
	}
	err = s.atomically(ctx, func(ctx context.Context) error {
		if after == "" {
			if err := s.raiseLeast(ctx, before); err != nil {
				return err
			}
		}
		var least int64
		if err := s.row(ctx, s.q.least, nil, []any{&least}); errors.Is(err, sql.ErrNoRows) {
			return new(epochValue).Scan(nil)
		} else if err != nil {
			return err
		}
		now := s.wall()
		low, high := int64(math.MaxInt64), int64(math.MaxInt64)
		if !before.IsZero() {
			low, high = least+1, storage.LatestEpoch(least, now)
		}
		query, args := s.q.batch, []any{low, high, max(limit, 0)}
		if after != "" {
			query, args = s.q.nextBatch, append([]any{after}, args...)
		}
		var subjects []string
		err := s.rows(ctx, query, args, func(rows *sql.Rows) error {
			var subject string
			err := rows.Scan(&subject)
			subjects = append(subjects, subject)
			return err
		})
		if err != nil {
			return err
		}
		last, n = after, len(subjects)
		for _, subject := range subjects {
			last = subject
			if !s.users.has(subject) { // it has no credentials, and must not stop the others
				continue
			}
			if _, err := s.bumpAndTell(ctx, subject, storage.ScatterEpoch(max(least, now.UnixMicro()))); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return "", 0, err
	}
	return last, n, nil
}

// raiseLeast raises the least epoch of the space, unless it was raised at before or later. It runs
// before the accounts change, so it also covers accounts that are created meanwhile.
func (s *Store) raiseLeast(ctx context.Context, before time.Time) error {
	now, limit := s.wall(), int64(math.MaxInt64)
	if !before.IsZero() {
		limit = before.UnixMicro()
	}
	var least int64
	if err := s.row(ctx, s.q.least, nil, []any{&least}); errors.Is(err, sql.ErrNoRows) {
		return new(epochValue).Scan(nil)
	} else if err != nil {
		return err
	}
	at, err := s.clock(ctx) // RecordTokenLifetime compares the least epoch with this clock
	if err != nil {
		return err
	}
	_, err = s.exec(ctx, s.q.raise, max(at.UnixMicro(), now.UnixMicro()), storage.LatestEpoch(least, now), now.UnixMicro(), limit)
	if err != nil {
		err = s.missingRight("raise the least epoch", "UPDATE on vestibule_spaces", err)
	}
	return err
}

// wall returns the time of the process, which the argument before of BumpEpochs is compared with.
func (s *Store) wall() time.Time {
	if s.now != nil {
		return s.now()
	}
	return time.Now()
}
