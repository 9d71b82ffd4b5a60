// Package totp adds a second factor to logins: codes from an authenticator app (RFC 6238), and
// recovery codes for users who have lost the app.
//
// Create a [TOTP] with [New]. Users enroll with [TOTP.Enroll] and [TOTP.Confirm]. A login then has
// two steps. [Page] is the page that asks for the code. Its method SecondFactor connects this page
// to the login page of package session. After both steps, Identity.AMR contains "pwd" and "otp", so
// authz.Factors("otp") allows the user.
//
// Other login endpoints check only the password. Pass them the checker that [TOTP.Require] returns,
// which rejects accounts that have a second factor. Otherwise the password is enough to get a
// token.
//
// A code is valid once. The key of the app is encrypted with the master key, and recovery codes are
// stored as keyed hashes, so a stolen table is useless without the master key.
package totp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/credential"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/storage"
)

// The kinds of the factors in the store.
const (
	kindApp      = "totp"
	kindRecovery = "recovery"
)

// Store holds the factors, the logins between their two steps, and the counters of attempts. The
// stores of packages memory, gormstore and cached implement it.
type Store interface {
	storage.Factors
	storage.OneTimeTokens
	storage.Users
	storage.Attempts
	storage.Transactor
}

// Options configure a [TOTP]. A nil *Options means all defaults.
type Options struct {
	// Attempts is the maximum number of wrong codes of an account in 15 minutes, 3 to 100; 0 means
	// 10. Right codes do not count. Only a caller that knows the password can try codes.
	Attempts int
	// Wait is the time that a user has to enter the code after the password, 1 to 15 minutes; 0
	// means 5 minutes.
	Wait time.Duration
	// Fresh is the maximum age of a login that may enroll or disable the second factor, so that a
	// stolen session is not enough. It must be at least 1 minute; 0 means 5 minutes.
	Fresh time.Duration
	// ACR is the authentication context class of a login with both factors, such as
	// "urn:example:mfa". "" means none.
	ACR string
	// Audit receives login.succeeded, login.failed (reason second_factor) and login.throttled of
	// the second step. Nil drops them.
	Audit *audit.Notifier
	// Clock returns the current time; nil means time.Now. Rand is the source of random bytes; nil
	// means crypto/rand.
	Clock func() time.Time
	Rand  io.Reader
}

// TOTP manages and checks second factors. It is safe for concurrent use and starts no goroutine.
type TOTP struct {
	store  Store
	ring   *keys.Ring
	issuer string
	opts   Options
}

// New returns a TOTP. ring is the master key ring that encrypts the keys of the apps. If you remove
// a master key from the ring, the app keys that were encrypted with it cannot be read, and their
// users need [TOTP.Reset]. issuer is the name of your application, as authenticator apps show it.
// opts can be nil. New returns an error if an argument is missing or an option is out of range.
func New(store Store, ring *keys.Ring, issuer string, opts *Options) (*TOTP, error) {
	if store == nil || ring == nil || issuer == "" {
		return nil, errors.New("totp: New: store, ring and issuer are required")
	}
	t := &TOTP{store: store, ring: ring, issuer: issuer}
	if opts != nil {
		t.opts = *opts
	}
	o := &t.opts
	if o.Attempts == 0 {
		o.Attempts = 10
	}
	if o.Wait == 0 {
		o.Wait = 5 * time.Minute
	}
	if o.Fresh == 0 {
		o.Fresh = 5 * time.Minute
	}
	switch {
	case o.Attempts < 3 || o.Attempts > 100:
		return nil, fmt.Errorf("totp: New: Attempts %d out of range (3 to 100)", o.Attempts)
	case o.Wait < time.Minute || o.Wait > 15*time.Minute:
		return nil, fmt.Errorf("totp: New: Wait %s out of range (1m to 15m)", o.Wait)
	case o.Fresh < time.Minute:
		return nil, fmt.Errorf("totp: New: Fresh %s out of range (at least 1m)", o.Fresh)
	}
	if err := o.Audit.CheckStore(store); err != nil {
		return nil, fmt.Errorf("totp: New: %w", err)
	}
	o.Clock, o.Rand = credential.Sources(o.Clock, o.Rand)
	return t, nil
}

func (t *TOTP) now() time.Time { return credential.Stamp(t.opts.Clock()) }

// Enabled reports whether the account has a confirmed authenticator app. Any error comes from the
// store.
func (t *TOTP) Enabled(ctx context.Context, subject string) (bool, error) {
	f, err := t.app(ctx, subject)
	return f.Confirmed, err
}

// app returns the confirmed app of an account. If there is none, it returns the app that is not
// confirmed yet, or the zero Factor if the account has no app.
func (t *TOTP) app(ctx context.Context, subject string) (app storage.Factor, err error) {
	list, err := t.store.FactorsOf(ctx, subject, kindApp)
	for _, f := range list {
		if f.Confirmed {
			return f, err
		}
		app = f
	}
	return app, err
}

// fresh rejects an identity that may not change the account's second factor.
func (t *TOTP) fresh(id authn.Identity) error {
	now := t.now()
	switch {
	case id.Subject == "":
		return authn.NotAuthenticated()
	case id.Issuer != "" || id.Client != "" || id.Delegated():
		return authn.PermissionDenied("")
	case id.AuthTime.IsZero() || now.Sub(id.AuthTime) > t.opts.Fresh || storage.Ahead(now, id.AuthTime):
		return authn.InsufficientAuthentication(authn.StepUp{MaxAge: t.opts.Fresh})
	}
	return nil
}

// Require returns a checker for login endpoints that have no second step, such as the endpoints of
// packages knox and jwt, and for Basic. If the account has a second factor, the checker rejects
// even the correct password, with status 401 and the code "second_factor_required". Callers that do
// not know the password do not learn that the account has a second factor.
func (t *TOTP) Require(passwords authn.PasswordChecker) authn.PasswordChecker {
	if passwords == nil {
		panic("totp: Require: the password checker must be set")
	}
	return required{passwords, t}
}

type required struct {
	authn.PasswordChecker
	t *TOTP
}

func (c required) CheckPassword(r *http.Request, name, text string) (authn.Login, error) {
	login, err := c.PasswordChecker.CheckPassword(r, name, text)
	if err != nil {
		return login, err
	}
	switch on, err := c.t.Enabled(r.Context(), login.Subject); {
	case err != nil:
		return authn.Login{}, err
	case on:
		e := authn.AuthenticationFailed("This account requires a second factor. Log in on the website.")
		e.Code = "second_factor_required"
		return authn.Login{}, e
	}
	return login, nil
}
