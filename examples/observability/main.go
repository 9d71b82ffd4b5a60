// Command observability is a server with metrics, traces, audit events and health checks. It has one
// demo user, alice, with the password wonderland-42.
//
// Start it:
//
//	cd examples/observability && go run .
//
// Then, in another terminal:
//
//	curl -s 127.0.0.1:8080/login -d username=alice -d password=wonderland-42
//	curl -s 127.0.0.1:8080/readyz
//	curl -s 127.0.0.1:9090/metrics | grep vestibule_decisions_total
package main

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
	"syscall"
	"time"

	prom "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/authn/throttle"
	"github.com/vestibule-auth/vestibule/authz"
	"github.com/vestibule-auth/vestibule/contrib/otel"
	"github.com/vestibule-auth/vestibule/contrib/prometheus"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/observe"
	"github.com/vestibule-auth/vestibule/observe/health"
	"github.com/vestibule-auth/vestibule/schemes/knox"
	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
	"github.com/vestibule-auth/vestibule/storage/gormstore/sqlite"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "address to listen on; port 0 picks one")
	metrics := flag.String("metrics", "127.0.0.1:9090", "address for Prometheus, which must not be public")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *addr, *metrics); err != nil {
		slog.Error("stopped", slog.Any("error", err))
		os.Exit(1)
	}
}

func run(ctx context.Context, addr, metrics string) error {
	dir, err := os.MkdirTemp("", "vestibule-observability-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s, err := newServer(ctx, filepath.Join(dir, "db"), slog.New(slog.NewJSONHandler(os.Stderr, nil)))
	if err != nil {
		return err
	}
	err = errors.Join(serve(ctx, map[string]http.Handler{addr: s.api, metrics: s.metrics}))
	ending, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return errors.Join(err, s.close(ending))
}

// server is an API and the metrics about it, which have an address of their own.
type server struct {
	api, metrics http.Handler
	close        func(context.Context) error
}

// #region sinks

// sinks connects metrics, traces and audit events, and returns the Sink for everything else.
func sinks(registry *prom.Registry, log *slog.Logger, ring *keys.Ring) (*observe.Sink, *prometheus.Metrics, *audit.Notifier, *audit.Queue, error) {
	metrics, err := prometheus.New(registry, nil)
	if err != nil {
		return nil, nil, nil, nil, err
	}
	traces, err := otel.New(nil) // of the providers that the program has set, if any
	if err != nil {
		return nil, nil, nil, nil, err
	}
	queue, err := audit.NewQueue(func(ctx context.Context, e audit.Event) {
		log.InfoContext(ctx, "audit", "event", e)
	}, &audit.QueueOptions{Sink: metrics.Sink()})
	if err != nil {
		return nil, nil, nil, nil, err
	}
	events, err := audit.New(queue.Add, &audit.Options{Keys: ring, Required: true, Sink: metrics.Sink()})
	if err != nil {
		return nil, nil, nil, nil, err
	}
	return observe.Join(metrics.Sink(), traces, audit.Signals(events)), metrics, events, queue, nil
}

// #endregion sinks

// newServer returns a server over a SQLite file.
func newServer(ctx context.Context, path string, log *slog.Logger) (*server, error) {
	ring, err := keys.NewRing(keys.Generate())
	if err != nil {
		return nil, err
	}
	registry := prom.NewRegistry()
	sink, metrics, events, queue, err := sinks(registry, log, ring)
	if err != nil {
		return nil, err
	}
	// #region wire
	db, err := sqlite.Open(path, &gormstore.Options{Sink: sink})
	if err != nil {
		return nil, err
	}
	if err := db.Migrate(ctx); err != nil {
		return nil, err
	}
	store, err := cached.New(db, &cached.Options{Sink: sink})
	if err != nil {
		return nil, err
	}
	metrics.WatchCache(store)
	hasher, err := password.NewHasher(&password.HasherOptions{Sink: sink})
	if err != nil {
		return nil, err
	}
	limiter, err := throttle.NewLogin(throttle.NewMemory(nil), &throttle.LoginOptions{Sink: sink})
	if err != nil {
		return nil, err
	}
	passwords, err := password.New(store, hasher, &password.Options{Limiter: limiter, Audit: events})
	if err != nil {
		return nil, err
	}
	devices, err := knox.New(store, &knox.Options{Audit: events})
	if err != nil {
		return nil, err
	}
	mux := authz.NewMux(authn.New(authn.Chain{devices}, &authn.Options{Sink: sink, Logger: log}))
	// #endregion wire
	if _, err := passwords.Register(ctx, password.NewUser{Name: "alice", Password: "wonderland-42"}); err != nil {
		return nil, err
	}
	mux.Public("POST /login", devices.Login(passwords))
	mux.Public("POST /logout", devices.Logout())
	mux.HandleFunc("GET /hello", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "Hello!")
	}, authz.IsAuthenticated)
	// #region health
	pool, err := db.DB(ctx).DB()
	if err != nil {
		return nil, err
	}
	checks := health.Checks{
		Store:  db.Ping,
		Schema: db.Schema,
		Cache:  func() bool { return store.Freshness().Lease },
		Pool:   pool.Stats,
		Audit:  func() (int, uint64) { return queue.Waiting(), queue.Dropped() },
	}
	mux.Public("GET /healthz", health.Live(checks))
	mux.Public("GET /readyz", health.Ready(checks))
	// #endregion health
	return &server{mux, promhttp.HandlerFor(registry, promhttp.HandlerOpts{}), func(ctx context.Context) error {
		return errors.Join(queue.Close(ctx), db.Close())
	}}, nil
}

// serve answers requests on each address until ctx ends, or one of them fails.
func serve(ctx context.Context, handlers map[string]http.Handler) error {
	failed := make(chan error, len(handlers))
	var servers []*http.Server
	for addr, h := range handlers {
		listener, err := net.Listen("tcp", addr)
		if err != nil {
			return err
		}
		s := &http.Server{Handler: http.MaxBytesHandler(h, 1<<20), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second, WriteTimeout: 30 * time.Second}
		servers = append(servers, s)
		go func() { failed <- s.Serve(listener) }()
		fmt.Println("listening on http://" + listener.Addr().String())
	}
	var err error
	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	finish, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	for _, s := range servers {
		err = errors.Join(err, s.Shutdown(finish))
	}
	return err
}
