package storage

import (
	"context"
	"slices"
	"sync"
)

// Account is the account of an identity: the record as a store returned it, and where its
// permissions are. Make one with [User.WithPermissions] or [User.WithScopedPermissions]; the
// shipped schemes put a *Account into Identity.User. *Account is an authn.User.
type Account struct {
	User
	perms *permissions
}

// room is how many roles a copy of an account holds in its own allocation.
const room = 4

// permissions are what HasPerm asks. For an account of one request they are loaded on first
// use and kept for as long as the Account lives.
type permissions struct {
	store   Permissions
	checker PermissionChecker // the store, if it is one and the account is shared
	shared  bool              // by requests: nothing is kept
	scoped  bool              // HasPerm is false, HasPermByScope asks
	mu      sync.Mutex
	loaded  *loaded  // nil: not yet
	roles   []string // of a scoped account, whose own list is nil
}

// loaded are the names of an account's permissions.
type loaded struct {
	id    string // of whom they are
	names []string
}

// WithPermissions returns an account whose HasPerm reads p; with nil the account has no
// permissions. Use it for every account that you put into an Identity yourself, in a scheme of
// your own or in a test. The shipped schemes call it for you. It is one allocation.
//
// HasPerm of an account with a Lease reads p at each call.
func (u User) WithPermissions(p Permissions) *Account {
	return u.with(p, u.lease != nil, false)
}

// WithScopedPermissions is WithPermissions for an identity that is limited to scopes: HasPerm of
// the account is false and its Roles are nil, so that a handler grants nothing by them.
// HasPermByScope reads p and RolesByScope returns the roles, for what a scope is mapped to
// (authz.ScopeGrants).
func (u User) WithScopedPermissions(p Permissions) *Account {
	return u.with(p, u.lease != nil, true)
}

// with returns an account of u with permissions, in one allocation.
func (u User) with(p Permissions, shared, scoped bool) *Account {
	l := &struct {
		account     Account
		permissions permissions
	}{account: Account{User: u}, permissions: permissions{store: p, shared: shared, scoped: scoped}}
	if scoped {
		l.permissions.roles, l.account.Roles = u.Roles, nil
	}
	if shared && Itself(p) {
		l.permissions.checker, _ = p.(PermissionChecker)
	}
	l.account.perms = &l.permissions
	return &l.account
}

// UserID returns LocalID.
func (a *Account) UserID() string { return a.LocalID() }

// Clone returns a copy of a that shares no list with it. Both have the same permissions.
func (a Account) Clone() Account {
	a.User = a.User.Clone()
	return a
}

// CloneUser returns a *Account that shares no list with a. Package authn calls it so that a
// handler can modify the account of its request; see authn.UserFrom.
func (a *Account) CloneUser() any {
	if len(a.Roles) == 0 || len(a.Roles) > room {
		c := a.Clone()
		return &c
	}
	l := &struct {
		account Account
		roles   [room]string
	}{account: *a}
	n := copy(l.roles[:], a.Roles)
	l.account.Roles = l.roles[:n:n]
	return &l.account
}

// KeptUser returns a *Account that shares no list with a and can serve several requests: HasPerm
// reads the store at each call. Package authn calls it for an identity that it keeps.
func (a *Account) KeptUser() any {
	c := a.Clone()
	if a.perms == nil {
		return &c
	}
	if a.perms.scoped {
		c.Roles = a.RolesByScope()
	}
	return c.with(a.perms.store, true, a.perms.scoped)
}

// Itself returns a: a type that embeds a *Account bypasses nothing that it overrides, see
// [Itself].
func (a *Account) Itself() any { return a }

// RolesByScope returns the roles of the account, also if the identity is limited to scopes: Roles is
// nil then. Call it only if a scope that the identity holds is mapped to a role, as authz.ScopeGrants
// does. The caller can modify the list of a limited account.
func (a *Account) RolesByScope() []string {
	if a.perms != nil && a.perms.scoped {
		return slices.Clone(a.perms.roles)
	}
	return a.Roles
}

// errNoPermissions is a mistake of the program.
type errNoPermissions struct{}

func (errNoPermissions) Error() string {
	return "storage: Account.HasPerm: no permission store (use User.WithPermissions)"
}

// StatusCode is 500.
func (errNoPermissions) StatusCode() int { return 500 }

// HasPerm reports whether the account has the permission, itself or through a group. The first
// call reads the store, later ones in the same request do not, unless the store is one that
// keeps permissions itself (package cached). An account that is disabled or limited to scopes
// has none. HasPerm of an account that has not come from WithPermissions is an error; any other
// error means that the store could not tell.
func (a *Account) HasPerm(ctx context.Context, name string) (bool, error) {
	if a.perms != nil && a.perms.scoped {
		return false, nil
	}
	return a.HasPermByScope(ctx, name)
}

// HasPermByScope is HasPerm also of an account that is limited to scopes. Call it only if a scope
// that the identity holds is mapped to the permission, as authz.ScopeGrants does.
func (a *Account) HasPermByScope(ctx context.Context, name string) (bool, error) {
	p := a.perms
	switch {
	case p == nil:
		return false, errNoPermissions{}
	case p.store == nil || !a.Active:
		return false, nil
	case p.checker != nil:
		return p.checker.SubjectHasPermission(ctx, a.ID, name)
	}
	names, err := p.of(ctx, a.ID)
	return err == nil && contains(names, name), err
}

func contains(names []string, name string) bool {
	return slices.Contains(names, name) || slices.Contains(names, "*")
}

// of returns the permissions of an account. Copies of one account share p, and one of them
// may have got another ID since.
func (p *permissions) of(ctx context.Context, id string) ([]string, error) {
	if p.shared {
		return p.store.SubjectPermissions(ctx, id)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.loaded == nil || p.loaded.id != id || id == "" {
		names, err := p.store.SubjectPermissions(ctx, id)
		if err != nil {
			return nil, err
		}
		p.loaded = &loaded{id, names}
	}
	return p.loaded.names, nil
}
