package server_test

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"net/http"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/server"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

func TestRevoke(t *testing.T) {
	oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
		w := oauthtest.NewWorld(t, s, nil)
		revoke := func(client, token string, pairs ...string) oauthtest.Reply {
			return w.Post(w.Revoke(), client, append([]string{"token", token}, pairs...)...)
		}
		for _, which := range []string{"access", "refresh"} {
			pair := w.Exchange("app", w.Code("app", nil))
			text := pair.Access
			if which == "refresh" {
				text = pair.Refresh
			}
			w.Take()
			t.Run("attack_175_another_client_"+which, func(t *testing.T) {
				for _, client := range []string{"other", "spa"} {
					if got := revoke(client, text); got.Status != 200 || w.Status(pair.Access) != 200 || w.Take() != "credential.rejected" {
						t.Errorf("%d %s", got.Status, got.Body)
					}
				}
			})
			for range 2 { // given back already: 200 too
				if got := revoke("app", text, "token_type_hint", "nonsense"); got.Status != 200 || got.Body != "" {
					t.Errorf("%d %s", got.Status, got.Body)
				}
			}
			if w.Status(pair.Access) != 401 || w.Refreshes("app", pair.Refresh).Error != "invalid_grant" {
				t.Errorf("by its %s token the grant lives on", which)
			}
		}
		own := w.Post(w.Token(), "app", "grant_type", "client_credentials")
		if got := revoke("app", own.Access); got.Status != 200 || w.Status(own.Access) != 401 {
			t.Errorf("a client's own: %d", got.Status)
		}
		for _, junk := range []string{"x", "vat_", "vor_x", strings.Repeat("a", 5000), w.Secrets["app"]} {
			if got := revoke("app", junk); got.Status != 200 {
				t.Errorf("%.10s: %d", junk, got.Status)
			}
		}
		if got := w.Post(w.Revoke(), "app"); got.Status != 400 || got.Error != "invalid_request" {
			t.Errorf("no token: %d %s", got.Status, got.Body)
		}
		t.Run("attack_176_get", func(t *testing.T) {
			r := httptest.NewRequest("GET", oauthtest.Issuer+"/r?token=x&callback=f", nil)
			if got := w.Send(w.Revoke(), r, ""); got.Status != 405 {
				t.Errorf("%d", got.Status)
			}
		})
		pair := w.Exchange("app", w.Code("app", nil))
		w.DB.Fail.Store(true)
		if got := revoke("app", pair.Access); got.Status != 503 {
			t.Errorf("the store is down: %d", got.Status)
		}
		w.DB.Fail.Store(false)
		if w.Status(pair.Access) != 200 {
			t.Error("and something ended")
		}
	})
}

func TestIntrospect(t *testing.T) {
	oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
		w := oauthtest.NewWorld(t, s, nil)
		ask := func(client, token string, pairs ...string) oauthtest.Reply {
			return w.Post(w.Introspect(), client, append([]string{"token", token}, pairs...)...)
		}
		inactive := func(t *testing.T, got oauthtest.Reply) {
			t.Helper()
			if got.Status != 200 || strings.TrimSpace(got.Body) != `{"active":false}` {
				t.Errorf("%d %s", got.Status, got.Body)
			}
		}
		here := w.Exchange("app", w.Code("app", func(c *storage.Code) { c.Resource = []string{"https://api.example"} }))
		files := w.Exchange("app", w.Code("app", func(c *storage.Code) { c.Resource = []string{"https://files.example"} }))
		unbound := w.Exchange("app", w.Code("app", nil))
		for _, client := range []string{"app", "api"} {
			got := ask(client, here.Access)
			want := fmt.Sprintf(`{"active":true,"scope":"read","client_id":"app","username":"alice","token_type":"Bearer","exp":%d,"iat":%d,"sub":"id-alice","aud":["https://api.example"],"iss":"https://auth.example","jti":"`,
				w.Clock().Unix()+3600, w.Clock().Unix())
			if got.Status != 200 || !strings.HasPrefix(got.Body, want) || got.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: %d %s", client, got.Status, got.Body)
			}
		}
		if got := ask("app", here.Refresh); !got.Active {
			t.Errorf("one's own refresh token: %s", got.Body)
		}
		t.Run("attack_171_who_asks", func(t *testing.T) {
			for what, got := range map[string]oauthtest.Reply{
				"public": ask("spa", here.Access), "nobody": w.Post(w.Introspect(), "nobody", "token", here.Access),
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
			for _, junk := range []string{"x", "vat_" + strings.Repeat("A", 49), here.Access + "x", strings.Repeat("a", 5000), w.Secrets["app"]} {
				inactive(t, ask("app", junk))
			}
		})
		oauthtest.Must(t, w.DB.SetActive(t.Context(), "id-alice", false))
		inactive(t, ask("app", here.Access))
		inactive(t, ask("app", here.Refresh))
		w.DB.Fail.Store(true)
		if got := ask("app", here.Access); got.Status != 503 {
			t.Errorf("the store is down: %d", got.Status)
		}
	})
}

