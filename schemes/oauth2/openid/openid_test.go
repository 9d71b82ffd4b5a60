package openid_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

func TestIDToken(t *testing.T) {
	oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
		p := oauthtest.NewProvider(t, s, jose.ES256, nil)
		oauthtest.Must(t, s.CreateUser(t.Context(), storage.User{ID: "id-mail", Name: "mail", Email: "m@example.com", Active: true}))
		got, id := p.Login("s1")
		c := p.ClaimsOf(id, "JWT")
		sum := sha256.Sum256([]byte(got.Access))
		for name, want := range map[string]any{
			"iss": oauthtest.Issuer, "sub": "id-alice", "aud": "app", "nonce": "n-1", "sid": "s1", "preferred_username": "alice", "auth_time": float64(oauthtest.Born.Unix()), "iat": float64(oauthtest.Born.Unix()),
			"exp": float64(oauthtest.Born.Add(time.Hour).Unix()), "at_hash": base64.RawURLEncoding.EncodeToString(sum[:16]),
		} {
			if c[name] != want {
				t.Errorf("%s is %v, want %v", name, c[name], want)
			}
		}
		if _, ok := c["email"]; ok || c["jti"] == "" {
			t.Errorf("alice has no address: %v", c)
		}
		p.Pass(time.Minute)
		next := p.Refreshes("app", got.Refresh)
		c = p.ClaimsOf(oauthtest.IdTokenOf(next), "JWT")
		if c["sub"] != "id-alice" || c["sid"] != "s1" || c["auth_time"] != float64(oauthtest.Born.Unix()) || c["iat"] != float64(oauthtest.Born.Add(time.Minute).Unix()) || c["nonce"] != nil {
			t.Errorf("after a refresh: %v", c)
		}
		if again := p.Refreshes("app", got.Refresh); oauthtest.IdTokenOf(again) != oauthtest.IdTokenOf(next) || oauthtest.IdTokenOf(again) == "" {
			t.Error("a repetition gives the same ID token")
		}
		if without := p.Exchange("app", p.Code("app", nil)); without.Status != 200 || oauthtest.IdTokenOf(without) != "" {
			t.Errorf("without openid: %s", without.Body)
		}
		t.Run("attack_166_for_itself", func(t *testing.T) {
			if own := p.Post(p.Token(), "app", "grant_type", "client_credentials", "scope", "openid"); own.Status == 200 && (oauthtest.IdTokenOf(own) != "" || own.Refresh != "") {
				t.Errorf("a client is no user: %s", own.Body)
			}
		})
		t.Run("attack_083_no_access_token", func(t *testing.T) {
			if got := p.Status(id); got != 401 {
				t.Errorf("an ID token opens the API: %d", got)
			}
		})
		t.Run("keys_down", func(t *testing.T) {
			code := p.Code("app", func(c *storage.Code) { c.Scopes = []string{"openid"} })
			p.Keys.Down = true
			lost := p.Exchange("app", code)
			p.Keys.Down = false
			if lost.Status != 503 {
				t.Errorf("without keys: %d %s", lost.Status, lost.Body)
			}
			if got := p.Exchange("app", code); got.Status != 200 {
				t.Errorf("the code is used up by a fault: %s", got.Body)
			}
		})
	})
}

func TestOwnClaims(t *testing.T) {
	p := oauthtest.NewProvider(t, memory.New(nil), jose.EdDSA, func(o *oauthtest.Options) {
		o.OpenID.Claims = func(_ context.Context, u storage.User, scopes []string) (map[string]any, error) {
			if strings.Join(scopes, " ") == "openid" {
				return nil, errors.New("no")
			}
			return map[string]any{"name": "Alice L.", "sub": "admin", "ISS": "x", "exp": 1}, nil
		}
	})
	_, id := p.Login("s1")
	if c := p.ClaimsOf(id, "JWT"); c["name"] != "Alice L." || c["sub"] != "id-alice" || c["ISS"] != nil || c["preferred_username"] != nil {
		t.Errorf("%v", c)
	}
	if got := p.Exchange("app", p.Code("app", func(c *storage.Code) { c.Scopes = []string{"openid"} })); got.Status != 503 {
		t.Errorf("a fault of the application: %d %s", got.Status, got.Body)
	}
}

