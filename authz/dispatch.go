package authz

import (
	"net/http"
	"slices"
	"strings"

	"github.com/vestibule-auth/vestibule/authn"
)

// ServeHTTP dispatches to the matching route. Where the path has routes for other
// methods alone, the answer is that of Django REST Framework: 401 for who is not
// authenticated, as the path's methods would give, and 405 for the rest. Where all
// those routes are open to anybody it is 405.
func (m *Mux) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mux.ServeHTTP(&unmatched{ResponseWriter: w, m: m, r: r}, r)
}

// matched is the handler of a route: what http.ServeMux found. It matched the path as it was
// sent; handlers read the decoded one.
type matched struct {
	http.Handler
	auth      *authn.Middleware
	plainPath bool
	params    bool // semicolons are accepted
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
	}
	h.Handler.ServeHTTP(w, r)
}

// unmatched sees what http.ServeMux answers by itself, where no route matched.
type unmatched struct {
	http.ResponseWriter
	m       *Mux
	r       *http.Request
	replied bool // by us, instead
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
	if p := u.wanted(); p != nil {
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

// wanted is what it takes to be told which methods the path has: nothing (nil) of
// bare routes, AllowAny of open ones, and to be authenticated of any other.
func (u *unmatched) wanted() (p Permission) {
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
