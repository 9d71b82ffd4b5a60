package server_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

func corsWorld(t *testing.T, origins ...string) *oauthtest.Provider {
	t.Helper()
	ring, err := keys.NewRing(keys.Generate())
	oauthtest.Must(t, err)
	return oauthtest.NewProvider(t, memory.New(nil), jose.ES256, func(o *oauthtest.Options) {
		o.Origins, o.Keys = origins, ring
		o.Registration = &oauthtest.Registration{Allow: func(*http.Request) error { return authn.Throttled(0) }}
	})
}

func from(h http.Handler, method, origin string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "/", nil)
	if origin != "" {
		r.Header.Set("Origin", origin)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	return rec
}

// allows reports whether a browser would find all of want in a list of the answer.
func allows(rec *httptest.ResponseRecorder, name string, want ...string) bool {
	var list []string
	for one := range strings.SplitSeq(rec.Header().Get(name), ",") {
		list = append(list, strings.ToLower(strings.TrimSpace(one)))
	}
	return !slices.ContainsFunc(want, func(one string) bool { return !slices.Contains(list, strings.ToLower(one)) })
}

// Scripts of other origins may call the endpoints of clients where Origins says so, read the
// documents from anywhere, and reach the pages for people from nowhere.
func TestOrigins(t *testing.T) {
	const page = "https://page.example"
	w := corsWorld(t, page)
	endpoints := map[string]http.Handler{
		"token": w.Token(), "revoke": w.Revoke(), "par": w.PushedAuthorization(), "device_authorization": w.DeviceAuthorization(), "register": w.Register(), "registered": w.ClientConfiguration(), "userinfo": w.UserInfo(),
	}
	never := map[string]http.Handler{
		"authorize": w.Authorize("/login"), "logout": w.Logout(), "device": w.Device("/login"), "applications": w.GrantsPage("/login"), "grants": w.Grants(), "introspect": w.Introspect(),
	}
	documents := map[string]http.Handler{"metadata": w.Metadata(), "resource": w.ResourceMetadata(), "jwks": w.JWKS()}
	asked := []string{"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization,content-type,dpop,mcp-protocol-version"}
	for name, h := range endpoints {
		t.Run("edge_B04/"+name, func(t *testing.T) {
			for _, origin := range []string{page, "https://page.example:444", "http://page.example", "https://PAGE.example", "null", ""} {
				rec := from(h, "OPTIONS", origin, asked...)
				allowed := origin == page
				if got := rec.Header().Get("Access-Control-Allow-Origin"); allowed != (rec.Code == 204) || allowed != (got == page) || !allowed && got != "" || !allows(rec, "Vary", "Origin") {
					t.Errorf("from %q: %d %v", origin, rec.Code, rec.Header())
				}
				if allowed && !allows(rec, "Access-Control-Allow-Headers", "Authorization", "Content-Type", "Accept", "DPoP", "MCP-Protocol-Version") {
					t.Errorf("from %q: %v", origin, rec.Header())
				}
				// An error can be read too.
				rec = from(h, "POST", origin)
				if got := rec.Header().Get("Access-Control-Allow-Origin"); rec.Code < 400 || allowed != (got == page) ||
					allowed != allows(rec, "Access-Control-Expose-Headers", "WWW-Authenticate", "DPoP-Nonce", "Retry-After") {
					t.Errorf("an error, from %q: %d %v", origin, rec.Code, rec.Header())
				}
				if rec.Header().Get("Access-Control-Allow-Credentials") != "" {
					t.Errorf("from %q: with credentials", origin)
				}
			}
			if rec := from(h, "OPTIONS", page, append(slices.Clone(asked), "Origin", "https://evil.example")...); rec.Header().Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("two origins: %v", rec.Header())
			}
		})
	}
	if rec := from(w.ClientConfiguration(), "OPTIONS", page, "Access-Control-Request-Method", "DELETE"); !allows(rec, "Access-Control-Allow-Methods", "GET", "PUT", "DELETE") {
		t.Errorf("%v", rec.Header())
	}
	for name, h := range never {
		t.Run("edge_B04/never/"+name, func(t *testing.T) {
			for _, method := range []string{"OPTIONS", "GET", "POST"} {
				rec := from(h, method, page, "Access-Control-Request-Method", "POST")
				for header := range rec.Header() {
					if strings.HasPrefix(header, "Access-Control-") {
						t.Errorf("%s: %v", method, rec.Header())
					}
				}
			}
		})
	}
	for name, h := range documents {
		t.Run("edge_B04/"+name, func(t *testing.T) {
			for _, origin := range []string{page, "https://anybody.example", "null", ""} {
				for _, method := range []string{"GET", "HEAD", "OPTIONS"} {
					want := 200
					if method == "OPTIONS" {
						want = 204
					}
					rec := from(h, method, origin, "Access-Control-Request-Method", "GET", "Access-Control-Request-Headers", "mcp-protocol-version")
					if rec.Code != want || rec.Header().Get("Access-Control-Allow-Origin") != "*" || rec.Header().Get("Access-Control-Allow-Credentials") != "" {
						t.Errorf("%s from %q: %d %v", method, origin, rec.Code, rec.Header())
					}
					if method == "OPTIONS" && !allows(rec, "Access-Control-Allow-Headers", "MCP-Protocol-Version", "Mcp-Method", "Mcp-Name", "Content-Type", "Accept") {
						t.Errorf("%v", rec.Header())
					}
				}
				if rec := from(h, "POST", origin); rec.Code != 405 || rec.Header().Get("Access-Control-Allow-Origin") != "*" || !allows(rec, "Allow", "GET", "HEAD", "OPTIONS") {
					t.Errorf("POST: %d %v", rec.Code, rec.Header())
				}
			}
		})
	}
	t.Run("edge_B04/keys down", func(t *testing.T) {
		w.Keys.Down = true
		defer func() { w.Keys.Down = false }()
		if rec := from(w.JWKS(), "GET", page); rec.Code != 503 || rec.Header().Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%d %v", rec.Code, rec.Header())
		}
	})
	t.Run("edge_B04/every origin", func(t *testing.T) {
		w := corsWorld(t, "*")
		for _, origin := range []string{page, "null"} {
			rec := from(w.Token(), "OPTIONS", origin, asked...)
			if rec.Code != 204 || rec.Header().Get("Access-Control-Allow-Origin") != "*" || rec.Header().Get("Access-Control-Allow-Credentials") != "" {
				t.Errorf("%d %v", rec.Code, rec.Header())
			}
		}
		if rec := from(w.Authorize("/login"), "OPTIONS", page, asked...); rec.Code == 204 || rec.Header().Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%d %v", rec.Code, rec.Header())
		}
	})
	t.Run("no origins", func(t *testing.T) {
		if rec := from(corsWorld(t).Token(), "OPTIONS", page, asked...); rec.Code != 405 || rec.Header().Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%d %v", rec.Code, rec.Header())
		}
	})
}
