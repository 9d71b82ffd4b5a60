// Command compare serves every scheme of Vestibule side by side. With no flag it
// runs on an embedded SQLite file in a temporary folder, with demo users.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/vestibule-auth/vestibule/authn/proxy"
	"github.com/vestibule-auth/vestibule/examples/internal/demo"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
	"github.com/vestibule-auth/vestibule/storage/redisstore"
)

// config is what the flags say.
type config struct {
	demo.Flags
	Base                                  string           // the server's own URL
	Courier                               string           // how replicas over PostgreSQL learn of changes
	ListenDB                              string           // where LISTEN goes; "": to DB
	RedisURL                              string           // "": none
	HealthClock                           func() time.Time // for tests; nil: time.Now
	Drain                                 time.Duration    // between SIGTERM and the last new request
	Replicas                              int              // servers that share RedisURL
	Cache                                 time.Duration
	DenySet                               bool
	KnoxTTL, AccessTTL, RefreshTTL, Grace time.Duration
	JWTAlgorithm                          jose.Algorithm // "": EdDSA, or what the database's key is for
	Gateway                               proxy.Dialect  // of /forward-auth

	redis   *redisstore.Store        // nil: none
	live    func() int               // servers that run; nil: Replicas
	replica gormstore.ReplicaOptions // what the servers tell each other
}

func main() { demo.Main(run) }

func run() error {
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, nil)))
	cfg, err := parseFlags(os.Args[1:])
	if err != nil {
		return demo.UsageError{Err: err}
	}
	l, err := demo.Listen(cfg.Addr) // first: who cannot listen makes no master key
	if err != nil {
		return err
	}
	defer l.Close()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	db, ring, cleanup, err := cfg.Open(ctx)
	if err != nil {
		return err
	}
	defer cleanup()
	if isPostgres(cfg.DB) {
		warnOfConnections(ctx, db)
	}
	cfg.live = db.LiveReplicas(cfg.Replicas)
	closeRedis, err := cfg.openRedis(ctx)
	if err != nil {
		return err
	}
	defer closeRedis()
	if cfg.Base = cfg.Origin; cfg.Base == "" {
		cfg.Base = baseOf(l.Addr())
	}
	h, err := newServer(ctx, cfg, db, ring)
	if err != nil {
		return err
	}
	if h, err = plantHandler(h); err != nil {
		return err
	}
	defer stop() // before the database is closed
	// Every replica prunes; they share the work.
	go func() { _ = storage.PruneEvery(ctx, time.Minute, nil, db) }() // it ends with ctx
	return demo.ServeDraining(l, h, cfg.Drain)
}

// isPostgres reports whether a database URL names a PostgreSQL server.
func isPostgres(url string) bool {
	return strings.HasPrefix(url, "postgres://") || strings.HasPrefix(url, "postgresql://")
}

// algorithms are those that -jwt-alg takes.
const algorithms = "EdDSA, ES256, RS256, HS256"

// baseOf is the URL that the server is known by on this machine; on another address it has
// the name that it also has in its JWTs.
func baseOf(addr net.Addr) string {
	a, err := netip.ParseAddrPort(addr.String())
	switch {
	case err == nil && a.Addr().IsUnspecified():
		return fmt.Sprintf("http://127.0.0.1:%d", a.Port())
	case err == nil && a.Addr().IsLoopback():
		return "http://" + a.String()
	}
	return issuer + "/oauth2"
}

