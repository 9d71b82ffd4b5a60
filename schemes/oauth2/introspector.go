package oauth2

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
	"github.com/vestibule-auth/vestibule/internal/tokentext"
)

// Credentials are the name and the secret of a client: what a resource server says who it
// is with. They print without the secret.
type Credentials struct{ ID, Secret string }

// String returns the name alone.
func (c Credentials) String() string { return c.ID + " [redacted]" }

// GoString returns the name alone.
func (c Credentials) GoString() string { return c.String() }

// MarshalText returns the name alone: logs and JSON have no secret.
func (c Credentials) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// IntrospectorOptions change an Introspector; nil is fine.
type IntrospectorOptions struct {
	// Name is Identity.Scheme; "oauth2" where "".
	Name string
	// Prefix is what the issuer's tokens begin with, such as "ory_at_": others are left to
	// the rest of the chain. "" takes whatever no scheme before it took, so that it stands
	// behind the others that know Bearer. JWTs it never takes, and with "" no token of this
	// package's kind either: a token of this application is not shown to the issuer. Of an
	// issuer that is itself made by this package it is "vat_".
	Prefix string
	// Client asks. Its Timeout, 5 seconds where 0, bounds a question; it follows no redirect
	// and keeps no cookies. nil is one that opens 64 connections at most.
	Client *http.Client
	// MaxBytes bounds an answer: 64 KiB where 0.
	MaxBytes int64
	// CacheTTL is how long an answer serves, and so how long a token that was revoked may
	// still be good: a minute where 0, at most an hour, and never beyond the token's expiry.
	// Below 0 each request asks.
	CacheTTL time.Duration
	// CacheEntries and CacheBytes bound the cache: 8,192 and 16 MiB where 0.
	CacheEntries, CacheBytes int
	// Leeway is how far clocks may differ, up to five minutes; 0 is none.
	Leeway time.Duration
	// InsecureNoAudience takes tokens of which the issuer says no audience: every client
	// that gets a token of the issuer, for whatever API, can use it here.
	InsecureNoAudience bool
	// InsecureNoType takes tokens of which the issuer says no "token_type": some issuers
	// tell refresh tokens from access tokens by nothing else.
	InsecureNoType bool
	// InsecureHTTP accepts an introspection endpoint with http on any host, for development between
	// containers. The client's secret and the tokens then travel in the clear.
	InsecureHTTP bool
	// User makes the application's account of what the issuer said, for each request. nil
	// leaves none. Its *authn.Error refuses the request; any other error is a fault.
	User func(context.Context, *ForeignToken) (authn.User, error)
	// Clock is time.Now where nil.
	Clock func() time.Time
}

// Introspector accepts the opaque access tokens of another issuer: it asks that issuer about
// each (RFC 7662), and remembers the answer for a while. Signed tokens of another issuer are
// for jwt.NewVerifier, this application's own for Server. It is safe for concurrent use.
type Introspector struct {
	issuer, endpoint, audience string
	by                         Credentials
	opts                       IntrospectorOptions
	client                     http.Client
	cache                      *answers // nil: none

	invalid      *authn.Error // every refused token looks like this
	unrecognized error
}

// NewIntrospector returns a scheme for the opaque tokens of issuer, whose introspection
// endpoint is an https URL (http for a loopback address alone), asked by HTTP Basic as the
// client by. The answer's "aud" must hold audience, byte for byte; "iss", where the answer
// has it, is issuer.
//
// Identities carry the Issuer, the Client where "client_id" names one, and the scopes of
// "scope", never nil; a token without "sub", or whose "sub" is its "client_id", has no
// Subject. They have no roles and no permissions (RULES C4).
func NewIntrospector(issuer, endpoint, audience string, by Credentials, opts *IntrospectorOptions) (*Introspector, error) {
	var o IntrospectorOptions
	if opts != nil {
		o = *opts
	}
	u, err := url.Parse(endpoint)
	switch {
	case !isText(issuer) || !isText(audience):
		return nil, errors.New("oauth2: an issuer and an audience are needed")
	case err != nil || u.Host == "" || u.User != nil || strings.ContainsAny(endpoint, "?#"):
		return nil, errors.New("oauth2: the introspection endpoint is no URL of a host without query and fragment")
	case u.Scheme != "https" && !(u.Scheme == "http" && (o.InsecureHTTP || isLoopback(u.Hostname()))):
		return nil, errors.New("oauth2: the introspection endpoint is not https (IntrospectorOptions.InsecureHTTP allows http in development)")
	case !isText(by.ID) || by.Secret == "":
		return nil, errors.New("oauth2: a client's name and secret are needed to introspect")
	case o.Leeway < 0 || o.Leeway > 5*time.Minute:
		return nil, fmt.Errorf("oauth2: a leeway of %v: want 0 to 5m", o.Leeway)
	case o.CacheTTL > time.Hour:
		return nil, fmt.Errorf("oauth2: answers kept for %v: want at most an hour", o.CacheTTL)
	case o.MaxBytes < 0 || o.CacheEntries < 0 || o.CacheBytes < 0:
		return nil, errors.New("oauth2: a bound below 0")
	case !isPrefix(o.Prefix):
		return nil, fmt.Errorf("oauth2: prefix %q: want letters, digits and -._~+/, and not what every JWT begins with", o.Prefix)
	}
	o.Name = cmp.Or(o.Name, "oauth2")
	o.MaxBytes = cmp.Or(o.MaxBytes, 64<<10)
	o.CacheTTL = cmp.Or(o.CacheTTL, time.Minute)
	given := o.Clock
	if o.Clock == nil {
		o.Clock = time.Now
	}
	i := &Introspector{issuer: issuer, endpoint: endpoint, audience: audience, by: by, opts: o, client: asker(o.Client)}
	if o.CacheTTL > 0 {
		i.cache = newAnswers(o, given)
	}
	i.invalid = authn.AuthenticationFailed("Invalid token.")
	i.invalid.Code = "invalid_token"
	why := "not of a token's shape"
	if o.Prefix == "" {
		why = "a JWT, or of the shape of this application's tokens (IntrospectorOptions.Prefix)"
	}
	i.unrecognized = authn.Unrecognized(i.invalid.With(errors.New(why)))
	return i, nil
}

