package consent_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// A parameter without a value is as if it were omitted (RFC 6749 sections 3.1 and 3.2).
func TestEmptyParameters(t *testing.T) {
	oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
		ring, err := keys.NewRing(keys.Generate())
		oauthtest.Must(t, err)
		p := oauthtest.NewProvider(t, s, jose.ES256, func(o *oauthtest.Options) { o.Keys = ring })
		c, err := s.ClientByID(t.Context(), "spa")
		oauthtest.Must(t, err)
		c.Grants = append(c.Grants, oauth2.DeviceCode)
		oauthtest.Must(t, s.UpdateClient(t.Context(), c))
		empty := []string{"client_secret", "", "client_assertion", "", "client_assertion_type", "", "resource", "", "scope", "", "unknown", ""}
		t.Run("edge_B09/token", func(t *testing.T) {
			if got := p.Exchange("spa", p.Code("spa", nil), empty...); got.Status != 200 {
				t.Errorf("a public client: %d %s", got.Status, got.Body)
			}
			if got := p.Exchange("app", p.Code("app", nil), append([]string{"client_id", ""}, empty...)...); got.Status != 200 {
				t.Errorf("by Basic: %d %s", got.Status, got.Body)
			}
			if got := p.Exchange("spa", p.Code("spa", nil), append([]string{"refresh_token", ""}, empty...)...); got.Status != 200 {
				t.Errorf("%d %s", got.Status, got.Body)
			} else if again := p.Refreshes("spa", got.Refresh, empty...); again.Status != 200 || again.Scope != "read" {
				t.Errorf("refresh: %d %s", again.Status, again.Body)
			}
		})
		t.Run("edge_B09/revoke", func(t *testing.T) {
			if got := p.Post(p.Revoke(), "spa", append([]string{"token", "x", "token_type_hint", ""}, empty...)...); got.Status != 200 {
				t.Errorf("%d %s", got.Status, got.Body)
			}
		})
		t.Run("edge_B09/device", func(t *testing.T) {
			if got := p.Post(p.DeviceAuthorization(), "spa", empty...); got.Status != 200 {
				t.Errorf("%d %s", got.Status, got.Body)
			}
		})
		pushed := append([]string{"response_type", "code", "redirect_uri", oauthtest.Redirect, "code_challenge", oauthtest.ChallengeOf(oauthtest.Verifier), "code_challenge_method", "S256", "request", "", "request_uri", "", "prompt", "", "max_age", "", "state", ""}, empty...)
		t.Run("edge_B09/par", func(t *testing.T) {
			if got := p.Post(p.PushedAuthorization(), "spa", pushed...); got.Status != 201 {
				t.Errorf("%d %s", got.Status, got.Body)
			}
		})
		t.Run("edge_B09/authorize", func(t *testing.T) {
			v := oauthtest.Sent(t, p.Authorizes(p.Alice("s1"), "GET", oauthtest.Query("app", "scope", "admin")+"&request=&request_uri=&response_mode=&prompt=&max_age=&id_token_hint=&resource=&dpop_jkt=&nonce=", ""), oauthtest.Redirect)
			if v.Get("error") != "invalid_scope" {
				t.Errorf("%v", v)
			}
			oauthtest.HandleOf(t, p.Authorizes(p.Alice("s1"), "GET", oauthtest.Query("app")+"&request=&request_uri=&response_mode=&prompt=&max_age=&id_token_hint=&resource=&nonce=", ""))
			if rec := p.Authorizes(p.Alice("s1"), "GET", oauthtest.Query("app", "state", "")+"&state=&state=", ""); rec.Code != 400 {
				t.Errorf("doubled, though empty: %d", rec.Code)
			}
		})
		// What is needed is not there by an empty value.
		t.Run("edge_B09/needed", func(t *testing.T) {
			for what, got := range map[string]oauthtest.Reply{
				"secret":     p.Post(p.Token(), "", "grant_type", "client_credentials", "client_id", "other", "client_secret", ""),
				"client":     p.Post(p.Token(), "", "grant_type", "client_credentials", "client_id", ""),
				"by an app":  p.Post(p.Token(), "", "grant_type", "client_credentials", "client_id", "app", "client_secret", ""),
				"two":        p.Post(p.Token(), "spa", "grant_type", "authorization_code", "client_secret", "", "client_secret", ""),
				"no verifer": p.Post(p.Token(), "spa", "grant_type", "authorization_code", "code", p.Code("spa", nil), "redirect_uri", oauthtest.Redirect, "code_verifier", ""),
			} {
				if got.Status != 401 && got.Status != 400 || got.Access != "" {
					t.Errorf("%s: %d %s", what, got.Status, got.Body)
				}
			}
		})
	})
}

