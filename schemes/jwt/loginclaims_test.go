package jwt_test

import (
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
)

// What another issuer says about the login of its users counts only as far as an option says. Its classes
// are not those of this application.
func TestLoginClaims(t *testing.T) {
	ring := ringOf(t, jose.ES256)
	at := start().Now().Add(-time.Minute)
	says := claims{"auth_time": at.Unix(), "acr": "gold", "amr": []string{"pwd", "otp"}}
	mapped := map[string]string{"gold": "urn:app:mfa"}
	for name, c := range map[string]struct {
		opts     jwt.VerifierOptions
		change   claims
		accepted bool
		acr      string
		amr      int
		timed    bool
	}{
		"not believed":      {jwt.VerifierOptions{}, says, true, "", 0, false},
		"believed":          {jwt.VerifierOptions{LoginClaims: true}, says, true, "", 2, true},
		"a class":           {jwt.VerifierOptions{LoginClaims: true, ACR: mapped}, says, true, "urn:app:mfa", 2, true},
		"another class":     {jwt.VerifierOptions{LoginClaims: true, ACR: mapped}, claims{"acr": "urn:app:mfa"}, true, "", 0, false},
		"acr is a number":   {jwt.VerifierOptions{LoginClaims: true, ACR: mapped}, claims{"acr": 2}, false, "", 0, false},
		"amr is a string":   {jwt.VerifierOptions{LoginClaims: true}, claims{"amr": "pwd"}, false, "", 0, false},
		"odd, not believed": {jwt.VerifierOptions{}, claims{"acr": 2, "amr": "pwd"}, true, "", 0, false},
		"own issuer":        {jwt.VerifierOptions{OwnIssuer: true}, says, true, "gold", 2, true},
	} {
		t.Run(name, func(t *testing.T) {
			c.opts.Clock = start().Now
			v, err := jwt.NewVerifier(idp, audience, ring, &c.opts)
			schemetest.Must(t, err)
			token := typed(t, ring, "at+jwt", c.change)
			for range 2 { // the second time from the cache
				id, err := v.Authenticate(bearer(token))
				if (err == nil) != c.accepted {
					t.Fatalf("%+v, %v", id, err)
				}
				if id.ACR != c.acr || len(id.AMR) != c.amr || !id.AuthTime.IsZero() != c.timed || c.timed && !id.AuthTime.Equal(at.Truncate(time.Second)) {
					t.Errorf("%q %q %s", id.ACR, id.AMR, id.AuthTime)
				}
			}
		})
	}
	for name, o := range map[string]jwt.VerifierOptions{
		"ACR without LoginClaims": {ACR: mapped},
		"ACR with OwnIssuer":      {ACR: mapped, LoginClaims: true, OwnIssuer: true},
	} {
		if _, err := jwt.NewVerifier(idp, audience, ring, &o); err == nil {
			t.Error(name, "accepted")
		}
	}
}
