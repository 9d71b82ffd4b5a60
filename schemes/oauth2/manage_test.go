package oauth2_test

import (
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/authntest"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
	"net/http"
)

var quiet = slog.New(slog.DiscardHandler)

func TestRevoke(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		w := newWorld(t, s, nil)
		revoke := func(client, token string, pairs ...string) reply {
			return w.post(w.Revoke(), client, append([]string{"token", token}, pairs...)...)
		}
		for _, which := range []string{"access", "refresh"} {
			pair := w.exchange("app", w.code("app", nil))
			text := pair.Access
			if which == "refresh" {
				text = pair.Refresh
			}
			w.take()
			t.Run("attack_175_another_client_"+which, func(t *testing.T) {
				for _, client := range []string{"other", "spa"} {
					if got := revoke(client, text); got.Status != 200 || w.status(pair.Access) != 200 || w.take() != "foreign_revocation" {
						t.Errorf("%d %s", got.Status, got.Body)
					}
				}
			})
			for range 2 { // given back already: 200 too
				if got := revoke("app", text, "token_type_hint", "nonsense"); got.Status != 200 || got.Body != "" {
					t.Errorf("%d %s", got.Status, got.Body)
				}
			}
			if w.status(pair.Access) != 401 || w.refreshes("app", pair.Refresh).Error != "invalid_grant" {
				t.Errorf("by its %s token the grant lives on", which)
			}
		}
		own := w.post(w.Token(), "app", "grant_type", "client_credentials")
		if got := revoke("app", own.Access); got.Status != 200 || w.status(own.Access) != 401 {
			t.Errorf("a client's own: %d", got.Status)
		}
		for _, junk := range []string{"x", "vat_", "vor_x", strings.Repeat("a", 5000), w.secrets["app"]} {
			if got := revoke("app", junk); got.Status != 200 {
				t.Errorf("%.10s: %d", junk, got.Status)
			}
		}
		if got := w.post(w.Revoke(), "app"); got.Status != 400 || got.Error != "invalid_request" {
			t.Errorf("no token: %d %s", got.Status, got.Body)
		}
		t.Run("attack_176_get", func(t *testing.T) {
			r := httptest.NewRequest("GET", issuer+"/r?token=x&callback=f", nil)
			if got := w.send(w.Revoke(), r, ""); got.Status != 405 {
				t.Errorf("%d", got.Status)
			}
		})
		pair := w.exchange("app", w.code("app", nil))
		w.s.fail.Store(true)
		if got := revoke("app", pair.Access); got.Status != 503 {
			t.Errorf("the store is down: %d", got.Status)
		}
		w.s.fail.Store(false)
		if w.status(pair.Access) != 200 {
			t.Error("and something ended")
		}
	})
}

func TestIntrospect(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		w := newWorld(t, s, nil)
		ask := func(client, token string, pairs ...string) reply {
			return w.post(w.Introspect(), client, append([]string{"token", token}, pairs...)...)
		}
		inactive := func(t *testing.T, got reply) {
			t.Helper()
			if got.Status != 200 || strings.TrimSpace(got.Body) != `{"active":false}` {
				t.Errorf("%d %s", got.Status, got.Body)
			}
		}
		here := w.exchange("app", w.code("app", func(c *storage.Code) { c.Resource = []string{"https://api.example"} }))
		files := w.exchange("app", w.code("app", func(c *storage.Code) { c.Resource = []string{"https://files.example"} }))
		unbound := w.exchange("app", w.code("app", nil))
		for _, client := range []string{"app", "api"} {
			got := ask(client, here.Access)
			want := fmt.Sprintf(`{"active":true,"scope":"read","client_id":"app","username":"alice","token_type":"Bearer","exp":%d,"iat":%d,"sub":"id-alice","aud":["https://api.example"],"iss":"https://auth.example","jti":"`,
				w.clock().Unix()+3600, w.clock().Unix())
			if got.Status != 200 || !strings.HasPrefix(got.Body, want) || got.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: %d %s", client, got.Status, got.Body)
			}
		}
		if got := ask("app", here.Refresh); !got.Active {
			t.Errorf("one's own refresh token: %s", got.Body)
		}
		t.Run("attack_171_who_asks", func(t *testing.T) {
			for what, got := range map[string]reply{
				"public": ask("spa", here.Access), "nobody": w.post(w.Introspect(), "nobody", "token", here.Access),
			} {
				if got.Status != 401 || got.Error != "invalid_client" {
					t.Errorf("%s: %d %s", what, got.Status, got.Body)
				}
			}
			inactive(t, ask("other", here.Access))
		})
		t.Run("attack_172_what_is_asked", func(t *testing.T) {
			inactive(t, ask("api", here.Refresh))
			inactive(t, ask("api", files.Access))
			inactive(t, ask("other", unbound.Access))
			if got := ask("api", unbound.Access); !got.Active || !strings.Contains(got.Body, `"aud":["https://api.example"]`) {
				t.Errorf("a token for no resource is for Options.Audience: %s", got.Body)
			}
			if got := ask("api", here.Access, "token_type_hint", "refresh_token"); !got.Active {
				t.Errorf("a wrong hint: %s", got.Body)
			}
		})
		t.Run("attack_173_junk", func(t *testing.T) {
			for _, junk := range []string{"x", "vat_" + strings.Repeat("A", 49), here.Access + "x", strings.Repeat("a", 5000), w.secrets["app"]} {
				inactive(t, ask("app", junk))
			}
		})
		must(t, w.s.SetActive(t.Context(), "id-alice", false))
		inactive(t, ask("app", here.Access))
		inactive(t, ask("app", here.Refresh))
		w.s.fail.Store(true)
		if got := ask("app", here.Access); got.Status != 503 {
			t.Errorf("the store is down: %d", got.Status)
		}
	})
}

