// Command purego is a server on SQLite without cgo: gormstore takes any dialector,
// here one in pure Go.
//
//	CGO_ENABLED=0 go run ./examples/purego
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/glebarez/sqlite"
	"gorm.io/gorm"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/login"
	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/authn/throttle"
	"github.com/vestibule-auth/vestibule/authz"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/token"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
)

func main() {
	h, err := server(context.Background(), "purego.sqlite3", keys.Generate())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Fprintln(os.Stderr, "the master key ends with this process; tokens end with it")
	log.Fatal(http.ListenAndServe("127.0.0.1:8080", h))
}

// server is the server over the file at path.
func server(ctx context.Context, path string, master []byte) (http.Handler, error) {
	db, err := gorm.Open(sqlite.Open("file:"+path+"?_pragma=busy_timeout(1800)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)&_txlock=immediate"), gormstore.Config())
	if err != nil {
		return nil, err
	}
	store, err := gormstore.Own(db, nil)
	if err != nil {
		return nil, err
	}
	if err := store.Migrate(ctx); err != nil {
		return nil, err
	}
	ring, err := keys.NewRing(master)
	if err != nil {
		return nil, err
	}
	hasher, err := password.NewHasher(nil)
	if err != nil {
		return nil, err
	}
	passwords, err := password.New(store, hasher, nil)
	if err != nil {
		return nil, err
	}
	tokens, err := token.New(store, ring, nil)
	if err != nil {
		return nil, err
	}
	// Each new account costs a hash and a row.
	limited, err := throttle.Anon(throttle.NewMemory(nil), throttle.Rate{Limit: 10, Window: time.Minute}, nil)
	if err != nil {
		return nil, err
	}
	mux := authz.NewMux(authn.New(authn.Chain{tokens}, nil))
	mux.Public("POST /login", tokens.Login(passwords))
	mux.Public("POST /register", limited(register(passwords, tokens)))
	mux.HandleFunc("GET /me", me, authz.IsAuthenticated)
	return mux, nil
}

// register makes an account, and its token in the same transaction.
func register(passwords *password.Checker, tokens *token.Scheme) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v, err := login.Read(w, r, login.Username, login.Password)
		if err == nil {
			_, err = passwords.Register(r.Context(), password.NewUser{Name: v[0], Password: v[1]}, tokens.IssueOnRegister)
		}
		if err != nil {
			authn.Respond(w, r, err)
			return
		}
		w.WriteHeader(http.StatusCreated)
	}
}

func me(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintln(w, authn.FromContext(r.Context()).Subject)
}
