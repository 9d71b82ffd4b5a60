package login

import (
	"context"
	"errors"
	"net/http"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/storage"
)

// CallerFunc returns the account on which an endpoint acts. If the request has credentials of this
// scheme, current is their ID.
type CallerFunc func(*http.Request) (subject, current string, err error)

// Caller returns the identity of the account on which an endpoint acts. If the request has
// credentials of scheme, Caller returns their identity, and own is true. Otherwise it returns the
// identity that the chain found, such as the user of a session. store is the store in which the
// endpoint acts. It returns a 403 if the identity is not a first-party account of that store (see
// [FirstPartyOf]).
func Caller(r *http.Request, scheme authn.Authenticator, store any) (id authn.Identity, own bool, err error) {
	id, err = scheme.Authenticate(r)
	own = err == nil
	var rejected *authn.Error
	if errors.Is(err, authn.ErrNoCredentials) && !errors.As(err, &rejected) {
		if other := authn.FromContext(r.Context()); other.Authenticated() {
			id, err = other, nil
		}
	}
	if err == nil {
		err = FirstPartyOf(id, store)
	}
	return id, own, err
}

// FirstPartyOf returns a 403 if id must not manage credentials in store. It accepts a first-party
// identity (see [FirstParty]) whose subject is in the store's name space, unless its account is
// known to be in another store. Call it if an endpoint takes the caller from the chain and acts in
// a store. A chain can have schemes over several stores, in which the same ID belongs to different
// people.
//
// If the stores have name spaces, the name space in the ID decides, because such an ID means the
// same account in all stores. Otherwise the store that the scheme recorded decides (see
// [authn.Identity.SetStore]). An identity without a recorded store counts as an account of store.
func FirstPartyOf(id authn.Identity, store any) error {
	if err := FirstParty(id); err != nil {
		return err
	}
	space := storage.SpaceOf(store)
	elsewhere := space == "" && id.Store() != nil && !storage.SameAccounts(id.Store(), store)
	if elsewhere || !storage.BelongsTo(space, id.Subject) {
		return authn.PermissionDenied("")
	}
	return nil
}

// FirstParty returns a 403 if id must not manage the account's credentials. It rejects an identity
// without a user, of another issuer, or with limited scopes (see [authn.Identity.Delegated]). If
// you act in a store, call [FirstPartyOf].
func FirstParty(id authn.Identity) error {
	if id.Subject == "" || id.Issuer != "" || id.Delegated() {
		return authn.PermissionDenied("")
	}
	return nil
}

// List returns an endpoint that lists the caller's own credentials. It accepts GET and responds
// with the result of list, which MUST NOT contain secrets.
func (e Endpoints) List(caller CallerFunc, list func(ctx context.Context, subject, current string) (any, error)) http.Handler {
	return e.JSON(http.MethodGet, func(_ http.ResponseWriter, r *http.Request) (any, error) {
		subject, current, err := caller(r)
		if err != nil {
			return nil, err
		}
		return list(r.Context(), subject, current)
	})
}

// RevokeOne returns an endpoint that revokes one of the caller's own credentials. It accepts DELETE
// for a path that contains the ID of the credentials as {id}. The response is 204, or 404 if revoke
// returns [storage.ErrNotFound]. revoke MUST check that the credentials belong to subject.
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
