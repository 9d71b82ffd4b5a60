// Package oauth2 lets applications of others act for your users, with the scopes that a
// user granted: an OAuth 2.0 authorization server (RFC 6749 with RFC 9700) and the scheme
// that its opaque access tokens authenticate by. For an application's own front ends there
// are sessions, device tokens and JWTs.
//
// The frame of the token endpoint is go-oauth2's server. Its manager and its stores are not
// used: codes and refresh tokens are exchanged once (RULES T3, T7), tokens are kept as
// digests (RULES K3), redirect URIs and clients are compared exactly.
package oauth2

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	goauth "github.com/go-oauth2/oauth2/v4"
	"github.com/go-oauth2/oauth2/v4/server"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/internal/rotation"
	"github.com/vestibule-auth/vestibule/internal/tokentext"
	"github.com/vestibule-auth/vestibule/storage"
)

// Grant types, for storage.Client.Grants.
const (
	AuthorizationCode = "authorization_code"
	ClientCredentials = "client_credentials"
	RefreshToken      = "refresh_token"
)

// Methods of client authentication, for storage.Client.Method.
const (
	// None is for public clients: those that can keep no secret.
	None = "none"
	// SecretBasic sends ID and secret by HTTP Basic, SecretPost in the form.
	SecretBasic = "client_secret_basic"
	SecretPost  = "client_secret_post"
)

// Store is what the server keeps.
type Store interface {
	storage.Users
	storage.Clients
	storage.Codes
	storage.AccessTokens
	storage.Families
	storage.AuthRequests
	storage.Blocklist
	storage.Transactor
}

// SecretVerifier checks a client's secret that somebody chose against its hash;
// password.Hasher is one. source is where the request comes from.
type SecretVerifier interface {
	Verify(ctx context.Context, source string, encoded storage.PasswordHash, secret string) (ok, outdated bool, err error)
}

