package consent_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// With AllowLocalhostPorts a native client receives codes on any port of localhost, never without
// PKCE or a question.
func TestLocalhostPorts(t *testing.T) {
	const registered, other = "http://localhost/cb", "http://localhost:5813/cb"
	for _, allowed := range []bool{false, true} {
		w := oauthtest.NewWorld(t, memory.New(nil), func(o *oauthtest.Options) {
			oauthtest.WithSessions(o)
			o.AllowLocalhostPorts, o.RememberConsent, o.InsecureOptionalPKCE = allowed, time.Hour, true
		})
		secret, digest, err := oauth2.NewSecret()
		oauthtest.Must(t, err)
		for _, c := range []storage.Client{{ID: "public", Method: oauth2.None}, {ID: "confidential", Method: oauth2.SecretPost, Secret: digest, Trusted: true}, {ID: "web", Method: oauth2.None}} {
			c.Native, c.RedirectURIs, c.Grants, c.Scopes = c.ID != "web", []string{registered}, []string{oauth2.AuthorizationCode}, []string{"read"}
			oauthtest.Must(t, oauth2.CheckClient(c))
			oauthtest.Must(t, w.DB.CreateClient(t.Context(), c))
			q := oauthtest.Query(c.ID, "redirect_uri", other, "scope", "read")
			rec := w.Authorizes(w.Alice("s1"), "GET", q, "")
			if !allowed || !c.Native {
				if rec.Code != 400 || rec.Header().Get("Location") != "" {
					t.Errorf("%s, allowed %t: %d %v", c.ID, allowed, rec.Code, rec.Header())
				}
				continue
			}
			if !strings.Contains(rec.Body.String(), "a program on this device: localhost:5813") {
				t.Errorf("%s: the page does not say what asks: %s", c.ID, rec.Body)
			}
			v := oauthtest.Sent(t, w.Authorizes(w.Alice("s1"), "POST", "", "decision=allow&handle="+url.QueryEscape(oauthtest.HandleOf(t, rec))), other)
			pairs := []string{"grant_type", "authorization_code", "client_id", c.ID, "code", v.Get("code"), "redirect_uri", other, "code_verifier", oauthtest.Verifier}
			if !c.Public() {
				pairs = append(pairs, "client_secret", secret)
			}
			if got := w.Post(w.Token(), "none", pairs...); got.Status != 200 {
				t.Errorf("%s: %d %s", c.ID, got.Status, got.Body)
			}
			if !w.Asks(w.Alice("s1"), q) {
				t.Errorf("%s: the consent is remembered", c.ID)
			}
			v = oauthtest.Sent(t, w.Authorizes(w.Alice("s1"), "GET", oauthtest.Query(c.ID, "redirect_uri", other, "scope", "read", "code_challenge", "", "code_challenge_method", ""), ""), other)
			if v.Get("error") != "invalid_request" {
				t.Errorf("%s without PKCE: %v", c.ID, v)
			}
		}
	}
}

// The page says that a program on the device asks, whatever host a private scheme has.
func TestPrivateSchemeWithHost(t *testing.T) {
	w := oauthtest.NewWorld(t, memory.New(nil), oauthtest.WithSessions)
	const redirect = "com.example.app://bank.example/cb"
	c := storage.Client{ID: "native", Method: oauth2.None, Native: true, RedirectURIs: []string{redirect}, Grants: []string{oauth2.AuthorizationCode}, Scopes: []string{"read"}}
	oauthtest.Must(t, oauth2.CheckClient(c))
	oauthtest.Must(t, w.DB.CreateClient(t.Context(), c))
	rec := w.Authorizes(w.Alice("s1"), "GET", oauthtest.Query("native", "redirect_uri", redirect, "scope", "read"), "")
	if body := rec.Body.String(); !strings.Contains(body, "a program on this device: com.example.app") || strings.Contains(body, "bank.example") {
		t.Errorf("%s", body)
	}
	oauthtest.Sent(t, w.Authorizes(w.Alice("s1"), "POST", "", "decision=allow&handle="+url.QueryEscape(oauthtest.HandleOf(t, rec))), redirect)
}