func TestUserinfo(t *testing.T) {
	p := oauthtest.NewProvider(t, memory.New(nil), jose.ES256, func(o *oauthtest.Options) { o.Origins = []string{"https://page.example"} })
	got, id := p.Login("s1")
	for _, method := range []string{"GET", "POST"} {
		rec := p.UserInfoOf(method, "Bearer "+got.Access)
		if rec.Code != 200 || strings.TrimSpace(rec.Body.String()) != `{"preferred_username":"alice","sub":"id-alice"}` || rec.Header().Get("Cache-Control") != "no-store" ||
			rec.Header().Get("Access-Control-Allow-Origin") != "https://page.example" {
			t.Errorf("%s: %d %v %s", method, rec.Code, rec.Header(), rec.Body)
		}
	}
	own := p.Post(p.Token(), "app", "grant_type", "client_credentials", "scope", "read")
	without := p.Exchange("app", p.Code("app", nil))
	p.DB.Fail.Store(true)
	if rec := p.UserInfoOf("GET", "Bearer "+got.Access); rec.Code != 503 {
		t.Errorf("the store is down: %d", rec.Code)
	}
	p.DB.Fail.Store(false)
	for name, c := range map[string]struct {
		method, authorization string
		status                int
		challenge             string
	}{
		"attack_186_no_openid": {"GET", "Bearer " + without.Access, 403, `error="insufficient_scope", scope="openid"`},
		"attack_186_id_token":  {"GET", "Bearer " + id, 401, `Bearer`},
		"no_user":              {"GET", "Bearer " + own.Access, 403, `error="insufficient_scope"`},
		"none":                 {"GET", "", 401, "Bearer"},
		"unknown":              {"GET", "Bearer vat_x", 401, `error="invalid_token"`},
		"method":               {"DELETE", "Bearer " + got.Access, 405, ""},
	} {
		t.Run(name, func(t *testing.T) {
			rec := p.UserInfoOf(c.method, c.authorization)
			if rec.Code != c.status || !strings.Contains(rec.Header().Get("WWW-Authenticate"), c.challenge) {
				t.Errorf("%d %v %s", rec.Code, rec.Header(), rec.Body)
			}
		})
	}
}

func TestDiscovery(t *testing.T) {
	for _, alg := range []jose.Algorithm{jose.RS256, jose.EdDSA} {
		p := oauthtest.NewProvider(t, memory.New(nil), alg, nil)
		r := httptest.NewRequest("GET", "https://evil.example/.well-known/openid-configuration", nil)
		r.Header.Set("X-Forwarded-Host", "evil.example")
		rec := httptest.NewRecorder()
		p.Metadata().ServeHTTP(rec, r)
		var m map[string]any
		oauthtest.Must(t, json.Unmarshal(rec.Body.Bytes(), &m))
		if strings.Contains(rec.Body.String(), "evil") { // row 189
			t.Errorf("the Host names the issuer: %s", rec.Body)
		}
		for name, want := range map[string]any{
			"issuer": oauthtest.Issuer, "jwks_uri": oauthtest.Issuer + "/oauth2/jwks", "userinfo_endpoint": oauthtest.Issuer + "/oauth2/userinfo", "end_session_endpoint": oauthtest.Issuer + "/oauth2/logout",
			"request_uri_parameter_supported": false, "subject_types_supported": []any{"public"}, "id_token_signing_alg_values_supported": []any{string(alg)},
		} {
			if got, _ := json.Marshal(m[name]); string(got) != string(must2(json.Marshal(want))) {
				t.Errorf("%s is %s, want %v", name, got, want)
			}
		}
		if scopes, _ := json.Marshal(m["scopes_supported"]); !strings.Contains(string(scopes), `"openid"`) {
			t.Errorf("%s", scopes)
		}
		p.Keys.Down = true
		if alg == jose.EdDSA { // a fixed ring's algorithm is known without it
			rec = httptest.NewRecorder()
			p.JWKS().ServeHTTP(rec, r)
			if rec.Code != 503 {
				t.Errorf("JWKS without keys: %d", rec.Code)
			}
		}
	}
	t.Run("attack_190_public_members", func(t *testing.T) {
		p := oauthtest.NewProvider(t, memory.New(nil), jose.RS256, nil)
		rec := httptest.NewRecorder()
		p.JWKS().ServeHTTP(rec, httptest.NewRequest("GET", "/", nil))
		var set struct{ Keys []map[string]any }
		oauthtest.Must(t, json.Unmarshal(rec.Body.Bytes(), &set))
		if len(set.Keys) != 1 || set.Keys[0]["kty"] != "RSA" || rec.Header().Get("Access-Control-Allow-Origin") != "*" {
			t.Fatalf("%v %s", rec.Header(), rec.Body)
		}
		for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "k", "oth"} {
			if _, ok := set.Keys[0][private]; ok {
				t.Errorf("it publishes %q", private)
			}
		}
	})
}

