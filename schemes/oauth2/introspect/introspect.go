// Package introspect accepts opaque access tokens of another issuer: it queries that issuer
// about each token (RFC 7662) and caches the response for a while.
//
// Import it in a resource server whose tokens come from somebody else's authorization server:
//
//	foreign, err := introspect.New("https://login.example", "https://login.example/introspect",
//		"https://api.example", introspect.ClientCredentials{ID: "api", Secret: secret}, nil)
//	chain := authn.Chain{foreign}
//
// For signed tokens of another issuer use jwt.NewVerifier. For tokens of an authorization server
// that shares this application's database use package oauth2, which needs no query over HTTP.
//
// Limits: a revoked token is accepted until its cached response expires (Options.CacheTTL). Queries
// are bounded, so that made-up tokens do not overload the issuer (Options.UnknownRate, MaxQueries).
// An issuer that does not answer makes requests fail with 503. Sender-constrained tokens are
// rejected.
package introspect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/credential"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/internal/syntax"
)

// ClientCredentials are the ID and the secret of a client: how a resource server authenticates
// at the introspection endpoint. They print without the secret.
type ClientCredentials struct{ ID, Secret string }

// String returns the ID and "[redacted]".
func (c ClientCredentials) String() string { return c.ID + " [redacted]" }

// GoString returns the same as String.
func (c ClientCredentials) GoString() string { return c.String() }

// MarshalText returns the same as String, so logs and JSON never hold the secret.
func (c ClientCredentials) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// Options change a Scheme; nil is fine.
type Options struct {
	// Name is Identity.Scheme; "oauth2" if "".
	Name string
	// Prefix is what the issuer's tokens begin with, such as "ory_at_": the chain tries its
	// other schemes for all other tokens. If the issuer is a server of this module, it is
	// "vat_". With "" the scheme accepts every token that no earlier scheme accepted, so it comes
	// after the other schemes for Bearer. JWTs and tokens of this application, which are those in the
	// format of this module and all texts that begin with one of its default prefixes or of
	// OwnPrefixes, are never sent to the issuer then. What is left is a token of this application whose
	// prefix itself was mistyped: the issuer receives it, and it is not valid as it is. Set Prefix if
	// the issuer's tokens have one.
	Prefix string
	// OwnPrefixes are what the tokens of this application begin with that have other than the default
	// prefixes of this module, such as "acme_". A token that begins with one is not sent to the issuer,
	// valid or not. They are used without Prefix only.
	OwnPrefixes []string
	// Client sends the queries. Its Timeout, 5 seconds if 0, limits each; redirects are not
	// followed and cookies not kept. nil is a client that opens at most 64 connections.
	Client *http.Client
	// MaxBytes limits the size of a response: 64 KiB if 0.
	MaxBytes int64
	// CacheTTL is how long a response is cached, and so how long a revoked token may still be
	// accepted: a minute if 0, at most an hour, and never beyond the token's expiry. Below 0
	// each request queries the issuer.
	CacheTTL time.Duration
	// CacheEntries and CacheBytes limit the cache: 8,192 and 16 MiB if 0.
	CacheEntries, CacheBytes int
	// UnknownRate is how many queries in a second may find a token that is not active, or get no
	// answer: 200 if 0. UnknownPerNet is how many of them may come from one network, an IPv4 /24
	// or an IPv6 /48: 20 if 0. Beyond either, tokens that are not cached get 503 for the rest of
	// the second. Networks without such queries in this second and the one before have half of
	// UnknownRate more, and after that those that sent active tokens before.
	//
	// The address is that of storage.ClientAddr. Behind a reverse proxy, name it in
	// authn.Options.Proxies: private addresses only count for UnknownRate.
	//
	// A query that runs counts for UnknownPerNet until the issuer has said that the token is active.
	UnknownRate, UnknownPerNet int
	// MaxQueries is how many queries may run at the same time: 64 if 0, and at least 8 if strangers
	// send tokens. One network has at most a quarter of them, and an IPv4 /16 or IPv6 /32 half. A
	// quarter of them is kept for networks that have no query under way and had none of an inactive
	// token in the last second, and an eighth for networks that sent active tokens before. Beyond
	// that, tokens that are not cached get 503.
	MaxQueries int
	// Leeway is the allowed difference between clocks, up to five minutes; 0 is none.
	Leeway time.Duration
	// InsecureNoAudience accepts tokens without an audience. Every client that gets a token of
	// the issuer, for whatever API, can then use it here.
	InsecureNoAudience bool
	// InsecureNoType accepts tokens without a "token_type". Some issuers distinguish refresh
	// tokens from access tokens by nothing else.
	InsecureNoType bool
	// InsecureHTTP accepts an introspection endpoint with http on any host, for development
	// between containers. The client's secret and the tokens then travel in the clear.
	InsecureHTTP bool
	// User returns the application's account for a token, at each request. nil sets no
	// Identity.User. Its *authn.Error rejects the request; any other error is a fault.
	User func(context.Context, *Token) (authn.User, error)
	// Audit receives credential.rejected for a token that the issuer calls active and that is not
	// valid here, with the Reason "issuer", "bound", "type", "audience", "expired", "not_before" or
	// "subject". It may be stolen, or of a client that uses the wrong API. The user is the issuer's,
	// so the events have no Subject. nil drops them.
	Audit *audit.Notifier
	// Clock is time.Now if nil.
	Clock func() time.Time
}

