// Command 2 is the second step of the tutorial: accounts and notes in a SQLite file. It needs a C
// compiler for SQLite; examples/purego shows a driver without one.
//
// Start it:
//
//	go run ./examples/tutorial/2
//
// Then, in another terminal:
//
//	curl -s 127.0.0.1:8080/api/register -d username=alice -d password=wonderland-42
//	# {"username":"alice"}
//	TOKEN=$(curl -s 127.0.0.1:8080/api/login -d username=alice -d password=wonderland-42 | sed 's/.*"token":"\([^"]*\)".*/\1/')
//	curl -s 127.0.0.1:8080/api/notes -H "Authorization: Knox $TOKEN" -d text=milk
//	# {"id":1,"text":"milk"}
//	curl -s 127.0.0.1:8080/api/notes -H "Authorization: Knox $TOKEN"
//	# [{"id":1,"text":"milk"}]
package main

import (
	"context"
	"errors"
	"flag"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/authn/throttle"
	"github.com/vestibule-auth/vestibule/authz"
	"github.com/vestibule-auth/vestibule/schemes/knox"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
	"github.com/vestibule-auth/vestibule/storage/gormstore/sqlite"
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

// #region run

func run(ctx context.Context, addr string) (err error) {
	db, err := sqlite.Open("notes.sqlite3", nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := db.Migrate(ctx); err != nil { // creates the tables of Vestibule
		return err
	}
	h, err := newServer(ctx, db)
	if err != nil {
		return err
	}
	return serve(ctx, addr, h)
}

// #endregion run

// #region server

// newServer returns the whole application as a handler, so that a test can use it too.
func newServer(ctx context.Context, db *gormstore.Store) (http.Handler, error) {
	if err := db.DB(ctx).AutoMigrate(&Note{}); err != nil { // creates our own table
		return nil, err
	}
	hasher, err := password.NewHasher(nil)
	if err != nil {
		return nil, err
	}
	passwords, err := password.New(db, hasher, nil)
	if err != nil {
		return nil, err
	}
	devices, err := knox.New(db, nil)
	if err != nil {
		return nil, err
	}
	// Each registration costs a password hash and a row, so anonymous callers are limited.
	limited, err := throttle.Anon(throttle.NewMemory(nil), throttle.Rate{Limit: 10, Window: time.Minute}, nil)
	if err != nil {
		return nil, err
	}

	api := &api{db: db, passwords: passwords}
	mux := authz.NewMux(authn.New(authn.Chain{devices}, nil))
	mux.Public("POST /api/register", limited(http.HandlerFunc(api.register)))
	mux.Public("POST /api/login", devices.Login(passwords))
	mux.HandleFunc("GET /api/notes", api.list, authz.IsAuthenticated)
	mux.HandleFunc("POST /api/notes", api.create, authz.IsAuthenticated)
	return mux, nil
}

// #endregion server
