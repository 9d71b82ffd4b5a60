// Command compare serves every scheme of Vestibule side by side. With no flag it
// runs on an embedded SQLite file in a temporary folder, with demo users.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/vestibule-auth/vestibule/examples/internal/demo"
)

// config is what the flags say.
type config struct {
	demo.Flags
	Cache time.Duration
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
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	if fs.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", fs.Arg(0))
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
