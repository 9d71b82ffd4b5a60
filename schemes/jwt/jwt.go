// Package jwt implements token authentication by JSON Web Tokens, as djangorestframework-
// simplejwt does: a short-lived access token that is verified by its signature, and a refresh
// token that is exchanged for the next pair.
//
// Use it if other services verify the tokens too, or if a request should not wait for a
// database. Otherwise package knox is simpler and revokes a token immediately.
//
// Access tokens follow RFC 9068. Refresh tokens are opaque by default and stored as digests.
// Each is used once; package credential/rotation describes their families, the grace period
// and reuse detection. Access tokens carry their family and the subject's epoch, so logout, a
// new password and "log out everywhere" revoke them too wherever the store is queried.
package jwt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/authn/login"
	"github.com/vestibule-auth/vestibule/credential"
	"github.com/vestibule-auth/vestibule/credential/rotation"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/storage"
)

// Keys sign the tokens and verify them: a *jose.KeySet, or a *jose.ReloadingKeySet over a
// store (see StoredKeys). They are this scheme's alone. Verified tokens are cached only if the
// keys are jose.Versioned.
type Keys interface {
	jose.KeySource
	Sign(ctx context.Context, typ string, claims []byte) (string, error)
	JWKS(ctx context.Context) ([]byte, error)
	Generation() uint64
}

// Store is what the scheme keeps in a store: families of refresh tokens, and what is
// blocked.
type Store interface {
	storage.Families
	storage.Blocklist
}

// NoGrace turns Options.Grace off.
const NoGrace time.Duration = -1

// Options change a Scheme; nil is fine.
type Options struct {
	// AccessTTL is how long an access token lives: 5 minutes where 0.
	AccessTTL time.Duration
	// RefreshTTL is how long a refresh token waits for its use: 24 hours where 0.
	RefreshTTL time.Duration
	// AbsoluteTTL is how long a login lives, however often it is refreshed: 30 days
	// where 0.
	AbsoluteTTL time.Duration
	// Grace is how long the answer of a refresh that was lost on its way may be asked
	// for again: 10 seconds where 0, at most a minute; NoGrace is never.
	Grace time.Duration
	// CloseGraceOnUse closes the window of Grace to other sources than the one that refreshed as
	// soon as an access token of the new pair is used here: a thief who copied the refresh
	// token a moment before gets nothing of it, and is noticed. It costs a write
	// for each refresh.
	CloseGraceOnUse bool
	// Proxies are those whose X-Forwarded-For says where a request comes from.
	Proxies authn.TrustedProxies
	// Leeway is how far the clocks of verifiers may differ, up to five minutes.
	Leeway time.Duration
	// Stateless identities come from the claims, without a look at the account: their
	// roles are those of the last refresh, and a disabled account acts until its
	// access token expires. Blocklist and epoch are asked all the same.
	Stateless bool
	// SignedRefresh makes refresh tokens JWTs too, as simplejwt does. They are used
	// once like the opaque ones.
	SignedRefresh bool
	// MaxLogins is how many logins with refresh tokens a user has; 0 is 1,000, NoLimit any
	// number. A login beyond it is not refused: it ends the oldest.
	MaxLogins int
	// Sliding makes and takes sliding tokens (LoginSliding, RefreshSliding).
	Sliding bool
	// Prefix of opaque refresh tokens; "vrt" where "".
	Prefix string
	// Claims returns further claims of an account's tokens. Names of RFC 7519, RFC
	// 9068 and this package's own are reserved: they win. Its *authn.Error refuses
	// login or refresh, any other error is a fault.
	Claims func(context.Context, storage.User) (map[string]any, error)
	// Rule is asked at login and at each refresh whether the account may have tokens,
	// once it is active. It works as Claims does.
	Rule func(context.Context, storage.User) error
	// User makes the application's own account of the record that came with a request;
	// nil leaves *storage.Account. Not asked where Stateless.
	User func(context.Context, storage.Account) (authn.User, error)
	// Login changes the login endpoints, which read a field "name" too.
	Login login.Options
	// Audit receives token.created, token.revoked, token.evicted, logout, refresh.succeeded, refresh.repeated,
	// refresh.reuse and the events of logins.
	Audit *audit.Notifier
	// Realm, CacheEntries and CacheBytes are those of VerifierOptions.
	Realm                    string
	CacheEntries, CacheBytes int
	// Logger is told what cannot be said to the client; nil is slog.Default().
	Logger *slog.Logger
	// Clock is time.Now where nil, Rand crypto/rand.
	Clock func() time.Time
	Rand  io.Reader
}

// Scheme makes and accepts the tokens of this application. It is safe for concurrent
// use.
type Scheme struct {
	*Verifier
	store   Store
	keys    Keys
	perms   storage.Permissions // nil: the store keeps none
	opts    Options
	format  credential.Format // of opaque refresh tokens
	rotator *rotation.Rotator
	refresh jose.Checks // of signed refresh tokens
	purpose string      // of its families

	endpoints login.Endpoints
}

