package dpop_test

import (
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

func TestProofRefuses(t *testing.T) {
	oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
		w := oauthtest.NewWorld(t, s, oauthtest.WithDPoP)
		replica := newReplica(t, w)
		p, other := w.NewProver(), w.NewProver()
		pair := p.Exchange("spa", w.Code("spa", nil))
		token := pair.Access
		type m = map[string]any
		head := func(change m) func() string {
			return func() string {
				p.Change = func(_ *oauthtest.Prover, h map[string]any) { maps.Copy(h, change) }
				defer func() { p.Change = nil }()
				return p.At(token, nil)
			}
		}
		private := maps.Clone(p.JWK)
		private["d"] = "AA"
		used := p.At(token, nil)
		if rec := w.Calls("DPoP", token, used); rec.Code != 200 {
			t.Fatalf("%d", rec.Code)
		}
		good := p.At(token, nil)
		at := func(d time.Duration) any { return w.Clock().Add(d).Unix() }
		bad := map[string][]string{
			"attack_184_none":         nil,
			"attack_184_two":          {good, p.At(token, nil)},
			"attack_184_twice_in_one": {good + ", " + good},
			"attack_184_htm":          {p.At(token, m{"htm": "POST"})},
			"attack_184_htm_case":     {p.At(token, m{"htm": "get"})},
			"attack_184_no_htm":       {p.At(token, m{"htm": nil})},
			"attack_184_htu":          {p.At(token, m{"htu": "https://api.example/other"})},
			"attack_184_htu_host":     {p.At(token, m{"htu": "https://evil.example/notes"})},
			"attack_184_htu_scheme":   {p.At(token, m{"htu": "http://api.example/notes"})},
			"attack_184_htu_port":     {p.At(token, m{"htu": "https://api.example:8443/notes"})},
			"attack_184_htu_user":     {p.At(token, m{"htu": "https://u@api.example/notes"})},
			"attack_184_htu_path":     {p.At(token, m{"htu": "/notes"})},
			"attack_184_no_htu":       {p.At(token, m{"htu": nil})},
			"attack_184_htu_list":     {p.At(token, m{"htu": []string{oauthtest.APIURL}})},
			"attack_184_old":          {p.At(token, m{"iat": at(-62 * time.Second)})},
			"attack_184_future":       {p.At(token, m{"iat": at(62 * time.Second)})},
			"attack_184_no_iat":       {p.At(token, m{"iat": nil})},
			"attack_184_iat_text":     {p.At(token, m{"iat": "1"})},
			"attack_184_expired":      {p.At(token, m{"exp": at(0)})},
			"attack_184_not_yet":      {p.At(token, m{"nbf": at(2 * time.Second)})},
			"attack_184_no_jti":       {p.At(token, m{"jti": nil})},
			"attack_184_jti_long":     {p.At(token, m{"jti": strings.Repeat("j", 256)})},
			"attack_184_jti_1_MiB":    {p.At(token, m{"jti": strings.Repeat("j", 1<<20)})},
			"attack_184_long":         {p.At(token, m{"x": strings.Repeat("j", 8<<10)})},
			"attack_184_jti_used":     {used},
			"attack_184_ath":          {p.At(token, m{"ath": oauthtest.AthOf(token + "x")})},
			"attack_184_no_ath":       {p.At(token, m{"ath": nil})},
			"attack_184_other_key":    {other.At(token, nil)},
			"attack_184_typ":          {head(m{"typ": "JWT"})()},
			"attack_184_alg_none":     {head(m{"alg": "none"})()},
			"attack_184_alg_HS":       {head(m{"alg": "HS256"})()},
			"attack_184_private":      {head(m{"jwk": private})()},
			"attack_184_others_jwk":   {head(m{"jwk": other.JWK})()},
			"attack_184_no_jwk":       {head(m{"jwk": nil})()},
			"attack_184_signature":    {good[:len(good)-8] + "AAAAAAAA"},
			"attack_184_garbage":      {"x"},
			"attack_184_empty":        {""},
		}
		for what, proofs := range bad {
			t.Run(what, func(t *testing.T) {
				for _, server := range []*oauthtest.World{w, replica} {
					rec := server.Calls("DPoP", token, proofs...)
					if rec.Code != 401 || rec.Header().Get("WWW-Authenticate") != `DPoP error="invalid_dpop_proof", algs="ES256 EdDSA PS256 RS256"` {
						t.Errorf("%d %v", rec.Code, rec.Header())
					}
				}
			})
		}
		if rec := replica.Calls("DPoP", token, good); rec.Code != 200 {
			t.Errorf("a refused one burnt a good one: %d", rec.Code)
		}
		for _, edge := range []time.Duration{-59 * time.Second, time.Minute} {
			if rec := w.Calls("DPoP", token, p.At(token, m{"iat": at(edge)})); rec.Code != 200 {
				t.Errorf("%v: %d", edge, rec.Code)
			}
		}
		// At the token endpoint.
		spent := p.Proof("POST", oauthtest.TokenURL, nil)
		ask := func(proofs ...string) oauthtest.Reply {
			return w.PostWith(w.Token(), "app", proofs, "grant_type", "client_credentials")
		}
		if got := ask(spent); got.Status != 200 || got.Type != "DPoP" {
			t.Errorf("%+v", got)
		}
		for what, proofs := range map[string][]string{
			"attack_184_token_used": {spent}, "attack_184_token_two": {p.Proof("POST", oauthtest.TokenURL, nil), p.Proof("POST", oauthtest.TokenURL, nil)},
			"attack_184_token_method": {p.Proof("GET", oauthtest.TokenURL, nil)}, "attack_184_token_other": {p.Proof("POST", oauthtest.Issuer+"/oauth2/par", nil)},
			"attack_184_token_host": {p.Proof("POST", "https://evil.example/oauth2/token", nil)}, "attack_184_token_empty": {""},
		} {
			t.Run(what, func(t *testing.T) {
				if got := ask(proofs...); got.Status != 400 || got.Error != "invalid_dpop_proof" {
					t.Errorf("%d %s", got.Status, got.Body)
				}
			})
		}
		if strings.Contains(w.Log.String(), strings.Split(good, ".")[1]) {
			t.Error("a proof is in the log")
		}
	})
}

