package redisstore

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/vestibule-auth/vestibule/storage"
)

func (s *Store) proofKey(key storage.BlockKey) string { return s.prefix + "p:" + text(key[:]) }

// ConsumeJTI implements [storage.Replays]. Use it for DPoP proofs (dpop.New) only. A failover of
// Redis can lose the records of the last second. A proof can then be used again within its lifetime
// of a minute, but only together with the stolen access token. Client assertions and logout tokens
// MUST be recorded in the database, because their replay is a login or a logout.
//
// The record remains until storage.ClockSkew after the given time, because the clocks of replicas
// differ. The record is not part of a database transaction: if the transaction is rolled back, the
// proof remains used.
func (s *Store) ConsumeJTI(ctx context.Context, key storage.BlockKey, now, until time.Time) error {
	if err := storage.CheckJTI(key, until); err != nil {
		return err
	}
	keep := min(max(until.Sub(now), 0), maxKeep) + storage.ClockSkew
	cmd := redis.NewCmd(ctx, "set", s.proofKey(key), "1", "px", keep.Milliseconds(), "nx")
	switch err := s.call(ctx, cmd); {
	case err == redis.Nil: // it exists
		return storage.ErrConflict
	default:
		return named("ConsumeJTI", err)
	}
}

// maxKeep prevents an overflow.
const maxKeep = 100 * 365 * 24 * time.Hour

// Used implements [storage.Replays].
func (s *Store) Used(ctx context.Context, key storage.BlockKey) (bool, error) {
	if key.IsZero() {
		return false, nil
	}
	cmd := redis.NewIntCmd(ctx, "exists", s.proofKey(key))
	if err := s.call(ctx, cmd); err != nil {
		return false, named("Used", err)
	}
	return cmd.Val() > 0, nil
}
