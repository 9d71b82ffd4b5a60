package cached_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/cached"
)

// A logout of all accounts empties the cache that it went through, and the caches that get its
// message. If the message cannot be written, nobody is logged out.
func TestLogoutAll(t *testing.T) {
	each(t, func(t *testing.T, base cached.Base) {
		t.Run("attack_230", func(t *testing.T) {
			ctx := t.Context()
			var told []cached.Change
			var fail error
			s, err := cached.New(base, &cached.Options{Tell: func(ctx context.Context, c cached.Change) error {
				if !base.InTransaction(ctx) {
					t.Error("told outside of the transaction")
				}
				told = append(told, c)
				return fail
			}})
			if err != nil {
				t.Fatal(err)
			}
			other, err := cached.New(base, nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, id := range []string{"alice", "bob"} {
				if err := base.CreateUser(ctx, storage.User{ID: id, Name: id, Active: true}); err != nil {
					t.Fatal(err)
				}
				if err := base.PutStaticToken(ctx, storage.StaticToken{Digest: storage.DigestOf(id), Subject: id, Salt: []byte("salt")}, storage.Digest{}); err != nil {
					t.Fatal(err)
				}
			}
			good := func(s *cached.Store) (n int) {
				for _, id := range []string{"alice", "bob"} {
					if token, u, err := s.StaticTokenByDigest(ctx, storage.DigestOf(id)); err != nil {
						t.Fatal(err)
					} else if token.Epoch == u.Epoch {
						n++
					}
				}
				return n
			}
			if good(s) != 2 || good(other) != 2 {
				t.Fatal("they are not good at first")
			}
			fail = errors.New("no way to tell")
			if n, err := storage.LogoutAll(ctx, s, time.Time{}); n != 0 || !errors.Is(err, fail) || good(s) != 2 {
				t.Errorf("told nobody: %d, %v", n, err)
			}
			fail, told = nil, nil
			if n, err := storage.LogoutAll(ctx, s, time.Time{}); n != 2 || err != nil {
				t.Fatal(n, err)
			}
			if good(s) != 0 {
				t.Error("the cache keeps them")
			}
			if len(told) != 1 || !told[0].All {
				t.Fatalf("told %+v", told)
			}
			if told[0].Apply(other); good(other) != 0 {
				t.Error("the other cache keeps them")
			}
			// In a transaction it counts when that ends.
			if err := base.DeleteStaticTokenOf(ctx, "alice"); err != nil {
				t.Fatal(err)
			}
			u, err := base.UserByID(ctx, "alice")
			if err != nil {
				t.Fatal(err)
			}
			if err := base.PutStaticToken(ctx, storage.StaticToken{Digest: storage.DigestOf("again"), Subject: "alice", Epoch: u.Epoch, Salt: []byte("salt")}, storage.Digest{}); err != nil {
				t.Fatal(err)
			}
			if _, _, err := s.StaticTokenByDigest(ctx, storage.DigestOf("again")); err != nil {
				t.Fatal(err)
			}
			if err := s.InTx(ctx, func(ctx context.Context) error { _, err := storage.LogoutAll(ctx, s, time.Time{}); return err }); err != nil {
				t.Fatal(err)
			}
			if token, u, err := s.StaticTokenByDigest(ctx, storage.DigestOf("again")); err != nil || token.Epoch == u.Epoch {
				t.Error("the cache keeps what a transaction revoked", err)
			}
		})
	})
	parts, err := cached.New(struct{ cached.Base }{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := storage.LogoutAll(t.Context(), parts, time.Time{}); n != 0 || err == nil {
		t.Error("a store without batches", n, err)
	}
}
