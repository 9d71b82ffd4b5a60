package authn_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/storage"
)

// An application's scheme can return identities from its own table. Changes that a handler makes to
// its identity affect neither this table nor the guards.
func Test_edge_A10_table(t *testing.T) {
	for _, size := range []int{1, 9} { // with and without room in the request
		staff := make([]string, size, size+8)
		scopes := make([]string, size, size+8)
		for i := range size {
			staff[i], scopes[i] = fmt.Sprint("staff", i), fmt.Sprint("scope", i)
		}
		table := map[string]authn.Identity{
			"a": {Subject: "1", Scheme: "key", Roles: staff, Scopes: scopes, User: storage.User{ID: "1", Name: "ann", Roles: staff}.WithPermissions(nil)},
			"b": {Subject: "2", Scheme: "key", Roles: staff, Scopes: scopes},
		}
		chain := authn.Func(func(r *http.Request) (authn.Identity, error) { return table[r.Header.Get("X-Api-Key")], nil })
		edit := func(ctx context.Context) {
			for range 2 { // the first one gets the room
				id := authn.FromContext(ctx)
				id.Roles[0], id.Scopes[0] = "admin", "all"
				_, _ = append(id.Roles, "admin"), append(id.Scopes, "all")
			}
			if u, ok := authn.UserFrom[*storage.Account](ctx); ok {
				u.ID, u.Name, u.Roles[0] = "2", "root", "admin"
				if again, _ := authn.UserFrom[*storage.Account](ctx); again != u {
					t.Error("two accounts in one request")
				}
			}
		}
		look := func(ctx context.Context) {
			id := authn.Peek(ctx)
			if id.Roles[0] != "staff0" || id.Scopes[0] != "scope0" || len(staff[:size+1][size]) > 0 || len(scopes[:size+1][size]) > 0 {
				t.Errorf("%d: %v %v of %v %v", size, id.Roles, id.Scopes, staff[:size+1], scopes[:size+1])
			}
			if u, ok := id.User.(*storage.Account); ok && (u.ID != "1" || u.Name != "ann" || u.Roles[0] != "staff0") {
				t.Errorf("%d: %+v", size, u)
			}
		}
		h := authn.New(chain, nil).Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			look(r.Context())
			edit(r.Context())
			look(r.Context())
		}))
		for _, key := range []string{"a", "b", "a"} {
			ask(h, "GET", "/", "X-Api-Key: "+key)
			ctx := authn.WithIdentity(context.Background(), table[key])
			edit(ctx)
			look(ctx)
		}
	}
}
