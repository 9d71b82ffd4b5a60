// Command 1 is the first step of the tutorial: a user in memory, a login and one protected route.
//
// Start it:
//
//	go run ./examples/tutorial/1
//
// Then, in another terminal:
//
//	curl -s 127.0.0.1:8080/api/hello
//	# {"detail":"Authentication credentials were not provided."}
//	TOKEN=$(curl -s 127.0.0.1:8080/api/login -d username=alice -d password=wonderland-42 | sed 's/.*"token":"\([^"]*\)".*/\1/')
//	curl -s 127.0.0.1:8080/api/hello -H "Authorization: Knox $TOKEN"
//	# Hello, alice!
//	curl -s 127.0.0.1:8080/api/hello -H "Authorization: Knox wrong"
//	# {"detail":"Invalid token."…}
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/authz"
	"github.com/vestibule-auth/vestibule/schemes/knox"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "address to listen on; port 0 picks one")
	flag.Parse()
	// ctx ends on Ctrl-C and when a service manager stops the program.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *addr); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, addr string) error {
	h, err := newServer(ctx)
	if err != nil {
		return err
	}
	return serve(ctx, addr, h)
}

// #region server

// newServer returns the whole application as a handler, so that a test can use it too.
func newServer(ctx context.Context) (http.Handler, error) {
	db := memory.New(nil)
	hasher, err := password.NewHasher(nil)
	if err != nil {
		return nil, err
	}
	passwords, err := password.New(db, hasher, nil)
	if err != nil {
		return nil, err
	}
	if _, err := passwords.Register(ctx, password.NewUser{Name: "alice", Password: "wonderland-42"}); err != nil {
		return nil, err
	}
	devices, err := knox.New(db, nil)
	if err != nil {
		return nil, err
	}

	mux := authz.NewMux(authn.New(authn.Chain{devices}, nil))
	mux.Public("POST /api/login", devices.Login(passwords))
	mux.HandleFunc("GET /api/hello", hello, authz.IsAuthenticated)
	return mux, nil
}

func hello(w http.ResponseWriter, r *http.Request) {
	user, _ := authn.UserFrom[*storage.Account](r.Context())
	fmt.Fprintf(w, "Hello, %s!\n", user.Name)
}

// #endregion server
