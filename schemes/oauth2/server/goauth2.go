package server

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	goauth2 "github.com/go-oauth2/oauth2/v4"
	goerrors "github.com/go-oauth2/oauth2/v4/errors"
	"github.com/go-oauth2/oauth2/v4/models"
	goserver "github.com/go-oauth2/oauth2/v4/server"
)

// This is the only file that uses go-oauth2. Its server selects the grant of a token request and
// formats the response. Our own code checks codes, tokens and clients.

// frame is go-oauth2's server.
type frame struct {
	server *goserver.Server
	now    func() time.Time
}

func newFrame(s *Server) frame {
	grants := []goauth2.GrantType{goauth2.AuthorizationCode, goauth2.ClientCredentials, goauth2.Refreshing}
	if s.opts.InsecurePasswordGrant != nil {
		grants = append(grants, goauth2.PasswordCredentials)
	}
	f := frame{goserver.NewServer(&goserver.Config{TokenType: "Bearer", AllowedGrantTypes: grants}, manager{s}), s.now}
	f.server.SetExtensionFieldsHandler(extensionFields)
	return f
}

// knows reports whether the frame supports a grant type.
func (f frame) knows(grant string) bool { return f.server.CheckGrantType(goauth2.GrantType(grant)) }

// exchange returns the response to a token request. The frame calls back with the grant.
func (f frame) exchange(r *http.Request, grant string, x exchange) (tokenResponse, error) {
	ctx := context.WithValue(r.Context(), exchangeKey{}, x)
	info, err := f.server.GetAccessToken(ctx, goauth2.GrantType(grant), &goauth2.TokenGenerateRequest{ClientID: x.client.ID, Request: r})
	if err != nil {
		return tokenResponse{}, translateError(err)
	}
	t, ok := info.(tokenInfo)
	if !ok {
		return tokenResponse{}, errUnused
	}
	return t.response, nil
}

// members returns the members of a response.
func (f frame) members(a tokenResponse) map[string]any {
	t := models.NewToken()
	t.SetAccess(a.Access)
	t.SetAccessExpiresIn(a.Expires.Sub(f.now()).Round(time.Second)) // rounded, because creating the token took time
	t.SetRefresh(a.Refresh)
	t.SetScope(strings.Join(a.Scopes, " "))
	return f.server.GetTokenData(tokenInfo{t, a})
}

// tokenInfo is a response in go-oauth2's terms.
type tokenInfo struct {
	*models.Token
	response tokenResponse
}

// extensionFields returns the members of a response that the frame does not have.
func extensionFields(info goauth2.TokenInfo) map[string]any {
	t, ok := info.(tokenInfo)
	if !ok || t.response.ID == "" {
		return nil
	}
	return map[string]any{"id_token": t.response.ID}
}

// translateError returns our error for an error of the frame, and every other error unchanged.
func translateError(err error) error {
	switch {
	case errors.Is(err, goerrors.ErrUnauthorizedClient):
		return errUnauthorized
	case errors.Is(err, goerrors.ErrUnsupportedGrantType):
		return errUnsupported
	case errors.Is(err, goerrors.ErrInvalidGrant):
		return errGrant
	}
	return err
}

type exchangeKey struct{}

// manager receives the callbacks of the frame.
type manager struct{ s *Server }

var _ goauth2.Manager = manager{}

// GenerateAccessToken implements goauth2.Manager for all grants except refresh tokens.
func (m manager) GenerateAccessToken(ctx context.Context, grant goauth2.GrantType, _ *goauth2.TokenGenerateRequest) (goauth2.TokenInfo, error) {
	x, ok := ctx.Value(exchangeKey{}).(exchange)
	if !ok {
		return nil, errUnused
	}
	a, err := m.s.exchange(ctx, string(grant), x)
	return tokenInfo{models.NewToken(), a}, err
}

// RefreshAccessToken implements goauth2.Manager.
func (m manager) RefreshAccessToken(ctx context.Context, t *goauth2.TokenGenerateRequest) (goauth2.TokenInfo, error) {
	return m.GenerateAccessToken(ctx, goauth2.Refreshing, t)
}

// errUnused is returned by the methods of goauth2.Manager that no endpoint uses. Each of them would
// bypass a check of our endpoints.
var errUnused = errors.New("server: go-oauth2's manager is not used for this")

// GetClient implements goauth2.Manager.
func (manager) GetClient(context.Context, string) (goauth2.ClientInfo, error) { return nil, errUnused }

// GenerateAuthToken implements goauth2.Manager.
func (manager) GenerateAuthToken(context.Context, goauth2.ResponseType, *goauth2.TokenGenerateRequest) (goauth2.TokenInfo, error) {
	return nil, errUnused
}

// RemoveAccessToken implements goauth2.Manager.
func (manager) RemoveAccessToken(context.Context, string) error { return errUnused }

// RemoveRefreshToken implements goauth2.Manager.
func (manager) RemoveRefreshToken(context.Context, string) error { return errUnused }

// LoadAccessToken implements goauth2.Manager.
func (manager) LoadAccessToken(context.Context, string) (goauth2.TokenInfo, error) {
	return nil, errUnused
}

// LoadRefreshToken implements goauth2.Manager.
func (manager) LoadRefreshToken(context.Context, string) (goauth2.TokenInfo, error) {
	return nil, errUnused
}
