package authz

import (
	"slices"
	"strconv"
	"strings"

	"github.com/vestibule-auth/vestibule/authn"
)

// HasScope allows identities that have all of the scopes, and identities without scope limits, such
// as sessions. To require a scoped token, add ViaScheme("oauth2").
//
// It denies authenticated callers with 403 and the code insufficient_scope. The challenge comes
// from the scheme that accepted the credentials. A Bearer challenge names every scope that the
// route requires (RFC 6750, section 3.1).
//
// HasScope panics if there is no scope, or if a text is not a valid scope (RFC 6749, section 3.3).
func HasScope(scopes ...string) Permission {
	if len(scopes) == 0 {
		panic("authz: HasScope: no scope (at least one is required)")
	}
	for _, s := range scopes {
		if !authn.IsScope(s) {
			panic("authz: HasScope: invalid scope " + strconv.Quote(s) + " (see RFC 6749, section 3.3)")
		}
	}
	refusal := authn.PermissionDenied("")
	refusal.Code = authn.CodeInsufficientScope
	return &hasScope{slices.Clone(scopes), refusal}
}

type hasScope struct {
	scopes  []string
	refusal *authn.Error
}

func (p *hasScope) Decide(a Access) (Decision, error) { return p.eval(&a).results() }

func (p *hasScope) eval(a *Access) verdict {
	switch reason := p.missing(&a.Identity); reason {
	case nil:
		return verdict{d: Allow}
	case errAnonymous:
		return verdict{reason: reason, basis: uninformed}
	default:
		return verdict{reason: reason}
	}
}

// missing returns why id is denied, or nil.
func (p *hasScope) missing(id *authn.Identity) *authn.Error {
	switch {
	case !id.Authenticated():
		return errAnonymous
	case !id.Delegated():
		return nil
	}
	for _, s := range p.scopes {
		if !slices.Contains(id.Scopes, s) {
			return p.refusal
		}
	}
	return nil
}

func (p *hasScope) String() string { return "HasScope(" + strings.Join(p.scopes, " ") + ")" }

// ViaScheme allows callers that one of the named schemes authenticated. Not(ViaScheme("basic"))
// allows callers that another scheme authenticated. Both deny anonymous callers. ViaScheme panics
// if there is no name.
//
// A misspelled name would make Not(ViaScheme(name)) allow everyone. So if the middleware of a route
// has no scheme of that name, [Mux] panics at the registration, and [Audit] reports the route. They
// cannot check a middleware with a scheme that is not an authn.Namer.
func ViaScheme(names ...string) Permission {
	if len(names) == 0 {
		panic("authz: ViaScheme: no scheme (at least one is required)")
	}
	names = slices.Clone(names)
	return viaScheme(names)
}

type viaScheme []string

func (v viaScheme) Decide(a Access) (Decision, error) {
	if !a.Identity.Authenticated() {
		return Deny, errAnonymous
	}
	return allowIf(slices.Contains(v, a.Identity.Scheme)), nil
}

func (v viaScheme) String() string { return "ViaScheme(" + strings.Join(v, ", ") + ")" }

// strangeScheme returns a name in a ViaScheme that no scheme of the middleware has, or "". A scheme
// that is not an authn.Namer may write any name to Identity.Scheme; Middleware.Schemes has its Go type.
func strangeScheme(guards []Permission, schemes []string) (name string) {
	if slices.ContainsFunc(schemes, func(s string) bool { return strings.Contains(s, ".") }) {
		return ""
	}
	mapLeaves(and(guards), func(p Permission) Permission {
		if v, ok := p.(viaScheme); ok {
			if i := slices.IndexFunc(v, func(s string) bool { return !slices.Contains(schemes, s) }); i >= 0 {
				name = v[i]
			}
		}
		return p
	})
	return name
}

// ScopeGrants returns a permission that maps a scope to the account permissions in p. If a
// scope-limited identity has the scope and acts for a user, p is evaluated as if that user acted
// with full rights. For all other identities p is evaluated as usual; HasRole, HasPerm and IsAdmin
// then deny every scope-limited identity.
//
//	authz.ScopeGrants("notes:admin", authz.HasPerm("notes.delete_note"))
//
// Inside ScopeGrants, HasPerm and HasRole call other methods of Identity.User: HasPermByScope, with
// the signature of HasPerm, and RolesByScope() []string. A *storage.Account has both. If an account
// lacks these methods, or its type embeds a type that has them (see storage.Itself), HasPerm,
// HasRole, Not(HasPerm(…)) and Not(HasRole(…)) all deny.
//
// ScopeGrants panics if the scope is invalid (RFC 6749, section 3.3) or p is nil.
func ScopeGrants(scope string, p Permission) Permission {
	if !authn.IsScope(scope) {
		panic("authz: ScopeGrants: invalid scope " + strconv.Quote(scope) + " (see RFC 6749, section 3.3)")
	}
	p = checked("ScopeGrants", []Permission{p})[0]
	byScope := mapLeaves(p, func(p Permission) Permission {
		switch p := p.(type) {
		case hasPerm:
			return hasPermByScope(p)
		case hasRole:
			return hasRoleByScope(p)
		}
		return p
	})
	return scopeGrants{scope, p, byScope}
}

type scopeGrants struct {
	scope      string
	p, byScope Permission
}

func (g scopeGrants) Decide(a Access) (Decision, error) { return g.eval(&a).results() }

func (g scopeGrants) eval(a *Access) verdict {
	if a.Identity.Subject != "" && slices.Contains(a.Identity.Scopes, g.scope) {
		full := *a
		full.Identity.Client, full.Identity.Scopes = "", nil
		return eval(g.byScope, &full)
	}
	return eval(g.p, a)
}

func (g scopeGrants) String() string {
	return "ScopeGrants(" + g.scope + ", " + name(g.p) + ")"
}