// Scheme accepts the opaque access tokens of another issuer. It is safe for concurrent use.
type Scheme struct {
	issuer, endpoint, audience string
	by                         ClientCredentials
	opts                       Options
	client                     http.Client
	cache                      *answers // nil: none
	queries                    *queries

	invalid      *authn.Error // every rejected token gets this
	unrecognized error
}

// New returns a scheme for the opaque tokens of issuer. Its introspection endpoint is an https
// URL (http only for a loopback address), where the scheme authenticates as the client by, with
// HTTP Basic. "aud" of the response must contain audience, and "iss", if there is one, must be
// issuer; both are compared byte for byte.
//
// Identities have the Issuer, the Client that "client_id" names, and the scopes of "scope",
// never nil. A token without "sub", or whose "sub" is its "client_id", has no Subject. They
// have neither roles nor permissions: the issuer's users are not accounts of this application.
func New(issuer, endpoint, audience string, by ClientCredentials, opts *Options) (*Scheme, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	u, err := url.Parse(endpoint)
	switch {
	case !isText(issuer) || !isText(audience):
		return nil, errors.New("introspect: New: issuer and audience must not be empty")
	case err != nil || u.Host == "" || u.User != nil || strings.ContainsAny(endpoint, "?#"):
		return nil, errors.New("introspect: New: the introspection endpoint must be a URL of a host, without query and fragment")
	case u.Scheme != "https" && !(u.Scheme == "http" && (o.InsecureHTTP || syntax.IsLoopback(u.Hostname()))):
		return nil, errors.New("introspect: New: the introspection endpoint is not https (Options.InsecureHTTP allows http in development)")
	case !isText(by.ID) || by.Secret == "":
		return nil, errors.New("introspect: New: the ID and the secret of a client must not be empty")
	case o.Leeway < 0 || o.Leeway > 5*time.Minute:
		return nil, fmt.Errorf("introspect: New: Leeway %v out of range (0 to 5m)", o.Leeway)
	case o.CacheTTL > time.Hour:
		return nil, fmt.Errorf("introspect: New: CacheTTL %v out of range (up to 1h)", o.CacheTTL)
	case o.MaxBytes < 0 || o.CacheEntries < 0 || o.CacheBytes < 0 || o.UnknownRate < 0 || o.UnknownPerNet < 0 || o.MaxQueries < 0:
		return nil, errors.New("introspect: New: negative limit")
	case !isPrefix(o.Prefix):
		return nil, fmt.Errorf("introspect: New: invalid prefix %q (letters, digits and -._~+/; not what every JWT begins with)", o.Prefix)
	}
	o.OwnPrefixes = slices.Clone(o.OwnPrefixes)
	if slices.ContainsFunc(o.OwnPrefixes, func(p string) bool { return p == "" || !isPrefix(p) }) {
		return nil, fmt.Errorf("introspect: New: invalid prefix in OwnPrefixes %q (letters, digits and -._~+/; not what every JWT begins with)", o.OwnPrefixes)
	}
	o.Name = cmp.Or(o.Name, "oauth2")
	o.MaxBytes = cmp.Or(o.MaxBytes, 64<<10)
	o.CacheTTL = cmp.Or(o.CacheTTL, time.Minute)
	given := o.Clock
	if o.Clock == nil {
		o.Clock = time.Now
	}
	i := &Scheme{issuer: issuer, endpoint: endpoint, audience: audience, by: by, opts: o, client: asker(o.Client), queries: newQueries(o, given)}
	if o.CacheTTL > 0 {
		i.cache = newAnswers(o, given)
	}
	i.invalid = authn.AuthenticationFailed("Invalid token.")
	i.invalid.Code = "invalid_token"
	why := "not in the format of a token"
	if o.Prefix == "" {
		why = "a JWT, or in the format of this application's tokens (Options.Prefix)"
	}
	i.unrecognized = authn.Unrecognized(i.invalid.WithCause(errors.New(why)))
	return i, nil
}