// Options change a Server; Scopes are needed.
type Options struct {
	// Scopes are those that there are, each with a description for the user.
	Scopes map[string]string
	// SigningKeys sign what is signed; OpenID and SignedAccess need them.
	SigningKeys Keys
	// OpenID, where not nil, makes the server an OpenID Provider. The scope "openid" is one of
	// Scopes then, with a description of its own where it has none.
	OpenID *OpenID
	// SignedAccess makes access tokens JWTs (RFC 9068), for Audience where a client names no
	// resource: other services can check them by the published keys, without a question to
	// this server, and then see no revocation before they expire. Here revocation, logout and
	// the end of client and account count at once.
	SignedAccess bool
	// Origins are those of pages whose scripts may call the token, revocation and userinfo
	// endpoints (CORS), such as "https://app.example".
	Origins []string
	// Audience is the resource that this application's API is (RFC 8707), such as
	// "https://api.example". A token that was asked for others is refused here. "" takes
	// every token.
	Audience string
	// Endpoints are where the endpoints are mounted, for the metadata.
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
	// Session tells the session that an identity came by, and the epoch that it holds:
	// session.Of. Authorize needs it.
	Session func(authn.Identity) (session string, epoch int64, ok bool)
	// Token gives the token that a form of the identity's session carries: session.Token. With
	// it the consent form works also for who says not where a request comes from (RULES B2).
	Token func(authn.Identity) string
	// RenderConsent writes the consent page, after status and headers were set; nil is a
	// plain page. See Consent for what it holds.
	RenderConsent func(w http.ResponseWriter, r *http.Request, c Consent)
	// InsecureOptionalPKCE lets confidential clients ask for a code without a challenge, for
	// those that can not (RFC 7636). Whoever gets hold of such a code and of a browser can put
	// it into another one's login.
	InsecureOptionalPKCE bool
	// InsecureChosenSecrets, where not nil, checks the secrets of clients that have a
	// Password: ones that somebody chose, or that were imported. Generated secrets need
	// nothing of it, and nobody can guess those.
	InsecureChosenSecrets SecretVerifier
	// Proxies are those whose X-Forwarded-For says where a request comes from.
	Proxies authn.TrustedProxies
	// Limiter counts attempts with chosen secrets before they are hashed; nil does not.
	Limiter authn.LoginLimiter
	// User makes the application's own account of a token's user. nil leaves *storage.User.
	// Its *authn.Error refuses the request; any other error is a fault.
	User func(context.Context, storage.User) (authn.User, error)
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

// Prefixes of the tokens' texts (RULES C9).
const (
	accessPrefix  = "vat"
	refreshPrefix = "vor"
	codePrefix    = "vac"
)

// Server is an authorization server and the scheme of its access tokens. It is safe for
// concurrent use.
type Server struct {
	issuer  string
	store   Store
	perms   storage.Permissions // nil: the store keeps none
	opts    Options
	scopes  []string // sorted
	rotator *rotation.Rotator
	frame   *server.Server // go-oauth2's

	invalid      *authn.Error // every refused access token looks like this
	unrecognized error
}

// New returns a server. issuer is its identifier, the URL that its metadata are under: https,
// without query and fragment (RFC 8414 section 2); http for a loopback address alone. It is
// configured, never taken from a request.
func New(issuer string, store Store, opts *Options) (*Server, error) {
	if store == nil || opts == nil {
		return nil, errors.New("oauth2: a store and options are needed")
	}
	if err := checkIssuer(issuer); err != nil {
		return nil, err
	}
	s := &Server{issuer: issuer, store: store, opts: *opts, scopes: slices.Sorted(maps.Keys(opts.Scopes))}
	o := &s.opts
	o.defaults()
	if o.AccessTTL < time.Second || o.CodeTTL < time.Second || o.CodeTTL > 10*time.Minute {
		return nil, errors.New("oauth2: AccessTTL is below a second, or CodeTTL not between a second and 10 minutes")
	}
	if (o.OpenID != nil || o.SignedAccess) && o.SigningKeys == nil {
		return nil, errors.New("oauth2: OpenID and SignedAccess need SigningKeys")
	}
	if o.SignedAccess && o.Audience == "" {
		return nil, errors.New("oauth2: SignedAccess needs an Audience: a token for nobody is for everybody")
	}
	if o.OpenID != nil {
		openID := *o.OpenID
		openID.TTL = cmp.Or(openID.TTL, time.Hour)
		if openID.TTL < time.Second {
			return nil, errors.New("oauth2: OpenID.TTL is below a second")
		}
		o.OpenID = &openID
		o.Scopes = maps.Clone(o.Scopes)
		if o.Scopes == nil {
			o.Scopes = map[string]string{}
		}
		o.Scopes[scopeOpenID] = cmp.Or(o.Scopes[scopeOpenID], "Know that it is you")
		s.scopes = slices.Sorted(maps.Keys(o.Scopes))
	}
	for _, name := range s.scopes {
		if !isScope(name) {
			return nil, fmt.Errorf("oauth2: scope %q: want printable ASCII without blanks, quotes and backslashes (RFC 6749 section 3.3)", name)
		}
	}
	var err error
	s.rotator, err = rotation.New(store, rotation.Options{Grace: o.Grace, Idle: o.RefreshTTL, Absolute: o.AbsoluteTTL, Block: o.AccessTTL + leeway, Clock: o.Clock})
	if err != nil {
		return nil, fmt.Errorf("oauth2: %w", err)
	}
	s.perms, _ = store.(storage.Permissions)
	s.frame = server.NewServer(&server.Config{
		TokenType:         "Bearer",
		AllowedGrantTypes: []goauth.GrantType{goauth.AuthorizationCode, goauth.ClientCredentials, goauth.Refreshing},
	}, manager{s})
	s.frame.SetExtensionFieldsHandler(further)
	s.invalid = authn.AuthenticationFailed("Invalid token.")
	s.invalid.Code = "invalid_token"
	s.unrecognized = authn.Unrecognized(s.invalid.With(errors.New("not of a token's shape")))
	return s, nil
}

func (o *Options) defaults() {
	o.AccessTTL = cmp.Or(o.AccessTTL, time.Hour)
	o.CodeTTL = cmp.Or(o.CodeTTL, time.Minute)
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

func checkIssuer(issuer string) error {
	u, err := url.Parse(issuer)
	if err != nil || u.Host == "" || u.User != nil || strings.ContainsAny(issuer, "?#") || strings.HasSuffix(issuer, "/") ||
		u.Scheme != "https" && !(u.Scheme == "http" && isLoopback(u.Hostname())) {
		return fmt.Errorf("oauth2: issuer %q: want https://host/path without query, fragment and a slash at its end", issuer)
	}
	return nil
}

// isScope reports whether s is a scope-token of RFC 6749 section 3.3.
func isScope(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return s != ""
}

// now is the time as every store keeps it.
func (s *Server) now() time.Time { return s.opts.Clock().UTC().Truncate(time.Microsecond) }

// text draws a new token text.
func (s *Server) text(prefix string) (string, error) {
	var body [tokentext.Size]byte
	if _, err := io.ReadFull(s.opts.Rand, body[:]); err != nil {
		return "", err
	}
	return tokentext.Encode(prefix, body), nil
}

// id draws the name of a family or a token: 128 random bits.
func (s *Server) id() (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(s.opts.Rand, b[:]); err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(b[:]), nil
}

// purpose tells this issuer's families from others' in one store.
func (s *Server) purpose() string {
	key := storage.BlockKeyOf("purpose", s.issuer, "oauth2")
	return "oauth2 " + base64.RawURLEncoding.EncodeToString(key[:15])
}

func (s *Server) logger() *slog.Logger {
	if s.opts.Logger != nil {
		return s.opts.Logger
	}
	return slog.Default()
}
