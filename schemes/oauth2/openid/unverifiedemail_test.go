package openid_test

import (
	"testing"

	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/storage"
)

// The store keeps an address that anybody typed, so the default claims do not let a client take it for one
// that was verified.
func TestUnverifiedEmail_attack_392(t *testing.T) {
	oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
		p := oauthtest.NewProvider(t, s, jose.ES256, func(o *oauthtest.Options) { o.OpenID.Claims = nil })
		oauthtest.Must(t, s.CreateUser(t.Context(), storage.User{ID: "id-mallory", Name: "mallory", Email: "boss@example.com", Active: true}))
		got := p.Exchange("app", p.Code("app", func(c *storage.Code) { c.Subject, c.Scopes = "id-mallory", []string{"openid", "email"} }))
		claims := p.ClaimsOf(oauthtest.IdTokenOf(got), "JWT")
		if verified, there := claims["email_verified"]; claims["email"] != "boss@example.com" || !there || verified != false {
			t.Errorf("%v", claims)
		}
	})
}
