package oauth2_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn/authntest"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// downKeys can not be had where down is set.
type downKeys struct {
	*jose.Ring
	down bool
}

func (k *downKeys) JWKS(ctx context.Context) ([]byte, error) {
	if k.down {
		return nil, errDown
	}
	return k.Ring.JWKS(ctx)
}

func (k *downKeys) Keys(ctx context.Context, kid string, alg jose.Algorithm) ([]*jose.Key, error) {
	if k.down {
		return nil, errDown
	}
	return k.Ring.Keys(ctx, kid, alg)
}

func (k *downKeys) Sign(ctx context.Context, typ string, claims []byte) (string, error) {
	if k.down {
		return "", errDown
	}
	return k.Ring.Sign(ctx, typ, claims)
}

func freshRing(t testing.TB, alg jose.Algorithm) *jose.Ring {
	t.Helper()
	key, err := jose.Generate(alg)
	must(t, err)
	ring, err := jose.NewRing(key)
	must(t, err)
	return ring
}

// provider is a world with OpenID Connect: the clients may ask for "openid", and logouts that
// ended a session are counted.
type provider struct {
	*world
	keys  *downKeys
	ended int
}

func newProvider(t *testing.T, s store, alg jose.Algorithm, change func(*oauth2.Options)) *provider {
	t.Helper()
	p := &provider{keys: &downKeys{Ring: freshRing(t, alg)}}
	p.world = newWorld(t, s, func(o *oauth2.Options) {
		withSessions(o)
		o.Scopes["profile"], o.Scopes["email"] = "", ""
		o.SigningKeys, o.OpenID = p.keys, &oauth2.OpenID{EndSession: func(http.ResponseWriter, *http.Request) error {
			p.ended++
			return nil
		}}
		if change != nil {
			change(o)
		}
	})
	for _, name := range []string{"app", "spa"} {
		c, err := s.ClientByID(t.Context(), name)
		must(t, err)
		c.Scopes = append(c.Scopes, "openid", "profile", "email")
		c.LogoutURIs = []string{"https://app.example/bye", "https://app.example/bye?x=1"}
		must(t, s.UpdateClient(t.Context(), c))
	}
	return p
}

// login walks a user through the authorization endpoint and exchanges the code.
func (p *provider) login(session string, pairs ...string) (reply, string) {
	p.t.Helper()
	rec := p.authorize(p.alice(session), "GET", query("app", append([]string{"scope", "openid profile email", "nonce", "n-1"}, pairs...)...), "")
	v := sent(p.t, p.authorize(p.alice(session), "POST", "", "decision=allow&handle="+handleOf(p.t, rec)), redirect)
	got := p.exchange("app", v.Get("code"))
	return got, idTokenOf(got)
}

func idTokenOf(r reply) string {
	var more struct {
		ID string `json:"id_token"`
	}
	_ = json.Unmarshal([]byte(r.Body), &more)
	return more.ID
}

// claims verifies a token by the published keys and returns what it says.
func (p *provider) claims(token string, typ string) map[string]any {
	p.t.Helper()
	set, err := p.keys.JWKS(p.t.Context())
	must(p.t, err)
	keys, err := jose.ParseJWKS(set)
	must(p.t, err)
	ring, err := jose.NewRing(keys...)
	must(p.t, err)
	t, err := jose.Verify(p.t.Context(), token, ring, typ)
	if err != nil {
		p.t.Fatalf("token %q: %v", token, err)
	}
	var all map[string]any
	must(p.t, json.Unmarshal(t.Claims.Raw(), &all))
	return all
}

