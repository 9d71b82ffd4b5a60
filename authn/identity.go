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

// Identity is the caller of a request. The zero value is anonymous. It is passed by
// value.
//
// You can modify what [FromContext] returns, Roles and Scopes included: changes stay
// with the caller of FromContext. User and Credential point to records that requests
// with the same credential may share; requests of different accounts never share them.
// Treat both as read-only, and call [UserFrom] for an account that you can modify.
// Options.Edited finds code that modifies them. Permissions of package authz read copies
// that no handler can reach, so such a change never affects a decision.
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
	// User is the account, if the scheme loaded it. Requests with the same credential may
	// share it, so read it only; UserFrom returns a copy. If your own account type has a
	// method CloneUser() any that returns a deep copy of the same type, UserFrom and the
	// permissions get copies of it too.
	User User
	// Credential is the scheme's own record (request.auth in Django REST Framework).
	// Requests with the same credential may share it, so read it only.
	Credential any
	// AuthTime is when the user proved who he is; zero where that is not known.
	AuthTime time.Time
	// Expires is when the credential ends; zero where no end is known. Handlers
	// of long connections (WebSocket, SSE) end them then.
	Expires time.Time

	handed *handed              // for handlers; nil wherever an application sees an identity
	mark   *mark[Authenticator] // see Kept; nil in an identity that the middleware hands out
}

// Authenticated reports whether somebody was recognised: a user or a client.
func (id Identity) Authenticated() bool { return id.Subject != "" || id.Client != "" }

// Delegated reports whether the identity acts with less than the account's full
// rights: for an OAuth2 client, or with a credential limited to scopes. Such an
// identity has no roles and no permissions of its own.
func (id Identity) Delegated() bool { return id.Client != "" || id.Scopes != nil }

// FromContext returns the identity that the middleware found. It is anonymous if no
// middleware ran or the request had no credentials. Each call returns Roles and Scopes of
// its own, so what you write into them is visible nowhere else; see [Identity] for what
// User and Credential point to.
func FromContext(ctx context.Context) (id Identity) {
	if s := stateFrom(ctx); s != nil && s.id != nil {
		s.handOut(&id)
	}
	return id
}

// Peek returns the identity of the context without a copy, for permissions and guards; nil
// for an anonymous request. No handler can reach it, so a change that a handler made to
// what FromContext returned is not in it. You MUST NOT modify it: other requests with the
// same credential may have it too.
func Peek(ctx context.Context) *Identity {
	if s := stateFrom(ctx); s != nil {
		return s.id
	}
	return nil
}

// UserFrom returns the account that the accepting scheme loaded. It reports false if
// none was loaded or it has another type than U. You can modify the account: if other
// requests have it too and it has a method CloneUser() any, as *storage.Account has, each
// call returns a new copy. Without that method an account that the scheme shares is
// read-only.
func UserFrom[U User](ctx context.Context) (U, bool) {
	s := stateFrom(ctx)
	if s == nil || s.id == nil {
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
	if !id.Authenticated() {
		return &state{Context: ctx, decided: true}
	}
	id = id.Clone() // whoever calls this may modify what it passed
	return &state{Context: ctx, id: &newOwned(&id).id, decided: true}
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
