package authz

import (
	"slices"
	"strconv"
	"strings"

	"github.com/vestibule-auth/vestibule/authn"
)

// HasScope allows an identity that has all of the scopes, and one that is not limited by
// scopes, such as a session. To require a scoped token, add ViaScheme("oauth2").
//
// It refuses with 403 and the code insufficient_scope. The challenge is that of the scheme that
// accepted the credential; a Bearer challenge names every scope that the route needs (RFC 6750,
// section 3.1). HasScope panics without a scope or for a text that is no scope (RFC 6749,
// section 3.3).
func HasScope(scopes ...string) Permission {
	if len(scopes) == 0 {
		panic("authz: HasScope of no scope")
	}
	for _, s := range scopes {
		if !authn.IsScope(s) {
			panic("authz: " + strconv.Quote(s) + " is no scope (RFC 6749 section 3.3)")
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
		return verdict{reason: reason, blind: blind}
	default:
		return verdict{reason: reason}
	}
}

// missing returns why id is refused, or nil.
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

// ViaScheme lets in who came by one of the named schemes. Not(ViaScheme("basic"))
// lets in who came by another one, and nobody who is anonymous.
func ViaScheme(names ...string) Permission {
	if len(names) == 0 {
		panic("authz: ViaScheme of no scheme")
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

// ScopeGrants maps a scope to what p asks of an account: a scope-limited identity
// that has the scope, and that acts for a user, is judged by p as if that user
// acted with full rights. Without it HasRole, HasPerm and IsAdmin refuse every
// scope-limited identity. The identity has no roles and its account's HasPerm is false, so the
// account is asked by other methods: HasPermByScope, of the signature of HasPerm, and
// RolesByScope() []string. *storage.Account has them. An account without them, or of a type that
// embeds one that has them (see storage.Itself), is refused by HasPerm and HasRole, and by their
// Not.
//
//	authz.ScopeGrants("notes:admin", authz.HasPerm("notes.delete_note"))
func ScopeGrants(scope string, p Permission) Permission {
	if !authn.IsScope(scope) {
		panic("authz: " + strconv.Quote(scope) + " is no scope (RFC 6749 section 3.3)")
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
