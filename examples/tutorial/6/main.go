// Command 6 is the last step of the tutorial: the settings that a server on the internet requires.
//
// Start it on this machine, without TLS:
//
//	go run ./examples/tutorial/6
//
// Then, in another terminal:
//
//	curl -s 127.0.0.1:8080/healthz
//	# {"status":"ok"}
//	curl -s 127.0.0.1:8080/api/register -d username=alice -d password=wonderland-42
//	# {"username":"alice"}
//	curl -s 127.0.0.1:8080/api/notes
//	# {"detail":"Authentication credentials were not provided."}
//
// In production it is behind a proxy that terminates TLS, and has the flags -db, -key, -origin and
// -proxies.
package main

import (
	"context"
	"errors"
	"flag"
	"log"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/authn/throttle"
	"github.com/vestibule-auth/vestibule/authz"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/observe/health"
	"github.com/vestibule-auth/vestibule/schemes/knox"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
	"github.com/vestibule-auth/vestibule/storage/gormstore/byurl"
)

// #region flags

type config struct {
	addr, db, key, origin string
	proxies               []string
}

func main() {
	var c config
	flag.StringVar(&c.addr, "addr", "127.0.0.1:8080", "address to listen on; port 0 picks one")
	flag.StringVar(&c.db, "db", "sqlite:notes.sqlite3", "sqlite:PATH or postgres://…")
	flag.StringVar(&c.key, "key", "notes.key", "file with the master key; created on first use unless -origin is set")
	flag.StringVar(&c.origin, "origin", "", "public address, such as https://notes.example (default: this machine only, plain http)")
	proxies := flag.String("proxies", "", "addresses or networks of trusted proxies, comma-separated")
	flag.Parse()
	if *proxies != "" {
		c.proxies = strings.Split(*proxies, ",")
	}
	// ctx ends on Ctrl-C and when a service manager stops the program.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, c); err != nil {
		log.Fatal(err)
	}
}

// #endregion flags

// #region run

func run(ctx context.Context, c config) (err error) {
	ring, err := masterKey(c)
	if err != nil {
		return err
	}
	db, err := byurl.Open(c.db, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := db.Migrate(ctx); err != nil {
		return err
	}
	h, err := newServer(ctx, c, db, ring)
	if err != nil {
		return err
	}
	pruned := make(chan struct{})
	ctx, stop := context.WithCancel(ctx)
	go func() {
		defer close(pruned)
		prune(ctx, db)
	}()
	defer func() { stop(); <-pruned }() // before the database is closed
	return serve(ctx, c.addr, h)
}

// masterKey loads the key. In production a missing key is an error: a new one would invalidate
// what was issued under the old one.
func masterKey(c config) (*keys.Ring, error) {
	if c.origin != "" {
		return keys.Load(c.key)
	}
	ring, _, err := keys.Create(c.key)
	return ring, err
}

// prune deletes expired tokens and sessions once an hour, until ctx ends.
func prune(ctx context.Context, db *gormstore.Store) {
	hourly := time.NewTicker(time.Hour)
	defer hourly.Stop()
	for {
		if _, err := storage.PruneAll(ctx, time.Now(), db); err != nil && ctx.Err() == nil {
			slog.Warn("pruning failed", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-hourly.C:
		}
	}
}

// #endregion run

// #region server

// newServer returns the whole application as a handler, so that a test can use it too.
func newServer(ctx context.Context, c config, db *gormstore.Store, ring *keys.Ring) (http.Handler, error) {
	if err := db.DB(ctx).AutoMigrate(&Note{}); err != nil { // creates our own table
		return nil, err
	}
	// #region origin
	// Addresses and https are believed from these proxies only.
	proxies, err := authn.NewTrustedProxies(c.proxies...)
	if err != nil {
		return nil, err
	}
	local := c.origin == ""
	site := csrf.Loopback()
	if !local {
		if site, err = csrf.New(c.origin, &csrf.Options{Proxies: proxies}); err != nil {
			return nil, err
		}
	}
	// Credentials that arrive without TLS are rejected.
	secure := authn.RequireTLS(&authn.TLSOptions{Proxies: proxies, AllowLoopback: local})
	// #endregion origin
	// #region limits
	// Wrong passwords are limited by account and address. The device cookie of an earlier login lets
	// the owner log in while strangers use up the account's limit.
	_, nameKey := ring.Newest(keys.ThrottleNames)
	_, deviceKey := ring.Newest(keys.DeviceCookie)
	counters := throttle.NewMemory(nil)
	logins, err := throttle.NewLogin(counters, &throttle.LoginOptions{
		NameKey: nameKey[:], DeviceKey: deviceKey[:],
		Proxies: proxies, PlainHTTP: local,
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
	writes, err := throttle.User(counters, throttle.Rate{Limit: 60, Window: time.Minute}, &throttle.Options{Proxies: proxies})
	if err != nil {
		return nil, err
	}
	// #endregion limits
	hasher, err := password.NewHasher(nil)
	if err != nil {
		return nil, err
	}
	passwords, err := password.New(db, hasher, &password.Options{Limiter: logins, Proxies: proxies})
	if err != nil {
		return nil, err
	}
	devices, err := knox.New(db, nil)
	if err != nil {
		return nil, err
	}
	// #region browser
	browsers, err := session.New(db, site, &session.Options{Proxies: proxies})
	if err != nil {
		return nil, err
	}
	// #endregion browser
	// Each registration costs a password hash and a row, so anonymous callers are limited.
	limited, err := throttle.Anon(counters, throttle.Rate{Limit: 10, Window: time.Minute}, &throttle.Options{Proxies: proxies})
	if err != nil {
		return nil, err
	}

	api := &api{db: db, passwords: passwords}
	mux := authz.NewMux(authn.New(authn.Chain{browsers, devices}, &authn.Options{Refusals: refusals, Proxies: proxies}))
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
	// #region health
	mux.Public("GET /healthz", health.Live(health.Checks{Store: db.Ping}))
	// #endregion health
	return secure(mux), nil
}

// #endregion server
