// Package jwt implements token authentication with JSON Web Tokens, like
// djangorestframework-simplejwt. A short-lived access token is verified by its signature, and a
// refresh token is exchanged for the next token pair. Create a [Scheme] with [New]. To verify the
// tokens of another issuer, use [NewVerifier].
//
// Use this package if other services verify the tokens too, or if requests should not need a
// database query. Otherwise use package knox, which is simpler and revokes tokens immediately.
//
// Access tokens follow RFC 9068. Refresh tokens are opaque by default and stored as digests. Each
// refresh token can be used once; see package credential/rotation for token families, the grace
// period and reuse detection.
//
// Access tokens contain their family and the subject's epoch. So a logout, a new password and "log
// out everywhere" revoke them too, in every service that queries the store.
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

// Keys sign the tokens and verify them. Use a [*jose.KeySet], or [StoredKeys] for keys in a store.
// Use the keys for this scheme only. Verified tokens are cached only if the keys are
// [jose.Versioned].
type Keys interface {
	jose.KeySource
	Sign(ctx context.Context, typ string, claims []byte) (string, error)
	JWKS(ctx context.Context) ([]byte, error)
	Generation() uint64
}

// Store is the part of a store that the scheme needs: families of refresh tokens, and blocked
// tokens.
type Store interface {
	storage.Families
	storage.Blocklist
}

// NoGrace, as Options.Grace, disables the grace period.
const NoGrace time.Duration = -1

// pastTTL is how long access tokens of an earlier AccessTTL are assumed to live. Their revocation is
// remembered for as long, so that a shorter AccessTTL does not make them valid again.
const pastTTL = time.Hour

// Options configure a [Scheme]. nil means the defaults.
type Options struct {
	// AccessTTL is the lifetime of an access token, at least one second. 0 means 5 minutes. Set
	// more only if no other service verifies tokens for this audience and the store has a deny set
	// (cached.DenySet). A service that verifies tokens only with the published keys accepts a
	// revoked token until it expires. With a deny set, AccessTTL is at most its Lifetime.
	//
	// If you lower AccessTTL, a revoked token with the earlier lifetime stays revoked if that
	// lifetime was at most an hour. If AccessTTL was more than an hour, use a deny set, which
	// remembers the earlier lifetime. Otherwise an access token that a client revokes soon after
	// the change, with its refresh token, can become valid again until it expires.
	AccessTTL time.Duration
	// RefreshTTL is the lifetime of an unused refresh token, at least one second. 0 means 24 hours.
	RefreshTTL time.Duration
	// AbsoluteTTL is the lifetime of a login, which a refresh does not extend. It is at least
	// RefreshTTL. 0 means 30 days.
	AbsoluteTTL time.Duration
	// Grace is the time for which the response of a refresh can be repeated if the client lost it.
	// 0 means 10 seconds, and the largest value is one minute. [NoGrace] disables it.
	Grace time.Duration
	// CloseGraceOnUse ends the grace period at the first use of an access token of the new pair
	// with this scheme. Only the client address that refreshed can then still repeat the refresh.
	// So a thief who copied the refresh token shortly before gets no tokens, and is detected. It
	// costs one write for each refresh.
	CloseGraceOnUse bool
	// Proxies are the trusted proxies that report the client address in X-Forwarded-For.
	Proxies authn.TrustedProxies
	// Leeway is the accepted difference between the clocks of verifiers, at most 5 minutes. 0 means
	// none.
	Leeway time.Duration
	// Stateless takes identities from the claims and does not load the account. The roles are the
	// roles at the last refresh, and a disabled account stays valid until its access token expires.
	// The blocklist and the epoch are still checked. If the store has a deny set (cached.DenySet),
	// most tokens need no query. For the other tokens the account is loaded, and its roles are used.
	Stateless bool
	// SignedRefresh makes refresh tokens JWTs too, like simplejwt. Like opaque refresh tokens, they
	// can be used only once.
	SignedRefresh bool
	// MaxLogins is the largest number of logins with refresh tokens of a user. 0 means 1,000.
	// [NoLimit] means any number. A login above the limit is not rejected; it revokes the oldest.
	MaxLogins int
	// Sliding enables sliding tokens ([Scheme.LoginSliding], [Scheme.RefreshSliding]).
	Sliding bool
	// Prefix is the prefix of opaque refresh tokens. "" means "vrt".
	Prefix string
	// Claims returns further claims for the tokens of an account. Claims of RFC 7519, RFC 9068 and
	// this package are reserved and omitted. If it returns an [*authn.Error], the login or refresh
	// is rejected. Any other error is answered with 503.
	Claims func(context.Context, storage.User) (map[string]any, error)
	// Rule decides at login and at each refresh whether an active account may get tokens. Its
	// errors have the same effect as errors of Claims.
	Rule func(context.Context, storage.User) error
	// User returns the application's own account for the record that was loaded for a request. nil
	// means a [*storage.Account]. It is not called if Stateless is set.
	User func(context.Context, storage.Account) (authn.User, error)
	// Login configures the login endpoints. They also read a field "name".
	Login login.Options
	// Audit receives token.created, token.revoked, token.evicted, logout, refresh.succeeded,
	// refresh.repeated, refresh.reuse and the events of logins.
	Audit *audit.Notifier
	// Realm, CacheEntries and CacheBytes have the same meaning as in [VerifierOptions].
	Realm                    string
	CacheEntries, CacheBytes int
	// Logger receives errors that are not sent to the client. nil means slog.Default().
	Logger *slog.Logger
	// Clock returns the current time. nil means time.Now. Rand is the source of random bytes. nil
	// means crypto/rand.
	Clock func() time.Time
	Rand  io.Reader
}

