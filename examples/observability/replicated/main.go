// Command replicated is one of several servers over one PostgreSQL and one Redis, with a cache, shared
// limits, metrics and health checks. A token that one of them revokes is refused by all within 250 ms.
//
// Start a database, a Redis and two servers; 64 hex digits of a key are in the file master.key:
//
//	cd examples/observability
//	go run ./replicated -db postgres://localhost/notes -key master.key -addr 127.0.0.1:8080 -metrics 127.0.0.1:9090
//	go run ./replicated -db postgres://localhost/notes -key master.key -addr 127.0.0.1:8081 -metrics 127.0.0.1:9091
package main

// #region program
import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	prom "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/redis/go-redis/v9"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/authn/throttle"
	"github.com/vestibule-auth/vestibule/authz"
	"github.com/vestibule-auth/vestibule/contrib/prometheus"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/observe/health"
	"github.com/vestibule-auth/vestibule/schemes/knox"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
	"github.com/vestibule-auth/vestibule/storage/gormstore/postgres"
	"github.com/vestibule-auth/vestibule/storage/redisstore"
)

func main() {
	db := flag.String("db", "", "URL of the PostgreSQL database, postgres://…")
	redisURL := flag.String("redis", "redis://127.0.0.1:6379", "URL of Redis")
	key := flag.String("key", "", "file with the master key, the same for all servers")
	addr := flag.String("addr", "127.0.0.1:8080", "address to listen on")
	metrics := flag.String("metrics", "127.0.0.1:9090", "address for Prometheus, which must not be public")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ring, err := keys.Load(*key)
	if err == nil {
		err = run(ctx, *db, *redisURL, ring, func(api, series http.Handler) error {
			return serve(ctx, map[string]http.Handler{*addr: api, *metrics: series})
		})
	}
	if err != nil {
		slog.Error("stopped", slog.Any("error", err))
		os.Exit(1)
	}
}

// run calls serve with the API and the metrics of this server, which have an address of their own, and
// returns when serve does.
func run(ctx context.Context, database, redisURL string, ring *keys.Ring, serve func(api, metrics http.Handler) error) error {
	registry := prom.NewRegistry()
	metrics, err := prometheus.New(registry, nil)
	if err != nil {
		return err
	}
	sink := metrics.Sink()

	// PostgreSQL decides everything. All servers may migrate at the same time.
	db, err := postgres.Open(database, &gormstore.Options{Sink: sink})
	if err != nil {
		return err
	}
	defer db.Close()
	if err := db.Migrate(ctx); err != nil {
		return err
	}
	running, err := db.Replicas(ctx) // this one has not announced itself
	if err == nil {
		err = db.CheckConnections(ctx, running+1)
	}
	if err != nil {
		slog.Warn("too few database connections", slog.Any("error", err))
	}

	// The courier delivers the changes of all processes to the cache.
	replica := gormstore.ReplicaOptions{KeyIDs: ring.IDs()}
	courier, err := postgres.NewNotify(ctx, db, &postgres.NotifyOptions{Replica: replica})
	if err != nil {
		return err
	}
	store, err := cached.New(db, &cached.Options{Courier: courier, Sink: sink})
	if err != nil {
		return err
	}
	metrics.WatchCache(store)

	// Redis counts attempts for all servers. Without it, each counts its share in memory.
	options, err := redis.ParseURL(redisURL)
	if err != nil {
		return errors.New("-redis: expected redis://host:port") // the URL can have a password
	}
	options.ContextTimeoutEnabled = true
	client := redis.NewClient(options)
	defer client.Close()
	counters, err := redisstore.New(client, &redisstore.Options{Sink: sink})
	if err != nil {
		return err
	}
	if err := counters.Check(ctx); err != nil { // the server starts without Redis, too
		slog.Warn("unsafe or absent Redis", slog.Any("error", err))
	}
	shared, err := throttle.NewShared(counters, db.LiveReplicas(1), &throttle.SharedOptions{Sink: sink})
	if err != nil {
		return err
	}
	_, nameKey := ring.Newest(keys.ThrottleNames) // all servers count under the same names
	_, deviceKey := ring.Newest(keys.DeviceCookie)
	limiter, err := throttle.NewLogin(shared, &throttle.LoginOptions{NameKey: nameKey[:], DeviceKey: deviceKey[:], Sink: sink})
	if err != nil {
		return err
	}

	hasher, err := password.NewHasher(&password.HasherOptions{Sink: sink})
	if err != nil {
		return err
	}
	passwords, err := password.New(store, hasher, &password.Options{Limiter: limiter})
	if err != nil {
		return err
	}
	devices, err := knox.New(store, nil)
	if err != nil {
		return err
	}
	pool, err := db.DB(ctx).DB()
	if err != nil {
		return err
	}
	checks := health.Checks{
		Store: db.Ping, Schema: db.Schema, Pool: pool.Stats,
		Cache:  func() bool { return store.Freshness().Lease },
		Limits: func() bool { return !shared.Degraded() },
	}
	mux := authz.NewMux(authn.New(authn.Chain{devices}, &authn.Options{Sink: sink}))
	mux.Public("GET /healthz", health.Live(checks))
	mux.Public("GET /readyz", health.Ready(checks))
	mux.Public("POST /login", devices.Login(passwords))
	mux.Public("POST /logout", devices.Logout())
	mux.HandleFunc("GET /hello", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "Hello!")
	}, authz.IsAuthenticated)

	background, stop := context.WithCancel(ctx)
	var jobs sync.WaitGroup
	jobs.Go(func() { _ = store.Run(background) }) // it logs whether messages arrive
	jobs.Go(func() { _ = storage.PruneEvery(background, time.Minute, nil, db) })
	defer jobs.Wait()
	defer stop()
	return serve(mux, promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
}

// #endregion program

// serve answers requests on each address until ctx ends, or one of them fails.
func serve(ctx context.Context, handlers map[string]http.Handler) (err error) {
	failed := make(chan error, len(handlers))
	var servers []*http.Server
	for addr, h := range handlers {
		s := &http.Server{
			Addr: addr, Handler: http.MaxBytesHandler(h, 1<<20), MaxHeaderBytes: 64 << 10,
			ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second, WriteTimeout: 30 * time.Second,
		}
		servers = append(servers, s)
		go func() { failed <- s.ListenAndServe() }()
	}
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
