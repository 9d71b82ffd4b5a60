// Command five has five schemes in one chain, behind one cache: a browser's session, JWTs,
// device tokens, a static token, and Basic. Whatever a client brings, a handler sees the
// same identity. It needs a C compiler for SQLite.
//
// Start it:
//
//	go run ./examples/five
//
// Then, in another terminal:
//
//	curl -s 127.0.0.1:8080/hello -u alice:wonderland-42
//	# Hello, alice, by basic!
//	DEVICE=$(curl -s 127.0.0.1:8080/knox -d username=alice -d password=wonderland-42 | sed 's/.*"token":"\([^"]*\)".*/\1/')
//	curl -s 127.0.0.1:8080/hello -H "Authorization: Knox $DEVICE"
//	# Hello, alice, by knox!
//	ACCESS=$(curl -s 127.0.0.1:8080/jwt -d username=alice -d password=wonderland-42 | sed 's/.*"access":"\([^"]*\)".*/\1/')
//	curl -s 127.0.0.1:8080/hello -H "Authorization: Bearer $ACCESS"
//	# Hello, alice, by jwt!
//	curl -s -c cookies -w '%{http_code}' 127.0.0.1:8080/login -d username=alice -d password=wonderland-42
//	# 303
//	curl -s -b cookies 127.0.0.1:8080/hello
//	# Hello, alice, by session!
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
	addr := flag.String("addr", "127.0.0.1:8080", "address to listen on; port 0 picks one")
	flag.Parse()
	// ctx ends on Ctrl-C and when a service manager stops the program.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ring, _, err := keys.Create("five.key")
	check(err)
	check(serve(ctx, *addr, server(ctx, "five.sqlite3", ring)))
}

func server(ctx context.Context, path string, ring *keys.Ring) http.Handler {
	// #region server
	file := must(sqlite.Open(path, nil))
	version, _, err := file.Schema(ctx)
	check(err)
	check(file.Migrate(ctx))
	db := must(cached.New(file, nil))
	passwords := must(password.New(db, must(password.NewHasher(nil)), nil))
	if version == 0 { // a new database; an account that is deleted later stays deleted
		must(passwords.Register(ctx, password.NewUser{Name: "alice", Password: "wonderland-42"}))
	}

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

func must[T any](v T, err error) T {
	check(err)
	return v
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
