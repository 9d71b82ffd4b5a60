package knox

import (
	"errors"
	"net/http"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/storage"
)

// Tokens returns the endpoint that lists the caller's own tokens: GET, answered
// with a list of {"id", "name", "created", "expiry", "last_used", "current"}, the
// last created first, expired ones left out. current marks the token of the
// request. Nothing in it is a secret.
//
// The caller is who the request's own token says; where there is none of this
// scheme, who the chain in front of it found, such as a session's user. One that
// is limited to scopes is refused with 403 (RULES C7).
func (s *Scheme) Tokens() http.Handler {
	type item struct {
		ID       string  `json:"id"`
		Name     string  `json:"name"`
		Created  *string `json:"created"`
		Expiry   *string `json:"expiry"`
		LastUsed *string `json:"last_used"`
		Current  bool    `json:"current"`
	}
	return s.only(http.MethodGet, func(w http.ResponseWriter, r *http.Request) error {
		subject, current, err := s.caller(r)
		if err != nil {
			return err
		}
		list, err := s.List(r.Context(), subject)
		if err != nil {
			return err
		}
		items := make([]item, len(list))
		for i, t := range list {
			items[i] = item{t.ID, t.Name, wireTime(t.Created), wireTime(t.Expires), wireTime(t.LastUsed), t.ID == current}
		}
		answer(w, items)
		return nil
	})
}

// RevokeOne returns the endpoint that ends one of the caller's own tokens: DELETE
// of a path whose {id} names it, answered with 204, or with 404 where the caller
// has no such token. The caller is found as for Tokens; it may be the token of the
// request that ends.
//
//	mux.Handle("DELETE /knox/tokens/{id}", tokens.RevokeOne(), authz.FirstParty)
func (s *Scheme) RevokeOne() http.Handler {
	return s.only(http.MethodDelete, func(w http.ResponseWriter, r *http.Request) error {
		subject, _, err := s.caller(r)
		if err != nil {
			return err
		}
		id := r.PathValue("id")
		if storage.CheckID("token id", id) != nil {
			return authn.NotFound("")
		}
		err = s.end(r.Context(), subject, id, Revoked)
		if errors.Is(err, storage.ErrNotFound) {
			return authn.NotFound("")
		}
		if err == nil {
			w.WriteHeader(http.StatusNoContent)
		}
		return err
	})
}

// caller returns whose tokens the request is about, and the ID of the token that
// it carries, if it does.
func (s *Scheme) caller(r *http.Request) (subject, current string, err error) {
	id, err := s.Authenticate(r)
	var refused *authn.Error
	if errors.Is(err, authn.ErrNoCredentials) && !errors.As(err, &refused) {
		if other := authn.FromContext(r.Context()); other.Authenticated() {
			id, err = other, nil
		}
	} else if err == nil {
		current = id.Credential.(*storage.Credential).ID
	}
	if err == nil {
		err = firstParty(id)
	}
	return id.Subject, current, err
}
