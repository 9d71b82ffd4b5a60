package oauth2

import (
	"cmp"
	"errors"
	"net/http"

	"github.com/vestibule-auth/vestibule/authn"
)

// Own is [Scheme.At] for an endpoint that checks its access token itself, outside the chain. It
// applies the limit of rejected credentials ([authn.Options.Refusals]) of the middleware around the
// endpoint.
func (s *Scheme) Own(url string) authn.Authenticator { return limited{s.At(url)} }

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
