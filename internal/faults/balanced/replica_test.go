//go:build linux

package balanced_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/authz"
	"github.com/vestibule-auth/vestibule/internal/passwordtest"
	"github.com/vestibule-auth/vestibule/internal/redistest"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/gormstore/postgres"
	"github.com/vestibule-auth/vestibule/storage/redisstore"
)

// The environment of a replica, which is this test program again.
const (
	replicaAddr = "BALANCED_ADDR"
	replicaDB   = "BALANCED_DB"
	replicaURL  = "BALANCED_REDIS"
)

func TestMain(m *testing.M) {
	redistest.Quiet()
	if addr := os.Getenv(replicaAddr); addr != "" {
		if err := replica(context.Background(), addr); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

const origin = "https://app.example"

// replica serves until it is killed.
func replica(ctx context.Context, addr string) error {
	slog.SetLogLoggerLevel(slog.LevelError) // a session that was logged out is rejected on purpose
	db, err := postgres.Open(os.Getenv(replicaDB), nil)
	if err != nil {
		return err
	}
	courier, err := postgres.NewNotify(ctx, db, nil)
	if err != nil {
		return err
	}
	store, err := cached.New(db, &cached.Options{Courier: courier})
	if err != nil {
		return err
	}
	go func() {
		if err := store.Run(ctx); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}()
	h, err := application(store)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	return http.Serve(l, h)
}

// application has logins, session data that consists of several values, and nothing in memory.
func application(db *cached.Store) (http.Handler, error) {
	opts, err := redis.ParseURL(os.Getenv(replicaURL))
	if err != nil {
		return nil, err
	}
	opts.ContextTimeoutEnabled = true
	content, err := redisstore.New(redis.NewClient(opts), nil)
	if err != nil {
		return nil, err
	}
	sessions, err := redisstore.NewSessions(content, db)
	if err != nil {
		return nil, err
	}
	rows := struct {
		*redisstore.Sessions
		storage.Families
		storage.Permissions
	}{sessions, db, db}
	proxies, err := authn.NewTrustedProxies("127.0.0.1")
	if err != nil {
		return nil, err
	}
	site, err := csrf.New(origin, &csrf.Options{Proxies: proxies})
	if err != nil {
		return nil, err
	}
	browsers, err := session.New(rows, site, &session.Options{Proxies: proxies})
	if err != nil {
		return nil, err
	}
	hasher, err := password.NewHasher(nil)
	if err != nil {
		return nil, err
	}
	passwords, err := password.New(db, passwordtest.Weaken(hasher), &password.Options{Proxies: proxies, InsecureNoLimiter: true})
	if err != nil {
		return nil, err
	}
	mux := authz.NewMux(authn.New(authn.Chain{browsers}, nil))
	mux.Public("POST /login", browsers.Login(passwords))
	mux.Public("POST /logout", browsers.Logout())
	mux.HandleFunc("GET /values", values(browsers), authz.IsAuthenticated)
	mux.HandleFunc("POST /values", save(browsers), authz.IsAuthenticated)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Replica", os.Getenv(replicaAddr))
		mux.ServeHTTP(w, r)
	}), nil
}

// contents is what a browser has saved: the same number in each place.
type contents struct {
	User   string
	N, Sum int
	Text   string
}

// textOf is long, so that a save that is cut in the middle shows.
func textOf(n int) string { return strings.Repeat(strconv.Itoa(n)+",", 1000) }

func (c contents) check(user string) error {
	if c.User != user || c.Sum != 2*c.N || c.N > 0 && c.Text != textOf(c.N) {
		return fmt.Errorf("%s reads the values of %q: %d, %d and %d bytes of text", user, c.User, c.N, c.Sum, len(c.Text))
	}
	return nil
}

func values(browsers *session.Scheme) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s, err := browsers.Store().Get(r, "session")
		if err != nil {
			authn.Respond(w, r, err)
			return
		}
		c := contents{User: authn.FromContext(r.Context()).Subject}
		c.N, _ = s.Values["n"].(int)
		c.Sum, _ = s.Values["sum"].(int)
		c.Text, _ = s.Values["text"].(string)
		_ = json.NewEncoder(w).Encode(c)
	}
}

func save(browsers *session.Scheme) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.Atoi(r.URL.Query().Get("n"))
		if err != nil {
			authn.Respond(w, r, authn.BadRequest("n is no number"))
			return
		}
		s, err := browsers.Store().Get(r, "session")
		if err == nil {
			s.Values["n"], s.Values["sum"], s.Values["text"] = n, 2*n, textOf(n)
			err = s.Save(r, w)
		}
		if errors.Is(err, session.ErrEnded) {
			err = authn.BadRequest("the session has ended")
		}
		if err != nil {
			authn.Respond(w, r, err)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}
}
