package authz

import (
	"net/http"

	"github.com/vestibule-auth/vestibule/authn"
)

// CheckPath returns an error with status 400 if programs could read r's path in different ways, and
// nil otherwise. A router can match the path as sent, while file servers, reverse proxies and path
// values use the decoded path. A path that CheckPath accepts has the same segments in both forms,
// so the permission of the matched route protects the resource that the handler opens.
//
// [Mux] calls CheckPath for every route. With another router use [RequirePlainPath], which also
// makes the router match the decoded path. CheckPath alone is not enough for routers that match
// URL.RawPath, such as chi and echo. It accepts encoded letters, and for such routers "/%73ecret"
// is not "/secret".
//
// It refuses:
//   - an encoded slash (%2F), an encoded or raw backslash
//   - a semicolon, encoded or not: servlet containers and others drop the text after it, so they
//     serve "/admin;x" as "/admin" (see [AllowPathParameters])
//   - a segment "." or "..", encoded or not
//   - an empty segment ("//")
//   - control characters, NUL, and bytes that are not UTF-8, such as overlong encodings
//   - text encoded twice (%252F, %2561), because some handlers decode again; a percent sign in a
//     name is allowed ("/100%25") unless two hexadecimal digits follow it
//   - a URL whose RawPath is not an encoding of its Path, or that has an Opaque part
//
// It does not know how a handler compares names. On a file system that ignores case, trailing dots
// or the text after a colon, /SECRET is another spelling of /secret.
func CheckPath(r *http.Request) error { return checkPath(r, false) }

func checkPath(r *http.Request, parameters bool) error {
	check := authn.CheckPath
	if parameters {
		check = authn.CheckPathWithParameters
	}
	if why := check(r.URL); why != nil {
		return authn.BadRequest("The path of the request is not in plain form.").WithCause(why)
	}
	return nil
}

// RequirePlainPath returns a handler that calls next for requests that [CheckPath] accepts, and
// answers all others with 400. It empties URL.RawPath, so that routers match the decoded path that
// handlers read. RequestURI still has the path as sent. Put it around the whole router, because a
// router reads the path before it calls a handler. If next is wrapped with [AllowPathParameters],
// paths with a semicolon pass.
//
// It also removes Upgrade headers for protocols other than websocket; see [InsecureAllowUpgrade].
// It panics if next is nil.
func RequirePlainPath(next http.Handler) http.Handler {
	return &plainPath{notNil("RequirePlainPath", next), wraps[*pathParameters](next), wraps[*anyUpgrade](next)}
}

type plainPath struct {
	next       http.Handler
	parameters bool
	upgrades   bool // the next handler sees every Upgrade header
}

// Unwrap returns the handler behind the check.
func (h *plainPath) Unwrap() http.Handler { return h.next }

func (h *plainPath) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := checkPath(r, h.parameters); err != nil {
		authn.Respond(w, r, err)
		return
	}
	if !h.upgrades {
		r = withoutTunnel(r)
	}
	h.next.ServeHTTP(w, decoded(r))
}

// decoded returns r without a RawPath, which some routers match instead of the decoded path. Its
// path has passed checkPath, so it contains no encoded slash, and nothing is lost.
func decoded(r *http.Request) *http.Request {
	if r.URL.RawPath == "" {
		return r
	}
	c, u := *r, *r.URL
	u.RawPath = ""
	c.URL = &u
	return &c
}

// InsecureAllowAnyPath turns [CheckPath] off for the Mux route that h handles. Use it only if the
// route accepts identifiers that contain a slash (%2F). h MUST NOT use the path to choose what it
// opens or forwards, because the decoded path can look like the path of another route.
//
// It MUST NOT be used around a file server or a reverse proxy, because a caller could reach
// resources of other routes (path traversal). [Mux.Routes] reports such a route with AnyPath. It
// panics if h is nil.
func InsecureAllowAnyPath(h http.Handler) http.Handler {
	return &anyPath{notNil("InsecureAllowAnyPath", h)}
}

type anyPath struct{ next http.Handler }

// Unwrap returns the wrapped handler.
func (h *anyPath) Unwrap() http.Handler { return h.next }

func (h *anyPath) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.next.ServeHTTP(w, r) }

// AllowPathParameters accepts semicolons in the paths that h handles, as in "/maps;zoom=3". h is
// the handler of a Mux route, or of [RequirePlainPath]. [CheckPath] still refuses everything else.
//
// It MUST NOT be used around a reverse proxy to a server that drops the text after a semicolon, as
// servlet containers do. Such a server would serve "/admin;x" as "/admin", which bypasses the
// permission of "/admin". [Mux.Routes] reports such a route with PathParameters. It panics if h is
// nil.
func AllowPathParameters(h http.Handler) http.Handler {
	return &pathParameters{notNil("AllowPathParameters", h)}
}

type pathParameters struct{ next http.Handler }

// Unwrap returns the wrapped handler.
func (h *pathParameters) Unwrap() http.Handler { return h.next }

func (h *pathParameters) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.next.ServeHTTP(w, r) }

// wraps reports whether h, or a handler that it wraps, is a T. It stops at the first handler without
// Unwrap, such as a router.
func wraps[T http.Handler](h http.Handler) bool {
	for h != nil {
		if _, ok := h.(T); ok {
			return true
		}
		u, ok := h.(interface{ Unwrap() http.Handler })
		if !ok {
			return false
		}
		h = u.Unwrap()
	}
	return false
}
