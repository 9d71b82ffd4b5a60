package password_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// A hook that panics is a failure with status 500; no login and no account results from it.
func TestHooksPanic(t *testing.T) {
	panics := ""
	at := func(where string) {
		if panics == where {
			panic("hush")
		}
	}
	h, err := password.NewHasher(nil)
	must(t, err)
	s := memory.New(nil)
	c, err := password.New(s, h, &password.Options{
		InsecureNoLimiter: true,
		Canonical:         func(name string) (string, error) { at("Canonical"); return password.ASCII(name) },
		Sleep:             func(context.Context, time.Duration) { at("Sleep") },
	})
	must(t, err)
	_, err = c.Register(t.Context(), password.NewUser{ID: "id-alice", Name: "alice", Password: secret})
	must(t, err)
	r := httptest.NewRequest("POST", "/", nil)
	for hook, call := range map[string]func() error{
		"Canonical": func() error { _, err := c.CheckPassword(r, "alice", secret); return err },
		"Canonical/register": func() error {
			_, err := c.Register(r.Context(), password.NewUser{ID: "id-bob", Name: "bob", Password: secret})
			return err
		},
		"Canonical/change": func() error { return c.ChangePassword(r, "alice", secret, "looking-glass-1") },
		"Sleep":            func() error { _, err := c.CheckPassword(r, "alice", "wrong"); return err },
	} {
		t.Run("attack_245_"+hook, func(t *testing.T) {
			panics, _, _ = strings.Cut(hook, "/")
			err := call()
			panics = ""
			var e *authn.Error
			var status interface{ StatusCode() int }
			if err == nil || errors.As(err, &e) || !errors.As(err, &status) || status.StatusCode() != http.StatusInternalServerError || strings.Contains(err.Error(), "hush") {
				t.Errorf("%v", err)
			}
		})
	}
	if _, err := s.UserByID(t.Context(), "id-bob"); err == nil {
		t.Error("an account was made")
	}
	if _, err := c.CheckPassword(r, "alice", secret); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}
