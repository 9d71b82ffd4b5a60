// Package cookie accepts from a cookie a credential that otherwise is in Authorization,
// such as a JWT or a device token, for web pages of your own origin.
//
// Start with [New]. A browser attaches cookies to requests of any site, so the scheme
// checks where each unsafe request comes from. Handlers of safe methods MUST NOT change
// anything. Prefer package session if you can keep rows: its cookie rotates at login and
// can be listed and revoked.
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

// Options change a Scheme; nil is fine.
type Options struct {
	// Keyword is put before the cookie's value to make the Authorization that the wrapped
	// scheme reads. If "", it is taken from the scheme's Formats (authn.FormatDeclarer): Bearer
	// if that is among its keywords, else its only one. Set it if the scheme has no Formats.
	Keyword string
	// Scheme is the name that Identity.Scheme gets, so that a guard can tell the cookie
	// from the header; "cookie" if "".
	Scheme string
	// Realm is named in the challenge; "api" if "".
	Realm string
	// SameSite of the cookie: Lax if 0, or Strict. None is refused.
	SameSite http.SameSite
}

// Scheme authenticates by a credential in a cookie. It is safe for concurrent use.
type Scheme struct {
	wire      string // the cookie's name
	site      *csrf.Site
	inner     authn.Authenticator
	opts      Options
	challenge string
	invalid   *authn.Error
}

// New wraps inner, which reads Authorization, in a scheme that reads the cookie name
// instead. Over https the cookie is called "__Host-" + name, which no other host of the
// domain can set; for csrf.Loopback it is called name. The other name is never read.
//
// To accept both the header and the cookie, put both into the chain:
//
//	pages, err := cookie.New("access", site, tokens, nil)
//	auth := authn.New(authn.Chain{tokens, pages}, nil)
//
// New returns an error if site or inner is missing, inner does not read Authorization,
// Options.Keyword is "" and inner does not say which keyword it reads, or an option is
// invalid.
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
		return nil, errors.New("cookie: New: a scheme is required")
	case !isWord(name) || len(name) > 64 || strings.HasPrefix(lower, "__host-") || strings.HasPrefix(lower, "__secure-"):
		return nil, fmt.Errorf("cookie: New: name %q (accepted: letters, digits, - and _, without __Host- or __Secure-)", name)
	case o.Keyword != "" && !isWord(o.Keyword):
		return nil, fmt.Errorf("cookie: New: Keyword %q is not a word", o.Keyword)
	case strings.ContainsFunc(o.Realm, func(c rune) bool { return c < ' ' || c > '~' || c == '"' || c == '\\' }):
		return nil, fmt.Errorf("cookie: New: Realm %q has a quote, a backslash or a control character", o.Realm)
	case o.SameSite != http.SameSiteLaxMode && o.SameSite != http.SameSiteStrictMode:
		return nil, errors.New("cookie: New: SameSite is neither Lax nor Strict")
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

// keywordOf returns the keyword under which inner accepts its credentials: Bearer if that is one,
// else the only one. All members of a chain must accept it.
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

// keywordsOf returns the keywords that all members of a share.
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

// Headers returns Cookie.
func (s *Scheme) Headers() []string { return []string{"Cookie"} }

// Ambient returns true: a chain asks schemes that read Authorization first.
func (s *Scheme) Ambient() bool { return true }

// Challenge returns a challenge that programs recognize and for which browsers show no
// password dialog.
func (s *Scheme) Challenge(*http.Request, error) string { return s.challenge }

// CookieName returns the cookie's name on the wire, such as "__Host-access".
func (s *Scheme) CookieName() string { return s.wire }

// Cookie returns the cookie that carries credential for maxAge seconds; 0 until the
// browser closes, negative to delete it. A login endpoint sets it; call site.Check there
// first, so that no other site can log a visitor in under its own account.
func (s *Scheme) Cookie(credential string, maxAge int) *http.Cookie {
	return &http.Cookie{
		Name: s.wire, Value: credential, Path: "/", MaxAge: maxAge,
		Secure: !s.site.IsLoopback(), HttpOnly: true, SameSite: s.opts.SameSite,
	}
}

