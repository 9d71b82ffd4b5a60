package issuers_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"maps"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/schemes/jwt/issuers"
)

// An application of one's own obtained a token for itself. Its issuer does not mark such tokens, so
// only what users' tokens have tells them apart.
func TestUnmarkedMachines_attack_493(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	oauthtest.Must(t, err)
	ring := oauthtest.RingOf(t, "k", jose.RS256, key)
	now := time.Now().Unix()
	entraClaims := map[string]any{"iss": "https://login.microsoftonline.com/" + tenant + "/v2.0", "aud": api, "azp": "own", "sub": "s", "oid": "principal", "tid": tenant, "ver": "2.0", "uti": "u"}
	for _, x := range []struct {
		name          string
		preset        issuers.Preset
		claims, human map[string]any // human is what the token of a user has, too; nil removes a claim
	}{
		{"entra", issuers.EntraID(tenant, api), entraClaims, map[string]any{"scp": "read"}},
		{"entra of several tenants", issuers.EntraIDTenants(api, tenant), entraClaims, map[string]any{"scp": "read"}},
		{"auth0", issuers.Auth0("acme.eu.auth0.com", "https://api.acme.example"),
			map[string]any{"iss": "https://acme.eu.auth0.com/", "aud": "https://api.acme.example", "sub": "own@clients", "client_id": "own", "jti": "j"}, map[string]any{"sub": "auth0|1"}},
		{"keycloak", issuers.Keycloak("https://sso.acme.example", "acme", "orders"),
			map[string]any{"iss": "https://sso.acme.example/realms/acme", "aud": "orders", "typ": "Bearer", "azp": "own", "sub": "service account", "jti": "j"}, map[string]any{"sid": "s"}},
	} {
		t.Run(x.name, func(t *testing.T) {
			p := x.preset
			p.Options.FirstPartyClients, p.Options.IgnoreFirstPartyScopes = []string{"own"}, true
			p.Options.Roles = []string{"roles"}
			v, err := p.Verifier(ring)
			oauthtest.Must(t, err)
			for _, human := range []bool{false, true} {
				claims := map[string]any{"roles": []string{"Admin"}, "iat": now, "exp": now + 600}
				maps.Copy(claims, x.claims)
				if human {
					maps.Copy(claims, x.human)
				}
				body, err := json.Marshal(claims)
				oauthtest.Must(t, err)
				token, err := ring.Sign(t.Context(), "JWT", body)
				oauthtest.Must(t, err)
				r := httptest.NewRequest("GET", "/", nil)
				r.Header.Set("Authorization", "Bearer "+token)
				id, err := v.Authenticate(r)
				oauthtest.Must(t, err)
				if full := id.Client == "" && id.Scopes == nil && len(id.Roles) == 1; full != human {
					t.Errorf("user %t: client %q, scopes %q (nil %t), roles %q", human, id.Client, id.Scopes, id.Scopes == nil, id.Roles)
				}
			}
		})
	}
}
