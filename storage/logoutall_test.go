package storage_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
				born, err := s.SubjectEpoch(ctx, id(449)) // the least epoch
				if err != nil {
					t.Fatal(err)
				}
				if err := s.PutStaticToken(ctx, storage.StaticToken{Digest: digest, Subject: id(449), Salt: []byte("salt"), Epoch: born}, storage.Digest{}); err != nil {
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
				initial := epochs()
				start := time.Now().Add(-time.Millisecond)
				if _, err := storage.LogoutAll(ctx, all, start.Add(time.Hour)); !errors.Is(err, storage.ErrInvalid) || epochs() != initial {
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
					if epoch <= first[accounts-1] || i < n && first[i] != epoch { // the last one had the least epoch
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
				// An account that is created afterwards is above every earlier epoch; its own credentials
				// are good.
				late, before := id(999), epochs()
				if err := s.CreateUser(ctx, storage.User{ID: late, Name: late, Active: true}); err != nil {
					t.Fatal(err)
				}
				u, err := s.UserByID(ctx, late)
				if direct, errd := s.SubjectEpoch(ctx, late); err != nil || errd != nil || direct != u.Epoch || slices.Max(second[:]) >= u.Epoch || slices.Min(before[:]) <= u.Epoch {
					t.Errorf("attack_484: %d, %d, %v, %v", u.Epoch, direct, err, errd)
				}
				digest = storage.DigestOf(late)
				for _, x := range []struct {
					epoch int64
					want  error
				}{{0, storage.ErrStale}, {second[0], storage.ErrStale}, {u.Epoch, nil}} {
					if err := s.PutStaticToken(ctx, storage.StaticToken{Digest: digest, Subject: late, Salt: []byte("salt"), Epoch: x.epoch}, storage.Digest{}); !errors.Is(err, x.want) {
						t.Errorf("attack_484: a token with epoch %d: %v", x.epoch, err)
					}
				}
				if token, u, err := s.StaticTokenByDigest(ctx, digest); err != nil || token.Epoch != u.Epoch {
					t.Errorf("attack_484: %d, %d, %v", token.Epoch, u.Epoch, err)
				}
				if err := s.DeleteUser(ctx, late); err != nil {
					t.Fatal(err)
				}
				// One's own epoch says nothing of another's: neighbors differ by random amounts.
				far, distances := 0, make(map[int64]bool)
				for i := 1; i < accounts; i++ {
					distance := before[i] - before[i-1]
					distances[distance] = true
					if max(distance, -distance) > int64(time.Second/time.Microsecond) {
						far++
					}
				}
				if far < accounts*9/10 || len(distances) < accounts-2 {
					t.Errorf("attack_485: %d of %d neighbors differ by more than a second, by %d different amounts", far, accounts-1, len(distances))
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
