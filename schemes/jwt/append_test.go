package jwt_test

import (
	"net/http/httptest"
	"testing"

	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
	"github.com/vestibule-auth/vestibule/storage"
)

// Several requests share a verified token. Appending to one of its lists creates a new list.
func TestAppendIsOnesOwn(t *testing.T) {
	w := newWorld(t, jwt.Options{Stateless: true})
	schemetest.Must(t, w.store.CreateUser(t.Context(), storage.User{ID: "id-bob", Name: "bob", Active: true, Roles: []string{"a", "b", "c", "d", "e"}}))
	for _, grant := range []*jwt.Grant{nil, {Scopes: []string{"read", "write", "delete"}}} {
		p, err := w.Issue(t.Context(), "id-bob", 0, grant)
		schemetest.Must(t, err)
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", "Bearer "+p.Access)
		id, err := w.Authenticate(r)
		schemetest.Must(t, err)
		if len(id.Roles)+len(id.Scopes) == 0 {
			t.Error("neither roles nor scopes")
		}
		for name, list := range map[string][]string{"roles": id.Roles, "scopes": id.Scopes, "audience": id.Credential.(*jwt.Access).Audience} {
			if cap(list) != len(list) {
				t.Errorf("%s: %d, room for %d", name, len(list), cap(list))
			}
		}
	}
}
