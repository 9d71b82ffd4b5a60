package knox

import (
	"context"
	"net/http"

	"github.com/vestibule-auth/vestibule/authn/login"
	"github.com/vestibule-auth/vestibule/storage"
)

// Tokens returns the endpoint that lists the caller's own tokens: GET, answered with a list of
// {"id", "name", "created", "expiry", "last_used", "current"}, the last created first, without
// expired ones. current marks the token of the request. Nothing in it is secret.
//
// The caller is the account of the request's own token or, if the request has none of this
// scheme, of the identity that the chain in front of the endpoint found, such as a session's
// user. An identity that is limited to scopes is rejected with 403.
func (s *Scheme) Tokens() http.Handler {
	type item struct {
		ID       string  `json:"id"`
		Name     string  `json:"name"`
		Created  *string `json:"created"`
		Expiry   *string `json:"expiry"`
		LastUsed *string `json:"last_used"`
		Current  bool    `json:"current"`
	}
	return s.endpoints.List(s.caller, func(ctx context.Context, subject, current string) (any, error) {
		list, err := s.List(ctx, subject)
		items := make([]item, len(list))
		for i, t := range list {
			items[i] = item{t.ID, t.Name, login.TimeOrNull(t.Created), login.TimeOrNull(t.Expires), login.TimeOrNull(t.LastUsed), t.ID == current}
		}
		return items, err
	})
}

// RevokeOne returns the endpoint that revokes one of the caller's own tokens: DELETE of a path
// whose {id} names it, answered with 204, or with 404 if the caller has no such token. The
// caller is found as for Tokens; the token may be that of the request.
//
//	mux.Handle("DELETE /knox/tokens/{id}", tokens.RevokeOne(), authz.FirstParty)
func (s *Scheme) RevokeOne() http.Handler { return s.endpoints.RevokeOne(s.caller, s.Revoke) }

// caller returns whose tokens the request is about, and the ID of the request's own token, if
// it has one.
func (s *Scheme) caller(r *http.Request) (subject, current string, err error) {
	id, own, err := login.Caller(r, s)
	if own {
		current = id.Credential.(*storage.Credential).ID
	}
	return id.Subject, current, err
}
