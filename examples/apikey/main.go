// Command apikey is a server whose API keys are a scheme of its own, in a module of its own:
//
//	POST   /keys                {"name", "scopes" or "full", "ttl"}, all optional, with Basic → {"key", "id", "expiry"}
//	GET    /keys                → the caller's keys, never their text
//	DELETE /keys/{id}           → 204
//	POST   /logout-everywhere   → 204
//	GET    /api/profile         → {"username", "email", "scheme"}, with X-API-Key
//
//	go run -C examples/apikey .
//	curl -u alice:wonderland-42 -d scopes=profile 127.0.0.1:8080/keys
//
// Without -db it has a temporary database and the users alice and bob. In a database of your own
// create users with the command vestibule.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/gormstore/byurl"
)

func main() {
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, nil)))
	addr := flag.String("addr", "127.0.0.1:8080", "address to listen on, or unix:PATH; port 0 picks one")
	db := flag.String("db", "", "sqlite:PATH, sqlite::memory: or postgres://… (default a temporary SQLite file with demo users)")
	key := flag.String("key", "", "file with the master key, 32 bytes or 64 hex digits (default beside the SQLite file)")
	flag.Parse()
	stop, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if err := run(stop, *addr, *db, *key); err != nil {
		fmt.Fprintln(os.Stderr, "apikey:", err)
		os.Exit(1)
	}
}

func run(stop context.Context, addr, url, keyFile string) error {
	demo := url == "" || url == "sqlite::memory:" // gone when the program ends
	if url == "" {
		dir, err := os.MkdirTemp("", "apikey-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		url = "sqlite:" + filepath.Join(dir, "demo.sqlite3")
	}
	ring, err := masterKey(url, keyFile)
	if err != nil {
		return err
	}
	db, err := byurl.Open(url, nil)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := db.Migrate(stop); err != nil {
		return err
	}
	// The cache is that of one process: with several, see docs/caching.md.
	fast, err := cached.New(db, nil)
	if err != nil {
		return err
	}
	hasher, err := password.NewHasher(nil)
	if err != nil {
		return err
	}
	h, err := server(stop, fast, ring, hasher, time.Now, demo)
	if err != nil {
		return err
	}
	pruned := make(chan struct{})
	go func() {
		defer close(pruned)
		prune(stop, fast)
	}()
	err = serve(stop, addr, h)
	if stop.Err() != nil {
		<-pruned
	}
	return err
}

// masterKey loads the master key. A demo on SQLite may create one.
func masterKey(url, file string) (*keys.Ring, error) {
	if file != "" {
		return keys.Load(file)
	}
	if env := os.Getenv("VESTIBULE_KEY"); env != "" {
		return keys.ParseHex(env)
	}
	path, ok := byurl.SQLitePath(url)
	if !ok {
		if url == "sqlite::memory:" {
			return keys.NewRing(keys.Generate())
		}
		return nil, errors.New("a master key is required: -key FILE or VESTIBULE_KEY")
	}
	ring, _, err := keys.Create(path + ".key")
	return ring, err
}

// prune removes expired keys once an hour, until ctx ends.
func prune(ctx context.Context, store any) {
	for {
		if _, err := storage.PruneAll(ctx, time.Now(), store); err != nil && ctx.Err() == nil {
			slog.Warn("pruning failed", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Hour):
		}
	}
}

func serve(stop context.Context, addr string, h http.Handler) error {
	network := "tcp"
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		network, addr = "unix", path
		if info, err := os.Lstat(path); err == nil && info.Mode().Type() == fs.ModeSocket {
			if c, err := net.Dial(network, path); err == nil { // another server is running
				c.Close()
			} else if errors.Is(err, syscall.ECONNREFUSED) {
				os.Remove(path) // that of a server that was killed
			}
		}
	}
	l, err := net.Listen(network, addr)
	if err != nil {
		return err
	}
	where := "http://" + l.Addr().String()
	if network == "unix" {
		where = "unix:" + addr
	}
	srv := &http.Server{Handler: slashless(h), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, MaxHeaderBytes: 64 << 10}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(l) }()
	fmt.Println("listening on " + where)
	select {
	case err := <-failed:
		return err
	case <-stop.Done():
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return srv.Shutdown(ctx)
}

// slashless serves a path with a slash at its end like the one without.
func slashless(h http.Handler) http.Handler {
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
