package openid_test

import (
	"net/http/httptest"
	"testing"

	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// The userinfo endpoint is the issuer's: a proof for it names the address that the metadata
// say, also where the API has another origin.
func TestBoundUserinfo(t *testing.T) {
	p := oauthtest.NewProvider(t, memory.New(nil), jose.ES256, func(o *oauthtest.Options) { o.DPoP = &oauthtest.DPoP{} })
	prover := p.NewProver()
	token := prover.Exchange("app", p.Code("app", func(c *storage.Code) { c.Scopes = []string{"openid"} })).Access
	for name, c := range map[string]struct {
		uri    string
		status int
	}{
		"its own":               {oauthtest.Issuer + "/oauth2/userinfo", 200},
		"attack_184_the_api":    {"https://api.example/oauth2/userinfo", 401},
		"attack_184_other_path": {oauthtest.Issuer + "/oauth2/token", 401},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/oauth2/userinfo", nil)
			r.Host = "api.example"
			r.Header.Set("Authorization", "DPoP "+token)
			r.Header.Set("DPoP", prover.Proof("GET", c.uri, map[string]any{"ath": oauthtest.AthOf(token)}))
			rec := httptest.NewRecorder()
			p.UserInfo().ServeHTTP(rec, r)
			if rec.Code != c.status {
				t.Errorf("%d %s", rec.Code, rec.Body)
			}
		})
	}
}
