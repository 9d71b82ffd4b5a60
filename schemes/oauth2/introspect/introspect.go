// Package introspect accepts opaque access tokens of another issuer. It queries that issuer about
// each token (RFC 7662) and caches the response.
//
// Import it in a resource server whose tokens come from another authorization server:
//
//	foreign, err := introspect.New("https://login.example", "https://login.example/introspect",
//		"https://api.example", introspect.ClientCredentials{ID: "api", Secret: secret}, nil)
//	chain := authn.Chain{foreign}
//
// For signed tokens of another issuer use jwt.NewVerifier. For tokens of an authorization server
// that shares this application's database use package oauth2, which needs no HTTP query.
//
// Limits: a revoked token is accepted until its cached response expires (Options.CacheTTL). The
// number of queries is limited, so that random tokens cannot overload the issuer
// (Options.UnknownRate, MaxQueries). If the issuer does not respond, requests fail with 503.
// Sender-constrained tokens are rejected.
package introspect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/internal/syntax"
)

// ClientCredentials are the ID and secret with which a resource server authenticates at the
// introspection endpoint. Printing them does not print the secret.
type ClientCredentials struct{ ID, Secret string }

// String returns the ID and "[redacted]".
func (c ClientCredentials) String() string { return c.ID + " [redacted]" }

// GoString returns the same as String.
func (c ClientCredentials) GoString() string { return c.String() }

// MarshalText returns the same as String, so that logs and JSON never contain the secret.
func (c ClientCredentials) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// Options configure a [Scheme]. A nil *Options means all defaults.
type Options struct {
	// Name is the value of Identity.Scheme; "" means "oauth2".
	Name string
	// ResourceMetadata is the URL of the protected resource metadata of this API (RFC 9728), for the
	// challenge. Model Context Protocol clients find the issuer by it. Use the URL method of package
	// schemes/oauth2/resource. Schemes of one chain must have the same value. "" means none.
	ResourceMetadata string
	// Prefix is the prefix of the issuer's tokens, such as "ory_at_", or "vat_" if the issuer is a
	// server of this module. For tokens without this prefix the chain tries its other schemes. Set
	// it if the issuer's tokens have a prefix.
	//
	// With "" the scheme accepts every token that no earlier scheme accepted, so put it after the
	// other schemes for Bearer. It never sends JWTs and tokens of this application to the issuer. A
	// token counts as a token of this application if it has the format of this module, a default
	// prefix of this module, or a prefix in OwnPrefixes. There is one exception: a token of this
	// application with a mistyped prefix is sent to the issuer. It is not valid in this form.
	Prefix string
	// OwnPrefixes are the prefixes of this application's tokens that are not default prefixes of
	// this module, such as "acme_". Tokens with these prefixes are never sent to the issuer, valid
	// or not. They are used only if Prefix is "".
	OwnPrefixes []string
	// Client sends the queries. Its Timeout limits each query; 0 means 5 seconds. Redirects are not
	// followed and cookies are not stored. Nil means a client with at most 64 connections.
	Client *http.Client
	// MaxBytes limits the size of a response, in bytes; 0 means 64 KiB.
	MaxBytes int64
	// CacheTTL is how long a response is cached, at most one hour and never beyond the token's
	// expiry. A revoked token may still be accepted for that time. 0 means one minute. A negative
	// value turns the cache off, so each request queries the issuer.
	CacheTTL time.Duration
	// CacheEntries and CacheBytes limit the cache; 0 means 8,192 entries and 16 MiB.
	CacheEntries, CacheBytes int
	// UnknownRate is the maximum number of queries per second that find an inactive token or get no
	// response; 0 means 200. UnknownPerNet is the maximum from one network, an IPv4 /24 or an IPv6
	// /48; 0 means 20. A running query counts for UnknownPerNet until the issuer reports that the
	// token is active.
	//
	// Above either limit, tokens that are not cached get 503 for the rest of the second. Above
	// UnknownRate, only networks without such queries in this second and the previous one are still
	// served. They share a reserve of half of UnknownRate. When the reserve is used up, only
	// networks that sent active tokens before are served.
	//
	// The network is determined by storage.ClientAddr. Behind a reverse proxy, set
	// authn.Options.Proxies; private addresses count only for UnknownRate.
	UnknownRate, UnknownPerNet int
	// MaxQueries is the maximum number of concurrent queries; 0 means 64. Set at least 8 if anyone
	// can send tokens. One network gets at most a quarter of them, and an IPv4 /16 or IPv6 /32
	// half. A quarter is reserved for networks that have no running query and sent no inactive
	// token in the last second, and an eighth for networks that sent active tokens before. Above
	// that, tokens that are not cached get 503.
	MaxQueries int
	// Leeway is the allowed difference between clocks: 0 to 5 minutes.
	Leeway time.Duration
	// InsecureNoAudience accepts tokens without an audience. Every client that gets a token from
	// the issuer, for any API, can then use it here.
	InsecureNoAudience bool
	// InsecureNoType accepts tokens without a "token_type". Do not set it for issuers that
	// distinguish refresh tokens from access tokens only by this member.
	InsecureNoType bool
	// InsecureHTTP accepts an http endpoint on any host, for development: secrets are not encrypted.
	InsecureHTTP bool
	// LoginClaims uses auth_time, amr, and acr as ACR says. Without it, authz.Fresh rejects all users.
	LoginClaims bool
	// ACR maps the issuer's authentication context classes to yours; others count as none.
	ACR map[string]string
	// User returns the application's account for a token. It is called at each request. Nil means
	// that Identity.User is not set. If it returns an *authn.Error, the request is rejected with
	// it; any other error is a server error.
	User func(context.Context, *Token) (authn.User, error)
	// Audit receives credential.rejected for a token that the issuer reports as active but that is
	// not valid here. The reason is "issuer", "bound", "type", "audience", "expired", "not_before"
	// or "subject". The token may be stolen, or its client uses the wrong API. The events have no
	// Subject, because the user belongs to the issuer. Nil drops the events.
	Audit *audit.Notifier
	// Clock returns the current time; nil means time.Now.
	Clock func() time.Time
}