// Token returns a CSRF token for a form of the page that r asks for, or "" without the
// cookie. Only browsers that send neither Origin nor Sec-Fetch-Site need one. It goes into
// the field csrf.Field or the header csrf.Header, and holds until the cookie changes.
func (s *Scheme) Token(r *http.Request) string {
	credential, err := authn.Cookie(r, s.wire)
	if err != nil || credential == "" {
		return ""
	}
	return csrf.Mask(csrf.SecretOf(credential))
}

// Authenticate looks for the cookie and asks the wrapped scheme about its value. A
// request with any Authorization header has no credential here: an explicit credential
// takes precedence, even an invalid one.
//
// It refuses with 401 two cookies of the name, a cookie over plain http, and whatever the
// wrapped scheme does not accept; a cookie never makes a request anonymous, except on a page
// (see Lapsed). The refusal of a credential that the wrapped scheme does not accept removes the
// cookie; the other two do not, since the right cookie may be there. It refuses with
// 403 an unsafe request, or one that asks for an upgrade, that another site may have caused
// (csrf.Site.Check), also if the credential was accepted before.
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
		return authn.Identity{}, s.over(s.invalid, errors.New("the cookie holds no credential"))
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

// explicit returns the request as a program would send it, without cookies.
func (s *Scheme) explicit(r *http.Request, credential string) *http.Request {
	c := *r
	c.Header = r.Header.Clone()
	delete(c.Header, "Cookie")
	c.Header["Authorization"] = []string{s.opts.Keyword + " " + credential}
	return &c
}

// refusal answers with this scheme's challenge what the wrapped one refuses.
func (s *Scheme) refusal(err error) error {
	var e *authn.Error
	switch {
	case errors.As(err, &e) && e != nil && e.Status == http.StatusUnauthorized:
		return s.over(e.WithChallenge(""), e.Unwrap())
	case errors.As(err, &e) && e != nil && e.Status == http.StatusBadRequest:
		return s.over(s.invalid, e)
	case errors.As(err, &e):
		return err
	case errors.Is(err, authn.ErrNoCredentials):
		return s.over(s.invalid, errors.New("the wrapped scheme does not recognize the cookie's value"))
	}
	return err
}

// over is the refusal of a credential that is definitely not accepted: it removes the cookie.
func (s *Scheme) over(e *authn.Error, why error) *authn.Error {
	if why == nil {
		why = errors.New("refused by the wrapped scheme")
	}
	e = e.WithCause(ended{why, s})
	e.Cookies = append(slices.Clip(e.Cookies), s.Cookie("", -1))
	return e
}

// ended marks the reason of such a refusal. It is an [authn.Lapser] itself, so that a page finds it
// behind any decorator.
type ended struct {
	error
	by *Scheme
}

func (e ended) Unwrap() error { return e.error }

// Lapsed implements [authn.Lapser].
func (e ended) Lapsed(r *http.Request, _ error) (bool, error) { return true, e.by.site.Check(r) }

// Lapsed implements [authn.Lapser]: on a page for people a credential that the wrapped scheme
// definitely refuses, because it is unknown, expired or revoked or its account is disabled,
// counts as none. The cookie is removed and the visitor can log in again. A fault stays 503, two
// cookies and one over plain http stay 401. An unsafe request changes nothing: it passes
// csrf.Site.Check or is refused, and is then sent to the login.
func (s *Scheme) Lapsed(r *http.Request, err error) (bool, error) {
	var e ended
	if !errors.As(err, &e) {
		return false, nil
	}
	return e.Lapsed(r, err)
}

// readable reports whether a value can be one credential in a header.
func readable(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return s != "" && len(s) <= authn.MaxCredential
}
