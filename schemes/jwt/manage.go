package jwt

import (
	"context"
	"net/http"

	"github.com/vestibule-auth/vestibule/authn/login"
)

// maxListed is the largest number of logins in the response of Logins.
const maxListed = 100

// Logins returns the endpoint that lists the caller's logins. Each login is a family of refresh
// tokens. It accepts GET and responds with a list of {"id", "name", "created", "expiry",
// "current"}, the most recently created first, at most 100. current is true for the login of the
// request's own access token. The response contains no secrets.
//
// The caller is the account of the request's own access token. If the request has no token of this
// scheme, it is the identity that the chain found, such as the user of a session. A scope-limited
// identity is rejected with 403. Route to it through the chain.
func (s *Scheme) Logins() http.Handler {
	type item struct {
		ID      string `json:"id"`
		Name    string `json:"name"`
		Created string `json:"created"`
		Expiry  string `json:"expiry"`
		Current bool   `json:"current"`
	}
	return s.endpoints.List(s.caller, func(ctx context.Context, subject, current string) (any, error) {
		list, err := s.List(ctx, subject, maxListed)
		now, items := s.opts.Clock(), []item{}
		for _, f := range list {
			if now.Before(f.Expires) {
				items = append(items, item{f.ID, f.Name, login.Time(f.Created), login.Time(f.Expires), f.ID == current})
			}
		}
		return items, err
	})
}

// RevokeLogin returns the endpoint that revokes one of the caller's logins and its access tokens.
// It accepts DELETE for a path with the login's ID as {id}. The response is 204, or 404 if the
// caller has no such login. The caller is the same as for [Scheme.Logins]. After a 503 the login
// may still be valid.
//
//	mux.Handle("DELETE /jwt/logins/{id}", tokens.RevokeLogin(), authz.FirstParty)
func (s *Scheme) RevokeLogin() http.Handler { return s.endpoints.RevokeOne(s.caller, s.RevokeFamily) }

// caller returns the account whose logins are managed, and the family of the request's own access
// token, if it has one.
func (s *Scheme) caller(r *http.Request) (subject, current string, err error) {
	id, own, err := login.Caller(r, s, s.store)
	if own {
		current = id.Credential.(*Access).Family
	}
	return id.Subject, current, err
}
