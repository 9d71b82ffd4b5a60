package jwt_test

import (
	"errors"
	"testing"

	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/storagetest"
)

// Revoking one login reads no other login of the account, and works for the oldest one too.
func TestEndOneOfManyLogins_attack_375(t *testing.T) {
	schemetest.Each(t, schemetest.Born, func(t *testing.T, s storagetest.Store) {
		rows := &schemetest.Rows{Store: s}
		w := over(t, rows, start(), jwt.Options{MaxLogins: jwt.NoLimit})
		schemetest.Add(t, s, "bob")
		w.issue(t)
		list, err := w.List(t.Context(), "id-alice", 1)
		schemetest.Must(t, err)
		ids := schemetest.Families(t, s, s, list[0], 300, nil)
		rows.N.Store(0)
		for _, id := range []string{"nosuch", "", "a\x00"} {
			if err := w.RevokeFamily(t.Context(), "id-alice", id); !errors.Is(err, storage.ErrNotFound) {
				t.Errorf("%q: %v", id, err)
			}
		}
		if err := w.RevokeFamily(t.Context(), "id-bob", ids[299]); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("another's login: %v", err)
		}
		schemetest.Must(t, w.RevokeFamily(t.Context(), "id-alice", ids[299]))
		if err := w.RevokeFamily(t.Context(), "id-alice", ids[299]); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("a second time: %v", err)
		}
		if n := rows.N.Load(); n > 10 {
			t.Errorf("%d logins were read to end one", n)
		}
		if list, err := w.List(t.Context(), "id-alice", 1000); err != nil || len(list) != 300 {
			t.Errorf("%d left, %v", len(list), err)
		}
	})
}
