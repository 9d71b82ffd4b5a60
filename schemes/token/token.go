// Package token implements token authentication as in Django REST Framework: one long-lived
// token per user, sent as "Authorization: Token <token>". Login returns the same token until
// it is deleted.
//
// Use it for scripts and services that need one stable key per user. If you need several devices,
// expiry or names, use package knox.
//
// Unlike in Django, the text of the token is not stored. It is derived from the master key and a
// salt, so a stolen table is useless to an attacker. A password change, disabling the account and
// logging out everywhere revoke the token.
package token

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/authn/login"
	"github.com/vestibule-auth/vestibule/credential"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/storage"
)

// Store is the part of a store that the scheme requires.
type Store interface {
	storage.StaticTokens
	storage.Subjects
}

// Options configure a [Scheme]. A nil *Options means all defaults.
type Options struct {
	// Keyword is the authentication scheme in Authorization; "" means "Token". With "Bearer" the
	// challenge follows RFC 6750.
	Keyword string
	// Realm is the realm in the challenge; "" means none.
	Realm string
	// Format is the format of issued and accepted tokens.
	Format Format
	// Prefix is the prefix of Prefixed tokens; "" means "vst".
	Prefix string
	// User returns the application's account for the account of a token; nil means
	// *storage.Account. If it returns an *authn.Error, the request is rejected; any other error is
	// a failure (503 or 500).
	User func(context.Context, storage.Account) (authn.User, error)
	// Login configures the login endpoint.
	Login login.Options
	// Audit receives token.created, token.revoked, logout and the events of logins.
	Audit *audit.Notifier
	// Logger receives the messages of the login endpoint; nil means slog.Default().
	Logger *slog.Logger
	// Clock returns the current time; nil means time.Now.
	Clock func() time.Time
	// Rand is the source of random bytes; nil means crypto/rand.Reader.
	Rand io.Reader
}

// Scheme authenticates by static tokens. It is safe for concurrent use.
type Scheme struct {
	store     Store
	accounts  any                 // see storage.AccountStoreOf
	perms     storage.Permissions // nil if the store has none
	ring      *keys.Ring
	opts      Options
	format    format
	header    *credential.Header
	endpoints login.Endpoints
}

// New returns a scheme over store that derives tokens from the keys of ring. If the store also
// implements storage.Permissions, HasPerm works for the accounts that the scheme loads. New returns
// an error if store or ring is nil, or if an option is invalid.
func New(store Store, ring *keys.Ring, opts *Options) (*Scheme, error) {
	if store == nil || ring == nil {
		return nil, errors.New("token: New: store and ring are required")
	}
	var o Options
	if opts != nil {
		o = *opts
	}
	if err := o.Audit.CheckStore(store); err != nil {
		return nil, fmt.Errorf("token: New: %w", err)
	}
	o.Keyword = cmp.Or(o.Keyword, "Token")
	o.Prefix = cmp.Or(o.Prefix, "vst")
	o.Clock, o.Rand = credential.Sources(o.Clock, o.Rand)
	s := &Scheme{store: store, accounts: storage.AccountStoreOf(store), ring: ring, opts: o}
	s.perms, _ = store.(storage.Permissions)
	var err error
	if s.format, err = newFormat(o.Format, o.Prefix); err == nil {
		s.header, err = credential.NewHeader([]string{o.Keyword}, s.format, &credential.HeaderOptions{Realm: o.Realm})
	}
	if err == nil {
		err = o.Login.Check()
	}
	if err != nil {
		return nil, fmt.Errorf("token: New: %w", err)
	}
	s.endpoints = login.Endpoints{Challenge: s.Challenge, Rejected: s.header.Reject(nil)}
	return s, nil
}

// Name returns "token".
func (s *Scheme) Name() string { return "token" }

// Headers returns "Authorization".
func (s *Scheme) Headers() []string { return s.header.Headers() }

// Formats returns the keyword and the format of the tokens.
func (s *Scheme) Formats() []authn.CredentialFormat { return s.header.Formats() }

// Challenge returns the keyword, as Django REST Framework does, and the realm if there is one. With
// the keyword Bearer it returns an authn.BearerChallenge.
func (s *Scheme) Challenge(r *http.Request, err error) string { return s.header.Challenge(r, err) }

// Pattern returns a regular expression that matches the scheme's Prefixed tokens, for secret
// scanners (RE2 syntax).
func (s *Scheme) Pattern() string { return credential.MustFormat(s.opts.Prefix).Pattern() }

// Authenticate reads a token after the scheme's keyword. It costs one query. The response is the
// same for an unknown, revoked or outdated token, a token whose master key is no longer in the
// ring, and a token of a disabled account. The log has the reason.
func (s *Scheme) Authenticate(r *http.Request) (authn.Identity, error) {
	text, err := s.header.Read(r)
	if err != nil {
		return authn.Identity{}, err
	}
	return s.identify(r.Context(), storage.DigestOf(text))
}

// Presented implements authn.Keeper. The middleware keeps identities if the store has leases
// (package cached).
func (s *Scheme) Presented(r *http.Request) (text string, guessable bool) {
	return s.header.Presented(r)
}

func (s *Scheme) identify(ctx context.Context, d storage.Digest) (authn.Identity, error) {
	t, u, err := s.store.StaticTokenByDigest(ctx, d)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return authn.Identity{}, s.header.Reject(err)
	case err != nil:
		return authn.Identity{}, err
	case !s.ring.Has(t.KeyID):
		return authn.Identity{}, s.header.Reject(errors.New("master key not in the ring"))
	}
	if err := credential.CheckAccount(u, t.Epoch); err != nil {
		return authn.Identity{}, s.header.Reject(err)
	}
	account := u.WithPermissions(s.perms)
	id := authn.Identity{Subject: u.ID, Scheme: "token", Roles: u.Roles, User: account, Credential: &t}
	id.SetStore(s.accounts)
	if s.opts.User != nil { // the application creates an account per request, so nothing is kept
		id.User, err = audit.Call("token.Options.User", func() (authn.User, error) { return s.opts.User(ctx, account.Clone()) })
		if err != nil {
			return authn.Identity{}, err
		}
		return id, nil
	}
	return id.Kept(s, authn.Keep{Lease: u.LeaseOf(s.store), Clock: s.opts.Clock}), nil
}
