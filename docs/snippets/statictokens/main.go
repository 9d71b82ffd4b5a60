// Command statictokens gives each user one token for scripts. It keeps users and tokens in
// memory, and the master key in the file vestibule.key.
package main

import (
	"context"
	"encoding/json"
	"log"
	"net/http"
	"time"

	// #region imports
	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/authz"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/token"
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

// #region server

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
	ring, _, err := keys.Create("vestibule.key") // tokens are derived from this master key
	if err != nil {
		return nil, err
	}
	tokens, err := token.New(db, ring, nil)
	if err != nil {
		return nil, err
	}
	mux := authz.NewMux(authn.New(authn.Chain{tokens}, nil))
	mux.Public("POST /login", tokens.Login(passwords))
	mux.Public("POST /logout", tokens.Logout())
	mux.HandleFunc("GET /profile", profile, authz.IsAuthenticated)
	return mux, nil
}

func profile(w http.ResponseWriter, r *http.Request) {
	user, _ := authn.UserFrom[*storage.Account](r.Context())
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]string{"username": user.Name})
}

// #endregion server
