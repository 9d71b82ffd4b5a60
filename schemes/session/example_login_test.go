package session_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// Create a session in a handler of your own, and authenticate the next request with its cookie.
// Scheme.Login is a complete login endpoint, and Scheme.LoginForm a page.
func Example() {
	ctx := context.Background()
	db := memory.New(nil)
	if err := db.CreateUser(ctx, storage.User{ID: "u1", Name: "alice", Active: true}); err != nil {
		fmt.Println(err)
		return
	}
	site, err := csrf.New("https://app.example", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	sessions, err := session.New(db, site, nil)
	if err != nil {
		fmt.Println(err)
		return
	}

	w := httptest.NewRecorder()
	r := httptest.NewRequest("POST", "https://app.example/login", nil)
	login := authn.Login{Subject: "u1", Name: "alice"} // from your password checker
	if login.Epoch, err = db.SubjectEpoch(ctx, "u1"); err != nil {
		fmt.Println(err)
		return
	}
	if err := sessions.Start(w, r, login); err != nil {
		fmt.Println(err)
		return
	}

	next := httptest.NewRequest("GET", "https://app.example/", nil)
	for _, c := range w.Result().Cookies() {
		fmt.Println(c.Name, c.HttpOnly, c.Secure, c.SameSite == http.SameSiteLaxMode)
		next.AddCookie(c)
	}
	id, err := sessions.Authenticate(next)
	fmt.Println(id.Subject, id.Scheme, err)
	// Output:
	// __Host-session true true true
	// u1 session <nil>
}

// Keep the whole session in an encrypted cookie. It needs no store and cannot be revoked.
func ExampleNewSealed() {
	ring, err := keys.NewRing(keys.Generate()) // in production, load the key from a file
	if err != nil {
		fmt.Println(err)
		return
	}
	site, err := csrf.New("https://app.example", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	sessions, err := session.NewSealed(ring, site, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = sessions.Authenticate(httptest.NewRequest("GET", "https://app.example/", nil))
	fmt.Println(err)
	// Output: authn: no credentials
}
