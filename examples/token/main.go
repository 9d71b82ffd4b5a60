// Command token is the first server: static tokens over SQLite or PostgreSQL.
//
//	POST /api/auth-token {"username", "password"} → {"token"}
//	GET  /api/profile    → {"username", "email"}
//	POST /api/logout     → 204
package main

import (
	"context"
	"encoding/json"
	"flag"
	"log/slog"
	"net/http"
	"os"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authz"
	"github.com/vestibule-auth/vestibule/examples/internal/demo"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/token"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
)

func main() { demo.Main(run) }

func run() error {
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, nil)))
	var cfg demo.Flags
	cfg.Register(flag.CommandLine,
		demo.User{Name: "alice", Password: "wonderland-42"},
		demo.User{Name: "bob", Password: "bob-the-builder-42"})
	flag.Parse()

	ctx := context.Background()
	db, ring, cleanup, err := cfg.Open(ctx)
	if err != nil {
		return err
	}
	defer cleanup()
	h, err := server(ctx, db, ring, &cfg)
	if err != nil {
		return err
	}
	return demo.Serve(cfg.Addr, h)
}

func server(ctx context.Context, db *gormstore.Store, ring *keys.Ring, cfg *demo.Flags) (http.Handler, error) {
	passwords, err := cfg.Passwords(db, ring)
	if err != nil {
		return nil, err
	}
	if err := cfg.AddUsers(ctx, db, passwords); err != nil {
		return nil, err
	}
	tokens, err := token.New(db, ring, nil)
	if err != nil {
		return nil, err
	}
	options, err := cfg.Auth()
	if err != nil {
		return nil, err
	}
	mux := authz.NewMux(authn.New(authn.Chain{tokens}, options))
	mux.Public("POST /api/auth-token", tokens.Login(passwords))
	mux.Public("POST /api/logout", tokens.Logout())
	mux.Public("GET /healthz", demo.Health(db))
	mux.HandleFunc("GET /api/profile", profile, authz.IsAuthenticated)
	return mux, nil
}

func profile(w http.ResponseWriter, r *http.Request) {
	user, _ := authn.UserFrom[*storage.Account](r.Context())
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]string{"username": user.Name, "email": user.Email})
}
