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
//   - a segment that is "." or "..", encoded or not, also with parameters ("..;a");
//   - an empty segment ("//"), also with parameters ("/;a/");
//   - control characters, NUL, and bytes that are not UTF-8, such as overlong encodings;
//   - anything encoded twice (%252F, %2561), for handlers that decode again; a percent sign in a
//     name is fine ("/100%25") unless two hexadecimal digits follow it;
//   - a URL whose RawPath is not an encoding of its Path, or that has an Opaque part.
//
// It does not know how a handler compares names: on a file system that ignores case,
// trailing dots or what follows a colon, /SECRET is another spelling of /secret.
func CheckPath(r *http.Request) error {
	if why := authn.CheckPath(r.URL); why != nil {
		return authn.BadRequest("The path of the request is not in plain form.").WithCause(why)
	}
	return nil
}

// RequirePlainPath answers 400 to requests that [CheckPath] refuses and passes all others to
// next. Put it around the whole router: a router reads the path first.
func RequirePlainPath(next http.Handler) http.Handler {
	return &plainPath{notNil("RequirePlainPath", next)}
}

type plainPath struct{ next http.Handler }

// Unwrap returns the handler behind the check.
func (h *plainPath) Unwrap() http.Handler { return h.next }

func (h *plainPath) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := CheckPath(r); err != nil {
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
