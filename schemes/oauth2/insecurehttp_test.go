package oauth2_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/introspect"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// Between containers in development an issuer has plain http: by an option whose name says what it
// is, and not without.
func TestInsecureHTTP(t *testing.T) {
	const container = "http://auth:8080"
	ring, err := keys.NewRing(bytes.Repeat([]byte("0123456789abcdef"), 2))
	oauthtest.Must(t, err)
	for name, x := range map[string]struct {
		issuer          string
		plain, insecure bool // taken
	}{
		"a container":        {container, false, true},
		"a path":             {container + "/auth", false, true},
		"loopback":           {"http://127.0.0.1:8080", true, true},
		"https":              {"https://auth.example", true, true},
		"a slash at the end": {container + "/", false, false},
		"a user":             {"http://u:p@auth:8080", false, false},
		"no host":            {"http://", false, false},
		"another scheme":     {"ftp://auth", false, false},
		"a query":            {container + "?x", false, false},
	} {
		t.Run("edge_C12/server/"+name, func(t *testing.T) {
			for insecure, want := range map[bool]bool{false: x.plain, true: x.insecure} {
				s, err := oauthtest.New(x.issuer, memory.New(nil), &oauthtest.Options{Scopes: map[string]string{"read": ""}, InsecureHTTP: insecure, DPoP: &oauthtest.DPoP{Nonces: ring}})
				if (err == nil) != want {
					t.Errorf("InsecureHTTP %t: %v", insecure, err)
				}
				if err != nil && strings.HasPrefix(x.issuer, container) && name == "a container" && !strings.Contains(err.Error(), "InsecureHTTP") {
					t.Errorf("the error does not name the option: %v", err)
				}
				if err == nil {
					w := httptest.NewRecorder()
					s.Metadata().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/.well-known/oauth-authorization-server", nil))
					if !strings.Contains(w.Body.String(), `"issuer":"`+x.issuer+`"`) {
						t.Errorf("metadata: %s", w.Body)
					}
				}
			}
		})
		t.Run("edge_C12/introspector/"+name, func(t *testing.T) {
			if name == "a slash at the end" {
				return // is a path there
			}
			for insecure, want := range map[bool]bool{false: x.plain, true: x.insecure} {
				_, err := introspect.New(container, x.issuer, "https://api.example", introspect.ClientCredentials{ID: "api", Secret: "s"}, &introspect.Options{InsecureHTTP: insecure})
				if (err == nil) != want {
					t.Errorf("InsecureHTTP %t: %v", insecure, err)
				}
			}
		})
	}
}
