// Package authn finds out who makes a request. Package authz decides what the caller may do.
//
// An [Authenticator] looks for one kind of credentials in a request. A [Chain] calls several in
// order. [New] creates middleware from it.
//
// An authenticator has four possible results, and each leads to its own response:
//
//   - No credentials of its kind: the request continues as anonymous.
//   - Accepted: the request continues with an [Identity].
//   - Rejected: 401 with the challenge of the scheme.
//   - Error, for example because a store is down: 503 with Retry-After.
//
// After a rejection or an error, no other scheme is called.
//
// The package imports only the standard library.
//
// It is larger than other packages of this module, because its parts depend on each other: the
// chain, the middleware, the table of kept identities and the responses. All parts must keep the
// four results apart. They share the state of a request, which no handler can reach.
package authn

import (
	"context"
	"net/http"
	"slices"
	"time"
)

// User is the application's own account type. A scheme may load one. UserID returns the immutable
// identifier of the account.
type User interface{ UserID() string }

// Identity is the caller of a request. The zero value is anonymous. It is passed by value.
//
// You can modify the value that [FromContext] returns, including Roles and Scopes. The changes stay
// in your copy. User and Credential point to records that requests with the same credentials can
// share. Requests of different accounts never share them. Treat both as read-only, and call
// [UserFrom] for an account that you can modify. Options.Edited finds code that modifies them.
//
// Permissions of package authz read copies that no handler can reach, so a change that a handler
// makes never affects a decision.
type Identity struct {
	// Subject is the account's stable identifier, or "" for a client without a user. If the store
	// names its account table (storage.Spaced), Subject is for example "staff:1" and User.UserID
	// returns "1". Check that it is not "" before you compare it with an owner (authz.OwnedBy
	// checks this).
	Subject string
	// Client is the OAuth 2.0 client that makes the request, or "".
	Client string
	// Issuer is the issuer of Subject, or "" for this application. The same Subject from two
	// issuers means two different accounts.
	Issuer string
	// Scheme is the name of the scheme that accepted the credentials.
	Scheme string
	// Roles are the account's roles, such as "admin".
	Roles []string
	// Scopes limit what the credentials can be used for. nil means no limit by scopes. Scopes is
	// never nil if Client is set or the identity has actors. An empty list means that nothing is allowed.
	Scopes []string
	// User is the account, if the scheme loaded it. It is read-only, because requests with the same
	// credentials can share it. [UserFrom] returns a copy. If your own account type has a method
	// CloneUser() any that returns a deep copy of the same type, UserFrom and the permissions get
	// copies of it too.
	User User
	// Credential is the scheme's own record (request.auth in Django REST Framework). It is
	// read-only, because requests with the same credentials can share it.
	Credential any
	// AuthTime is the time at which the user proved their identity. Zero if unknown.
	AuthTime time.Time
	// ACR is the authentication context class of the login, such as "urn:example:mfa", and AMR lists
	// the methods that the user used, such as "pwd" and "otp" (RFC 8176). Empty if unknown.
	ACR string
	AMR []string
	// Expires is the time at which the credentials expire. Zero if unknown. Handlers of long
	// connections (WebSocket, SSE) must close them at that time.
	Expires time.Time

	actors *[]string            // see SetActors; a pointer, because few identities have actors; never modified
	store  any                  // see SetStore
	handed *handed              // for handlers; nil in every identity that an application gets
	mark   *mark[Authenticator] // see Kept; nil in every identity that the middleware returns
}

// Authenticated reports whether the identity has a user or a client.
func (id Identity) Authenticated() bool { return id.Subject != "" || id.Client != "" }

// SetStore records the store that has the account. A scheme that reads accounts from a store calls
// it for each identity. Endpoints that list or revoke the caller's credentials then reject an
// account of another store, even if it has the same ID (see login.FirstPartyOf).
//
// A decorator that replaces Subject with the ID of an account of another store MUST call it with that
// store. store is the whole store or its storage.AccountStoreOf.
func (id *Identity) SetStore(store any) { id.store = store }

