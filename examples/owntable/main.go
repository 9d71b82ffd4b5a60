// Command owntable is a server with two account tables of its own in one database: customers,
// with soft deletion, and staff. Vestibule keeps the tokens of both. Each table has a name, its
// space, so that customer 1 and staff 1 are never taken for each other.
//
//	POST /api/auth-token   {"username", "password"} → {"token"}
//	GET  /api/profile      → {"username", "email", "plan"}
//	POST /api/logout       → 204
//	POST /staff/auth-token {"username", "password"} → {"token"}, of the staff account "sam"
//	GET  /staff/whoami     → {"subject", "id"}
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authz"
	"github.com/vestibule-auth/vestibule/examples/internal/demo"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/token"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
)

// Account is the application's own account, in the application's own table.
type Account struct {
	ID           int64  `gorm:"primaryKey;autoIncrement"`
	Login        string `gorm:"uniqueIndex;not null"`
	Mail         string
	Plan         string `gorm:"not null;default:free"`
	PasswordHash string
	Banned       bool
	DeletedAt    *time.Time
}

// UserID makes *Account an authn.User.
func (a *Account) UserID() string { return strconv.FormatInt(a.ID, 10) }

// Employee is an account of the second table.
type Employee struct {
	ID           int64  `gorm:"primaryKey;autoIncrement"`
	Login        string `gorm:"uniqueIndex;not null"`
	PasswordHash string
	Retired      bool `gorm:"not null;default:false"`
}

// table and employees say where Vestibule finds what it needs of an account.
var (
	table = gormstore.UserTable{
		Table: "accounts", ID: "id", IDType: "integer", Name: "login", Email: "mail",
		Password: "password_hash", Active: "NOT banned AND deleted_at IS NULL",
	}
	employees = gormstore.UserTable{
		Table: "employees", ID: "id", IDType: "integer", Name: "login",
		Password: "password_hash", Active: "NOT retired", Roles: "'staff'",
	}
	sam = demo.User{Name: "sam", Password: "sam-at-the-desk-42"}
)

func main() { demo.Main(run) }

func run() error {
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, nil)))
	var cfg demo.Flags
	mine(&cfg)
	cfg.Register(flag.CommandLine, demo.User{Name: "alice", Password: "wonderland-42"}, demo.User{Name: "bob", Password: "bob-the-builder-42"})
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

// mine names the tables of this application.
func mine(cfg *demo.Flags) {
	cfg.Options.Users, cfg.Options.Space, cfg.Tables = &table, "customers", []string{employees.Table}
}

func server(ctx context.Context, db *gormstore.Store, ring *keys.Ring, cfg *demo.Flags) (http.Handler, error) {
	if err := db.DB(ctx).AutoMigrate(&Account{}, &Employee{}); err != nil {
		return nil, err
	}
	passwords, err := cfg.Passwords(db, ring)
	if err != nil {
		return nil, err
	}
	if err := addAccounts(ctx, db, cfg); err != nil {
		return nil, err
	}
	tokens, err := token.New(db, ring, &token.Options{User: account(db)})
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
	mux.HandleFunc("GET /api/profile", profile, authz.IsAuthenticated)
	mux.HandleFunc("DELETE /api/account", deleteAccount(db), authz.IsAuthenticated)
	staff, err := staffServer(ctx, db, ring, cfg)
	if err != nil {
		return nil, err
	}
	both := http.NewServeMux()
	both.Handle("/api/", mux)
	both.Handle("/staff/", staff)
	return both, nil
}

// staffServer serves the second table: a store of its own over the same database, under another
// name. Without Space its Migrate returns gormstore.ErrSpace, and nothing starts.
func staffServer(ctx context.Context, customers *gormstore.Store, ring *keys.Ring, cfg *demo.Flags) (http.Handler, error) {
	db, err := gormstore.New(customers.DB(ctx), &gormstore.Options{Users: &employees, Space: "staff"})
	if err != nil {
		return nil, err
	}
	if err := db.Migrate(ctx); err != nil {
		return nil, err
	}
	passwords, err := cfg.Passwords(db, ring)
	if err != nil {
		return nil, err
	}
	missing, err := cfg.Published(sam).Missing(ctx, db)
	if err != nil {
		return nil, err
	}
	for _, u := range missing {
		hash, err := passwords.NewHash(ctx, storage.User{Name: u.Name}, u.Password)
		if err != nil {
			return nil, err
		}
		if err := db.DB(ctx).Create(&Employee{Login: u.Name, PasswordHash: string(hash)}).Error; err != nil {
			return nil, err
		}
	}
	tokens, err := token.New(db, ring, nil)
	if err != nil {
		return nil, err
	}
	mux := authz.NewMux(authn.New(authn.Chain{tokens}, nil))
	mux.Public("POST /staff/auth-token", tokens.Login(passwords))
	mux.HandleFunc("GET /staff/whoami", whoAmI, authz.HasRole("staff"))
	return mux, nil
}

// whoAmI shows the two names of an account: the subject, which credentials are bound to, and the
// id in its table.
func whoAmI(w http.ResponseWriter, r *http.Request) {
	u, _ := authn.UserFrom[*storage.Account](r.Context())
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]string{"subject": u.ID, "id": u.UserID()})
}

// account loads the whole account for handlers that want it: a second query, which
// a server that needs no more than name, e-mail and roles leaves out.
func account(db *gormstore.Store) func(context.Context, storage.Account) (authn.User, error) {
	return func(ctx context.Context, u storage.Account) (authn.User, error) {
		var a Account
		if err := db.DB(ctx).First(&a, "id = ?", u.UserID()).Error; err != nil {
			return nil, err
		}
		return &a, nil
	}
}

func profile(w http.ResponseWriter, r *http.Request) {
	a, _ := authn.UserFrom[*Account](r.Context())
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]string{"username": a.Login, "email": a.Mail, "plan": a.Plan})
}

// deleteAccount marks the account as deleted and ends its credentials, in one
// transaction: the delete hook that a table of one's own needs.
func deleteAccount(db *gormstore.Store) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		a, _ := authn.UserFrom[*Account](r.Context())
		subject := authn.FromContext(r.Context()).Subject // "customers:1" of the account 1
		err := db.InTx(r.Context(), func(ctx context.Context) error {
			if err := db.DB(ctx).Model(&Account{}).Where("id = ?", a.ID).Update("deleted_at", time.Now().UTC()).Error; err != nil {
				return err
			}
			return db.DeleteSubject(ctx, subject)
		})
		if err != nil {
			authn.Respond(w, r, err)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}
}

// addAccounts is the application's own way to make accounts; it asks Vestibule for
// the hash alone.
func addAccounts(ctx context.Context, db *gormstore.Store, cfg *demo.Flags) error {
	hasher, err := cfg.Hasher()
	if err != nil {
		return err
	}
	missing, err := cfg.Missing(ctx, db)
	if err != nil {
		return err
	}
	for _, u := range missing {
		hash, err := hasher.Hash(ctx, "", u.Password)
		if err != nil {
			return err
		}
		a := Account{Login: u.Name, Mail: u.Name + "@example.com", Plan: "free", PasswordHash: string(hash)}
		if err := db.DB(ctx).Create(&a).Error; err != nil {
			return fmt.Errorf("-user %q: %w", u.Name, err)
		}
	}
	return nil
}
