// Package cookie accepts a credential in a cookie, such as a JWT or a device token, that programs
// send in the Authorization header. Use it for web pages of your own origin.
//
// Create the scheme with [New]. Browsers attach cookies to requests from any site, so the scheme
// checks the origin of each unsafe request. Handlers of safe methods MUST NOT change anything,
// because another site could trigger the change (CSRF).
//
// Prefer package session if you can store sessions: it regenerates the session ID at login, and
// sessions can be listed and revoked.
package cookie

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/csrf"
)

// Options configure a [Scheme]. A nil *Options means all defaults.
type Options struct {
	// Keyword is the authentication scheme in the Authorization header that the wrapped scheme
	// reads, such as "Bearer". If "", New uses the keywords that the wrapped scheme declares
	// (authn.FormatDeclarer): "Bearer" if the scheme declares it, and otherwise its only keyword.
	// Set Keyword if the wrapped scheme declares none.
	Keyword string
	// Scheme is the name in Identity.Scheme, so that a permission can distinguish the cookie from
	// the header; "" means "cookie".
	Scheme string
	// Realm is the realm in the challenge; "" means "api".
	Realm string
	// SameSite is the SameSite attribute of the cookie, Lax or Strict; 0 means Lax.
	SameSite http.SameSite
}

// Scheme authenticates by a credential in a cookie. It is safe for concurrent use.
type Scheme struct {
	wire      string // the name of the cookie in requests
	site      *csrf.Site
	inner     authn.Authenticator
	opts      Options
	challenge string
	invalid   *authn.Error
}

// New returns a scheme that reads a credential from a cookie and passes it to inner, which reads
// Authorization.
//
// Over https the cookie is called "__Host-" + name, so no other host of the domain can set it. With
// csrf.Loopback the name has no prefix. The other name is never read.
//
// To accept both the header and the cookie, put both schemes into the chain:
//
//	pages, err := cookie.New("access", site, tokens, nil)
//	auth := authn.New(authn.Chain{tokens, pages}, nil)
//
// New returns an error if site or inner is nil, if inner does not read Authorization, or if an
// option is invalid. It also returns an error if Options.Keyword is "" and inner does not declare
// exactly one keyword.
func New(name string, site *csrf.Site, inner authn.Authenticator, opts *Options) (*Scheme, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	if o.Scheme == "" {
		o.Scheme = "cookie"
	}
	if o.Realm == "" {
		o.Realm = "api"
	}
	if o.SameSite == 0 {
		o.SameSite = http.SameSiteLaxMode
	}
	lower := strings.ToLower(name)
	switch {
	case site == nil:
		return nil, errors.New("cookie: New: a site is required, because browsers attach cookies to other sites' requests")
	case inner == nil:
		return nil, errors.New("cookie: New: the wrapped scheme is nil")
	case !isWord(name) || len(name) > 64 || strings.HasPrefix(lower, "__host-") || strings.HasPrefix(lower, "__secure-"):
		return nil, fmt.Errorf("cookie: New: name %q is invalid (1 to 64 letters, digits, - and _, without __Host- or __Secure-)", name)
	case o.Keyword != "" && !isWord(o.Keyword):
		return nil, fmt.Errorf("cookie: New: Keyword %q is invalid (letters, digits, - and _)", o.Keyword)
	case strings.ContainsFunc(o.Realm, func(c rune) bool { return c < ' ' || c > '~' || c == '"' || c == '\\' }):
		return nil, fmt.Errorf("cookie: New: Realm %q is invalid (printable ASCII without quotes and backslashes)", o.Realm)
	case o.SameSite != http.SameSiteLaxMode && o.SameSite != http.SameSiteStrictMode:
		return nil, errors.New("cookie: New: SameSite is invalid (Lax or Strict)")
	}
	if err := authn.Check(inner); err != nil {
		return nil, fmt.Errorf("cookie: New: %w", err)
	}
	if reader, ok := authn.AbilityOf[authn.HeaderReader](inner); ok && !isChain(inner) && !slices.Contains(reader.Headers(), "Authorization") {
		return nil, errors.New("cookie: New: the scheme does not read Authorization")
	}
	if o.Keyword == "" {
		var err error
		if o.Keyword, err = keywordOf(inner); err != nil {
			return nil, err
		}
	}
	s := &Scheme{wire: name, site: site, inner: inner, opts: o, challenge: `Cookie realm="` + o.Realm + `"`, invalid: authn.AuthenticationFailed("Invalid token.")}
	if !site.IsLoopback() {
		s.wire = "__Host-" + name
	}
	return s, nil
}

// keywordOf returns the keyword of inner: Bearer if inner accepts it, otherwise its only one. All
// members of a chain must accept it.
func keywordOf(inner authn.Authenticator) (string, error) {
	const option = "choose one with Options.Keyword"
	common, err := keywordsOf(inner)
	switch {
	case err != nil:
		return "", fmt.Errorf("cookie: New: %w: %s", err, option)
	case slices.ContainsFunc(common, isBearer):
		return "Bearer", nil
	case len(common) != 1:
		return "", fmt.Errorf("cookie: New: the scheme accepts its credentials under the keywords %q: %s", common, option)
	}
	return common[0], nil
}

func isBearer(keyword string) bool { return strings.EqualFold(keyword, "Bearer") }

