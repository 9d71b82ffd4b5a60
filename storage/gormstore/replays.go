package gormstore

import (
	"context"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

const firstUse = "INSERT INTO vestibule_replays (replay_key, until_us) VALUES (?, ?) ON CONFLICT DO NOTHING"

// ConsumeJTI implements storage.Replays.
func (s *Store) ConsumeJTI(ctx context.Context, key storage.BlockKey, now, until time.Time) error {
	if err := storage.CheckJTI(key, until); err != nil {
		return err
	}
	n, err := s.exec(ctx, s.dialect.bind(firstUse), key[:], until.UnixMicro())
	if err == nil && n == 0 {
		err = storage.ErrConflict
	}
	return s.swept(ctx, &s.short.replays, now, err)
}

// Used implements storage.Replays.
func (s *Store) Used(ctx context.Context, key storage.BlockKey) (used bool, err error) {
	err = s.row(ctx, s.dialect.bind("SELECT EXISTS (SELECT 1 FROM vestibule_replays WHERE replay_key = ?)"), []any{key[:]}, []any{&used})
	return used, err
}
