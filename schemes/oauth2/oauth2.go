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
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	goauth "github.com/go-oauth2/oauth2/v4"
	"github.com/go-oauth2/oauth2/v4/server"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/internal/rotation"
	"github.com/vestibule-auth/vestibule/internal/tokentext"
	"github.com/vestibule-auth/vestibule/keys"
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
	// PrivateKeyJWT signs a short-lived assertion with the client's own key (RFC 7523).
	PrivateKeyJWT = "private_key_jwt"
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
	storage.DeviceGrants
	storage.Tries
	storage.Consents
	storage.Replays
	storage.Transactor
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
	purpose string // of its families
	store   Store
	perms   storage.Permissions // nil: the store keeps none
	opts    Options
	clock   func() time.Time // as given: nil is the system's
	scopes  []string         // sorted
	rotator *rotation.Rotator
	frame   *server.Server // go-oauth2's
	chosen  *chosenSecrets // nil: there are none
	counts  counts
	waiting waiting
	cellMAC keys.Key
	ownKey  keys.Key // seals hints if there is no key ring

	invalid      *authn.Error // every refused access token looks like this
	unrecognized error
}

// New returns a server. issuer is its identifier, the URL that its metadata are under: https,
// without query and fragment (RFC 8414 section 2); http for a loopback address alone, unless Options.InsecureHTTP is set. It is
// configured, never taken from a request. A store holds the codes and the tokens of one issuer:
// servers of two issuers have two databases, or two schemas of one.
func New(issuer string, store Store, opts *Options) (*Server, error) {
	if store == nil || opts == nil {
		return nil, errors.New("oauth2: a store and options are needed")
	}
	if err := checkIssuer(issuer, opts != nil && opts.InsecureHTTP); err != nil {
		return nil, err
	}
	s := &Server{issuer: issuer, store: store, opts: *opts, clock: opts.Clock, purpose: purposeOf(issuer)}
	o := &s.opts
	o.defaults()
	if err := o.check(); err != nil {
		return nil, err
	}
	s.scopes = slices.Sorted(maps.Keys(o.Scopes))
	var err error
	if o.DPoP != nil {
		if o.DPoP, err = o.DPoP.check(issuer, o.Audience, o.Endpoints); err != nil {
			return nil, err
		}
	}
	s.rotator, err = rotation.New(store, rotation.Options{Grace: o.Grace, Idle: o.RefreshTTL, Absolute: o.AbsoluteTTL, Block: o.AccessTTL + leeway, Clock: o.Clock})
	if err != nil {
		return nil, fmt.Errorf("oauth2: %w", err)
	}
	if s.chosen, err = newChosenSecrets(o); err != nil {
		return nil, err
	}
	if err := s.limit(); err != nil {
		return nil, err
	}
	if o.Keys == nil {
		_, _ = rand.Read(s.ownKey[:]) // never fails; see crypto/rand
	}
	s.perms, _ = store.(storage.Permissions)
	grants := []goauth.GrantType{goauth.AuthorizationCode, goauth.ClientCredentials, goauth.Refreshing}
	if o.InsecurePasswordGrant != nil {
		grants = append(grants, goauth.PasswordCredentials)
	}
	s.frame = server.NewServer(&server.Config{TokenType: "Bearer", AllowedGrantTypes: grants}, manager{s})
	s.frame.SetExtensionFieldsHandler(further)
	s.invalid = authn.AuthenticationFailed("Invalid token.")
	s.invalid.Code = "invalid_token"
	s.unrecognized = authn.Unrecognized(s.invalid.With(errors.New("not of a token's shape")))
	return s, nil
}

func checkIssuer(issuer string, insecure bool) error {
	u, err := url.Parse(issuer)
	if err != nil || u.Host == "" || u.User != nil || strings.ContainsAny(issuer, "?#") || strings.HasSuffix(issuer, "/") ||
		u.Scheme != "https" && !(u.Scheme == "http" && (insecure || isLoopback(u.Hostname()))) {
		return fmt.Errorf("oauth2: issuer %q: want https://host/path without query, fragment and a slash at its end; http is for loopback addresses, or for development with InsecureHTTP", issuer)
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

// purposeOf tells an issuer's families from others' in one store.
func purposeOf(issuer string) string {
	key := storage.BlockKeyOf("purpose", issuer, "oauth2")
	return "oauth2 " + base64.RawURLEncoding.EncodeToString(key[:15])
}

func (s *Server) logger() *slog.Logger { return loggerOr(s.opts.Logger) }

func loggerOr(log *slog.Logger) *slog.Logger {
	if log != nil {
		return log
	}
	return slog.Default()
}
