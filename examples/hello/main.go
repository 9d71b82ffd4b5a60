// Command hello is the shortest server: log in, get a token, call an endpoint.
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"

	// #region imports
	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/authz"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/token"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore/sqlite"
	// #endregion imports
)

func main() {
	// #region main
	ctx := context.Background()
	db := must(sqlite.Open("hello.sqlite3", nil))
	check(db.Migrate(ctx))
	ring, _, err := keys.Create("hello.key")
	check(err)

	passwords := must(password.New(db, must(password.NewHasher(nil)), nil))
	passwords.Register(ctx, password.NewUser{Name: "alice", Password: "wonderland-42"}) // refused where she exists
	tokens := must(token.New(db, ring, nil))

	mux := authz.NewMux(authn.New(authn.Chain{tokens}, nil))
	mux.Public("POST /login", tokens.Login(passwords))
	mux.HandleFunc("GET /hello", func(w http.ResponseWriter, r *http.Request) {
		user, _ := authn.UserFrom[*storage.Account](r.Context())
		fmt.Fprintf(w, "Hello, %s!\n", user.Name)
	}, authz.IsAuthenticated)
	log.Fatal(http.ListenAndServe("127.0.0.1:8080", mux))
	// #endregion main
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
