package openid

import (
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
)

// UserInfo returns the endpoint with the claims about the user of an access token (OpenID Connect
// Core, section 5.3). It accepts GET and POST with the token in Authorization, and POST of a form
// with "access_token" (RFC 6750, section 2.2) for bearer tokens. The response has "sub" and the claims that the token's scopes allow. Mount it outside the chain.
//
// A token without the scope openid gets 403 with insufficient_scope. A missing or invalid token
// gets 401. The endpoint applies the limit of rejected credentials ([authn.Options.Refusals]) of
// the middleware around it; see [authn.Middleware.Public].
func (p *Provider) UserInfo() http.Handler {
	own := p.scheme.Own(p.server.URL(p.server.Options().Endpoints.UserInfo))
	alone := authn.New(authn.Chain{own}, &authn.Options{Logger: p.log})
	return p.server.CORS("GET, POST", p.readForm(alone.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		claims, err := p.userInfo(w, r)
		if err != nil {
			authn.Respond(w, r, authn.Undecided(err))
			return
		}
		oauth2.WriteJSON(w, http.StatusOK, claims)
	}))))
}

// readForm moves the access token of a form to the header from which schemes read it. A token in
// the query, or in two places, is rejected.
func (p *Provider) readForm(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("access_token") {
			oauth2.RespondError(w, r, errTokenPlace, p.log)
			return
		}
		if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); r.Method == http.MethodPost && err == nil && kind == "application/x-www-form-urlencoded" {
			f, err := oauth2.ReadPageForm(w, r)
			if err != nil {
				oauth2.RespondError(w, r, err, p.log)
				return
			}
			if token := f.Get("access_token"); token != "" {
				if len(r.Header["Authorization"]) > 0 || r.URL.RawQuery != "" || strings.ContainsFunc(token, func(c rune) bool { return c <= ' ' || c > '~' }) {
					oauth2.RespondError(w, r, errTokenPlace, p.log)
					return
				}
				r = r.Clone(r.Context())
				r.Header.Set("Authorization", "Bearer "+token)
			}
		}
		next.ServeHTTP(w, r)
	})
}

var errTokenPlace = oauth2.NewError("invalid_request", "The access token is in the query, in two places, or malformed.")

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
	claims, err := p.userClaims(r.Context(), u, id.Scopes)
	if err != nil {
		return nil, err
	}
	claims["sub"] = id.Subject
	return claims, nil
}