// newReplica is another server over the same store.
func newReplica(t *testing.T, w *oauthtest.World) *oauthtest.World {
	t.Helper()
	server, err := oauthtest.New(oauthtest.Issuer, w.DB, &oauthtest.Options{
		Scopes: map[string]string{"read": ""}, Audience: "https://api.example", Clock: w.Clock, DPoP: &oauthtest.DPoP{},
	})
	oauthtest.Must(t, err)
	return &oauthtest.World{Server: server, T: t, DB: w.DB, Secrets: w.Secrets}
}

func TestProofRace(t *testing.T) {
	oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
		w := oauthtest.NewWorld(t, s, oauthtest.WithDPoP)
		replica := newReplica(t, w)
		p := w.NewProver()
		token := p.Exchange("spa", w.Code("spa", nil)).Access
		one, another := p.At(token, nil), p.Proof("POST", oauthtest.TokenURL, nil)
		api := oauthtest.Together(func(i int) int { return []*oauthtest.World{w, replica}[i%2].Calls("DPoP", token, one).Code })
		grants := oauthtest.Together(func(int) int {
			return w.PostWith(w.Token(), "app", []string{another}, "grant_type", "client_credentials").Status
		})
		t.Run("attack_184_race", func(t *testing.T) {
			if api[200] != 1 || api[401] != 63 || grants[200] != 1 || grants[400] != 63 {
				t.Errorf("%v %v", api, grants)
			}
		})
	})
}

// The path counts as it was sent, whatever a handler around cut off.
func TestProofPath(t *testing.T) {
	w := oauthtest.NewWorld(t, memory.New(nil), oauthtest.WithDPoP)
	p := w.NewProver()
	token := p.Exchange("spa", w.Code("spa", nil)).Access
	try := func(target, htu string) int {
		r := httptest.NewRequest("GET", target, nil)
		r.Header.Set("Authorization", "DPoP "+token)
		r.Header.Set("DPoP", p.Proof("GET", htu, map[string]any{"ath": oauthtest.AthOf(token)}))
		rec := httptest.NewRecorder()
		http.StripPrefix("/api", authn.New(authn.Chain{w.Scheme()}, nil).Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))).ServeHTTP(rec, r)
		return rec.Code
	}
	for _, c := range []struct {
		target, htu string
		want        int
	}{
		{"/api/notes", "https://api.example/api/notes", 200},
		{"/api/notes", "https://api.example/notes", 401},
		{"https://evil.example/api/notes", "https://evil.example/api/notes", 401},
		{"/api/a%2fb?x=%3f", "https://api.example/api/a%2Fb", 200},
		{"/api/a%2fb", "https://api.example/api/a/b", 401},
		{"/api/%7Ea", "https://api.example/api/~a", 200},
	} {
		if got := try(c.target, c.htu); got != c.want {
			t.Errorf("attack_184 %s as %s: %d, want %d", c.target, c.htu, got, c.want)
		}
	}
}

// The log says what was expected: who configured it wrong sees it there alone.
func TestProofReason(t *testing.T) {
	w := oauthtest.NewWorld(t, memory.New(nil), oauthtest.WithDPoP)
	p := w.NewProver()
	token := p.Exchange("spa", w.Code("spa", nil)).Access
	r := httptest.NewRequest("GET", "https://evil.example/notes", nil)
	r.Header.Set("Authorization", "DPoP "+token)
	r.Header.Set("DPoP", p.Proof("GET", "https://evil.example/notes", map[string]any{"ath": oauthtest.AthOf(token)}))
	_, err := w.Scheme().Authenticate(r)
	var refused *authn.Error
	if !errors.As(err, &refused) || refused.Unwrap() == nil || !strings.HasSuffix(refused.Unwrap().Error(), "for another URL (here it begins with https://api.example)") {
		t.Errorf("%v", err)
	}
}

// Whatever stands in the header, it is refused, or is a good proof and used once.
func FuzzProof(f *testing.F) {
	w := oauthtest.NewWorld(f, memory.New(nil), oauthtest.WithDPoP)
	p := w.NewProver()
	token := p.Exchange("spa", w.Code("spa", nil)).Access
	for _, claims := range []map[string]any{nil, {"htu": "https://api.example:443/%6eotes"}, {"htm": "POST"}, {"htu": "https://api.example/%"}, {"iat": 1e300}, {"jti": ""}} {
		f.Add(p.At(token, claims))
	}
	f.Add("a.b.c")
	f.Fuzz(func(t *testing.T, text string) {
		ask := func() error {
			r := httptest.NewRequest("GET", "/notes", nil)
			r.Header.Set("Authorization", "DPoP "+token)
			r.Header["Dpop"] = []string{text}
			_, err := w.Scheme().Authenticate(r)
			return err
		}
		_ = ask()
		var refused *authn.Error
		if err := ask(); !errors.As(err, &refused) || refused.Status != 401 {
			t.Errorf("%v", err)
		}
	})
}
