package oauth2

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/storage"
)

// SecretVerifier checks a client's secret that somebody chose against its hash;
// password.Hasher is one. source is where the request comes from. An empty hash matches nothing,
// and must cost as much as another one.
type SecretVerifier interface {
	Verify(ctx context.Context, source string, encoded storage.PasswordHash, secret string) (ok, outdated bool, err error)
}

// Options say what a Server grants, and change it; they are needed.
type Options struct {
	// Scopes are those that there are, each with a description for the user; "" shows the name.
	// A client that asks for none, and has no default, gets a token that may do nothing.
	Scopes map[string]string
	// SigningKeys sign what is signed; OpenID and SignedAccess need them.
	SigningKeys Keys
	// OpenID, where not nil, makes the server an OpenID Provider. The scope "openid" is one of
	// Scopes then, with a description of its own where it has none. "profile" and "email" are
	// not, unless they are named there.
	OpenID *OpenID
	// SignedAccess makes access tokens JWTs (RFC 9068), for Audience where a client names no
	// resource: other services can check them by the published keys, without a question to
	// this server, and then see no revocation before they expire. Here revocation, logout and
	// the end of client and account count at once.
	SignedAccess bool
	// Origins are those of pages whose scripts may call the endpoints of clients (CORS): token,
	// revocation, pushed requests, device authorization, registration, userinfo. Each is
	// scheme and host, such as "https://app.example"; "*" is every origin, which is safe as no
	// cookie is read there. The documents and the JWK Set may always be read from every
	// origin, and the pages for people never.
	Origins []string
	// Audience is the resource that this application's API is (RFC 8707), such as
	// "https://api.example". A token for other resources is refused here; a token that was
	// requested without a resource is for this one. Every client may name it. "": only tokens
	// without a resource are accepted.
	Audience string
	// InsecureHTTP accepts an issuer with http on any host, such as "http://auth:8080" between
	// containers in development. Tokens, codes and secrets then travel in the clear: whoever
	// sees the traffic has them.
	InsecureHTTP bool
	// Endpoints are where the endpoints are mounted, for the metadata: New mounts nothing.
	Endpoints Endpoints
	// AccessTTL is how long an access token lives; 0 is an hour. It can be revoked before.
	AccessTTL time.Duration
	// CodeTTL is how long an authorization code can be exchanged; 0 is a minute, at most 10.
	CodeTTL time.Duration
	// RefreshTTL is how long a refresh token waits to be exchanged; 0 is 30 days.
	// AbsoluteTTL is how long a grant lives at most; 0 is 90 days, or RefreshTTL where that
	// is longer.
	RefreshTTL, AbsoluteTTL time.Duration
	// Grace is how long the answer of an exchange may be asked for again: 10 seconds where 0,
	// at most a minute; below 0 is never.
	Grace time.Duration
	// Keys is the master key ring. The device grant needs it, for the codes that users type.
	Keys *keys.Ring
	// DeviceTTL is how long a user has to type such a code; 0 is 10 minutes, at most 30.
	DeviceTTL time.Duration
	// Proxies are believed about the address of who types codes, which are counted by user and
	// by address. Behind a proxy that is not named all users share one address.
	Proxies authn.TrustedProxies
	// Session tells the session that an identity came by, and the epoch that it holds:
	// session.Of. Authorize needs it.
	Session func(authn.Identity) (session string, epoch int64, ok bool)
	// Token gives the token that a form of the identity's session carries: session.Token. With
	// it the consent form works also for who says not where a request comes from (RULES B2).
	Token func(authn.Identity) string
	// RenderConsent writes the consent page, after status and headers were set; nil is a
	// plain page. See Consent for what it holds. The page is sent when RenderConsent returns;
	// if it panics, the answer is 500.
	RenderConsent func(w http.ResponseWriter, r *http.Request, c Consent)
	// RememberConsent is how long a user who allowed something to a client is not asked for
	// the same, or less, again; 0 asks each time. It ends with the last grant of the client, and
	// is never for public clients of loopback addresses or private schemes (RULES B5).
	RememberConsent time.Duration
	// Registration lets clients register by themselves; nil does not. Register needs it.
	Registration *Registration
	// InsecureOptionalPKCE lets confidential clients ask for a code without a challenge, for
	// those that can not (RFC 7636). Whoever gets hold of such a code and of a browser can put
	// it into another one's login.
	InsecureOptionalPKCE bool
	// InsecurePasswordGrant, where not nil, lets clients with the grant type Password send a
	// user's name and password (RFC 6749 section 4.3): for clients that can not be changed. The
	// application learns the password, and no second factor can be asked for. Its checker
	// counts attempts as for any login.
	InsecurePasswordGrant authn.PasswordChecker
	// InsecureImplicitGrant lets clients with the grant type Implicit have an access token
	// from the authorization endpoint (RFC 6749 section 4.2): it is in the browser's history,
	// and any page that gets hold of it can use it.
	InsecureImplicitGrant bool
	// InsecureChosenSecrets, if not nil, checks the secrets of clients that have a Password:
	// secrets that somebody chose, or that were imported. Generated secrets cannot be guessed,
	// and do not need it. Use the hasher of your password checker, so that its slots bound
	// both together. Then every wrong secret costs a hash and is counted, whether or not the
	// client exists.
	InsecureChosenSecrets SecretVerifier
	// Limiter counts attempts with chosen secrets before they are hashed. nil is one in the
	// memory of this process, with the default limits of package throttle. It may be the
	// limiter of your password checker.
	Limiter authn.LoginLimiter
	// InsecureNoLimiter does not limit attempts with chosen secrets. Use it in tests, or if
	// something in front of the server limits them.
	InsecureNoLimiter bool
	// Limits bound what anonymous callers can make the server store; nil means the defaults.
	Limits *Limits
	// InsecureNoLimits switches Limits off. Anyone who knows a public client's ID can then fill
	// the database.
	InsecureNoLimits bool
	// User makes the application's own account of a token's user. nil leaves *storage.User.
	// Its *authn.Error refuses the request; any other error is a fault.
	User func(context.Context, storage.User) (authn.User, error)
	// DPoP, where not nil, binds tokens to keys of the clients (RFC 9449).
	DPoP *DPoP
	// Observe is told what happens to grants and tokens, on the caller's goroutine and after
	// it happened.
	Observe func(context.Context, Event)
	// Logger is told of codes and refresh tokens that were used again, and of faults; nil is
	// slog.Default().
	Logger *slog.Logger
	// Clock is time.Now where nil, Rand crypto/rand.
	Clock func() time.Time
	Rand  io.Reader
}

