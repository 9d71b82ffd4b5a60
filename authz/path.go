package authz

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

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
//   - an empty segment ("//");
//   - control characters, NUL, and bytes that are not UTF-8, such as overlong encodings;
//   - one of these encoded twice (%252F, %252E, %255C), for handlers that decode again;
//   - a URL whose RawPath is not an encoding of its Path, or that has an Opaque part.
//
// It does not know how a handler compares names: on a file system that ignores case,
// trailing dots or what follows a colon, /SECRET is another spelling of /secret.
func CheckPath(r *http.Request) error {
	if why := pathFault(r.URL); why != nil {
		return authn.BadRequest("The path of the request is not in plain form.").With(why)
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

var (
	errPathEncoding = errors.New("path: RawPath is not an encoding of Path")
	errPathOpaque   = errors.New("path: the request target is opaque")
	errPathSlash    = errors.New("path: encoded slash")
	errPathBack     = errors.New("path: backslash")
	errPathDots     = errors.New("path: dot segment")
	errPathEmpty    = errors.New("path: empty segment")
	errPathBytes    = errors.New("path: control character or invalid UTF-8")
	errPathTwice    = errors.New("path: encoded twice")
)

// pathFault returns what is wrong with a path, or nil.
func pathFault(u *url.URL) error {
	if u.Opaque != "" {
		return errPathOpaque
	}
	if u.RawPath != "" {
		if p, err := url.PathUnescape(u.RawPath); err != nil || p != u.Path {
			return errPathEncoding
		}
		if hasSlash(u.RawPath) {
			return errPathSlash
		}
	}
	p, ascii, start := u.Path, true, 0
	for i := 0; i < len(p); i++ {
		switch c := p[i]; {
		case c == '/':
			if i == start && i > 0 {
				return errPathEmpty
			}
			if isDots(p[start:i]) {
				return errPathDots
			}
			start = i + 1
		case c == '\\':
			return errPathBack
		case c == '%':
			if twice(p[i+1:]) {
				return errPathTwice
			}
		case c < ' ' || c == 0x7f:
			return errPathBytes
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	switch {
	case isDots(p[start:]):
		return errPathDots
	case !ascii && !utf8.ValidString(p):
		return errPathBytes
	}
	return nil
}

// hasSlash reports whether an escaped path holds %2F.
func hasSlash(s string) bool {
	for i := strings.IndexByte(s, '%'); i >= 0; {
		if s = s[i+1:]; len(s) >= 2 && s[0] == '2' && s[1]|0x20 == 'f' {
			return true
		}
		i = strings.IndexByte(s, '%')
	}
	return false
}

// isDots reports whether a segment is "." or "..", without its parameters: some servers drop
// what follows a semicolon before they resolve dot segments.
func isDots(segment string) bool {
	if segment == "" || segment[0] != '.' {
		return false
	}
	if i := strings.IndexByte(segment, ';'); i >= 0 {
		segment = segment[:i]
	}
	return segment == "." || segment == ".."
}

// twice reports whether a decoded path goes on, after a percent sign, with what decodes to a
// slash, a backslash, a dot or NUL, at once or after further rounds.
func twice(s string) bool {
	for strings.HasPrefix(s, "25") {
		s = s[2:]
	}
	if len(s) < 2 {
		return false
	}
	switch s[0] {
	case '2':
		return s[1]|0x20 == 'f' || s[1]|0x20 == 'e'
	case '5':
		return s[1]|0x20 == 'c'
	}
	return s[:2] == "00"
}
