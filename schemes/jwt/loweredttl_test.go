package jwt_test

import (
	"net/http/httptest"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// An operator lowers AccessTTL and restarts. Tokens from before that are revoked afterwards stay
// revoked until they expire.
func TestLoweredTTL_attack_473(t *testing.T) {
	for name, x := range map[string]struct {
		before time.Duration
		end    func(t *testing.T, w *world, s *jwt.Scheme, p jwt.Pair) error
	}{
		"refresh token revoked": {time.Hour, func(t *testing.T, _ *world, s *jwt.Scheme, p jwt.Pair) error { return s.Revoke(t.Context(), p.Refresh) }},
		"refresh token used twice": {time.Hour, func(t *testing.T, w *world, s *jwt.Scheme, p jwt.Pair) error {
			if _, _, err := s.Refresh(t.Context(), p.Refresh); err != nil {
				return err
			}
			w.clock.Set(6*time.Minute + 30*time.Second)
			if _, _, err := s.Refresh(t.Context(), p.Refresh); err == nil {
				t.Error("a refresh token was used twice")
			}
			return nil
		}},
		"logout by access token": {3 * time.Hour, func(t *testing.T, _ *world, s *jwt.Scheme, p jwt.Pair) error {
			r := bearer(p.Access)
			r.Method = "POST"
			rec := httptest.NewRecorder()
			if s.Logout().ServeHTTP(rec, r); rec.Code != 204 {
				t.Errorf("logout: %d", rec.Code)
			}
			return nil
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, jwt.Options{AccessTTL: x.before})
			pair := w.issue(t)
			w.clock.Set(5 * time.Minute)
			after, err := jwt.New(issuer, audience, w.ring, w.store, &jwt.Options{AccessTTL: 5 * time.Minute, Clock: w.clock.Now, Logger: schemetest.Quiet})
			schemetest.Must(t, err)
			w.clock.Set(6 * time.Minute)
			if got := statusOf(after, pair.Access); got != 200 {
				t.Fatalf("before: %d", got)
			}
			schemetest.Must(t, x.end(t, w, after, pair))
			for at := 7 * time.Minute; at < x.before; at += 7 * time.Minute {
				w.clock.Set(at)
				_, err := storage.PruneAll(t.Context(), w.clock.Now(), w.store.(*memory.Store))
				schemetest.Must(t, err)
				if got := statusOf(after, pair.Access); got != 401 {
					t.Fatalf("valid again after %v: %d", at, got)
				}
			}
		})
	}
}
