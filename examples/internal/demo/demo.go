// Package demo is what the example servers share and what is not about
// authentication: flags, the demo users, listening and stopping.
package demo

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/authn/throttle"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
	"github.com/vestibule-auth/vestibule/storage/gormstore/byurl"
)

// Flags are the flags that every example server has.
type Flags struct {
	Addr      string
	DB        string
	KeyFile   string
	LoginRate string
	Users     []User
	Demo      bool // add published credentials to an existing database too
	// Origin is the public origin behind a proxy, and Proxies are those that are trusted;
	// only some servers have flags for them.
	Origin  string
	Proxies authn.TrustedProxies
	// Options of the store; no flag.
	Options gormstore.Options
	// Counters is where logins are counted; no flag. nil means in memory.
	Counters throttle.Store
	// FailureFloor is password.Options.FailureFloor; no flag. Tests need not wait.
	FailureFloor time.Duration

	hasher  *password.Hasher
	limiter authn.LoginLimiter
	bad     error // a -user that cannot be read; package flag would quote it

	published bool // everybody knows the passwords of Users
	created   bool // the database is a new one
}

// User is a demo user of the -user flag.
type User struct {
	Name, Password string
	Roles          []string
}

// Register adds the flags to fs. users are there where no -user is given.
func (f *Flags) Register(fs *flag.FlagSet, users ...User) {
	f.Users, f.published = users, true
	fs.StringVar(&f.Addr, "addr", "127.0.0.1:8080", "address to listen on, or unix:PATH; port 0 picks one")
	fs.StringVar(&f.DB, "db", "", "sqlite:PATH, sqlite::memory: or postgres://… (default a temporary SQLite file)")
	fs.StringVar(&f.KeyFile, "key", "", "file with the master key: 32 raw bytes or 64 hex digits (default <sqlite path>.key, made if absent; $VESTIBULE_KEY holds the hex digits)")
	fs.StringVar(&f.LoginRate, "login-rate", "10/m", "tries of a stranger at one address at one account, as N/m; the other limits keep their proportion; off: none, for tests")
	fs.BoolVar(&f.Demo, "demo", false, "add the demo users, whose passwords are published, to an existing database too")
	fs.Func("user", "name:password[:role,…], added at start if absent; repeatable", func(s string) error {
		u, err := parseUser(s)
		if err != nil {
			f.bad = err
			return nil
		}
		if f.published {
			f.Users, f.published = nil, false
		}
		f.Users = append(f.Users, u)
		return nil
	})
}

func parseUser(s string) (User, error) {
	name, rest, ok := strings.Cut(s, ":")
	password, roles, _ := strings.Cut(rest, ":")
	if !ok || name == "" || password == "" {
		return User{}, errors.New("-user: want name:password[:role,…]")
	}
	u := User{Name: name, Password: password}
	for role := range strings.SplitSeq(roles, ",") {
		if role != "" {
			u.Roles = append(u.Roles, role)
		}
	}
	return u, nil
}

// Check returns what is wrong with the flags by themselves, as a UsageError.
func (f *Flags) Check() error {
	err := f.bad
	if err == nil {
		_, err = f.loginRate()
	}
	if err == nil {
		err = checkAddr(f.Addr)
	}
	if err == nil && f.DB != "" {
		err = byurl.Check(f.DB)
	}
	if err != nil {
		return UsageError{err}
	}
	return nil
}

// Open checks the flags, opens and migrates the database and loads the master key.
// cleanup closes the database and removes a temporary one.
func (f *Flags) Open(ctx context.Context) (db *gormstore.Store, ring *keys.Ring, cleanup func(), err error) {
	if err := f.Check(); err != nil {
		return nil, nil, nil, err
	}
	url, remove := f.DB, func() {}
	if url == "" {
		dir, err := os.MkdirTemp("", "vestibule-")
		if err != nil {
			return nil, nil, nil, err
		}
		remove = func() { os.RemoveAll(dir) }
		url = "sqlite:" + filepath.Join(dir, "demo.sqlite3")
	}
	if ring, err = f.ring(url); err == nil {
		db, err = byurl.Open(url, &f.Options)
	}
	if err == nil {
		if err = f.migrate(ctx, db); err != nil {
			db.Close()
		}
	}
	if err != nil {
		remove()
		return nil, nil, nil, err
	}
	return db, ring, func() { db.Close(); remove() }, nil
}

// markTable says that an example has served from the database before. What is missing since then
// was deleted.
const markTable = "vestibule_example"

