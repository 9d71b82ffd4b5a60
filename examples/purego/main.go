// Command purego is a server on SQLite without cgo: gormstore takes any dialector,
// here one in pure Go.
//
//	go run ./examples/purego
//	curl -s -w '%{http_code}' 127.0.0.1:8080/register -d username=alice -d password=wonderland-42
//	# 201
//	TOKEN=$(curl -s 127.0.0.1:8080/login -d username=alice -d password=wonderland-42 | sed 's/.*"token":"\([^"]*\)".*/\1/')
//	curl -s -o id.txt -w '%{http_code}' 127.0.0.1:8080/me -H "Authorization: Token $TOKEN"
//	# 200
//
// To prove that it needs no C compiler, start it with CGO_ENABLED=0.
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
	// The master key: the tokens are derived from it. Keep it secret.
	ring, _, err := keys.Create("purego.key")
	if err != nil {
		return err
	}
	h, err := server(ctx, "purego.sqlite3", ring)
	if err != nil {
		return err
	}
	return serve(ctx, addr, h)
}

// server is the server over the file at path.
func server(ctx context.Context, path string, ring *keys.Ring) (http.Handler, error) {
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
