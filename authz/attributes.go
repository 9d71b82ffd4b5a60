package authz

import (
	"context"
	"slices"
	"strconv"
	"strings"
)

// HasRole lets in whose Identity.Roles has the role. A delegated identity has no
// roles (RULES C4); see ScopeGrants.
func HasRole(role string) Permission {
	mustName("HasRole", role)
	return attribute{"HasRole(" + strconv.Quote(role) + ")", func(a Access) (Decision, error) {
		return allowIf(slices.Contains(a.Identity.Roles, role)), nil
	}}
}

// HasPerm lets in whose account has the permission, written "app.verb_noun" as in
// Django. It asks Identity.User for it, which loads the permissions of the user
// and its groups on first use; a user that has no such method has none. A
// delegated identity has none either (RULES C4). An error of the user's method
// is a fault.
func HasPerm(perm string) Permission {
	mustName("HasPerm", perm)
	return attribute{"HasPerm(" + strconv.Quote(perm) + ")", func(a Access) (Decision, error) {
		u, ok := a.Identity.User.(interface {
			HasPerm(context.Context, string) (bool, error)
		})
		if !ok {
			return Deny, errNoUser
		}
		has, err := u.HasPerm(a.Request.Context(), perm)
		if err != nil {
			return Deny, fault{err}
		}
		return allowIf(has), nil
	}}
}

// fault keeps an error of an account's method from being taken for a refusal.
type fault struct{ err error }

func (f fault) Error() string { return "authz: permissions could not be read: " + f.err.Error() }

// attribute looks at what an account has, so that there must be one, acting with
// its full rights.
type attribute struct {
	name string
	f    func(Access) (Decision, error)
}

func (p attribute) Decide(a Access) (Decision, error) {
	switch {
	case !a.Identity.Authenticated():
		return Deny, errAnonymous
	case a.Identity.Delegated():
		return Deny, errDelegated
	}
	return p.f(a)
}

func (p attribute) String() string { return p.name }

func mustName(what, s string) {
	if s == "" || strings.ContainsAny(s, " \t\r\n\x00") {
		panic("authz: " + what + " of " + strconv.Quote(s))
	}
}