// isText reports whether s is valid as an identifier.
func isText(s string) bool {
	return s != "" && len(s) <= 255 && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// isPrefix reports whether a token68 may begin with p, and no JWT does: those begin with the
// base64url of a brace and of a quote or white space.
func isPrefix(p string) bool {
	return p != "e" && !strings.HasPrefix(p, "ey") && !strings.HasPrefix(p, "ew") && !strings.ContainsFunc(p, func(c rune) bool {
		return (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && !strings.ContainsRune("-._~+/", c)
	})
}

// asker returns the client for the queries.
func asker(given *http.Client) http.Client {
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

// Name returns the name of Options.
func (i *Scheme) Name() string { return i.opts.Name }

// Headers returns Authorization.
func (i *Scheme) Headers() []string { return []string{"Authorization"} }

// Formats returns Bearer and the tokens' prefix, or authn.AnyFormat without one.
func (i *Scheme) Formats() []authn.CredentialFormat {
	return []authn.CredentialFormat{{Keyword: "Bearer", Format: cmp.Or(i.opts.Prefix, authn.AnyFormat)}}
}

// Challenge returns Bearer, with an error for a rejected token or one whose scopes do not
// suffice, and with the scopes that the route needs (RFC 6750, section 3).
func (i *Scheme) Challenge(_ *http.Request, err error) string {
	return authn.BearerChallenge{Invalid: i.invalid.Code}.For(err)
}

// Authenticate looks for an opaque token under Bearer, and looks it up in the cache or queries
// the issuer. It rejects a token that is not active or not for this API. An issuer that does not
// answer, or not as RFC 7662 requires, is a fault.
func (i *Scheme) Authenticate(r *http.Request) (authn.Identity, error) {
	text, err := authn.Credentials(r, "Bearer", "token")
	if err != nil {
		return authn.Identity{}, err
	}
	if !i.takes(text) {
		return authn.Identity{}, i.unrecognized
	}
	t, lease, err := i.about(r.Context(), text)
	if err != nil {
		return authn.Identity{}, err
	}
	if err := i.check(t); err != nil {
		if why := (*unfit)(nil); errors.As(err, &why) {
			key := i.key(text)
			i.opts.Audit.Notify(audit.Context(r), audit.Event{Kind: audit.CredentialRejected, Reason: why.code, Scheme: i.opts.Name, Client: t.Client, Credential: string(key[:])})
		}
		return authn.Identity{}, i.invalid.WithCause(err)
	}
	id := authn.Identity{
		Subject: t.Subject, Client: t.Client, Issuer: i.issuer, Scheme: i.opts.Name, Scopes: t.Scopes,
		Credential: t, AuthTime: t.AuthTime, Expires: t.Expires,
	}
	if i.opts.User != nil {
		if id.User, err = audit.Call("introspect.Options.User", func() (authn.User, error) { return i.opts.User(r.Context(), t) }); err != nil {
			return authn.Identity{}, err
		}
		return id, nil // the application makes its account for each request
	}
	of := t.clone() // t is the request's
	return id.Kept(i, authn.Keep{Lease: lease, Clock: i.opts.Clock, Size: 500 + t.Claims.Size(), Check: func(*http.Request) error {
		if i.check(of) != nil { // time passes
			return authn.ErrAskAgain
		}
		return nil
	}}), nil
}

// Presented implements authn.Keeper: identities are kept for as long as the responses of the
// issuer.
func (i *Scheme) Presented(r *http.Request) (text string, guessable bool) {
	if i.cache == nil {
		return "", false
	}
	if text = authn.RawCredentials(r, "Bearer"); text == "" || !i.takes(text) {
		return "", false
	}
	return text, false
}

// takes reports whether text may be a token of the issuer.
func (i *Scheme) takes(text string) bool {
	if p := i.opts.Prefix; p != "" {
		return len(text) > len(p) && strings.HasPrefix(text, p)
	}
	signed := text[0] == 'e' && strings.Count(text, ".") >= 2 // a JWS or a JWE
	own := credential.HasShippedPrefix(text) || credential.IsToken(text) ||
		slices.ContainsFunc(i.opts.OwnPrefixes, func(p string) bool { return strings.HasPrefix(text, p) })
	return !signed && !own
}

// Forget removes a token from the cache, so that the next request with it queries the issuer.
// Call it after you had the token revoked there. Queries in flight are not reused.
func (i *Scheme) Forget(token string) {
	if i.cache != nil {
		i.cache.forget(i.key(token))
	}
}
