// Command jwt issues access tokens and rotating refresh tokens. It keeps users, logins and signing
// keys in memory, and the master key in the file vestibule.key.
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"time"

	// #region imports
	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/authz"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
	// #endregion imports
)

func main() {
	handler, err := newServer(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{
		Addr: "127.0.0.1:8080", Handler: http.MaxBytesHandler(handler, 1<<20),
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second,
	}
	log.Fatal(server.ListenAndServe())
}

func newServer(ctx context.Context) (http.Handler, error) {
	db := memory.New(nil) // later: sqlite.Open or postgres.Open
	hasher, err := password.NewHasher(nil)
	if err != nil {
		return nil, err
	}
	passwords, err := password.New(db, hasher, nil)
	if err != nil {
		return nil, err
	}
	_, err = passwords.Register(ctx, password.NewUser{Name: "alice", Password: "wonderland-42"})
	if err != nil {
		return nil, err
	}
	ring, _, err := keys.Create("vestibule.key")
	if err != nil {
		return nil, err
	}
	return routes(ctx, db, ring, passwords)
}

// #region routes

func routes(ctx context.Context, db *memory.Store, ring *keys.Ring, passwords authn.PasswordChecker) (*authz.Mux, error) {
	const issuer, audience = "https://app.example", "https://api.example"
	signing, err := jwt.NewStoredKeys(db, ring, issuer, nil) // sealed under the master key
	if err != nil {
		return nil, err
	}
	if err := signing.Ensure(ctx); err != nil { // creates the first key
		return nil, err
	}
	tokens, err := jwt.New(issuer, audience, signing, db, nil)
	if err != nil {
		return nil, err
	}
	mux := authz.NewMux(authn.New(authn.Chain{tokens}, nil))
	mux.Public("POST /jwt/token", tokens.Login(passwords))
	mux.Public("POST /jwt/token/refresh", tokens.RefreshPair())
	mux.Public("POST /jwt/token/verify", tokens.Verify())
	mux.Public("POST /jwt/token/blacklist", tokens.Blocklist()) // logout by refresh token
	mux.Public("POST /jwt/logout", tokens.Logout())             // logout by access token
	mux.Public("GET /.well-known/jwks.json", tokens.JWKS())
	mux.Handle("GET /jwt/logins", tokens.Logins(), authz.FirstParty)
	mux.Handle("DELETE /jwt/logins/{id}", tokens.RevokeLogin(), authz.FirstParty)
	mux.HandleFunc("GET /hello", hello, authz.IsAuthenticated)
	return mux, nil
}

func hello(w http.ResponseWriter, r *http.Request) {
	user, _ := authn.UserFrom[*storage.Account](r.Context())
	fmt.Fprintf(w, "Hello, %s!\n", user.Name)
}

// #endregion routes
