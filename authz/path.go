package authz

import (
	"net/http"

	"github.com/vestibule-auth/vestibule/authn"
)

// CheckPath returns a 400 if readers of r's path could disagree about what it names, and nil
// otherwise. A router matches the path as it was sent; file servers, reverse proxies and path
// values use the decoded one. A path that passes reads the same both ways, so the permission of
// the route that matched is the permission of what the handler opens.
//
// Mux calls CheckPath for every route. Behind another router use [RequirePlainPath], or call
// CheckPath before the router matches.
//
// It refuses these paths:
//   - an encoded slash (%2F), an encoded or raw backslash;
//   - a semicolon, encoded or not: servlet containers and others drop what follows it, so they
//     serve "/admin;x" as "/admin" (see [AllowPathParameters]);
//   - a segment that is "." or "..", encoded or not;
//   - an empty segment ("//");
//   - control characters, NUL, and bytes that are not UTF-8, such as overlong encodings;
//   - anything encoded twice (%252F, %2561), for handlers that decode again; a percent sign in a
//     name is fine ("/100%25") unless two hexadecimal digits follow it;
//   - a URL whose RawPath is not an encoding of its Path, or that has an Opaque part.
//
// It does not know how a handler compares names: on a file system that ignores case,
// trailing dots or what follows a colon, /SECRET is another spelling of /secret.
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

// RequirePlainPath answers 400 to requests that [CheckPath] refuses and passes all others to
// next. Put it around the whole router: a router reads the path first. If next is wrapped with
// [AllowPathParameters], paths with a semicolon pass.
func RequirePlainPath(next http.Handler) http.Handler {
	return &plainPath{notNil("RequirePlainPath", next), allowsParameters(next)}
}

type plainPath struct {
	next       http.Handler
	parameters bool
}

// Unwrap returns the handler behind the check.
func (h *plainPath) Unwrap() http.Handler { return h.next }

func (h *plainPath) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := checkPath(r, h.parameters); err != nil {
		authn.Respond(w, r, err)
		return
	}
	h.next.ServeHTTP(w, r)
}

// InsecureAllowAnyPath turns [CheckPath] off for the route of a Mux that h handles. Use it if
// the route takes identifiers that hold a slash (%2F), and only if h never uses the path to
// choose what it opens or forwards: the path of a request that reaches h may read, once it
// is decoded, like the path of another route. MUST NOT be used around a file server or a
// reverse proxy. Routes lists such a route with AnyPath.
func InsecureAllowAnyPath(h http.Handler) http.Handler {
	return &anyPath{notNil("InsecureAllowAnyPath", h)}
}

type anyPath struct{ next http.Handler }

// Unwrap returns the handler.
func (h *anyPath) Unwrap() http.Handler { return h.next }

func (h *anyPath) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.next.ServeHTTP(w, r) }

// AllowPathParameters accepts semicolons in the paths that h handles, as in "/maps;zoom=3": h is the
// handler of a route of a Mux, or of [RequirePlainPath]. Everything else that [CheckPath] refuses
// is still refused. MUST NOT be used around a reverse proxy to a server that drops what follows a
// semicolon, as servlet containers do: it would serve "/admin;x" as "/admin", past the permission
// of that route. Routes lists such a route with PathParameters.
func AllowPathParameters(h http.Handler) http.Handler {
	return &pathParameters{notNil("AllowPathParameters", h)}
}

type pathParameters struct{ next http.Handler }

// Unwrap returns the handler.
func (h *pathParameters) Unwrap() http.Handler { return h.next }

func (h *pathParameters) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.next.ServeHTTP(w, r) }

// allowsParameters reports whether h, or a handler behind it up to the next router, says so.
func allowsParameters(h http.Handler) bool {
	for h != nil {
		if _, ok := h.(*pathParameters); ok {
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
