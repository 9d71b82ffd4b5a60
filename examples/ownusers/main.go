// Command ownusers is a server with a users table of its own, in which people log in with their
// e-mail address. Vestibule reads it, and keeps tokens in tables of its own (vestibule_...). It needs
// a C compiler for SQLite.
//
// Start it:
//
//	go run ./examples/ownusers
//
// Then, in another terminal:
//
//	curl -s 127.0.0.1:8080/register -d "email=Alice.O'Hara@Example.com" -d password=wonderland-42
//	# {"email":"alice.o'hara@example.com","plan":"free"}
//	TOKEN=$(curl -s 127.0.0.1:8080/login -d "email=alice.o'hara@example.com" -d password=wonderland-42 | sed 's/.*"token":"\([^"]*\)".*/\1/')
//	curl -s 127.0.0.1:8080/me -H "Authorization: Knox $TOKEN"
//	# {"email":"alice.o'hara@example.com","plan":"free"}
//	curl -s -X DELETE -w '%{http_code}' 127.0.0.1:8080/me -H "Authorization: Knox $TOKEN"
//	# 204
//	curl -s 127.0.0.1:8080/me -H "Authorization: Knox $TOKEN"
//	# {"detail":"Invalid token."…}
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
	"strings"
	"syscall"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/login"
	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/authn/throttle"
	"github.com/vestibule-auth/vestibule/authn/username"
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

func run(ctx context.Context, addr string) (err error) {
	db, err := open(ctx, "people.sqlite3")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	h, err := newServer(db)
	if err != nil {
		return err
	}
	return serve(ctx, addr, h)
}

// #region table

// Person is a row of our own table.
type Person struct {
	ID           int64  `gorm:"primaryKey;autoIncrement"` // never given to another person
	Email        string `gorm:"uniqueIndex;not null"`
	PasswordHash string `gorm:"not null"`
	Plan         string `gorm:"not null;default:free"`
	Banned       bool   `gorm:"not null;default:false"`
	DeletedAt    *time.Time
}

// UserID makes *Person an authn.User.
func (p *Person) UserID() string { return fmt.Sprint(p.ID) }

// table says where Vestibule finds what it needs.
var table = gormstore.UserTable{
	Table: "people", ID: "id", IDType: "integer", Name: "email", Email: "email",
	Password: "password_hash", Active: "NOT banned AND deleted_at IS NULL",
}

// canonical returns the one form in which an address is stored and compared.
func canonical(address string) (string, error) {
	address, err := username.Email(strings.TrimSpace(address))
	return strings.ToLower(address), err
}

// open opens the database and checks that the table fits: an error names the rows that do not, such
// as two people with one address, or an address that is not canonical.
func open(ctx context.Context, path string) (*gormstore.Store, error) {
	db, err := sqlite.Open(path, &gormstore.Options{Users: &table, Canonical: canonical})
	if err != nil {
		return nil, err
	}
	err = db.DB(ctx).AutoMigrate(&Person{}) // or your own migrations
	if err == nil {
		err = db.Migrate(ctx) // Vestibule's tables
	}
	if err == nil {
		err = db.CheckSchema(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// #endregion table

// #region server

func newServer(db *gormstore.Store) (http.Handler, error) {
	hasher, err := password.NewHasher(nil)
	if err != nil {
		return nil, err
	}
	passwords, err := password.New(db, hasher, &password.Options{Canonical: canonical})
	if err != nil {
		return nil, err
	}
	devices, err := knox.New(db, &knox.Options{
		Login: login.Options{Username: "email"}, // the name of the field
		User:  person(db),                       // handlers get a *Person
	})
	if err != nil {
		return nil, err
	}
	// Each registration costs a password hash and a row.
	limited, err := throttle.Anon(throttle.NewMemory(nil), throttle.Rate{Limit: 10, Window: time.Minute}, nil)
	if err != nil {
		return nil, err
	}
	p := &people{db: db, passwords: passwords}
	mux := authz.NewMux(authn.New(authn.Chain{devices}, nil))
	mux.Public("POST /register", limited(http.HandlerFunc(p.register)))
	mux.Public("POST /login", devices.Login(passwords))
	mux.HandleFunc("GET /me", p.me, authz.IsAuthenticated)
	mux.HandleFunc("DELETE /me", p.remove, authz.FirstParty)
	return mux, nil
}

// #endregion server

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
