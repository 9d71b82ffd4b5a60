package authn_test

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
)

// The guide for TLS names the header that the server sends by default, and how to leave it to the
// proxy. An operator who reads otherwise pins a host for a year, or sends the header twice.
func TestGuideOfHSTS(t *testing.T) {
	t.Run("attack_446", func(t *testing.T) {
		sent := func(opts *authn.TLSOptions) []string {
			r := httptest.NewRequest("GET", "/", nil)
			r.TLS = new(tls.ConnectionState)
			w := httptest.NewRecorder()
			authn.RequireTLS(opts)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(w, r)
			return w.Header()["Strict-Transport-Security"]
		}
		text, err := os.ReadFile("../docs/production/tls.md")
		if err != nil {
			t.Fatal(err)
		}
		_, section, found := strings.Cut(string(text), "\n## HSTS\n")
		section, _, _ = strings.Cut(section, "\n## ")
		header := sent(nil)
		if !found || len(header) != 1 || !strings.Contains(section, "\nStrict-Transport-Security: "+header[0]+"\n") {
			t.Errorf("the guide does not name the header that is sent, %q", header)
		}
		if len(sent(&authn.TLSOptions{MaxAge: -1})) != 0 || !strings.Contains(section, "negative `MaxAge`") {
			t.Error("the guide does not say how to leave the header to the proxy")
		}
		if strings.Contains(section, "add_header") {
			t.Error("the guide sets the header a second time, in the proxy")
		}
	})
}