// A list of scopes is a set (RFC 6749 section 3.3), and "offline_access" is known to an OpenID
// Provider and grants nothing.
func TestScopeSets(t *testing.T) {
	oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
		ring, err := keys.NewRing(keys.Generate())
		oauthtest.Must(t, err)
		p := oauthtest.NewProvider(t, s, jose.ES256, func(o *oauthtest.Options) { o.Keys = ring })
		alice := p.Alice("s1")
		walk := func(t *testing.T, scope string) oauthtest.Reply {
			t.Helper()
			rec := p.Authorizes(alice, "POST", "", "decision=allow&handle="+oauthtest.HandleOf(t, p.Authorizes(alice, "GET", oauthtest.Query("app", "scope", scope), "")))
			return p.Exchange("app", oauthtest.Sent(t, rec, oauthtest.Redirect).Get("code"))
		}
		for scope, want := range map[string]string{
			"read read": "read", "read  write": "read write", " read": "read", "write   read write ": "write read", "read offline_access": "read", "offline_access read offline_access": "read",
			"openid offline_access": "openid", "offline_access": "",
		} {
			t.Run("edge_B09/"+scope, func(t *testing.T) {
				got := walk(t, scope)
				if got.Status != 200 || got.Scope != want {
					t.Errorf("granted %q, want %q: %s", got.Scope, want, got.Body)
				}
				if got := p.Post(p.Token(), "app", "grant_type", "client_credentials", "scope", scope); !strings.Contains(scope, "openid") && (got.Status != 200 || got.Scope != want) {
					t.Errorf("for itself: %d %q", got.Status, got.Scope)
				}
			})
		}
		for _, scope := range []string{" ", "read\twrite", "read\nwrite", "admin", "read admin offline_access", "OFFLINE_ACCESS", "offline_access\t"} {
			t.Run("edge_B09/refused "+scope, func(t *testing.T) {
				if v := oauthtest.Sent(t, p.Authorizes(alice, "GET", oauthtest.Query("app", "scope", scope), ""), oauthtest.Redirect); v.Get("error") != "invalid_scope" {
					t.Errorf("%v", v)
				}
			})
		}
		t.Run("edge_B09/refresh", func(t *testing.T) {
			got := walk(t, "read write")
			again := p.Refreshes("app", got.Refresh, "scope", "read  read offline_access")
			if again.Status != 200 || again.Scope != "read" {
				t.Errorf("%d %s", again.Status, again.Body)
			}
			if last := p.Refreshes("app", again.Refresh, "scope", "offline_access"); last.Status != 200 || last.Scope != "" {
				t.Errorf("%d %s", last.Status, last.Body)
			}
		})
		t.Run("edge_B09/the consent does not show it", func(t *testing.T) {
			if rec := p.Authorizes(alice, "GET", oauthtest.Query("app", "scope", "read offline_access"), ""); strings.Contains(rec.Body.String(), "offline") {
				t.Errorf("%s", rec.Body)
			}
		})
		documents := func(w *oauthtest.World) (of, resource []string) {
			for list, h := range map[*[]string]http.Handler{&of: w.Metadata(), &resource: w.ResourceMetadata()} {
				rec := httptest.NewRecorder()
				h.ServeHTTP(rec, httptest.NewRequest("GET", "/", nil))
				var m struct {
					Scopes []string `json:"scopes_supported"`
				}
				oauthtest.Must(t, json.Unmarshal(rec.Body.Bytes(), &m))
				*list = m.Scopes
			}
			return of, resource
		}
		t.Run("edge_B09/documents", func(t *testing.T) {
			if of, resource := documents(p.World); !slices.Contains(of, "offline_access") || slices.Contains(resource, "offline_access") || !slices.Contains(resource, "read") {
				t.Errorf("%v, %v", of, resource)
			}
		})
	})
	t.Run("edge_B09/without OpenID", func(t *testing.T) {
		w := oauthtest.NewWorld(t, memory.New(nil), oauthtest.WithSessions)
		if v := oauthtest.Sent(t, w.Authorizes(w.Alice("s1"), "GET", oauthtest.Query("app", "scope", "read offline_access"), ""), oauthtest.Redirect); v.Get("error") != "invalid_scope" {
			t.Errorf("%v", v)
		}
		rec := httptest.NewRecorder()
		w.Metadata().ServeHTTP(rec, httptest.NewRequest("GET", "/", nil))
		if strings.Contains(rec.Body.String(), "offline_access") {
			t.Error(rec.Body)
		}
	})
	t.Run("edge_B09/an application's own", func(t *testing.T) {
		p := oauthtest.NewProvider(t, memory.New(nil), jose.ES256, func(o *oauthtest.Options) { o.Scopes["offline_access"] = "Read your mail at night" })
		if v := oauthtest.Sent(t, p.Authorizes(p.Alice("s1"), "GET", oauthtest.Query("app", "scope", "read offline_access"), ""), oauthtest.Redirect); v.Get("error") != "invalid_scope" {
			t.Errorf("a client that may not: %v", v)
		}
		c, err := p.DB.ClientByID(t.Context(), "app")
		oauthtest.Must(t, err)
		c.Scopes = append(c.Scopes, "offline_access")
		oauthtest.Must(t, p.DB.UpdateClient(t.Context(), c))
		if rec := p.Authorizes(p.Alice("s1"), "GET", oauthtest.Query("app", "scope", "read offline_access"), ""); !strings.Contains(rec.Body.String(), "Read your mail at night") {
			t.Errorf("%s", rec.Body)
		}
	})
}

