package authn

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/vestibule-auth/vestibule/internal/same"
)

// Keeper is an [Authenticator] whose identities the middleware can reuse for later requests with
// the same credentials, without calling Authenticate. Implement Presented, and mark the identities
// that can be kept with [Identity.Kept]:
//
//	return id.Kept(s, authn.Keep{Lease: user.LeaseOf(s.store)}), nil
//
// A Keeper must itself be a member of the chain. If a member decorates or embeds a Keeper,
// Authenticate is called for each request.
type Keeper interface {
	// Presented returns the credentials that r contains, unchecked, or "" if Authenticate must be
	// called for this request. It is called for each request, so it must be fast. See
	// [RawCredentials].
	//
	// The text MUST contain every part of the request on which the result of Authenticate depends,
	// each with its length. For example, if a tenant header selects the account, two requests with
	// different tenant headers must have different texts. In Keep.Check, check the parts that can
	// change while the credentials stay the same, such as the method, TLS or an address.
	//
	// guessable reports whether a person chose the credentials, such as a password. If it is true,
	// the text is hashed together with a key of this process and the client address. The identity
	// is kept for at most one minute, and any other guess from that address invalidates it.
	Presented(r *http.Request) (text string, guessable bool)
}

// Lease reports whether the result of a store can be reused. storage.Lease implements it.
type Lease interface {
	// Valid reports whether the store would return the same result for a request with the context
	// ctx. It must be fast. When the credentials are revoked, it must return false immediately.
	Valid(ctx context.Context) bool
}

// The longest time for which an identity is kept, in general and for guessable credentials.
const (
	MaxKeep          = time.Hour
	MaxKeepGuessable = time.Minute
)

// Keep defines how long an identity can be reused for requests with the same credentials. It can be
// reused while Lease is valid, and at most until the earliest of Until, Identity.Expires and the
// end of [MaxKeep] ([MaxKeepGuessable] if the credentials are guessable). MaxKeep is measured with
// the monotonic clock, so setting the wall clock back does not extend it.
type Keep struct {
	// Lease is the lease of the store's result. If it is nil, the identity is not kept.
	Lease Lease
	// Until is the time at which Authenticate must be called again, for example because it records
	// the use of the credentials. Zero means no such time.
	Until time.Time
	// From is the earliest time at which the identity can be used. If the clock is set back to an
	// earlier time, Authenticate is called again. Zero means any time.
	From time.Time
	// Clock returns the time that From, Until and Identity.Expires are compared with. nil means
	// time.Now.
	Clock func() time.Time
	// Check, if it is not nil, is called for each later request. It checks what can differ between
	// requests, such as the origin, an address or the current keys. nil means that the identity can
	// be used. [ErrAskAgain] means that Authenticate must be called. Any other error is the result
	// of the request.
	Check func(r *http.Request) error
	// Size is the approximate size of Identity.User and Identity.Credential together, in bytes. 0
	// means 500. It counts toward Options.KeepBytes.
	Size int
}

// ErrAskAgain is returned by Keep.Check if the kept identity does not fit the request. Authenticate
// is then called.
var ErrAskAgain = errors.New("authn: Keep.Check: the kept identity does not fit the request")

// mark is added to an identity or a login by Kept.
type mark[By any] struct {
	by   By
	keep Keep
}

// Kept returns id with a mark that allows the middleware to keep it. The argument by is the
// Authenticator that returns id. It must be a [Keeper] and comparable. If another Authenticator
// returns id, the identity is not kept, because that Authenticator may have changed it.
//
// The middleware copies the lists of id, and copies User and Credential with CloneUser and
// CloneCredential (see [Identity]). If User or Credential has another type that contains pointers,
// the identity is not kept, because a handler could change what permissions read.
func (id Identity) Kept(by Authenticator, k Keep) Identity {
	id.mark = nil
	if k.Lease != nil {
		id.mark = &mark[Authenticator]{by, k}
	}
	return id
}

// Kept returns l with a mark that allows a scheme to keep the identity that it creates from l; see
// [Login.KeepOf]. The argument by is the checker that returns l.
func (l Login) Kept(by PasswordChecker, k Keep) Login {
	l.mark = nil
	if k.Lease != nil {
		l.mark = &mark[PasswordChecker]{by, k}
	}
	return l
}

// KeepOf returns how long the login can be reused. It returns false if the given checker did not
// mark the login. The reason is that a checker that decorates another one can change the login from
// request to request.
func (l Login) KeepOf(by PasswordChecker) (Keep, bool) {
	if l.mark == nil || !same.Value(l.mark.by, by) {
		return Keep{}, false
	}
	return l.mark.keep, true
}

// takeMark removes the mark. It returns its Keep, or nil if a did not set the mark.
func (id *Identity) takeMark(a Authenticator) *Keep {
	m := id.mark
	id.mark = nil
	if m == nil || !same.Value(m.by, a) {
		return nil
	}
	return &m.keep
}
