// Command token gives each user one static token, over SQLite or PostgreSQL. It needs a C compiler
// for SQLite.
//
//	POST /api/auth-token {"username", "password"} → {"token"}
//	GET  /api/profile    → {"username", "email"}
//	POST /api/logout     → 204
//
// Start it; without -db it uses a new SQLite file that it removes at the end:
//
//	go run ./examples/token
//
// Then, in another terminal:
//
//	TOKEN=$(curl -s 127.0.0.1:8080/api/auth-token -d username=alice -d password=wonderland-42 | sed 's/.*"token":"\([^"]*\)".*/\1/')
//	curl -s 127.0.0.1:8080/api/profile -H "Authorization: Token $TOKEN"
//	# {"email":"alice@example.com","username":"alice"}
//	curl -s -X POST -w '%{http_code}' 127.0.0.1:8080/api/logout -H "Authorization: Token $TOKEN"
//	# 204
//	curl -s 127.0.0.1:8080/api/profile -H "Authorization: Token $TOKEN"
//	# {"detail":"Invalid token."…}
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/authn/throttle"
	"github.com/vestibule-auth/vestibule/authn/username"
	"github.com/vestibule-auth/vestibule/authz"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/observe/health"
	"github.com/vestibule-auth/vestibule/schemes/token"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
	"github.com/vestibule-auth/vestibule/storage/gormstore/byurl"
)

func main() {
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, nil)))
	var f flags
	f.register(flag.CommandLine)
	flag.Parse()
	if err := f.check(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2) // as package flag does
	}
	// ctx ends on Ctrl-C and when a service manager stops the program.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, f); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, f flags) (err error) {
	if f.db == "" {
		dir, err := os.MkdirTemp("", "token-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		f.db = "sqlite:" + filepath.Join(dir, "token.sqlite3")
	}
	ring, err := f.ring()
	if err != nil {
		return err
	}
	db, isNew, err := open(ctx, f.db)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	hasher, err := password.NewHasher(nil)
	if err != nil {
		return err
	}
	passwords, err := checker(db, ring, hasher, f)
	if err != nil {
		return err
	}
	if err := addUsers(ctx, db, passwords, f, isNew); err != nil {
		return err
	}
	h, err := server(db, ring, passwords, f)
	if err != nil {
		return err
	}
	return serve(ctx, f.addr, h)
}

// open opens and migrates the database. isNew reports that nobody has used it before.
func open(ctx context.Context, url string) (db *gormstore.Store, isNew bool, err error) {
	db, err = byurl.Open(url, nil)
	if err != nil {
		return nil, false, err
	}
	version, _, err := db.Schema(ctx)
	if err == nil {
		err = db.Migrate(ctx)
	}
	if err != nil {
		return nil, false, errors.Join(err, db.Close())
	}
	return db, version == 0, nil
}

// checker returns the check of passwords, with limits that stop guessing.
func checker(db *gormstore.Store, ring *keys.Ring, hasher *password.Hasher, f flags) (*password.Checker, error) {
	opts := password.Options{
		Canonical: username.Canonical, FailureFloor: f.failureFloor,
		MinLength: 1, InsecureAllowCommon: true, // -user may set any password
	}
	rate, err := f.rate()
	if err != nil {
		return nil, err
	}
	if rate.IsOff() {
		slog.Warn("login limits are off", "flag", "-login-rate")
		opts.InsecureNoLimiter = true
		return password.New(db, hasher, &opts)
	}
	// The rate is for strangers at one address and one account; the other limits keep their proportion.
	limits := throttle.DefaultLoginLimits().Scale(rate.Limit, throttle.DefaultLoginLimits().AccountPlace[0].Limit)
	_, names := ring.Newest(keys.ThrottleNames)
	_, device := ring.Newest(keys.DeviceCookie)
	opts.Limiter, err = throttle.NewLogin(throttle.NewMemory(nil), &throttle.LoginOptions{
		Limits: &limits, NameKey: names[:], DeviceKey: device[:], PlainHTTP: f.onLoopback(),
	})
	if err != nil {
		return nil, err
	}
	return password.New(db, hasher, &opts)
}

func server(db *gormstore.Store, ring *keys.Ring, passwords *password.Checker, f flags) (http.Handler, error) {
	tokens, err := token.New(db, ring, nil)
	if err != nil {
		return nil, err
	}
	var opts authn.Options
	if rate, err := f.rate(); err != nil {
		return nil, err
	} else if !rate.IsOff() { // invalid tokens are limited by address
		if opts.Refusals, err = throttle.NewRefusals(nil); err != nil {
			return nil, err
		}
	}
	mux := authz.NewMux(authn.New(authn.Chain{tokens}, &opts))
	mux.Public("POST /api/auth-token", tokens.Login(passwords))
	mux.Public("POST /api/logout", tokens.Logout())
	mux.Public("GET /healthz", health.Live(health.Checks{Store: db.Ping}))
	mux.HandleFunc("GET /api/profile", profile, authz.IsAuthenticated)
	return withoutSlash(mux), nil
}

func profile(w http.ResponseWriter, r *http.Request) {
	user, _ := authn.UserFrom[*storage.Account](r.Context())
	writeJSON(w, map[string]string{"username": user.Name, "email": user.Email})
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		slog.Debug("response not sent", "error", err) // the client has gone
	}
}

// withoutSlash serves a path that ends with one slash like the path without it.
func withoutSlash(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p := r.URL.EscapedPath(); len(p) > 1 && strings.HasSuffix(p, "/") && !strings.HasSuffix(p, "//") {
			u, c := *r.URL, *r
			u.Path, u.RawPath = strings.TrimSuffix(u.Path, "/"), strings.TrimSuffix(u.RawPath, "/")
			c.URL = &u
			r = &c
		}
		h.ServeHTTP(w, r)
	})
}
