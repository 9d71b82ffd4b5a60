package storage

import (
	"context"
	"slices"
	"sync"
)

// Account is the account of an identity: the stored record plus access to its permissions. Create
// one with [User.WithPermissions] or [User.WithScopedPermissions]. The schemes of this library put
// a *Account into Identity.User. *Account implements authn.User.
type Account struct {
	User
	perms *permissions
}

// roomForRoles is the number of roles that CloneUser copies without a second allocation.
const roomForRoles = 4

// permissions is what HasPerm reads. If the account belongs to one request, the names are loaded on
// first use and kept as long as the Account.
type permissions struct {
	store   Permissions
	checker PermissionChecker // store, if the account is shared and store implements it
	shared  bool              // several requests share the account, so names are not kept
	scoped  bool              // HasPerm returns false; HasPermByScope reads the store
	mu      sync.Mutex
	loaded  *loaded  // nil until first use
	roles   []string // the roles of a scoped account, whose Roles are nil
}

// loaded holds the names of an account's permissions.
type loaded struct {
	id    string // the subject
	names []string
}

// WithPermissions returns an account whose HasPerm reads p. If p is nil, the account has no
// permissions. Call it for every account that you put into an Identity yourself, in your own scheme
// or in a test; the schemes of this library call it for you. It allocates once.
//
// If the account has a [Lease], HasPerm reads p at each call.
func (u User) WithPermissions(p Permissions) *Account {
	return u.with(p, u.lease != nil, false)
}

// WithScopedPermissions is [User.WithPermissions] for an identity that is limited to scopes.
// HasPerm of the account returns false and its Roles are nil, so that a handler cannot grant rights
// because of them. To map scopes to permissions and roles (authz.ScopeGrants), use HasPermByScope
// and RolesByScope.
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

// UserID returns [User.LocalID].
func (a *Account) UserID() string { return a.LocalID() }

// Clone returns a copy of the account that shares no slice with it. The copy has the same
// permissions.
func (a Account) Clone() Account {
	a.User = a.User.Clone()
	return a
}

// CloneUser returns a *Account that shares no slice with the original. Package authn calls it so
// that a handler can modify the account of its request; see authn.UserFrom.
func (a *Account) CloneUser() any {
	if len(a.Roles) == 0 || len(a.Roles) > roomForRoles {
		c := a.Clone()
		return &c
	}
	l := &struct {
		account Account
		roles   [roomForRoles]string
	}{account: *a}
	n := copy(l.roles[:], a.Roles)
	l.account.Roles = l.roles[:n:n]
	return &l.account
}

// KeptUser returns a *Account that shares no slice with the original and can serve several
// requests: HasPerm reads the store at each call. Package authn calls it for an identity that it
// keeps.
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

// Itself returns a. Callers use it to find out whether a type embeds *Account. If so, they do not
// call the optional methods of the embedded account, because these would bypass the methods that
// the type overrides; see [Itself].
func (a *Account) Itself() any { return a }

// RolesByScope returns the roles of the account, even if the identity is limited to scopes (Roles
// is nil then). Call it only if a scope of the identity is mapped to a role, as authz.ScopeGrants
// does. For an account limited to scopes, the caller can modify the list.
func (a *Account) RolesByScope() []string {
	if a.perms != nil && a.perms.scoped {
		return slices.Clone(a.perms.roles)
	}
	return a.Roles
}

// errNoPermissions reports an error in the program, so it is a 500.
type errNoPermissions struct{}

func (errNoPermissions) Error() string {
	return "storage: Account.HasPerm: no permission store (use User.WithPermissions)"
}

// StatusCode returns 500.
func (errNoPermissions) StatusCode() int { return 500 }

// HasPerm reports whether the account has the permission, directly or through a group. An account
// that is disabled or limited to scopes has no permissions.
//
// The first call reads the store; later calls in the same request do not, unless the account has a
// [Lease]. HasPerm returns an error with status 500 if the account was not created by
// [User.WithPermissions]. Any other error means that the store failed.
func (a *Account) HasPerm(ctx context.Context, name string) (bool, error) {
	if a.perms != nil && a.perms.scoped {
		return false, nil
	}
	return a.HasPermByScope(ctx, name)
}

// HasPermByScope is like [Account.HasPerm], but also works for an account that is limited to
// scopes. Call it only if a scope of the identity is mapped to the permission, as authz.ScopeGrants
// does.
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
	names, err := p.namesFor(ctx, a.ID)
	return err == nil && contains(names, name), err
}

func contains(names []string, name string) bool {
	return slices.Contains(names, name) || slices.Contains(names, "*")
}

// namesFor returns the permissions of an account. Copies of one account share p, and the ID of a
// copy may have changed, so the ID is compared.
func (p *permissions) namesFor(ctx context.Context, id string) ([]string, error) {
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
