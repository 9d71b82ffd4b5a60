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
	"slices"
	"strings"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/internal/syntax"
	"github.com/vestibule-auth/vestibule/storage"
)

// SecretVerifier checks a chosen client secret against its hash; password.Hasher implements it.
// source is the address that the request comes from. An empty hash matches nothing, and MUST take
// the same time as any other hash, so that the duration does not reveal which clients exist.
type SecretVerifier interface {
	Verify(ctx context.Context, source string, encoded storage.PasswordHash, secret string) (ok, outdated bool, err error)
}

// ChosenSecrets accepts client secrets that a person chose or that were imported
// (storage.Client.Password). Every wrong secret costs a hash and is counted, whether or not the
// client exists.
type ChosenSecrets struct {
	// Verifier checks a secret; required. Use the hasher of your password checker, so that both
	// share its limit of concurrent hashes.
	Verifier SecretVerifier
	// Limiter counts attempts before they are hashed. Nil means a limiter in the memory of this
	// process, with the default limits of package throttle. You can use the limiter of your
	// password checker.
	Limiter authn.LoginLimiter
	// InsecureNoLimiter turns the limits off. Set it only in tests, or if something in front of the
	// server limits attempts.
	InsecureNoLimiter bool
}

// Lifetimes are the lifetimes of the tokens, codes and grants that a server issues. 0 means the
// default.
type Lifetimes struct {
	// AccessTTL is the lifetime of an access token, at least 1 second; 0 means one hour. A token
	// can be revoked earlier. A service that verifies signed tokens without this store accepts revoked
	// ones until they expire, so use 5 minutes there. Over a store with a deny set (cached.DenySet),
	// signed tokens live at most its Lifetime.
	AccessTTL time.Duration
	// CodeTTL is how long an authorization code can be exchanged, 1 second to 10 minutes; 0 means
	// one minute.
	CodeTTL time.Duration
	// DeviceTTL is how long a user has to enter the code of a device, 1 second to 30 minutes; 0
	// means 10 minutes.
	DeviceTTL time.Duration
	// RefreshTTL is how long a refresh token can be exchanged, at least one second; 0 means 30
	// days. AbsoluteTTL is the maximum lifetime of a grant, at least RefreshTTL; 0 means 90 days, or
	// RefreshTTL if that is longer.
	RefreshTTL, AbsoluteTTL time.Duration
}

