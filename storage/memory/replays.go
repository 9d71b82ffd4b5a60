package memory

import (
	"context"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

// ConsumeJTI implements storage.Replays.
func (s *Store) ConsumeJTI(ctx context.Context, key storage.BlockKey, now, until time.Time) error {
	if err := storage.CheckJTI(key, until); err != nil {
		return err
	}
	return s.write(ctx, func(t *tx) error {
		if _, used := s.replays[key]; used {
			return storage.ErrConflict
		}
		put(t, s.replays, key, until)
		sweep(&s.sweeps.replays, s.replays, s.notAhead(now), func(until time.Time) time.Time { return until }, func(k storage.BlockKey) { drop(t, s.replays, k) })
		return nil
	})
}

// Used implements storage.Replays.
func (s *Store) Used(ctx context.Context, key storage.BlockKey) (used bool, err error) {
	err = s.read(ctx, func() error {
		_, used = s.replays[key]
		return nil
	})
	return used, err
}
