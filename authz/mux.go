package authz

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/vestibule-auth/vestibule/authn"
)

// Mux is an http.ServeMux on which every route states who may use it. A route
// without a permission is refused at start-up; one that stands outside the chain
// on purpose, such as a login endpoint, is registered with Bare. Who uses another
// router has Guard, and Audit for the same list.
//
// The chain runs behind the matching, so a permission belongs to the route that
// matched, not to the raw path.
type Mux struct {
	auth   *authn.Middleware
	mux    *http.ServeMux
	routes *[]Route
}

// NewMux returns a mux whose routes are authenticated by auth. It panics where
// auth is nil.
func NewMux(auth *authn.Middleware) *Mux {
	if auth == nil {
		panic("authz: NewMux without a middleware")
	}
	return &Mux{auth, http.NewServeMux(), new([]Route)}
}

// With returns a view of the same mux whose further routes are authenticated by
// auth instead: a route's schemes replace the default ones, they never add to
// them.
func (m *Mux) With(auth *authn.Middleware) *Mux {
	if auth == nil {
		panic("authz: With without a middleware")
	}
	return &Mux{auth, m.mux, m.routes}
}

// Handle registers h for a pattern of http.ServeMux, for whom all of ps let in.
// ps may be empty only where h is guarded already (Guard.Handler, HandleObject);
// otherwise Handle panics: what everybody may is AllowAny.
func (m *Mux) Handle(pattern string, h http.Handler, ps ...Permission) {
	if len(ps) > 0 {
		h = Require(ps...).Handler(h)
	}
	h = m.auth.Handler(h)
	r := describe(pattern, h)
	if r.Permission == "" {
		panic(fmt.Sprintf("authz: route %q has no permission; say AllowAny where everybody may, or use Bare", pattern))
	}
	m.add(r, h)
}

// HandleFunc is Handle for a function.
func (m *Mux) HandleFunc(pattern string, f http.HandlerFunc, ps ...Permission) {
	m.Handle(pattern, f, ps...)
}

// Bare registers h outside the chain and without a permission: for login
// endpoints, which read their own credential and answer the same whatever the
// request carries, and for health checks.
func (m *Mux) Bare(pattern string, h http.Handler) {
	h = m.auth.Bare(h)
	m.add(describe(pattern, h), h)
}

func (m *Mux) add(r Route, h http.Handler) {
	m.mux.Handle(r.Pattern, matched{h})
	*m.routes = append(*m.routes, r)
}

// Routes lists the routes in the order of their registration.
func (m *Mux) Routes() []Route { return slices.Clone(*m.routes) }

// Route says who is let in where.
type Route struct {
	Pattern string
	// Schemes are asked in this order; nil where nobody is.
	Schemes []string
	// Permission names what the route wants; "" where nothing is asked.
	Permission string
	// Bare: the route stands outside the chain on purpose.
	Bare bool
}

// describe looks through middleware and guards.
func describe(pattern string, h http.Handler) Route {
	r := Route{Pattern: pattern}
	var wanted []string
	said := false // that it is bare, perhaps around a handler that authenticates by itself
	for h != nil {
		if s, ok := h.(interface{ Schemes() []string }); ok {
			r.Schemes = s.Schemes()
		}
		if b, ok := h.(interface{ Bare() bool }); ok {
			r.Bare = b.Bare()
			said = said || r.Bare
		}
		if p, ok := h.(interface{ Permission() string }); ok {
			wanted = append(wanted, p.Permission())
		}
		u, ok := h.(interface{ Unwrap() http.Handler })
		if !ok {
			break
		}
		h = u.Unwrap()
	}
	r.Permission = strings.Join(wanted, " and ")
	r.Bare = r.Bare || said && r.Permission == ""
	return r
}

// Audit lists the routes of any router. routes yields each pattern and its
// handler, as the router's own walk function gives them. The error names every
// route that has neither a guard nor stands there by Middleware.Bare; a test that
// fails on it keeps a router closed. Middleware of others between guard and
// router is seen through where it has Unwrap() http.Handler; where it has not,
// put the guard outside.
func Audit(routes iter.Seq2[string, http.Handler]) ([]Route, error) {
	var all []Route
	var errs []error
	for pattern, h := range routes {
		r := describe(pattern, h)
		if r.Permission == "" && !r.Bare {
			errs = append(errs, fmt.Errorf("authz: route %q has no permission", pattern))
		}
		all = append(all, r)
	}
	return all, errors.Join(errs...)
}

// WriteRoutes prints routes as a table, for an audit by eye or a golden file.
func WriteRoutes(w io.Writer, routes []Route) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "ROUTE\tSCHEMES\tPERMISSION")
	for _, r := range routes {
		schemes, permission := strings.Join(r.Schemes, ", "), r.Permission
		if r.Bare {
			schemes, permission = "-", "(bare)"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\n", r.Pattern, schemes, permission)
	}
	return t.Flush()
}
