package dpop_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

func TestDPoP(t *testing.T) {
	oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
		w := oauthtest.NewWorld(t, s, oauthtest.WithDPoP)
		p, other := w.NewProver(), w.NewProver()
		got := p.Exchange("spa", w.Code("spa", nil))
		if got.Status != 200 || got.Type != "DPoP" {
			t.Fatalf("%d %s", got.Status, got.Body)
		}
		if rec := w.Calls("DPoP", got.Access, p.At(got.Access, nil)); rec.Code != 200 {
			t.Errorf("%d %s", rec.Code, rec.Body)
		}
		if rec := w.Calls("dpop", got.Access, p.At(got.Access, map[string]any{"htu": "HTTPS://API.example:443/%6eotes"})); rec.Code != 200 {
			t.Errorf("another spelling: %d", rec.Code)
		}
		for _, htu := range []string{oauthtest.APIURL + "?page=2", oauthtest.APIURL + "?", oauthtest.APIURL + "#x", oauthtest.APIURL + "?a#b"} { // RFC 9449 section 4.3: both do not count
			if rec := w.Calls("DPoP", got.Access, p.At(got.Access, map[string]any{"htu": htu})); rec.Code != 200 {
				t.Errorf("%s: %d", htu, rec.Code)
			}
		}
		t.Run("attack_088_attack_185_as_bearer", func(t *testing.T) {
			for _, proofs := range [][]string{nil, {p.At(got.Access, nil)}} {
				rec := w.Calls("Bearer", got.Access, proofs...)
				if rec.Code != 401 || rec.Header().Get("WWW-Authenticate") != `Bearer error="invalid_token"` {
					t.Errorf("%d %v", rec.Code, rec.Header())
				}
			}
		})
		t.Run("attack_185_bearer_as_bound", func(t *testing.T) {
			bearer := w.Exchange("spa", w.Code("spa", nil))
			if bearer.Type != "Bearer" || w.Calls("Bearer", bearer.Access).Code != 200 {
				t.Errorf("%+v", bearer)
			}
			rec := w.Calls("DPoP", bearer.Access, p.At(bearer.Access, nil))
			if rec.Code != 401 || rec.Header().Get("WWW-Authenticate") != `DPoP error="invalid_token", algs="ES256 EdDSA PS256 RS256"` {
				t.Errorf("%d %v", rec.Code, rec.Header())
			}
		})
		t.Run("attack_083_proof_as_bearer", func(t *testing.T) {
			for _, keyword := range []string{"Bearer", "DPoP"} {
				if rec := w.Calls(keyword, p.Proof("GET", oauthtest.APIURL, nil)); rec.Code != 401 {
					t.Errorf("%d", rec.Code)
				}
			}
			if rec := w.Calls("Bearer", w.Assertion(oauthtest.RingOf(t, "k", jose.EdDSA, p.Key), "", "app", nil)); rec.Code != 401 {
				t.Errorf("an assertion: %d", rec.Code)
			}
			if rec := w.Calls("DPoP", got.Refresh, p.At(got.Refresh, nil)); rec.Code != 401 {
				t.Errorf("a refresh token: %d", rec.Code)
			}
		})
		t.Run("attack_101_attack_185_refresh", func(t *testing.T) {
			for what, answer := range map[string]oauthtest.Reply{"another key": other.Refreshes("spa", got.Refresh), "none": w.Refreshes("spa", got.Refresh)} {
				if answer.Status != 400 || answer.Error != "invalid_grant" {
					t.Errorf("%s: %d %s", what, answer.Status, answer.Body)
				}
			}
			next := p.Refreshes("spa", got.Refresh)
			if next.Status != 200 || next.Type != "DPoP" || w.Calls("DPoP", next.Access, p.At(next.Access, nil)).Code != 200 {
				t.Fatalf("%d %s", next.Status, next.Body)
			}
			if again := p.Refreshes("spa", got.Refresh); again.Refresh != next.Refresh || again.Type != "DPoP" {
				t.Errorf("the same answer for the same key: %+v", again)
			}
			if again := other.Refreshes("spa", got.Refresh); again.Error != "invalid_grant" || p.Refreshes("spa", next.Refresh).Status != 200 {
				t.Errorf("another key in the window: %+v", again)
			}
		})
		t.Run("confidential", func(t *testing.T) {
			first := p.Exchange("app", w.Code("app", nil))
			next := other.Refreshes("app", first.Refresh) // bound to the client's secret, not to the key
			if next.Type != "DPoP" || w.Calls("DPoP", next.Access, p.At(next.Access, nil)).Code != 401 || w.Calls("DPoP", next.Access, other.At(next.Access, nil)).Code != 200 {
				t.Errorf("%+v", next)
			}
			if again := p.Refreshes("app", first.Refresh); again.Error != "invalid_grant" {
				t.Errorf("a repetition with another key: %+v", again)
			}
			if bearer := w.Refreshes("app", next.Refresh); bearer.Type != "Bearer" || w.Status(bearer.Access) != 200 {
				t.Errorf("%+v", bearer)
			}
			own := w.PostWith(w.Token(), "app", []string{p.Proof("POST", oauthtest.TokenURL, nil)}, "grant_type", "client_credentials")
			if own.Type != "DPoP" || w.Calls("DPoP", own.Access, p.At(own.Access, nil)).Code != 200 {
				t.Errorf("%+v", own)
			}
			if about := w.Post(w.Introspect(), "app", "token", own.Access); about.Type != "DPoP" || !strings.Contains(about.Body, `"cnf":{"jkt":"`+p.JKT+`"}`) {
				t.Errorf("introspection: %s", about.Body)
			}
		})
		t.Run("revocation_needs_no_key", func(t *testing.T) {
			pair := p.Exchange("spa", w.Code("spa", nil))
			if got := w.Post(w.Revoke(), "spa", "token", pair.Refresh); got.Status != 200 {
				t.Errorf("%+v", got)
			}
			if rec := w.Calls("DPoP", pair.Access, p.At(pair.Access, nil)); rec.Code != 401 || p.Refreshes("spa", pair.Refresh).Status != 400 {
				t.Errorf("%d", rec.Code)
			}
		})
		t.Run("down", func(t *testing.T) {
			pair := p.Exchange("spa", w.Code("spa", nil))
			w.DB.FailUse.Store(true)
			defer w.DB.FailUse.Store(false)
			if rec := w.Calls("DPoP", pair.Access, p.At(pair.Access, nil)); rec.Code != 503 {
				t.Errorf("%d", rec.Code)
			}
			if got := p.Refreshes("spa", pair.Refresh); got.Status != 503 {
				t.Errorf("%d", got.Status)
			}
		})
		t.Run("off", func(t *testing.T) {
			off, err := oauthtest.New(oauthtest.Issuer, w.DB, &oauthtest.Options{Scopes: map[string]string{"read": ""}, Audience: "https://api.example", Clock: w.Clock})
			oauthtest.Must(t, err)
			pair := w.PostWith(off.Token(), "spa", []string{"x", "y"}, "grant_type", "authorization_code", "code", w.Code("spa", nil), "redirect_uri", oauthtest.Redirect, "code_verifier", oauthtest.Verifier)
			if pair.Type != "Bearer" || pair.Header.Get("DPoP-Nonce") != "" || len(off.Scheme().Formats()) != 1 || off.Scheme().Challenge(nil, authn.NotAuthenticated()) != "Bearer" {
				t.Errorf("%+v", pair)
			}
			r := httptest.NewRequest("GET", "/", nil)
			r.Header.Set("Authorization", "DPoP "+pair.Access)
			if _, err := (authn.Chain{off.Scheme()}).Authenticate(r); err != authn.ErrNoCredentials {
				t.Errorf("%v", err)
			}
			r.Header.Set("Authorization", "Bearer "+got.Access)
			if _, err := (authn.Chain{off.Scheme()}).Authenticate(r); err == nil {
				t.Error("attack_185: what was bound is a bearer token")
			}
		})
	})
}

