package authn

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/vestibule-auth/vestibule/internal/params"
)

// Page declares that h is a page for people. Wrap the handler with it and pass the result to
// [Middleware.Handler], with or without a guard between them:
//
//	mux.Handle("GET /me", authn.Page("/login", me), authz.IsAuthenticated)
//
// On such a route:
//
//   - An expired or revoked session counts as no credentials. The cookie is deleted and the visitor
//     is anonymous. An unsafe request with such a session does not reach h. If it passes the
//     scheme's CSRF protection, it is redirected to the login page (303); otherwise it is rejected
//     with 403.
//   - An anonymous visitor that the guard rejects is redirected to the login page (303) instead of
//     a 401, for every method. The body of the request is lost.
//   - A browser gets other errors as HTML (Options.WritePage).
//
// Only an ambient scheme that implements [Lapser], or whose errors implement it, can report that a
// session is expired or revoked. No other scheme is called in place of an expired session. The
// following responses are the same as on other routes and delete no cookie: 503 for an error of the
// store, 401 for two session cookies, and 401 for an invalid Authorization header.
//
// login is the path of the login page on the same origin. The redirect passes the path and query of
// the requested page as the parameter "next", unless they are longer than 8 KiB. The login page
// must check this parameter (see session.SafeNext). If login is "", anonymous visitors get a 401.
// An unsafe request with an expired session is then redirected to its own URL with GET.
//
// Middleware.Handler finds the declaration through handlers with a method Unwrap() http.Handler. If
// another middleware hides h, the list above does not apply, and errors are answered as on any
// other route. Page panics if h is nil.
func Page(login string, h http.Handler) http.Handler {
	if h == nil {
		panic("authn: Page: the handler is nil")
	}
	return &page{login, h}
}

// Lapser is an ambient [Authenticator] that can distinguish expired or revoked credentials from
// credentials that are rejected for another reason. [Page] needs it. Alternatively, the cause of
// the [*Error] that the Authenticator returns can implement Lapser. Page then finds it even if a
// decorator without Unwrap returns that error.
type Lapser interface {
	// Lapsed reports whether err means that the store definitely rejects the credentials: they are
	// unknown, expired or revoked, or the account is disabled. err is the error that Authenticate
	// returned for r. Lapsed returns false for an error of the store, for a request with several
	// credentials, and in case of doubt.
	//
	// If r is not safe and may come from another site, Lapsed returns the [*Error] that rejects it.
	// The cookies of err delete the credentials from the browser.
	Lapsed(r *http.Request, err error) (bool, error)
}

// Preempter is a handler that answers some requests before they are authenticated. Any site can
// cause such a request, so its effects must be harmless. [Middleware.Handler] finds it in the same
// way as a [Page].
type Preempter interface {
	// Preempt returns true if it answered r. Otherwise it returns the request with which the
	// middleware continues. This can be r, or a copy of r with another body.
	Preempt(w http.ResponseWriter, r *http.Request) (*http.Request, bool)
}

// RespondPage is [Respond] for a page that may have no middleware, such as a login form. Browsers
// get HTML (see [WritePage]).
func RespondPage(w http.ResponseWriter, r *http.Request, err error) {
	if pageFrom(r.Context()) == nil {
		r = r.WithContext(context.WithValue(r.Context(), pageKey{}, &page{}))
	}
	Respond(w, r, err)
}

// page is a handler that Page declared.
type page struct {
	login string
	next  http.Handler
}

func (p *page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if pageFrom(r.Context()) == nil { // no middleware found the declaration
		r = r.WithContext(context.WithValue(r.Context(), pageKey{}, p))
	}
	p.next.ServeHTTP(w, r)
}

// Unwrap returns the handler of the page.
func (p *page) Unwrap() http.Handler { return p.next }

type pageKey struct{}

func pageFrom(ctx context.Context) *page {
	p, _ := ctx.Value(pageKey{}).(*page)
	return p
}

