package oauth2

import (
	"context"
	"errors"
	"strings"
	"time"

	goauth "github.com/go-oauth2/oauth2/v4"
	goerrors "github.com/go-oauth2/oauth2/v4/errors"
	"github.com/go-oauth2/oauth2/v4/models"

	"github.com/vestibule-auth/vestibule/storage"
)

// exchange is one request of the token endpoint, whose client is authenticated. It goes
// through go-oauth2's frame in the context.
type exchange struct {
	client storage.Client
	form   form
	source string // where it comes from
	key    string // thumbprint of the key of its proof (RFC 9449); "" for none
	proof  proof  // to be proved before anything is given or used up
}

// refreshKey is the key that refresh tokens are bound to: a public client's. A confidential
// client's are bound to what authenticates it (RFC 9449 section 5).
func (x exchange) refreshKey() string {
	if x.client.Public() {
		return x.key
	}
	return ""
}

type exchangeKey struct{}

// answer is what an exchange gave; it is sealed for a repetition (RULES T3).
type answer struct {
	Access  string    `json:"a"`
	Expires time.Time `json:"e"`
	Refresh string    `json:"r,omitempty"`
	Scopes  []string  `json:"s,omitempty"`
	ID      string    `json:"i,omitempty"` // the ID token
}

// manager is what go-oauth2's frame does its work with. The frame decides which grant is
// asked for and writes the answer's members; codes, tokens and clients are ours.
type manager struct{ s *Server }

var _ goauth.Manager = manager{}

// GenerateAccessToken implements goauth.Manager for codes and for clients themselves.
func (m manager) GenerateAccessToken(ctx context.Context, grant goauth.GrantType, tgr *goauth.TokenGenerateRequest) (goauth.TokenInfo, error) {
	x, ok := ctx.Value(exchangeKey{}).(exchange)
	if !ok {
		return nil, errNotThisWay
	}
	switch grant {
	case goauth.AuthorizationCode:
		a, err := m.s.exchangeCode(ctx, x)
		return m.info(a), err
	case goauth.PasswordCredentials:
		a, err := m.s.byPassword(ctx, x, tgr.Request)
		return m.info(a), err
	case goauth.ClientCredentials:
		a, err := m.s.forItself(ctx, x)
		return m.info(a), err
	}
	return nil, goerrors.ErrUnsupportedGrantType
}

// RefreshAccessToken implements goauth.Manager.
func (m manager) RefreshAccessToken(ctx context.Context, _ *goauth.TokenGenerateRequest) (goauth.TokenInfo, error) {
	x, ok := ctx.Value(exchangeKey{}).(exchange)
	if !ok {
		return nil, errNotThisWay
	}
	a, err := m.s.refresh(ctx, x)
	return m.info(a), err
}

// tokenInfo is an answer with what the frame has no place for.
type tokenInfo struct {
	*models.Token
	id string
}

// further are the members of an answer that the frame does not know.
func further(info goauth.TokenInfo) map[string]any {
	t, ok := info.(tokenInfo)
	if !ok || t.id == "" {
		return nil
	}
	return map[string]any{"id_token": t.id}
}

// info is an answer as the frame reads it.
func (m manager) info(a answer) goauth.TokenInfo {
	t := models.NewToken()
	t.SetAccess(a.Access)
	t.SetAccessExpiresIn(a.Expires.Sub(m.s.now()).Round(time.Second)) // what making it took is not taken off
	t.SetRefresh(a.Refresh)
	t.SetScope(strings.Join(a.Scopes, " "))
	return tokenInfo{t, a.ID}
}

// errNotThisWay answers the parts of goauth.Manager that no endpoint here uses: each would
// pass by a check that our own endpoints make.
var errNotThisWay = errors.New("oauth2: this is not done by go-oauth2's manager")

// GetClient implements goauth.Manager.
func (m manager) GetClient(context.Context, string) (goauth.ClientInfo, error) {
	return nil, errNotThisWay
}

// GenerateAuthToken implements goauth.Manager.
func (m manager) GenerateAuthToken(context.Context, goauth.ResponseType, *goauth.TokenGenerateRequest) (goauth.TokenInfo, error) {
	return nil, errNotThisWay
}

// RemoveAccessToken implements goauth.Manager.
func (m manager) RemoveAccessToken(context.Context, string) error { return errNotThisWay }

// RemoveRefreshToken implements goauth.Manager.
func (m manager) RemoveRefreshToken(context.Context, string) error { return errNotThisWay }

// LoadAccessToken implements goauth.Manager.
func (m manager) LoadAccessToken(context.Context, string) (goauth.TokenInfo, error) {
	return nil, errNotThisWay
}

// LoadRefreshToken implements goauth.Manager.
func (m manager) LoadRefreshToken(context.Context, string) (goauth.TokenInfo, error) {
	return nil, errNotThisWay
}
