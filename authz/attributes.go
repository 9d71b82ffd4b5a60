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

// HasRole allows identities that have the role in Identity.Roles. It denies anonymous callers and
// scope-limited identities, which have no roles; see [ScopeGrants]. It panics if the name is empty
// or holds white space or NUL.
func HasRole(role string) Permission {
	mustName("HasRole", role)
	return hasRole(role)
}

// HasPerm allows identities whose account has the permission, written "app.verb_noun" as in Django.
// It panics if the name is empty or holds white space or NUL.
//
// It calls the HasPerm method of Identity.User, and denies if the user has no such method. An error
// or a panic of the method is a fault (503 or 500), not a denial. It denies scope-limited
// identities; see [ScopeGrants].
//
// A *storage.Account loads the permissions of the account and its groups on first use and keeps
// them for the request. An account that several requests share queries its store on each call;
// package storage/cached caches the answers.
func HasPerm(perm string) Permission {
	mustName("HasPerm", perm)
	return hasPerm(perm)
}

// The permissions on roles and account permissions. Each requires an account, and an identity that
// acts with the account's full rights.
type (
	hasRole string
	hasPerm string
	// hasPermByScope is hasPerm inside ScopeGrants, for an identity that has the scope.
	hasPermByScope hasPerm
)

func (role hasRole) eval(a *Access) verdict {
	if reason := noAccount(a); reason != nil {
		return verdict{reason: reason, basis: uninformed}
	}
	return verdict{d: allowIf(slices.Contains(a.Identity.Roles, string(role)))}
}

func (perm hasPerm) eval(a *Access) verdict {
	if reason := noAccount(a); reason != nil {
		return verdict{reason: reason, basis: uninformed}
	}
	u, ok := a.Identity.User.(interface {
		HasPerm(context.Context, string) (bool, error)
	})
	if !ok {
		return verdict{reason: errNoUser, basis: uninformed}
	}
	has, err := perm.call(a, u.HasPerm)
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
	has, err := hasPerm(perm).call(a, u.HasPermByScope)
	if err != nil {
		return verdict{fault: fault{err}}
	}
	return verdict{d: allowIf(has)}
}

// hasRoleByScope is hasRole inside ScopeGrants. Shipped schemes give scope-limited identities no
// roles. If an application's scheme sets Identity.Roles, those roles count.
type hasRoleByScope string

func (role hasRoleByScope) eval(a *Access) verdict {
	if reason := noAccount(a); reason != nil {
		return verdict{reason: reason, basis: uninformed}
	}
	if len(a.Identity.Roles) > 0 {
		return hasRole(role).eval(a)
	}
	u, ok := a.Identity.User.(interface{ RolesByScope() []string })
	if !ok || embeds(a.Identity.User) {
		return verdict{reason: errNoUser, basis: uninformed}
	}
	return verdict{d: allowIf(slices.Contains(u.RolesByScope(), string(role)))}
}

func (role hasRoleByScope) Decide(a Access) (Decision, error) { return role.eval(&a).results() }
func (role hasRoleByScope) String() string                    { return hasRole(role).String() }

// embeds reports whether u's type embeds another account type. The embedded HasPermByScope would
// bypass methods that the outer type overrides. See storage.Itself.
func embeds(u authn.User) bool {
	i, ok := u.(interface{ Itself() any })
	return ok && !same.Value(i.Itself(), u)
}

func (perm hasPermByScope) Decide(a Access) (Decision, error) { return perm.eval(&a).results() }
func (perm hasPermByScope) String() string                    { return hasPerm(perm).String() }

// call calls the account's method. It converts a panic into an error.
func (perm hasPerm) call(a *Access, method func(context.Context, string) (bool, error)) (has bool, err error) {
	defer func() {
		if v := recover(); v != nil {
			has, err = false, newPanic(perm.String(), v)
		}
	}()
	return method(a.Request.Context(), string(perm))
}

// noAccount returns why the account of an identity must not be checked, or nil.
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

// fault wraps an error of an account's method, so that the error is not read as a denial.
type fault struct{ err error }

func (f fault) Error() string {
	return "authz: HasPerm: account permissions unavailable: " + f.err.Error()
}
func (f fault) StatusCode() int { return statusOf(f.err) }

// Stack returns the stack trace if the method panicked, else "".
func (f fault) Stack() string {
	var p *panicked
	if errors.As(f.err, &p) {
		return p.Stack()
	}
	return ""
}

func mustName(what, s string) {
	if s == "" || strings.ContainsAny(s, " \t\r\n\x00") {
		panic("authz: " + what + ": invalid name " + strconv.Quote(s) + " (not empty, no white space or NUL)")
	}
}
