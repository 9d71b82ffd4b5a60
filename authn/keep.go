package authn

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/vestibule-auth/vestibule/internal/same"
)

// Keeper is an Authenticator whose identities the middleware can give to later requests with
// the same credentials, without calling Authenticate. Implement Presented, and mark the
// identities that can be kept with [Identity.Kept]:
//
//	return id.Kept(s, authn.Keep{Lease: user.LeaseOf(s.store)}), nil
//
// Only the Authenticator that is itself a member of the chain is a Keeper there: for a
// decorator, and for a type that embeds a Keeper, each request calls Authenticate.
type Keeper interface {
	// Presented returns the credentials of its kind as r carries them, unchecked, or "" if
	// this request has to be authenticated. It is called for each request, so it must be
	// cheap; see [RawCredentials].
	//
	// The text MUST contain everything of the request that the result of Authenticate depends
	// on, each part with its length: if a tenant header selects the account, two requests that
	// differ in it must have two texts. What can change while the credentials stay the same,
	// such as the method, TLS or an address, belongs into Keep.Check.
	//
	// guessable reports that a person chose the credentials, as with a password. The text is
	// then hashed with a key of this process and with the address of the client, its identity
	// is kept for a minute at most, and any other guess from that address ends it.
	Presented(r *http.Request) (text string, guessable bool)
}

// Lease says whether the answer of a store can be used again. storage.Lease is one.
type Lease interface {
	// Valid reports whether the store would give the same answer to a request with that
	// context. It must be cheap, and false once the credential is revoked.
	Valid(ctx context.Context) bool
}

// Limits of how long an identity is kept.
const (
	MaxKeep          = time.Hour
	MaxKeepGuessable = time.Minute
)

// Keep says how long an identity can be given to other requests with the same credentials: until
// Until, Identity.Expires or [MaxKeep] ([MaxKeepGuessable] if they are guessable), whichever is
// first, and while Lease holds. MaxKeep is measured by the monotonic clock, so setting the wall
// clock back keeps nothing longer.
type Keep struct {
	// Lease is that of the store's answer. nil keeps nothing.
	Lease Lease
	// Until is when Authenticate must be called again at the latest, for example because it
	// records the use of the credential; zero: see Lease and Identity.Expires.
	Until time.Time
	// From is when an identity can be kept at the earliest: if the clock is set back to before it,
	// Authenticate is called again. Zero is any time.
	From time.Time
	// Clock is what From, Until and Identity.Expires are compared with; nil is time.Now.
	Clock func() time.Time
	// Check, if it is not nil, is called for each later request with what may differ in it:
	// the origin, an address, the current keys. nil accepts; ErrAskAgain calls Authenticate;
	// any other error is the result.
	Check func(r *http.Request) error
	// Size is about how many bytes Identity.User and Identity.Credential take together; 0 is
	// 500. It counts in Options.KeepBytes.
	Size int
}

// ErrAskAgain, returned by Keep.Check, means that the kept identity does not fit the request:
// Authenticate decides.
var ErrAskAgain = errors.New("authn: the kept identity does not fit the request")

// mark is what Kept adds to an identity or a login.
type mark[By any] struct {
	by   By
	keep Keep
}

// Kept returns id with a mark that lets the middleware keep it. by is the Authenticator that
// returns it, which must be a [Keeper] and comparable. An identity that another Authenticator
// passes on, and may have changed, is not kept.
//
// The middleware copies the lists of id, and User and Credential by CloneUser and
// CloneCredential (see [Identity]); an identity with an account or a credential of another
// type that has pointers is not kept, since a handler could change what permissions read.
func (id Identity) Kept(by Authenticator, k Keep) Identity {
	id.mark = nil
	if k.Lease != nil {
		id.mark = &mark[Authenticator]{by, k}
	}
	return id
}

// Kept returns l with a mark that lets a scheme keep the identity that it makes of it; see
// [Login.KeepOf]. by is the checker that returns it.
func (l Login) Kept(by PasswordChecker, k Keep) Login {
	l.mark = nil
	if k.Lease != nil {
		l.mark = &mark[PasswordChecker]{by, k}
	}
	return l
}

// KeepOf returns how long the login can be used again, and true if it was by itself that
// marked it: a checker that calls by may change the login from request to request.
func (l Login) KeepOf(by PasswordChecker) (Keep, bool) {
	if l.mark == nil || !same.Value(l.mark.by, by) {
		return Keep{}, false
	}
	return l.mark.keep, true
}

// takeMark removes the mark and returns what it says, or nil if it is not that of a.
func (id *Identity) takeMark(a Authenticator) *Keep {
	m := id.mark
	id.mark = nil
	if m == nil || !same.Value(m.by, a) {
		return nil
	}
	return &m.keep
}
