// Command owntable is a server with two account tables of its own in one database: customers,
// with soft deletion, and staff. Vestibule keeps the tokens of both. Each table has a name, its
// space, so that customer 1 and staff 1 are never taken for each other. It needs a C compiler for
// SQLite.
//
//	POST /api/auth-token   {"username", "password"} → {"token"}
//	GET  /api/profile      → {"username", "email", "plan"}
//	POST /api/logout       → 204
//	DELETE /api/account    → 204
//	POST /staff/auth-token {"username", "password"} → {"token"}, of the staff account "sam"
//	GET  /staff/whoami     → {"subject", "id"}
//
// Start it:
//
//	go run ./examples/owntable
//
// Then, in another terminal:
//
//	TOKEN=$(curl -s 127.0.0.1:8080/api/auth-token -d username=alice -d password=wonderland-42 | sed 's/.*"token":"\([^"]*\)".*/\1/')
//	curl -s 127.0.0.1:8080/api/profile -H "Authorization: Token $TOKEN"
//	# {"email":"alice@example.com","plan":"free","username":"alice"}
//	curl -s 127.0.0.1:8080/staff/whoami -H "Authorization: Token $TOKEN"
//	# {"detail":"Invalid token."…}
//	STAFF=$(curl -s 127.0.0.1:8080/staff/auth-token -d username=sam -d password=sam-at-the-desk-42 | sed 's/.*"token":"\([^"]*\)".*/\1/')
//	curl -s 127.0.0.1:8080/staff/whoami -H "Authorization: Token $STAFF"
//	# {"id":"1","subject":"staff:1"}
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"gorm.io/gorm"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/authz"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/token"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
	"github.com/vestibule-auth/vestibule/storage/gormstore/sqlite"
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
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "address to listen on; port 0 picks one")
	flag.Parse()
	// ctx ends on Ctrl-C and when a service manager stops the program.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *addr); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, addr string) (err error) {
	ring, _, err := keys.Create("accounts.key")
	if err != nil {
		return err
	}
	db, err := sqlite.Open("accounts.sqlite3", options())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	hasher, err := password.NewHasher(nil) // one for both tables: its queue limits them together
	if err != nil {
		return err
	}
	h, err := server(ctx, db, ring, hasher)
	if err != nil {
		return err
	}
	return serve(ctx, addr, h)
}

// options names the table of customers.
func options() *gormstore.Options { return &gormstore.Options{Users: &table, Space: "customers"} }

// server creates the tables and returns both applications. In a new database it adds an account to
// each table. Their passwords are published, so it does so in no other.
func server(ctx context.Context, db *gormstore.Store, ring *keys.Ring, hasher *password.Hasher) (http.Handler, error) {
	schema := db.DB(ctx).Migrator()
	isNew := !schema.HasTable(&Account{}) && !schema.HasTable(&Employee{})
	if err := db.DB(ctx).AutoMigrate(&Account{}, &Employee{}); err != nil {
		return nil, err
	}
	if err := db.Migrate(ctx); err != nil {
		return nil, err
	}
	if isNew {
		if err := addAccounts(ctx, db, hasher); err != nil {
			return nil, err
		}
	}
	customers, err := customerServer(db, ring, hasher)
	if err != nil {
		return nil, err
	}
	staff, err := staffServer(ctx, db, ring, hasher)
	if err != nil {
		return nil, err
	}
	both := http.NewServeMux()
	both.Handle("/api/", customers)
	both.Handle("/staff/", staff)
	return both, nil
}

func customerServer(db *gormstore.Store, ring *keys.Ring, hasher *password.Hasher) (http.Handler, error) {
	passwords, err := password.New(db, hasher, nil)
	if err != nil {
		return nil, err
	}
	tokens, err := token.New(db, ring, &token.Options{User: account(db)})
	if err != nil {
		return nil, err
	}
	mux := authz.NewMux(authn.New(authn.Chain{tokens}, nil))
	mux.Public("POST /api/auth-token", tokens.Login(passwords))
	mux.Public("POST /api/logout", tokens.Logout())
	mux.HandleFunc("GET /api/profile", profile, authz.IsAuthenticated)
	mux.HandleFunc("DELETE /api/account", deleteAccount(db), authz.FirstParty)
	return mux, nil
}

// staffServer serves the second table: a store of its own over the same database, under another
// name. Without Space its Migrate returns gormstore.ErrSpace, and nothing starts.
func staffServer(ctx context.Context, customers *gormstore.Store, ring *keys.Ring, hasher *password.Hasher) (http.Handler, error) {
	db, err := gormstore.New(customers.DB(ctx), &gormstore.Options{Users: &employees, Space: "staff"})
	if err != nil {
		return nil, err
	}
	if err := db.Migrate(ctx); err != nil {
		return nil, err
	}
	passwords, err := password.New(db, hasher, nil)
	if err != nil {
		return nil, err
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
// ID in its table.
func whoAmI(w http.ResponseWriter, r *http.Request) {
	u, _ := authn.UserFrom[*storage.Account](r.Context())
	writeJSON(w, map[string]string{"subject": u.ID, "id": u.UserID()})
}

// account loads the whole account, for handlers that need more than name, e-mail and roles. It costs
// a second query.
func account(db *gormstore.Store) func(context.Context, storage.Account) (authn.User, error) {
	return func(ctx context.Context, u storage.Account) (authn.User, error) {
		var a Account
		err := db.DB(ctx).First(&a, "id = ?", u.UserID()).Error
		if errors.Is(err, gorm.ErrRecordNotFound) {
			return nil, authn.AuthenticationFailed("Invalid token.").WithCause(err) // deleted at this moment
		}
		return &a, err
	}
}

func profile(w http.ResponseWriter, r *http.Request) {
	a, _ := authn.UserFrom[*Account](r.Context())
	writeJSON(w, map[string]string{"username": a.Login, "email": a.Mail, "plan": a.Plan})
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		slog.Debug("response not sent", "error", err) // the client has gone
	}
}

// deleteAccount marks the account as deleted and revokes its credentials, in one transaction.
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

// addAccounts adds an account to each table. The application inserts its own rows; Vestibule only
// hashes the password.
func addAccounts(ctx context.Context, db *gormstore.Store, hasher *password.Hasher) error {
	alice, err := hasher.Hash(ctx, "", "wonderland-42")
	if err != nil {
		return err
	}
	sam, err := hasher.Hash(ctx, "", "sam-at-the-desk-42")
	if err != nil {
		return err
	}
	return db.InTx(ctx, func(ctx context.Context) error {
		err := db.DB(ctx).Create(&Account{Login: "alice", Mail: "alice@example.com", Plan: "free", PasswordHash: string(alice)}).Error
		if err != nil {
			return err
		}
		return db.DB(ctx).Create(&Employee{Login: "sam", PasswordHash: string(sam)}).Error
	})
}

// serve answers requests on addr until ctx ends. Requests that are running then have ten seconds
// to finish.
func serve(ctx context.Context, addr string, h http.Handler) error {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler:           http.MaxBytesHandler(h, 1<<20), // no request of this program needs a larger body
		ReadHeaderTimeout: 5 * time.Second,                // a client that sends slowly cannot hold a connection
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	fmt.Println("listening on http://" + listener.Addr().String())
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	finish, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return errors.Join(server.Shutdown(finish), ignoreClosed(<-failed))
}

// ignoreClosed drops the error that every server returns after Shutdown.
func ignoreClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
