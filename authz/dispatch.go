package authz

import (
	"net/http"
	"slices"
	"strings"

	"github.com/vestibule-auth/vestibule/authn"
)

// ServeHTTP dispatches the request to the matching route.
//
// If the path has routes only for other methods, it responds as Django REST Framework does: 401 for
// anonymous callers and 405 for others. If all those routes are public or use AllowAny, it responds
// with 405 to everyone.
func (m *Mux) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mux.ServeHTTP(&unmatched{ResponseWriter: w, m: m, r: r}, r)
}

// matched is the handler of a matched route. http.ServeMux matched the path as sent; handlers read
// the decoded path.
type matched struct {
	http.Handler
	auth      *authn.Middleware
	plainPath bool
	params    bool // semicolons are accepted
	upgrades  bool // the handler sees every Upgrade header
}

func (h matched) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if u, ok := w.(*unmatched); ok {
		w = u.ResponseWriter
	}
	if h.plainPath {
		if err := checkPath(r, h.params); err != nil {
			h.auth.Respond(w, r, err)
			return
		}
		r = decoded(r) // h may be a router
	}
	if !h.upgrades {
		r = withoutTunnel(r)
	}
	h.Handler.ServeHTTP(w, r)
}

// unmatched is the ResponseWriter for responses that http.ServeMux writes itself because no route
// matched.
type unmatched struct {
	http.ResponseWriter
	m       *Mux
	r       *http.Request
	replied bool // this type wrote the response
}

func (u *unmatched) WriteHeader(status int) {
	if status != http.StatusMethodNotAllowed {
		u.ResponseWriter.WriteHeader(status)
		return
	}
	u.replied = true
	refuse := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		authn.Respond(w, r, authn.MethodNotAllowed(r.Method))
	})
	if p := u.required(); p != nil {
		u.m.auth.Handler(Require(p).Handler(refuse)).ServeHTTP(u.ResponseWriter, u.r)
	} else {
		u.m.auth.Public(refuse).ServeHTTP(u.ResponseWriter, u.r)
	}
}

func (u *unmatched) Write(b []byte) (int, error) {
	if u.replied {
		return len(b), nil
	}
	return u.ResponseWriter.Write(b)
}

// required returns the permission that a caller must have to get the list of the path's methods:
// nil if its routes are public, AllowAny if they are open, and IsAuthenticated otherwise.
func (u *unmatched) required() (p Permission) {
	for method := range strings.SplitSeq(u.Header().Get("Allow"), ",") {
		r := *u.r
		r.Method = strings.TrimSpace(method)
		_, pattern := u.m.mux.Handler(&r)
		routes := u.m.table.routes
		i := slices.IndexFunc(routes, func(x Route) bool { return x.Pattern == pattern })
		switch {
		case i < 0 || routes[i].Public:
		case routes[i].Permission == name(AllowAny):
			p = AllowAny
		default:
			return IsAuthenticated
		}
	}
	return p
}
