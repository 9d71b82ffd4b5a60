package oauth2_test

import (
	"net/http/httptest"
	"testing"

	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// The userinfo endpoint is the issuer's: a proof for it names the address that the metadata
// say, also where the API has another origin.
func TestBoundUserinfo(t *testing.T) {
	p := newProvider(t, memory.New(nil), jose.ES256, func(o *oauth2.Options) { o.DPoP = &oauth2.DPoP{} })
	prover := p.prover()
	token := prover.exchange("app", p.code("app", func(c *storage.Code) { c.Scopes = []string{"openid"} })).Access
	for name, c := range map[string]struct {
		uri    string
		status int
	}{
		"its own":               {issuer + "/oauth2/userinfo", 200},
		"attack_184_the_api":    {"https://api.example/oauth2/userinfo", 401},
		"attack_184_other_path": {issuer + "/oauth2/token", 401},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/oauth2/userinfo", nil)
			r.Host = "api.example"
			r.Header.Set("Authorization", "DPoP "+token)
			r.Header.Set("DPoP", prover.proof("GET", c.uri, map[string]any{"ath": athOf(token)}))
			rec := httptest.NewRecorder()
			p.Userinfo().ServeHTTP(rec, r)
			if rec.Code != c.status {
				t.Errorf("%d %s", rec.Code, rec.Body)
			}
		})
	}
}
