// Command 4 is the fourth step of the tutorial: people log in with a browser, and requests that
// another site's page sends with their cookie are rejected.
//
// Start it:
//
//	go run ./examples/tutorial/4
//
// Open http://127.0.0.1:8080/ in a browser, after you have created a user in another terminal:
//
//	curl -s 127.0.0.1:8080/api/register -d username=alice -d password=wonderland-42
//	# {"username":"alice"}
//	curl -s -o page.html -w '%{http_code} %{redirect_url}' 127.0.0.1:8080/ -H 'Accept: text/html'
//	# 303 http://127.0.0.1:8080/login?next=%2F
//	curl -s -c cookies -w '%{http_code} %{redirect_url}' 127.0.0.1:8080/login -d username=alice -d password=wonderland-42
//	# 303 http://127.0.0.1:8080/
//	curl -s -b cookies -w '%{http_code} %{redirect_url}' 127.0.0.1:8080/notes -d text=milk -H 'Origin: http://127.0.0.1:8080'
//	# 303 http://127.0.0.1:8080/
//	curl -s -b cookies 127.0.0.1:8080/api/notes
//	# [{"id":1,"text":"milk"}]
//	curl -s -b cookies 127.0.0.1:8080/notes -d text=spam -H 'Origin: https://evil.example'
//	# {"detail":"CSRF Failed: …}
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
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/authn/throttle"
	"github.com/vestibule-auth/vestibule/authz"
	"github.com/vestibule-auth/vestibule/schemes/knox"
	"github.com/vestibule-auth/vestibule/schemes/session"
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
	// #region browser
	// Loopback is for work on one machine over plain http. A server that others reach uses
	// csrf.New("https://notes.example", nil).
	browsers, err := session.New(db, csrf.Loopback(), nil)
	if err != nil {
		return nil, err
	}
	// #endregion browser
	// Each registration costs a password hash and a row, so anonymous callers are limited.
	limited, err := throttle.Anon(throttle.NewMemory(nil), throttle.Rate{Limit: 10, Window: time.Minute}, nil)
	if err != nil {
		return nil, err
	}

	api := &api{db: db, passwords: passwords}
	mux := authz.NewMux(authn.New(authn.Chain{browsers, devices}, nil))
	mux.Public("POST /api/register", limited(http.HandlerFunc(api.register)))
	mux.Public("POST /api/login", devices.Login(passwords))
	mux.HandleFunc("GET /api/notes", api.list, authz.IsAuthenticated)
	mux.HandleFunc("POST /api/notes", api.create, authz.IsAuthenticated)
	// #region object
	// Only the owner and administrators pass. For others the note does not exist: the answer is 404.
	mine := authz.Or(authz.OwnedBy(Note.owner), authz.IsAdmin)
	guard := authz.Require(authz.IsAuthenticated, mine).Hide(mine)
	mux.Handle("GET /api/notes/{id}", authz.HandleObject(guard, api.load, api.show))
	mux.Handle("PUT /api/notes/{id}", authz.HandleObject(guard, api.load, api.change))
	mux.Handle("DELETE /api/notes/{id}", authz.HandleObject(guard, api.load, api.remove))
	// #endregion object
	// #region pages
	// Page sends an anonymous visitor to the login page, and back after the login.
	mux.Handle("GET /{$}", authn.Page("/login", http.HandlerFunc(api.page)), authz.IsAuthenticated)
	mux.Handle("POST /notes", authn.Page("/login", http.HandlerFunc(api.createFromPage)), authz.IsAuthenticated)
	mux.Public("/login", browsers.LoginForm(passwords, nil))
	mux.Public("POST /logout", browsers.LogoutForm("/login"))
	// #endregion pages
	return mux, nil
}

// #endregion server
