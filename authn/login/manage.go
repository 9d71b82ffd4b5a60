package login

import (
	"context"
	"errors"
	"net/http"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/storage"
)

// CallerFunc returns the account that an endpoint acts for, and the ID of the request's own
// credential if it is one of this scheme's.
type CallerFunc func(*http.Request) (subject, current string, err error)

// Caller returns the identity that an endpoint acts for: that of the scheme's own credential in
// the request (own is true), or, if there is none, the one that the chain in front of the
// endpoint found, such as a session's user. Only first-party identities are accepted.
func Caller(r *http.Request, scheme authn.Authenticator) (id authn.Identity, own bool, err error) {
	id, err = scheme.Authenticate(r)
	own = err == nil
	var rejected *authn.Error
	if errors.Is(err, authn.ErrNoCredentials) && !errors.As(err, &rejected) {
		if other := authn.FromContext(r.Context()); other.Authenticated() {
			id, err = other, nil
		}
	}
	if err == nil {
		err = FirstParty(id)
	}
	return id, own, err
}

// FirstParty returns a 403 for an identity that must not manage the account's credentials: one
// without a user, one of another issuer, and one that acts with less than the account's rights.
func FirstParty(id authn.Identity) error {
	if id.Subject == "" || id.Issuer != "" || id.Delegated() {
		return authn.PermissionDenied("")
	}
	return nil
}

// List returns an endpoint that lists the caller's own credentials: GET, answered with what list
// returns. Put nothing secret into it.
func (e Endpoints) List(caller CallerFunc, list func(ctx context.Context, subject, current string) (any, error)) http.Handler {
	return e.JSON(http.MethodGet, func(_ http.ResponseWriter, r *http.Request) (any, error) {
		subject, current, err := caller(r)
		if err != nil {
			return nil, err
		}
		return list(r.Context(), subject, current)
	})
}

// RevokeOne returns an endpoint that revokes one of the caller's own credentials: DELETE of a path
// whose {id} names it, answered with 204, or with 404 if revoke returns storage.ErrNotFound.
// revoke MUST check that the credential is the subject's.
func (e Endpoints) RevokeOne(caller CallerFunc, revoke func(ctx context.Context, subject, id string) error) http.Handler {
	return e.NoContent(http.MethodDelete, func(_ http.ResponseWriter, r *http.Request) error {
		subject, _, err := caller(r)
		if err != nil {
			return err
		}
		id := r.PathValue("id")
		if storage.CheckID("id", id) != nil {
			return authn.NotFound("")
		}
		err = revoke(audit.Context(r), subject, id)
		if errors.Is(err, storage.ErrNotFound) {
			return authn.NotFound("")
		}
		return err
	})
}
