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

// Page declares h a page for people. Wrap the handler with it and put the result behind
// Middleware.Handler, with or without a guard between them:
//
//	mux.Handle("GET /me", authn.Page("/login", me), authz.IsAuthenticated)
//
// On such a route
//
//   - a session that has ended counts as no credential: the cookie is removed and the visitor
//     is anonymous. An unsafe request with such a session does not reach h: it passes the
//     scheme's cross-origin check or is refused with 403, and is then sent (303) to the login;
//   - an anonymous visitor whom the guard refuses is sent (303) to the login page, instead of a
//     401, whatever the method; the body of the request is lost;
//   - a browser gets the other errors as HTML (Options.WritePage).
//
// Only an ambient scheme that implements [Lapser], or whose errors do, can say that a session has ended. An error of
// the store stays 503, a request with two session cookies and one with a bad Authorization
// header stay 401, and none of them removes a cookie. No other scheme is asked in the
// session's place.
//
// login is the path of the login page at this origin. It gets the page's own path and query as
// "next", to be checked there (session.SafeNext), unless they have more than 8 KiB. If login is "", anonymous visitors get a
// 401, and an unsafe request with an ended session is sent to its own address by GET.
//
// The middleware looks for the declaration when Handler is called, through handlers that have
// Unwrap() http.Handler. Behind a middleware that hides h, nothing of this holds and errors
// are answered as everywhere else.
func Page(login string, h http.Handler) http.Handler {
	if h == nil {
		panic("authn: Page of a nil handler")
	}
	return &page{login, h}
}

// Lapser is an ambient Authenticator that can tell an ended credential from one that is merely
// refused. Page needs it. The cause of the *Error that the Authenticator returns can be one in its
// place: then Page finds it also if a decorator without Unwrap returns that error.
type Lapser interface {
	// Lapsed reports whether err, which Authenticate returned for r, means that the store
	// definitely does not accept the credential any more: it is unknown, expired or revoked, or
	// its account is disabled. It is false for a store that failed, for a request with
	// several credentials, and in any doubt.
	//
	// If r is not safe and may come from another site, Lapsed returns the *Error that refuses
	// it. The cookies of err remove the credential from the browser.
	Lapsed(r *http.Request, err error) (bool, error)
}

// Preempter is a handler that answers some requests itself before they are authenticated: what
// it does must be safe for any site to cause. Middleware.Handler finds it as it finds a Page.
type Preempter interface {
	// Preempt reports whether it answered r. If it did not, the request that it returns, which
	// may have another body, goes on to authentication.
	Preempt(w http.ResponseWriter, r *http.Request) (*http.Request, bool)
}

// RespondPage is Respond for a page that may stand outside a middleware, such as a login form:
// browsers get HTML (see WritePage).
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
	if pageFrom(r.Context()) == nil { // no middleware saw the declaration
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

// declared returns what a handler says of itself.
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

// goesOn answers a request that the chain refused with err, and reports whether it goes on as an
// anonymous one instead.
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
		seeOther(w, "?"+params.Query(r).Encode()) // this address, whatever it is called outside
	} else {
		seeOther(w, p.toLogin(r))
	}
	return false
}

// lapsed asks the scheme; a panic is a fault.
func (m *Middleware) lapsed(l Lapser, r *http.Request, err error) (ok bool, refused error) {
	defer func() {
		if v := recover(); v != nil {
			ok, refused = false, newPanic(v)
		}
	}()
	return l.Lapsed(r, err)
}

// toLogin is the address of the login page that leads back to r's. Its path begins with one
// slash: two would name another host.
func (p *page) toLogin(r *http.Request) string {
	if len(r.URL.Path)+len(r.URL.RawPath)+len(r.URL.RawQuery) > maxNext {
		return p.login // it is escaped twice below
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

// maxNext is how long the address of a page may be, in bytes, for the login to lead back to it.
const maxNext = 8 << 10

// redirects reports whether the answer to err is the login page: not at that page itself, which
// a pattern such as "/" may have matched, since the browser would come back for ever.
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

// MayChange reports whether a request may change something: its method is not GET, HEAD or OPTIONS,
// or it asks for another protocol, such as a WebSocket. Gateways drop the header Upgrade, which
// belongs to one connection, so the other headers of a WebSocket count too.
func MayChange(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return len(r.Header["Upgrade"]) > 0 || len(r.Header["Sec-Websocket-Key"]) > 0 || len(r.Header["Sec-Websocket-Version"]) > 0 ||
			slices.ContainsFunc(r.Header["Sec-Fetch-Mode"], func(mode string) bool { return strings.EqualFold(mode, "websocket") })
	}
	return true
}
