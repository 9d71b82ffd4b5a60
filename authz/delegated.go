package authz

import (
	"net/http"
	"slices"
	"strings"

	"github.com/vestibule-auth/vestibule/authn"
)

// Permissions for scope-limited identities: OAuth2 clients, and tokens limited to scopes.
var (
	// FirstParty allows users of this application that act with full rights. It denies
	// scope-limited identities, clients without a user and users of another issuer. Use it for
	// actions that no client may perform on behalf of a user: changing the password, listing
	// credentials, deleting the account.
	FirstParty Permission = firstParty

	// NoScopeNeeded allows everyone. It declares that scope-limited identities may reach the route
	// without a scope, so Mux.RequireScopes and CheckScopes accept the route:
	//
	//	mux.HandleFunc("GET /me", me, authz.IsAuthenticated, authz.NoScopeNeeded)
	NoScopeNeeded Permission = noScopeNeeded
)

// isFirstParty reports whether FirstParty allows id.
func isFirstParty(id *authn.Identity) bool {
	return id.Subject != "" && id.Issuer == "" && !id.Delegated()
}

// opaque replaces a permission that package authz cannot analyze.
type opaque struct{}

func (o opaque) Decide(a Access) (Decision, error) { return o.eval(&a).results() }

// eval returns Unknown. For an anonymous caller the denial may be one for lack of information.
func (opaque) eval(a *Access) verdict {
	if !a.Identity.Authenticated() {
		return verdict{d: Unknown, basis: maybeUninformed}
	}
	return verdict{d: Unknown}
}

// reachedWithoutScope reports whether p may allow an identity without any scope, for some method of
// the pattern. Methods that are open to anonymous callers do not count.
func reachedWithoutScope(pattern string, p Permission) bool {
	limited := authn.Identity{Subject: "-", Client: "-", Scheme: "-", Scopes: []string{}}
	closed := withUnknowns(p)
	for _, method := range methodsOf(pattern, p) {
		r := &http.Request{Method: method}
		if eval(closed, &Access{Request: r}).d == Allow {
			continue
		}
		if v := eval(closed, &Access{Request: r, Identity: limited}); v.fault != nil || v.d > Deny {
			return true
		}
	}
	return false
}

// withUnknowns returns p with every permission replaced by opaque that cannot be evaluated without
// a request. It replaces NoScopeNeeded with a denial, because the declaration covers the route.
func withUnknowns(p Permission) Permission {
	return mapLeaves(p, func(p Permission) Permission {
		switch e := p.(type) {
		case named:
			if e == noScopeNeeded {
				return declared{}
			}
			return p
		case hasRole, hasRoleByScope, hasPerm, hasPermByScope, *hasScope:
			return p
		}
		return opaque{}
	})
}

// mapLeaves returns the expression p with f applied to each permission that contains no other.
func mapLeaves(p Permission, f func(Permission) Permission) Permission {
	each := func(ps []Permission) []Permission {
		out := make([]Permission, len(ps))
		for i, p := range ps {
			out[i] = mapLeaves(p, f)
		}
		return out
	}
	switch e := p.(type) {
	case and:
		return and(each(e))
	case or:
		return or(each(e))
	case not:
		return not{mapLeaves(e.p, f)}
	case scopeGrants:
		return scopeGrants{e.scope, mapLeaves(e.p, f), mapLeaves(e.byScope, f)}
	case byMethod:
		out := make(byMethod, len(e))
		for m, p := range e {
			out[m] = mapLeaves(p, f)
		}
		return out
	}
	return f(p)
}

// declared denies authenticated callers, so that a route with NoScopeNeeded is not reported.
type declared struct{}

func (declared) Decide(a Access) (Decision, error) { return allowIf(!a.Identity.Authenticated()), nil }

// methodsOf returns the methods of a route: the method of its pattern, else the usual ones and
// those that the permission names. It includes Upgrade only if the permission names it, because
// most GET handlers support no other protocol.
func methodsOf(pattern string, p Permission) []string {
	if method, _, ok := strings.Cut(strings.TrimLeft(pattern, " \t"), " "); ok && method != "" && !strings.Contains(method, "/") {
		all := []string{method}
		if method == http.MethodGet {
			all = append(all, http.MethodHead)
		} else if method != http.MethodConnect {
			return all
		}
		if slices.Contains(namedMethods(p), Upgrade) {
			all = append(all, Upgrade)
		}
		return all
	}
	return append(namedMethods(p), http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, "OTHER")
}

// namedMethods returns the methods that the permission names.
func namedMethods(p Permission) (all []string) {
	var walk func(Permission)
	walk = func(p Permission) {
		switch e := p.(type) {
		case and:
			for _, p := range e {
				walk(p)
			}
		case or:
			for _, p := range e {
				walk(p)
			}
		case not:
			walk(e.p)
		case scopeGrants:
			walk(e.p)
		case byMethod:
			for m, p := range e {
				all = append(all, m)
				walk(p)
			}
		}
	}
	walk(p)
	return all
}