// Scheme issues and accepts the tokens of this application. It is safe for concurrent use.
type Scheme struct {
	*Verifier
	store   Store
	keys    Keys
	perms   storage.Permissions     // nil: the store has none
	recent  storage.UnchangedTokens // nil: the store has no deny set
	opts    Options
	format  credential.Format // for opaque refresh tokens
	rotator *rotation.Rotator
	refresh jose.Checks // for signed refresh tokens
	purpose string      // of the families

	endpoints login.Endpoints
}

// New returns a scheme. issuer and audience become "iss" and "aud" of its tokens: the URL of the
// application and the URL of its API. No other scheme of the chain can have the same issuer. opts
// can be nil.
//
// Schemes with one issuer and several audiences can share a store and keys. A login belongs to the
// audience for which it was created, and its refresh token is rejected for another audience.
//
// New returns an error if keys or store is nil, or if an option is invalid.
func New(issuer, audience string, keys Keys, store Store, opts *Options) (*Scheme, error) {
	if keys == nil || store == nil {
		return nil, errors.New("jwt: New: keys and store must be set")
	}
	var o Options
	if opts != nil {
		o = *opts
	}
	if err := o.Audit.CheckStore(store); err != nil {
		return nil, fmt.Errorf("jwt: New: %w", err)
	}
	clock := o.Clock
	defaults(&o)
	types := []string{TypeAccess}
	if o.Sliding {
		types = append(types, TypeSliding)
	}
	v, err := newVerifier(issuer, keys, VerifierOptions{
		Realm: o.Realm, Leeway: o.Leeway, Types: types, CacheEntries: o.CacheEntries, CacheBytes: o.CacheBytes, Clock: clock,
	})
	if err == nil {
		v.checks.Audience = audience
		err = v.checks.Validate()
	}
	if err != nil {
		return nil, fmt.Errorf("jwt: New: %w", err)
	}
	if err := o.checkTimes(); err != nil {
		return nil, fmt.Errorf("jwt: New: %w", err)
	}
	if o.MaxLogins < NoLimit || o.MaxLogins > 1_000_000 {
		return nil, fmt.Errorf("jwt: New: MaxLogins %d out of range (1 to 1,000,000, or NoLimit)", o.MaxLogins)
	}
	if audience == issuer && o.SignedRefresh {
		return nil, errors.New("jwt: New: audience must differ from issuer if SignedRefresh is set")
	}
	s := &Scheme{Verifier: v, store: store, keys: keys, opts: o, purpose: rotation.PurposeOf("jwt", issuer, audience)}
	v.accounts = storage.AccountStoreOf(store)
	s.perms, _ = store.(storage.Permissions)
	if s.recent = storage.UnchangedTokensOf(store); s.recent != nil {
		if most, _ := s.recent.TokenLifetime(); o.AccessTTL > most {
			return nil, fmt.Errorf("jwt: New: AccessTTL %v exceeds the lifetime of the store's deny set (%v; set cached.DenySet.Lifetime in every process first)", o.AccessTTL, most)
		}
	}
	if err := o.Login.Check(nameField); err != nil {
		return nil, fmt.Errorf("jwt: New: %w", err)
	}
	if s.format, err = credential.NewFormat(o.Prefix); err != nil {
		return nil, fmt.Errorf("jwt: New: %w", err)
	}
	s.endpoints = login.Endpoints{Challenge: s.Challenge, Rejected: s.invalid}
	blocked := o.AccessTTL
	if s.recent == nil { // otherwise the store knows the lifetimes of earlier tokens
		blocked = max(blocked, pastTTL)
	}
	s.rotator, err = rotation.New(store, &rotation.Options{
		Grace: max(o.Grace, 0), Idle: o.RefreshTTL, Absolute: o.AbsoluteTTL, Clock: o.Clock,
		// The longest remaining lifetime of a new token for a verifier whose clock is behind.
		Block: blocked + 2*o.Leeway + time.Minute,
	})
	if err != nil {
		return nil, fmt.Errorf("jwt: New: %w", err)
	}
	s.refresh = jose.Checks{Issuer: issuer, Audience: issuer, Leeway: o.Leeway, Clock: o.Clock, IgnoreExpiry: true}
	v.self, v.own, v.standing = s, true, s.loaded
	if o.Stateless {
		v.standing = s.stateless
	}
	return s, nil
}

// checkTimes names the options of this package; rotation.New would name its own.
func (o *Options) checkTimes() error {
	switch {
	case o.AccessTTL < time.Second: // such as AccessTTL: 300, which is 300 nanoseconds
		return fmt.Errorf("AccessTTL %v out of range (at least 1s)", o.AccessTTL)
	case o.RefreshTTL < time.Second:
		return fmt.Errorf("RefreshTTL %v out of range (at least 1s)", o.RefreshTTL)
	case o.AbsoluteTTL < o.RefreshTTL:
		return fmt.Errorf("AbsoluteTTL %v out of range (at least RefreshTTL, %v)", o.AbsoluteTTL, o.RefreshTTL)
	}
	return nil
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

// Pattern returns a regular expression (RE2) that matches the scheme's opaque refresh tokens. Use
// it in secret scanners.
func (s *Scheme) Pattern() string { return s.format.Pattern() }
