package token_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/storagetest"
)

// 64 concurrent logins of a user without a token return one token.
func TestRaces(t *testing.T) {
	each(t, func(t *testing.T, s storagetest.Store) {
		ctx := t.Context()
		schemetest.Add(t, s, "alice")
		x := scheme(t, s, schemetest.Ring(t), nil)
		together := func(f func(i int)) {
			var wg sync.WaitGroup
			for i := range 64 {
				wg.Go(func() { f(i) })
			}
			wg.Wait()
		}
		texts := make([]string, 64)
		together(func(i int) {
			var err error
			if texts[i], err = x.GetOrCreate(ctx, "id-alice", 0); err != nil {
				t.Error(err)
			}
		})
		for _, text := range texts {
			if text != texts[0] {
				t.Fatal("two first logins at once gave two tokens")
			}
		}
		t.Run("attack_042_logout_during_use", func(t *testing.T) {
			var out atomic.Bool
			together(func(i int) {
				if i == 32 {
					schemetest.Must(t, x.Revoke(ctx, "id-alice"))
					out.Store(true)
					return
				}
				for range 20 {
					was := out.Load()
					if _, err := x.Authenticate(schemetest.With("Token " + texts[0])); err == nil && was {
						t.Error("accepted after the logout was acknowledged")
					}
				}
			})
		})
		t.Run("attack_043_logins_and_disabling", func(t *testing.T) {
			got := make([]string, 64)
			together(func(i int) {
				if i == 32 {
					schemetest.Must(t, s.SetActive(ctx, "id-alice", false))
					return
				}
				text, err := x.GetOrCreate(ctx, "id-alice", 0)
				if err != nil && !errors.Is(err, storage.ErrStale) {
					t.Error(err)
				}
				got[i] = text
			})
			for _, text := range got {
				if text != "" && !refused(t, x, text) {
					t.Error("a token works after its account was disabled")
				}
			}
		})
	})
}

// Concurrent logins, logouts and replacements each behave as if they ran alone. One token remains,
// and the next login returns it.
func TestLoginLogoutReset(t *testing.T) {
	each(t, func(t *testing.T, s storagetest.Store) {
		ctx := t.Context()
		schemetest.Add(t, s, "alice")
		x := scheme(t, s, schemetest.Ring(t), nil)
		texts := make([]string, 64)
		var wg sync.WaitGroup
		for i := range texts {
			wg.Go(func() {
				var err error
				switch i % 8 {
				case 0:
					if err = x.Revoke(ctx, "id-alice"); errors.Is(err, storage.ErrNotFound) {
						err = nil
					}
				case 1:
					texts[i], err = x.Replace(ctx, "id-alice", 0)
				default:
					texts[i], err = x.GetOrCreate(ctx, "id-alice", 0)
				}
				// More concurrent changes than attempts: 503 and no token.
				if errors.Is(err, storage.ErrConflict) && texts[i] == "" {
					err = nil
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		last, err := x.GetOrCreate(ctx, "id-alice", 0)
		schemetest.Must(t, err)
		for _, text := range texts {
			if text != "" && text != last && !refused(t, x, text) {
				t.Error("two tokens of one user work")
			}
		}
		if list, err := s.ListStaticTokens(ctx, "", 100); err != nil || len(list) != 1 || refused(t, x, last) {
			t.Errorf("%d tokens, %v", len(list), err)
		}
	})
}
