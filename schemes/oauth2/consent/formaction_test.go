package consent_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/authn/authntest"
	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// Browsers apply form-action to every redirect after a form, and those of a client lead anywhere:
// pages with a form have none. What it does in a browser is tested in internal/interop.
func TestFormAction(t *testing.T) {
	ring, err := keys.NewRing(keys.Generate())
	oauthtest.Must(t, err)
	p := oauthtest.NewProvider(t, memory.New(nil), jose.ES256, func(o *oauthtest.Options) { o.Keys = ring })
	alice := p.Alice("s1")
	for name, rec := range map[string]*httptest.ResponseRecorder{
		"consent": p.Authorizes(alice, "GET", oauthtest.Query("app"), ""),
		"logout":  p.LogsOut("s1", "client_id=app&post_logout_redirect_uri=https%3A%2F%2Fapp.example%2Fbye", ""),
		"device": func() *httptest.ResponseRecorder {
			rec := httptest.NewRecorder()
			p.Device("/login").ServeHTTP(rec, authntest.As(httptest.NewRequest("GET", "/oauth2/device", nil), *alice))
			return rec
		}(),
		"applications": func() *httptest.ResponseRecorder {
			rec := httptest.NewRecorder()
			p.GrantsPage("/login").ServeHTTP(rec, authntest.As(httptest.NewRequest("GET", "/oauth2/applications", nil), *alice))
			return rec
		}(),
	} {
		t.Run("edge_B05/"+name, func(t *testing.T) {
			csp := rec.Header().Get("Content-Security-Policy")
			if rec.Code != 200 || strings.Contains(csp, "form-action") || !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "frame-ancestors 'none'") || !strings.Contains(csp, "base-uri 'none'") {
				t.Errorf("%d %s", rec.Code, csp)
			}
		})
	}
	for name, rec := range map[string]*httptest.ResponseRecorder{"error": p.Authorizes(alice, "GET", "client_id=nobody", ""), "message": p.LogsOut("", "", "")} {
		t.Run("edge_B05/"+name, func(t *testing.T) {
			if csp := rec.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "form-action 'none'") || rec.Header().Get("Referrer-Policy") != "no-referrer" {
				t.Errorf("%v", rec.Header())
			}
		})
	}
}
