package cookie_test

import (
	"context"
	"fmt"
	"net/http/httptest"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/cookie"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/schemes/knox"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// Programs send a device token in Authorization, and web pages in a cookie.
func Example() {
	ctx := context.Background()
	db := memory.New(nil)
	if err := db.CreateUser(ctx, storage.User{ID: "u1", Name: "alice", Active: true}); err != nil {
		fmt.Println(err)
		return
	}
	tokens, err := knox.New(db, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	site, err := csrf.New("https://app.example", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	pages, err := cookie.New("access", site, tokens, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	chain := authn.Chain{tokens, pages}

	epoch, err := tokens.CurrentEpoch(ctx, "u1")
	if err != nil {
		fmt.Println(err)
		return
	}
	text, _, err := tokens.Issue(ctx, "u1", epoch, knox.Token{Name: "browser"})
	if err != nil {
		fmt.Println(err)
		return
	}
	r := httptest.NewRequest("GET", "https://app.example/", nil)
	r.AddCookie(pages.Cookie(text, 3600)) // a login endpoint sets it on the response
	id, err := chain.Authenticate(r)
	fmt.Println(id.Subject, id.Scheme, err)
	// Output: u1 cookie <nil>
}
