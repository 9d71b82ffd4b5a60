package oauthtest

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
	"strings"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/jose"
)

// Prover makes proofs with a key.
type Prover struct {
	w      *World
	Key    ed25519.PrivateKey
	JKT    string
	JWK    map[string]any
	n      int
	Change func(*Prover, map[string]any) // changes the header; nil: none
}

func (w *World) NewProver() *Prover {
	w.T.Helper()
	key := Ed25519Key(w.T)
	jkt, err := jose.Thumbprint(key.Public())
	Must(w.T, err)
	return &Prover{w: w, Key: key, JKT: jkt, JWK: map[string]any{"kty": "OKP", "crv": "Ed25519", "x": base64.RawURLEncoding.EncodeToString(key.Public().(ed25519.PublicKey))}}
}

// Proof makes a good proof with some claims changed; nil takes one away.
func (p *Prover) Proof(method, uri string, change map[string]any) string {
	p.n++
	head := map[string]any{"typ": "dpop+jwt", "alg": "EdDSA", "jwk": p.JWK}
	if p.Change != nil {
		p.Change(p, head)
	}
	claims := map[string]any{"jti": fmt.Sprint("proof-", p.n), "htm": method, "htu": uri, "iat": p.w.Clock().Unix()}
	maps.Copy(claims, change)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	var parts []string
	for _, v := range []any{head, claims} {
		text, err := json.Marshal(v)
		Must(p.w.T, err)
		parts = append(parts, base64.RawURLEncoding.EncodeToString(text))
	}
	signed := strings.Join(parts, ".")
	return signed + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(p.Key, []byte(signed)))
}

const TokenURL = Issuer + "/oauth2/token"

// PostWith posts a form as that client with proofs.
func (w *World) PostWith(h http.Handler, client string, proofs []string, pairs ...string) Reply {
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Add(pairs[i], pairs[i+1])
	}
	r := httptest.NewRequest("POST", TokenURL, nil)
	r.Host = "evil.example"
	for _, p := range proofs {
		r.Header.Add("DPoP", p)
	}
	w.As(client, v, r)
	return w.Send(h, r, v.Encode())
}

// Exchange exchanges a code with a good proof.
func (p *Prover) Exchange(client, code string) Reply {
	return p.w.PostWith(p.w.Token(), client, []string{p.Proof("POST", TokenURL, nil)}, "grant_type", "authorization_code", "code", code, "redirect_uri", Redirect, "code_verifier", Verifier)
}

func (p *Prover) Refreshes(client, token string) Reply {
	return p.w.PostWith(p.w.Token(), client, []string{p.Proof("POST", TokenURL, nil)}, "grant_type", "refresh_token", "refresh_token", token)
}

func AthOf(token string) string {
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

const APIURL = "https://api.example/notes"

// At is a good proof for a token at the API.
func (p *Prover) At(token string, change map[string]any) string {
	claims := map[string]any{"ath": AthOf(token)}
	maps.Copy(claims, change)
	return p.Proof("GET", APIURL, claims)
}

// Calls asks the API under a keyword with proofs, through the middleware.
func (w *World) Calls(keyword, token string, proofs ...string) *httptest.ResponseRecorder {
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

func WithDPoP(o *Options) { o.DPoP = &DPoP{} }
