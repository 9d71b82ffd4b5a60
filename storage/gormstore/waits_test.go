package gormstore_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
)

// While one transaction has done a thing and not yet committed, another that meets
// it waits, and then sees what was done.
func TestWaitsForTheOther(t *testing.T) {
	key := storage.BlockKeyOf(storage.BlockJTI, "", "1")
	create := func(ctx context.Context, s *gormstore.Store, id string) error {
		_, err := s.CreateCredential(ctx, storage.Credential{Purpose: "knox", Digest: storage.DigestOf(id), ID: id, Subject: "1"}, storage.CredentialLimit{Max: 2})
		return err
	}
	add := func(ctx context.Context, s *gormstore.Store, id string) error {
		return s.CreateSigningKey(ctx, storage.SigningKey{ID: id, Purpose: "p", Algorithm: "a", MasterID: "m"}, "")
	}
	claim := func(ctx context.Context, s *gormstore.Store, next string) error {
		return s.ClaimRefresh(ctx, storage.RefreshClaim{Digest: storage.DigestOf("second 1"), Next: storage.Refresh{Digest: storage.DigestOf(next)}})
	}
	type step = func(context.Context, *gormstore.Store) error
	for name, c := range map[string]struct {
		first, second step
		want          error
	}{
		"limit":        {func(ctx context.Context, s *gormstore.Store) error { return create(ctx, s, "a") }, func(ctx context.Context, s *gormstore.Store) error { return create(ctx, s, "b") }, storage.ErrLimit},
		"signing_key":  {func(ctx context.Context, s *gormstore.Store) error { return add(ctx, s, "a") }, func(ctx context.Context, s *gormstore.Store) error { return add(ctx, s, "b") }, storage.ErrConflict},
		"two_claims":   {func(ctx context.Context, s *gormstore.Store) error { return claim(ctx, s, "a") }, func(ctx context.Context, s *gormstore.Store) error { return claim(ctx, s, "b") }, storage.ErrConflict},
		"end_or_claim": {func(ctx context.Context, s *gormstore.Store) error { return s.EndFamily(ctx, "f1", time.Now()) }, func(ctx context.Context, s *gormstore.Store) error { return claim(ctx, s, "b") }, storage.ErrStale},
		"gone_or_claim": {func(ctx context.Context, s *gormstore.Store) error { return s.DeleteSubject(ctx, "1") },
			func(ctx context.Context, s *gormstore.Store) error { return claim(ctx, s, "b") }, storage.ErrNotFound},
		"block_or_prune": {func(ctx context.Context, s *gormstore.Store) error {
			return s.Block(ctx, time.Unix(2000, 0), key)
		}, func(ctx context.Context, s *gormstore.Store) error {
			_, err := s.Prune(ctx, time.Unix(1500, 0), 1)
			if st, e := s.TokenStatusOf(ctx, "1", storage.BlockKeys{JTI: key}); e != nil || !st.Blocked {
				t.Errorf("what was blocked longer meanwhile was pruned, %v", e)
			}
			return err
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := context.Background()
			s := migrated(t, openPostgres(t, nil))
			furnish(t, s)
			if err := s.Block(ctx, time.Unix(1000, 0), key); err != nil {
				t.Fatal(err)
			}
			second := make(chan error, 1)
			err := s.InTx(ctx, func(inside context.Context) error {
				if err := c.first(inside, s); err != nil {
					return err
				}
				go func() { second <- c.second(ctx, s) }()
				for begin := time.Now(); ; {
					var waiting int64
					err := s.DB(ctx).Raw("SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'").Scan(&waiting).Error
					switch {
					case err != nil:
						return err
					case waiting > 0:
						return nil
					case len(second) > 0:
						return errors.New("the second one did not wait")
					case time.Since(begin) > 1500*time.Millisecond:
						return errors.New("nobody waits")
					}
					time.Sleep(time.Millisecond) //house: a real connection is awaited
				}
			})
			got := <-second
			if err != nil || !errors.Is(got, c.want) {
				t.Errorf("the first: %v; the second: %v, want %v", err, got, c.want)
			}
		})
	}
}