func (o *Options) defaults() {
	o.AccessTTL = cmp.Or(o.AccessTTL, time.Hour)
	o.CodeTTL = cmp.Or(o.CodeTTL, time.Minute)
	o.DeviceTTL = cmp.Or(o.DeviceTTL, 10*time.Minute)
	o.RefreshTTL = cmp.Or(o.RefreshTTL, 30*24*time.Hour)
	o.AbsoluteTTL = cmp.Or(o.AbsoluteTTL, max(90*24*time.Hour, o.RefreshTTL))
	switch {
	case o.Grace == 0:
		o.Grace = 10 * time.Second
	case o.Grace < 0:
		o.Grace = 0
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
}

// check refuses options that make no sense, and completes what depends on others.
func (o *Options) check() error {
	if o.DeviceTTL < time.Second || o.DeviceTTL > 30*time.Minute || o.Keys != nil && o.Endpoints.Device == "-" {
		return errors.New("oauth2: DeviceTTL is not between a second and 30 minutes, or the device grant has no page (Endpoints.Device)")
	}
	if o.AccessTTL < time.Second || o.CodeTTL < time.Second || o.CodeTTL > 10*time.Minute {
		return errors.New("oauth2: AccessTTL is below a second, or CodeTTL not between a second and 10 minutes")
	}
	if (o.OpenID != nil || o.SignedAccess) && o.SigningKeys == nil {
		return errors.New("oauth2: OpenID and SignedAccess need SigningKeys")
	}
	if o.SignedAccess && o.Audience == "" {
		return errors.New("oauth2: SignedAccess needs an Audience: a token for nobody is for everybody")
	}
	if o.OpenID != nil {
		openID := *o.OpenID
		openID.TTL = cmp.Or(openID.TTL, time.Hour)
		if openID.TTL < time.Second {
			return errors.New("oauth2: OpenID.TTL is below a second")
		}
		o.OpenID = &openID
		o.Scopes = maps.Clone(o.Scopes)
		if o.Scopes == nil {
			o.Scopes = map[string]string{}
		}
		o.Scopes[scopeOpenID] = cmp.Or(o.Scopes[scopeOpenID], "Know that it is you")
	}
	if o.RememberConsent < 0 {
		return errors.New("oauth2: RememberConsent is below 0")
	}
	if o.Registration != nil {
		g := *o.Registration
		if err := g.check(o.Scopes); err != nil {
			return err
		}
		o.Registration = &g
	}
	if err := o.Endpoints.check(); err != nil {
		return err
	}
	for _, origin := range o.Origins {
		if origin == anyOrigin {
			continue
		}
		if originOf(origin) != origin || strings.ToLower(origin) != origin || strings.Contains(origin, "*") {
			return fmt.Errorf("oauth2: origin %q: want https://host as browsers send it, in small letters, without a path, or \"*\" for all", origin)
		}
	}
	for name := range o.Scopes {
		if !isScope(name) {
			return fmt.Errorf("oauth2: scope %q: want printable ASCII without blanks, quotes and backslashes (RFC 6749 section 3.3)", name)
		}
	}
	return nil
}