func must2(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

func TestHint(t *testing.T) {
	p := oauthtest.NewProvider(t, memory.New(nil), jose.ES256, nil)
	oauthtest.Must(t, p.DB.CreateUser(t.Context(), storage.User{ID: "id-bob", Name: "bob", Active: true}))
	_, id := p.Login("s1")
	other := *p.Alice("s9")
	other.Subject, other.User = "id-bob", storage.User{ID: "id-bob", Name: "bob"}.WithPermissions(nil)
	stranger := oauthtest.NewProvider(t, memory.New(nil), jose.ES256, nil)
	_, foreign := stranger.Login("s1")
	trusted, err := p.DB.ClientByID(t.Context(), "app")
	oauthtest.Must(t, err)
	trusted.Trusted = true
	oauthtest.Must(t, p.DB.UpdateClient(t.Context(), trusted))
	p.Pass(48 * time.Hour) // expired hints count
	for _, prompt := range []string{"", "none"} {
		rec := p.Authorizes(p.Alice("s1"), "GET", oauthtest.Query("app", "scope", "openid", "id_token_hint", id, "prompt", prompt), "")
		if v := oauthtest.Sent(t, rec, oauthtest.Redirect); v.Get("code") == "" {
			t.Errorf("the hinted user: %v", v)
		}
	}
	header, rest, _ := strings.Cut(id, ".")
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + rest[:strings.IndexByte(rest, '.')] + "."
	for name, c := range map[string]struct{ client, hint string }{
		"attack_145_other_user": {"app", id}, "attack_145_none": {"app", none}, "attack_145_foreign_key": {"app", foreign}, "attack_145_no_token": {"app", "x"},
		"attack_145_other_client": {"spa", id}, "attack_145_tampered": {"app", header + "." + strings.Replace(rest, ".", "A.", 1)},
	} {
		t.Run(name, func(t *testing.T) {
			for _, prompt := range []string{"", "none"} {
				rec := p.Authorizes(&other, "GET", oauthtest.Query(c.client, "scope", "openid", "id_token_hint", c.hint, "prompt", prompt), "")
				if v := oauthtest.Sent(t, rec, oauthtest.Redirect); v.Get("error") != "login_required" || v.Get("code") != "" {
					t.Errorf("prompt %q: %v", prompt, v)
				}
			}
		})
	}
	p.Keys.Down = true
	if rec := p.Authorizes(&other, "GET", oauthtest.Query("app", "id_token_hint", id), ""); rec.Code != 503 {
		t.Errorf("without keys: %d", rec.Code)
	}
}

func TestLogout(t *testing.T) {
	oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
		p := oauthtest.NewProvider(t, s, jose.ES256, nil)
		_, id := p.Login("s1")
		bye := "&post_logout_redirect_uri=" + url.QueryEscape("https://app.example/bye") + "&state=s%26t"
		p.Pass(48 * time.Hour)
		p.Take()
		rec := p.LogsOut("s1", "id_token_hint="+id+bye, "")
		if got := p.World.Events(); len(got) != 1 || got[0].Kind != "logout" || got[0].Reason != "id_token_hint" || got[0].Client != "app" || got[0].Session != "s1" || got[0].Subject != "id-alice" {
			t.Errorf("events %+v", got)
		}
		if rec.Code != 303 || rec.Header().Get("Location") != "https://app.example/bye?state=s%26t" || p.Ended != 1 {
			t.Errorf("with the login's own ID token: %d %s, %d ended", rec.Code, rec.Header().Get("Location"), p.Ended)
		}
		rec = p.LogsOut("", "id_token_hint="+id+"&state=a&post_logout_redirect_uri="+url.QueryEscape("https://app.example/bye?x=1"), "")
		if rec.Code != 303 || rec.Header().Get("Location") != "https://app.example/bye?x=1&state=a" || p.Ended != 1 {
			t.Errorf("logged out already: %d %s", rec.Code, rec.Header().Get("Location"))
		}
		if rec := p.LogsOut("", "", ""); rec.Code != 200 || strings.Contains(rec.Body.String(), "You are logged out") {
			t.Errorf("nobody: %d", rec.Code)
		}
		for name, query := range map[string]string{
			"attack_187_no_hint": "client_id=app" + bye, "attack_187_nothing": "", "attack_187_other_login": "id_token_hint=" + id + bye,
		} {
			t.Run(name, func(t *testing.T) {
				p.Ended = 0
				rec := p.LogsOut("s2", query, "")
				handle := oauthtest.HandleOf(t, rec)
				if p.Ended != 0 || !strings.Contains(rec.Header().Get("Content-Security-Policy"), "frame-ancestors 'none'") {
					t.Fatalf("a GET ended the session, or the page may be framed: %v", rec.Header())
				}
				if rec := p.LogsOut("s3", "", "decision=logout&handle="+handle); rec.Code != 403 || p.Ended != 0 {
					t.Errorf("another login answers: %d", rec.Code)
				}
				rec = p.LogsOut("s2", "", "decision=logout&handle="+handle)
				if want := query != ""; p.Ended != 1 || want != (rec.Header().Get("Location") == "https://app.example/bye?state=s%26t") {
					t.Errorf("%d %s", rec.Code, rec.Header().Get("Location"))
				}
				if rec := p.LogsOut("s2", "", "decision=logout&handle="+handle); rec.Code != 400 || p.Ended != 1 {
					t.Errorf("answered twice: %d", rec.Code)
				}
			})
		}
		t.Run("stay", func(t *testing.T) {
			p.Ended = 0
			rec := p.LogsOut("s2", "client_id=app"+bye, "")
			rec = p.LogsOut("s2", "", "decision=stay&handle="+oauthtest.HandleOf(t, rec))
			if rec.Code != 200 || rec.Header().Get("Location") != "" || p.Ended != 0 {
				t.Errorf("%d, %d ended", rec.Code, p.Ended)
			}
			old := oauthtest.HandleOf(t, p.LogsOut("s2", "", ""))
			p.Pass(11 * time.Minute)
			if rec := p.LogsOut("s2", "", "decision=logout&handle="+old); rec.Code != 400 || p.Ended != 0 {
				t.Errorf("an old page: %d", rec.Code)
			}
		})
		for name, query := range map[string]string{
			"attack_187_foreign_uri": "id_token_hint=" + id + "&post_logout_redirect_uri=" + url.QueryEscape("https://evil.example/"),
			"attack_187_longer_uri":  "id_token_hint=" + id + "&post_logout_redirect_uri=" + url.QueryEscape("https://app.example/bye/x"),
			"uri_alone":              "post_logout_redirect_uri=" + url.QueryEscape("https://app.example/bye"),
			"other_client":           "id_token_hint=" + id + "&client_id=spa", "no_client": "client_id=none", "bad_hint": "id_token_hint=x", "twice": "client_id=app&client_id=app",
		} {
			t.Run(name, func(t *testing.T) {
				p.Ended = 0
				if rec := p.LogsOut("s1", query, ""); rec.Code != 400 || rec.Header().Get("Location") != "" || p.Ended != 0 {
					t.Errorf("%d %s, %d ended", rec.Code, rec.Header().Get("Location"), p.Ended)
				}
			})
		}
	})
}

// The name of a client is text on the page that asks the user, whatever is in it.
func TestLogoutPageEscapes(t *testing.T) {
	t.Run("attack_187_script", func(t *testing.T) {
		p := oauthtest.NewProvider(t, memory.New(nil), jose.ES256, nil)
		oauthtest.Must(t, p.DB.CreateClient(t.Context(), storage.Client{ID: "named", Name: "<script>x</script>", Method: oauth2.None, Grants: []string{oauth2.AuthorizationCode}}))
		rec := p.LogsOut("s1", "client_id=named", "")
		if body := rec.Body.String(); rec.Code != 200 || strings.Contains(body, "<script>") || !strings.Contains(body, "&lt;script&gt;x&lt;/script&gt; asks to log you out") {
			t.Errorf("%d %s", rec.Code, body)
		}
	})
}
