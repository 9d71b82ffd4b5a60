package token_test

import (
	"context"
	"fmt"
	"net/http/httptest"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/token"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// Create the token of a user, as an administrator's command does, and use it.
func Example() {
	ctx := context.Background()
	db := memory.New(nil)
	if err := db.CreateUser(ctx, storage.User{ID: "u1", Name: "alice", Active: true}); err != nil {
		fmt.Println(err)
		return
	}
	ring, err := keys.NewRing(keys.Generate()) // in production: keys.Load
	if err != nil {
		fmt.Println(err)
		return
	}
	tokens, err := token.New(db, ring, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	epoch, err := tokens.CurrentEpoch(ctx, "u1")
	if err != nil {
		fmt.Println(err)
		return
	}
	text, err := tokens.GetOrCreate(ctx, "u1", epoch)
	if err != nil {
		fmt.Println(err)
		return
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Authorization", "Token "+text)
	id, err := authn.Chain{tokens}.Authenticate(r)
	fmt.Println(id.Subject, id.Scheme, err)

	again, err := tokens.GetOrCreate(ctx, "u1", epoch)
	fmt.Println(again == text, err)
	// Output:
	// u1 token <nil>
	// true <nil>
}