// Scheme accepts opaque access tokens of another issuer. It is safe for concurrent use.
type Scheme struct {
	issuer, endpoint, audience string
	by                         ClientCredentials
	opts                       Options
	client                     http.Client
	cache                      *answers // nil without a cache
	queries                    *queries

	invalid      *authn.Error // the response to every rejected token
	unrecognized error
}

// New returns a scheme for the opaque tokens of issuer. endpoint is its introspection endpoint: an
// https URL (http only for a loopback address). The argument by holds the client ID and the secret
// that the scheme sends there with HTTP Basic. "aud" of the response must contain
// audience. "iss", if present, must be issuer. Both are compared byte for byte.
//
// Identities have the Issuer, the Client from "client_id", and the scopes from "scope", which are
// never nil. If "sub" is missing or equal to "client_id", there is no Subject. Identities have no
// roles and no permissions, because the issuer's users are not accounts of this application.
//
// New returns an error if an argument is missing or invalid, or if an option is out of range.
func New(issuer, endpoint, audience string, by ClientCredentials, opts *Options) (*Scheme, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	u, err := url.Parse(endpoint)
	switch {
	case !isText(issuer) || !isText(audience):
		return nil, errors.New("introspect: New: issuer and audience are required (at most 255 bytes, no control characters)")
	case err != nil || u.Host == "" || u.User != nil || strings.ContainsAny(endpoint, "?#"):
		return nil, errors.New("introspect: New: invalid endpoint (https://host/path without user, query and fragment)")
	case u.Scheme != "https" && !(u.Scheme == "http" && (o.InsecureHTTP || syntax.IsLoopback(u.Hostname()))):
		return nil, errors.New("introspect: New: endpoint is not https (Options.InsecureHTTP allows http in development)")
	case !isText(by.ID) || by.Secret == "":
		return nil, errors.New("introspect: New: by.ID and by.Secret are required")
	case o.Leeway < 0 || o.Leeway > 5*time.Minute:
		return nil, fmt.Errorf("introspect: New: Leeway %v out of range (0 to 5m)", o.Leeway)
	case o.CacheTTL > time.Hour:
		return nil, fmt.Errorf("introspect: New: CacheTTL %v out of range (at most 1h)", o.CacheTTL)
	case o.MaxBytes < 0 || o.CacheEntries < 0 || o.CacheBytes < 0 || o.UnknownRate < 0 || o.UnknownPerNet < 0 || o.MaxQueries < 0:
		return nil, errors.New("introspect: New: negative limit (MaxBytes, CacheEntries, CacheBytes, UnknownRate, UnknownPerNet and MaxQueries must be at least 0)")
	case !isPrefix(o.Prefix):
		return nil, fmt.Errorf("introspect: New: invalid Prefix %q (letters, digits and -._~+/; not the beginning of a JWT)", o.Prefix)
	}
	if err := (authn.BearerChallenge{ResourceMetadata: o.ResourceMetadata}).Check(); err != nil {
		return nil, fmt.Errorf("introspect: New: %w", err)
	}
	o.OwnPrefixes, o.ACR = slices.Clone(o.OwnPrefixes), maps.Clone(o.ACR)
	if slices.ContainsFunc(o.OwnPrefixes, func(p string) bool { return p == "" || !isPrefix(p) }) {
		return nil, fmt.Errorf("introspect: New: invalid prefix in OwnPrefixes %q (letters, digits and -._~+/; not the beginning of a JWT)", o.OwnPrefixes)
	}
	o.Name = cmp.Or(o.Name, "oauth2")
	o.MaxBytes = cmp.Or(o.MaxBytes, 64<<10)
	o.CacheTTL = cmp.Or(o.CacheTTL, time.Minute)
	given := o.Clock
	if o.Clock == nil {
		o.Clock = time.Now
	}
	i := &Scheme{issuer: issuer, endpoint: endpoint, audience: audience, by: by, opts: o, client: newClient(o.Client), queries: newQueries(o, given)}
	if o.CacheTTL > 0 {
		i.cache = newAnswers(o, given)
	}
	i.invalid = authn.AuthenticationFailed("Invalid token.")
	i.invalid.Code = "invalid_token"
	why := "not in the format of a token"
	if o.Prefix == "" {
		why = "a JWT, or in the format of this application's tokens (set Options.Prefix)"
	}
	i.unrecognized = authn.Unrecognized(i.invalid.WithCause(errors.New(why)))
	return i, nil
}