func TestIDToken(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		p := newProvider(t, s, jose.ES256, nil)
		must(t, s.CreateUser(t.Context(), storage.User{ID: "id-mail", Name: "mail", Email: "m@example.com", Active: true}))
		got, id := p.login("s1")
		c := p.claims(id, "JWT")
		sum := sha256.Sum256([]byte(got.Access))
		for name, want := range map[string]any{
			"iss": issuer, "sub": "id-alice", "aud": "app", "nonce": "n-1", "sid": "s1", "preferred_username": "alice", "auth_time": float64(born.Unix()), "iat": float64(born.Unix()),
			"exp": float64(born.Add(time.Hour).Unix()), "at_hash": base64.RawURLEncoding.EncodeToString(sum[:16]),
		} {
			if c[name] != want {
				t.Errorf("%s is %v, want %v", name, c[name], want)
			}
		}
		if _, ok := c["email"]; ok || c["jti"] == "" {
			t.Errorf("alice has no address: %v", c)
		}
		p.pass(time.Minute)
		next := p.refreshes("app", got.Refresh)
		c = p.claims(idTokenOf(next), "JWT")
		if c["sub"] != "id-alice" || c["sid"] != "s1" || c["auth_time"] != float64(born.Unix()) || c["iat"] != float64(born.Add(time.Minute).Unix()) || c["nonce"] != nil {
			t.Errorf("after a refresh: %v", c)
		}
		if again := p.refreshes("app", got.Refresh); idTokenOf(again) != idTokenOf(next) || idTokenOf(again) == "" {
			t.Error("a repetition gives the same ID token")
		}
		if without := p.exchange("app", p.code("app", nil)); without.Status != 200 || idTokenOf(without) != "" {
			t.Errorf("without openid: %s", without.Body)
		}
		t.Run("attack_166_for_itself", func(t *testing.T) {
			if own := p.post(p.Token(), "app", "grant_type", "client_credentials", "scope", "openid"); own.Status == 200 && (idTokenOf(own) != "" || own.Refresh != "") {
				t.Errorf("a client is no user: %s", own.Body)
			}
		})
		t.Run("attack_083_no_access_token", func(t *testing.T) {
			if got := p.status(id); got != 401 {
				t.Errorf("an ID token opens the API: %d", got)
			}
		})
		t.Run("keys_down", func(t *testing.T) {
			code := p.code("app", func(c *storage.Code) { c.Scopes = []string{"openid"} })
			p.keys.down = true
			lost := p.exchange("app", code)
			p.keys.down = false
			if lost.Status != 503 {
				t.Errorf("without keys: %d %s", lost.Status, lost.Body)
			}
			if got := p.exchange("app", code); got.Status != 200 {
				t.Errorf("the code is used up by a fault: %s", got.Body)
			}
		})
	})
}

func TestOwnClaims(t *testing.T) {
	p := newProvider(t, memory.New(nil), jose.EdDSA, func(o *oauth2.Options) {
		o.OpenID.Claims = func(_ context.Context, u storage.User, scopes []string) (map[string]any, error) {
			if strings.Join(scopes, " ") == "openid" {
				return nil, errors.New("no")
			}
			return map[string]any{"name": "Alice L.", "sub": "admin", "ISS": "x", "exp": 1}, nil
		}
	})
	_, id := p.login("s1")
	if c := p.claims(id, "JWT"); c["name"] != "Alice L." || c["sub"] != "id-alice" || c["ISS"] != nil || c["preferred_username"] != nil {
		t.Errorf("%v", c)
	}
	if got := p.exchange("app", p.code("app", func(c *storage.Code) { c.Scopes = []string{"openid"} })); got.Status != 503 {
		t.Errorf("a fault of the application: %d %s", got.Status, got.Body)
	}
}

func (p *provider) userinfo(method, authorization string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, issuer+"/oauth2/userinfo", nil)
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	r.Header.Set("Origin", "https://page.example")
	rec := httptest.NewRecorder()
	p.Userinfo().ServeHTTP(rec, r)
	return rec
}

func TestUserinfo(t *testing.T) {
	p := newProvider(t, memory.New(nil), jose.ES256, func(o *oauth2.Options) { o.Origins = []string{"https://page.example"} })
	got, id := p.login("s1")
	for _, method := range []string{"GET", "POST"} {
		rec := p.userinfo(method, "Bearer "+got.Access)
		if rec.Code != 200 || strings.TrimSpace(rec.Body.String()) != `{"preferred_username":"alice","sub":"id-alice"}` || rec.Header().Get("Cache-Control") != "no-store" ||
			rec.Header().Get("Access-Control-Allow-Origin") != "https://page.example" {
			t.Errorf("%s: %d %v %s", method, rec.Code, rec.Header(), rec.Body)
		}
	}
	own := p.post(p.Token(), "app", "grant_type", "client_credentials", "scope", "read")
	without := p.exchange("app", p.code("app", nil))
	p.s.fail.Store(true)
	if rec := p.userinfo("GET", "Bearer "+got.Access); rec.Code != 503 {
		t.Errorf("the store is down: %d", rec.Code)
	}
	p.s.fail.Store(false)
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
			rec := p.userinfo(c.method, c.authorization)
			if rec.Code != c.status || !strings.Contains(rec.Header().Get("WWW-Authenticate"), c.challenge) {
				t.Errorf("%d %v %s", rec.Code, rec.Header(), rec.Body)
			}
		})
	}
}

