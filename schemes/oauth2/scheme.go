package oauth2

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/credential/rotation"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/dpop"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/internal/syntax"
	"github.com/vestibule-auth/vestibule/storage"
)

// Store is the store of a [Scheme].
type Store interface {
	storage.AccessTokens
	storage.Families
}

// Options configure a [Scheme]. A nil *Options means all defaults.
type Options struct {
	// Audience is the identifier of this API as a resource (RFC 8707), such as
	// "https://api.example": printable ASCII without spaces, quotes and backslashes, at most 2048
	// bytes. Tokens for other resources are rejected. Every client may request this resource.
	//
	// A token that was requested without a resource is for the Audience of the server that issued
	// it, so the server and its API must have the same value. If Audience is "", only tokens of
	// servers without an Audience are accepted.
	Audience string
	// ResourceMetadata is the URL of the protected resource metadata of this API (RFC 9728), for the
	// challenge. Model Context Protocol clients find the issuer by it. Use the URL method of package
	// schemes/oauth2/resource. Schemes of one chain must have the same value. "" means none.
	ResourceMetadata string
	// SignedAccess enables access tokens that are JWTs (RFC 9068). The scheme accepts JWTs that
	// these keys verify, and a server that uses this scheme issues them. SignedAccess requires an
	// Audience. Nil means opaque tokens only.
	//
	// In this scheme, revocation, logout and changes of the client and the account take effect
	// immediately. Other services can verify the tokens without a query, but then do not notice a
	// revocation before the token expires.
	SignedAccess jose.KeySource
	// DPoP enables sender-constrained tokens (RFC 9449). The scheme accepts them, and a server that
	// uses this scheme issues them to clients that send a proof. Nil means bearer tokens only.
	DPoP *dpop.Verifier
	// Origin is the scheme and host of this API in DPoP proofs, such as "https://api.example". ""
	// means the origin of Audience, or of the issuer if there is no Audience. It is never read from
	// a request.
	Origin string
	// Grace is how long a client may repeat a refresh request and receive the same response: at
	// most a minute. 0 means 10 seconds; a negative value means never. The first use of the new
	// access token ends the grace period, so this scheme needs the value, too. All processes must
	// use the same value.
	Grace time.Duration
	// User returns the application's account for the user of a token. Nil means *storage.Account.
	// If it returns an *authn.Error, the request is rejected with it; any other error is a server
	// error.
	User func(context.Context, storage.Account) (authn.User, error)
	// InsecureHTTP accepts an http issuer on any host, such as "http://auth:8080" between
	// containers. Set it only in development: tokens, codes and secrets are sent unencrypted, so
	// everyone on the network can read them.
	InsecureHTTP bool
	// Clock returns the current time; nil means time.Now.
	Clock func() time.Time
}

// maxAudience is the maximum length of Options.Audience, in bytes. It is limited because every
// issued record contains it.
const maxAudience = 2048

// Scheme accepts access tokens that a server with the same issuer and database issued. It is safe
// for concurrent use.
type Scheme struct {
	issuer  string
	mark    string // of the issuer, in the IDs of its tokens
	store   Store
	perms   storage.Permissions     // nil if the store has none
	recent  storage.UnchangedTokens // nil if the store has no deny set
	opts    Options
	clock   func() time.Time // Options.Clock; nil means the system clock
	rotator *rotation.Rotator

	invalid      *authn.Error // the response to every rejected access token
	unrecognized error
}

