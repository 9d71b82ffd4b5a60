package openid

import (
	"cmp"
	"errors"
	"net/http"
	"slices"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
)

// UserInfo returns the endpoint with the claims about the user of an access token (OpenID Connect
// Core, section 5.3). It accepts GET and POST with the token in Authorization. The response has
// "sub" and the claims that the token's scopes allow. Mount it outside the chain.
//
// A token without the scope openid gets 403 with insufficient_scope. A missing or invalid token
// gets 401. The endpoint applies the limit of rejected credentials ([authn.Options.Refusals]) of
// the middleware around it; see [authn.Middleware.Public].
func (p *Provider) UserInfo() http.Handler {
	own := limited{p.scheme.At(p.server.URL(p.server.Options().Endpoints.UserInfo))}
	alone := authn.New(authn.Chain{own}, &authn.Options{Logger: p.log})
	return p.server.CORS("GET, POST", alone.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		claims, err := p.userInfo(w, r)
		if err != nil {
			authn.Respond(w, r, authn.Undecided(err))
			return
		}
		oauth2.WriteJSON(w, http.StatusOK, claims)
	})))
}

func (p *Provider) userInfo(w http.ResponseWriter, r *http.Request) (map[string]any, error) {
	id := authn.FromContext(r.Context())
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodPost && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, POST")
		return nil, authn.MethodNotAllowed(r.Method)
	case !id.Authenticated():
		return nil, authn.NotAuthenticated()
	case id.Subject == "" || !slices.Contains(id.Scopes, scopeOpenID):
		e := authn.PermissionDenied("")
		e.Code, e.Scopes = authn.CodeInsufficientScope, []string{scopeOpenID}
		return nil, e
	}
	u, err := p.server.Store().UserByID(r.Context(), id.Subject)
	if err != nil {
		return nil, err
	}
	claims, err := p.Claims(r.Context(), u, id.Scopes)
	if err != nil {
		return nil, err
	}
	claims["sub"] = id.Subject
	return claims, nil
}

// limited is the scheme of an endpoint under the limits of refused credentials that the middleware in
// front of it has, which asks no chain.
type limited struct{ authn.Authenticator }

// Unwrap returns the scheme.
func (l limited) Unwrap() authn.Authenticator { return l.Authenticator }

// Headers returns Authorization.
func (limited) Headers() []string { return []string{"Authorization"} }

// Authenticate implements authn.Authenticator.
func (l limited) Authenticate(r *http.Request) (authn.Identity, error) {
	text := cmp.Or(authn.RawCredentials(r, "Bearer"), authn.RawCredentials(r, "DPoP"))
	own, err := authn.AdmitOwn(r, text)
	if err != nil {
		return authn.Identity{}, err
	}
	id, err := l.Authenticator.Authenticate(r)
	var refused *authn.Error
	switch {
	case err == nil:
		own.Accepted(id)
	case errors.Is(err, authn.ErrUnrecognized), errors.As(err, &refused) && refused.Status == http.StatusUnauthorized:
		if tooMany := own.Unknown(); tooMany != nil {
			return authn.Identity{}, tooMany
		}
	}
	return id, err
}
