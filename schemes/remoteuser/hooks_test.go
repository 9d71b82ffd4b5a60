package remoteuser_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/schemes/remoteuser"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// A hook that panics causes a failure that names the hook, not a rejection of the name.
func TestHooksThatPanic(t *testing.T) {
	for hook, opts := range map[string]remoteuser.Options{
		"Canonical": {Canonical: func(string) (string, error) { panic("secret") }},
		"Create":    {Create: func(context.Context, string) (storage.User, error) { panic("secret") }},
	} {
		t.Run("edge_A06/"+hook, func(t *testing.T) {
			w := newWorld(t, memory.New(nil), opts)
			_, err := w.Authenticate(request("GET", "nobody"))
			var refused *authn.Error
			if err == nil || errors.As(err, &refused) || !strings.Contains(err.Error(), "remoteuser.Options."+hook) || strings.Contains(err.Error(), "secret") {
				t.Errorf("%v", err)
			}
		})
	}
}

// Explain is a dry run and creates no account.
func TestExplainCreatesNobody(t *testing.T) {
	t.Run("attack_305", func(t *testing.T) {
		s := memory.New(nil)
		w := newWorld(t, s, remoteuser.Options{Create: remoteuser.NewUser})
		m := authn.New(authn.Chain{w}, nil)
		if id, _, err := m.Explain(request("GET", "new")); err == nil {
			t.Errorf("%+v", id)
		}
		if _, err := s.UserByName(t.Context(), "new"); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("an account was created: %v", err)
		}
		if _, err := m.Authenticate(request("GET", "new")); err != nil {
			t.Error(err)
		}
	})
}
