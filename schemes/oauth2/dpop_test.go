package oauth2_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// prover makes proofs with a key.
type prover struct {
	w    *world
	key  ed25519.PrivateKey
	jkt  string
	jwk  map[string]any
	n    int
	make func(*prover, map[string]any) // changes the header; nil: none
}

func (w *world) prover() *prover {
	w.t.Helper()
	key := ed(w.t)
	jkt, err := jose.Thumbprint(key.Public())
	must(w.t, err)
	return &prover{w: w, key: key, jkt: jkt, jwk: map[string]any{"kty": "OKP", "crv": "Ed25519", "x": base64.RawURLEncoding.EncodeToString(key.Public().(ed25519.PublicKey))}}
}

// proof makes a good proof with some claims changed; nil takes one away.
func (p *prover) proof(method, uri string, change map[string]any) string {
	p.n++
	head := map[string]any{"typ": "dpop+jwt", "alg": "EdDSA", "jwk": p.jwk}
	if p.make != nil {
		p.make(p, head)
	}
	claims := map[string]any{"jti": fmt.Sprint("proof-", p.n), "htm": method, "htu": uri, "iat": p.w.clock().Unix()}
	maps.Copy(claims, change)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	var parts []string
	for _, v := range []any{head, claims} {
		text, err := json.Marshal(v)
		must(p.w.t, err)
		parts = append(parts, base64.RawURLEncoding.EncodeToString(text))
	}
	signed := strings.Join(parts, ".")
	return signed + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(p.key, []byte(signed)))
}

const tokenURL = issuer + "/oauth2/token"

// with posts a form as that client with proofs.
func (w *world) with(h http.Handler, client string, proofs []string, pairs ...string) reply {
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Add(pairs[i], pairs[i+1])
	}
	r := httptest.NewRequest("POST", tokenURL, nil)
	r.Host = "evil.example"
	for _, p := range proofs {
		r.Header.Add("DPoP", p)
	}
	w.as(client, v, r)
	return w.send(h, r, v.Encode())
}

// exchange exchanges a code with a good proof.
func (p *prover) exchange(client, code string) reply {
	return p.w.with(p.w.Token(), client, []string{p.proof("POST", tokenURL, nil)}, "grant_type", "authorization_code", "code", code, "redirect_uri", redirect, "code_verifier", verifier)
}

func (p *prover) refreshes(client, token string) reply {
	return p.w.with(p.w.Token(), client, []string{p.proof("POST", tokenURL, nil)}, "grant_type", "refresh_token", "refresh_token", token)
}

func athOf(token string) string {
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

const apiURL = "https://api.example/notes"

// at is a good proof for a token at the API.
func (p *prover) at(token string, change map[string]any) string {
	claims := map[string]any{"ath": athOf(token)}
	maps.Copy(claims, change)
	return p.proof("GET", apiURL, claims)
}

// calls asks the API under a keyword with proofs, through the middleware.
func (w *world) calls(keyword, token string, proofs ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", "/notes?page=2", nil)
	r.Host = "evil.example"
	r.Header.Set("Authorization", keyword+" "+token)
	for _, p := range proofs {
		r.Header.Add("DPoP", p)
	}
	rec := httptest.NewRecorder()
	w.through().Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if id := authn.FromContext(r.Context()); !id.Authenticated() {
			w.WriteHeader(http.StatusTeapot)
		}
	})).ServeHTTP(rec, r)
	return rec
}

func withDPoP(o *oauth2.Options) { o.DPoP = &oauth2.DPoP{} }

