package oidclogin_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/contrib/oidclogin"
	"github.com/vestibule-auth/vestibule/jose"
)

type claims map[string]any

// provider is a provider whose responses a test changes. It checks PKCE, but a code can be used again,
// so that a test finds out what the application itself prevents.
type provider struct {
	t      testing.TB
	server *httptest.Server
	ring   *jose.KeySet
	iss    bool // sends "iss" in responses

	mu     sync.Mutex
	sub    string
	change claims // claims of the next ID tokens; nil removes one
	sign   func(text []byte) (string, error)
	status int // of the token endpoint; 0: 200
	codes  map[string]url.Values
}

func newProvider(t testing.TB) *provider {
	t.Helper()
	k, err := jose.Generate(jose.ES256)
	must(t, err)
	p := &provider{t: t, iss: true, sub: "7", codes: map[string]url.Values{}}
	p.ring, err = jose.NewKeySet(k)
	must(t, err)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{
			"issuer": p.server.URL, "authorization_endpoint": p.server.URL + "/authorize", "token_endpoint": p.server.URL + "/token",
			"jwks_uri": p.server.URL + "/keys", "end_session_endpoint": p.server.URL + "/logout", "id_token_signing_alg_values_supported": []string{"ES256", "HS256", "none"},
			"authorization_response_iss_parameter_supported": p.iss, "code_challenge_methods_supported": []string{"S256"},
		})
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, r *http.Request) {
		set, err := p.ring.JWKS(r.Context())
		must(t, err)
		_, _ = w.Write(set)
	})
	mux.HandleFunc("POST /token", p.token)
	p.server = httptest.NewTLSServer(mux)
	t.Cleanup(p.server.Close)
	return p
}

// named returns the provider for an application.
func (p *provider) named(name string) oidclogin.Provider {
	return oidclogin.Provider{Name: name, Issuer: p.server.URL, ClientID: "app", ClientSecret: "secret of " + name, LoginClaims: true, ACR: map[string]string{"gold": "urn:example:mfa"}}
}

func (p *provider) set(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
}

// allows is the user's decision at the provider. It returns the address of the callback.
func (p *provider) allows(authorize *url.URL) string {
	q := authorize.Query()
	p.mu.Lock()
	defer p.mu.Unlock()
	code := fmt.Sprint("code", len(p.codes))
	p.codes[code] = q
	v := url.Values{"code": {code}, "state": {q.Get("state")}}
	if p.iss {
		v.Set("iss", p.server.URL)
	}
	return q.Get("redirect_uri") + "?" + v.Encode()
}

func (p *provider) token(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	began, ok := p.codes[r.PostFormValue("code")]
	sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	_, secret, _ := r.BasicAuth()
	w.Header().Set("Content-Type", "application/json")
	switch {
	case p.status != 0:
		w.WriteHeader(p.status)
		_, _ = w.Write([]byte(`{"error":"server_error"}`))
		return
	case !ok, secret == "", began.Get("redirect_uri") != r.PostFormValue("redirect_uri"),
		began.Get("code_challenge_method") != "S256", base64.RawURLEncoding.EncodeToString(sum[:]) != began.Get("code_challenge"):
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"error":"invalid_grant"}`))
		return
	}
	now := time.Now()
	access := "access token"
	hash := sha256.Sum256([]byte(access))
	c := claims{"iss": p.server.URL, "aud": "app", "sub": p.sub, "nonce": began.Get("nonce"), "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(), "sid": "s1",
		"auth_time": now.Unix(), "acr": "gold", "amr": []string{"pwd", "otp"}, "at_hash": base64.RawURLEncoding.EncodeToString(hash[:16]), "preferred_username": "user " + p.sub}
	maps.Copy(c, p.change)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	text, err := json.Marshal(c)
	must(p.t, err)
	sign := p.sign
	if sign == nil {
		sign = func(text []byte) (string, error) { return p.ring.Sign(r.Context(), "JWT", text) }
	}
	id, err := sign(text)
	must(p.t, err)
	_ = json.NewEncoder(w).Encode(map[string]any{"access_token": access, "token_type": "Bearer", "id_token": id, "expires_in": 300})
}

// logoutToken returns a logout token.
func (p *provider) logoutToken(change claims) string {
	c := claims{"iss": p.server.URL, "aud": "app", "sub": p.sub, "iat": time.Now().Unix(), "exp": time.Now().Add(time.Minute).Unix(), "jti": fmt.Sprint(time.Now().UnixNano()),
		"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}}
	maps.Copy(c, change)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	text, err := json.Marshal(c)
	must(p.t, err)
	token, err := p.ring.Sign(p.t.Context(), "logout+jwt", text)
	must(p.t, err)
	return token
}

// client trusts the certificates of the test servers.
func client(servers ...*httptest.Server) *http.Client { return servers[0].Client() }

// decode decodes a claim, as link.Person does.
func (c claims) decode(name string, v any) error {
	text, err := json.Marshal(c[name])
	if err != nil {
		return err
	}
	return json.Unmarshal(text, v)
}