// Store returns the store that has the account, or nil if the scheme did not record it.
func (id *Identity) Store() any { return id.store }

// Actors returns the clients that act for the user with a token from a token exchange (RFC 8693,
// section 4.1). The first one acts now, and is the only one that may decide access. The others show
// how it got the token. The list is empty for every other request, and is the caller's own. An actor
// that another issuer does not name is "".
//
// An identity with actors is never first-party: see [Identity.Delegated].
func (id Identity) Actors() []string {
	if id.actors == nil {
		return nil
	}
	return slices.Clone(*id.actors)
}

// SetActors sets the result of Actors. Authenticators call it; an empty list means none. It copies
// the list.
func (id *Identity) SetActors(list []string) {
	id.actors = nil
	if len(list) > 0 {
		own := slices.Clone(list)
		id.actors = &own
	}
}

// Delegated reports whether the identity is scope-limited, that is, whether the caller is an OAuth
// 2.0 client, acts for the user (see Actors), or has credentials with scopes. Such an identity has
// fewer rights than the account: checks of roles and permissions deny it.
func (id Identity) Delegated() bool { return id.Client != "" || id.Scopes != nil || id.actors != nil }

// FromContext returns the identity that the middleware found. It is anonymous if no middleware ran
// or the request had no credentials. Each call returns new copies of Roles and Scopes, so you can
// modify them. See [Identity] for User and Credential.
func FromContext(ctx context.Context) (id Identity) {
	if s := stateFrom(ctx); s != nil && s.id != nil {
		s.handOut(&id)
	}
	return id
}

// Peek returns the identity of the context without a copy, or nil for an anonymous request. Use it
// in permissions and guards. It does not contain the changes that a handler made to the result of
// [FromContext]. You MUST NOT modify it, because other requests with the same credentials can share
// it.
func Peek(ctx context.Context) *Identity {
	if s := stateFrom(ctx); s != nil {
		return s.id
	}
	return nil
}

// UserFrom returns the account that the accepting scheme loaded. It returns false if none was
// loaded or the account is not a U.
//
// You can modify the account if it has a method CloneUser() any, as *storage.Account has: if other
// requests share the account, each call returns a new copy. A shared account without this method is
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

// WithIdentity returns ctx with the identity id. Use it in adapters for other transports, and in
// tests (see package authntest). For HTTP, use the middleware. A later middleware replaces the
// identity.
func WithIdentity(ctx context.Context, id Identity) context.Context {
	if !id.Authenticated() {
		return &state{Context: ctx, decided: true}
	}
	id = id.Clone() // the caller may modify its value
	return &state{Context: ctx, id: &newOwned(&id).id, decided: true}
}

// Authenticator authenticates requests by one kind of credentials.
type Authenticator interface {
	// Authenticate looks for one kind of credentials in r. It returns:
	//
	//	identity, nil      Accepted.
	//	ErrNoCredentials   No credentials of this kind. A Chain calls the next scheme.
	//	ErrUnrecognized    (Wraps ErrNoCredentials.) The keyword of this scheme, but another
	//	                   format. A Chain calls the next scheme. If no scheme accepts the
	//	                   credentials, the response is 401.
	//	*Error             Rejected. A Chain stops. The client gets Status, Code and Detail.
	//	any other error    The request could not be decided. A Chain stops. The response is 503
	//	                   with Retry-After, and the error is logged.
	//
	// A zero Identity with a nil error is handled as an error, never as an anonymous request.
	// Authenticate must be safe for concurrent use and must not modify r.
	Authenticate(r *http.Request) (Identity, error)
}

// Func is an adapter that makes a function an [Authenticator].
type Func func(*http.Request) (Identity, error)

// Authenticate calls f(r).
func (f Func) Authenticate(r *http.Request) (Identity, error) { return f(r) }