// Options configure a [Server]. A nil *Options means all defaults.
type Options struct {
	Lifetimes
	// Scopes are the supported scopes with the descriptions that users see; "" shows the name. If a
	// client requests no scopes and has no default scopes, its token has no scopes.
	Scopes map[string]string
	// AccessClaims returns additional claims for access tokens, such as the tenant or the groups of
	// the account. Signed tokens contain them, with the values at the time of issue. The introspection
	// endpoint returns them for opaque and signed tokens, with the values at the time of the request.
	//
	// Claims that the server or verifiers use themselves are ignored, in any case: see
	// docs/oauth2/server.md. Claims never give roles or permissions: a token is limited by its
	// scopes. Everyone who gets the token can read them. As JSON they may have 4 KiB.
	//
	// An error, or claims that are too long, is a server error (503), and no token is issued.
	// AccessClaims is called outside the store's transaction, so it can call other servers. Nil
	// means no additional claims.
	AccessClaims func(ctx context.Context, a AccessGrant) (map[string]any, error)
	// SigningKeys sign tokens. Signed access tokens and package openid require them.
	SigningKeys Keys
	// Keys is the master key ring. The device grant requires it, for user codes. Without it,
	// encrypted hints and the keys of limits use a random key of this process.
	Keys *keys.Ring
	// Endpoints are the paths of the endpoints, for the metadata and Routes.
	Endpoints Endpoints
	// Origins are the origins of pages whose scripts may call the client endpoints (CORS): token,
	// revocation, pushed requests, device authorization, registration, UserInfo. Each origin is a
	// scheme and a host in lower case, such as "https://app.example". "*" means every origin, which
	// is safe because these endpoints read no cookie. Every origin can read the public documents
	// and the JWK Set; no other origin can read the pages for users.
	Origins []string
	// Proxies are trusted to report the client address, by which attempts are counted. Behind a
	// proxy that is not listed, all users share one address.
	Proxies authn.TrustedProxies
	// RequireDPoP rejects token requests without a proof. It requires oauth2.Options.DPoP. It
	// cannot be combined with InsecureImplicitGrant, which issues bearer tokens.
	RequireDPoP bool
	// FAPI2 applies the FAPI 2.0 Security Profile. It implies RequirePushed and RequireDPoP, and so
	// requires oauth2.Options.DPoP. All clients must authenticate by private_key_jwt, including
	// resource servers that introspect. The "aud" of an assertion must be the issuer as a string, not
	// a list of one. RS256 is rejected for assertions, and for DPoP proofs at the server's endpoints;
	// for those at the API, give oauth2.Options.DPoP a verifier without it
	// (dpop.Verifier.WithoutRS256). CodeTTL is at most one minute. The options InsecureOptionalPKCE,
	// InsecurePasswordGrant, InsecureImplicitGrant and InsecureChosenSecrets cannot be set.
	//
	// Refresh tokens are not rotated (section 5.3.2.1), so that a client keeps its grant if a
	// response is lost: each refresh returns the same refresh token, which expires RefreshTTL after
	// it was issued. It is useless without the client's private key. If the client's method or keys
	// change in its record, its grants end at the next refresh.
	FAPI2 bool
	// RequirePushed rejects authorization requests that were not pushed (RFC 9126). Without it,
	// storage.Client.RequirePushed does so for one client.
	RequirePushed bool
	// ACRValues are the authentication context classes that logins can reach, the weakest first.
	// Clients find them as acr_values_supported. If a client requests one of them by acr_values and
	// the login reached neither it nor a stronger one, the user is sent to the login page once, with
	// acr_values. Values that are not in the list are ignored.
	ACRValues []string
	// StrictACR rejects a request whose acr_values the login did not reach with
	// unmet_authentication_requirements. Without it, such a request is granted, and the tokens say
	// which class the login reached. Requests for unknown classes are rejected, too.
	StrictACR bool
	// AllowLocalhostPorts lets native clients use any port in a registered http redirect URI with
	// the host localhost, as for loopback addresses. Set it for programs that cannot use 127.0.0.1.
	// RFC 8252, section 8.3, advises against localhost, because a name can resolve to another
	// address. Native clients then always need PKCE, and a consent for another port than the
	// registered one is not remembered. Clients with a client ID metadata document do not need it.
	AllowLocalhostPorts bool
	// ClientDocuments accepts clients by their client ID metadata documents. Nil accepts only
	// clients with a record.
	ClientDocuments *ClientDocuments
	// Fetching configures requests to URLs of clients.
	Fetching Fetching
	// InsecureOptionalPKCE lets confidential clients request a code without a challenge. Set it
	// only for clients that do not support RFC 7636: an attacker who obtains such a code can inject
	// it into the login of another browser.
	InsecureOptionalPKCE bool
	// InsecurePasswordGrant lets clients with the grant type oauth2.Password send a user's name and
	// password (RFC 6749, section 4.3). Nil rejects the grant. Set it only for clients that cannot
	// be changed: the application learns the password, and a second factor is not possible. The
	// checker counts attempts as for any login.
	InsecurePasswordGrant authn.PasswordChecker
	// InsecureImplicitGrant lets clients with the grant type oauth2.Implicit get an access token
	// from the authorization endpoint (RFC 6749, section 4.2). The token is stored in the browser's
	// history, and any page that obtains it can use it.
	InsecureImplicitGrant bool
	// InsecureChosenSecrets accepts client secrets that a person chose. Nil accepts only generated
	// secrets, which cannot be guessed.
	InsecureChosenSecrets *ChosenSecrets
	// Limits limit what anonymous callers can make the server store. Nil means the defaults.
	Limits *Limits
	// InsecureNoLimits turns Limits off. Anyone who knows a public client's ID can then fill the
	// database.
	InsecureNoLimits bool
	// Audit receives the following events; nil drops them.
	//
	//   - grants and tokens: token.created, token.revoked, token.evicted, refresh.succeeded,
	//     refresh.repeated, refresh.reuse, code.reuse, consent.dropped
	//   - rejected requests: introspection.refused, credential.rejected (a client tried to revoke
	//     another client's token), limit.fallback
	//   - the logins of InsecurePasswordGrant
	//   - from packages that extend the server: consent.given, device.approved, device.denied,
	//     client.created, client.changed, client.disabled, logout
	Audit *audit.Notifier
	// Logger receives reuse of codes and refresh tokens, and server errors; nil means
	// slog.Default().
	Logger *slog.Logger
	// Rand is the source of random bytes; nil means crypto/rand.
	Rand io.Reader
}