func TestDiscovery(t *testing.T) {
	for _, alg := range []jose.Algorithm{jose.RS256, jose.EdDSA} {
		p := newProvider(t, memory.New(nil), alg, nil)
		r := httptest.NewRequest("GET", "https://evil.example/.well-known/openid-configuration", nil)
		r.Header.Set("X-Forwarded-Host", "evil.example")
		rec := httptest.NewRecorder()
		p.Metadata().ServeHTTP(rec, r)
		var m map[string]any
		must(t, json.Unmarshal(rec.Body.Bytes(), &m))
		if strings.Contains(rec.Body.String(), "evil") { // row 189
			t.Errorf("the Host names the issuer: %s", rec.Body)
		}
		for name, want := range map[string]any{
			"issuer": issuer, "jwks_uri": issuer + "/oauth2/jwks", "userinfo_endpoint": issuer + "/oauth2/userinfo", "end_session_endpoint": issuer + "/oauth2/logout",
			"request_uri_parameter_supported": false, "subject_types_supported": []any{"public"}, "id_token_signing_alg_values_supported": []any{string(alg)},
		} {
			if got, _ := json.Marshal(m[name]); string(got) != string(must2(json.Marshal(want))) {
				t.Errorf("%s is %s, want %v", name, got, want)
			}
		}
		if scopes, _ := json.Marshal(m["scopes_supported"]); !strings.Contains(string(scopes), `"openid"`) {
			t.Errorf("%s", scopes)
		}
		p.keys.down = true
		if alg == jose.EdDSA { // a fixed ring's algorithm is known without it
			rec = httptest.NewRecorder()
			p.JWKS().ServeHTTP(rec, r)
			if rec.Code != 503 {
				t.Errorf("JWKS without keys: %d", rec.Code)
			}
		}
	}
	t.Run("attack_190_public_members", func(t *testing.T) {
		p := newProvider(t, memory.New(nil), jose.RS256, nil)
		rec := httptest.NewRecorder()
		p.JWKS().ServeHTTP(rec, httptest.NewRequest("GET", "/", nil))
		var set struct{ Keys []map[string]any }
		must(t, json.Unmarshal(rec.Body.Bytes(), &set))
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
	p := newProvider(t, memory.New(nil), jose.ES256, nil)
	must(t, p.s.CreateUser(t.Context(), storage.User{ID: "id-bob", Name: "bob", Active: true}))
	_, id := p.login("s1")
	other := *p.alice("s9")
	other.Subject, other.User = "id-bob", &storage.User{ID: "id-bob", Name: "bob"}
	stranger := newProvider(t, memory.New(nil), jose.ES256, nil)
	_, foreign := stranger.login("s1")
	trusted, err := p.s.ClientByID(t.Context(), "app")
	must(t, err)
	trusted.Trusted = true
	must(t, p.s.UpdateClient(t.Context(), trusted))
	p.pass(48 * time.Hour) // expired hints count
	for _, prompt := range []string{"", "none"} {
		rec := p.authorize(p.alice("s1"), "GET", query("app", "scope", "openid", "id_token_hint", id, "prompt", prompt), "")
		if v := sent(t, rec, redirect); v.Get("code") == "" {
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
				rec := p.authorize(&other, "GET", query(c.client, "scope", "openid", "id_token_hint", c.hint, "prompt", prompt), "")
				if v := sent(t, rec, redirect); v.Get("error") != "login_required" || v.Get("code") != "" {
					t.Errorf("prompt %q: %v", prompt, v)
				}
			}
		})
	}
	p.keys.down = true
	if rec := p.authorize(&other, "GET", query("app", "id_token_hint", id), ""); rec.Code != 503 {
		t.Errorf("without keys: %d", rec.Code)
	}
}

