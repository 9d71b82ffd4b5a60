package authz_test

import (
	"net/http/httptest"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authz"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// TestScopeGrantsRoles checks that ScopeGrants reads the account's roles, for a permission that
// requires a role and for one that forbids it: a scope-limited identity has no roles, and that must
// not count as "not banned".
func TestScopeGrantsRoles(t *testing.T) {
	t.Run("attack_287", func(t *testing.T) {
		db := memory.New(nil)
		for role, want := range map[string]struct{ banned, admin authz.Decision }{
			"banned": {authz.Deny, authz.Deny}, "admin": {authz.Allow, authz.Allow}, "other": {authz.Allow, authz.Deny},
		} {
			u := storage.User{ID: role, Name: role, Active: true, Roles: []string{role}}
			full := authn.Identity{Subject: role, Scheme: "x", Roles: u.Roles, User: u.WithPermissions(db)}
			limited := authn.Identity{Subject: role, Scheme: "x", Scopes: []string{"notes"}, User: u.WithScopedPermissions(db)}
			foreign := limited
			foreign.User = foreignUser(role)
			write := authz.ScopeGrants("notes", authz.And(authz.IsAuthenticated, authz.Not(authz.HasRole("banned"))))
			admin := authz.ScopeGrants("notes", authz.IsAdmin)
			for name, c := range map[string]struct {
				id             authn.Identity
				written, ruled authz.Decision
			}{"full rights": {full, want.banned, want.admin}, "by the scope": {limited, want.banned, want.admin}, "an account without RolesByScope": {foreign, authz.Deny, authz.Deny}} {
				a := authz.Access{Request: httptest.NewRequest("GET", "/", nil), Identity: c.id}
				if d, _ := write.Decide(a); d != c.written {
					t.Errorf("%s, %s: Not(HasRole(banned)) is %v, want %v", role, name, d, c.written)
				}
				if d, _ := admin.Decide(a); d != c.ruled {
					t.Errorf("%s, %s: IsAdmin is %v, want %v", role, name, d, c.ruled)
				}
			}
		}
	})
}

// foreignUser is an account without methods for roles.
type foreignUser string

func (u foreignUser) UserID() string { return string(u) }
