package password_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/authntest"
	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// Strangers who register do not prevent an owner from changing the password, because a caller that
// knows the old password waits with the known callers.
func TestChangeBesideRegistrations(t *testing.T) {
	t.Run("edge_A11/change", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h, err := password.NewHasher(&password.HasherOptions{Slots: 1, MaxWait: time.Minute, MaxWaiting: 8})
			must(t, err)
			registering := false
			c, err := password.New(memory.New(nil), h, &password.Options{Validate: func(ctx context.Context, _ storage.User, _ string) error {
				if !registering {
					return nil
				}
				// The old password was right. Now others register until the queue is full.
				release, err := h.Hold(ctx, "")
				must(t, err)
				for range 2 {
					go func() {
						release, err := h.Hold(ctx, "")
						must(t, err)
						release()
					}()
					synctest.Wait()
				}
				time.AfterFunc(time.Second, release)
				return nil
			}})
			must(t, err)
			_, err = c.Register(t.Context(), password.NewUser{Name: "alice", Password: secret})
			must(t, err)
			registering = true
			if _, err := c.ChangeOwn(httptest.NewRequest("POST", "/", nil), "alice", secret, "looking-glass-1"); err != nil {
				t.Error(err)
			}
		})
	})
	// A caller that finds no free slot is rejected immediately, and strangers hold all slots that
	// they can.
	full := func(t *testing.T) (*password.Checker, *password.Hasher, *http.Request) {
		h, err := password.NewHasher(&password.HasherOptions{Slots: 2, MaxWait: time.Nanosecond})
		must(t, err)
		c, err := password.New(memory.New(nil), h, &password.Options{FailureFloor: time.Nanosecond})
		must(t, err)
		for _, name := range []string{"alice", "bob"} {
			_, err = c.Register(t.Context(), password.NewUser{ID: "id-" + name, Name: name, Password: secret})
			must(t, err)
		}
		release, err := h.Hold(t.Context(), "198.51.100.1")
		must(t, err)
		t.Cleanup(release)
		return c, h, httptest.NewRequest("POST", "/", nil)
	}
	busy := func(t *testing.T, what string, err error) {
		t.Helper()
		if u := (*authn.Unavailable)(nil); !errors.As(err, &u) {
			t.Errorf("%s: %v", what, err)
		}
	}
	t.Run("edge_A11/a session's user", func(t *testing.T) {
		c, _, r := full(t)
		_, err := c.ChangeOwn(r, "alice", secret, "looking-glass-1")
		busy(t, "a stranger", err)
		elsewhere := authn.Identity{Subject: "id-alice"}
		elsewhere.SetStore(memory.New(nil))
		for what, id := range map[string]authn.Identity{
			"another store's user": elsewhere, "another user": {Subject: "id-bob"}, "another issuer's user": {Subject: "id-alice", Issuer: "https://other.example"},
			"a client": {Subject: "id-alice", Client: "app", Scopes: []string{}}, "a limited token": {Subject: "id-alice", Scopes: []string{"read"}},
		} {
			_, err := c.ChangeOwn(authntest.As(r, id), "alice", secret, "looking-glass-1")
			busy(t, what, err)
		}
		if _, err := c.ChangeOwn(authntest.As(r, authn.Identity{Subject: "id-alice"}), "alice", secret, "looking-glass-1"); err != nil {
			t.Error(err)
		}
	})
	t.Run("edge_A11/an administrator", func(t *testing.T) {
		c, _, r := full(t)
		if err := c.SetPassword(r.Context(), "id-alice", "looking-glass-1"); err != nil {
			t.Error(err)
		}
		_, err := c.NewHash(r.Context(), storage.User{Name: "carol"}, "looking-glass-1")
		busy(t, "a new account", err)
	})
	t.Run("edge_A11/one owner beside another", func(t *testing.T) { // who uses one proof many times over
		synctest.Test(t, func(t *testing.T) {
			h, err := password.NewHasher(&password.HasherOptions{Slots: 1, MaxWait: time.Minute, MaxWaiting: 8})
			must(t, err)
			c, err := password.New(memory.New(nil), h, nil)
			must(t, err)
			release, err := h.HoldAs(t.Context(), true, "", "")
			must(t, err)
			refused := make(chan error, 20)
			for range 20 {
				go func() {
					_, err := c.NewOwnerHash(t.Context(), storage.User{ID: "id-mallory", Name: "mallory"}, "looking-glass-1")
					refused <- err
				}()
			}
			synctest.Wait()
			if _, waiting := h.Slots(); waiting != 2 { // the share of one
				t.Errorf("%d wait", waiting)
			}
			owner := make(chan error, 1)
			go func() {
				_, err := c.NewOwnerHash(t.Context(), storage.User{ID: "id-alice", Name: "alice"}, "looking-glass-1")
				owner <- err
			}()
			synctest.Wait()
			release()
			if err := <-owner; err != nil {
				t.Error(err)
			}
			for range 20 {
				<-refused
			}
		})
	})
}
