package server_test

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// queried counts the lookups that reach the store under a cache.
type queried struct {
	*memory.Store
	n atomic.Int64
}

func (q *queried) ClientByID(ctx context.Context, id string) (storage.Client, error) {
	q.n.Add(1)
	return q.Store.ClientByID(ctx, id)
}

func (q *queried) AccessByDigest(ctx context.Context, d storage.Digest) (storage.AccessState, error) {
	q.n.Add(1)
	return q.Store.AccessByDigest(ctx, d)
}

// A resource server that introspects one token again and again costs the database nothing, and what it
// learns is never older than the last change of the token or of the client.
func TestIntrospectionFromCache(t *testing.T) {
	base := &queried{Store: memory.New(nil)}
	s, err := cached.New(base, &cached.Options{Clock: func() time.Time { return oauthtest.Born }})
	oauthtest.Must(t, err)
	w := oauthtest.NewWorld(t, s, nil)
	token := w.Post(w.Token(), "app", "grant_type", "client_credentials").Access
	introspect := func(active bool, code int) {
		t.Helper()
		if got := w.Post(w.Introspect(), "api", "token", token); got.Status != code || got.Active != active {
			t.Errorf("introspection: %d %s, want %d and active %t", got.Status, got.Body, code, active)
		}
	}
	introspect(true, http.StatusOK)
	before := base.n.Load()
	for range 10 {
		introspect(true, http.StatusOK)
	}
	if n := base.n.Load() - before; n != 0 {
		t.Errorf("10 introspections: %d queries, want 0", n)
	}
	before = base.n.Load()
	for range 10 {
		if got := w.Post(w.Token(), "app", "grant_type", "client_credentials"); got.Status != http.StatusOK {
			t.Fatal(got.Body)
		}
	}
	if n := base.n.Load() - before; n != 0 {
		t.Errorf("10 grants: %d queries, want 0", n)
	}

	t.Run("attack_430_resource_is_taken_away", func(t *testing.T) {
		oauthtest.Must(t, storage.ChangeClient(t.Context(), s, "api", func(c *storage.Client) error { c.Serves = nil; return nil }))
		introspect(false, http.StatusOK)
		oauthtest.Must(t, storage.ChangeClient(t.Context(), s, "api", func(c *storage.Client) error { c.Serves = []string{"https://api.example"}; return nil }))
		introspect(true, http.StatusOK)
	})
	t.Run("attack_430_secret_is_changed", func(t *testing.T) {
		var old storage.Digest
		oauthtest.Must(t, storage.ChangeClient(t.Context(), s, "api", func(c *storage.Client) error {
			old, c.Secret = c.Secret, storage.DigestOf("another")
			return nil
		}))
		introspect(false, http.StatusUnauthorized)
		oauthtest.Must(t, storage.ChangeClient(t.Context(), s, "api", func(c *storage.Client) error { c.Secret = old; return nil }))
		introspect(true, http.StatusOK)
	})
	t.Run("attack_430_issuing_client_is_disabled", func(t *testing.T) {
		oauthtest.Must(t, s.SetClientDisabled(t.Context(), "app", true))
		introspect(false, http.StatusOK)
		if got := w.Post(w.Token(), "app", "grant_type", "client_credentials"); got.Status != http.StatusUnauthorized {
			t.Errorf("a disabled client: %d %s", got.Status, got.Body)
		}
	})
	t.Run("attack_430_introspecting_client_is_deleted", func(t *testing.T) {
		oauthtest.Must(t, s.DeleteClient(t.Context(), "api"))
		introspect(false, http.StatusUnauthorized)
	})
}