// Codes are bound by "dpop_jkt", and pushed requests by that or a proof.
func TestBoundCode(t *testing.T) {
	oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
		w := oauthtest.NewWorld(t, s, oauthtest.WithDPoP)
		p, other := w.NewProver(), w.NewProver()
		bind := func(c *storage.Code) { c.Confirm = p.JKT }
		code := w.Code("app", bind)
		for what, got := range map[string]oauthtest.Reply{"another key": other.Exchange("app", code), "no key": w.Exchange("app", code)} {
			if got.Error != "invalid_grant" {
				t.Errorf("attack_185 %s: %d %s", what, got.Status, got.Body)
			}
		}
		if got := p.Exchange("app", code); got.Status != 200 || got.Type != "DPoP" {
			t.Errorf("%+v", got)
		}
		if got := other.Exchange("app", code); got.Error != "invalid_grant" || !strings.Contains(w.Take(), "code_reused") {
			t.Errorf("used again, with another key: %+v", got)
		}
		push := func(proofs []string, pairs ...string) oauthtest.Reply {
			return w.PostWith(w.PushedAuthorization(), "app", proofs, append([]string{"response_type", "code", "redirect_uri", oauthtest.Redirect, "code_challenge", oauthtest.ChallengeOf(oauthtest.Verifier), "code_challenge_method", "S256"}, pairs...)...)
		}
		good := func() []string { return []string{p.Proof("POST", oauthtest.Issuer+"/oauth2/par", nil)} }
		for what, c := range map[string]struct {
			got  oauthtest.Reply
			want string
		}{
			"a proof":            {push(good()), ""},
			"a thumbprint":       {push(nil, "dpop_jkt", p.JKT), ""},
			"both":               {push(good(), "dpop_jkt", p.JKT), ""},
			"another thumbprint": {push(good(), "dpop_jkt", other.JKT), "invalid_dpop_proof"},
			"no thumbprint":      {push(nil, "dpop_jkt", "x"), "invalid_request"},
			"for the token URL":  {push([]string{p.Proof("POST", oauthtest.TokenURL, nil)}), "invalid_dpop_proof"},
		} {
			if (c.got.Status == 201) != (c.want == "") || c.got.Error != c.want {
				t.Errorf("%s: %d %s, want %q", what, c.got.Status, c.got.Body, c.want)
			}
		}
	})
}

