// Package knox implements device tokens like django-rest-knox. Each login creates a token, which
// clients send as "Authorization: Knox <token>". A token has a name, an expiry and the time of its
// last use. Users can list their tokens and revoke one or all of them.
//
// Use it if users log in from several devices or programs. For one stable key per user use package
// token.
//
// A token has 256 random bits, and only its SHA-256 is stored, so a stolen table is useless to an
// attacker. A password change, disabling the account and logging out everywhere revoke all tokens
// of a user.
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

// NoExpiry as a TTL creates tokens that never expire. As MaxTTL it allows unlimited renewal.
const NoExpiry time.Duration = -1

// Purpose is the storage.Credential.Purpose of the scheme's tokens.
const Purpose = "knox"

// Store is the part of a store that the scheme requires.
type Store interface {
	storage.Credentials
	storage.CredentialList
	storage.Subjects
}

// Options configure a [Scheme]. A nil *Options means all defaults. The lifetimes apply only to new
// tokens, because each token stores its own lifetimes.
type Options struct {
	// Keywords are the authentication schemes in Authorization under which tokens are accepted;
	// empty means Knox, Token and Bearer. The challenge names the first keyword. Credentials in
	// another format are passed on to the next scheme of the chain, so schemes can share a keyword.
	Keywords []string
	// Realm is the realm in the challenge; "" means none.
	Realm string
	// Prefix is the prefix of tokens; "" means "vkn".
	Prefix string
	// TTL is the lifetime of a token, at least one second; 0 means 10 hours. NoExpiry means that
	// tokens never expire.
	TTL time.Duration
	// Renew extends a token's expiry at a use, to TTL after the use. It does so at most once per
	// MinInterval, and never beyond MaxTTL. It never shortens a lifetime, and does not renew an
	// expired token.
	Renew bool
	// MaxTTL is the maximum total lifetime of a renewed token from its creation; 0 means 30 days,
	// and NoExpiry means no limit. The TTL of a renewed token must not exceed it.
	MaxTTL time.Duration
	// MinInterval is the minimum time between two writes of a token's last use and renewal; 0 means
	// one minute. It must be less than the TTL of a renewed token, which would otherwise expire
	// between two writes.
	MinInterval time.Duration
	// Limit is the maximum number of unexpired tokens per user. With 0 no login is rejected, and a
	// login of a user with 1,000 tokens revokes the oldest. NoLimit means any number.
	Limit int
	// EvictOldest makes a login at the limit revoke the user's oldest tokens. Otherwise the login
	// is rejected with 403.
	EvictOldest bool
	// User returns the application's account for the account of a token; nil means
	// *storage.Account. If it returns an *authn.Error, the request is rejected; any other error is
	// a failure (503 or 500).
	User func(context.Context, storage.Account) (authn.User, error)
	// Login configures the login endpoint, which also reads a field "name".
	Login login.Options
	// Audit receives token.created, token.revoked, token.evicted, logout, credential.rejected (an
	// expired token), use.unrecorded and the events of logins.
	Audit *audit.Notifier
	// Logger receives, at Warn, failures to record a use or to revoke old tokens; nil means
	// slog.Default().
	Logger *slog.Logger
	// Clock returns the current time; nil means time.Now.
	Clock func() time.Time
	// Rand is the source of random bytes; nil means crypto/rand.Reader.
	Rand io.Reader
}

// Scheme authenticates by device tokens. It is safe for concurrent use.
type Scheme struct {
	store     Store
	accounts  any                 // see storage.AccountStoreOf
	perms     storage.Permissions // nil if the store has none
	opts      Options
	format    credential.Format
	header    *credential.Header
	endpoints login.Endpoints
	clock     func() time.Time // Options.Clock; nil means the system clock
	uses      *credential.Uses
}

// New returns a scheme over store. If the store also implements storage.Permissions, HasPerm works
// for the accounts that the scheme loads. New returns an error if store is nil or an option is
// invalid.
func New(store Store, opts *Options) (*Scheme, error) {
	if store == nil {
		return nil, errors.New("knox: New: the store is nil")
	}
	var o Options
	if opts != nil {
		o = *opts
	}
	if err := o.Audit.CheckStore(store); err != nil {
		return nil, fmt.Errorf("knox: New: %w", err)
	}
	clock := o.Clock
	o.defaults()
	s := &Scheme{store: store, accounts: storage.AccountStoreOf(store), opts: o, clock: clock, uses: credential.NewUses(clock)}
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
		return nil, fmt.Errorf("knox: New: %w", err)
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
		return errors.New("EvictOldest requires a Limit above 0")
	}
	return o.Login.Check(nameField)
}

// Name returns "knox".
func (s *Scheme) Name() string { return "knox" }

// Headers returns "Authorization".
func (s *Scheme) Headers() []string { return s.header.Headers() }

// Formats returns the keywords, each with the format of the tokens.
func (s *Scheme) Formats() []authn.CredentialFormat { return s.header.Formats() }

// Challenge returns the first keyword, and the realm if there is one. With the keyword Bearer it
// returns an authn.BearerChallenge.
func (s *Scheme) Challenge(r *http.Request, err error) string { return s.header.Challenge(r, err) }

// Pattern returns a regular expression that matches the scheme's tokens, for secret scanners (RE2
// syntax).
func (s *Scheme) Pattern() string { return s.format.Pattern() }