// declared returns the Page and the Preempter that h is or wraps, or nil.
func declared(h http.Handler) (p *page, pre Preempter) {
	for h != nil {
		if found, ok := h.(*page); ok && p == nil {
			p = found
		}
		if found, ok := h.(Preempter); ok && pre == nil {
			pre = found
		}
		u, ok := h.(interface{ Unwrap() http.Handler })
		if !ok {
			break
		}
		h = u.Unwrap()
	}
	return p, pre
}

// goesOn answers a request that the chain rejected with err. It returns true if the request
// continues as anonymous instead.
func (m *Middleware) goesOn(w http.ResponseWriter, r *http.Request, err, answer error, by int) bool {
	p, e := pageFrom(r.Context()), refusal(err)
	if p == nil || e == nil || by < 0 {
		m.respond(w, r, answer, by)
		return false
	}
	var lapser Lapser
	ok := errors.As(err, &lapser)
	if !ok && m.plan.leaves[by].ambient() {
		lapser, ok = AbilityOf[Lapser](m.plan.leaves[by].Authenticator)
	}
	if ok {
		var refused error
		if ok, refused = m.lapsed(lapser, r, err); refused != nil {
			m.Respond(w, r, Undecided(refused))
			return false
		}
	}
	if !ok {
		m.respond(w, r, answer, by)
		return false
	}
	for _, c := range e.Cookies {
		http.SetCookie(w, c)
	}
	if !MayChange(r) {
		return true
	}
	if p.login == "" {
		seeOther(w, "?"+params.Query(r).Encode()) // relative, because a proxy may have changed the path
	} else {
		seeOther(w, p.toLogin(r))
	}
	return false
}

// lapsed calls the scheme. A panic becomes an error.
func (m *Middleware) lapsed(l Lapser, r *http.Request, err error) (ok bool, refused error) {
	defer func() {
		if v := recover(); v != nil {
			ok, refused = false, newPanic(v)
		}
	}()
	return l.Lapsed(r, err)
}

// toLogin returns the URL of the login page with r's URL as "next". The path of "next" begins with
// exactly one slash, because two would name another host.
func (p *page) toLogin(r *http.Request) string {
	if len(r.URL.Path)+len(r.URL.RawPath)+len(r.URL.RawQuery) > maxNext {
		return p.login // next is escaped twice below
	}
	next := "/" + strings.TrimLeft(r.URL.EscapedPath(), "/")
	if v := params.Query(r); len(v) > 0 {
		next += "?" + v.Encode()
	}
	mark := "?"
	if strings.Contains(p.login, "?") {
		mark = "&"
	}
	return p.login + mark + "next=" + url.QueryEscape(next)
}

// maxNext is the largest size in bytes of a URL that is passed to the login page as "next".
const maxNext = 8 << 10

// redirects reports whether the response to err is a redirect to the login page. It returns false
// on the login page itself, which a pattern such as "/" can match, to avoid an endless redirect.
func (p *page) redirects(r *http.Request, err error, e *Error) bool {
	return p != nil && p.login != "" && !p.isLogin(r) && e.Status == http.StatusUnauthorized && (errors.Is(err, ErrNoCredentials) && refusal(err) == nil || e.Code == codeNotAuthenticated)
}

func (p *page) isLogin(r *http.Request) bool {
	path, _, _ := strings.Cut(p.login, "?")
	return r.URL.Path == path
}

func seeOther(w http.ResponseWriter, to string) {
	h := w.Header()
	h.Set("Location", to)
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Del("Content-Length")
	w.WriteHeader(http.StatusSeeOther)
}

// MayChange reports whether a request can change something. This is so if its method is not GET,
// HEAD or OPTIONS, or if it switches to another protocol, such as WebSocket. Gateways remove the
// Upgrade header, which is valid for one connection only, so the other headers of a WebSocket
// request count too.
func MayChange(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return len(r.Header["Upgrade"]) > 0 || len(r.Header["Sec-Websocket-Key"]) > 0 || len(r.Header["Sec-Websocket-Version"]) > 0 ||
			slices.ContainsFunc(r.Header["Sec-Fetch-Mode"], func(mode string) bool { return strings.EqualFold(mode, "websocket") })
	}
	return true
}
