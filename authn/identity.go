// Package authn answers "who is making this request?".
//
// An [Authenticator] looks for one kind of credential in a request. A [Chain]
// asks several in order; [New] makes middleware of it. What the request may do
// is another question, answered by package authz.
//
// An authenticator has four answers: no credential of its kind, a good one, a
// refused one, and "could not tell". They stay four all the way to the client:
// an anonymous request goes on, a good one goes on with its [Identity], a
// refused one ends with 401 and the scheme's challenge, and where a store is
// down the answer is 503 with Retry-After. Nothing falls through after a refusal
// or a fault.
//
// The package imports the standard library alone.
package authn

import (
	"context"
	"net/http"
	"time"
)

// User is the application's own account type, where a scheme loaded one.
// UserID returns the immutable identifier of the account.
type User interface{ UserID() string }

// Identity is who makes a request. The zero value is anonymous. It is passed by
// value; what it points to (Roles, Scopes, User, Credential) is read-only: where the
// store keeps answers (package storage/cached) it is shared between requests.
type Identity struct {
	// Subject is the account's stable identifier; "" for a client without a user. It is
	// "staff:1" if the store names its account table (storage.Spaced); User.UserID returns "1".
	// Compare it with an owner only where it is not "" (authz.OwnedBy does).
	Subject string
	// Client is the OAuth2 client, where one acts.
	Client string
	// Issuer vouches for Subject; "" is this application. Subjects of two issuers
	// are two accounts, whatever their text.
	Issuer string
	// Scheme is the name of the scheme that accepted the credential.
	Scheme string
	// Roles are the account's coarse roles, such as "admin".
	Roles []string
	// Scopes limit what the credential may be used for. nil: not limited by
	// scopes (never so where Client is set); empty: limited to nothing.
	Scopes []string
	// User is the account, where the scheme loaded it; see UserFrom.
	User User
	// Credential is the scheme's own record (request.auth in Django REST
	// Framework).
	Credential any
	// AuthTime is when the user proved who he is; zero where that is not known.
	AuthTime time.Time
	// Expires is when the credential ends; zero where no end is known. Handlers
	// of long connections (WebSocket, SSE) end them then.
	Expires time.Time
}

// Authenticated reports whether somebody was recognised: a user or a client.
func (id Identity) Authenticated() bool { return id.Subject != "" || id.Client != "" }

// Delegated reports whether the identity acts with less than the account's full
// rights: for an OAuth2 client, or with a credential limited to scopes. Such an
// identity has no roles and no permissions of its own (RULES C4).
func (id Identity) Delegated() bool { return id.Client != "" || id.Scopes != nil }

// FromContext returns the identity that the middleware found, or the anonymous
// one where no middleware ran or nobody was recognised.
func FromContext(ctx context.Context) Identity {
	if id := Shared(ctx); id != nil {
		return *id
	}
	if s := stateFrom(ctx); s != nil {
		return s.identity()
	}
	return Identity{}
}

// Shared returns the identity of the context where it is one that several requests have
// (see Sharer), without a copy, for who only looks at it. nil: ask FromContext.
func Shared(ctx context.Context) *Identity {
	if s, ok := ctx.(*sharing); ok {
		return s.id
	}
	return nil
}

// UserFrom returns the account that the accepting scheme loaded. It reports
// false where none was loaded or it is of another type than U. The account is
// read-only, since it may be shared between requests (see Identity): who changes it
// makes a copy first, of its slices too.
func UserFrom[U User](ctx context.Context) (U, bool) {
	s := stateFrom(ctx)
	if s == nil {
		var none U
		return none, false
	}
	u, ok := s.user().(U)
	return u, ok
}

// WithIdentity returns ctx with id as its identity. It is for adapters of other
// transports and for tests (package authntest); within HTTP the middleware does
// it. A later middleware replaces it.
func WithIdentity(ctx context.Context, id Identity) context.Context {
	return newContext(ctx, nil, &found{own: id})
}

// Authenticator looks for one kind of credential.
type Authenticator interface {
	// Authenticate looks for one kind of credential in r.
	//
	//	identity, nil          found and good
	//	ErrNoCredentials       nothing of this kind: a Chain goes on
	//	ErrUnrecognized        (wraps ErrNoCredentials) my keyword, not my shape: a
	//	                       Chain goes on; if nobody takes it, 401
	//	*Error                 found and refused: the Chain stops; the client is
	//	                       told Status, Code, Detail
	//	any other error        could not decide: the Chain stops; 503 and
	//	                       Retry-After; the log gets the error
	//
	// A zero Identity with a nil error is a fault, never an anonymous success.
	// Authenticate is safe for concurrent use and does not change r.
	Authenticate(r *http.Request) (Identity, error)
}

// Func is a function as an Authenticator.
type Func func(*http.Request) (Identity, error)

// Authenticate calls f(r).
func (f Func) Authenticate(r *http.Request) (Identity, error) { return f(r) }
