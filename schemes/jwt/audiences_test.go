package jwt_test

import (
	"testing"

	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// Two APIs of one issuer share a store and keys.
func TestRefreshTokensOfAnotherAudience(t *testing.T) {
	for name, signed := range map[string]bool{"attack_356 opaque": false, "attack_356 signed": true} {
		t.Run(name, func(t *testing.T) {
			own := newWorld(t, jwt.Options{})
			db := memory.New(nil)
			schemetest.Must(t, db.CreateUser(t.Context(), storage.User{ID: "1", Name: "alice", Active: true}))
			api := func(audience string) *jwt.Scheme {
				s, err := jwt.New("https://app.example", audience, own.ring, db, &jwt.Options{SignedRefresh: signed})
				schemetest.Must(t, err)
				return s
			}
			shop, bank := api("https://app.example/shop"), api("https://app.example/bank")
			pair, err := shop.Issue(t.Context(), "1", 0, nil)
			schemetest.Must(t, err)
			if _, _, err := bank.Refresh(t.Context(), pair.Refresh); !isRefusal(err) {
				t.Errorf("the shop's refresh token at the bank: %v, want a refusal", err)
			}
			if logins, err := bank.List(t.Context(), "1", 10); err != nil || len(logins) != 0 {
				t.Errorf("the bank lists the shop's logins: %v, %v", logins, err)
			}
			if _, _, err := shop.Refresh(t.Context(), pair.Refresh); err != nil {
				t.Errorf("the shop's own: %v", err)
			}
		})
	}
}

// This scheme rejects a signed token of the OAuth 2.0 server with the same keys, because it cannot
// check whether the client is disabled.
func TestTokenOfAClient_attack_361(t *testing.T) {
	w := newWorld(t, jwt.Options{})
	for client, want := range map[any]int{nil: 200, "spa": 401, "": 401, "id-alice": 401} {
		change := map[string]any{"client_id": client, "scope": "read"}
		if client == nil {
			delete(change, "client_id")
		}
		_, err := w.Authenticate(schemetest.With("Bearer " + w.sign(t, jwt.TypeAccess, change)))
		if (err == nil) != (want == 200) || err != nil && !isRefusal(err) {
			t.Errorf("client_id %v: %v, want %d", client, err, want)
		}
	}
}