func parseFlags(args []string) (*config, error) {
	var cfg config
	fs := flag.NewFlagSet("compare", flag.ExitOnError)
	cfg.Base = "http://127.0.0.1:8080"
	cfg.Register(fs,
		demo.User{Name: "alice", Password: "wonderland-42"},
		demo.User{Name: "bob", Password: "bob-the-builder-42"},
		demo.User{Name: "admin", Password: "looking-glass-42", Roles: []string{"admin"}})
	cache := fs.String("cache", "30s", "how long a verified lookup may be kept, or off")
	fs.StringVar(&cfg.ListenDB, "listen-db", "", "the PostgreSQL server's own URL, for LISTEN where -db goes through a pooler")
	fs.StringVar(&cfg.Courier, "courier", gormstore.CourierNotify, "how replicas over PostgreSQL learn of each other's changes: notify or outbox, the latter also through any pooler")
	fs.BoolVar(&cfg.DenySet, "deny-set", true, "with -db postgres://… and a cache: keep what was revoked recently in memory, so that a JWT is checked without a query of its own")
	fs.StringVar(&cfg.RedisURL, "redis", "", "redis://…, with -db postgres://… only: limits, used DPoP proofs and the content of sessions, for all servers over the database")
	fs.IntVar(&cfg.Replicas, "replicas", 4, "number of servers that share -redis, until the database has counted them: while Redis is gone, each has that part of the limits")
	fs.DurationVar(&cfg.Drain, "drain", 0, "how long to serve after SIGTERM while /healthz answers 503, until a load balancer has noticed")
	fs.DurationVar(&cfg.KnoxTTL, "knox-ttl", 10*time.Hour, "how long a device token lives")
	fs.DurationVar(&cfg.AccessTTL, "jwt-access-ttl", 5*time.Minute, "how long an access token lives")
	fs.DurationVar(&cfg.RefreshTTL, "jwt-refresh-ttl", 24*time.Hour, "how long a refresh token waits for its use")
	alg := fs.String("jwt-alg", "", "what signs the JWTs: "+algorithms+"; for the first key, which the database keeps (default EdDSA). With HS256 no other service can verify them")
	fs.DurationVar(&cfg.Grace, "refresh-grace", 10*time.Second, "how long a lost answer to a refresh may be asked for again, at most 1m; 0 is never")
	fs.StringVar(&cfg.Origin, "origin", "", "the public origin behind a proxy, such as https://app.example (default: loopback)")
	proxies := fs.String("proxies", "", "addresses or networks of trusted proxies, comma-separated; unix for a peer without an address")
	gateway := fs.String("gateway", "nginx", "the gateway that asks at /forward-auth: nginx, traefik, caddy or envoy")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	if fs.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	if err := cfg.gateway(*proxies, *gateway); err != nil {
		return nil, err
	}
	if cfg.ListenDB != "" && (!isPostgres(cfg.ListenDB) || !isPostgres(cfg.DB)) {
		return nil, errors.New("-listen-db: want postgres://… there and in -db")
	}
	switch {
	case cfg.Courier != gormstore.CourierNotify && cfg.Courier != gormstore.CourierOutbox:
		return nil, fmt.Errorf("-courier %q: want notify or outbox", cfg.Courier)
	case cfg.Courier == gormstore.CourierOutbox && cfg.ListenDB != "":
		return nil, errors.New("-listen-db: only with -courier notify")
	}
	if err := cfg.checkRedis(); err != nil {
		return nil, err
	}
	for name, d := range map[string]time.Duration{"knox-ttl": cfg.KnoxTTL, "jwt-access-ttl": cfg.AccessTTL, "jwt-refresh-ttl": cfg.RefreshTTL} {
		if d <= 0 {
			return nil, fmt.Errorf("-%s %v: want a duration above 0", name, d)
		}
	}
	if cfg.Drain < 0 {
		return nil, fmt.Errorf("-drain %v: want 0 or more", cfg.Drain)
	}
	switch {
	case cfg.Grace < 0 || cfg.Grace > time.Minute:
		return nil, fmt.Errorf("-refresh-grace %v: want 0 to 1m", cfg.Grace)
	case cfg.Grace == 0:
		cfg.Grace = jwt.NoGrace
	}
	if *alg != "" && !slices.Contains(strings.Split(algorithms, ", "), *alg) {
		return nil, fmt.Errorf("-jwt-alg %q: want one of %s", *alg, algorithms)
	}
	cfg.JWTAlgorithm = jose.Algorithm(*alg)
	if *cache != "off" {
		d, err := time.ParseDuration(*cache)
		if err != nil || d <= 0 {
			return nil, fmt.Errorf("-cache %q: want a duration such as 30s, or off", *cache)
		}
		cfg.Cache = d
	}
	return &cfg, nil
}