// isText reports whether s is valid as an identifier.
func isText(s string) bool {
	return s != "" && len(s) <= 255 && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// isPrefix reports whether a token68 may begin with p and no JWT does. JWTs begin with the
// base64url encoding of a brace and a quote or white space.
func isPrefix(p string) bool {
	return p != "e" && !strings.HasPrefix(p, "ey") && !strings.HasPrefix(p, "ew") && !strings.ContainsFunc(p, func(c rune) bool {
		return (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && !strings.ContainsRune("-._~+/", c)
	})
}

// newClient returns the HTTP client for the queries.
func newClient(given *http.Client) http.Client {
	c := http.Client{}
	if given != nil {
		c = *given
	} else {
		c.Transport = &http.Transport{
			Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, TLSHandshakeTimeout: 5 * time.Second,
			MaxConnsPerHost: 64, MaxIdleConnsPerHost: 64, IdleConnTimeout: 90 * time.Second,
		}
	}
	c.Timeout = cmp.Or(c.Timeout, 5*time.Second)
	c.Jar = nil
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return c
}

// Name returns Options.Name.
func (i *Scheme) Name() string { return i.opts.Name }

// Headers returns Authorization.
func (i *Scheme) Headers() []string { return []string{"Authorization"} }

// Formats returns Bearer with Options.Prefix, or with authn.AnyFormat if there is no prefix.
func (i *Scheme) Formats() []authn.CredentialFormat {
	return []authn.CredentialFormat{{Keyword: "Bearer", Format: cmp.Or(i.opts.Prefix, authn.AnyFormat)}}
}

// Authenticate reads an opaque token with the keyword Bearer and gets the response about it from
// the cache or the issuer. It rejects a token that is not active or not for this API. If the issuer
// does not respond as RFC 7662 requires, the error is a server error.
func (i *Scheme) Authenticate(r *http.Request) (authn.Identity, error) {
	text, err := authn.Credentials(r, "Bearer", "token")
	if err != nil {
		return authn.Identity{}, err
	}
	if !i.accepts(text) {
		return authn.Identity{}, i.unrecognized
	}
	t, lease, err := i.about(r.Context(), text)
	if err != nil {
		return authn.Identity{}, err
	}
	if err := i.check(t); err != nil {
		if why := (*mismatch)(nil); errors.As(err, &why) {
			key := i.key(text)
			i.opts.Audit.Notify(audit.Context(r), audit.Event{Kind: audit.CredentialRejected, Reason: why.code, Scheme: i.opts.Name, Client: t.Client, Credential: string(key[:])})
		}
		return authn.Identity{}, i.invalid.WithCause(err)
	}
	id := authn.Identity{
		Subject: t.Subject, Client: t.Client, Issuer: i.issuer, Scheme: i.opts.Name, Scopes: t.Scopes,
		Credential: t, Expires: t.Expires,
	}
	id.SetActors(t.Actors)
	if i.opts.LoginClaims {
		id.AuthTime, id.ACR, id.AMR = t.AuthTime, i.opts.ACR[t.ACR], slices.Clone(t.AMR)
	}
	if i.opts.User != nil {
		if id.User, err = audit.Call("introspect.Options.User", func() (authn.User, error) { return i.opts.User(r.Context(), t) }); err != nil {
			return authn.Identity{}, err
		}
		return id, nil // the application returns its account for each request
	}
	of := t.clone() // the request owns t
	return id.Kept(i, authn.Keep{Lease: lease, Clock: i.opts.Clock, Size: 500 + t.Claims.Size(), Check: func(*http.Request) error {
		if i.check(of) != nil { // for example expired meanwhile
			return authn.ErrAskAgain
		}
		return nil
	}}), nil
}

// Presented implements [authn.Keeper]. The middleware keeps identities while the issuer's responses
// are cached.
func (i *Scheme) Presented(r *http.Request) (text string, guessable bool) {
	if i.cache == nil {
		return "", false
	}
	if text = authn.RawCredentials(r, "Bearer"); text == "" || !i.accepts(text) {
		return "", false
	}
	return text, false
}

// Forget removes a token from the cache, so that the next request with it queries the issuer. Call
// it after you revoked the token at the issuer. The result of a query that is already running is
// not used for later requests.
func (i *Scheme) Forget(token string) {
	if i.cache != nil {
		i.cache.forget(i.key(token))
	}
}
