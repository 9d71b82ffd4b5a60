// Package knox implements device tokens, after django-rest-knox: each login creates a token of
// its own, with a name, an expiry and the time of its last use, sent as "Authorization: Knox
// <token>". Users list their tokens and revoke one or all of them.
//
// Use it if a user logs in from several devices or programs. For one stable key per user there
// is package token.
//
// A token has 256 random bits, and the store keeps only its SHA-256, so a stolen table is
// useless to an attacker. A password change, a disabled account and "log out everywhere"
// revoke all tokens of a user.
package knox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/authn/login"
	"github.com/vestibule-auth/vestibule/credential"
	"github.com/vestibule-auth/vestibule/storage"
)

// NoExpiry, as a TTL, creates tokens that never expire; as MaxTTL it allows renewal without
// end.
const NoExpiry time.Duration = -1

// Purpose is the storage.Credential.Purpose of the scheme's tokens.
const Purpose = "knox"

// Store is the part of a store that the scheme needs.
type Store interface {
	storage.Credentials
	storage.CredentialList
	storage.Subjects
}

// Options change a Scheme; nil is fine. Lifetimes apply to tokens that are created from now on:
// a token carries its own.
type Options struct {
	// Keywords of Authorization under which tokens are accepted; Knox, Token and Bearer if
	// empty. The challenge names the first. Credentials in another format are left to the other
	// schemes of a chain, so schemes can share a keyword.
	Keywords []string
	// Realm is named in the challenge if it is not "".
	Realm string
	// Prefix of the tokens; "vkn" if "".
	Prefix string
	// TTL is how long a token lives, at least a second; 0 is 10 hours. NoExpiry is for ever.
	TTL time.Duration
	// Renew moves a token's expiry to TTL from now when it is used, at most once in
	// MinInterval and never beyond MaxTTL. It shortens nothing, and an expired token stays
	// expired.
	Renew bool
	// MaxTTL is the latest time that renewal moves an expiry to, from the token's creation; 0
	// is 30 days, NoExpiry has no limit. A renewed token's TTL is not above it.
	MaxTTL time.Duration
	// MinInterval is the shortest time between two writes of a token's use: its time of last
	// use and its renewal, in one statement; 0 is a minute. It must be below the TTL of a
	// renewed token, which would otherwise expire between two writes.
	MinInterval time.Duration
	// Limit is how many tokens a user may have. Expired ones do not count. 0 rejects nothing, and
	// a login at 1,000 tokens revokes the oldest; NoLimit is any number.
	Limit int
	// EvictOldest lets a login at the limit revoke the user's oldest tokens. Otherwise the
	// login is rejected with 403.
	EvictOldest bool
	// User returns the application's own account for the record that came with the token. nil
	// leaves *storage.Account. Its *authn.Error rejects the request; any other error is a fault.
	User func(context.Context, storage.Account) (authn.User, error)
	// Login changes the login endpoint, which reads a field "name" too.
	Login login.Options
	// Audit receives token.created, token.revoked, token.evicted, logout, credential.rejected
	// (an expired token), use.unrecorded and the events of logins.
	Audit *audit.Notifier
	// Logger receives, at Warn, uses that could not be written; slog.Default() if nil.
	Logger *slog.Logger
	// Clock is time.Now if nil.
	Clock func() time.Time
	// Rand is crypto/rand.Reader if nil.
	Rand io.Reader
}

// Scheme authenticates by device tokens. It is safe for concurrent use.
type Scheme struct {
	store     Store
	perms     storage.Permissions // nil: the store keeps none
	opts      Options
	format    credential.Format
	header    *credential.Header
	endpoints login.Endpoints
	clock     func() time.Time // as given: nil is the system's
	uses      *credential.Uses
}

// New returns a scheme over store. If the store implements storage.Permissions too, HasPerm
// works for the accounts it loads.
func New(store Store, opts *Options) (*Scheme, error) {
	if store == nil {
		return nil, errors.New("knox: New: no store")
	}
	var o Options
	if opts != nil {
		o = *opts
	}
	clock := o.Clock
	o.defaults()
	s := &Scheme{store: store, opts: o, clock: clock, uses: credential.NewUses(clock)}
	s.perms, _ = store.(storage.Permissions)
	err := o.check()
	if err == nil {
		s.format, err = credential.NewFormat(o.Prefix)
	}
	if err == nil {
		s.header, err = credential.NewHeader(o.Keywords, s.format, &credential.HeaderOptions{Realm: o.Realm})
	}
	if err != nil {
		return nil, fmt.Errorf("knox: New: %w", err)
	}
	if _, err := s.lifetime(Token{}, time.Unix(0, 0)); err != nil {
		return nil, err
	}
	s.endpoints = login.Endpoints{Challenge: s.Challenge, Rejected: s.header.Reject(nil)}
	return s, nil
}

func (o *Options) defaults() {
	o.Keywords = slices.Clone(o.Keywords)
	if len(o.Keywords) == 0 {
		o.Keywords = []string{"Knox", "Token", "Bearer"}
	}
	if o.Prefix == "" {
		o.Prefix = "vkn"
	}
	if o.TTL == 0 {
		o.TTL = 10 * time.Hour
	}
	if o.MaxTTL == 0 {
		o.MaxTTL = 30 * 24 * time.Hour
	}
	if o.MinInterval == 0 {
		o.MinInterval = time.Minute
	}
	o.Clock, o.Rand = credential.Sources(o.Clock, o.Rand)
}

func (o *Options) check() error {
	switch {
	case o.MaxTTL < 0 && o.MaxTTL != NoExpiry:
		return fmt.Errorf("MaxTTL %s out of range (above 0, or NoExpiry)", o.MaxTTL)
	case o.MinInterval < 0:
		return fmt.Errorf("MinInterval %s out of range (0 or more)", o.MinInterval)
	case o.Limit < NoLimit:
		return fmt.Errorf("limit %d out of range (0 or more, or NoLimit)", o.Limit)
	case o.EvictOldest && o.Limit <= 0:
		return errors.New("a Limit is required by EvictOldest")
	}
	return o.Login.Check(nameField)
}

// Name returns "knox".
func (s *Scheme) Name() string { return "knox" }

// Headers returns Authorization.
func (s *Scheme) Headers() []string { return s.header.Headers() }

// Formats returns the keywords, each with the token's format.
func (s *Scheme) Formats() []authn.CredentialFormat { return s.header.Formats() }

// Challenge returns the first keyword, and the realm if there is one. Under Bearer it is an
// authn.BearerChallenge.
func (s *Scheme) Challenge(r *http.Request, err error) string { return s.header.Challenge(r, err) }

// Pattern returns a regular expression in RE2 syntax that finds the scheme's tokens in texts,
// for secret scanners.
func (s *Scheme) Pattern() string { return s.format.Pattern() }
