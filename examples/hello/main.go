// Command hello is the shortest server: log in, get a token, call an endpoint.
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/authz"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/token"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore/sqlite"
)

func main() {
	ctx := context.Background()
	db := must(sqlite.Open("hello.sqlite3", nil))
	version, _, err := db.Schema(ctx)
	check(err)
	check(db.Migrate(ctx))
	ring, _, err := keys.Create("hello.key")
	check(err)

	passwords := must(password.New(db, must(password.NewHasher(nil)), nil))
	if version == 0 { // a new database; an account that is deleted later stays deleted
		must(passwords.Register(ctx, password.NewUser{Name: "alice", Password: "wonderland-42"}))
	}
	tokens := must(token.New(db, ring, nil))

	mux := authz.NewMux(authn.New(authn.Chain{tokens}, nil))
	mux.Public("POST /login", tokens.Login(passwords))
	mux.HandleFunc("GET /hello", func(w http.ResponseWriter, r *http.Request) {
		user, _ := authn.UserFrom[*storage.Account](r.Context())
		fmt.Fprintf(w, "Hello, %s!\n", user.Name)
	}, authz.IsAuthenticated)
	log.Fatal(http.ListenAndServe("127.0.0.1:8080", mux))
}

func must[T any](v T, err error) T {
	check(err)
	return v
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