func TestDPoP(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		w := newWorld(t, s, withDPoP)
		p, other := w.prover(), w.prover()
		got := p.exchange("spa", w.code("spa", nil))
		if got.Status != 200 || got.Type != "DPoP" {
			t.Fatalf("%d %s", got.Status, got.Body)
		}
		if rec := w.calls("DPoP", got.Access, p.at(got.Access, nil)); rec.Code != 200 {
			t.Errorf("%d %s", rec.Code, rec.Body)
		}
		if rec := w.calls("dpop", got.Access, p.at(got.Access, map[string]any{"htu": "HTTPS://API.example:443/%6eotes"})); rec.Code != 200 {
			t.Errorf("another spelling: %d", rec.Code)
		}
		for _, htu := range []string{apiURL + "?page=2", apiURL + "?", apiURL + "#x", apiURL + "?a#b"} { // RFC 9449 section 4.3: both do not count
			if rec := w.calls("DPoP", got.Access, p.at(got.Access, map[string]any{"htu": htu})); rec.Code != 200 {
				t.Errorf("%s: %d", htu, rec.Code)
			}
		}
		t.Run("attack_088_attack_185_as_bearer", func(t *testing.T) {
			for _, proofs := range [][]string{nil, {p.at(got.Access, nil)}} {
				rec := w.calls("Bearer", got.Access, proofs...)
				if rec.Code != 401 || rec.Header().Get("WWW-Authenticate") != `Bearer error="invalid_token"` {
					t.Errorf("%d %v", rec.Code, rec.Header())
				}
			}
		})
		t.Run("attack_185_bearer_as_bound", func(t *testing.T) {
			bearer := w.exchange("spa", w.code("spa", nil))
			if bearer.Type != "Bearer" || w.calls("Bearer", bearer.Access).Code != 200 {
				t.Errorf("%+v", bearer)
			}
			rec := w.calls("DPoP", bearer.Access, p.at(bearer.Access, nil))
			if rec.Code != 401 || rec.Header().Get("WWW-Authenticate") != `DPoP error="invalid_token", algs="ES256 EdDSA PS256 RS256"` {
				t.Errorf("%d %v", rec.Code, rec.Header())
			}
		})
		t.Run("attack_083_proof_as_bearer", func(t *testing.T) {
			for _, keyword := range []string{"Bearer", "DPoP"} {
				if rec := w.calls(keyword, p.proof("GET", apiURL, nil)); rec.Code != 401 {
					t.Errorf("%d", rec.Code)
				}
			}
			if rec := w.calls("Bearer", w.assertion(ringOf(t, "k", jose.EdDSA, p.key), "", "app", nil)); rec.Code != 401 {
				t.Errorf("an assertion: %d", rec.Code)
			}
			if rec := w.calls("DPoP", got.Refresh, p.at(got.Refresh, nil)); rec.Code != 401 {
				t.Errorf("a refresh token: %d", rec.Code)
			}
		})
		t.Run("attack_101_attack_185_refresh", func(t *testing.T) {
			for what, answer := range map[string]reply{"another key": other.refreshes("spa", got.Refresh), "none": w.refreshes("spa", got.Refresh)} {
				if answer.Status != 400 || answer.Error != "invalid_grant" {
					t.Errorf("%s: %d %s", what, answer.Status, answer.Body)
				}
			}
			next := p.refreshes("spa", got.Refresh)
			if next.Status != 200 || next.Type != "DPoP" || w.calls("DPoP", next.Access, p.at(next.Access, nil)).Code != 200 {
				t.Fatalf("%d %s", next.Status, next.Body)
			}
			if again := p.refreshes("spa", got.Refresh); again.Refresh != next.Refresh || again.Type != "DPoP" {
				t.Errorf("the same answer for the same key: %+v", again)
			}
			if again := other.refreshes("spa", got.Refresh); again.Error != "invalid_grant" || p.refreshes("spa", next.Refresh).Status != 200 {
				t.Errorf("another key in the window: %+v", again)
			}
		})
		t.Run("confidential", func(t *testing.T) {
			first := p.exchange("app", w.code("app", nil))
			next := other.refreshes("app", first.Refresh) // bound to the client's secret, not to the key
			if next.Type != "DPoP" || w.calls("DPoP", next.Access, p.at(next.Access, nil)).Code != 401 || w.calls("DPoP", next.Access, other.at(next.Access, nil)).Code != 200 {
				t.Errorf("%+v", next)
			}
			if again := p.refreshes("app", first.Refresh); again.Error != "invalid_grant" {
				t.Errorf("a repetition with another key: %+v", again)
			}
			if bearer := w.refreshes("app", next.Refresh); bearer.Type != "Bearer" || w.status(bearer.Access) != 200 {
				t.Errorf("%+v", bearer)
			}
			own := w.with(w.Token(), "app", []string{p.proof("POST", tokenURL, nil)}, "grant_type", "client_credentials")
			if own.Type != "DPoP" || w.calls("DPoP", own.Access, p.at(own.Access, nil)).Code != 200 {
				t.Errorf("%+v", own)
			}
			if about := w.post(w.Introspect(), "app", "token", own.Access); about.Type != "DPoP" || !strings.Contains(about.Body, `"cnf":{"jkt":"`+p.jkt+`"}`) {
				t.Errorf("introspection: %s", about.Body)
			}
		})
		t.Run("revocation_needs_no_key", func(t *testing.T) {
			pair := p.exchange("spa", w.code("spa", nil))
			if got := w.post(w.Revoke(), "spa", "token", pair.Refresh); got.Status != 200 {
				t.Errorf("%+v", got)
			}
			if rec := w.calls("DPoP", pair.Access, p.at(pair.Access, nil)); rec.Code != 401 || p.refreshes("spa", pair.Refresh).Status != 400 {
				t.Errorf("%d", rec.Code)
			}
		})
		t.Run("down", func(t *testing.T) {
			pair := p.exchange("spa", w.code("spa", nil))
			w.s.failUse.Store(true)
			defer w.s.failUse.Store(false)
			if rec := w.calls("DPoP", pair.Access, p.at(pair.Access, nil)); rec.Code != 503 {
				t.Errorf("%d", rec.Code)
			}
			if got := p.refreshes("spa", pair.Refresh); got.Status != 503 {
				t.Errorf("%d", got.Status)
			}
		})
		t.Run("off", func(t *testing.T) {
			off, err := oauth2.New(issuer, w.s, &oauth2.Options{Scopes: map[string]string{"read": ""}, Audience: "https://api.example", Clock: w.clock})
			must(t, err)
			pair := w.with(off.Token(), "spa", []string{"x", "y"}, "grant_type", "authorization_code", "code", w.code("spa", nil), "redirect_uri", redirect, "code_verifier", verifier)
			if pair.Type != "Bearer" || pair.Header.Get("DPoP-Nonce") != "" || len(off.Claims()) != 1 || off.Challenge(nil, authn.NotAuthenticated()) != "Bearer" {
				t.Errorf("%+v", pair)
			}
			r := httptest.NewRequest("GET", "/", nil)
			r.Header.Set("Authorization", "DPoP "+pair.Access)
			if _, err := (authn.Chain{off}).Authenticate(r); err != authn.ErrNoCredentials {
				t.Errorf("%v", err)
			}
			r.Header.Set("Authorization", "Bearer "+got.Access)
			if _, err := (authn.Chain{off}).Authenticate(r); err == nil {
				t.Error("attack_185: what was bound is a bearer token")
			}
		})
	})
}

