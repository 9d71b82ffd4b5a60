// Command compare serves every scheme of Vestibule side by side. With no flag it
// runs on an embedded SQLite file in a temporary folder, with demo users.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/vestibule-auth/vestibule/examples/internal/demo"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
)

// config is what the flags say.
type config struct {
	demo.Flags
	Cache                                 time.Duration
	KnoxTTL, AccessTTL, RefreshTTL, Grace time.Duration
}

func main() { demo.Main(run) }

func run() error {
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, nil)))
	cfg, err := parseFlags(os.Args[1:])
	if err != nil {
		return err
	}
	ctx := context.Background()
	db, ring, cleanup, err := cfg.Open(ctx)
	if err != nil {
		return err
	}
	defer cleanup()
	h, err := newServer(ctx, cfg, db, ring)
	if err != nil {
		return err
	}
	return demo.Serve(cfg.Addr, h)
}

func parseFlags(args []string) (*config, error) {
	var cfg config
	fs := flag.NewFlagSet("compare", flag.ExitOnError)
	cfg.Register(fs,
		demo.User{Name: "alice", Password: "wonderland-42"},
		demo.User{Name: "bob", Password: "bob-the-builder-42"},
		demo.User{Name: "admin", Password: "looking-glass-42", Roles: []string{"admin"}})
	cache := fs.String("cache", "30s", "how long a verified lookup may be kept, or off")
	redis := fs.String("redis", "", "redis://…: not there yet")
	fs.DurationVar(&cfg.KnoxTTL, "knox-ttl", 10*time.Hour, "how long a device token lives")
	fs.DurationVar(&cfg.AccessTTL, "jwt-access-ttl", 5*time.Minute, "how long an access token lives")
	fs.DurationVar(&cfg.RefreshTTL, "jwt-refresh-ttl", 24*time.Hour, "how long a refresh token waits for its use")
	fs.DurationVar(&cfg.Grace, "refresh-grace", 10*time.Second, "how long a lost answer to a refresh may be asked for again, at most 1m; 0 is never")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	if fs.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	if *redis != "" {
		return nil, errors.New("-redis: nothing here uses Redis yet; state is in the database and in this process")
	}
	for name, d := range map[string]time.Duration{"knox-ttl": cfg.KnoxTTL, "jwt-access-ttl": cfg.AccessTTL, "jwt-refresh-ttl": cfg.RefreshTTL} {
		if d <= 0 {
			return nil, fmt.Errorf("-%s %v: want a duration above 0", name, d)
		}
	}
	switch {
	case cfg.Grace < 0 || cfg.Grace > time.Minute:
		return nil, fmt.Errorf("-refresh-grace %v: want 0 to 1m", cfg.Grace)
	case cfg.Grace == 0:
		cfg.Grace = jwt.GraceOff
	}
	if *cache != "off" {
		d, err := time.ParseDuration(*cache)
		if err != nil || d <= 0 {
			return nil, fmt.Errorf("-cache %q: want a duration such as 30s, or off", *cache)
		}
		cfg.Cache = d
	}
	return &cfg, nil
}