func (o *Options) defaults() {
	o.AccessTTL = cmp.Or(o.AccessTTL, time.Hour)
	o.CodeTTL = cmp.Or(o.CodeTTL, time.Minute)
	o.DeviceTTL = cmp.Or(o.DeviceTTL, 10*time.Minute)
	o.RefreshTTL = cmp.Or(o.RefreshTTL, 30*24*time.Hour)
	o.AbsoluteTTL = cmp.Or(o.AbsoluteTTL, max(90*24*time.Hour, o.RefreshTTL))
	o.Endpoints = o.Endpoints.defaults()
	if o.FAPI2 {
		o.RequirePushed, o.RequireDPoP = true, true
	}
	o.Scopes, o.ACRValues = maps.Clone(o.Scopes), slices.Clone(o.ACRValues)
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

// check rejects options that are invalid for a server over api.
func (o *Options) check(api oauth2.Options) error {
	if o.DeviceTTL < time.Second || o.DeviceTTL > 30*time.Minute || o.Keys != nil && o.Endpoints.Device == "-" {
		return errors.New("server: New: DeviceTTL out of range (1s to 30m), or Keys without Endpoints.Device")
	}
	if o.RefreshTTL < time.Second || o.AbsoluteTTL < o.RefreshTTL {
		return fmt.Errorf("server: New: RefreshTTL %v or AbsoluteTTL %v out of range (at least 1s; at least RefreshTTL)", o.RefreshTTL, o.AbsoluteTTL)
	}
	if o.AccessTTL < time.Second || o.CodeTTL < time.Second || o.CodeTTL > 10*time.Minute {
		return errors.New("server: New: AccessTTL or CodeTTL out of range (at least 1s; 1s to 10m)")
	}
	if api.SignedAccess != nil && o.SigningKeys == nil {
		return errors.New("server: New: signed access tokens require SigningKeys")
	}
	if api.DPoP != nil && o.Endpoints.Token == "-" {
		return errors.New("server: New: DPoP requires Endpoints.Token")
	}
	if api.DPoP == nil && o.RequireDPoP {
		return errors.New("server: New: RequireDPoP requires oauth2.Options.DPoP")
	}
	if o.FAPI2 && (o.CodeTTL > time.Minute || o.InsecureOptionalPKCE || o.InsecurePasswordGrant != nil || o.InsecureImplicitGrant || o.InsecureChosenSecrets != nil || o.Endpoints.PushedAuthorization == "-") {
		return errors.New("server: New: FAPI2 excludes a CodeTTL above 1m, the options InsecureOptionalPKCE, InsecurePasswordGrant, InsecureImplicitGrant and InsecureChosenSecrets, and a server without Endpoints.PushedAuthorization")
	}
	if o.RequireDPoP && o.InsecureImplicitGrant {
		return errors.New("server: New: both RequireDPoP and InsecureImplicitGrant are set (at most one, because an implicit grant has no proof)")
	}
	if err := checkACRValues(o.ACRValues, o.StrictACR); err != nil {
		return err
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