// New returns a scheme. issuer and audience are "iss" and "aud" of its tokens: a URL
// of the application, and of its API; no other scheme of the chain has this issuer. Schemes of one
// issuer and several audiences can share a store and keys: a login belongs to the audience that it
// was made for, and its refresh token gives nothing at another.
func New(issuer, audience string, keys Keys, store Store, opts *Options) (*Scheme, error) {
	if keys == nil || store == nil {
		return nil, errors.New("jwt: keys and a store are needed")
	}
	var o Options
	if opts != nil {
		o = *opts
	}
	clock := o.Clock
	defaults(&o)
	types := []string{TypeAccess}
	if o.Sliding {
		types = append(types, TypeSliding)
	}
	v, err := newVerifier(issuer, audience, keys, VerifierOptions{
		Realm: o.Realm, Leeway: o.Leeway, Types: types, Roles: "roles",
		CacheEntries: o.CacheEntries, CacheBytes: o.CacheBytes, Clock: clock,
	})
	if err != nil {
		return nil, err
	}
	if o.AccessTTL <= 0 {
		return nil, fmt.Errorf("jwt: access tokens of %v", o.AccessTTL)
	}
	if o.MaxLogins < NoLimit || o.MaxLogins > 1_000_000 {
		return nil, fmt.Errorf("jwt: New: MaxLogins %d out of range (1 to 1,000,000, or NoLimit)", o.MaxLogins)
	}
	if audience == issuer && o.SignedRefresh {
		return nil, errors.New("jwt: signed refresh tokens are for the issuer: the audience must be another")
	}
	s := &Scheme{Verifier: v, store: store, keys: keys, opts: o, purpose: rotation.PurposeOf("jwt", issuer, audience)}
	s.perms, _ = store.(storage.Permissions)
	if err := o.Login.Check(nameField); err != nil {
		return nil, fmt.Errorf("jwt: New: %w", err)
	}
	if s.format, err = credential.NewFormat(o.Prefix); err != nil {
		return nil, fmt.Errorf("jwt: New: %w", err)
	}
	s.endpoints = login.Endpoints{Challenge: s.Challenge, Rejected: s.invalid}
	s.rotator, err = rotation.New(store, &rotation.Options{
		Grace: max(o.Grace, 0), Idle: o.RefreshTTL, Absolute: o.AbsoluteTTL, Clock: o.Clock,
		// The longest life of what was minted a moment ago, to a verifier whose clock is
		// behind.
		Block: o.AccessTTL + 2*o.Leeway + time.Minute,
	})
	if err != nil {
		return nil, fmt.Errorf("jwt: %w", err)
	}
	s.refresh = jose.Checks{Issuer: issuer, Audience: issuer, Leeway: o.Leeway, Clock: o.Clock, IgnoreExpiry: true}
	v.self, v.own, v.standing = s, true, s.loaded
	if o.Stateless {
		v.standing = s.stateless
	}
	return s, nil
}

func defaults(o *Options) {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{{&o.AccessTTL, 5 * time.Minute}, {&o.RefreshTTL, 24 * time.Hour}, {&o.AbsoluteTTL, 30 * 24 * time.Hour}, {&o.Grace, 10 * time.Second}} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if o.Prefix == "" {
		o.Prefix = "vrt"
	}
	if o.MaxLogins == 0 {
		o.MaxLogins = defaultMax
	}
	o.Clock, o.Rand = credential.Sources(o.Clock, o.Rand)
}

// Pattern returns a regular expression (RE2) that finds the scheme's opaque refresh
// tokens in texts, for secret scanners.
func (s *Scheme) Pattern() string { return s.format.Pattern() }

// loaded is the standing of a token with its account, in one query.
func (s *Scheme) loaded(ctx context.Context, k *known) error {
	a := k.access
	u, st, err := s.store.TokenStatusWithUser(ctx, a.Subject, a.keys)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return s.invalid.WithCause(err)
	case err != nil:
		return err
	case !u.Active:
		return s.invalid.WithCause(credential.ErrDisabled)
	}
	if err := s.stands(a, st); err != nil {
		return err
	}
	if err := s.used(ctx, a); err != nil {
		return err
	}
	var account *storage.Account
	if k.identity.Delegated() { // no roles, and permissions by a scope that is mapped to them
		account = u.WithScopedPermissions(s.perms)
	} else {
		k.identity.Roles = u.Roles
		account = u.WithPermissions(s.perms)
	}
	if s.opts.User == nil {
		k.identity.User, k.lease = account, u.LeaseOf(s.store)
		return nil
	}
	k.identity.User, err = audit.Call("jwt.Options.User", func() (authn.User, error) { return s.opts.User(ctx, account.Clone()) })
	return err
}

// stateless is the standing of a token by its claims.
func (s *Scheme) stateless(ctx context.Context, k *known) error {
	a := k.access
	st, err := s.store.TokenStatusOf(ctx, a.Subject, a.keys)
	if err != nil {
		return err
	}
	if err := s.stands(a, st); err != nil {
		return err
	}
	k.identity.Roles = k.own.Roles
	return s.used(ctx, a)
}

func (s *Scheme) stands(a *Access, st storage.TokenStatus) error {
	switch {
	case st.Blocked:
		return s.invalid.WithCause(errBlocked)
	case st.Epoch != a.Version:
		return s.invalid.WithCause(credential.ErrEpoch)
	}
	return nil
}

// used tells that an access token is used. Its time is in whole seconds, rounded down.
func (s *Scheme) used(ctx context.Context, a *Access) error {
	if !s.opts.CloseGraceOnUse {
		return nil
	}
	if authn.Explained(ctx) {
		return nil
	}
	return s.rotator.Used(ctx, a.Family, a.Issued.Add(time.Second), s.opts.Clock())
}
