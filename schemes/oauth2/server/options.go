package server

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"strings"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/internal/syntax"
	"github.com/vestibule-auth/vestibule/storage"
)

// SecretVerifier checks a client's secret that somebody chose against its hash;
// password.Hasher is one. source is the address that the request comes from. An empty hash
// matches nothing, and must cost as much as any other.
type SecretVerifier interface {
	Verify(ctx context.Context, source string, encoded storage.PasswordHash, secret string) (ok, outdated bool, err error)
}

// ChosenSecrets accepts secrets of clients that somebody chose, or that were imported
// (storage.Client.Password). Every wrong secret costs a hash and is counted, whether or not the
// client exists.
type ChosenSecrets struct {
	// Verifier checks a secret; required. Use the hasher of your password checker, so that its
	// slots bound both together.
	Verifier SecretVerifier
	// Limiter counts attempts before they are hashed. nil is one in the memory of this
	// process, with the default limits of package throttle. It may be the limiter of your
	// password checker.
	Limiter authn.LoginLimiter
	// InsecureNoLimiter does not limit attempts. Use it in tests, or if something in front of
	// the server limits them.
	InsecureNoLimiter bool
}

// Lifetimes are how long what a server issues lives. A zero one is its default.
type Lifetimes struct {
	// AccessTTL is the lifetime of an access token: an hour. It can be revoked earlier.
	AccessTTL time.Duration
	// CodeTTL is how long an authorization code can be exchanged: a minute, at most 10.
	CodeTTL time.Duration
	// DeviceTTL is how long a user has to type the code of a device: 10 minutes, at most 30.
	DeviceTTL time.Duration
	// RefreshTTL is how long a refresh token can be exchanged: 30 days. AbsoluteTTL is the
	// longest lifetime of a grant: 90 days, or RefreshTTL if that is longer.
	RefreshTTL, AbsoluteTTL time.Duration
}

// Options change a Server; nil is fine.
type Options struct {
	Lifetimes
	// Scopes lists the supported scopes with the description shown to users; "" shows the
	// name. A client that requests none, and has no default, gets a token without scopes.
	Scopes map[string]string
	// SigningKeys sign tokens. They are required for signed access tokens and package openid.
	SigningKeys Keys
	// Keys is the master key ring. The device grant requires it, for the codes that users type.
	// Without it, hints and the names of limits use a key of this process.
	Keys *keys.Ring
	// Endpoints are the paths of the endpoints, for the metadata and Routes.
	Endpoints Endpoints
	// Origins are those of pages whose scripts may call the endpoints of clients (CORS): token,
	// revocation, pushed requests, device authorization, registration, UserInfo. Each is
	// scheme and host in lower case, such as "https://app.example"; "*" is every origin, which
	// is safe because these endpoints read no cookie. Documents and the JWK Set can be read from
	// every origin, and the pages for people from none.
	Origins []string
	// Proxies are trusted to report the address of a client, by which attempts are counted.
	// Behind a proxy that is not listed all users share one address.
	Proxies authn.TrustedProxies
	// RequireDPoP rejects token requests without a proof. It needs oauth2.Options.DPoP, and excludes
	// InsecureImplicitGrant, whose tokens are bearer tokens.
	RequireDPoP bool
	// InsecureOptionalPKCE lets confidential clients request a code without a challenge, for
	// clients that do not support RFC 7636. An attacker who obtains such a code can inject it
	// into the login of another browser.
	InsecureOptionalPKCE bool
	// InsecurePasswordGrant, if not nil, lets clients with the grant type oauth2.Password send
	// a user's name and password (RFC 6749, section 4.3): for clients that cannot be changed.
	// The application learns the password, and no second factor can be requested. Its checker
	// counts attempts as for any login.
	InsecurePasswordGrant authn.PasswordChecker
	// InsecureImplicitGrant lets clients with the grant type oauth2.Implicit get an access
	// token from the authorization endpoint (RFC 6749, section 4.2). It is in the browser's
	// history, and any page that obtains it can use it.
	InsecureImplicitGrant bool
	// InsecureChosenSecrets, if not nil, accepts client secrets that somebody chose. Generated
	// secrets cannot be guessed, and do not need it.
	InsecureChosenSecrets *ChosenSecrets
	// Limits bound what anonymous callers can make the server store; nil means the defaults.
	Limits *Limits
	// InsecureNoLimits disables Limits. Anyone who knows a public client's ID can then fill
	// the database.
	InsecureNoLimits bool
	// Audit receives token.created, token.revoked, token.evicted, refresh.succeeded,
	// refresh.repeated, refresh.reuse, code.reuse, consent.dropped, introspection.refused,
	// credential.rejected (a client tried to revoke another one's token), limit.fallback, and the
	// logins of InsecurePasswordGrant; from the packages that extend the server consent.given,
	// device.approved, device.denied, client.created, client.changed, client.disabled and logout.
	// nil drops them.
	Audit *audit.Notifier
	// Logger gets reuse of codes and refresh tokens, and faults; nil is slog.Default().
	Logger *slog.Logger
	// Rand is crypto/rand if nil.
	Rand io.Reader
}

