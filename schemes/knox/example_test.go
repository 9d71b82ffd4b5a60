package knox_test

import (
	"context"
	"fmt"
	"net/http"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/schemes/knox"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// Create a token for a backup job that may only read notes.
func Example() {
	ctx := context.Background()
	db := memory.New(nil)
	_ = db.CreateUser(ctx, storage.User{ID: "u1", Name: "alice", Active: true, Roles: []string{"admin"}})
	tokens, err := knox.New(db, &knox.Options{Limit: 5, EvictOldest: true})
	if err != nil {
		panic(err)
	}
	epoch, _ := tokens.CurrentEpoch(ctx, "u1")
	text, _, err := tokens.Issue(ctx, "u1", epoch, knox.Token{Name: "backup", TTL: knox.NoExpiry, Scopes: []string{"notes:read"}})
	if err != nil {
		panic(err)
	}
	r, _ := http.NewRequest("GET", "/", nil)
	r.Header.Set("Authorization", "Knox "+text)
	id, err := authn.Chain{tokens}.Authenticate(r)
	fmt.Println(id.Subject, id.Scheme, id.Scopes, id.Roles, id.Expires.IsZero(), err)
	// Output: u1 knox [notes:read] [] true <nil>
}
