package jwt

import (
	"context"
	"net/http"

	"github.com/vestibule-auth/vestibule/authn/login"
)

// maxListed is how many logins the endpoint Logins shows.
const maxListed = 100

// Logins returns the endpoint that lists the caller's own logins, each a family of refresh
// tokens: GET, answered with a list of {"id", "name", "created", "expiry", "current"}, the last
// created first, at most 100. current marks that of the request's own access token. Nothing in
// it is secret.
//
// The caller is the account of the request's own access token or, if the request has none of
// this scheme, of the identity that the chain in front of the endpoint found, such as a
// session's user. An identity that is limited to scopes is rejected with 403. Mount it behind
// the chain.
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

// RevokeLogin returns the endpoint that ends one of the caller's own logins, its access tokens
// included: DELETE of a path whose {id} names it, answered with 204, or with 404 if the caller
// has no such login. The caller is found as for Logins. After a 503 the login may still be
// active.
//
//	mux.Handle("DELETE /jwt/logins/{id}", tokens.RevokeLogin(), authz.FirstParty)
func (s *Scheme) RevokeLogin() http.Handler { return s.endpoints.RevokeOne(s.caller, s.RevokeFamily) }

// caller returns whose logins the request is about, and the family of the request's own access
// token, if it has one.
func (s *Scheme) caller(r *http.Request) (subject, current string, err error) {
	id, own, err := login.Caller(r, s)
	if own {
		current = id.Credential.(*Access).Family
	}
	return id.Subject, current, err
}