// keywordsOf returns the keywords that all members of a accept.
func keywordsOf(a authn.Authenticator) (common []string, err error) {
	if c, ok := a.(authn.Chain); ok {
		for i, m := range c {
			of, err := keywordsOf(m)
			if err != nil {
				return nil, err
			}
			if i == 0 {
				common = of
			}
			common = slices.DeleteFunc(common, func(k string) bool { return !containsFold(of, k) })
		}
		return common, nil
	}
	d, ok := authn.AbilityOf[authn.FormatDeclarer](a)
	if !ok {
		return nil, fmt.Errorf("%T has no Formats, so its keyword is not known", a)
	}
	for _, f := range d.Formats() {
		if !containsFold(common, f.Keyword) {
			common = append(common, f.Keyword)
		}
	}
	return common, nil
}

func containsFold(list []string, s string) bool {
	return slices.ContainsFunc(list, func(k string) bool { return strings.EqualFold(k, s) })
}

func isChain(a authn.Authenticator) bool {
	_, ok := a.(authn.Chain)
	return ok
}

func isWord(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return s != ""
}

// Name returns Options.Scheme.
func (s *Scheme) Name() string { return s.opts.Scheme }

// Headers returns "Cookie".
func (s *Scheme) Headers() []string { return []string{"Cookie"} }

// Ambient returns true, so a chain tries schemes that read Authorization first.
func (s *Scheme) Ambient() bool { return true }

// Challenge returns a challenge that programs recognize. Browsers show no password dialog for it.
func (s *Scheme) Challenge(*http.Request, error) string { return s.challenge }

// CookieName returns the name of the cookie in requests, such as "__Host-access".
func (s *Scheme) CookieName() string { return s.wire }

// Cookie returns the cookie that holds credential. maxAge is its lifetime in seconds; 0 means until
// the browser closes, and a negative value deletes the cookie.
//
// Set it in a login endpoint. Call site.Check there first, so that another site cannot log the
// visitor in to its own account (login CSRF).
func (s *Scheme) Cookie(credential string, maxAge int) *http.Cookie {
	return &http.Cookie{
		Name: s.wire, Value: credential, Path: "/", MaxAge: maxAge,
		Secure: !s.site.IsLoopback(), HttpOnly: true, SameSite: s.opts.SameSite,
	}
}

// Token returns a CSRF token for a form on the page that r requests, or "" if r has no cookie. Put
// it into the field csrf.Field or the header csrf.Header. It is valid until the cookie changes.
// Only browsers that send neither Origin nor Sec-Fetch-Site need it.
func (s *Scheme) Token(r *http.Request) string {
	credential, err := authn.Cookie(r, s.wire)
	if err != nil || credential == "" {
		return ""
	}
	return csrf.Mask(csrf.SecretOf(credential))
}

// Authenticate reads the cookie and passes its value to the wrapped scheme. It ignores the cookie
// if the request has an Authorization header, because an explicit credential takes precedence, even
// an invalid one.
//
// It rejects with 401
//   - two cookies with the name, and a cookie over plain http; the response does not remove the
//     cookie, because it may be valid
//   - a credential that the wrapped scheme does not accept; the response removes the cookie
//
// It also checks unsafe requests, and requests that switch to another protocol. If another site may
// have caused such a request, the response is 403 (see csrf.Site.Check). This holds even if the
// credential is valid. A request with a rejected cookie never continues as anonymous, except on a
// page (see [Scheme.Lapsed]).
func (s *Scheme) Authenticate(r *http.Request) (authn.Identity, error) {
	if len(r.Header["Authorization"]) > 0 {
		return authn.Identity{}, authn.ErrNoCredentials
	}
	credential, err := authn.Cookie(r, s.wire)
	switch {
	case err == authn.ErrNoCredentials:
		return authn.Identity{}, err
	case err != nil:
		return authn.Identity{}, s.invalid.WithCause(err)
	case !s.site.Secure(r):
		return authn.Identity{}, s.invalid.WithCause(errors.New(s.site.Insecure(r)))
	case !readable(credential):
		return authn.Identity{}, s.rejected(s.invalid, errors.New("the cookie holds no credential"))
	}
	if err := s.site.Check(r); err != nil {
		return authn.Identity{}, err
	}
	id, err := s.inner.Authenticate(s.explicit(r, credential))
	if err != nil {
		return authn.Identity{}, s.refusal(err)
	}
	if csrf.NeedsToken(r) {
		if err := csrf.CheckToken(r, csrf.SecretOf(credential)); err != nil {
			return authn.Identity{}, err
		}
	}
	if id.Authenticated() {
		id.Scheme = s.opts.Scheme
	}
	return id, nil
}

// explicit returns the request as a program would send it: with Authorization and without cookies.
func (s *Scheme) explicit(r *http.Request, credential string) *http.Request {
	c := *r
	c.Header = r.Header.Clone()
	delete(c.Header, "Cookie")
	c.Header["Authorization"] = []string{s.opts.Keyword + " " + credential}
	return &c
}

// refusal returns the error for an error of the wrapped scheme, with this scheme's challenge.
func (s *Scheme) refusal(err error) error {
	var e *authn.Error
	switch {
	case errors.As(err, &e) && e != nil && e.Status == http.StatusUnauthorized:
		return s.rejected(e.WithChallenge(""), e.Unwrap())
	case errors.As(err, &e) && e != nil && e.Status == http.StatusBadRequest:
		return s.rejected(s.invalid, e)
	case errors.As(err, &e):
		return err
	case errors.Is(err, authn.ErrNoCredentials):
		return s.rejected(s.invalid, errors.New("the wrapped scheme does not recognize the cookie's value"))
	}
	return err
}

// readable reports whether s can be one credential in a header.
func readable(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return s != "" && len(s) <= authn.MaxCredential
}
