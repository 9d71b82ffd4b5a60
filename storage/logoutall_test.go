package storage_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/storetest"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/storagetest"
)

// interrupted fails at the second batch.
type interrupted struct {
	storage.EpochBatches
	calls int
}

var errStopped = errors.New("stopped")

func (i *interrupted) BumpEpochs(ctx context.Context, after string, before time.Time, limit int) (string, int, error) {
	if i.calls++; i.calls == 2 {
		return "", 0, errStopped
	}
	return i.EpochBatches.BumpEpochs(ctx, after, before, limit)
}

// All accounts are logged out, whatever their names and whether they are enabled; after an
// interruption the rest is, and nobody twice.
func TestLogoutAll(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s storagetest.Store) {
		for name, all := range map[string]storage.EpochBatches{"plain": s.(storage.EpochBatches), "cached": nil} {
			t.Run("attack_230_"+name, func(t *testing.T) {
				ctx := t.Context()
				if name == "cached" {
					c, err := cached.New(s.(cached.Base), nil)
					if err != nil {
						t.Fatal(err)
					}
					all = c
				}
				const accounts = 450
				id := func(i int) string { return fmt.Sprintf("%s-%03d", name, i) }
				for i := range accounts {
					if err := s.CreateUser(ctx, storage.User{ID: id(i), Name: id(i), Active: i%3 > 0}); err != nil {
						t.Fatal(err)
					}
				}
				digest := storage.DigestOf(id(449))
				if err := s.PutStaticToken(ctx, storage.StaticToken{Digest: digest, Subject: id(449), Salt: []byte("salt")}, storage.Digest{}); err != nil {
					t.Fatal(err)
				}
				epochs := func() (list [accounts]int64) {
					for i := range list {
						n, err := s.SubjectEpoch(ctx, id(i))
						if err != nil {
							t.Fatal(err)
						}
						list[i] = n
					}
					return list
				}
				start := time.Now().Add(-time.Millisecond)
				if _, err := storage.LogoutAll(ctx, all, start.Add(time.Hour)); !errors.Is(err, storage.ErrInvalid) || epochs() != [accounts]int64{} {
					t.Errorf("a time in the future: %v", err)
				}
				n, err := storage.LogoutAll(ctx, &interrupted{EpochBatches: all}, start)
				if !errors.Is(err, errStopped) || n != 200 {
					t.Fatal(n, err)
				}
				first := epochs()
				rest, err := storage.LogoutAll(ctx, all, start)
				if err != nil || rest != accounts-n {
					t.Errorf("the rest: %d, %v", rest, err)
				}
				second := epochs()
				for i, epoch := range second {
					if epoch == 0 || first[i] != 0 && first[i] != epoch {
						t.Errorf("%s: %d, then %d", id(i), first[i], epoch)
					}
				}
				if token, u, err := s.StaticTokenByDigest(ctx, digest); err == nil && token.Epoch == u.Epoch {
					t.Error("a token is still good")
				}
				if n, err := storage.LogoutAll(ctx, all, start); n != 0 || err != nil {
					t.Errorf("a third time: %d, %v", n, err)
				}
				if n, err := storage.LogoutAll(ctx, all, time.Time{}); n != accounts || err != nil {
					t.Errorf("all again: %d, %v", n, err)
				}
				for i, epoch := range epochs() {
					if epoch <= second[i] {
						t.Errorf("%s: %d, then %d", id(i), second[i], epoch)
					}
				}
				for i := range accounts { // the next subtest has accounts of its own
					if err := s.DeleteUser(ctx, id(i)); err != nil {
						t.Fatal(err)
					}
				}
			})
		}
	})
}
