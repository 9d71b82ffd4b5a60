// Command hello is the smallest complete server: it creates a user in memory, exchanges the
// password for a device token, and greets the owner of the token. It needs neither a database nor
// a C compiler. All users and tokens are lost when it stops.
//
// Start it:
//
//	go run ./examples/hello
//
// Then, in another terminal:
//
//	curl -s 127.0.0.1:8080/hello
//	# {"detail":"Authentication credentials were not provided."}
//	TOKEN=$(curl -s 127.0.0.1:8080/login -d username=alice -d password=wonderland-42 | sed 's/.*"token":"\([^"]*\)".*/\1/')
//	curl -s 127.0.0.1:8080/hello -H "Authorization: Knox $TOKEN"
//	# Hello, alice!
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	// #region imports
	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/authz"
	"github.com/vestibule-auth/vestibule/schemes/knox"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
	// #endregion imports
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "address to listen on; port 0 picks one")
	flag.Parse()
	// ctx ends on Ctrl-C and when a service manager stops the program.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	// #region app
	db := memory.New(nil) // later: sqlite.Open or postgres.Open
	passwords := must(password.New(db, must(password.NewHasher(nil)), nil))
	must(passwords.Register(ctx, password.NewUser{Name: "alice", Password: "wonderland-42"}))
	devices := must(knox.New(db, nil))

	mux := authz.NewMux(authn.New(authn.Chain{devices}, nil))
	mux.Public("POST /login", devices.Login(passwords))
	mux.HandleFunc("GET /hello", func(w http.ResponseWriter, r *http.Request) {
		user, _ := authn.UserFrom[*storage.Account](r.Context())
		fmt.Fprintf(w, "Hello, %s!\n", user.Name)
	}, authz.IsAuthenticated)
	check(serve(ctx, *addr, mux))
	// #endregion app
}

// #region serve

// serve answers requests on addr until ctx ends. Requests that are running then have ten seconds
// to finish.
func serve(ctx context.Context, addr string, h http.Handler) error {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler:           http.MaxBytesHandler(h, 1<<20), // no request of this program needs a larger body
		ReadHeaderTimeout: 5 * time.Second,                // a client that sends slowly cannot hold a connection
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	fmt.Println("listening on http://" + listener.Addr().String())
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	finish, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return errors.Join(server.Shutdown(finish), ignoreClosed(<-failed))
}

// ignoreClosed drops the error that every server returns after Shutdown.
func ignoreClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// #endregion serve

// must returns v, or stops the program with the error.
func must[T any](v T, err error) T {
	check(err)
	return v
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
