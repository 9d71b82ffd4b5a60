package jwt_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// A second service with the issuer's database as its blocklist rejects a token as soon as the
// issuer does.
func TestOwnIssuerBlocklist_attack_460(t *testing.T) {
	each(t, func(t *testing.T, c *schemetest.Clock, one, two store) {
		w := over(t, one, c, jwt.Options{})
		service, err := jwt.NewVerifier(issuer, audience, w.ring, &jwt.VerifierOptions{OwnIssuer: true, Blocklist: two, Clock: c.Now})
		schemetest.Must(t, err)
		front := authn.New(service, &authn.Options{Logger: schemetest.Quiet})
		enable := func() error { return one.SetActive(context.Background(), "id-alice", true) }
		for _, x := range []struct {
			name string
			end  func(p jwt.Pair) error
			undo func() error
		}{
			{"logout by access token", func(p jwt.Pair) error {
				r := bearer(p.Access)
				r.Method = "POST"
				rec := httptest.NewRecorder()
				if w.Logout().ServeHTTP(rec, r); rec.Code != 204 {
					return errors.New(rec.Body.String())
				}
				return nil
			}, nil},
			{"refresh token revoked", func(p jwt.Pair) error { return w.Revoke(t.Context(), p.Refresh) }, nil},
			{"login revoked", func(jwt.Pair) error {
				list, err := w.List(t.Context(), "id-alice", 10)
				if err != nil {
					return err
				}
				for _, f := range list {
					err = errors.Join(err, w.RevokeFamily(t.Context(), "id-alice", f.ID))
				}
				return err
			}, nil},
			{"everywhere", func(jwt.Pair) error { _, err := storage.LogoutEverywhere(t.Context(), one, "id-alice"); return err }, nil},
			{"new password", func(jwt.Pair) error { return one.SetPassword(t.Context(), "id-alice", "new") }, nil},
			{"disabled", func(jwt.Pair) error { return one.SetActive(t.Context(), "id-alice", false) }, enable},
			{"deleted", func(jwt.Pair) error { return one.DeleteUser(t.Context(), "id-alice") }, nil},
		} {
			pair := w.issue(t)
			if mine, theirs := w.status(pair.Access), through(front, pair.Access); mine != 200 || theirs != 200 {
				t.Fatalf("%s, before: issuer %d, service %d", x.name, mine, theirs)
			}
			schemetest.Must(t, x.end(pair))
			if mine, theirs := w.status(pair.Access), through(front, pair.Access); mine != 401 || theirs != 401 {
				t.Errorf("%s: issuer %d, service %d", x.name, mine, theirs)
			}
			if x.undo != nil {
				schemetest.Must(t, x.undo())
				if theirs := through(front, pair.Access); theirs != 401 {
					t.Errorf("%s and undone: service %d", x.name, theirs)
				}
			}
		}
	})
	t.Run("a store without the accounts", func(t *testing.T) { // such as one of the service's own
		w := newWorld(t, jwt.Options{})
		_, err := w.store.BumpEpoch(t.Context(), "id-alice")
		schemetest.Must(t, err)
		blocked := memory.New(&memory.Options{Clock: w.clock.Now})
		service, err := jwt.NewVerifier(issuer, audience, w.ring, &jwt.VerifierOptions{OwnIssuer: true, Blocklist: blocked, Clock: w.clock.Now})
		schemetest.Must(t, err)
		pair := w.issue(t)
		if got := statusOf(service, pair.Access); got != 200 {
			t.Errorf("status %d", got)
		}
		list, err := w.List(t.Context(), "id-alice", 1)
		schemetest.Must(t, err)
		schemetest.Must(t, blocked.Block(t.Context(), w.clock.Now().Add(1e12), storage.BlockKeyOf(storage.BlockSID, "", list[0].ID)))
		if got := statusOf(service, pair.Access); got != 401 {
			t.Errorf("blocked there: status %d", got)
		}
	})
}
