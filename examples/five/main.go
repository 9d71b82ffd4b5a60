// Command five has five schemes in one chain, behind one cache: a browser's session, JWTs,
// device tokens, a static token, and Basic. Whatever a client brings, a handler sees the
// same identity.
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/authz"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/basic"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
	"github.com/vestibule-auth/vestibule/schemes/knox"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/schemes/token"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/gormstore/sqlite"
)

func main() {
	ring, _, err := keys.Create("five.key")
	check(err)
	log.Fatal(http.ListenAndServe("127.0.0.1:8080", server(context.Background(), "five.sqlite3", ring)))
}

func server(ctx context.Context, path string, ring *keys.Ring) http.Handler {
	// #region server
	file := must(sqlite.Open(path, nil))
	check(file.Migrate(ctx))
	db := must(cached.New(file, nil))
	passwords := must(password.New(db, must(password.NewHasher(nil)), nil))
	passwords.Register(ctx, password.NewUser{Name: "alice", Password: "wonderland-42"})

	const app, api = "https://app.example", "https://app.example/api"
	signing := must(jwt.NewStoredKeys(db, ring, app, nil))
	check(signing.Ensure(ctx))
	browsers := must(session.New(db, csrf.Loopback(), nil)) // a real server: csrf.New(app, nil)
	jwts := must(jwt.New(app, api, signing, db, nil))
	devices := must(knox.New(db, nil))
	tokens := must(token.New(db, ring, nil))
	basics := must(basic.New(must(password.Cached(passwords, nil)), nil))

	mux := authz.NewMux(authn.New(authn.Chain{browsers, jwts, devices, tokens, basics}, nil))
	mux.RequireScopes() // JWTs and device tokens may be limited to scopes: each route says what those may do
	mux.Public("/login", browsers.LoginForm(passwords, nil))
	mux.Public("POST /jwt", jwts.Login(passwords))
	mux.Public("POST /jwt/refresh", jwts.RefreshPair())
	mux.Public("POST /knox", devices.Login(passwords))
	mux.Public("POST /token", tokens.Login(passwords))
	mux.HandleFunc("GET /hello", hello, authz.IsAuthenticated, authz.NoScopeNeeded)
	mux.HandleFunc("GET /admin", hello, authz.IsAdmin)
	// #endregion server
	return mux
}

func hello(w http.ResponseWriter, r *http.Request) {
	user, _ := authn.UserFrom[*storage.Account](r.Context())
	fmt.Fprintf(w, "Hello, %s, by %s!\n", user.Name, authn.FromContext(r.Context()).Scheme)
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