// migrate migrates the database, and notes whether it is a new one: no example has served from it,
// and it has no accounts and no clients. Another program, such as "vestibule migrate", can have made
// its tables.
func (f *Flags) migrate(ctx context.Context, db *gormstore.Store) (err error) {
	if err := db.Migrate(ctx); err != nil {
		return err
	}
	if db.DB(ctx).Migrator().HasTable(markTable) {
		return nil // also of a role, or a database, that only reads
	}
	if f.created, err = f.isNew(ctx, db); err != nil {
		return err
	}
	const create = "CREATE TABLE IF NOT EXISTS " + markTable + " (id integer)"
	if err := db.DB(ctx).Exec(create).Error; err == nil {
		return nil
	}
	// PostgreSQL returns an error if another process creates the table at the same moment. The second
	// statement finds it.
	return db.DB(ctx).Exec(create).Error
}

func (f *Flags) isNew(ctx context.Context, db *gormstore.Store) (bool, error) {
	if users, err := db.ListUsers(ctx, "", 1); err != nil || len(users) > 0 {
		return false, err
	}
	clients, err := db.ListClients(ctx, "", 1)
	return err == nil && len(clients) == 0, err
}

// ring loads the master key, or makes one beside a SQLite file: only a demo may
// do that, and it says so.
func (f *Flags) ring(url string) (*keys.Ring, error) {
	if f.KeyFile != "" {
		if err := keys.CheckFile(f.KeyFile); err != nil {
			slog.Warn("unsafe master key", "error", err)
		}
		return keys.Load(f.KeyFile)
	}
	if env := os.Getenv("VESTIBULE_KEY"); env != "" {
		return keys.ParseHex(env)
	}
	path, sqlite := strings.CutPrefix(url, "sqlite:")
	switch {
	case !sqlite:
		return nil, errors.New("with PostgreSQL a master key is needed: -key FILE or VESTIBULE_KEY; make one with: (umask 077; openssl rand -hex 32 > FILE)")
	case path == ":memory:":
		slog.Warn("made a master key that ends with this process; tokens end with it")
		return keys.NewRing(keys.Generate())
	}
	path += ".key"
	ring, made, err := keys.Create(path)
	if made {
		slog.Warn("made a master key; a server that is no demo has its own", "file", path)
	}
	return ring, err
}

// Serve listens on addr, prints the line that says where, and serves h until
// SIGINT or SIGTERM; then it lets running requests finish for up to 10 seconds.
func Serve(addr string, h http.Handler) error {
	l, err := Listen(addr)
	if err != nil {
		return err
	}
	return ServeOn(l, h)
}

// ServeOn is Serve for a listener that there is, and closes it.
func ServeOn(l net.Listener, h http.Handler) error { return ServeDraining(l, h, 0) }

// ServeDraining is ServeOn for a server behind a load balancer: after the signal it serves for drain
// longer, while GET /healthz answers 503 so that no new requests are sent to it. A second signal ends
// that time.
func ServeDraining(l net.Listener, h http.Handler, drain time.Duration) error {
	var draining atomic.Bool
	h = unready(h, &draining)
	stop, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	srv := &http.Server{Handler: Slashless(h), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, MaxHeaderBytes: 64 << 10}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(l) }()
	fmt.Println("listening on " + where(l.Addr()))
	select {
	case err := <-failed:
		return err
	case <-stop.Done():
	}
	draining.Store(true)
	again, cancelAgain := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancelAgain()
	wait := time.NewTimer(drain)
	defer wait.Stop()
	select {
	case err := <-failed:
		return err
	case <-wait.C:
	case <-again.Done():
	}
	ctx, done := context.WithTimeout(context.Background(), 10*time.Second)
	defer done()
	return srv.Shutdown(ctx)
}

// unready answers GET /healthz with 503 while the server stops.
func unready(h http.Handler, stopping *atomic.Bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !stopping.Load() || r.URL.Path != "/healthz" {
			h.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.Write([]byte(`{"status":"stopping"}`))
	})
}

// Slashless serves a path with one slash at its end like the one without.
func Slashless(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p := r.URL.EscapedPath(); len(p) > 1 && strings.HasSuffix(p, "/") && !strings.HasSuffix(p, "//") {
			u := *r.URL
			u.Path, u.RawPath = strings.TrimSuffix(u.Path, "/"), strings.TrimSuffix(u.RawPath, "/")
			c := *r
			c.URL = &u
			r = &c
		}
		h.ServeHTTP(w, r)
	})
}

// UsageError is what is wrong with the command line.
type UsageError struct{ Err error }

func (e UsageError) Error() string { return e.Err.Error() }

// Unwrap returns what is wrong.
func (e UsageError) Unwrap() error { return e.Err }

// Main runs f and ends the program with its error on standard error: with 2 for a
// UsageError, as package flag does.
func Main(f func() error) {
	err := f()
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, err)
	if errors.As(err, new(UsageError)) {
		os.Exit(2)
	}
	os.Exit(1)
}
