package jwt_test

import (
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// Tokens without "jti" or "typ" are rejected unless an option accepts them. The blocklist works for
// tokens with another ID claim, or none.
func TestForeignTokensWithoutID(t *testing.T) {
	ring := ringOf(t, jose.ES256)
	uti, none := claims{"jti": nil, "uti": "u1"}, claims{"jti": nil}
	for name, c := range map[string]struct {
		opts     jwt.VerifierOptions
		typ      string
		change   claims
		accepted bool
		id       string
	}{
		"no jti":                       {jwt.VerifierOptions{}, "at+jwt", none, false, ""},
		"no jti, NoID":                 {jwt.VerifierOptions{NoID: true}, "at+jwt", none, true, ""},
		"jti, NoID":                    {jwt.VerifierOptions{NoID: true}, "at+jwt", nil, true, "j"},
		"jti is a number, NoID":        {jwt.VerifierOptions{NoID: true}, "at+jwt", claims{"jti": 7}, false, ""},
		"jti is empty, NoID":           {jwt.VerifierOptions{NoID: true}, "at+jwt", claims{"jti": ""}, false, ""},
		"uti":                          {jwt.VerifierOptions{IDClaim: "uti"}, "at+jwt", uti, true, "u1"},
		"uti named, jti sent":          {jwt.VerifierOptions{IDClaim: "uti"}, "at+jwt", nil, false, ""},
		"uti named, jti sent, NoID":    {jwt.VerifierOptions{IDClaim: "uti", NoID: true}, "at+jwt", nil, true, ""},
		"uti is a list, NoID":          {jwt.VerifierOptions{IDClaim: "uti", NoID: true}, "at+jwt", claims{"uti": []string{"u1"}}, false, ""},
		"no typ":                       {jwt.VerifierOptions{}, "", nil, false, ""},
		"no typ, Untyped":              {jwt.VerifierOptions{Untyped: true}, "", nil, true, "j"},
		"another typ, Untyped":         {jwt.VerifierOptions{Untyped: true}, "JWT", nil, false, ""},
		"no typ, an ID token, Untyped": {jwt.VerifierOptions{Untyped: true}, "", claims{"nonce": "n"}, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c.opts.Clock = start().Now
			v, err := jwt.NewVerifier(idp, audience, ring, &c.opts)
			schemetest.Must(t, err)
			id, err := v.Authenticate(bearer(typed(t, ring, c.typ, c.change)))
			if (err == nil) != c.accepted {
				t.Fatalf("%+v, %v", id, err)
			}
			if err == nil && id.Credential.(*jwt.Access).ID != c.id {
				t.Errorf("the token's ID is %q, want %q", id.Credential.(*jwt.Access).ID, c.id)
			}
		})
	}
	for key, token := range map[storage.BlockKey]string{
		storage.BlockKeyOf(storage.BlockJTI, idp, "u1"):         typed(t, ring, "at+jwt", uti),
		storage.BlockKeyOf(storage.BlockSubject, idp, "user-7"): typed(t, ring, "at+jwt", none),
		storage.BlockKeyOf(storage.BlockSID, idp, "s1"):         typed(t, ring, "at+jwt", claims{"jti": nil, "sid": "s1"}),
	} {
		list := memory.New(nil)
		v, err := jwt.NewVerifier(idp, audience, ring, &jwt.VerifierOptions{IDClaim: "uti", NoID: true, Blocklist: list, Clock: start().Now})
		schemetest.Must(t, err)
		if got := statusOf(v, token); got != 200 {
			t.Errorf("before: %d", got)
		}
		schemetest.Must(t, list.Block(t.Context(), start().Now().Add(time.Hour), key))
		if got := statusOf(v, token); got != 401 {
			t.Errorf("blocked: %d", got)
		}
	}
}
