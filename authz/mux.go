package authz

import (
	"fmt"
	"net/http"

	"github.com/vestibule-auth/vestibule/authn"
)

// Mux is an http.ServeMux in which every route states its permission. Registering a route without a
// permission panics. Use [Mux.Public] for routes that are deliberately outside the authentication
// chain, such as a login endpoint. With another router use [Guard], [RequirePlainPath] and [Audit].
//
// Authentication runs after the route is matched, so a permission belongs to the matched route and
// not to the raw path. A path that a handler could read in another way than the mux gets 400 (see
// [CheckPath]), unless the handler of the route is wrapped with [AllowPathParameters] or
// [InsecureAllowAnyPath]. Handlers get an empty URL.RawPath, so a router that is mounted in the mux
// matches the decoded path too; with InsecureAllowAnyPath they get RawPath as it was sent. They get
// no Upgrade header for protocols other than websocket (see [InsecureAllowUpgrade]).
//
// Register all routes before serving requests: registration is not safe for concurrent use.
type Mux struct {
	auth  *authn.Middleware
	mux   *http.ServeMux
	table *table
}

// table holds what a Mux and its views share.
type table struct {
	routes []Route
	scopes bool // RequireScopes was called
}

// NewMux returns a mux that authenticates its routes with auth. It panics if auth is nil.
func NewMux(auth *authn.Middleware) *Mux {
	if auth == nil {
		panic("authz: NewMux: the middleware is nil")
	}
	return &Mux{auth, http.NewServeMux(), new(table)}
}

// With returns a view of the same mux. Routes that are registered through the view are
// authenticated with auth instead of the middleware of m. It panics if auth is nil.
func (m *Mux) With(auth *authn.Middleware) *Mux {
	if auth == nil {
		panic("authz: Mux.With: the middleware is nil")
	}
	return &Mux{auth, m.mux, m.table}
}

// RequireScopes makes the mux panic for each route that a scope-limited identity can reach without
// a scope (Route.NoScope). The order of this call and the registrations does not matter. The panic
// names the route. RequireScopes returns m.
//
// Call it if a scheme of the chain accepts tokens of OAuth2 clients or tokens limited to scopes.
// Otherwise such a scheme opens every route that requires only IsAuthenticated or an owner. For
// each route, require a scope with [HasScope], deny clients with [FirstParty], or declare with
// [NoScopeNeeded] that the route is open to them.
func (m *Mux) RequireScopes() *Mux {
	m.table.scopes = true
	for _, r := range m.table.routes {
		m.table.check(r)
	}
	return m
}

func (t *table) check(r Route) {
	if t.scopes && r.NoScope {
		panic(fmt.Sprintf("authz: route %q: a scope-limited identity reaches it without a scope (add HasScope, FirstParty or NoScopeNeeded)", r.Pattern))
	}
}

// Handle registers h for a pattern of http.ServeMux and requires all of ps. ps may be empty only if
// h is guarded already (by Guard.Handler or HandleObject). Handle panics if there is no permission
// or h is nil. For a route that everyone may use, pass AllowAny.
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
		panic(fmt.Sprintf("authz: route %q has no permission (pass AllowAny to allow everyone, or use Mux.Public)", pattern))
	}
	m.add(r, h)
}

// HandleFunc is [Mux.Handle] for a function.
func (m *Mux) HandleFunc(pattern string, f http.HandlerFunc, ps ...Permission) {
	m.Handle(pattern, f, ps...)
}

// Public registers h outside the authentication chain and without a permission. Use it for health
// checks, and for login endpoints, which read their own credentials and ignore all others. Public
// panics if h is nil or guarded, because every caller is anonymous there.
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
	m.mux.Handle(r.Pattern, matched{h, m.auth, r.PlainPath, r.PathParameters, r.AnyUpgrade})
	m.table.routes = append(m.table.routes, r)
}