func TestScheme(t *testing.T) {
	w := newWorld(t, memory.New(nil), nil)
	pair := w.exchange("app", w.code("app", nil))
	bearer := func(text string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+text) }
	}
	bound := w.exchange("app", w.code("app", func(c *storage.Code) { c.Confirm = "thumbprint" }))
	authntest.Run(t, authntest.Suite{Scheme: w.Server, Good: bearer(pair.Access), Bad: map[string]func(*http.Request){
		"malformed": bearer("vat_x"), "unknown": bearer("vat_" + strings.Repeat("A", 43) + "000000"), "changed": bearer(changed(pair.Access)),
		"attack_185_bound": bearer(bound.Access),
	}})
	w.s.fail.Store(true)
	if got := w.status(pair.Access); got != 503 {
		t.Errorf("the store is down: %d", got)
	}
	w.s.fail.Store(false)
	for _, other := range []string{pair.Refresh, "eyJ.x.y", "vst_x"} {
		if _, err := w.identity(other); err == nil {
			t.Errorf("%.5s: taken", other)
		}
	}
	if got := w.Challenge(nil, authn.NotAuthenticated()); got != "Bearer" {
		t.Errorf("%q", got)
	}
}

func TestNewRefuses(t *testing.T) {
	s := memory.New(nil)
	good := oauth2.Options{Scopes: map[string]string{"read": ""}}
	if _, err := oauth2.New("http://127.0.0.1:8080", s, &good); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"", "auth.example", "http://auth.example", "https://auth.example/", "https://auth.example?x", "https://auth.example#x", "https://u@auth.example", "https://"} {
		if _, err := oauth2.New(bad, s, &good); err == nil {
			t.Errorf("attack_189 issuer %q: taken", bad)
		}
	}
	for what, change := range map[string]func(*oauth2.Options){
		"scope": func(o *oauth2.Options) { o.Scopes = map[string]string{"a b": ""} }, "empty scope": func(o *oauth2.Options) { o.Scopes = map[string]string{"": ""} },
		"code": func(o *oauth2.Options) { o.CodeTTL = time11 }, "access": func(o *oauth2.Options) { o.AccessTTL = -1 }, "grace": func(o *oauth2.Options) { o.Grace = time11 },
		"absolute":            func(o *oauth2.Options) { o.RefreshTTL, o.AbsoluteTTL = 2*time11, time11 },
		"endpoint":            func(o *oauth2.Options) { o.Endpoints.Push = "par" },
		"origins of a domain": func(o *oauth2.Options) { o.Origins = []string{"https://*.example"} },
		"origin with a path":  func(o *oauth2.Options) { o.Origins = []string{"https://page.example/"} }, "origin in capitals": func(o *oauth2.Options) { o.Origins = []string{"https://Page.example"} },
		"null origin": func(o *oauth2.Options) { o.Origins = []string{"null"} },
	} {
		o := good
		change(&o)
		if _, err := oauth2.New(issuer, s, &o); err == nil {
			t.Errorf("%s: taken", what)
		}
	}
	if _, err := oauth2.New(issuer, nil, &good); err == nil {
		t.Error("no store")
	}
	if _, err := oauth2.New(issuer, s, nil); err == nil {
		t.Error("no options")
	}
}

const time11 = 11 * 60 * 1e9

func TestMetadata(t *testing.T) {
	w := newWorld(t, memory.New(nil), func(o *oauth2.Options) { o.Endpoints.Introspect, o.Endpoints.Push = "-", "/par" })
	get := func(h http.Handler, method string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, "https://evil.example/.well-known/x", nil)
		r.Header.Set("X-Forwarded-Host", "evil.example")
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		return rec
	}
	t.Run("attack_189_host", func(t *testing.T) {
		rec := get(w.Metadata(), "GET")
		body := rec.Body.String()
		for _, want := range []string{`"issuer":"https://auth.example"`, `"token_endpoint":"https://auth.example/oauth2/token"`, `"pushed_authorization_request_endpoint":"https://auth.example/par"`,
			`"code_challenge_methods_supported":["S256"]`, `"scopes_supported":["admin","read","write"]`, `"authorization_response_iss_parameter_supported":true`} {
			if !strings.Contains(body, want) {
				t.Errorf("%s is not in %s", want, body)
			}
		}
		if strings.Contains(body, "evil") || strings.Contains(body, "introspection") || rec.Header().Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%v %s", rec.Header(), body)
		}
	})
	if rec := get(w.ResourceMetadata(), "GET"); rec.Body.String() != `{"resource":"https://api.example","authorization_servers":["https://auth.example"],"scopes_supported":["admin","read","write"],"bearer_methods_supported":["header"]}` {
		t.Errorf("%s", rec.Body)
	}
	if rec := get(w.Metadata(), "POST"); rec.Code != 405 {
		t.Errorf("%d", rec.Code)
	}
}
