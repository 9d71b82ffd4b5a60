package oauth2

import (
	"net/http"
	"slices"

	"github.com/vestibule-auth/vestibule/authn"
)

// Userinfo returns the endpoint that tells the bearer of an access token about its user
// (OpenID Connect Core section 5.3): GET or POST with the token in Authorization, answered
// with "sub" and the claims that its scopes open. Mount it outside the chain. It needs
// Options.OpenID.
//
// A token without the scope "openid" is refused with 403 and insufficient_scope, a missing
// or bad one with 401.
func (s *Server) Userinfo() http.Handler {
	if s.opts.OpenID == nil {
		panic("oauth2: Userinfo without Options.OpenID")
	}
	alone := authn.New(authn.Chain{ownEndpoint{s}}, &authn.Options{Logger: s.opts.Logger})
	return s.cors("GET, POST", alone.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		claims, err := s.userinfo(w, r)
		if err != nil {
			authn.Respond(w, r, authn.Undecided(err))
			return
		}
		write(w, http.StatusOK, claims)
	})))
}

// ownEndpoint is the scheme in front of Userinfo, which is not the API's but the issuer's.
type ownEndpoint struct{ *Server }

// Authenticate is the Server's.
func (o ownEndpoint) Authenticate(r *http.Request) (authn.Identity, error) {
	return o.authenticate(r, o.at(o.opts.Endpoints.Userinfo, "/oauth2/userinfo"))
}

func (s *Server) userinfo(w http.ResponseWriter, r *http.Request) (map[string]any, error) {
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
	u, err := s.store.UserByID(r.Context(), id.Subject)
	if err != nil {
		return nil, err
	}
	claims, err := s.claimsOf(r.Context(), u, id.Scopes)
	if err != nil {
		return nil, err
	}
	claims["sub"] = id.Subject
	return claims, nil
}
