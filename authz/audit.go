package authz

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// Routes returns the routes in the order of registration.
func (m *Mux) Routes() []Route { return slices.Clone(m.table.routes) }

// Route describes one route: which schemes authenticate it and which permission it requires.
type Route struct {
	Pattern string
	// Schemes are the authentication schemes in the order of the chain; nil on a public route.
	Schemes []string
	// Permission describes the permission that the route requires; "" if it requires none.
	Permission string
	// Public is true if the route is deliberately outside the authentication chain.
	Public bool
	// NoScope is true if a scope-limited identity, such as an OAuth2 client, can reach the route
	// without any scope, and the route does not declare NoScopeNeeded. It is also true if the
	// decision depends on a permission that package authz cannot analyze, such as If.
	NoScope bool
	// PlainPath is true if paths that CheckPath refuses do not reach the route.
	PlainPath bool
	// AnyPath is true if the route is wrapped with InsecureAllowAnyPath.
	AnyPath bool
	// PathParameters is true if the route is wrapped with AllowPathParameters.
	PathParameters bool
	// AnyUpgrade is true if the route is wrapped with InsecureAllowUpgrade.
	AnyUpgrade bool
}

// describe unwraps middleware and guards and returns the route. The error reports a guard that has
// no middleware in front of it.
func describe(pattern string, handlers ...http.Handler) (Route, error) {
	r := Route{Pattern: pattern}
	var required, schemes []string // schemes of the innermost middleware
	var guards []Permission
	var err error
	public := false // a handler is wrapped with Middleware.Public
	for _, h := range handlers {
		for h != nil {
			if s, ok := h.(interface{ Schemes() []string }); ok {
				schemes = s.Schemes()
				if schemes != nil || len(guards) == 0 { // Public inside a guard does not undo the outer middleware
					r.Schemes = schemes
				}
			}
			if b, ok := h.(interface{ Public() bool }); ok {
				public = public || b.Public()
			}
			if p, ok := h.(interface{ Permission() string }); ok {
				required = append(required, p.Permission())
				if schemes == nil {
					err = fmt.Errorf("authz: route %q has a guard without a middleware in front of it, so every caller is anonymous (wrap the guard with Middleware.Handler)", pattern)
				}
				var guard Permission = opaque{}
				if g, ok := h.(*guarded); ok {
					guard = g.g.p
				}
				if guard == nil { // the zero Guard denies everything
					guard = not{allowAny}
				}
				guards = append(guards, guard)
			}
			switch h.(type) {
			case *plainPath, *Mux:
				r.PlainPath = true
			case *anyPath:
				r.AnyPath = true
			case *pathParameters:
				r.PathParameters = true
			case *anyUpgrade:
				r.AnyUpgrade = true
			}
			u, ok := h.(interface{ Unwrap() http.Handler })
			if !ok {
				break
			}
			h = u.Unwrap()
		}
	}
	r.Permission = strings.Join(required, " and ")
	r.Public = public && r.Permission == ""
	r.NoScope = len(guards) > 0 && reachedWithoutScope(pattern, and(guards))
	if name := strangeScheme(guards, schemes); err == nil && name != "" {
		err = fmt.Errorf("authz: route %q: ViaScheme(%q) names no scheme of its middleware, which has %s", pattern, name, strings.Join(schemes, ", "))
	}
	return r, err
}

// Audit returns the routes of any router and reports routes that are not protected. The argument
// routes yields each pattern with its handler; most routers have a walk function that provides
// them. The argument in holds the handlers in front of the router, outermost first. Pass the
// handler that you give to the server, so that Audit finds a middleware or [RequirePlainPath]
// around the whole router.
//
// The error names every route that
//   - has no guard and is not wrapped with Middleware.Public
//   - has a guard without a middleware in front of it, so every caller is anonymous
//   - has a ViaScheme with a name that no scheme of its middleware has
//   - is not behind Mux, RequirePlainPath or InsecureAllowAnyPath
//
// Call Audit in a test and fail on its error, so that an unprotected route cannot be added.
// Route.NoScope marks the routes that scope-limited identities reach; [CheckScopes] turns it into
// an error.
//
// Audit unwraps handlers that have a method Unwrap() http.Handler. If third-party middleware
// between guard and router has no such method, put the guard outside of this middleware. Audit
// trusts Unwrap: if it returns a handler that ServeHTTP does not call, Audit misses an open route.
// Test each of your own wrappers with an anonymous request.
func Audit(routes iter.Seq2[string, http.Handler], in ...http.Handler) ([]Route, error) {
	var all []Route
	var errs []error
	var unchecked []string
	for pattern, h := range routes {
		r, err := describe(pattern, append(slices.Clone(in), h)...)
		if r.Permission == "" && !r.Public {
			err = fmt.Errorf("authz: route %q has no permission (add a guard, or wrap it with Middleware.Public)", pattern)
		}
		errs = append(errs, err)
		if !r.PlainPath && !r.AnyPath {
			unchecked = append(unchecked, strconv.Quote(pattern))
		}
		all = append(all, r)
	}
	if unchecked != nil {
		errs = append(errs, fmt.Errorf("authz: no path check in front of %s (put RequirePlainPath around the router, and pass that handler to Audit)", strings.Join(unchecked, ", ")))
	}
	return all, errors.Join(errs...)
}

// CheckScopes returns an error that names the routes with Route.NoScope. A new scheme with
// scope-limited identities would open these routes. With a Mux, use [Mux.RequireScopes] instead.
func CheckScopes(routes []Route) error {
	var errs []error
	for _, r := range routes {
		if r.NoScope {
			errs = append(errs, fmt.Errorf("authz: route %q: a scope-limited identity reaches it without a scope (add HasScope, FirstParty or NoScopeNeeded)", r.Pattern))
		}
	}
	return errors.Join(errs...)
}

// WriteRoutes writes routes as a table, for review or for a golden file. The column NOTES shows
// Route.NoScope as "no scope", Route.AnyPath as "any path", Route.PathParameters as "path
// parameters" and Route.AnyUpgrade as "any upgrade".
func WriteRoutes(w io.Writer, routes []Route) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	notes := slices.ContainsFunc(routes, func(r Route) bool { return r.NoScope || r.AnyPath || r.PathParameters || r.AnyUpgrade })
	line := func(note string, columns ...string) {
		if notes {
			columns = append(columns, note)
		}
		fmt.Fprintln(t, strings.Join(columns, "\t"))
	}
	line("NOTES", "ROUTE", "SCHEMES", "PERMISSION")
	for _, r := range routes {
		schemes, permission := strings.Join(r.Schemes, ", "), r.Permission
		if r.Public {
			schemes, permission = "-", "(bare)"
		}
		var note []string
		if r.NoScope {
			note = append(note, "no scope")
		}
		if r.AnyPath {
			note = append(note, "any path")
		}
		if r.PathParameters {
			note = append(note, "path parameters")
		}
		if r.AnyUpgrade {
			note = append(note, "any upgrade")
		}
		if note == nil {
			note = []string{"-"}
		}
		line(strings.Join(note, ", "), r.Pattern, schemes, permission)
	}
	return t.Flush()
}
