package authz

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/internal/same"
)

// HasRole lets in whose Identity.Roles has the role. A delegated identity has no
// roles; see ScopeGrants.
func HasRole(role string) Permission {
	mustName("HasRole", role)
	return hasRole(role)
}

// HasPerm lets in whose account has the permission, written "app.verb_noun" as in
// Django. It asks Identity.User for it; a user that has no such method has none. A
// *storage.Account loads the permissions of the account and its groups on first use and
// keeps them for its request; one that requests share asks its store each time, which
// keeps them (package storage/cached). A delegated identity has none either.
// An error of the user's method is a fault.
func HasPerm(perm string) Permission {
	mustName("HasPerm", perm)
	return hasPerm(perm)
}

// An attribute is what an account has, so that there must be one, acting with its full
// rights.
type (
	hasRole string
	hasPerm string
	// hasPermByScope is hasPerm for an identity that a scope gives the permission to.
	hasPermByScope hasPerm
)

func (role hasRole) eval(a *Access) verdict {
	if reason := noAccount(a); reason != nil {
		return verdict{reason: reason, blind: blind}
	}
	return verdict{d: allowIf(slices.Contains(a.Identity.Roles, string(role)))}
}

func (perm hasPerm) eval(a *Access) verdict {
	if reason := noAccount(a); reason != nil {
		return verdict{reason: reason, blind: blind}
	}
	u, ok := a.Identity.User.(interface {
		HasPerm(context.Context, string) (bool, error)
	})
	if !ok {
		return verdict{reason: errNoUser, blind: blind}
	}
	has, err := perm.ask(a, u.HasPerm)
	if err != nil {
		return verdict{fault: fault{err}}
	}
	return verdict{d: allowIf(has)}
}

func (perm hasPermByScope) eval(a *Access) verdict {
	u, ok := a.Identity.User.(interface {
		HasPermByScope(context.Context, string) (bool, error)
	})
	if !ok || noAccount(a) != nil || embeds(a.Identity.User) {
		return hasPerm(perm).eval(a)
	}
	has, err := hasPerm(perm).ask(a, u.HasPermByScope)
	if err != nil {
		return verdict{fault: fault{err}}
	}
	return verdict{d: allowIf(has)}
}

// hasRoleByScope is hasRole for a scope-limited identity. The shipped schemes give it no roles; one
// of an application that does has said which.
type hasRoleByScope string

func (role hasRoleByScope) eval(a *Access) verdict {
	if reason := noAccount(a); reason != nil {
		return verdict{reason: reason, blind: blind}
	}
	if len(a.Identity.Roles) > 0 {
		return hasRole(role).eval(a)
	}
	u, ok := a.Identity.User.(interface{ RolesByScope() []string })
	if !ok || embeds(a.Identity.User) {
		return verdict{reason: errNoUser, blind: blind}
	}
	return verdict{d: allowIf(slices.Contains(u.RolesByScope(), string(role)))}
}

func (role hasRoleByScope) Decide(a Access) (Decision, error) { return role.eval(&a).results() }
func (role hasRoleByScope) String() string                    { return hasRole(role).String() }

// embeds reports an account of a type that embeds another one, whose HasPermByScope would bypass
// what the type overrides. See storage.Itself.
func embeds(u authn.User) bool {
	i, ok := u.(interface{ Itself() any })
	return ok && !same.Value(i.Itself(), u)
}

func (perm hasPermByScope) Decide(a Access) (Decision, error) { return perm.eval(&a).results() }
func (perm hasPermByScope) String() string                    { return hasPerm(perm).String() }

// ask calls the account's method. A panic is a fault.
func (perm hasPerm) ask(a *Access, method func(context.Context, string) (bool, error)) (has bool, err error) {
	defer func() {
		if v := recover(); v != nil {
			has, err = false, newPanic(perm.String(), v)
		}
	}()
	return method(a.Request.Context(), string(perm))
}

// noAccount returns why an identity's account is not to be looked at, or nil.
func noAccount(a *Access) *authn.Error {
	switch {
	case !a.Identity.Authenticated():
		return errAnonymous
	case a.Identity.Delegated():
		return errDelegated
	}
	return nil
}

func (role hasRole) Decide(a Access) (Decision, error) { return role.eval(&a).results() }
func (perm hasPerm) Decide(a Access) (Decision, error) { return perm.eval(&a).results() }

func (role hasRole) String() string { return "HasRole(" + strconv.Quote(string(role)) + ")" }
func (perm hasPerm) String() string { return "HasPerm(" + strconv.Quote(string(perm)) + ")" }

// fault keeps an error of an account's method from being taken for a refusal.
type fault struct{ err error }

func (f fault) Error() string   { return "authz: permissions could not be read: " + f.err.Error() }
func (f fault) StatusCode() int { return statusOf(f.err) }

// Stack returns where the method panicked, if it did.
func (f fault) Stack() string {
	var p *panicked
	if errors.As(f.err, &p) {
		return p.Stack()
	}
	return ""
}

func mustName(what, s string) {
	if s == "" || strings.ContainsAny(s, " \t\r\n\x00") {
		panic("authz: " + what + " of " + strconv.Quote(s))
	}
}
