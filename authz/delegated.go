package authz

import (
	"net/http"
	"slices"
	"strings"

	"github.com/vestibule-auth/vestibule/authn"
)

// The permissions about scope-limited identities: tokens of OAuth2 clients, and tokens limited to
// scopes.
var (
	// FirstParty allows a user of this application who acts with full rights. It refuses
	// scope-limited identities, clients without a user and users of another issuer. Use it for
	// what no client may do for a user: changing the password, listing credentials, deleting
	// the account.
	FirstParty Permission = firstParty

	// NoScopeNeeded allows everybody. It says that scope-limited identities may reach the
	// route without a scope, for Mux.RequireScopes and CheckScopes:
	//
	//	mux.HandleFunc("GET /me", me, authz.IsAuthenticated, authz.NoScopeNeeded)
	NoScopeNeeded Permission = noScopeNeeded
)

// isFirstParty is what FirstParty asks for.
func isFirstParty(id *authn.Identity) bool {
	return id.Subject != "" && id.Issuer == "" && !id.Delegated()
}

// opaque stands for a permission whose answer is not known.
type opaque struct{}

func (o opaque) Decide(a Access) (Decision, error) { return o.eval(&a).results() }

// eval refuses anonymous callers perhaps as one that has nothing to look at.
func (opaque) eval(a *Access) verdict {
	if !a.Identity.Authenticated() {
		return verdict{d: Unknown, blind: perhaps}
	}
	return verdict{d: Unknown}
}

// reachedWithoutScope reports whether an identity without any scope may be allowed by p for some method
// of the pattern. What is open to anonymous callers opens nothing to it.
func reachedWithoutScope(pattern string, p Permission) bool {
	limited := authn.Identity{Subject: "-", Client: "-", Scheme: "-", Scopes: []string{}}
	closed := supposed(p)
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

// supposed is p with what cannot be evaluated before a request as Unknown, and with the declaration
// as a refusal: what it covers is not reached by oversight.
func supposed(p Permission) Permission {
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

// mapLeaves returns the expression p with f of each permission that holds no other.
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

// declared refuses authenticated callers: a route that says NoScopeNeeded is not listed.
type declared struct{}

func (declared) Decide(a Access) (Decision, error) { return allowIf(!a.Identity.Authenticated()), nil }

// methodsOf returns the methods that a route can be called with: that of its pattern, else the usual ones and
// those that the permission names. Upgrade is one of them only if it is named: most handlers of a GET
// know no other protocol.
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
