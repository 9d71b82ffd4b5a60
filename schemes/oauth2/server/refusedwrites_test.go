package server_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/jose"
)

// quiet sends the same request several times, and fails if the store is written.
func quiet(t *testing.T, store *oauthtest.Writes, what string, request func() int) {
	t.Helper()
	before := store.N.Load()
	for range 5 {
		if status := request(); status >= 500 {
			t.Fatalf("%s: %d", what, status)
		}
	}
	if n := store.N.Load() - before; n != 0 {
		t.Errorf("%s: %d writes", what, n)
	}
}

// Anyone can send a token that is not valid any more as often as they like, and SQLite has one
// write lock for all callers: such a request reads and writes nothing.
func TestRevokeDeadTokens(t *testing.T) {
	for _, signed := range []bool{false, true} {
		t.Run(fmt.Sprintf("attack_298/signed %t", signed), func(t *testing.T) {
			oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
				store := &oauthtest.Writes{Store: s}
				w := oauthtest.NewWorld(t, store, func(o *oauthtest.Options) {
					if o.SignedAccess = signed; signed {
						o.SigningKeys = oauthtest.FreshRing(t, jose.ES256)
					}
				})
				revoke := func(token string) func() int {
					return func() int { return w.Post(w.Revoke(), "app", "token", token).Status }
				}
				revoked := w.Exchange("app", w.Code("app", nil))
				if revoke(revoked.Access)(); store.N.Load() < 2 || w.Refreshes("app", revoked.Refresh).Status != 400 {
					t.Fatal("not revoked")
				}
				quiet(t, store, "revoked", revoke(revoked.Access))
				quiet(t, store, "the refresh token of a revoked grant", revoke(revoked.Refresh))

				old := w.Exchange("app", w.Code("app", nil))
				w.Pass(2 * time.Hour) // the access token expires, the grant does not
				if revoke(old.Access)(); w.Refreshes("app", old.Refresh).Status != 400 {
					t.Error("an expired access token did not revoke its grant")
				}
				quiet(t, store, "expired", revoke(old.Access))

				own := w.Post(w.Token(), "app", "grant_type", "client_credentials")
				w.Pass(time.Hour + 2*time.Minute)
				quiet(t, store, "a client's own, expired", revoke(own.Access))

				moved := w.Exchange("app", w.Code("app", nil))
				_, err := s.BumpEpoch(t.Context(), "id-alice")
				oauthtest.Must(t, err)
				quiet(t, store, "of an earlier epoch", revoke(moved.Access))
			})
		})
	}
}

// The second use of a code revokes its grant, once. Later uses write nothing.
func TestUsedCodes(t *testing.T) {
	t.Run("attack_299", func(t *testing.T) {
		oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
			store := &oauthtest.Writes{Store: s}
			w := oauthtest.NewWorld(t, store, nil)
			code := w.Code("app", nil)
			got := w.Exchange("app", code)
			w.Take()
			if again := w.Exchange("app", code); again.Error != "invalid_grant" || w.Take() != "code.reuse" || w.Status(got.Access) != 401 {
				t.Fatalf("%d %s", again.Status, again.Body)
			}
			quiet(t, store, "a used code", func() int { return w.Exchange("app", code).Status })
			if events := w.Take(); events != "" {
				t.Errorf("events: %s", events)
			}
		})
	})
}