// New returns a scheme. issuer is the identifier of the authorization server: the URL under which
// its metadata is published, https, without query and fragment (RFC 8414, section 2). http is
// accepted only for a loopback address, unless Options.InsecureHTTP is set. The issuer is never
// read from a request.
//
// A store holds the codes and tokens of one issuer. For two issuers use two databases, or two
// schemas of one database. If two issuers share a store, each issuer rejects the other issuer's
// access and refresh tokens, but not its codes and device codes.
//
// New returns an error if store is nil, the issuer is invalid, or an option is out of range.
func New(issuer string, store Store, opts *Options) (*Scheme, error) {
	if store == nil {
		return nil, errors.New("oauth2: New: store is required")
	}
	var o Options
	if opts != nil {
		o = *opts
	}
	if err := checkIssuer(issuer, o.InsecureHTTP); err != nil {
		return nil, err
	}
	s := &Scheme{issuer: issuer, mark: markOf(issuer), store: store, clock: o.Clock}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	switch {
	case o.Grace == 0:
		o.Grace = 10 * time.Second
	case o.Grace < 0:
		o.Grace = 0
	}
	if len(o.Audience) > maxAudience || strings.ContainsFunc(o.Audience, func(c rune) bool { return c <= ' ' || c > '~' || c == '"' || c == '\\' }) {
		return nil, fmt.Errorf("oauth2: New: invalid Audience %q (a URI: printable ASCII without spaces, quotes and backslashes, up to %d bytes)", o.Audience, maxAudience)
	}
	if err := (authn.BearerChallenge{ResourceMetadata: o.ResourceMetadata}).Check(); err != nil {
		return nil, fmt.Errorf("oauth2: New: %w", err)
	}
	if o.SignedAccess != nil && o.Audience == "" {
		return nil, errors.New("oauth2: New: SignedAccess requires Audience (a token without aud would be valid everywhere)")
	}
	if o.DPoP != nil {
		var err error
		if o.Origin, err = checkOrigin(o.Origin, cmp.Or(o.Origin, o.Audience, issuer), isInsecure(issuer)); err != nil {
			return nil, err
		}
	}
	var err error
	// Only Used is called, which does not use the lifetimes.
	s.rotator, err = rotation.New(store, &rotation.Options{Grace: o.Grace, Idle: time.Hour, Absolute: time.Hour, Block: time.Hour, Clock: o.Clock})
	if err != nil {
		return nil, fmt.Errorf("oauth2: New: %w", err)
	}
	s.opts = o
	s.perms, _ = store.(storage.Permissions)
	s.recent = storage.UnchangedTokensOf(store)
	s.invalid = authn.AuthenticationFailed("Invalid token.")
	s.invalid.Code = "invalid_token"
	s.unrecognized = authn.Unrecognized(s.invalid.WithCause(errors.New("not in the format of a token")))
	return s, nil
}

func checkIssuer(issuer string, insecure bool) error {
	u, err := url.Parse(issuer)
	if err != nil || u.Host == "" || u.User != nil || strings.ContainsAny(issuer, "?#") || strings.HasSuffix(issuer, "/") ||
		u.Scheme != "https" && !(u.Scheme == "http" && (insecure || syntax.IsLoopback(u.Hostname()))) {
		return fmt.Errorf("oauth2: New: invalid issuer %q (https://host/path without query, fragment and trailing slash; http for loopback addresses, or for development with InsecureHTTP)", issuer)
	}
	return nil
}

// isInsecure reports whether an issuer is accepted only because of Options.InsecureHTTP.
func isInsecure(issuer string) bool { return checkIssuer(issuer, false) != nil }

// checkOrigin returns the origin of an address. given is Options.Origin.
func checkOrigin(given, address string, insecure bool) (string, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && !(u.Scheme == "http" && (syntax.IsLoopback(u.Hostname()) || insecure)) ||
		given != "" && given != u.Scheme+"://"+u.Host {
		return "", errors.New("oauth2: New: DPoP requires Origin (https://host) if Audience does not begin with one")
	}
	return u.Scheme + "://" + u.Host, nil
}

// Issuer returns the identifier of the authorization server.
func (s *Scheme) Issuer() string { return s.issuer }

// Options returns the options with defaults filled in.
func (s *Scheme) Options() Options { return s.opts }

// now returns the current time in the precision of stores.
func (s *Scheme) now() time.Time { return s.opts.Clock().UTC().Truncate(time.Microsecond) }
