package gormstore

import (
	"context"
	"database/sql"
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
	low, high := int64(math.MaxInt64), int64(math.MaxInt64)
	if !before.IsZero() {
		low, high = before.UnixMicro(), time.Now().Add(storage.EpochMargin).UnixMicro()
	}
	query, args := s.q.batch, []any{low, high, max(limit, 0)}
	if after != "" {
		query, args = s.q.nextBatch, append([]any{after}, args...)
	}
	err = s.atomically(ctx, func(ctx context.Context) error {
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
			if _, err := s.BumpEpoch(ctx, subject); err != nil {
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