// A client that tried Authorization gets a challenge (RFC 6749 section 5.2), but no browser
// opens its dialogue.
func TestClientChallenges(t *testing.T) {
	ring, err := keys.NewRing(keys.Generate())
	oauthtest.Must(t, err)
	w := oauthtest.NewWorld(t, memory.New(nil), func(o *oauthtest.Options) { o.Keys = ring })
	encode := func(text string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(text)) }
	headers := map[string]string{
		"wrong": encode("app:wrong"), "unknown": encode("nobody:x"), "no colon": encode("app"), "no base64": "Basic !!!", "nothing": "Basic", "blank": "Basic ", "no UTF-8": encode("app:\xff"),
		"escape": encode("app:%zz"), "no id": encode(":x"), "NUL": encode("app:%00"), "two words": encode("app:x") + " y", "URL alphabet": "Basic _-8=", "another kind": "Bearer x", "unpadded": "Basic YXBwOg",
	}
	for name, h := range map[string]http.Handler{"token": w.Token(), "revoke": w.Revoke(), "introspect": w.Introspect(), "par": w.PushedAuthorization(), "device": w.DeviceAuthorization()} {
		for what, header := range headers {
			t.Run("edge_B09/"+name+"/"+what, func(t *testing.T) {
				send := func(more ...string) oauthtest.Reply {
					r := httptest.NewRequest("POST", oauthtest.Issuer+"/x", strings.NewReader(url.Values{"grant_type": {"client_credentials"}, "token": {"x"}}.Encode()))
					r.Header.Set("Authorization", header)
					for i := 0; i < len(more); i += 2 {
						r.Header.Set(more[i], more[i+1])
					}
					return w.Send(h, r, "grant_type=client_credentials&token=x")
				}
				got := send()
				if got.Status != 401 || got.Error != "invalid_client" || got.Header.Get("WWW-Authenticate") != `Basic realm="`+oauthtest.Issuer+`"` {
					t.Errorf("%d %s %q", got.Status, got.Body, got.Header.Get("WWW-Authenticate"))
				}
				for _, browser := range []string{"Sec-Fetch-Mode", "Sec-Fetch-Site", "X-Requested-With"} {
					if got := send(browser, "cors"); got.Status != 401 || got.Header.Get("WWW-Authenticate") != "" {
						t.Errorf("%s: %d %q", browser, got.Status, got.Header.Get("WWW-Authenticate"))
					}
				}
			})
		}
	}
}
