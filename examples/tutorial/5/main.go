// Command 5 is the fifth step of the tutorial: users see and revoke their devices and log out
// everywhere, and limits stop password guessing and floods.
//
// Start it:
//
//	go run ./examples/tutorial/5
//
// Then, in another terminal:
//
//	curl -s 127.0.0.1:8080/api/register -d username=alice -d password=wonderland-42
//	# {"username":"alice"}
//	PHONE=$(curl -s 127.0.0.1:8080/api/login -d username=alice -d password=wonderland-42 -d name=phone | sed 's/.*"token":"\([^"]*\)".*/\1/')
//	LAPTOP=$(curl -s 127.0.0.1:8080/api/login -d username=alice -d password=wonderland-42 -d name=laptop | sed 's/.*"token":"\([^"]*\)".*/\1/')
//	curl -s 127.0.0.1:8080/api/devices -H "Authorization: Knox $LAPTOP"
//	# [{…"name":"laptop"…,"current":true},{…"name":"phone"…,"current":false}]
//	curl -s -X POST -w '%{http_code}' 127.0.0.1:8080/api/logout-everywhere -H "Authorization: Knox $LAPTOP"
//	# 204
//	curl -s 127.0.0.1:8080/api/devices -H "Authorization: Knox $PHONE"
//	# {"detail":"Invalid token."…}
//	for i in $(seq 20); do curl -s -o answer.json -w '%{http_code} ' 127.0.0.1:8080/api/login -d username=bob -d password=guess; done
//	# 401 401 401 401 401 …429
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
	"github.com/vestibule-auth/vestibule/keys"
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
	// The master key: other keys are derived from it. Keep it secret, and out of the repository.
	ring, _, err := keys.Create("notes.key")
	if err != nil {
		return err
	}
	h, err := newServer(ctx, db, ring)
	if err != nil {
		return err
	}
	return serve(ctx, addr, h)
}

// #endregion run

// #region server

// newServer returns the whole application as a handler, so that a test can use it too.
func newServer(ctx context.Context, db *gormstore.Store, ring *keys.Ring) (http.Handler, error) {
	if err := db.DB(ctx).AutoMigrate(&Note{}); err != nil { // creates our own table
		return nil, err
	}
	// #region limits
	// Wrong passwords are limited by account and address. The device cookie of an earlier login lets
	// the owner log in while strangers use up the account's limit.
	_, nameKey := ring.Newest(keys.ThrottleNames)
	_, deviceKey := ring.Newest(keys.DeviceCookie)
	counters := throttle.NewMemory(nil)
	logins, err := throttle.NewLogin(counters, &throttle.LoginOptions{
		NameKey: nameKey[:], DeviceKey: deviceKey[:],
		PlainHTTP: true, // on this machine only; see the next step
	})
	if err != nil {
		return nil, err
	}
	// Invalid tokens are limited by address.
	refusals, err := throttle.NewRefusals(nil)
	if err != nil {
		return nil, err
	}
	// A user can create 60 notes in a minute.
	writes, err := throttle.User(counters, throttle.Rate{Limit: 60, Window: time.Minute}, nil)
	if err != nil {
		return nil, err
	}
	// #endregion limits
	hasher, err := password.NewHasher(nil)
	if err != nil {
		return nil, err
	}
	passwords, err := password.New(db, hasher, &password.Options{Limiter: logins})
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
	limited, err := throttle.Anon(counters, throttle.Rate{Limit: 10, Window: time.Minute}, nil)
	if err != nil {
		return nil, err
	}

	api := &api{db: db, passwords: passwords}
	mux := authz.NewMux(authn.New(authn.Chain{browsers, devices}, &authn.Options{Refusals: refusals}))
	mux.Public("POST /api/register", limited(http.HandlerFunc(api.register)))
	mux.Public("POST /api/login", devices.Login(passwords))
	mux.HandleFunc("GET /api/notes", api.list, authz.IsAuthenticated)
	mux.Handle("POST /api/notes", writes(http.HandlerFunc(api.create)), authz.IsAuthenticated)
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
	mux.Handle("POST /notes", authn.Page("/login", writes(http.HandlerFunc(api.createFromPage))), authz.IsAuthenticated)
	mux.Public("/login", browsers.LoginForm(passwords, nil))
	mux.Public("POST /logout", browsers.LogoutForm("/login"))
	// #endregion pages
	// #region devices
	// FirstParty rejects tokens that are limited to scopes: they must not manage the account.
	mux.Handle("GET /api/devices", devices.Tokens(), authz.FirstParty)
	mux.Handle("DELETE /api/devices/{id}", devices.RevokeOne(), authz.FirstParty)
	mux.Handle("GET /api/sessions", browsers.List(), authz.FirstParty)
	mux.Handle("DELETE /api/sessions/{id}", browsers.End(), authz.FirstParty)
	mux.Public("POST /api/logout", devices.Logout())
	mux.HandleFunc("POST /api/logout-everywhere", api.logoutEverywhere, authz.FirstParty)
	// #endregion devices
	return mux, nil
}

// #endregion server
