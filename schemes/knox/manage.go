package knox

import (
	"context"
	"net/http"

	"github.com/vestibule-auth/vestibule/authn/login"
	"github.com/vestibule-auth/vestibule/storage"
)

// Tokens returns the endpoint that lists the caller's tokens. It accepts a GET and responds with a
// list of {"id", "name", "created", "expiry", "last_used", "current"}, the newest first and without
// expired tokens. current is true for the token of the request. The list holds no secrets.
//
// The caller is the account of the request's own token. If the request has no token of this scheme,
// it is the identity that the chain in front of the endpoint authenticated, such as the user of a
// session. A scope-limited identity is rejected with 403.
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

// RevokeOne returns the endpoint that revokes one of the caller's tokens. It accepts a DELETE for a
// path in which {id} is the token's ID. The response is 204, or 404 if the caller has no such
// token. The caller is determined as in [Scheme.Tokens]. The caller can revoke the token of the
// request.
//
//	mux.Handle("DELETE /knox/tokens/{id}", tokens.RevokeOne(), authz.FirstParty)
func (s *Scheme) RevokeOne() http.Handler { return s.endpoints.RevokeOne(s.caller, s.Revoke) }

// caller returns the account whose tokens the request concerns, and the ID of the request's own
// token if it has one.
func (s *Scheme) caller(r *http.Request) (subject, current string, err error) {
	id, own, err := login.Caller(r, s, s.store)
	if own {
		current = id.Credential.(*storage.Credential).ID
	}
	return id.Subject, current, err
}
