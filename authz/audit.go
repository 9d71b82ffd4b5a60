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

// Routes lists the routes in the order of their registration.
func (m *Mux) Routes() []Route { return slices.Clone(m.table.routes) }

// Route says who is let in where.
type Route struct {
	Pattern string
	// Schemes are asked in this order; nil where nobody is.
	Schemes []string
	// Permission names what the route needs; "" if it needs nothing.
	Permission string
	// Public: the route is outside the chain on purpose.
	Public bool
	// NoScope: an identity that is limited to scopes, such as an OAuth2 client's, reaches the
	// route without any of them, and the route does not say NoScopeNeeded. It is set too if a
	// permission that package authz does not know, such as If, decides.
	NoScope bool
	// PlainPath: paths that CheckPath refuses do not reach the route.
	PlainPath bool
	// AnyPath: the route is wrapped with InsecureAllowAnyPath.
	AnyPath bool
	// PathParameters: the route is wrapped with AllowPathParameters.
	PathParameters bool
}

// describe looks through middleware and guards. The error says which of them are in an order that
// does not work.
func describe(pattern string, handlers ...http.Handler) (Route, error) {
	r := Route{Pattern: pattern}
	var wanted, schemes []string // schemes: of the last middleware
	var guards []Permission
	var err error
	said := false // that it is bare, perhaps around a handler that authenticates by itself
	for _, h := range handlers {
		for h != nil {
			if s, ok := h.(interface{ Schemes() []string }); ok {
				schemes = s.Schemes()
				if schemes != nil || len(guards) == 0 { // behind a guard, Public takes nothing back
					r.Schemes = schemes
				}
			}
			if b, ok := h.(interface{ Public() bool }); ok {
				said = said || b.Public()
			}
			if p, ok := h.(interface{ Permission() string }); ok {
				wanted = append(wanted, p.Permission())
				if schemes == nil {
					err = fmt.Errorf("authz: route %q has a guard without a middleware in front of it, so nobody is authenticated there", pattern)
				}
				var guard Permission = opaque{}
				if g, ok := h.(*guarded); ok {
					guard = g.g.p
				}
				if guard == nil { // the zero Guard refuses everything
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
			}
			u, ok := h.(interface{ Unwrap() http.Handler })
			if !ok {
				break
			}
			h = u.Unwrap()
		}
	}
	r.Permission = strings.Join(wanted, " and ")
	r.Public = said && r.Permission == ""
	r.NoScope = len(guards) > 0 && reachedWithoutScope(pattern, and(guards))
	return r, err
}

// Audit lists the routes of any router. routes yields each pattern and its
// handler, as the router's own walk function returns them. in are the handlers that you put in
// front of the router, outermost first: give Audit the handler that you give to the server, so
// that it finds a middleware or a [RequirePlainPath] around the whole router.
//
// The error names every route that
//   - has neither a guard nor is there by Middleware.Public
//   - has a guard without a middleware in front of it: nobody is authenticated there
//   - is behind neither a Mux, RequirePlainPath nor InsecureAllowAnyPath
//
// A test that fails on the error keeps a router closed. Route.NoScope lists what scope-limited
// identities reach; [CheckScopes] makes an error of it.
//
// Audit sees through a handler that has Unwrap() http.Handler. If the middleware of others
// between guard and router has none, put the guard outside. Audit believes Unwrap: one that
// returns a handler which ServeHTTP does not call hides an open route. Only a request tells, so
// test one anonymous request for each wrapper of your own.
func Audit(routes iter.Seq2[string, http.Handler], in ...http.Handler) ([]Route, error) {
	var all []Route
	var errs []error
	var unchecked []string
	for pattern, h := range routes {
		r, err := describe(pattern, append(slices.Clone(in), h)...)
		if r.Permission == "" && !r.Public {
			err = fmt.Errorf("authz: route %q has no permission", pattern)
		}
		errs = append(errs, err)
		if !r.PlainPath && !r.AnyPath {
			unchecked = append(unchecked, strconv.Quote(pattern))
		}
		all = append(all, r)
	}
	if unchecked != nil {
		errs = append(errs, fmt.Errorf("authz: no path check in front of %s (put RequirePlainPath around the router, and give Audit that handler)", strings.Join(unchecked, ", ")))
	}
	return all, errors.Join(errs...)
}

// CheckScopes returns an error that names the routes with NoScope: those that adding a scheme with
// scope-limited identities opens. For a Mux use [Mux.RequireScopes].
func CheckScopes(routes []Route) error {
	var errs []error
	for _, r := range routes {
		if r.NoScope {
			errs = append(errs, fmt.Errorf("authz: route %q: a scope-limited identity reaches it without a scope", r.Pattern))
		}
	}
	return errors.Join(errs...)
}

// WriteRoutes prints routes as a table, for an audit by eye or a golden file. NOTES says what is
// unusual: "no scope" for Route.NoScope, "any path" for Route.AnyPath, "path parameters" for
// Route.PathParameters.
func WriteRoutes(w io.Writer, routes []Route) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	notes := slices.ContainsFunc(routes, func(r Route) bool { return r.NoScope || r.AnyPath || r.PathParameters })
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
		if note == nil {
			note = []string{"-"}
		}
		line(strings.Join(note, ", "), r.Pattern, schemes, permission)
	}
	return t.Flush()
}