// Codes are bound by "dpop_jkt", and pushed requests by that or a proof.
func TestBoundCode(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		w := newWorld(t, s, withDPoP)
		p, other := w.prover(), w.prover()
		bind := func(c *storage.Code) { c.Confirm = p.jkt }
		code := w.code("app", bind)
		for what, got := range map[string]reply{"another key": other.exchange("app", code), "no key": w.exchange("app", code)} {
			if got.Error != "invalid_grant" {
				t.Errorf("attack_185 %s: %d %s", what, got.Status, got.Body)
			}
		}
		if got := p.exchange("app", code); got.Status != 200 || got.Type != "DPoP" {
			t.Errorf("%+v", got)
		}
		if got := other.exchange("app", code); got.Error != "invalid_grant" || !strings.Contains(w.take(), "code_reused") {
			t.Errorf("used again, with another key: %+v", got)
		}
		push := func(proofs []string, pairs ...string) reply {
			return w.with(w.Push(), "app", proofs, append([]string{"response_type", "code", "redirect_uri", redirect, "code_challenge", challengeOf(verifier), "code_challenge_method", "S256"}, pairs...)...)
		}
		good := func() []string { return []string{p.proof("POST", issuer+"/oauth2/par", nil)} }
		for what, c := range map[string]struct {
			got  reply
			want string
		}{
			"a proof":            {push(good()), ""},
			"a thumbprint":       {push(nil, "dpop_jkt", p.jkt), ""},
			"both":               {push(good(), "dpop_jkt", p.jkt), ""},
			"another thumbprint": {push(good(), "dpop_jkt", other.jkt), "invalid_dpop_proof"},
			"no thumbprint":      {push(nil, "dpop_jkt", "x"), "invalid_request"},
			"for the token URL":  {push([]string{p.proof("POST", tokenURL, nil)}), "invalid_dpop_proof"},
		} {
			if (c.got.Status == 201) != (c.want == "") || c.got.Error != c.want {
				t.Errorf("%s: %d %s, want %q", what, c.got.Status, c.got.Body, c.want)
			}
		}
	})
}

