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

// Store is what a Scheme reads and writes.
type Store interface {
	storage.AccessTokens
	storage.Families
}

// Options change a Scheme; nil is fine.
type Options struct {
	// Audience is the identifier of this API as a resource (RFC 8707), such as
	// "https://api.example": printable ASCII without spaces, quotes and backslashes. Tokens for
	// other resources are rejected, and every client may name this one. A token that was
	// requested without a resource is for the Audience of the server that issued it, so a server
	// and the API that it issues tokens for need the same value. If it is "", only tokens of
	// servers without an Audience are accepted.
	Audience string
	// SignedAccess, if not nil, accepts access tokens that are JWTs (RFC 9068), verified by
	// these keys, and makes a server over this scheme issue them. They need an Audience. Other
	// services can verify them without a query, and then do not notice a revocation before they
	// expire. Here revocation, logout and changes of client and account take effect immediately.
	SignedAccess jose.KeySource
	// DPoP, if not nil, accepts sender-constrained tokens (RFC 9449), and makes a server over
	// this scheme issue them to clients that send a proof.
	DPoP *dpop.Verifier
	// Origin is scheme and host of this API in DPoP proofs, such as "https://api.example". ""
	// is the origin of Audience, or of the issuer without an Audience. It is configured, and
	// never read from a request.
	Origin string
	// Grace is how long a client may repeat a refresh request and gets the same response: 10
	// seconds if 0, at most a minute; below 0 never. It is here because the first use of an
	// access token ends it. All processes need the same value.
	Grace time.Duration
	// User returns the application's own account of a token's user. nil leaves *storage.Account.
	// Its *authn.Error rejects the request; any other error is a fault.
	User func(context.Context, storage.Account) (authn.User, error)
	// InsecureHTTP accepts an issuer with http on any host, such as "http://auth:8080" between
	// containers in development. Tokens, codes and secrets then travel in the clear, readable
	// for anyone on the network.
	InsecureHTTP bool
	// Clock is time.Now if nil.
	Clock func() time.Time
}

// maxAudience bounds Options.Audience, which is in every record that is issued.
const maxAudience = 2048

// Scheme accepts the access tokens that a server with the same issuer and database issued. It
// is safe for concurrent use.
type Scheme struct {
	issuer  string
	mark    string // of the issuer, in the IDs of its tokens
	store   Store
	perms   storage.Permissions // nil: the store has none
	opts    Options
	clock   func() time.Time // as given: nil is the system's
	rotator *rotation.Rotator

	invalid      *authn.Error // every rejected access token gets this
	unrecognized error
}

// New returns a scheme. issuer is the identifier of the authorization server, the URL that its
// metadata are below: https, without query and fragment (RFC 8414, section 2); http only for a
// loopback address, unless Options.InsecureHTTP is set. It is configured, and never read from a
// request. A store holds the codes and the tokens of one issuer: servers of two issuers need two
// databases, or two schemas of one. Over one store each refuses the other's access and refresh
// tokens, but not its codes and device codes.
func New(issuer string, store Store, opts *Options) (*Scheme, error) {
	if store == nil {
		return nil, errors.New("oauth2: New: store is nil")
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
	if o.SignedAccess != nil && o.Audience == "" {
		return nil, errors.New("oauth2: New: SignedAccess requires Audience: a token without aud would be valid everywhere")
	}
	if o.DPoP != nil {
		var err error
		if o.Origin, err = checkOrigin(o.Origin, cmp.Or(o.Origin, o.Audience, issuer), isInsecure(issuer)); err != nil {
			return nil, err
		}
	}
	var err error
	// Only Used is called, which needs no lifetimes.
	s.rotator, err = rotation.New(store, &rotation.Options{Grace: o.Grace, Idle: time.Hour, Absolute: time.Hour, Block: time.Hour, Clock: o.Clock})
	if err != nil {
		return nil, fmt.Errorf("oauth2: New: %w", err)
	}
	s.opts = o
	s.perms, _ = store.(storage.Permissions)
	s.invalid = authn.AuthenticationFailed("Invalid token.")
	s.invalid.Code = "invalid_token"
	s.unrecognized = authn.Unrecognized(s.invalid.WithCause(errors.New("not in the format of a token")))
	return s, nil
}

func checkIssuer(issuer string, insecure bool) error {
	u, err := url.Parse(issuer)
	if err != nil || u.Host == "" || u.User != nil || strings.ContainsAny(issuer, "?#") || strings.HasSuffix(issuer, "/") ||
		u.Scheme != "https" && !(u.Scheme == "http" && (insecure || syntax.IsLoopback(u.Hostname()))) {
		return fmt.Errorf("oauth2: New: invalid issuer %q (https://host/path without query, fragment and a slash at its end; http for loopback addresses, or for development with InsecureHTTP)", issuer)
	}
	return nil
}

// isInsecure reports whether an issuer was accepted only because of Options.InsecureHTTP.
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

// Options returns the options, with the defaults filled in.
func (s *Scheme) Options() Options { return s.opts }

// now is the time as every store keeps it.
func (s *Scheme) now() time.Time { return s.opts.Clock().UTC().Truncate(time.Microsecond) }