func (o *Options) defaults() {
	o.AccessTTL = cmp.Or(o.AccessTTL, time.Hour)
	o.CodeTTL = cmp.Or(o.CodeTTL, time.Minute)
	o.DeviceTTL = cmp.Or(o.DeviceTTL, 10*time.Minute)
	o.RefreshTTL = cmp.Or(o.RefreshTTL, 30*24*time.Hour)
	o.AbsoluteTTL = cmp.Or(o.AbsoluteTTL, max(90*24*time.Hour, o.RefreshTTL))
	o.Endpoints = o.Endpoints.defaults()
	o.Scopes = maps.Clone(o.Scopes)
	if o.Scopes == nil {
		o.Scopes = map[string]string{}
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
}

// check rejects options that make no sense for a server over api.
func (o *Options) check(api oauth2.Options) error {
	if o.DeviceTTL < time.Second || o.DeviceTTL > 30*time.Minute || o.Keys != nil && o.Endpoints.Device == "-" {
		return errors.New("server: New: DeviceTTL out of range (1s to 30m), or the device grant has no page (Endpoints.Device)")
	}
	if o.AccessTTL < time.Second || o.CodeTTL < time.Second || o.CodeTTL > 10*time.Minute {
		return errors.New("server: New: AccessTTL (from 1s) or CodeTTL (1s to 10m) out of range")
	}
	if api.SignedAccess != nil && o.SigningKeys == nil {
		return errors.New("server: New: signed access tokens require SigningKeys")
	}
	if api.DPoP != nil && o.Endpoints.Token == "-" {
		return errors.New("server: New: DPoP requires the path of the token endpoint (Endpoints.Token)")
	}
	if api.DPoP == nil && o.RequireDPoP {
		return errors.New("server: New: RequireDPoP requires DPoP of oauth2.Options")
	}
	if o.RequireDPoP && o.InsecureImplicitGrant {
		return errors.New("server: New: RequireDPoP and InsecureImplicitGrant exclude each other: an implicit grant has no proof")
	}
	if err := o.Endpoints.check(); err != nil {
		return err
	}
	for _, origin := range o.Origins {
		if origin == anyOrigin {
			continue
		}
		if syntax.Origin(origin) != origin || strings.ToLower(origin) != origin || strings.Contains(origin, "*") {
			return fmt.Errorf("server: New: invalid origin %q (https://host in lower case, as browsers send it, without a path, or \"*\" for all)", origin)
		}
	}
	return checkScopes(o.Scopes)
}

func checkScopes(scopes map[string]string) error {
	for name := range scopes {
		if !syntax.IsScope(name) {
			return fmt.Errorf("server: New: invalid scope %q (printable ASCII without spaces, quotes and backslashes, RFC 6749 section 3.3)", name)
		}
	}
	return nil
}