// A request that says which key its code is for goes the whole way, pushed or not.
func TestBoundRequest(t *testing.T) {
	w := newWorld(t, memory.New(nil), func(o *oauth2.Options) {
		o.DPoP = &oauth2.DPoP{}
		o.Session = func(authn.Identity) (string, int64, bool) { return "session", 0, true }
	})
	p, other := w.prover(), w.prover()
	c, err := w.s.ClientByID(t.Context(), "app")
	must(t, err)
	c.Trusted = true
	must(t, w.s.UpdateClient(t.Context(), c))
	asks := func(v url.Values) string {
		h := authn.New(authn.Func(func(*http.Request) (authn.Identity, error) {
			return authn.Identity{Subject: "id-alice", Scheme: "session", AuthTime: w.clock()}, nil
		}), nil).Handler(w.Authorize("/login"))
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, httptest.NewRequest("GET", "/oauth2/authorize?"+v.Encode(), nil))
		to, err := url.Parse(rec.Header().Get("Location"))
		must(t, err)
		return to.Query().Get("code")
	}
	plain := url.Values{"client_id": {"app"}, "response_type": {"code"}, "redirect_uri": {redirect}, "code_challenge": {challengeOf(verifier)}, "code_challenge_method": {"S256"}}
	named := maps.Clone(plain)
	named.Set("dpop_jkt", p.jkt)
	var pairs []string
	for name, v := range plain {
		if name != "client_id" {
			pairs = append(pairs, name, v[0])
		}
	}
	var pushed struct {
		URI string `json:"request_uri"`
	}
	must(t, json.Unmarshal([]byte(w.with(w.Push(), "app", []string{p.proof("POST", issuer+"/oauth2/par", nil)}, pairs...).Body), &pushed))
	for what, v := range map[string]url.Values{"attack_185_dpop_jkt": named, "attack_185_pushed": {"client_id": {"app"}, "request_uri": {pushed.URI}}} {
		t.Run(what, func(t *testing.T) {
			code := asks(v)
			if got := other.exchange("app", code); got.Error != "invalid_grant" {
				t.Errorf("another key: %+v", got)
			}
			if got := p.exchange("app", code); got.Status != 200 || got.Type != "DPoP" {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestNonces(t *testing.T) {
	old, err := keys.NewRing([]byte(strings.Repeat("ab", 16)))
	must(t, err)
	both, err := keys.NewRing([]byte(strings.Repeat("cd", 16)), []byte(strings.Repeat("ab", 16)))
	must(t, err)
	w := newWorld(t, memory.New(nil), func(o *oauth2.Options) { o.DPoP = &oauth2.DPoP{Nonces: both, Required: true} })
	before, err := oauth2.New(issuer, w.s, &oauth2.Options{Scopes: map[string]string{"read": ""}, Clock: w.clock, DPoP: &oauth2.DPoP{Nonces: old}})
	must(t, err)
	elsewhere, err := oauth2.New("https://b.example", w.s, &oauth2.Options{Scopes: map[string]string{"read": ""}, Clock: w.clock, DPoP: &oauth2.DPoP{Nonces: both}})
	must(t, err)
	p := w.prover()
	ask := func(h http.Handler, nonce any) reply {
		return w.with(h, "app", []string{p.proof("POST", tokenURL, map[string]any{"nonce": nonce})}, "grant_type", "client_credentials")
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
	r := w.with(elsewhere.Token(), "app", []string{p.proof("POST", "https://b.example/oauth2/token", nil)}, "grant_type", "client_credentials")
	t.Run("attack_184_nonce", func(t *testing.T) {
		refused(t, nil, "", "x", nonce+"A", nonce[:31]+"_", 5, r.Header.Get("DPoP-Nonce"))
		none := w.post(w.Token(), "app", "grant_type", "client_credentials")
		if none.Status != 400 || none.Error != "invalid_dpop_proof" || none.Header.Get("DPoP-Nonce") == "" {
			t.Errorf("no proof at all: %d %s", none.Status, none.Body)
		}
	})
	rec := w.calls("DPoP", token.Access, p.at(token.Access, nil))
	if rec.Code != 401 || !strings.HasPrefix(rec.Header().Get("WWW-Authenticate"), `DPoP error="use_dpop_nonce"`) || rec.Header().Get("DPoP-Nonce") != nonce {
		t.Errorf("attack_184: %d %v", rec.Code, rec.Header())
	}
	rec = w.calls("DPoP", token.Access, p.at(token.Access, map[string]any{"nonce": nonce}))
	if rec.Code != 200 || rec.Header().Get("DPoP-Nonce") != nonce {
		t.Errorf("%d %v", rec.Code, rec.Header())
	}
	w.pass(4 * time.Minute)
	if got := ask(w.Token(), nonce); got.Status != 200 || got.Header.Get("DPoP-Nonce") == nonce {
		t.Errorf("after 4 minutes: %+v", got)
	}
	w.pass(time.Minute)
	refused(t, nonce)
}

func TestDPoPOptions(t *testing.T) {
	for what, c := range map[string]struct {
		good bool
		o    oauth2.Options
	}{
		"audience":        {true, oauth2.Options{Audience: "https://api.example/v1", DPoP: &oauth2.DPoP{}}},
		"issuer":          {true, oauth2.Options{DPoP: &oauth2.DPoP{}}},
		"origin":          {true, oauth2.Options{Audience: "urn:api", DPoP: &oauth2.DPoP{Origin: "https://api.example:8443"}}},
		"urn":             {false, oauth2.Options{Audience: "urn:api", DPoP: &oauth2.DPoP{}}},
		"http":            {false, oauth2.Options{DPoP: &oauth2.DPoP{Origin: "http://api.example"}}},
		"path":            {false, oauth2.Options{DPoP: &oauth2.DPoP{Origin: "https://api.example/"}}},
		"no token":        {false, oauth2.Options{Endpoints: oauth2.Endpoints{Token: "-"}, DPoP: &oauth2.DPoP{}}},
		"attack_184_user": {false, oauth2.Options{DPoP: &oauth2.DPoP{Origin: "https://u@api.example"}}},
	} {
		s, err := oauth2.New(issuer, memory.New(nil), &c.o)
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
		if got := s.Challenge(httptest.NewRequest("GET", "/", nil), authn.NotAuthenticated()); got != `Bearer, DPoP algs="ES256 EdDSA PS256 RS256"` {
			t.Errorf("%s", got)
		}
		if claims := s.Claims(); !slices.Contains(claims, authn.Claim{Keyword: "DPoP", Shape: "vat_", Begins: "vat_"}) {
			t.Errorf("%v", claims)
		}
	}
}
