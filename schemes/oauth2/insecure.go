package oauth2

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/storage"
)

// Grant types that OAuth 2.1 left out (RFC 9700 sections 2.1.2 and 2.4), for
// storage.Client.Grants. Each needs its option too.
const (
	// Password needs Options.InsecurePasswordGrant, Implicit Options.InsecureImplicitGrant.
	Password = "password"
	Implicit = "implicit"
)

// byPassword gives tokens for a user's name and password (RFC 6749 section 4.3). The epoch is
// the one that was read before the password was checked (RULES T1).
func (s *Server) byPassword(ctx context.Context, x exchange, r *http.Request) (answer, error) {
	name, password := x.form.get("username"), x.form.get("password")
	if name == "" || password == "" {
		return answer{}, refuse("invalid_request", "The username or the password is missing.")
	}
	scopes, err := s.scopesOf(x.form.get("scope"), x.client.Scopes, x.client.Default)
	if err != nil {
		return answer{}, err
	}
	resource, err := resourcesOf(x.form, s.mayName(x.client), nil)
	if err != nil {
		return answer{}, err
	}
	login, err := audit.Call("oauth2.Options.InsecurePasswordGrant", func() (authn.Login, error) { return s.opts.InsecurePasswordGrant.CheckPassword(r, name, password) })
	var refused *authn.Error
	switch {
	case errors.As(err, &refused) && refused.Status == http.StatusTooManyRequests:
		return answer{}, err
	case errors.As(err, &refused):
		return answer{}, errGrant.with(err)
	case err != nil:
		return answer{}, err
	}
	if err := s.proved(ctx, x.proof); err != nil {
		return answer{}, err
	}
	a, err := s.begin(ctx, x, beginning{family: storage.Family{Subject: login.Subject, Scopes: scopes, Resource: resource, Epoch: login.Epoch}, resource: resource})
	if errors.Is(err, storage.ErrStale) {
		return answer{}, errGrant.with(err)
	}
	return a, err
}

// implicit answers an allowed request of the response type "token" (RFC 6749 section 4.2): an
// access token in the fragment, and no refresh token.
func (s *Server) implicit(w http.ResponseWriter, r *http.Request, q request, u user) error {
	a, err := s.begin(r.Context(), exchange{client: q.client}, beginning{
		family:   storage.Family{Subject: u.subject, Scopes: q.Scopes, Resource: q.Resource, Epoch: u.epoch, AuthTime: u.authTime},
		resource: q.Resource,
	})
	if errors.Is(err, storage.ErrStale) {
		return s.send(w, r, q, nil, refuse("access_denied", "The login has ended.").with(err))
	}
	if err != nil {
		return err
	}
	seconds := a.Expires.Sub(s.now()).Round(time.Second) / time.Second
	return s.send(w, r, q, url.Values{
		"access_token": {a.Access}, "token_type": {"Bearer"}, "expires_in": {strconv.Itoa(int(seconds))}, "scope": {strings.Join(a.Scopes, " ")},
	}, nil)
}