func TestScheme(t *testing.T) {
	w := oauthtest.NewWorld(t, memory.New(nil), nil)
	pair := w.Exchange("app", w.Code("app", nil))
	w.DB.Fail.Store(true)
	if got := w.Status(pair.Access); got != 503 {
		t.Errorf("the store is down: %d", got)
	}
	w.DB.Fail.Store(false)
	for _, other := range []string{pair.Refresh, "eyJ.x.y", "vst_x"} {
		if _, err := w.Identity(other); err == nil {
			t.Errorf("%.5s: taken", other)
		}
	}
	if got := w.Scheme().Challenge(nil, authn.NotAuthenticated()); got != "Bearer" {
		t.Errorf("%q", got)
	}
}

func TestNewRefuses(t *testing.T) {
	s := memory.New(nil)
	good := oauthtest.Options{Scopes: map[string]string{"read": ""}}
	if _, err := oauthtest.New("http://127.0.0.1:8080", s, &good); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"", "auth.example", "http://auth.example", "https://auth.example/", "https://auth.example?x", "https://auth.example#x", "https://u@auth.example", "https://"} {
		if _, err := oauthtest.New(bad, s, &good); err == nil {
			t.Errorf("attack_189 issuer %q: taken", bad)
		}
	}
	for what, change := range map[string]func(*oauthtest.Options){
		"scope": func(o *oauthtest.Options) { o.Scopes = map[string]string{"a b": ""} }, "empty scope": func(o *oauthtest.Options) { o.Scopes = map[string]string{"": ""} },
		"code": func(o *oauthtest.Options) { o.CodeTTL = time11 }, "access": func(o *oauthtest.Options) { o.AccessTTL = -1 }, "grace": func(o *oauthtest.Options) { o.Grace = time11 },
		"refresh":             func(o *oauthtest.Options) { o.RefreshTTL = 300 }, // nanoseconds
		"absolute":            func(o *oauthtest.Options) { o.RefreshTTL, o.AbsoluteTTL = 2*time11, time11 },
		"endpoint":            func(o *oauthtest.Options) { o.Endpoints.PushedAuthorization = "par" },
		"origins of a domain": func(o *oauthtest.Options) { o.Origins = []string{"https://*.example"} },
		"origin with a path":  func(o *oauthtest.Options) { o.Origins = []string{"https://page.example/"} }, "origin in capitals": func(o *oauthtest.Options) { o.Origins = []string{"https://Page.example"} },
		"null origin": func(o *oauthtest.Options) { o.Origins = []string{"null"} },
	} {
		o := good
		change(&o)
		if _, err := oauthtest.New(oauthtest.Issuer, s, &o); err == nil {
			t.Errorf("%s: taken", what)
		}
	}
	if _, err := oauthtest.New(oauthtest.Issuer, nil, &good); err == nil {
		t.Error("no store")
	}
	api, err := oauth2.New(oauthtest.Issuer, s, nil)
	oauthtest.Must(t, err)
	if _, err := server.New(api, nil, nil); err == nil {
		t.Error("no store")
	}
	if _, err := server.New(nil, s, nil); err == nil {
		t.Error("no scheme")
	}
	if _, err := server.New(api, s, &server.Options{RequireDPoP: true}); err == nil {
		t.Error("proofs required and not accepted")
	}
	if _, err := server.New(api, s, &server.Options{InsecureChosenSecrets: &server.ChosenSecrets{}}); err == nil {
		t.Error("chosen secrets without a verifier")
	}
	if _, err := server.New(api, s, nil); err != nil {
		t.Errorf("no options: %v", err)
	}
}

const time11 = 11 * 60 * 1e9

func TestMetadata(t *testing.T) {
	w := oauthtest.NewWorld(t, memory.New(nil), func(o *oauthtest.Options) { o.Endpoints.Introspect, o.Endpoints.PushedAuthorization = "-", "/par" })
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
