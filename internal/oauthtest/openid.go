package oauthtest

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/authn/authntest"
	"github.com/vestibule-auth/vestibule/jose"
)

// DownKeys fails while down is set.
type DownKeys struct {
	*jose.KeySet
	Down bool
}

func (k *DownKeys) JWKS(ctx context.Context) ([]byte, error) {
	if k.Down {
		return nil, ErrDown
	}
	return k.KeySet.JWKS(ctx)
}

func (k *DownKeys) Keys(ctx context.Context, kid string, alg jose.Algorithm) ([]*jose.Key, error) {
	if k.Down {
		return nil, ErrDown
	}
	return k.KeySet.Keys(ctx, kid, alg)
}

func (k *DownKeys) Sign(ctx context.Context, typ string, claims []byte) (string, error) {
	if k.Down {
		return "", ErrDown
	}
	return k.KeySet.Sign(ctx, typ, claims)
}

func FreshRing(t testing.TB, alg jose.Algorithm) *jose.KeySet {
	t.Helper()
	key, err := jose.Generate(alg)
	Must(t, err)
	ring, err := jose.NewKeySet(key)
	Must(t, err)
	return ring
}

// Provider is a world with OpenID Connect: the clients may ask for "openid", and logouts that
// Ended a session are counted.
type Provider struct {
	*World
	Keys  *DownKeys
	Ended int
}

func NewProvider(t *testing.T, s Store, alg jose.Algorithm, change func(*Options)) *Provider {
	t.Helper()
	p := &Provider{Keys: &DownKeys{KeySet: FreshRing(t, alg)}}
	p.World = NewWorld(t, s, func(o *Options) {
		WithSessions(o)
		o.Scopes["profile"], o.Scopes["email"] = "", ""
		o.SigningKeys, o.OpenID = p.Keys, &OpenID{InIDToken: []string{"preferred_username", "email", "email_verified", "name", "department"}, EndSession: func(http.ResponseWriter, *http.Request) error {
			p.Ended++
			return nil
		}}
		if change != nil {
			change(o)
		}
	})
	for _, name := range []string{"app", "spa"} {
		c, err := s.ClientByID(t.Context(), name)
		Must(t, err)
		c.Scopes = append(c.Scopes, "openid", "profile", "email")
		c.LogoutURIs = []string{"https://app.example/bye", "https://app.example/bye?x=1"}
		Must(t, s.UpdateClient(t.Context(), c))
	}
	return p
}

// Login walks a user through the authorization endpoint and exchanges the code.
func (p *Provider) Login(session string, pairs ...string) (Reply, string) {
	p.T.Helper()
	rec := p.Authorizes(p.Alice(session), "GET", Query("app", append([]string{"scope", "openid profile email", "nonce", "n-1"}, pairs...)...), "")
	v := Sent(p.T, p.Authorizes(p.Alice(session), "POST", "", "decision=allow&handle="+HandleOf(p.T, rec)), Redirect)
	got := p.Exchange("app", v.Get("code"))
	return got, IdTokenOf(got)
}

func IdTokenOf(r Reply) string {
	var more struct {
		ID string `json:"id_token"`
	}
	_ = json.Unmarshal([]byte(r.Body), &more)
	return more.ID
}

// ClaimsOf verifies a token by the published keys and returns what it says.
func (p *Provider) ClaimsOf(token string, typ string) map[string]any {
	p.T.Helper()
	set, err := p.Keys.JWKS(p.T.Context())
	Must(p.T, err)
	keys, err := jose.ParseJWKS(set)
	Must(p.T, err)
	ring, err := jose.NewKeySet(keys...)
	Must(p.T, err)
	t, err := jose.Verify(p.T.Context(), token, ring, typ)
	if err != nil {
		p.T.Fatalf("token %q: %v", token, err)
	}
	var all map[string]any
	Must(p.T, json.Unmarshal(t.Claims.Raw(), &all))
	return all
}

func (p *Provider) UserInfoOf(method, authorization string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, Issuer+"/oauth2/userinfo", nil)
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	r.Header.Set("Origin", "https://page.example")
	rec := httptest.NewRecorder()
	p.UserInfo().ServeHTTP(rec, r)
	return rec
}

// LogsOut sends a request to the logout endpoint; body is "" for a GET.
func (p *Provider) LogsOut(session, query, body string) *httptest.ResponseRecorder {
	method := "GET"
	if body != "" {
		method = "POST"
	}
	r := httptest.NewRequest(method, Issuer+"/oauth2/logout?"+query, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if session != "" {
		r = authntest.As(r, *p.Alice(session))
	}
	rec := httptest.NewRecorder()
	p.Logout().ServeHTTP(rec, r)
	return rec
}
