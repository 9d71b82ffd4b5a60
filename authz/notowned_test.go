package authz_test

import (
	"net/http/httptest"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authz"
)

// "Everyone but the author may vote" does not allow callers without an account here.
func TestNotOwnedBy_attack_348(t *testing.T) {
	type post struct{ owner string }
	owned := authz.OwnedBy(func(p post) string { return p.owner })
	for name, x := range map[string]struct {
		id   authn.Identity
		want bool
	}{
		"anonymous":                {authn.Identity{}, false},
		"a client without a user":  {authn.Identity{Client: "c", Scopes: []string{}}, false},
		"a user of another issuer": {authn.Identity{Subject: "2", Issuer: "https://other.example"}, false},
		"the owner":                {authn.Identity{Subject: "1"}, false},
		"another user":             {authn.Identity{Subject: "2"}, true},
		"another user's client":    {authn.Identity{Subject: "2", Client: "c", Scopes: []string{}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest("POST", "/", nil)
			r = r.WithContext(authn.WithIdentity(r.Context(), x.id))
			for what, p := range map[string]authz.Permission{
				"Not":        authz.Not(owned),
				"Not of Or":  authz.Not(authz.Or(owned, authz.HasRole("banned"))),
				"Not of And": authz.Not(authz.And(owned, authz.AllowAny)),
			} {
				if x.id.Client != "" && x.want && what == "Not of Or" {
					continue // HasRole does not look at a delegated identity
				}
				if err := authz.Require(p).CheckObject(r, post{"1"}); (err == nil) != x.want {
					t.Errorf("%s: %v", what, err)
				}
			}
		})
	}
}
