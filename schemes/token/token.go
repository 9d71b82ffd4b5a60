// Package token implements token authentication as in Django REST Framework: one long-lived
// token per user, sent as "Authorization: Token <token>". Login returns the same token until
// it is deleted.
//
// Use it for scripts and services that need one stable key per user. For several devices,
// expiry and names use package knox.
//
// Unlike Django's, the token's text is not stored: it is derived from the master key and a
// salt, so a stolen table is useless to an attacker. A password change, a disabled account and
// "log out everywhere" revoke the token.
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

// Store is the part of a store that the scheme needs.
type Store interface {
	storage.StaticTokens
	storage.Subjects
}

// Options change a Scheme; nil is fine.
type Options struct {
	// Keyword is "Token" if "". With "Bearer" the challenge follows RFC 6750.
	Keyword string
	// Realm is named in the challenge if it is not "".
	Realm string
	// Format of the tokens that are issued and accepted.
	Format Format
	// Prefix of Prefixed tokens; "vst" if "".
	Prefix string
	// User returns the application's own account for the record that came with the token. nil
	// leaves *storage.Account. Its *authn.Error rejects the request; any other error is a fault.
	User func(context.Context, storage.Account) (authn.User, error)
	// Login changes the login endpoint.
	Login login.Options
	// Audit receives token.created, token.revoked, logout and the events of logins.
	Audit *audit.Notifier
	// Logger is slog.Default() if nil.
	Logger *slog.Logger
	// Clock is time.Now if nil.
	Clock func() time.Time
	// Rand is crypto/rand.Reader if nil.
	Rand io.Reader
}

// Scheme authenticates by static tokens. It is safe for concurrent use.
type Scheme struct {
	store     Store
	perms     storage.Permissions // nil: the store keeps none
	ring      *keys.Ring
	opts      Options
	format    format
	header    *credential.Header
	endpoints login.Endpoints
}

// New returns a scheme over store, with tokens derived from the keys of ring. If the store
// implements storage.Permissions too, HasPerm works for the accounts it loads.
func New(store Store, ring *keys.Ring, opts *Options) (*Scheme, error) {
	if store == nil || ring == nil {
		return nil, errors.New("token: New: no store or no key ring")
	}
	var o Options
	if opts != nil {
		o = *opts
	}
	o.Keyword = cmp.Or(o.Keyword, "Token")
	o.Prefix = cmp.Or(o.Prefix, "vst")
	o.Clock, o.Rand = credential.Sources(o.Clock, o.Rand)
	s := &Scheme{store: store, ring: ring, opts: o}
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

// Headers returns Authorization.
func (s *Scheme) Headers() []string { return s.header.Headers() }

// Formats returns the keyword and the token's format.
func (s *Scheme) Formats() []authn.CredentialFormat { return s.header.Formats() }

// Challenge returns the keyword, as Django REST Framework does, and the realm if there is one.
// Under Bearer it is an authn.BearerChallenge.
func (s *Scheme) Challenge(r *http.Request, err error) string { return s.header.Challenge(r, err) }

// Pattern returns a regular expression in RE2 syntax that finds the scheme's Prefixed tokens
// in texts, for secret scanners.
func (s *Scheme) Pattern() string { return credential.MustFormat(s.opts.Prefix).Pattern() }

// Authenticate looks for a token under the scheme's keyword. It takes one query. An unknown,
// revoked or outdated token, one whose master key left the ring, and a disabled account are
// rejected alike; the reason goes to the log.
func (s *Scheme) Authenticate(r *http.Request) (authn.Identity, error) {
	text, err := s.header.Read(r)
	if err != nil {
		return authn.Identity{}, err
	}
	return s.identify(r.Context(), storage.DigestOf(text))
}

// Presented implements authn.Keeper: over a store that gives leases (package cached), identities
// are kept.
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
		return authn.Identity{}, s.header.Reject(errors.New("its master key left the ring"))
	}
	if err := credential.CheckAccount(u, t.Epoch); err != nil {
		return authn.Identity{}, s.header.Reject(err)
	}
	account := u.WithPermissions(s.perms)
	id := authn.Identity{Subject: u.ID, Scheme: "token", Roles: u.Roles, User: account, Credential: &t}
	if s.opts.User != nil { // the application makes its account for each request
		id.User, err = audit.Call("token.Options.User", func() (authn.User, error) { return s.opts.User(ctx, account.Clone()) })
		if err != nil {
			return authn.Identity{}, err
		}
		return id, nil
	}
	return id.Kept(s, authn.Keep{Lease: u.LeaseOf(s.store), Clock: s.opts.Clock}), nil
}