// isText reports whether s names something (RULES C5).
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

// asker is the client that asks.
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

// Name returns the name of IntrospectorOptions.
func (i *Introspector) Name() string { return i.opts.Name }

// Headers returns Authorization.
func (i *Introspector) Headers() []string { return []string{"Authorization"} }

// Claims returns Bearer and the tokens' prefix, or authn.Rest.
func (i *Introspector) Claims() []authn.Claim {
	return []authn.Claim{{Keyword: "Bearer", Shape: cmp.Or(i.opts.Prefix, authn.Rest)}}
}

// Challenge returns Bearer, with an error for a refused token or one whose scopes do not suffice,
// and with the scopes that the route needs (RFC 6750, section 3).
func (i *Introspector) Challenge(_ *http.Request, err error) string {
	return authn.BearerChallenge{Invalid: i.invalid.Code}.For(err)
}

// Authenticate looks for an opaque token under Bearer and asks the issuer about it, or the
// cache. What the issuer says is not live, or not for this API, is refused; where the issuer
// does not answer, or not as RFC 7662 has it, that is a fault.
func (i *Introspector) Authenticate(r *http.Request) (authn.Identity, error) {
	text, err := authn.Credentials(r, "Bearer", "token")
	if err != nil {
		return authn.Identity{}, err
	}
	if !i.takes(text) {
		return authn.Identity{}, i.unrecognized
	}
	t, err := i.about(r.Context(), text)
	if err != nil {
		return authn.Identity{}, err
	}
	if err := i.check(t); err != nil {
		return authn.Identity{}, i.invalid.With(err)
	}
	id := authn.Identity{
		Subject: t.Subject, Client: t.Client, Issuer: i.issuer, Scheme: i.opts.Name, Scopes: t.Scopes,
		Credential: t, AuthTime: t.AuthTime, Expires: t.Expires,
	}
	if i.opts.User != nil {
		if id.User, err = audit.Call("oauth2.IntrospectorOptions.User", func() (authn.User, error) { return i.opts.User(r.Context(), t) }); err != nil {
			return authn.Identity{}, err
		}
	}
	return id, nil
}

// takes reports whether text may be a token of the issuer.
func (i *Introspector) takes(text string) bool {
	if p := i.opts.Prefix; p != "" {
		return len(text) > len(p) && strings.HasPrefix(text, p)
	}
	signed := text[0] == 'e' && strings.Count(text, ".") >= 2 // a JWS or a JWE
	return !signed && !tokentext.Shaped(text)
}

// check returns why a token that is live is not good here, or nil. It looks anew at each
// request, whatever the cache has.
func (i *Introspector) check(t *ForeignToken) error {
	now := i.opts.Clock()
	switch {
	case t == nil:
		return errors.New("not active")
	case t.Issuer != "" && t.Issuer != i.issuer:
		return errors.New("of another issuer")
	case t.Bound:
		return errors.New("a bound token is no bearer token")
	case t.Type == "" && !i.opts.InsecureNoType:
		return errors.New("of no type")
	case t.Type != "" && !strings.EqualFold(t.Type, "Bearer"):
		return errors.New("not of the type Bearer")
	case t.Use != "" && t.Use != "access_token":
		return errors.New("no access token")
	case t.Audience == nil && !i.opts.InsecureNoAudience:
		return errors.New("for no audience")
	case t.Audience != nil && !slices.Contains(t.Audience, i.audience):
		return errors.New("for another audience")
	case !t.Expires.IsZero() && !now.Before(t.Expires.Add(i.opts.Leeway)):
		return errors.New("expired")
	case t.NotBefore.After(now.Add(i.opts.Leeway)):
		return errors.New("not valid yet")
	case t.Subject == "" && t.Client == "":
		return errors.New("of nobody")
	}
	return nil
}

// Forget makes the next request with a token ask the issuer: for the application that has
// just had it revoked there. Questions that are under way do not count.
func (i *Introspector) Forget(token string) {
	if i.cache != nil {
		i.cache.forget(i.key(token))
	}
}