// logout sends a request to the logout endpoint; body is "" for a GET.
func (p *provider) logout(session, query, body string) *httptest.ResponseRecorder {
	method := "GET"
	if body != "" {
		method = "POST"
	}
	r := httptest.NewRequest(method, issuer+"/oauth2/logout?"+query, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if session != "" {
		r = authntest.As(r, *p.alice(session))
	}
	rec := httptest.NewRecorder()
	p.Logout().ServeHTTP(rec, r)
	return rec
}

func TestLogout(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		p := newProvider(t, s, jose.ES256, nil)
		_, id := p.login("s1")
		bye := "&post_logout_redirect_uri=" + url.QueryEscape("https://app.example/bye") + "&state=s%26t"
		p.pass(48 * time.Hour)
		rec := p.logout("s1", "id_token_hint="+id+bye, "")
		if rec.Code != 303 || rec.Header().Get("Location") != "https://app.example/bye?state=s%26t" || p.ended != 1 {
			t.Errorf("with the login's own ID token: %d %s, %d ended", rec.Code, rec.Header().Get("Location"), p.ended)
		}
		rec = p.logout("", "id_token_hint="+id+"&state=a&post_logout_redirect_uri="+url.QueryEscape("https://app.example/bye?x=1"), "")
		if rec.Code != 303 || rec.Header().Get("Location") != "https://app.example/bye?x=1&state=a" || p.ended != 1 {
			t.Errorf("logged out already: %d %s", rec.Code, rec.Header().Get("Location"))
		}
		if rec := p.logout("", "", ""); rec.Code != 200 || strings.Contains(rec.Body.String(), "You are logged out") {
			t.Errorf("nobody: %d", rec.Code)
		}
		for name, query := range map[string]string{
			"attack_187_no_hint": "client_id=app" + bye, "attack_187_nothing": "", "attack_187_other_login": "id_token_hint=" + id + bye,
		} {
			t.Run(name, func(t *testing.T) {
				p.ended = 0
				rec := p.logout("s2", query, "")
				handle := handleOf(t, rec)
				if p.ended != 0 || !strings.Contains(rec.Header().Get("Content-Security-Policy"), "frame-ancestors 'none'") {
					t.Fatalf("a GET ended the session, or the page may be framed: %v", rec.Header())
				}
				if rec := p.logout("s3", "", "decision=logout&handle="+handle); rec.Code != 403 || p.ended != 0 {
					t.Errorf("another login answers: %d", rec.Code)
				}
				rec = p.logout("s2", "", "decision=logout&handle="+handle)
				if want := query != ""; p.ended != 1 || want != (rec.Header().Get("Location") == "https://app.example/bye?state=s%26t") {
					t.Errorf("%d %s", rec.Code, rec.Header().Get("Location"))
				}
				if rec := p.logout("s2", "", "decision=logout&handle="+handle); rec.Code != 400 || p.ended != 1 {
					t.Errorf("answered twice: %d", rec.Code)
				}
			})
		}
		t.Run("stay", func(t *testing.T) {
			p.ended = 0
			rec := p.logout("s2", "client_id=app"+bye, "")
			rec = p.logout("s2", "", "decision=stay&handle="+handleOf(t, rec))
			if rec.Code != 200 || rec.Header().Get("Location") != "" || p.ended != 0 {
				t.Errorf("%d, %d ended", rec.Code, p.ended)
			}
			old := handleOf(t, p.logout("s2", "", ""))
			p.pass(11 * time.Minute)
			if rec := p.logout("s2", "", "decision=logout&handle="+old); rec.Code != 400 || p.ended != 0 {
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
				p.ended = 0
				if rec := p.logout("s1", query, ""); rec.Code != 400 || rec.Header().Get("Location") != "" || p.ended != 0 {
					t.Errorf("%d %s, %d ended", rec.Code, rec.Header().Get("Location"), p.ended)
				}
			})
		}
	})
}
