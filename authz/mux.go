package authz

import (
	"fmt"
	"net/http"

	"github.com/vestibule-auth/vestibule/authn"
)

// Mux is an http.ServeMux on which every route states who may use it. A route
// without a permission is refused at start-up; one that is outside the chain
// on purpose, such as a login endpoint, is registered with Public. With another
// router use [Guard], [RequirePlainPath], and [Audit] for the same list.
//
// The chain runs after the matching, so a permission belongs to the route that
// matched, not to the raw path. A path that a handler could read as another one than the
// mux did is answered with 400 ([CheckPath]), unless the route's handler is wrapped with
// [AllowPathParameters] or [InsecureAllowAnyPath].
type Mux struct {
	auth  *authn.Middleware
	mux   *http.ServeMux
	table *table
}

// table is what the views of a mux share.
type table struct {
	routes []Route
	scopes bool // RequireScopes
}

// NewMux returns a mux whose routes are authenticated by auth. It panics if
// auth is nil.
func NewMux(auth *authn.Middleware) *Mux {
	if auth == nil {
		panic("authz: NewMux without a middleware")
	}
	return &Mux{auth, http.NewServeMux(), new(table)}
}

// With returns a view of the same mux whose further routes are authenticated by
// auth instead: a route's schemes replace the default ones, they never add to
// them.
func (m *Mux) With(auth *authn.Middleware) *Mux {
	if auth == nil {
		panic("authz: With without a middleware")
	}
	return &Mux{auth, m.mux, m.table}
}

// RequireScopes makes the mux refuse, by a panic that names it, each route that a scope-limited
// identity reaches without a scope (Route.NoScope), registered before or after. It returns m.
//
// Call it if a scheme of a chain accepts tokens of OAuth2 clients or tokens limited to scopes:
// adding such a scheme otherwise opens every route that only asks for IsAuthenticated or an owner.
// Give such a route [HasScope], close it with [FirstParty], or say with [NoScopeNeeded] that it
// is meant.
func (m *Mux) RequireScopes() *Mux {
	m.table.scopes = true
	for _, r := range m.table.routes {
		m.table.check(r)
	}
	return m
}

func (t *table) check(r Route) {
	if t.scopes && r.NoScope {
		panic(fmt.Sprintf("authz: route %q: a scope-limited identity reaches it without a scope (add HasScope or FirstParty, or say NoScopeNeeded)", r.Pattern))
	}
}

// Handle registers h for a pattern of http.ServeMux, for whom all of ps let in.
// ps may be empty only where h is guarded already (Guard.Handler, HandleObject);
// otherwise Handle panics: what everybody may is AllowAny.
func (m *Mux) Handle(pattern string, h http.Handler, ps ...Permission) {
	notNil("Mux.Handle", h)
	if len(ps) > 0 {
		h = Require(ps...).Handler(h)
	}
	h = m.auth.Handler(h)
	r, err := describe(pattern, h)
	if err != nil {
		panic(err.Error())
	}
	if r.Permission == "" {
		panic(fmt.Sprintf("authz: route %q has no permission; say AllowAny where everybody may, or use Public", pattern))
	}
	m.add(r, h)
}

// HandleFunc is Handle for a function.
func (m *Mux) HandleFunc(pattern string, f http.HandlerFunc, ps ...Permission) {
	m.Handle(pattern, f, ps...)
}

// Public registers h outside the chain and without a permission. It panics if h is guarded, since
// nobody is authenticated there. Use it for login
// endpoints, which read their own credential and answer the same whatever the
// request carries, and for health checks.
func (m *Mux) Public(pattern string, h http.Handler) {
	h = m.auth.Public(notNil("Mux.Public", h))
	r, err := describe(pattern, h)
	if err != nil {
		panic(err.Error())
	}
	m.add(r, h)
}

func (m *Mux) add(r Route, h http.Handler) {
	r.PlainPath = !r.AnyPath
	m.table.check(r)
	m.mux.Handle(r.Pattern, matched{h, m.auth, r.PlainPath, r.PathParameters})
	m.table.routes = append(m.table.routes, r)
}
