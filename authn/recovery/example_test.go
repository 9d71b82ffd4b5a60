package recovery_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"

	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/authn/recovery"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// Request a link, receive the message, and set a new password.
func Example() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	db := memory.New(nil)
	hasher, err := password.NewHasher(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	passwords, err := password.New(db, hasher, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = passwords.Register(ctx, password.NewUser{Name: "alice", Password: "down-the-rabbit-hole"})
	if err != nil {
		fmt.Println(err)
		return
	}

	messages := make(chan recovery.Message, 1)
	deliver := func(_ context.Context, m recovery.Message) error { // in production: send an e-mail
		messages <- m
		return nil
	}
	links, err := recovery.New(db, passwords, "https://app.example/reset", db.UserByName, deliver, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	go func() { _ = links.Run(ctx) }()

	r := httptest.NewRequest("POST", "/reset/request", strings.NewReader(`{"address":"alice"}`))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	links.Request().ServeHTTP(w, r)
	fmt.Println(w.Code)

	m := <-messages
	fmt.Println(strings.HasPrefix(m.Link, "https://app.example/reset#token=vpr_"))
	fmt.Println(links.ResetPassword(ctx, m.Token, "through-the-looking-glass"))
	// Output:
	// 200
	// true
	// <nil>
}
