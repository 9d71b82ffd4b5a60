package server_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	goauth "github.com/go-oauth2/oauth2/v4"
	"github.com/go-oauth2/oauth2/v4/manage"
	"github.com/go-oauth2/oauth2/v4/models"
	"github.com/go-oauth2/oauth2/v4/server"
	"github.com/vestibule-auth/vestibule/internal/oauthtest"
)

// bare is go-oauth2's own server and manager with their defaults, as its README puts them
// together: what this package would be without its own. Its store keeps what it is given, as
// it is given, as the library's own do. "app" is a client of https://example.com with the
// secret "secret".
type bare struct {
	*server.Server
	t       *testing.T
	manager *manage.Manager
	store   *bareStore
}

func newBare(t *testing.T) *bare {
	m := manage.NewDefaultManager()
	b := &bare{t: t, manager: m, store: &bareStore{
		clients: map[string]goauth.ClientInfo{"app": &models.Client{ID: "app", Secret: "secret", Domain: "https://example.com"}}, tokens: map[string]goauth.TokenInfo{},
	}}
	m.MapTokenStorage(b.store)
	m.MapClientStorage(b.store)
	b.Server = server.NewDefaultServer(m)
	b.UserAuthorizationHandler = func(http.ResponseWriter, *http.Request) (string, error) { return "id-alice", nil }
	return b
}

// asks sends pairs to its authorization endpoint and returns where the browser goes.
func (b *bare) asks(pairs ...string) string {
	v := url.Values{"response_type": {"code"}, "client_id": {"app"}, "redirect_uri": {"https://example.com/cb"}, "state": {"s"}}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	rec := httptest.NewRecorder()
	_ = b.HandleAuthorizeRequest(rec, httptest.NewRequest("GET", "/authorize?"+v.Encode(), nil))
	return rec.Header().Get("Location")
}

// code returns a code of its authorization endpoint.
func (b *bare) code(pairs ...string) string {
	b.t.Helper()
	u, err := url.Parse(b.asks(pairs...))
	if err != nil || u.Query().Get("code") == "" {
		b.t.Fatalf("%s, %v", u, err)
	}
	return u.Query().Get("code")
}

// token sends pairs to its token endpoint.
func (b *bare) token(id, secret string, pairs ...string) oauthtest.Reply {
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	r := httptest.NewRequest("POST", "/token", strings.NewReader(v.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(id, secret)
	rec := httptest.NewRecorder()
	_ = b.HandleTokenRequest(rec, r)
	out := oauthtest.Reply{Status: rec.Code, Header: rec.Header(), Body: rec.Body.String()}
	_ = json.Unmarshal(rec.Body.Bytes(), &out)
	return out
}

func (b *bare) exchange(code string, pairs ...string) oauthtest.Reply {
	return b.token("app", "secret", append([]string{"grant_type", "authorization_code", "code", code, "redirect_uri", "https://example.com/cb"}, pairs...)...)
}

// bareStore is a map, under every text that a token has.
type bareStore struct {
	mu      sync.Mutex
	clients map[string]goauth.ClientInfo
	tokens  map[string]goauth.TokenInfo
	// both, where not nil, lets two readers of a code go on together.
	both *sync.WaitGroup
}

func (s *bareStore) GetByID(_ context.Context, id string) (goauth.ClientInfo, error) {
	return s.clients[id], nil
}

func (s *bareStore) Create(_ context.Context, info goauth.TokenInfo) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, text := range []string{info.GetCode(), info.GetAccess(), info.GetRefresh()} {
		if text != "" {
			s.tokens[text] = info
		}
	}
	return nil
}

func (s *bareStore) get(text string) (goauth.TokenInfo, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tokens[text], nil
}

func (s *bareStore) remove(text string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.tokens, text)
	return nil
}

func (s *bareStore) GetByCode(_ context.Context, text string) (goauth.TokenInfo, error) {
	info, err := s.get(text)
	if s.both != nil {
		s.both.Done()
		s.both.Wait()
	}
	return info, err
}

func (s *bareStore) GetByAccess(_ context.Context, text string) (goauth.TokenInfo, error) {
	return s.get(text)
}

func (s *bareStore) GetByRefresh(_ context.Context, text string) (goauth.TokenInfo, error) {
	return s.get(text)
}
func (s *bareStore) RemoveByCode(_ context.Context, text string) error    { return s.remove(text) }
func (s *bareStore) RemoveByAccess(_ context.Context, text string) error  { return s.remove(text) }
func (s *bareStore) RemoveByRefresh(_ context.Context, text string) error { return s.remove(text) }
