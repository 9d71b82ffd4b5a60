package jwt

import (
	"errors"
	"net/http"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/storage"
)

// maxListed is how many logins Logins shows.
const maxListed = 100

// Logins returns the endpoint that lists the caller's own logins, each a family of
// refresh tokens: GET, answered with a list of {"id", "name", "created", "expiry",
// "current"}, the last created first, at most 100. current marks that of the request's
// own access token. Nothing in it is a secret.
//
// The caller is who the request's own access token says; where there is none of this
// scheme, who the chain in front of it found, such as a session's user. One that is
// limited to scopes is refused with 403 (RULES C7). Mount it behind the chain.
func (s *Scheme) Logins() http.Handler {
	type item struct {
		ID      string `json:"id"`
		Name    string `json:"name"`
		Created string `json:"created"`
		Expiry  string `json:"expiry"`
		Current bool   `json:"current"`
	}
	return s.endpoint(func(w http.ResponseWriter, r *http.Request) (any, error) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", http.MethodGet)
			return nil, authn.MethodNotAllowed(r.Method)
		}
		subject, current, err := s.caller(r)
		if err != nil {
			return nil, err
		}
		list, err := s.List(r.Context(), subject, maxListed)
		if err != nil {
			return nil, err
		}
		now, items := s.opts.Clock(), []item{}
		for _, f := range list {
			if now.Before(f.Expires) {
				items = append(items, item{f.ID, f.Name, wireTime(f.Created), wireTime(f.Expires), f.ID == current})
			}
		}
		return items, nil
	})
}

// RevokeLogin returns the endpoint that ends one of the caller's own logins, its access
// tokens included: DELETE of a path whose {id} names it, answered with 204, or with 404
// where the caller has no such login. The caller is found as for Logins. A 503 says
// that the login has not ended.
//
//	mux.Handle("DELETE /jwt/logins/{id}", tokens.RevokeLogin(), authz.FirstParty)
func (s *Scheme) RevokeLogin() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := s.revokeLogin(w, r); err != nil {
			authn.Respond(w, r, s.bearer(err))
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
}

func (s *Scheme) revokeLogin(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodDelete {
		w.Header().Set("Allow", http.MethodDelete)
		return authn.MethodNotAllowed(r.Method)
	}
	subject, _, err := s.caller(r)
	if err != nil {
		return err
	}
	id := r.PathValue("id")
	if storage.CheckID("family id", id) != nil {
		return authn.NotFound("")
	}
	err = s.RevokeFamily(r.Context(), subject, id)
	if errors.Is(err, storage.ErrNotFound) {
		return authn.NotFound("")
	}
	return err
}

// caller returns whose logins the request is about, and the family of the access token
// that it carries, if it does.
func (s *Scheme) caller(r *http.Request) (subject, current string, err error) {
	id, err := s.Authenticate(r)
	var refused *authn.Error
	if errors.Is(err, authn.ErrNoCredentials) && !errors.As(err, &refused) {
		if other := authn.FromContext(r.Context()); other.Authenticated() {
			id, err = other, nil
		}
	} else if err == nil {
		current = id.Credential.(*Access).Family
	}
	if err == nil && (id.Subject == "" || id.Issuer != "" || id.Delegated()) {
		err = authn.PermissionDenied("")
	}
	return id.Subject, current, err
}

// wireTime is RFC 3339 with microseconds, in UTC.
func wireTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000Z") }