// A request that says which key its code is for goes the whole way, pushed or not.
func TestBoundRequest(t *testing.T) {
	w := oauthtest.NewWorld(t, memory.New(nil), func(o *oauthtest.Options) {
		o.DPoP = &oauthtest.DPoP{}
		o.Session = func(authn.Identity) (string, int64, bool) { return "session", 0, true }
	})
	p, other := w.NewProver(), w.NewProver()
	c, err := w.DB.ClientByID(t.Context(), "app")
	oauthtest.Must(t, err)
	c.Trusted = true
	oauthtest.Must(t, w.DB.UpdateClient(t.Context(), c))
	asks := func(v url.Values) string {
		h := authn.New(authn.Func(func(*http.Request) (authn.Identity, error) {
			return authn.Identity{Subject: "id-alice", Scheme: "session", AuthTime: w.Clock()}, nil
		}), nil).Handler(w.Authorize("/login"))
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, httptest.NewRequest("GET", "/oauth2/authorize?"+v.Encode(), nil))
		to, err := url.Parse(rec.Header().Get("Location"))
		oauthtest.Must(t, err)
		return to.Query().Get("code")
	}
	plain := url.Values{"client_id": {"app"}, "response_type": {"code"}, "redirect_uri": {oauthtest.Redirect}, "code_challenge": {oauthtest.ChallengeOf(oauthtest.Verifier)}, "code_challenge_method": {"S256"}}
	named := maps.Clone(plain)
	named.Set("dpop_jkt", p.JKT)
	var pairs []string
	for name, v := range plain {
		if name != "client_id" {
			pairs = append(pairs, name, v[0])
		}
	}
	var pushed struct {
		URI string `json:"request_uri"`
	}
	oauthtest.Must(t, json.Unmarshal([]byte(w.PostWith(w.PushedAuthorization(), "app", []string{p.Proof("POST", oauthtest.Issuer+"/oauth2/par", nil)}, pairs...).Body), &pushed))
	for what, v := range map[string]url.Values{"attack_185_dpop_jkt": named, "attack_185_pushed": {"client_id": {"app"}, "request_uri": {pushed.URI}}} {
		t.Run(what, func(t *testing.T) {
			code := asks(v)
			if got := other.Exchange("app", code); got.Error != "invalid_grant" {
				t.Errorf("another key: %+v", got)
			}
			if got := p.Exchange("app", code); got.Status != 200 || got.Type != "DPoP" {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestNonces(t *testing.T) {
	old, err := keys.NewRing([]byte(strings.Repeat("ab", 16)))
	oauthtest.Must(t, err)
	both, err := keys.NewRing([]byte(strings.Repeat("cd", 16)), []byte(strings.Repeat("ab", 16)))
	oauthtest.Must(t, err)
	w := oauthtest.NewWorld(t, memory.New(nil), func(o *oauthtest.Options) { o.DPoP = &oauthtest.DPoP{Nonces: both, Required: true} })
	before, err := oauthtest.New(oauthtest.Issuer, w.DB, &oauthtest.Options{Scopes: map[string]string{"read": ""}, Clock: w.Clock, DPoP: &oauthtest.DPoP{Nonces: old}})
	oauthtest.Must(t, err)
	elsewhere, err := oauthtest.New("https://b.example", w.DB, &oauthtest.Options{Scopes: map[string]string{"read": ""}, Clock: w.Clock, DPoP: &oauthtest.DPoP{Nonces: both}})
	oauthtest.Must(t, err)
	p := w.NewProver()
	ask := func(h http.Handler, nonce any) oauthtest.Reply {
		return w.PostWith(h, "app", []string{p.Proof("POST", oauthtest.TokenURL, map[string]any{"nonce": nonce})}, "grant_type", "client_credentials")
	}
	first := ask(w.Token(), nil)
	nonce := first.Header.Get("DPoP-Nonce")
	if first.Status != 400 || first.Error != "use_dpop_nonce" || nonce == "" {
		t.Fatalf("%d %s %v", first.Status, first.Body, first.Header)
	}
	token := ask(w.Token(), nonce)
	if token.Status != 200 || token.Header.Get("DPoP-Nonce") == "" {
		t.Fatalf("%d %s", token.Status, token.Body)
	}
	fromOld := ask(before.Token(), nil).Header.Get("DPoP-Nonce")
	if got := ask(w.Token(), fromOld); got.Status != 200 || fromOld == nonce {
		t.Errorf("of a replica with the older key: %+v", got)
	}
	refused := func(t *testing.T, nonces ...any) {
		t.Helper()
		for _, n := range nonces {
			if got := ask(w.Token(), n); got.Error != "use_dpop_nonce" {
				t.Errorf("%v: %d %s", n, got.Status, got.Body)
			}
		}
	}
	r := w.PostWith(elsewhere.Token(), "app", []string{p.Proof("POST", "https://b.example/oauth2/token", nil)}, "grant_type", "client_credentials")
	t.Run("attack_184_nonce", func(t *testing.T) {
		refused(t, nil, "", "x", nonce+"A", nonce[:31]+"_", 5, r.Header.Get("DPoP-Nonce"))
		none := w.Post(w.Token(), "app", "grant_type", "client_credentials")
		if none.Status != 400 || none.Error != "invalid_dpop_proof" || none.Header.Get("DPoP-Nonce") == "" {
			t.Errorf("no proof at all: %d %s", none.Status, none.Body)
		}
	})
	rec := w.Calls("DPoP", token.Access, p.At(token.Access, nil))
	if rec.Code != 401 || !strings.HasPrefix(rec.Header().Get("WWW-Authenticate"), `DPoP error="use_dpop_nonce"`) || rec.Header().Get("DPoP-Nonce") != nonce {
		t.Errorf("attack_184: %d %v", rec.Code, rec.Header())
	}
	rec = w.Calls("DPoP", token.Access, p.At(token.Access, map[string]any{"nonce": nonce}))
	if rec.Code != 200 || rec.Header().Get("DPoP-Nonce") != nonce {
		t.Errorf("%d %v", rec.Code, rec.Header())
	}
	w.Pass(4 * time.Minute)
	if got := ask(w.Token(), nonce); got.Status != 200 || got.Header.Get("DPoP-Nonce") == nonce {
		t.Errorf("after 4 minutes: %+v", got)
	}
	w.Pass(time.Minute)
	refused(t, nonce)
}

func TestDPoPOptions(t *testing.T) {
	for what, c := range map[string]struct {
		good bool
		o    oauthtest.Options
	}{
		"audience":        {true, oauthtest.Options{Audience: "https://api.example/v1", DPoP: &oauthtest.DPoP{}}},
		"issuer":          {true, oauthtest.Options{DPoP: &oauthtest.DPoP{}}},
		"origin":          {true, oauthtest.Options{Audience: "urn:api", DPoP: &oauthtest.DPoP{Origin: "https://api.example:8443"}}},
		"urn":             {false, oauthtest.Options{Audience: "urn:api", DPoP: &oauthtest.DPoP{}}},
		"http":            {false, oauthtest.Options{DPoP: &oauthtest.DPoP{Origin: "http://api.example"}}},
		"path":            {false, oauthtest.Options{DPoP: &oauthtest.DPoP{Origin: "https://api.example/"}}},
		"no token":        {false, oauthtest.Options{Endpoints: oauthtest.Endpoints{Token: "-"}, DPoP: &oauthtest.DPoP{}}},
		"attack_184_user": {false, oauthtest.Options{DPoP: &oauthtest.DPoP{Origin: "https://u@api.example"}}},
	} {
		s, err := oauthtest.New(oauthtest.Issuer, memory.New(nil), &c.o)
		if (err == nil) != c.good {
			t.Errorf("%s: %v", what, err)
		}
		if err != nil {
			continue
		}
		rec := httptest.NewRecorder()
		s.Metadata().ServeHTTP(rec, httptest.NewRequest("GET", "/", nil))
		if !strings.Contains(rec.Body.String(), `"dpop_signing_alg_values_supported":["ES256","EdDSA","PS256","RS256"]`) {
			t.Errorf("%s: %s", what, rec.Body)
		}
		if got := s.Scheme().Challenge(httptest.NewRequest("GET", "/", nil), authn.NotAuthenticated()); got != `Bearer, DPoP algs="ES256 EdDSA PS256 RS256"` {
			t.Errorf("%s", got)
		}
		if claims := s.Scheme().Formats(); !slices.Contains(claims, authn.CredentialFormat{Keyword: "DPoP", Format: "vat_", Prefix: "vat_"}) {
			t.Errorf("%v", claims)
		}
	}
}
