package jwt_test

import (
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
)

// The token of a first-party client keeps its limit, whatever claim the issuer uses. A claim that
// no option names rejects the token instead of being ignored.
func TestFirstPartyClientLimitedElsewhere_attack_272(t *testing.T) {
	ring := ringOf(t, jose.ES256)
	spa := []string{"app"}
	scp := []string{"notes:read"}
	for name, c := range map[string]struct {
		opts     jwt.VerifierOptions
		change   claims
		accepted bool
		scopes   []string
	}{
		"scope named, scp sent":             {jwt.VerifierOptions{}, claims{"scope": nil, "scp": scp}, false, nil},
		"scope named, both sent":            {jwt.VerifierOptions{}, claims{"scp": scp}, false, nil},
		"scp named, scope sent":             {jwt.VerifierOptions{ScopeClaims: []string{"scp"}}, nil, false, nil},
		"scopes sent":                       {jwt.VerifierOptions{}, claims{"scope": nil, "scopes": scp}, false, nil},
		"authorization_details sent":        {jwt.VerifierOptions{}, claims{"scope": nil, "authorization_details": []claims{{"type": "x"}}}, false, nil},
		"scp null":                          {jwt.VerifierOptions{}, claims{"scope": nil, "scp": jsonNull}, false, nil},
		"a first party too":                 {jwt.VerifierOptions{FirstParty: true}, claims{"scope": nil, "scp": scp}, false, nil},
		"azp named, client_id is another":   {jwt.VerifierOptions{ClientClaims: []string{"azp"}}, claims{"scope": nil, "azp": "app", "client_id": "partner"}, false, nil},
		"azp is another":                    {jwt.VerifierOptions{}, claims{"scope": nil, "azp": "partner"}, false, nil},
		"azp is a list":                     {jwt.VerifierOptions{}, claims{"scope": nil, "azp": []string{"app"}}, false, nil},
		"scopes ignored, azp is another":    {jwt.VerifierOptions{IgnoreFirstPartyScopes: true}, claims{"azp": "partner"}, false, nil},
		"scp with the client's own name":    {jwt.VerifierOptions{}, claims{"scope": nil, "scp": "app"}, false, nil},
		"azp is the same":                   {jwt.VerifierOptions{}, claims{"scope": nil, "azp": "app"}, true, nil},
		"scopes ignored, scp sent":          {jwt.VerifierOptions{IgnoreFirstPartyScopes: true}, claims{"scope": nil, "scp": scp}, true, nil},
		"both named, scp sent":              {jwt.VerifierOptions{ScopeClaims: []string{"scp", "scope"}}, claims{"scope": nil, "scp": scp}, true, scp},
		"neither sent":                      {jwt.VerifierOptions{}, claims{"scope": nil}, true, nil},
		"another client, scp sent (unseen)": {jwt.VerifierOptions{}, claims{"client_id": "partner", "scope": nil, "scp": scp}, true, []string{}},
	} {
		t.Run(name, func(t *testing.T) {
			o := c.opts
			o.FirstPartyClients, o.Roles = spa, []string{"roles"}
			o.Clock = func() time.Time { return time.Unix(1_800_000_000, 0) }
			v, err := jwt.NewVerifier(idp, audience, ring, &o)
			schemetest.Must(t, err)
			id, err := v.Authenticate(bearer(foreign(t, ring, c.change)))
			if (err == nil) != c.accepted {
				t.Fatalf("%+v, %v", id, err)
			}
			if err == nil && (len(id.Scopes) != len(c.scopes) || (id.Scopes == nil) != (c.scopes == nil) || (len(id.Roles) > 0) != (c.scopes == nil)) {
				t.Errorf("scopes %#v, roles %v; want scopes %#v", id.Scopes, id.Roles, c.scopes)
			}
		})
	}
}
